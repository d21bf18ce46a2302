//! The node's secret key on disk: written once, synced, read by its owner alone (docs/spec/home.md).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use covey_crypto::{Digest, SecretKey};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::durable::{self, io};
use crate::store::StoreError;

const MAGIC: &[u8; 8] = b"COVEYKEY";
const VERSION: u32 = 1;
const CHECK: &str = "covey identity file 1";
const SEED: std::ops::Range<usize> = 12..44;
const LENGTH: usize = SEED.end + 32;

/// An identity that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is none.
    #[error("there is no identity at {path}; run: covey init")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Others may read or change it.
    #[error(
        "{path} holds this node's secret key, and its mode {mode:03o} lets other users at it; if nobody else has used it, run: chmod 600 '{path}'"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The disk said no, or the file is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes `key` to `path`, which must not exist yet. When this returns, it is durable.
///
/// # Errors
/// If something is there already, or the disk says no.
pub fn create(path: &Path, key: &SecretKey) -> Result<(), IdentityError> {
    if let Some(dir) = path.parent() {
        durable::create_dir(dir)?;
    }
    Ok(durable::write_new(path, &encode(key)[..])?)
}

/// Reads the key at `path`.
///
/// # Errors
/// If it is missing, damaged, of another version, or not this user's alone.
pub fn load(path: &Path) -> Result<SecretKey, IdentityError> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(io("look at", path))?;
    // H1
    if !metadata.is_file() {
        return Err(corrupt(path, "it is no regular file").into());
    }
    if !durable::is_ours(metadata.uid()) {
        return Err(StoreError::NotOurs { path: path.to_owned() }.into());
    }
    // H2
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(IdentityError::TooOpen { path: path.to_owned(), mode });
    }
    let bytes = Zeroizing::new(durable::read_open(&file, path, LENGTH as u64)?);
    Ok(decode(path, &bytes)?)
}

fn open(path: &Path) -> Result<File, IdentityError> {
    // NONBLOCK: a pipe in its place must not make us wait for a writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(IdentityError::Missing { path: path.to_owned() })
        }
        Err(error) => Err(io("open", path)(error).into()),
    }
}

fn encode(key: &SecretKey) -> Zeroizing<[u8; LENGTH]> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[SEED].copy_from_slice(&key.seed()[..]);
    let check = Digest::of(CHECK, &[&bytes[..SEED.end]]);
    bytes[SEED.end..].copy_from_slice(check.as_bytes());
    bytes
}

/// Checks H3 and H4.
fn decode(path: &Path, bytes: &[u8]) -> Result<SecretKey, StoreError> {
    let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(corrupt(path, "it is too short"));
    };
    if magic != MAGIC {
        return Err(corrupt(path, "it is no identity file"));
    }
    match rest.first_chunk::<4>().map(|version| u32::from_le_bytes(*version)) {
        Some(VERSION) => {}
        Some(found) => {
            return Err(StoreError::Version { path: path.to_owned(), found, expected: VERSION });
        }
        None => return Err(corrupt(path, "it is too short")),
    }
    if bytes.len() != LENGTH {
        return Err(corrupt(path, "it has the wrong length"));
    }
    let check = Digest::of(CHECK, &[&bytes[..SEED.end]]);
    if bytes[SEED.end..] != check.as_bytes()[..] {
        return Err(corrupt(path, "its checksum is wrong; restore it from a backup"));
    }
    let mut seed = Zeroizing::new([0; 32]);
    seed.copy_from_slice(&bytes[SEED]);
    Ok(SecretKey::from_seed(&seed))
}

fn corrupt(path: &Path, what: &str) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written() -> (tempfile::TempDir, PathBuf, SecretKey) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("node/identity");
        let key = SecretKey::from_seed(&[7; 32]);
        create(&path, &key).expect("creates");
        (dir, path, key)
    }

    #[test]
    fn a_key_comes_back_and_is_never_overwritten() {
        let (_dir, path, key) = written();
        assert_eq!(load(&path).expect("loads").public(), key.public());
        let again = create(&path, &SecretKey::from_seed(&[8; 32]));
        assert!(matches!(again, Err(IdentityError::Store(StoreError::Exists { .. }))));
        assert_eq!(load(&path).expect("loads").public(), key.public());
    }

    #[test]
    fn the_bytes_are_pinned() {
        let bytes = encode(&SecretKey::from_seed(&[7; 32]));
        assert_eq!(bytes.len(), 76);
        assert_eq!(bytes[..12], *b"COVEYKEY\x01\0\0\0");
        assert_eq!(
            Digest::sha256(&bytes[..]).to_string(),
            "32897b140b0b490b4a1e5012cae76d8fb88983f02d7fd12f5d58816f0c6ca8e6"
        );
    }

    #[test]
    fn others_may_neither_read_nor_write_it() {
        let (_dir, path, _key) = written();
        for mode in [0o640, 0o604, 0o620, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
            let error = load(&path).expect_err("is too open");
            assert!(matches!(error, IdentityError::TooOpen { mode: found, .. } if found == mode));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).expect("sets");
        load(&path).expect("read-only is fine");
    }

    #[test]
    fn any_flipped_bit_and_any_other_length_is_refused() {
        let (_dir, path, key) = written();
        let good = encode(&key);
        for position in 0..LENGTH {
            let mut bent = good.to_vec();
            bent[position] ^= 1;
            let error = decode(&path, &bent).expect_err("is damaged");
            let is_version = matches!(error, StoreError::Version { .. });
            assert_eq!(is_version, (8..12).contains(&position), "{position}: {error}");
            assert!(decode(&path, &good[..position]).is_err(), "cut to {position}");
        }
        assert!(decode(&path, &[&good[..], &[0]].concat()).is_err());
    }

    #[test]
    fn missing_links_and_pipes_are_refused_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let error = load(&dir.path().join("none")).expect_err("is missing");
        assert!(error.to_string().contains("covey init"), "{error}");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).expect("links");
        assert!(load(&link).is_err());
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs");
        assert!(made.success());
        let error = load(&pipe).expect_err("is a pipe");
        assert!(matches!(error, IdentityError::Store(StoreError::Corrupt { .. })), "{error}");
    }
}
