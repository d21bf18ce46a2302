//! The container all kinds of index file share: a header, a table of sections, a checksum each.
//!
//! Written and read as `docs/spec/index-format.md` section 2 says. Every byte of a file is covered
//! by a checksum or required to be zero, so a flipped bit anywhere is found.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::bytes::{Put, Reader};

pub(crate) const VERSION: u32 = 4;
pub(crate) const ALIGN: usize = 64;
pub(crate) const HEADER: usize = 64;
const ENTRY: usize = 40;
const MAX_SECTIONS: usize = 32;

/// The first half of a SHA-256: it finds accidents, and the model of a local index has no forger.
pub(crate) type Checksum = [u8; 16];

pub(crate) fn checksum(parts: &[&[u8]]) -> Checksum {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let full = hash.finalize();
    std::array::from_fn(|i| full[i])
}

/// Why a file is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Version(u32),
    Corrupt(&'static str),
}

impl From<&'static str> for Refusal {
    fn from(what: &'static str) -> Self {
        Self::Corrupt(what)
    }
}

/// Builds a file of sections.
pub(crate) struct Writer {
    magic: [u8; 8],
    sections: Vec<(u32, Vec<u8>)>,
}

impl Writer {
    pub(crate) fn new(magic: [u8; 8]) -> Self {
        Self { magic, sections: Vec::new() }
    }

    pub(crate) fn section(&mut self, kind: u32, bytes: Vec<u8>) {
        self.sections.push((kind, bytes));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut table = Vec::new();
        let mut end = HEADER + ENTRY * self.sections.len();
        for (kind, bytes) in &self.sections {
            let start = end.next_multiple_of(ALIGN);
            table.put_u32(*kind);
            table.put_u32(0);
            table.put_u64(start as u64);
            table.put_u64(bytes.len() as u64);
            table.extend_from_slice(&checksum(&[bytes]));
            end = start + bytes.len();
        }
        let mut file = Vec::with_capacity(end);
        file.extend_from_slice(&self.magic);
        file.put_u32(VERSION);
        file.put_u32(self.sections.len() as u32);
        file.put_u64(end as u64);
        let head = checksum(&[&file, &table]);
        file.extend_from_slice(&head);
        file.resize(HEADER, 0);
        file.extend_from_slice(&table);
        for (_, bytes) in &self.sections {
            file.resize(file.len().next_multiple_of(ALIGN), 0);
            file.extend_from_slice(bytes);
        }
        file
    }
}

/// The section table of a file whose every byte has been checked.
pub(crate) struct Sections {
    /// Covers the table, which covers the sections: it stands for the whole file.
    pub(crate) head: Checksum,
    ranges: Vec<(u32, Range<usize>)>,
}

impl Sections {
    pub(crate) fn read(file: &[u8], magic: [u8; 8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(file);
        if reader.array() != Some(magic) {
            return Err("IDX-01: not an index file".into());
        }
        let version = reader.u32().ok_or("IDX-03: cut short in the header")?;
        if version != VERSION {
            return Err(Refusal::Version(version));
        }
        let count = reader.u32().ok_or("IDX-03: cut short in the header")? as usize;
        let length = reader.u64().ok_or("IDX-03: cut short in the header")?;
        let head: Checksum = reader.array().ok_or("IDX-03: cut short in the header")?;
        if length != file.len() as u64 {
            return Err("IDX-03: the length in the header is not the file's".into());
        }
        if count > MAX_SECTIONS {
            return Err("IDX-04: too many sections".into());
        }
        let table_end = HEADER + ENTRY * count;
        let table = file.get(HEADER..table_end).ok_or("IDX-03: cut short in the section table")?;
        if checksum(&[&file[..24], table]) != head || file[40..HEADER].iter().any(|&b| b != 0) {
            return Err("IDX-05: the header's checksum does not match".into());
        }
        let ranges = read_table(file, table, table_end)?;
        Ok(Self { head, ranges })
    }

    /// The section of this kind.
    pub(crate) fn range(&self, kind: u32) -> Result<Range<usize>, Refusal> {
        self.ranges
            .iter()
            .find(|(k, _)| *k == kind)
            .map(|(_, range)| range.clone())
            .ok_or(Refusal::Corrupt("IDX-08: a section is missing"))
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }
}

fn read_table(
    file: &[u8],
    table: &[u8],
    table_end: usize,
) -> Result<Vec<(u32, Range<usize>)>, Refusal> {
    let mut ranges: Vec<(u32, Range<usize>)> = Vec::new();
    let mut end = table_end;
    for entry in table.chunks_exact(ENTRY) {
        let (kind, range, sum) = read_entry(entry).ok_or("IDX-06: a section's range is absurd")?;
        if ranges.last().is_some_and(|(last, _)| *last >= kind) {
            return Err("IDX-04: sections out of order".into());
        }
        let padding =
            file.get(end..range.start).ok_or("IDX-06: sections overlap or end past the file")?;
        if range.start != end.next_multiple_of(ALIGN) || padding.iter().any(|&b| b != 0) {
            return Err("IDX-06: the gap between sections is not zero padding".into());
        }
        let section =
            file.get(range.clone()).ok_or("IDX-06: sections overlap or end past the file")?;
        if checksum(&[section]) != sum {
            return Err("IDX-07: a section's checksum does not match".into());
        }
        end = range.end;
        ranges.push((kind, range));
    }
    if end != file.len() {
        return Err("IDX-06: bytes after the last section".into());
    }
    Ok(ranges)
}

fn read_entry(entry: &[u8]) -> Option<(u32, Range<usize>, Checksum)> {
    let mut reader = Reader::new(entry);
    let kind = reader.u32()?;
    let zero = reader.u32()?;
    let start = usize::try_from(reader.u64()?).ok()?;
    let length = usize::try_from(reader.u64()?).ok()?;
    let end = start.checked_add(length)?;
    (zero == 0).then_some((kind, start..end, reader.array()?))
}

/// A file of this kind with each section edited, and all checksums made right again.
#[cfg(test)]
pub(crate) fn forged(
    file: &[u8],
    magic: [u8; 8],
    kinds: std::ops::RangeInclusive<u32>,
    edit: impl Fn(u32, &mut Vec<u8>),
) -> Vec<u8> {
    let sections = Sections::read(file, magic).expect("the file is sound");
    let mut writer = Writer::new(magic);
    for kind in kinds {
        let mut bytes = file[sections.range(kind).expect("there")].to_vec();
        edit(kind, &mut bytes);
        writer.section(kind, bytes);
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 8] = *b"COVEYTST";

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new(MAGIC);
        writer.section(1, vec![7; 100]);
        writer.section(3, Vec::new());
        writer.section(9, vec![1, 2, 3]);
        writer.finish()
    }

    #[test]
    fn sections_come_back() {
        let file = sample();
        let sections = Sections::read(&file, MAGIC).expect("valid");
        assert_eq!(&file[sections.range(9).expect("there")], [1, 2, 3]);
        assert_eq!(sections.range(3).expect("there").len(), 0);
        assert!(sections.range(2).is_err());
    }

    #[test]
    fn every_flipped_bit_every_cut_and_every_extra_byte_is_refused() {
        let file = sample();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut bad = file.clone();
                bad[at] ^= 1 << bit;
                assert!(Sections::read(&bad, MAGIC).is_err(), "bit {bit} of byte {at}");
            }
            assert!(Sections::read(&file[..at], MAGIC).is_err(), "cut at {at}");
        }
        let mut long = file.clone();
        long.push(0);
        assert!(Sections::read(&long, MAGIC).is_err());
    }

    #[test]
    fn another_version_is_named() {
        let mut file = sample();
        file[8] = 1;
        assert_eq!(Sections::read(&file, MAGIC).err(), Some(Refusal::Version(1)));
    }
}
