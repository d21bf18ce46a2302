//! What a PDF's information dictionary says.

use pdf_extract::{Document, Object};

use super::super::attributes::Attributes;
use super::super::record::fact;
use super::super::{date, plain};

/// Longest string that is looked at, in bytes.
const MAX_STRING: usize = 4096;

/// Title, author, keywords and the day it was made.
pub(super) fn facts(document: &Document) -> Attributes {
    let mut facts = Attributes::default();
    let info = document.trailer.get(b"Info").and_then(|info| document.dereference(info));
    let Ok(info) = info.and_then(|(_, info)| info.as_dict()) else { return facts };
    let string = |key: &[u8]| {
        let value = info.get(key).and_then(|value| document.dereference(value));
        value.and_then(|(_, value)| Object::as_str(value).map(decode)).unwrap_or_default()
    };
    for (key, name) in [(&b"Title"[..], "title"), (b"Author", "author"), (b"Keywords", "tag")] {
        fact(&mut facts, name, string(key).trim());
    }
    if let Some(date) = date::compact(&string(b"CreationDate")) {
        facts.insert("date", &date);
    }
    facts
}

/// A text string: UTF-16 or UTF-8 where it is marked so, else Latin, which its own encoding nearly is.
fn decode(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(MAX_STRING)];
    if let Some(text) = plain::decode_utf16(bytes) {
        return text;
    }
    match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(text) => String::from_utf8_lossy(text).into_owned(),
        None => bytes.iter().map(|&b| char::from(b)).collect(),
    }
}
