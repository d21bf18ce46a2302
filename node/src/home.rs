//! Where one node lives on disk, and the lock that keeps a second process out (docs/spec/home.md).

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::durable::{self, io};
use crate::store::StoreError;

/// Longest path of a unix socket, in bytes: `sun_path` without its closing zero.
pub const MAX_SOCKET_PATH: usize = 107;

/// A home that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither HOME nor the XDG variables say where to live.
    #[error(
        "cannot tell where to keep {what}: neither {variable} nor HOME holds an absolute path; set HOME, or pass --home DIR"
    )]
    Nowhere {
        /// What would be kept there.
        what: &'static str,
        /// The XDG variable looked at.
        variable: &'static str,
    },
    /// Another process uses this home.
    #[error("another covey process{} is using {home}; stop it first (covey stop), or pass another --home", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Busy {
        /// The folder that holds the lock.
        home: PathBuf,
        /// Who holds it, where known.
        pid: Option<u32>,
    },
    /// No socket can have this path.
    #[error(
        "the socket's path {path} has {length} bytes, and a unix socket's has at most {MAX_SOCKET_PATH}; pass a shorter --home, or set XDG_RUNTIME_DIR"
    )]
    SocketPath {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// The disk said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The folders of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    config: PathBuf,
    state: PathBuf,
    data: PathBuf,
    runtime: PathBuf,
    cache: PathBuf,
}

impl Home {
    /// Everything below `explicit`, or where the XDG base directory specification says.
    ///
    /// # Errors
    /// [`HomeError::Nowhere`] if the environment names no place.
    pub fn resolve(explicit: Option<&Path>) -> Result<Self, HomeError> {
        match explicit {
            Some(dir) => Self::below(dir),
            None => Self::from_variables(&|name| std::env::var_os(name)),
        }
    }

    /// Everything below `dir`: config, state, data, run and cache.
    ///
    /// # Errors
    /// If `dir` is relative and the current folder is gone.
    pub fn below(dir: &Path) -> Result<Self, HomeError> {
        let dir = std::path::absolute(dir).map_err(io("find", dir))?;
        Ok(Self {
            config: dir.join("config"),
            state: dir.join("state"),
            data: dir.join("data"),
            runtime: dir.join("run"),
            cache: dir.join("cache"),
        })
    }

    /// As `variable` gives the environment. A relative or empty value counts as unset, as XDG says.
    fn from_variables(
        variable: &dyn Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, HomeError> {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let place = |what, name, default: &str| {
            absolute(name)
                .or_else(|| home.as_ref().map(|home| home.join(default)))
                .map(|base| base.join("covey"))
                .ok_or(HomeError::Nowhere { what, variable: name })
        };
        let state = place("keys and state", "XDG_STATE_HOME", ".local/state")?;
        let runtime = absolute("XDG_RUNTIME_DIR").map(|base| base.join("covey"));
        Ok(Self {
            config: place("the configuration", "XDG_CONFIG_HOME", ".config")?,
            data: place("indexes", "XDG_DATA_HOME", ".local/share")?,
            cache: place("caches", "XDG_CACHE_HOME", ".cache")?,
            runtime: runtime.unwrap_or_else(|| state.join("run")),
            state,
        })
    }

    /// Makes the folders, for this user alone.
    ///
    /// # Errors
    /// If one cannot be made or belongs to somebody else.
    pub fn create(&self) -> Result<(), HomeError> {
        for dir in self.dirs() {
            durable::create_dir(dir)?;
        }
        Ok(())
    }

    /// All its folders.
    pub fn dirs(&self) -> [&Path; 5] {
        [&self.config, &self.state, &self.data, &self.runtime, &self.cache]
    }

    /// Takes the home for this process, until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// [`HomeError::Busy`] if another process has it.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let path = self.state.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(durable::FILE_MODE)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(io("open", &path))?;
        if !durable::try_lock(&file).map_err(io("lock", &path))? {
            return Err(HomeError::Busy { home: self.state.clone(), pid: read_pid(&file) });
        }
        file.set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(io("write", &path))?;
        Ok(HomeLock { _file: file })
    }

    /// Whether a node lives here: its identity is there.
    pub fn is_initialised(&self) -> bool {
        self.identity_path().symlink_metadata().is_ok()
    }

    /// Holds `config.toml`.
    pub fn config_dir(&self) -> &Path {
        &self.config
    }

    /// Holds keys, state and logs.
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Holds indexes and models.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Holds the socket.
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime
    }

    /// Holds what can be fetched again.
    pub fn cache_dir(&self) -> &Path {
        &self.cache
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// Identity, database and append-only logs: all that a backup holds, and moved as one.
    pub fn node_dir(&self) -> PathBuf {
        self.state.join("node")
    }

    /// The node's secret key.
    pub fn identity_path(&self) -> PathBuf {
        self.node_dir().join("identity")
    }

    /// Collections' indexes.
    pub fn index_dir(&self) -> PathBuf {
        self.data.join("indexes")
    }

    /// Models that were pulled or made.
    pub fn models_dir(&self) -> PathBuf {
        self.data.join("models")
    }

    /// What the latest search found, for `covey open`.
    pub fn latest_path(&self) -> PathBuf {
        self.state.join("latest-search")
    }

    /// The daemon's log.
    pub fn log_path(&self) -> PathBuf {
        self.state.join("covey.log")
    }

    /// The daemon's socket.
    ///
    /// # Errors
    /// [`HomeError::SocketPath`] if the path is too long for a socket.
    pub fn socket_path(&self) -> Result<PathBuf, HomeError> {
        let path = self.runtime.join("covey.sock");
        match path.as_os_str().as_bytes().len() {
            length if length > MAX_SOCKET_PATH => Err(HomeError::SocketPath { path, length }),
            _ => Ok(path),
        }
    }
}

/// Holds a home for this process.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

fn read_pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)]) -> Result<Home, HomeError> {
        Home::from_variables(&|wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn xdg_variables_win_over_home_and_nonsense_counts_as_unset() {
        let plain = resolve(&[("HOME", "/h")]).expect("resolves");
        assert_eq!(plain.config_path(), Path::new("/h/.config/covey/config.toml"));
        assert_eq!(plain.identity_path(), Path::new("/h/.local/state/covey/node/identity"));
        assert_eq!(plain.index_dir(), Path::new("/h/.local/share/covey/indexes"));
        assert_eq!(plain.cache_dir(), Path::new("/h/.cache/covey"));
        assert_eq!(plain.runtime_dir(), Path::new("/h/.local/state/covey/run"));

        let nonsense = [("HOME", "/h"), ("XDG_CONFIG_HOME", "relative"), ("XDG_RUNTIME_DIR", "")];
        assert_eq!(resolve(&nonsense).expect("resolves"), plain);

        let set = [
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_DATA_HOME", "/d"),
            ("XDG_CACHE_HOME", "/k"),
            ("XDG_RUNTIME_DIR", "/r"),
        ];
        let all = resolve(&set).expect("needs no HOME");
        assert_eq!(all.runtime_dir(), Path::new("/r/covey"));
        assert_eq!(all.models_dir(), Path::new("/d/covey/models"));
        assert!(matches!(resolve(&set[1..]), Err(HomeError::Nowhere { .. })));
        assert!(matches!(resolve(&[("HOME", "h")]), Err(HomeError::Nowhere { .. })));
    }

    #[test]
    fn an_explicit_home_holds_everything() {
        let home = Home::resolve(Some(Path::new("some/where"))).expect("resolves");
        let base = std::env::current_dir().expect("is there").join("some/where");
        let dirs = [
            home.config_dir(),
            home.state_dir(),
            home.data_dir(),
            home.runtime_dir(),
            home.cache_dir(),
        ];
        assert_eq!(dirs, ["config", "state", "data", "run", "cache"].map(|name| base.join(name)));
    }

    #[test]
    fn a_second_lock_is_refused_and_names_the_holder() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home::below(dir.path()).expect("resolves");
        home.create().expect("creates");
        assert!(!home.is_initialised());
        let lock = home.lock().expect("locks");
        let second = home.lock().expect_err("is locked");
        let HomeError::Busy { pid, .. } = &second else { panic!("{second}") };
        assert_eq!(*pid, Some(std::process::id()));
        assert!(second.to_string().contains("covey stop"));
        drop(lock);
        drop(home.lock().expect("is free again"));
    }

    #[test]
    fn a_socket_path_that_no_socket_can_have_is_an_error() {
        let check = |length: usize| {
            let dir = format!("/{}", "d".repeat(length - "//run/covey.sock".len()));
            let path = Home::below(Path::new(&dir)).expect("resolves").socket_path();
            path.map(|path| assert_eq!(path.as_os_str().len(), length))
        };
        check(MAX_SOCKET_PATH).expect("fits");
        let error = check(MAX_SOCKET_PATH + 1).expect_err("is too long");
        assert!(matches!(error, HomeError::SocketPath { length: 108, .. }));
    }
}
