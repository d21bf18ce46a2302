//! From a file's bytes to text.
//!
//! The text is what spans count in, and extraction happens again at query time, so it must be a
//! pure function of the bytes and the format: a change to it is a new [`EXTRACTOR`] number, which
//! makes files of the older one stale until they are indexed again.

mod format;
mod pdf;

use std::path::Path;

pub(crate) use format::{Format, guess};

/// Version of everything in this module that decides what the text of a file is.
pub(crate) const EXTRACTOR: u8 = 1;

/// How much of a file shows whether it is text.
pub(crate) const SNIFF: u64 = 8 * 1024;

/// The largest PDF that is taken apart, whatever the bound on files is.
pub(crate) const MAX_PDF: u64 = 32 << 20;

/// Most text one file may yield; offsets are 32 bits wide, and a PDF may unpack to much more than
/// its size.
pub(crate) const MAX_TEXT: usize = 256 << 20;

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
    /// A symbolic link; what it points to is indexed where it lies, if that folder is added.
    #[error("is a symbolic link")]
    Link,
    /// A socket, pipe or device.
    #[error("is not a regular file")]
    Special,
}

/// The text of a file of this format.
pub(crate) fn extract(format: Format, bytes: Vec<u8>) -> Result<String, SkipReason> {
    let text = match format {
        Format::Text | Format::Markdown | Format::Code => decode(bytes)?,
        Format::Pdf => pdf::text(bytes)?,
    };
    if text.len() > MAX_TEXT {
        return Err(SkipReason::TooLarge { size: text.len() as u64, limit: MAX_TEXT as u64 });
    }
    if text.trim().is_empty() {
        return Err(SkipReason::Empty);
    }
    Ok(text)
}

/// Whether the first bytes of a file show that it is not text.
pub(crate) fn is_binary(head: &[u8]) -> bool {
    decode_utf16(head).is_none() && looks_binary(head)
}

/// Whether there are zero bytes, or more than one in fifty is a control character.
fn looks_binary(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(SNIFF as usize)];
    let control = head
        .iter()
        .filter(|&&b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
        .count();
    head.contains(&0) || control * 50 > head.len()
}

fn decode(bytes: Vec<u8>) -> Result<String, SkipReason> {
    if let Some(text) = decode_utf16(&bytes) {
        return Ok(text);
    }
    let mut bytes = bytes;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    if looks_binary(&bytes) {
        return Err(SkipReason::Binary);
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (mut all, mut broken) = (0usize, 0usize);
    for c in text.chars() {
        all += 1;
        broken += usize::from(c == char::REPLACEMENT_CHARACTER);
    }
    if broken * 10 > all {
        return Err(SkipReason::NotUtf8);
    }
    Ok(text)
}

/// UTF-16 is read where a byte order mark announces it.
fn decode_utf16(bytes: &[u8]) -> Option<String> {
    let (mark, rest) = bytes.split_first_chunk::<2>()?;
    let unit: fn([u8; 2]) -> u16 = match mark {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let units = rest.as_chunks::<2>().0.iter().map(|&pair| unit(pair));
    let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    Some(text.collect())
}

/// Format of a file from its name and first bytes, or why there is none.
pub(crate) fn classify(path: &Path, head: &[u8]) -> Result<Format, SkipReason> {
    if head.starts_with(b"%PDF-") {
        return Ok(Format::Pdf);
    }
    guess(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Result<String, SkipReason> {
        extract(Format::Text, bytes.to_vec())
    }

    #[test]
    fn bytes_become_text_or_a_reason() {
        let cases: [(&[u8], Result<&str, SkipReason>); 9] = [
            (b"plain", Ok("plain")),
            (b"\xef\xbb\xbfmarked", Ok("marked")),
            (b"\xff\xfeh\0i\0", Ok("hi")),
            (b"\xfe\xff\0h\0i", Ok("hi")),
            (b"mostly good text \xe4 here", Ok("mostly good text \u{fffd} here")),
            (b"\xe4\xf6\xfc\xe4\xf6", Err(SkipReason::NotUtf8)),
            (b"zero\0byte", Err(SkipReason::Binary)),
            (b"", Err(SkipReason::Empty)),
            (b" \n\t ", Err(SkipReason::Empty)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(text(bytes), expected.map(str::to_owned), "{bytes:?}");
        }
    }
}
