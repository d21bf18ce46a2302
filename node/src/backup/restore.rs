//! Bringing a node back: read the whole backup first, build the node beside its place, then put it
//! there in one rename.

use std::path::{Path, PathBuf};

use covey_crypto::SecretKey;
use covey_protocol::ids::{NodeId, UnixMillis};
use zeroize::Zeroizing;

use super::file::{Item, Reader};
use super::{BackupError, Summary};
use crate::durable::{self, io};
use crate::home::{Home, HomeLock};
use crate::identity;
use crate::store::{DiskStores, RESTORED_KEY, StoreError, Stores, Table, Write};

/// Values are written to the database when so many bytes have come together.
const BATCH: usize = 1024 * 1024;

/// Brings the node in the backup at `path` back into `home`, which holds none. After a crash or an error
/// it still holds none, and the restore can be tried again.
///
/// The restored state may be older than what others have seen of this node, so it carries
/// [`RESTORED_KEY`]: a group's owner syncs with another member before it sequences again.
///
/// # Errors
/// If there is a node or a different configuration, if the backup is damaged, or the disk says no.
pub fn restore(home: &Home, _lock: &HomeLock, path: &Path) -> Result<Summary, BackupError> {
    // B6
    let target = home.node_dir();
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Occupied { path: target });
    }
    // Once without writing anything, so that a damaged backup changes nothing.
    let (checked, config) = read(path, &mut Check)?;
    let config = config.map(|text| (home.config_path(), text));
    if let Some((place, text)) = &config {
        refuse_other_config(place, text)?;
    }

    let part = Part(home.state_dir().join("node.part"));
    part.clear()?;
    let mut build = Build::start(&part.0, home)?;
    let (summary, _) = read(path, &mut build)?;
    build.finish(&part.0, checked.made)?;
    // It must open as any node does, migrated if it is older.
    drop(DiskStores::open_in(&part.0, &home.index_dir())?);
    identity::load(&part.0.join("identity"))?;
    durable::sync_tree(&part.0)?;

    if let Some((place, text)) = config.filter(|(place, _)| !place.exists()) {
        durable::write_new(&place, &text)?;
    }
    durable::rename_new(&part.0, &target)?;
    Ok(summary)
}

fn refuse_other_config(place: &Path, text: &[u8]) -> Result<(), BackupError> {
    match std::fs::read(place) {
        Ok(found) if found == text => Ok(()),
        Ok(_) => Err(BackupError::Occupied { path: place.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("read", place)(error).into()),
    }
}

/// What is done with the parts of a backup.
trait Visitor {
    fn identity(&mut self, key: SecretKey) -> Result<(), BackupError>;
    fn pair(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) -> Result<(), BackupError>;
    fn log(&mut self, name: &str, records: Records<'_>) -> Result<(), BackupError>;
}

/// The records of one log, still to be read.
struct Records<'a> {
    file: &'a mut Reader,
    left: u64,
}

impl Records<'_> {
    fn next(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, BackupError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.file.bytes().map(Some)
    }
}

/// Reads the backup from its start to its end (check B3). Returns what it holds, and the configuration's text.
fn read(path: &Path, visitor: &mut dyn Visitor) -> Result<(Summary, Option<Vec<u8>>), BackupError> {
    let mut file = Reader::open(path)?;
    let Item::Start { node, made } = file.item()? else {
        return Err(file.damaged("it does not start as a backup does"));
    };
    let mut config = None;
    let mut has_identity = false;
    let mut logs = 0;
    loop {
        match file.item()? {
            Item::Identity if !has_identity => {
                has_identity = true;
                let key = key_of(&file.bytes()?, node);
                visitor.identity(key.ok_or_else(|| file.damaged("its key is another node's"))?)?;
            }
            Item::Config if config.is_none() => config = Some(file.bytes()?.to_vec()),
            Item::Pair { table, key, parts } => {
                let mut value = Vec::new();
                for _ in 0..parts {
                    value.extend_from_slice(&file.bytes()?);
                }
                visitor.pair(table, key, value)?;
            }
            Item::Log { name, records } => {
                logs += 1;
                visitor.log(&name, Records { file: &mut file, left: records })?;
            }
            Item::End { .. } if has_identity => break,
            Item::Start { .. } | Item::Identity | Item::Config | Item::End { .. } => {
                return Err(file.damaged("an item is where none may be"));
            }
        }
    }
    Ok((Summary { bytes: file.offset(), node, made, logs }, config))
}

/// Check B4.
fn key_of(seed: &[u8], node: NodeId) -> Option<SecretKey> {
    let mut fixed = Zeroizing::new([0; 32]);
    fixed.copy_from_slice(seed.get(..32).filter(|_| seed.len() == 32)?);
    Some(SecretKey::from_seed(&fixed)).filter(|key| NodeId::new(key.public()) == node)
}

/// Reads everything and keeps nothing.
struct Check;

impl Visitor for Check {
    fn identity(&mut self, _key: SecretKey) -> Result<(), BackupError> {
        Ok(())
    }

    fn pair(&mut self, _table: Table, _key: Vec<u8>, _value: Vec<u8>) -> Result<(), BackupError> {
        Ok(())
    }

    fn log(&mut self, _name: &str, mut records: Records<'_>) -> Result<(), BackupError> {
        while records.next()?.is_some() {}
        Ok(())
    }
}

/// Builds a node in a folder of its own.
struct Build {
    stores: DiskStores,
    identity: PathBuf,
    batch: Vec<Write>,
    batched: usize,
}

impl Build {
    fn start(part: &Path, home: &Home) -> Result<Self, StoreError> {
        let stores = DiskStores::open_in(part, &home.index_dir())?;
        Ok(Self { stores, identity: part.join("identity"), batch: Vec::new(), batched: 0 })
    }

    fn finish(mut self, part: &Path, made: UnixMillis) -> Result<(), StoreError> {
        let value = made.0.to_le_bytes().to_vec();
        self.batch.push(Write::Put(Table::Meta, RESTORED_KEY.to_vec(), value));
        self.write()?;
        drop(self.stores);
        durable::sync_tree(part)
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.batched = 0;
        self.stores.kv().write(std::mem::take(&mut self.batch))
    }
}

impl Visitor for Build {
    fn identity(&mut self, key: SecretKey) -> Result<(), BackupError> {
        Ok(identity::create(&self.identity, &key)?)
    }

    fn pair(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) -> Result<(), BackupError> {
        self.batched += key.len() + value.len();
        self.batch.push(Write::Put(table, key, value));
        if self.batched > BATCH { Ok(self.write()?) } else { Ok(()) }
    }

    fn log(&mut self, name: &str, mut records: Records<'_>) -> Result<(), BackupError> {
        let mut log = self.stores.file_log(name)?;
        while let Some(record) = records.next()? {
            log.add(&record)?;
        }
        Ok(log.sync()?)
    }
}

/// The folder a node is built in; removed unless it was renamed to its place.
struct Part(PathBuf);

impl Part {
    fn clear(&self) -> Result<(), StoreError> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io("remove", &self.0)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // The next restore clears it if this fails.
        let _ = self.clear();
    }
}
