//! Text of an HTML page.
//!
//! The page is read as a stream of tags and text, never as a tree: a page may nest as deep as it likes,
//! and what a tag means here needs no more than what is open of a few kinds.

mod reader;
mod tags;

use super::SkipReason;
use super::attributes::Attributes;
use super::draft::Draft;

pub(super) use reader::{Dialect, read};

/// Text, sections by heading and facts of a page.
pub(super) fn page(bytes: &[u8], draft: &mut Draft) -> Result<Attributes, SkipReason> {
    if super::is_binary(bytes) {
        return Err(SkipReason::Binary);
    }
    read(&decode(bytes), Dialect::Page, draft)
}

/// How far into a page its encoding may be named.
const PRESCAN: usize = 1024;

/// The page as text: by its byte order mark, else the encoding it names, else UTF-8, else what browsers
/// take a page for that says nothing.
fn decode(bytes: &[u8]) -> String {
    let head = bytes[..bytes.len().min(PRESCAN)].to_ascii_lowercase();
    let named = head.windows(8).position(|w| w == b"charset=").and_then(|at| {
        let label = head[at + 8..].trim_ascii_start();
        let label = label.strip_prefix(b"\"").or_else(|| label.strip_prefix(b"'")).unwrap_or(label);
        let end = label.iter().position(|b| !b.is_ascii_alphanumeric() && !b"-_:".contains(b));
        encoding_rs::Encoding::for_label(&label[..end.unwrap_or(label.len())])
    });
    // A page that could be read to say so cannot be in UTF-16.
    let named = named.map(|e| if e.is_ascii_compatible() { e } else { encoding_rs::UTF_8 });
    let guess = || {
        let utf8 = std::str::from_utf8(bytes).is_ok();
        if utf8 { encoding_rs::UTF_8 } else { encoding_rs::WINDOWS_1252 }
    };
    named.unwrap_or_else(guess).decode(bytes).0.into_owned()
}

#[cfg(test)]
mod tests;
