//! Where chunks lie in their files' text, in under two bytes each.
//!
//! Chunks of a file follow one another, so what is kept is the gap to the one before, the length, and
//! how many sections further it is. Each of these is packed in groups, with as many bits as the
//! group's spread needs; a group starts with what it builds on, so any chunk is a group away.

use std::ops::Range;

use crate::bits::{
    is_filled, pack, packed_len, put_varint, unpack, unzigzag, varint, width_of, zigzag,
};
use crate::bytes::{Put, Reader, u32_at};

/// Chunks of one group.
pub(crate) const GROUP: usize = 128;
const COLUMNS: usize = 3;

/// One chunk: a range of its file's text, and which of the file's sections it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) span: Range<usize>,
    pub(crate) section: u32,
}

/// What the next chunk is counted from.
#[derive(Clone, Copy, Default)]
struct Before {
    end: u32,
    section: u32,
}

impl Before {
    fn columns(self, passage: &Passage) -> [u32; COLUMNS] {
        let difference = |x: usize, from: u32| zigzag(x as i64 - i64::from(from)) as u32;
        [
            difference(passage.span.start, self.end),
            passage.span.len() as u32,
            difference(passage.section as usize, self.section),
        ]
    }

    fn passage(self, [gap, length, step]: [u32; COLUMNS]) -> Option<Passage> {
        let plus =
            |from: u32, by: u32| u32::try_from(i64::from(from) + unzigzag(u64::from(by))).ok();
        let start = plus(self.end, gap)?;
        let end = start.checked_add(length)?;
        let section = plus(self.section, step)?;
        Some(Passage { span: start as usize..end as usize, section })
    }

    fn after(passage: &Passage) -> Self {
        Self { end: passage.span.end as u32, section: passage.section }
    }
}

/// Packs the chunks of files, file after file: a table of where groups start, and the groups.
pub(crate) fn encode<'a>(files: impl Iterator<Item = &'a [Passage]>) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut groups) = (Vec::new(), Vec::new());
    let mut rows: Vec<[u32; COLUMNS]> = Vec::with_capacity(GROUP);
    let mut base = Before::default();
    let mut flush = |rows: &mut Vec<[u32; COLUMNS]>, base: Before| {
        table.put_u32(groups.len() as u32);
        put_group(&mut groups, rows, base);
        rows.clear();
    };
    for passages in files {
        let mut before = Before::default();
        for passage in passages {
            if rows.is_empty() {
                base = before;
            }
            rows.push(before.columns(passage));
            before = Before::after(passage);
            if rows.len() == GROUP {
                flush(&mut rows, base);
            }
        }
    }
    if !rows.is_empty() {
        flush(&mut rows, base);
    }
    (table, groups)
}

fn put_group(out: &mut Vec<u8>, rows: &[[u32; COLUMNS]], base: Before) {
    put_varint(out, base.end.into());
    put_varint(out, base.section.into());
    let column = |c: usize| rows.iter().map(move |row| row[c]);
    let mut widths = [0u32; COLUMNS];
    for (c, width) in widths.iter_mut().enumerate() {
        let (low, high) = (column(c).min().unwrap_or(0), column(c).max().unwrap_or(0));
        *width = width_of(high - low);
        put_varint(out, low.into());
        out.push(*width as u8);
    }
    for (c, width) in widths.into_iter().enumerate() {
        let low = column(c).min().unwrap_or(0);
        pack(out, column(c).map(|x| x - low), width);
    }
}

/// The packed chunks of a segment.
#[derive(Clone, Copy)]
pub(crate) struct Spans<'a> {
    pub(crate) table: &'a [u8],
    pub(crate) groups: &'a [u8],
    /// How many chunks there are.
    pub(crate) count: usize,
}

/// A group, still packed.
struct Group<'a> {
    before: Before,
    /// Least value and width.
    columns: [(u32, u32); COLUMNS],
    packed: [&'a [u8]; COLUMNS],
    rows: usize,
    /// Where it ends in SPANS.
    end: usize,
}

impl<'a> Spans<'a> {
    fn group(&self, number: usize) -> Option<Group<'a>> {
        let rows = self.count.checked_sub(number * GROUP)?.min(GROUP);
        let start = u32_at(self.table, number)? as usize;
        let mut reader = Reader::new(self.groups.get(start..)?);
        let mut word = || u32::try_from(varint(&mut reader)?).ok();
        let before = Before { end: word()?, section: word()? };
        let mut columns = [(0u32, 0u32); COLUMNS];
        for column in &mut columns {
            *column = (u32::try_from(varint(&mut reader)?).ok()?, reader.array::<1>()?[0].into());
        }
        let mut packed: [&[u8]; COLUMNS] = [&[]; COLUMNS];
        for (bytes, &(_, width)) in packed.iter_mut().zip(&columns) {
            *bytes = reader.take(packed_len(rows, width))?;
        }
        let end = self.groups.len() - reader.left();
        Some(Group { before, columns, packed, rows, end })
    }

    /// Groups follow one another, filled up with zeros, and nothing follows the last.
    pub(crate) fn check_filling(&self) -> Option<()> {
        let mut end = 0;
        for number in 0..self.count.div_ceil(GROUP) {
            let group = self.group(number)?;
            let filled = group.packed.iter().zip(group.columns);
            let sound = u32_at(self.table, number)? as usize == end
                && filled
                    .into_iter()
                    .all(|(bytes, (_, width))| is_filled(bytes, group.rows * width as usize));
            sound.then_some(())?;
            end = group.end;
        }
        (end == self.groups.len()).then_some(())
    }

    /// Calls `visit` with the chunks of the group that `chunk` is in, up to and with it. `starts`
    /// says whether a chunk is the first of its file. `None` where the bytes make no sense.
    pub(crate) fn walk(
        &self,
        chunk: usize,
        starts: impl Fn(u32) -> bool,
        mut visit: impl FnMut(u32, Passage) -> Option<()>,
    ) -> Option<()> {
        let first = chunk / GROUP * GROUP;
        let Group { mut before, columns, packed, rows, .. } = self.group(chunk / GROUP)?;
        for row in 0..=(chunk - first).min(rows.checked_sub(1)?) {
            let number = (first + row) as u32;
            if starts(number) {
                before = Before::default();
            }
            let mut values = [0u32; COLUMNS];
            for ((value, bytes), &(low, width)) in values.iter_mut().zip(packed).zip(&columns) {
                *value = unpack(bytes, row, width)?.checked_add(low)?;
            }
            let passage = before.passage(values)?;
            before = Before::after(&passage);
            visit(number, passage)?;
        }
        Some(())
    }

    /// One chunk.
    pub(crate) fn get(&self, chunk: u32, starts: impl Fn(u32) -> bool) -> Option<Passage> {
        let mut found = None;
        self.walk(chunk as usize, starts, |number, passage| {
            if number == chunk {
                found = Some(passage);
            }
            Some(())
        })?;
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(files: &[Vec<Passage>]) -> usize {
        let (table, groups) = encode(files.iter().map(Vec::as_slice));
        let all: Vec<&Passage> = files.iter().flatten().collect();
        let mut firsts = Vec::new();
        let mut at = 0;
        for file in files {
            firsts.push(at);
            at += file.len() as u32;
        }
        let spans = Spans { table: &table, groups: &groups, count: all.len() };
        for (i, passage) in all.iter().enumerate() {
            let got = spans.get(i as u32, |chunk| firsts.contains(&chunk));
            assert_eq!(got.as_ref(), Some(*passage), "chunk {i}");
        }
        assert_eq!(spans.get(all.len() as u32, |_| false), None);
        table.len() + groups.len()
    }

    #[test]
    fn records_of_about_a_kilobyte_take_under_two_bytes() {
        let mut end = 0;
        let passages = (0..5000u32).map(|i| {
            let start = end + 1;
            end = start + 300 + (i * 7919 % 1000) as usize;
            Passage { span: start..end, section: i + 1 }
        });
        let bytes = check(&[passages.collect()]);
        assert!(bytes < 2 * 5000, "{bytes}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_chunks_come_back(files in prop::collection::vec(
            prop::collection::vec((0usize..1 << 28, 1usize..17_000, 0u32..1 << 20), 1..200), 0..5)) {
            let files: Vec<Vec<Passage>> = files.into_iter().map(|file| {
                file.into_iter().map(|(start, length, section)| Passage { span: start..start + length, section }).collect()
            }).collect();
            check(&files);
        }
    }
}
