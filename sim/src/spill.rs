//! Stores of thousands of peers: what is large lies in one file without a name, which the system writes out when memory is short, and is
//! gone with the process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_node::store::{AppendLog, Blobs, IndexPlace, Kv, MemoryStores, StoreError, Stores};

/// Shorter pieces stay in memory.
const LARGE: usize = 16 * 1024;

/// The file that many stores share.
pub struct Spill {
    file: File,
    room: Mutex<Room>,
    /// What the system said when it first refused to read or write.
    broken: Mutex<Option<StoreError>>,
}

/// Which parts of it are used.
#[derive(Default)]
struct Room {
    end: u64,
    /// Free places, by their length: what is kept has few different ones.
    free: BTreeMap<usize, Vec<u64>>,
}

impl Spill {
    /// An empty one, in the folder for temporary files.
    ///
    /// # Errors
    /// If no file can be made there.
    pub fn new() -> io::Result<Arc<Self>> {
        let (file, room) = (tempfile::tempfile()?, Mutex::default());
        Ok(Arc::new(Self { file, room, broken: Mutex::default() }))
    }

    /// That everything was read and written so far. To who has a store in it a failure is one of its own, as of a peer whose disk is full.
    ///
    /// # Errors
    /// What the system said when it first refused.
    pub fn whole(&self) -> Result<(), StoreError> {
        lock(&self.broken).take().map_or(Ok(()), Err)
    }

    /// What a store says of a failure, which is remembered.
    fn failed(&self, action: &'static str, source: io::Error) -> StoreError {
        let again = io::Error::new(source.kind(), source.to_string());
        lock(&self.broken).get_or_insert(failed(action, again));
        failed(action, source)
    }

    /// The stores of one peer.
    pub fn stores(self: &Arc<Self>) -> SpillStores {
        let blobs = SpillBlobs { spill: Arc::clone(self), files: Mutex::default() };
        SpillStores { memory: MemoryStores::new(), blobs: Arc::new(blobs) }
    }

    fn put(&self, bytes: &[u8]) -> io::Result<Piece> {
        if bytes.len() < LARGE {
            return Ok(Piece::Memory(bytes.into()));
        }
        let place = {
            let mut room = lock(&self.room);
            match room.free.get_mut(&bytes.len()).and_then(Vec::pop) {
                Some(place) => place,
                None => {
                    let place = room.end;
                    room.end += bytes.len() as u64;
                    place
                }
            }
        };
        self.file.write_all_at(bytes, place)?;
        Ok(Piece::File { place, length: bytes.len() })
    }

    fn get(&self, piece: &Piece) -> io::Result<Vec<u8>> {
        self.read(piece, 0, piece.len())
    }

    /// Up to `most` bytes of a piece from `from` on.
    fn read(&self, piece: &Piece, from: usize, most: usize) -> io::Result<Vec<u8>> {
        let from = from.min(piece.len());
        let count = most.min(piece.len() - from);
        match piece {
            Piece::Memory(bytes) => Ok(bytes[from..from + count].to_vec()),
            Piece::File { place, .. } => {
                let mut bytes = vec![0; count];
                self.file.read_exact_at(&mut bytes, place + from as u64)?;
                Ok(bytes)
            }
        }
    }

    fn free(&self, pieces: Vec<Piece>) {
        let mut room = lock(&self.room);
        for piece in pieces {
            if let Piece::File { place, length } = piece {
                room.free.entry(length).or_default().push(place);
            }
        }
    }
}

enum Piece {
    Memory(Box<[u8]>),
    File { place: u64, length: usize },
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File { length, .. } => *length,
        }
    }
}

/// All stores of one peer.
#[derive(Clone)]
pub struct SpillStores {
    memory: MemoryStores,
    blobs: Arc<SpillBlobs>,
}

impl Stores for SpillStores {
    fn kv(&self) -> Arc<dyn Kv> {
        self.memory.kv()
    }

    fn log(&self, name: &str) -> Result<Box<dyn AppendLog>, StoreError> {
        self.memory.log(name)
    }

    fn remove_log(&self, name: &str) -> Result<(), StoreError> {
        self.memory.remove_log(name)
    }

    fn index_place(&self) -> IndexPlace {
        self.memory.index_place()
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        self.blobs.clone()
    }
}

struct SpillBlobs {
    spill: Arc<Spill>,
    files: Mutex<BTreeMap<String, Vec<Piece>>>,
}

impl Blobs for SpillBlobs {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let piece = self.spill.put(bytes).map_err(|error| self.spill.failed("write", error))?;
        let before = lock(&self.files).insert(name.to_owned(), vec![piece]);
        self.spill.free(before.unwrap_or_default());
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let files = lock(&self.files);
        let Some(pieces) = files.get(name) else { return Ok(None) };
        let mut all = Vec::with_capacity(pieces.iter().map(Piece::len).sum());
        for piece in pieces {
            all.extend(self.spill.get(piece).map_err(|error| self.spill.failed("read", error))?);
        }
        Ok(Some(all))
    }

    fn read(&self, name: &str, offset: u64, most: usize) -> Result<Vec<u8>, StoreError> {
        let files = lock(&self.files);
        let pieces = files.get(name).map_or(&[][..], Vec::as_slice);
        let mut from = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for piece in pieces {
            if found.len() == most {
                break;
            }
            let bytes = self.spill.read(piece, from, most - found.len());
            found.extend(bytes.map_err(|error| self.spill.failed("read", error))?);
            from = from.saturating_sub(piece.len());
        }
        Ok(found)
    }

    fn length(&self, name: &str) -> Result<u64, StoreError> {
        let files = lock(&self.files);
        let pieces = files.get(name).map_or(&[][..], Vec::as_slice);
        Ok(pieces.iter().map(|piece| piece.len() as u64).sum())
    }

    fn extend(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let length = self.length(name)?;
        if offset > length {
            let what = format!("it has {length} bytes, and more come behind {offset}");
            return Err(StoreError::Corrupt { path: name.into(), what });
        }
        if offset < length {
            let mut all = self.get(name)?.unwrap_or_default();
            all.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
            self.put(name, &all)?;
        }
        let piece = self.spill.put(bytes).map_err(|error| self.spill.failed("write", error))?;
        lock(&self.files).entry(name.to_owned()).or_default().push(piece);
        Ok(())
    }

    fn remove(&self, prefix: &str) -> Result<(), StoreError> {
        let mut files = lock(&self.files);
        let names: Vec<String> =
            files.range(prefix.to_owned()..).map(|(name, _)| name.clone()).collect();
        for name in names.iter().take_while(|name| name.starts_with(prefix)) {
            self.spill.free(files.remove(name).unwrap_or_default());
        }
        Ok(())
    }
}

fn failed(action: &'static str, source: io::Error) -> StoreError {
    StoreError::Io { action, path: PathBuf::from("a file for what does not fit in memory"), source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_a_store_in_memory_keeps() {
        let spill = Spill::new().expect("a file");
        let (large, memory) = (spill.stores().blobs(), MemoryStores::new().blobs());
        let bytes = |length: usize, first: u8| -> Vec<u8> {
            (0..length).map(|at| first.wrapping_add((at % 251) as u8)).collect()
        };
        for blobs in [&large, &memory] {
            blobs.put("a", &bytes(40_000, 1)).expect("room");
            blobs.put("b", &bytes(10, 2)).expect("room");
            blobs.extend("b", 4, &bytes(20_000, 3)).expect("room");
            blobs.extend("b", 20_004, &bytes(100, 4)).expect("room");
            blobs.put("a", &bytes(40_000, 5)).expect("room");
            blobs.put("ab", &bytes(40_000, 6)).expect("room");
            blobs.put("c", &bytes(40_000, 7)).expect("room");
            blobs.remove("ab").expect("it is there");
            assert!(blobs.extend("c", 40_001, &[1]).is_err());
        }
        for name in ["a", "ab", "b", "c"] {
            assert_eq!(large.get(name).expect("reads"), memory.get(name).expect("reads"), "{name}");
            assert_eq!(large.length(name).expect("reads"), memory.length(name).expect("reads"));
            let read = |blobs: &Arc<dyn Blobs>| blobs.read(name, 19_990, 30).expect("reads");
            assert_eq!(read(&large), read(&memory), "{name}");
        }
        // Places are used again.
        let before = lock(&spill.room).end;
        large.put("ab", &bytes(40_000, 8)).expect("room");
        assert_eq!(lock(&spill.room).end, before);
    }

    #[test]
    fn what_the_disk_refuses_is_remembered_whoever_it_befell() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("full");
        std::fs::write(&path, []).expect("writes");
        // Opened to be read only, it refuses every write.
        let file = File::open(&path).expect("opens");
        let spill = Arc::new(Spill { file, room: Mutex::default(), broken: Mutex::default() });
        let blobs = spill.stores().blobs();
        blobs.put("small", &[1; 10]).expect("stays in memory");
        assert!(spill.whole().is_ok());
        blobs.put("large", &[1; 2 * LARGE]).expect_err("is refused");
        let broken = spill.whole().expect_err("is remembered").to_string();
        assert!(broken.contains("cannot write"), "{broken}");
    }
}
