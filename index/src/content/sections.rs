//! Titles and facts of sections, compressed a few dozen at a time.

use crate::bits::{put_varint, varint};
use crate::bytes::{Put, Reader, u32_at};
use crate::document::Attributes;

/// Sections of one frame.
pub(crate) const FRAME: usize = 64;
const LEVEL: i32 = 9;
/// The most a frame may unpack to: sections, each with a title and 64 facts at their longest.
const MAX_FRAME: usize = FRAME * (1024 + 64 * 330);

/// What is known of a part of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SectionEntry {
    /// Empty where it has none.
    pub(crate) title: String,
    pub(crate) attributes: Attributes,
}

impl SectionEntry {
    fn is_bare(&self) -> bool {
        self.title.is_empty() && self.attributes.is_empty()
    }
}

/// A table of where frames end, and the frames; one of bare sections takes no byte.
pub(crate) fn encode(sections: &[SectionEntry]) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut frames) = (Vec::new(), Vec::new());
    for frame in sections.chunks(FRAME) {
        if !frame.iter().all(SectionEntry::is_bare) {
            let mut plain = Vec::new();
            for section in frame {
                put(&mut plain, section);
            }
            let packed = zstd::bulk::compress(&plain, LEVEL);
            frames.extend(packed.expect("compressing in memory succeeds"));
        }
        table.put_u32(frames.len() as u32);
    }
    (table, frames)
}

fn put(out: &mut Vec<u8>, section: &SectionEntry) {
    let mut text = |text: &str| {
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    };
    text(&section.title);
    let pairs: Vec<(&str, &str)> = section.attributes.iter().collect();
    for (key, value) in &pairs {
        text(key);
        text(value);
    }
    // No key is empty, so an empty one ends the list.
    text("");
}

/// The sections of frame `number`, of `count` sections in all; `None` where the bytes make no sense.
pub(crate) fn decode(
    table: &[u8],
    frames: &[u8],
    number: usize,
    count: usize,
) -> Option<Vec<SectionEntry>> {
    let wanted = count.checked_sub(number.checked_mul(FRAME)?)?.min(FRAME);
    let start = if number == 0 { 0 } else { u32_at(table, number - 1)? as usize };
    let frame = frames.get(start..u32_at(table, number)? as usize)?;
    if frame.is_empty() {
        return Some(vec![SectionEntry::default(); wanted]);
    }
    let plain = crate::content::unzstd(frame, MAX_FRAME)?;
    let mut reader = Reader::new(&plain);
    let mut sections = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        sections.push(take(&mut reader)?);
    }
    reader.finished().then_some(sections)
}

fn take(reader: &mut Reader<'_>) -> Option<SectionEntry> {
    let title = take_text(reader)?.to_owned();
    let mut attributes = Attributes::default();
    loop {
        let key = take_text(reader)?;
        if key.is_empty() {
            return Some(SectionEntry { title, attributes });
        }
        attributes.insert(key, take_text(reader)?);
    }
}

fn take_text<'a>(reader: &mut Reader<'a>) -> Option<&'a str> {
    let length = usize::try_from(varint(reader)?).ok()?;
    std::str::from_utf8(reader.take(length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_come_back_and_bare_ones_cost_nothing() {
        let mut sections = vec![SectionEntry::default(); 200];
        for (i, section) in sections.iter_mut().enumerate().skip(100).take(60) {
            section.title = format!("Chapter {i}");
            section.attributes.insert("author", "Ada");
            section.attributes.insert("tag", &format!("t{i}"));
        }
        let (table, frames) = encode(&sections);
        let mut back = Vec::new();
        for number in 0..200usize.div_ceil(FRAME) {
            back.extend(decode(&table, &frames, number, 200).expect("valid"));
        }
        assert_eq!(back, sections);
        assert_eq!(decode(&table, &frames, 4, 200), None);
        let (_, frames) = encode(&sections[..64]);
        assert!(frames.is_empty());
    }

    #[test]
    fn damage_is_noticed() {
        let section = SectionEntry { title: "T".repeat(300), ..Default::default() };
        let (table, frames) = encode(&[section]);
        for at in 0..frames.len() {
            let mut bad = frames.clone();
            bad.truncate(at);
            assert_eq!(decode(&table, &bad, 0, 1), None, "cut at {at}");
        }
    }
}
