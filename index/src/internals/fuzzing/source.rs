//! Files that a user was sent: text comes out of them or a reason, and chunks out of the text.

use std::path::Path;

use crate::chunk::{MAX_CHUNK_BYTES, MAX_INDENT, chunk};
use crate::document::{check, classify, extract, text};
use crate::fixture::WordEncoder;

/// Takes the text out of a file of this name and cuts it. Gives whether there was any.
pub fn source(name: &str, bytes: &[u8]) -> bool {
    let path = Path::new(name);
    let Ok(format) = classify(path, bytes) else { return false };
    let extracted = extract(format, path, bytes.to_vec());
    let alone = text(format, path, bytes.to_vec());
    assert_eq!(alone.as_ref(), extracted.as_ref().map(|extracted| &extracted.text));
    let Ok(extracted) = extracted else { return false };
    check(&extracted);

    let chunks = chunk(&extracted, format, &WordEncoder::new(super::DIM));
    let mut start = 0;
    for chunk in chunks.expect("the fixture never fails") {
        let text = extracted.text.get(chunk.span.clone()).expect("it lies in the text");
        assert!(!text.trim().is_empty() && text.len() <= MAX_CHUNK_BYTES + MAX_INDENT);
        assert!(chunk.span.start >= start && (chunk.section as usize) < extracted.sections.len());
        start = chunk.span.start;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_files_have_text_and_others_end_in_a_reason() {
        for (name, bytes, sound) in [
            ("a.html", "<h1>A</h1>b", true),
            ("a.mbox", "From a Mon\nSubject: one\n\n1\n", true),
            ("a.csv", "title,n\na,1\n", true),
            ("a.ipynb", "{\"cells\": 5}", false),
            ("a.jsonl", "[[[[", false),
        ] {
            assert_eq!(source(name, bytes.as_bytes()), sound, "{name}");
        }
    }
}
