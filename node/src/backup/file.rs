//! The backup file: a header and framed items. Frames as in the append-only logs.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use covey_protocol::ids::{NodeId, UnixMillis};
use covey_protocol::wire;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::BackupError;
use crate::durable::{PartFile, io};
use crate::store::frame::{self, Decoded, HEAD, TAIL};
use crate::store::{MAX_RECORD, StoreError, Table};

const MAGIC: &[u8; 8] = b"COVEYBAK";
const VERSION: u32 = 1;
const HEADER: u64 = 16;

/// One item. Some are followed by frames of plain bytes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Item {
    /// First: whose backup, and when it was made.
    Start { node: NodeId, made: UnixMillis },
    /// The node's secret key follows.
    Identity,
    /// The configuration file follows.
    Config,
    /// A key; its value follows in `parts` frames.
    Pair { table: Table, key: Vec<u8>, parts: u64 },
    /// A log's name; its records follow, one frame each.
    Log { name: String, records: u64 },
    /// Last: how many frames there are before this one.
    End { frames: u64 },
}

/// Writes a backup under a temporary name.
pub(super) struct Writer {
    file: PartFile,
    offset: u64,
    frames: u64,
}

impl Writer {
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let mut file = PartFile::create(path)?;
        file.write(MAGIC)?;
        file.write(&VERSION.to_le_bytes())?;
        file.write(&[0; 4])?;
        Ok(Self { file, offset: HEADER, frames: 0 })
    }

    pub(super) fn item(&mut self, item: &Item) -> Result<(), StoreError> {
        self.bytes(&wire::encode(item))
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > MAX_RECORD {
            return Err(StoreError::RecordTooLarge(bytes.len()));
        }
        let frame = Zeroizing::new(frame::encode(self.offset, bytes));
        self.file.write(&frame)?;
        self.offset += frame.len() as u64;
        self.frames += 1;
        Ok(())
    }

    /// Ends the file, syncs it and gives it its name. Returns its size.
    pub(super) fn finish(mut self) -> Result<u64, StoreError> {
        self.item(&Item::End { frames: self.frames })?;
        self.file.publish_new()?;
        Ok(self.offset)
    }
}

/// Reads a backup frame by frame.
pub(super) struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    offset: u64,
    frames: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(io("open", path))?;
        let mut reader =
            Self { file: BufReader::new(file), path: path.to_owned(), offset: HEADER, frames: 0 };
        let mut header = [0; HEADER as usize];
        reader.fill(&mut header)?;
        // B1
        let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if header[..8] != MAGIC[..] || header[12..] != [0; 4] {
            return Err(reader.damaged("it is no backup of Covey's"));
        }
        if version != VERSION {
            let path = path.to_owned();
            return Err(StoreError::Version { path, found: version, expected: VERSION }.into());
        }
        Ok(reader)
    }

    /// The next item. After [`Item::End`], the file has ended.
    pub(super) fn item(&mut self) -> Result<Item, BackupError> {
        let before = self.frames;
        let bytes = self.bytes()?;
        let item =
            wire::decode(&bytes, MAX_RECORD).map_err(|_| self.damaged("an item is unknown"))?;
        // B5
        if let Item::End { frames } = item {
            let ends = self.file.read(&mut [0]).map_err(io("read", &self.path))? == 0;
            if frames != before || !ends {
                return Err(self.damaged("its end is not where it should be"));
            }
        }
        Ok(item)
    }

    /// The next frame's bytes (check B2).
    pub(super) fn bytes(&mut self) -> Result<Zeroizing<Vec<u8>>, BackupError> {
        let mut head = [0; HEAD];
        self.fill(&mut head)?;
        let Some(length) = frame::payload_length(self.offset, head) else {
            return Err(self.damaged("it was changed"));
        };
        let mut frame = Zeroizing::new(vec![0; HEAD + length + TAIL]);
        frame[..HEAD].copy_from_slice(&head);
        self.fill(&mut frame[HEAD..])?;
        let payload = match frame::decode(self.offset, &frame) {
            Decoded::Record(payload, _) => Zeroizing::new(payload.to_vec()),
            Decoded::Short | Decoded::Bad => return Err(self.damaged("it was changed")),
        };
        self.offset += frame.len() as u64;
        self.frames += 1;
        Ok(payload)
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn damaged(&self, what: &str) -> BackupError {
        let what = format!("{what} (near byte {})", self.offset);
        BackupError::Damaged { path: self.path.clone(), what }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        match self.file.read_exact(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("it is cut short"))
            }
            Err(error) => Err(io("read", &self.path)(error).into()),
        }
    }
}
