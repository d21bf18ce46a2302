//! Making a backup.

use std::path::Path;

use covey_protocol::ids::{NodeId, UnixMillis};

use super::file::{Item, Writer};
use super::{BackupError, Summary};
use crate::config::MAX_CONFIG;
use crate::durable;
use crate::home::{Home, HomeLock};
use crate::identity;
use crate::store::{DiskStores, MAX_RECORD, StoreError, Stores, Table};

/// Writes the node in `home` to `path`, which must not exist yet. The lock shows that nobody changes
/// it meanwhile.
///
/// # Errors
/// If there is no node, something at `path`, or the disk says no; then `path` is not there.
pub fn save(
    home: &Home,
    _lock: &HomeLock,
    path: &Path,
    now: UnixMillis,
) -> Result<Summary, BackupError> {
    let key = identity::load(&home.identity_path())?;
    let node = NodeId::new(key.public());
    let stores = DiskStores::open(home)?;
    let mut file = Writer::create(path)?;
    file.item(&Item::Start { node, made: now })?;
    file.item(&Item::Identity)?;
    file.bytes(&key.seed()[..])?;
    if home.config_path().exists() {
        file.item(&Item::Config)?;
        file.bytes(&durable::read_bounded(&home.config_path(), MAX_CONFIG)?)?;
    }
    pairs(&stores, &mut file)?;
    let logs = logs(&stores, &mut file)?;
    Ok(Summary { bytes: file.finish()?, node, made: now, logs })
}

fn pairs(stores: &DiskStores, file: &mut Writer) -> Result<(), StoreError> {
    for table in Table::BACKED_UP {
        for (key, value) in stores.kv().scan(table, b"")? {
            let parts = value.chunks(MAX_RECORD);
            file.item(&Item::Pair { table, key, parts: parts.len() as u64 })?;
            for part in parts {
                file.bytes(part)?;
            }
        }
    }
    Ok(())
}

fn logs(stores: &DiskStores, file: &mut Writer) -> Result<u64, StoreError> {
    let names = stores.log_names()?;
    let count = names.len() as u64;
    for name in names {
        let log = stores.log(&name)?;
        let mut records = 0;
        log.visit(&mut |_| records += 1)?;
        file.item(&Item::Log { name, records })?;
        let mut written = Ok(());
        log.visit(&mut |record| {
            if written.is_ok() {
                written = file.bytes(record);
            }
        })?;
        written?;
    }
    Ok(count)
}
