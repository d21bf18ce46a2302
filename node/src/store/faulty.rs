//! A simulated file that loses unsynced writes, tears them, runs out of room and fails to sync.

use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_core::Rng;

use super::append::{LogFile, header};

/// Small, so that even short records have several.
const SECTOR: usize = 16;

/// A log's file. Clones are the same file, so that a test keeps a hand on it.
#[derive(Clone)]
pub(super) struct FaultyFile(Arc<Mutex<Disk>>);

struct Disk {
    durable: Vec<u8>,
    pending: Vec<Change>,
    room: usize,
    sync_fails: bool,
}

enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl FaultyFile {
    /// An empty log on a healthy disk.
    pub(super) fn new() -> Self {
        Self::holding(header().to_vec())
    }

    fn holding(durable: Vec<u8>) -> Self {
        let disk = Disk { durable, pending: Vec::new(), room: usize::MAX, sync_fails: false };
        Self(Arc::new(Mutex::new(disk)))
    }

    /// From now on the file has at most `room` bytes.
    pub(super) fn limit(&self, room: usize) {
        self.disk().room = room;
    }

    /// The next sync fails.
    pub(super) fn fail_sync(&self) {
        self.disk().sync_fails = true;
    }

    /// What the disk holds after a power loss: of each unsynced write all, nothing, its beginning or
    /// some of its sectors; of each unsynced cut all or nothing; applied in either order.
    pub(super) fn after_power_loss(&self, rng: &mut impl Rng) -> Self {
        let mut disk = self.disk();
        let mut pending = std::mem::take(&mut disk.pending);
        let mut durable = disk.durable.clone();
        if rng.next_u32().is_multiple_of(2) {
            pending.reverse();
        }
        for change in pending {
            match (change, rng.next_u32() % 4) {
                (_, 0) => {}
                (Change::Write(offset, bytes), 1) => {
                    let kept = rng.next_u32() as usize % (bytes.len() + 1);
                    Change::Write(offset, bytes[..kept].to_vec()).apply(&mut durable);
                }
                (Change::Write(offset, bytes), 2) => {
                    let sectors = bytes.chunks(SECTOR).enumerate();
                    for (i, sector) in sectors.filter(|_| rng.next_u32().is_multiple_of(2)) {
                        Change::Write(offset + i * SECTOR, sector.to_vec()).apply(&mut durable);
                    }
                }
                (change, _) => change.apply(&mut durable),
            }
        }
        Self::holding(durable)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// What a running process reads.
    fn seen(&self) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        self.pending.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, new) => {
                let end = offset + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset..end].copy_from_slice(new);
            }
            Self::Cut(length) => bytes.truncate(*length),
        }
    }
}

impl LogFile for FaultyFile {
    fn length(&self) -> Result<u64> {
        Ok(self.disk().seen().len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let (seen, start) = (self.disk().seen(), place(offset));
        let found = seen.get(start..start + bytes.len()).ok_or(ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut disk = self.disk();
        let fits = disk.room.saturating_sub(place(offset)).min(bytes.len());
        disk.pending.push(Change::Write(place(offset), bytes[..fits].to_vec()));
        if fits < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> Result<()> {
        self.disk().pending.push(Change::Cut(place(length)));
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let mut disk = self.disk();
        if std::mem::take(&mut disk.sync_fails) {
            // As Linux does: what was dirty is forgotten, and the next sync succeeds.
            disk.pending.clear();
            return Err(Error::other("a failed sync"));
        }
        disk.durable = disk.seen();
        disk.pending.clear();
        Ok(())
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("simulated files are small")
}
