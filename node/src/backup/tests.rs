use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use covey_crypto::{Digest, SecretKey};
use covey_protocol::ids::{NodeId, UnixMillis};

use super::*;
use crate::config::Config;
use crate::home::Home;
use crate::identity;
use crate::store::{DiskStores, MAX_RECORD, Pair, RESTORED_KEY, StoreError, Stores, Table, Write};

const MADE: UnixMillis = UnixMillis(1_800_000_000_000);

fn home(dir: &tempfile::TempDir, name: &str) -> Home {
    let home = Home::below(&dir.path().join(name)).expect("resolves");
    home.create().expect("creates");
    home
}

/// A node with something of everything, and its backup.
fn saved() -> (tempfile::TempDir, Home, PathBuf, Summary) {
    let dir = tempfile::tempdir().expect("a folder");
    let home = home(&dir, "old");
    identity::create(&home.identity_path(), &SecretKey::from_seed(&[5; 32])).expect("creates");
    let config = Config::new("ada".parse().expect("a name"), 20_000);
    config.save(&home.config_path()).expect("saves");
    let stores = DiskStores::open(&home).expect("opens");
    let put = |table, key: &[u8], value: Vec<u8>| Write::Put(table, key.to_vec(), value);
    stores
        .kv()
        .write(vec![
            put(Table::Groups, b"lab", b"settings".to_vec()),
            put(Table::Collections, b"notes", vec![3; 2 * MAX_RECORD + 7]),
            put(Table::Shares, b"empty", Vec::new()),
            put(Table::Opened, b"asked", b"stays here".to_vec()),
        ])
        .expect("writes");
    for (name, records) in [("audit", 3_u8), ("group-0f", 1), ("unused", 0)] {
        let mut log = stores.log(name).expect("opens");
        (0..records).for_each(|i| log.append(&[i; 9]).expect("appends"));
    }
    stores.log("large").expect("opens").append(&vec![1; MAX_RECORD]).expect("appends");
    drop(stores);
    let path = dir.path().join("covey.backup");
    let lock = home.lock().expect("locks");
    let summary = save(&home, &lock, &path, MADE).expect("saves");
    (dir, home, path, summary)
}

/// All pairs, and all logs with their names.
type Contents = (Vec<(Table, Pair)>, Vec<(String, Vec<Vec<u8>>)>);

/// Everything in the stores but the mark of a restore.
fn contents(home: &Home) -> Contents {
    let stores = DiskStores::open(home).expect("opens");
    let mut pairs = Vec::new();
    for table in Table::BACKED_UP {
        for (key, value) in stores.kv().scan(table, b"").expect("scans") {
            if key != RESTORED_KEY {
                pairs.push((table, (key, value)));
            }
        }
    }
    let names = stores.log_names().expect("lists");
    let logs = names.into_iter().map(|name| {
        let records = stores.log(&name).expect("opens").read().expect("reads");
        (name, records)
    });
    (pairs, logs.collect())
}

#[test]
fn a_restored_node_is_the_same_node_and_marked() {
    let (dir, old, path, summary) = saved();
    assert_eq!(std::fs::metadata(&path).expect("is there").mode() & 0o777, 0o600);
    assert_eq!(summary.bytes, std::fs::metadata(&path).expect("is there").len());
    assert_eq!((summary.logs, summary.made), (4, MADE));

    let new = home(&dir, "new");
    let lock = new.lock().expect("locks");
    assert_eq!(restore(&new, &lock, &path).expect("restores"), summary);
    let key = identity::load(&new.identity_path()).expect("loads");
    assert_eq!(NodeId::new(key.public()), summary.node);
    assert_eq!(Config::load(&new.config_path()).ok(), Config::load(&old.config_path()).ok());
    assert_eq!(contents(&new), contents(&old));
    let stores = DiskStores::open(&new).expect("opens");
    let mark = stores.kv().get(Table::Meta, RESTORED_KEY).expect("reads");
    assert_eq!(mark, Some(MADE.0.to_le_bytes().to_vec()));
    assert!(stores.kv().scan(Table::Opened, b"").expect("scans").is_empty(), "it stayed there");
    assert!(!new.state_dir().join("node.part").exists());
}

#[test]
fn the_bytes_are_pinned() {
    let (_dir, _, path, summary) = saved();
    let bytes = std::fs::read(path).expect("reads");
    assert_eq!(bytes.len() as u64, summary.bytes);
    assert_eq!(
        Digest::sha256(&bytes).to_string(),
        "26bea1c4ad9f086384f57db3cf1f67177b14c15efb5b4d7b9163f03563673d6b"
    );
}

#[test]
fn nothing_is_overwritten() {
    let (dir, old, path, _) = saved();
    let before = std::fs::read(&path).expect("reads");
    let lock = old.lock().expect("locks");
    let error = save(&old, &lock, &path, MADE).expect_err("is there");
    assert!(matches!(error, BackupError::Store(StoreError::Exists { .. })), "{error}");
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    let error = restore(&old, &lock, &path).expect_err("is there");
    assert!(matches!(error, BackupError::Occupied { .. }), "{error}");

    let new = home(&dir, "new");
    let lock = new.lock().expect("locks");
    std::fs::write(new.config_path(), "name = 'other'").expect("writes");
    let error = restore(&new, &lock, &path).expect_err("has a configuration");
    assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
    assert!(!new.is_initialised());
    std::fs::copy(old.config_path(), new.config_path()).expect("copies");
    restore(&new, &lock, &path).expect("the same configuration is fine");
}

#[test]
fn a_restore_that_was_interrupted_is_tried_again() {
    let (dir, old, path, _) = saved();
    let new = home(&dir, "new");
    let lock = new.lock().expect("locks");
    let part = new.state_dir().join("node.part");
    drop(DiskStores::open_in(&part, &new.index_dir()).expect("as a restore starts"));
    identity::create(&part.join("identity"), &SecretKey::from_seed(&[6; 32])).expect("creates");
    restore(&new, &lock, &path).expect("restores");
    assert_eq!(contents(&new), contents(&old));
}

#[test]
fn a_damaged_or_cut_backup_changes_nothing() {
    let (dir, _, path, _) = saved();
    let good = std::fs::read(&path).expect("reads");
    let new = home(&dir, "new");
    let lock = new.lock().expect("locks");
    let check = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("writes");
        restore(&new, &lock, &path).expect_err("is damaged");
        assert!(!new.node_dir().exists() && !new.config_path().exists());
    };
    // Many places in the first items, and some in the rest.
    for position in (0..400).step_by(7).chain((400..good.len()).step_by(299_993)) {
        let mut bent = good.clone();
        bent[position] ^= 1;
        check(&bent);
        check(&good[..position]);
    }
    check(&[&good[..], &[0]].concat());
}

#[test]
fn a_home_without_a_node_has_nothing_to_save() {
    let dir = tempfile::tempdir().expect("a folder");
    let empty = home(&dir, "empty");
    let lock = empty.lock().expect("locks");
    let path = dir.path().join("covey.backup");
    let error = save(&empty, &lock, &path, MADE).expect_err("is empty");
    assert!(matches!(error, BackupError::Identity(identity::IdentityError::Missing { .. })));
    assert!(!path.exists());
}
