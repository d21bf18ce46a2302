//! The file: a head, then sets of eight slots. A key belongs to one set; in it, a slot that was not
//! asked for since the hand last passed is the next to be written over (CLOCK with a counter to 3).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::record::{self, Key, slot_bytes};
use crate::bytes::{Put, Reader};
use crate::encoder::EncoderId;

const MAGIC: [u8; 8] = *b"COVEYCAC";
/// Of this file alone: one of another version is made anew.
const VERSION: u32 = 1;
const HEAD: usize = 64;
/// Before a set's slots: the slot its hand is at, and zeros.
const SET_HEAD: usize = 8;
/// Slots of a set.
const WAYS: usize = 8;
/// Slots of a set that are taken at most, on average, where the limit allows: few sets are then too small.
const USUAL: usize = 5;
/// The count of uses stops here.
const MOST_USES: u8 = 3;
/// A table has this many sets at least where the limit allows, and never more than that.
const FEWEST_SETS: usize = 8;
const MOST_SETS: usize = 1 << 24;

/// What a table is for, and how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Hash of the model's two ids.
    model: [u8; 16],
    dim: usize,
    pub(super) sets: usize,
}

impl Shape {
    /// As large as it takes to hold `chunks` chunks, within `limit` bytes.
    pub(super) fn fit(encoder: EncoderId, dim: usize, limit: u64, chunks: usize) -> Option<Self> {
        let hash =
            Sha256::new().chain_update(encoder.base).chain_update(encoder.release).finalize();
        let model = *hash.first_chunk().expect("a SHA-256 has 32 bytes");
        let all = chunks.div_ceil(USUAL).clamp(FEWEST_SETS, MOST_SETS).next_power_of_two();
        let shape = Self { model, dim, sets: all };
        let fit = limit.saturating_sub(HEAD as u64) / shape.set_bytes() as u64;
        let sets = usize::try_from(fit).unwrap_or(usize::MAX).min(all);
        (sets > 0).then_some(Self { sets, ..shape })
    }

    /// Whether vectors of one fit the other.
    pub(super) fn same_vectors(&self, other: &Self) -> bool {
        (self.model, self.dim) == (other.model, other.dim)
    }

    /// Bytes of the whole file.
    pub(super) fn bytes(&self) -> u64 {
        HEAD as u64 + self.sets as u64 * self.set_bytes() as u64
    }

    fn slot_bytes(&self) -> usize {
        slot_bytes(self.dim)
    }

    fn set_bytes(&self) -> usize {
        SET_HEAD + WAYS * self.slot_bytes()
    }

    fn to_head(self) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.put_u32(VERSION);
        head.put_u32(self.dim as u32);
        head.put_u32(self.sets as u32);
        head.extend_from_slice(&self.model);
        let checksum = Sha256::digest(&head);
        head.extend_from_slice(&checksum[..16]);
        head.resize(HEAD, 0);
        head
    }

    fn from_head(head: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(head);
        let _ = reader.take(MAGIC.len() + 4)?;
        let (dim, sets) = (reader.u32()? as usize, reader.u32()? as usize);
        let shape = Self { model: reader.array()?, dim, sets };
        let sane = (1..=crate::segment::MAX_DIM).contains(&dim) && (1..=MOST_SETS).contains(&sets);
        (sane && shape.to_head() == head).then_some(shape)
    }
}

/// An open table. Reading beyond its end gives zeros, which hold nothing.
pub(super) struct Table {
    file: File,
    shape: Shape,
    /// Until a write fails, as on a full disk.
    writable: bool,
    /// One set.
    set: Vec<u8>,
}

impl Table {
    /// Opens the table at `path`; `None` if it is none of this version.
    pub(super) fn open(path: &Path, writable: bool) -> io::Result<Option<Self>> {
        let file = open(OpenOptions::new().read(true).write(writable), path)?;
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        (&file).read_exact(&mut head)?;
        let Some(shape) = Shape::from_head(&head) else { return Ok(None) };
        Ok(Some(Self { file, shape, writable, set: Vec::new() }))
    }

    /// Makes its file as long as its head says, which is to be bounded first.
    pub(super) fn even_out(&self) -> io::Result<()> {
        if self.file.metadata()?.len() != self.shape.bytes() {
            self.file.set_len(self.shape.bytes())?;
        }
        Ok(())
    }

    /// Makes an empty one. It is as long as it will ever be, and takes no space yet.
    pub(super) fn make(path: &Path, shape: Shape) -> io::Result<Self> {
        let file = open(OpenOptions::new().read(true).write(true).create_new(true), path)?;
        let filled = file.set_len(shape.bytes()).and_then(|()| (&file).write_all(&shape.to_head()));
        if let Err(error) = filled {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Self { file, shape, writable: true, set: Vec::new() })
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn get(&mut self, key: &Key) -> Option<Vec<f32>> {
        let set = self.set_of(key);
        self.read(set).ok()?;
        let (way, row) = (0..WAYS).find_map(|way| {
            let row = record::read(self.slot(way), key, self.shape.dim)?;
            Some((way, row))
        })?;
        let uses = record::uses(self.slot(way));
        if self.writable && uses < MOST_USES {
            let place = self.range(way);
            record::set_uses(&mut self.set[place.clone()], uses + 1);
            let start = self.offset(set) + place.start as u64;
            let first = self.set[place.start..][..4].to_vec();
            self.write(start, &first);
        }
        Some(row)
    }

    pub(super) fn put(&mut self, key: &Key, row: &[f32]) {
        if row.len() != self.shape.dim {
            return;
        }
        let mut slot = vec![0; self.shape.slot_bytes()];
        record::write(&mut slot, key, row);
        self.insert(key, &slot);
    }

    /// Takes what another table of such vectors holds.
    pub(super) fn take_over(&mut self, former: &mut Self) {
        former.each(|slot| {
            if let Some(key) = Key::of(slot) {
                self.insert(&key, slot);
            }
        });
    }

    /// Vectors in it that are whole.
    pub(super) fn count(&mut self) -> usize {
        let mut count = 0;
        self.each(|_| count += 1);
        count
    }

    fn each(&mut self, mut visit: impl FnMut(&[u8])) {
        for set in 0..self.shape.sets {
            // A head may claim more sets than its file has.
            if self.read(set).unwrap_or(0) == 0 {
                return;
            }
            let slots = (0..WAYS).map(|way| self.slot(way));
            slots.filter(|slot| record::is_whole(slot)).for_each(&mut visit);
        }
    }

    fn insert(&mut self, key: &Key, slot: &[u8]) {
        let set = self.set_of(key);
        if !self.writable || self.read(set).is_err() {
            return;
        }
        let way = self.make_room(key);
        let place = self.range(way);
        self.set[place].copy_from_slice(slot);
        let whole = std::mem::take(&mut self.set);
        self.write(self.offset(set), &whole);
        self.set = whole;
    }

    /// The slot of the set at hand that `key` goes to: its own, an empty one, or the next that was not
    /// asked for since the hand last came by.
    fn make_room(&mut self, key: &Key) -> usize {
        let held = |way: usize| Key::of(self.slot(way));
        let own = (0..WAYS).find(|&way| held(way).as_ref() == Some(key));
        if let Some(way) = own.or_else(|| (0..WAYS).find(|&way| held(way).is_none())) {
            return way;
        }
        loop {
            let way = usize::from(self.set[0]) % WAYS;
            self.set[..SET_HEAD].fill(0);
            self.set[0] = ((way + 1) % WAYS) as u8;
            let place = self.range(way);
            let slot = &mut self.set[place];
            match record::uses(slot) {
                0 => return way,
                uses => record::set_uses(slot, uses - 1),
            }
        }
    }

    fn set_of(&self, key: &Key) -> usize {
        (key.number() % self.shape.sets as u64) as usize
    }

    fn offset(&self, set: usize) -> u64 {
        HEAD as u64 + set as u64 * self.shape.set_bytes() as u64
    }

    fn range(&self, way: usize) -> std::ops::Range<usize> {
        let start = SET_HEAD + way * self.shape.slot_bytes();
        start..start + self.shape.slot_bytes()
    }

    fn slot(&self, way: usize) -> &[u8] {
        &self.set[self.range(way)]
    }

    /// Reads a set, and gives how many bytes of it the file has.
    fn read(&mut self, set: usize) -> io::Result<usize> {
        self.set.clear();
        let bytes = self.shape.set_bytes();
        (&self.file).seek(SeekFrom::Start(self.offset(set)))?;
        let there = (&self.file).take(bytes as u64).read_to_end(&mut self.set)?;
        self.set.resize(bytes, 0);
        Ok(there)
    }

    /// Believes that its file can be written to.
    #[cfg(test)]
    pub(super) fn made_writable(mut self) -> Self {
        self.writable = true;
        self
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let done =
            (&self.file).seek(SeekFrom::Start(offset)).and_then(|_| (&self.file).write_all(bytes));
        self.writable = done.is_ok();
    }
}

/// Opens a file that only the user may read, and no link.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}
