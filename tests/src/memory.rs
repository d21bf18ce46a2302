//! Everything that a process holds, in memory and on disk, and whether something known is in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of one needle: long enough that none is met by chance.
const LENGTH: usize = 16;
/// Bytes that are looked through at a time.
const WINDOW: usize = 1 << 20;

/// Pieces of known vectors, with names, to be looked for.
#[derive(Default)]
pub struct Needles {
    /// By their first four bytes.
    by_start: BTreeMap<[u8; 4], Vec<([u8; LENGTH], String)>>,
    /// Whether one starts with these two bytes.
    starts: Vec<bool>,
}

impl Needles {
    /// Adds some pieces of `vector`, four bytes an entry. Pieces that say little (the same bytes again and again) are left out.
    pub fn add(&mut self, name: &str, vector: &[u8]) {
        self.starts.resize(1 << 16, false);
        let pieces = vector.chunks_exact(LENGTH).filter(|piece| {
            let mut seen = piece.to_vec();
            seen.sort_unstable();
            seen.dedup();
            seen.len() > LENGTH / 2
        });
        let pieces: Vec<&[u8]> = pieces.collect();
        assert!(pieces.len() > 64, "{name} has too little to look for");
        for piece in pieces.iter().step_by(pieces.len() / 32) {
            let needle: [u8; LENGTH] = (*piece).try_into().expect("as long");
            let start = needle.first_chunk::<4>().expect("longer");
            self.starts[usize::from(u16::from_le_bytes([start[0], start[1]]))] = true;
            self.by_start.entry(*start).or_default().push((needle, name.to_owned()));
        }
    }

    /// How many pieces of each name are in the memory of the process or in a file below `dir`.
    pub fn held_by(&self, process: u32, dir: &Path) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        self.in_memory(process, &mut found);
        self.in_files(dir, &mut found);
        found
    }

    fn in_memory(&self, process: u32, found: &mut BTreeMap<String, usize>) {
        let maps = File::open(format!("/proc/{process}/maps")).expect("is there to be looked at");
        let memory = File::open(format!("/proc/{process}/mem")).expect("a child's memory is ours");
        let mut read = 0;
        for line in BufReader::new(maps).lines() {
            let line = line.expect("text");
            let mut fields = line.split_ascii_whitespace();
            let (range, rights) = (fields.next().expect("a range"), fields.next().expect("rights"));
            if !rights.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').expect("from-to");
            let at = |hex: &str| u64::from_str_radix(hex, 16).expect("an address");
            read += self.look_through(&memory, at(from), at(to), found);
        }
        assert!(read > 1 << 20, "next to nothing of the memory could be read");
    }

    fn in_files(&self, dir: &Path, found: &mut BTreeMap<String, usize>) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                self.in_files(&entry.path(), found);
            } else if kind.is_file() {
                // One that is gone by now is looked for in memory.
                let Ok(file) = File::open(entry.path()) else { continue };
                let length = file.metadata().expect("a length").len();
                self.look_through(&file, 0, length, found);
            }
        }
    }

    /// Returns how many bytes could be read.
    fn look_through(
        &self,
        file: &File,
        from: u64,
        to: u64,
        found: &mut BTreeMap<String, usize>,
    ) -> usize {
        let (mut at, mut read) = (from, 0);
        let mut window = vec![0; WINDOW];
        while at < to {
            let wanted = usize::try_from(to - at).unwrap_or(WINDOW).min(WINDOW);
            let Ok(got @ 1..) = file.read_at(&mut window[..wanted], at) else { break };
            self.look_at(&window[..got], found);
            read += got;
            // Windows overlap, so that nothing lies between two of them.
            let next = if got > LENGTH && at + (got as u64) < to { got - LENGTH + 1 } else { got };
            at += next as u64;
        }
        read
    }

    fn look_at(&self, bytes: &[u8], found: &mut BTreeMap<String, usize>) {
        for window in bytes.windows(LENGTH) {
            if !self.starts[usize::from(u16::from_le_bytes([window[0], window[1]]))] {
                continue;
            }
            let start = window.first_chunk::<4>().expect("longer");
            let Some(needles) = self.by_start.get(start) else { continue };
            for (needle, name) in needles {
                if needle[..] == *window {
                    *found.entry(name.clone()).or_default() += 1;
                }
            }
        }
    }
}
