//! From a file's bytes to text and its sections.
//!
//! The text is what spans count in, and extraction may happen again at query time, so it must be a
//! pure function of the bytes, the name and the format: a change to it is a new [`EXTRACTOR`] number,
//! which makes files of the older one stale until they are indexed again.

mod attributes;
#[cfg(any(test, feature = "internals"))]
mod check;
mod code;
mod date;
mod docx;
mod draft;
mod epub;
mod format;
mod front_matter;
mod html;
mod json;
mod mail;
mod markdown;
mod notebook;
mod package;
mod pdf;
mod plain;
mod record;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;

pub(crate) use attributes::Attributes;
#[cfg(any(test, feature = "internals"))]
pub(crate) use check::check;
pub(crate) use code::{Documented, documented};
pub(crate) use draft::{SEPARATOR, Section};
pub(crate) use format::{Format, classify, guess};
pub(crate) use markdown::front_matter;
pub(crate) use plain::is_binary;

use draft::{Draft, too_long, whole};
use plain::decode;

/// Version of everything in this module that decides what the text of a file is.
pub(crate) const EXTRACTOR: u8 = 2;

/// How much of a file shows whether it is text.
pub(crate) const SNIFF: u64 = 8 * 1024;

/// The largest PDF that is taken apart, whatever the bound on files is.
pub(crate) const MAX_PDF: u64 = 32 << 20;

/// Most text one file may yield; offsets are 32 bits wide, and a PDF may unpack to much more than
/// its size.
pub(crate) const MAX_TEXT: usize = 256 << 20;

/// What a file's bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extracted {
    /// All of its text; never blank.
    pub(crate) text: String,
    /// Facts about the file.
    pub(crate) attributes: Attributes,
    /// Parts of the text, in order, none empty, together all of it.
    pub(crate) sections: Vec<Section>,
}

/// Why a file was left out of the index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// It could not be opened or read.
    #[error("cannot be read ({0})")]
    Unreadable(String),
    /// It is not text: it has zero bytes, or mostly control characters.
    #[error("is binary")]
    Binary,
    /// It has no text at all.
    #[error("is empty")]
    Empty,
    /// It is larger than the bound.
    #[error("is too large ({size} bytes, the limit is {limit})")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The bound in force.
        limit: u64,
    },
    /// More than a tenth of its characters are not UTF-8. With fewer, each broken sequence is read
    /// as one replacement character.
    #[error("is not UTF-8 text")]
    NotUtf8,
    /// A kind of file known to hold no text this program can read, by its name.
    #[error("is of a kind that is not supported (.{0})")]
    Unsupported(String),
    /// Its text could not be extracted.
    #[error("its text could not be extracted ({0})")]
    ExtractionFailed(String),
    /// It needs a password or a key.
    #[error("is encrypted; save a copy without a password to have it indexed")]
    Encrypted,
    /// A symbolic link; what it points to is indexed where it lies, if that folder is added.
    #[error("is a symbolic link")]
    Link,
    /// A socket, pipe or device.
    #[error("is not a regular file")]
    Special,
}

/// Text, facts and sections of a file of this format. Of its path only the name matters.
pub(crate) fn extract(
    format: Format,
    path: &Path,
    bytes: Vec<u8>,
) -> Result<Extracted, SkipReason> {
    let (text, attributes, sections) = match format {
        Format::Text => {
            let text = decode(bytes)?;
            let sections = whole(&text);
            (text, Attributes::default(), sections)
        }
        Format::Markdown => {
            let text = decode(bytes)?;
            let matter = markdown::front_matter(&text);
            let attributes = matter.map(|matter| front_matter::facts(&text[matter]));
            let sections = markdown::sections(&text);
            (text, attributes.unwrap_or_default(), sections)
        }
        Format::Code => {
            let text = decode(bytes)?;
            let (sections, attributes) = code::sections(path, &text);
            (text, attributes, sections)
        }
        _ => {
            let mut draft = Draft::new();
            let attributes = write(format, bytes, &mut draft)?;
            let (text, sections) = draft.finish();
            (text, attributes, sections)
        }
    };
    Ok(Extracted { text: sound(text)?, attributes, sections })
}

/// The text alone, as [`extract`] gives it, at less cost.
pub(crate) fn text(format: Format, _path: &Path, bytes: Vec<u8>) -> Result<String, SkipReason> {
    sound(match format {
        Format::Text | Format::Markdown | Format::Code => decode(bytes)?,
        _ => {
            let mut draft = Draft::of_text();
            write(format, bytes, &mut draft)?;
            draft.finish().0
        }
    })
}

/// Puts together the text of a format that is not its own text, and gives the facts about the file.
fn write(format: Format, bytes: Vec<u8>, draft: &mut Draft) -> Result<Attributes, SkipReason> {
    match format {
        Format::Pdf => return pdf::read(bytes, draft),
        Format::Html => return html::page(&bytes, draft),
        Format::Docx => return docx::read(bytes, draft),
        Format::Epub => return epub::read(bytes, draft),
        Format::Notebook => return notebook::read(&decode(bytes)?, draft),
        Format::Mail => mail::one(&bytes, draft)?,
        Format::Mbox => mail::many(&bytes, draft)?,
        Format::Csv => table::read(&decode(bytes)?, None, draft)?,
        Format::Tsv => table::read(&decode(bytes)?, Some(b'\t'), draft)?,
        Format::JsonLines => record::json_lines(&decode(bytes)?, draft)?,
        Format::Text | Format::Markdown | Format::Code => draft.push(&decode(bytes)?)?,
    }
    // Each record has its own.
    Ok(Attributes::default())
}

/// Refuses a text that is too long or blank.
fn sound(text: String) -> Result<String, SkipReason> {
    if text.len() > MAX_TEXT {
        return Err(too_long(text.len()));
    }
    if text.trim().is_empty() {
        return Err(SkipReason::Empty);
    }
    Ok(text)
}
