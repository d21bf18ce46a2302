//! What docs/spec/sources.md says of every text, whatever the bytes were: for tests and fuzz targets.

use super::Extracted;

/// # Panics
/// If it does not hold.
pub(crate) fn check(extracted: &Extracted) {
    let Extracted { text, attributes, sections } = extracted;
    assert!(!text.trim().is_empty());
    let mut end = 0;
    for section in sections {
        assert_eq!(section.range.start, end);
        assert!(section.range.end > end && text.is_char_boundary(section.range.end));
        assert!(section.title.len() <= 256);
        end = section.range.end;
    }
    assert_eq!(end, text.len());
    for facts in sections.iter().map(|section| &section.attributes).chain([attributes]) {
        assert!(facts.iter().count() <= 64);
        for (key, value) in facts.iter() {
            assert!((1..=64).contains(&key.len()) && (1..=256).contains(&value.len()));
        }
    }
}
