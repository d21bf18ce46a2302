//! The systemd user unit that keeps a node's daemon running.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::api::{ApiError, ErrorCode};
use crate::durable;
use crate::store::StoreError;

/// The unit's file name.
pub const UNIT: &str = "covey.service";
/// Variables that decide where a home is; the user manager may not have them.
const VARIABLES: [&str; 4] =
    ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"];
/// First line of every unit Covey writes; a file without it is somebody else's.
const MARK: &str = "# Written by `covey service install`; `covey service uninstall` removes it.";

/// A unit that was not written or not removed.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// A path that cannot stand in a unit file.
    #[error(
        "{0:?} cannot stand in a unit file: it is relative, no UTF-8, or holds control characters"
    )]
    Path(PathBuf),
    /// There is no place for user units.
    #[error("cannot tell where user units belong: neither XDG_CONFIG_HOME nor HOME is set")]
    Nowhere,
    /// A unit of that name that Covey did not write.
    #[error("{0} was not written by Covey")]
    Foreign(PathBuf),
    /// There is none.
    #[error("there is no unit at {0}")]
    Missing(PathBuf),
    /// The disk said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<UnitError> for ApiError {
    fn from(error: UnitError) -> Self {
        let message = error.to_string();
        match error {
            UnitError::Path(_) => Self::new(ErrorCode::Usage, message),
            UnitError::Nowhere => Self::new(ErrorCode::Usage, message).hint("set HOME"),
            UnitError::Foreign(_) => {
                Self::new(ErrorCode::Exists, message).hint("move it away, or keep using it")
            }
            UnitError::Missing(_) => Self::new(ErrorCode::NotFound, message),
            UnitError::Store(error) => error.into(),
        }
    }
}

/// What the unit runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    exe: PathBuf,
    home: Option<PathBuf>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Unit {
    /// Runs `exe daemon`, with `--home home` if given, and else with the XDG variables of this
    /// process's environment, so that the daemon finds the home that this process does.
    pub fn new(exe: &Path, home: Option<&Path>) -> Self {
        Self::with_variables(exe, home, &|name| std::env::var_os(name))
    }

    fn with_variables(
        exe: &Path,
        home: Option<&Path>,
        variable: &dyn Fn(&'static str) -> Option<OsString>,
    ) -> Self {
        let set = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let environment = match home {
            Some(_) => Vec::new(),
            None => VARIABLES.iter().filter_map(|name| Some((*name, set(name)?))).collect(),
        };
        Self { exe: exe.to_owned(), home: home.map(Path::to_owned), environment }
    }

    /// The unit file's text.
    ///
    /// The sandbox is what an unprivileged user manager can set up everywhere. Options that need mount
    /// namespaces (ProtectSystem, PrivateTmp and their kind) fail where user namespaces are
    /// off, and Covey must read whatever folders its owner indexes.
    ///
    /// # Errors
    /// [`UnitError::Path`] for a path that a unit file cannot hold.
    pub fn render(&self) -> Result<String, UnitError> {
        let mut command = quote(&self.exe)?;
        if let Some(home) = &self.home {
            command = format!("{command} --home {}", quote(home)?);
        }
        let mut environment = String::new();
        for (name, path) in &self.environment {
            let setting = escape(&format!("{name}={}", plain(path)?), false);
            environment.push_str(&format!("Environment=\"{setting}\"\n"));
        }
        Ok(format!(
            "\
{MARK}
[Unit]
Description=Covey: search over your own files and your groups

[Service]
Type=exec
{environment}ExecStart={command} daemon
Restart=on-failure
RestartSec=5
# Exit codes that a restart does not change: usage, home in use, damaged files.
RestartPreventExitStatus=2 18 19
TimeoutStopSec=20
UMask=0077
LimitNOFILE=8192
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
"
        ))
    }
}

/// Where this user's unit belongs.
///
/// # Errors
/// [`UnitError::Nowhere`] if the environment names no place.
pub fn default_path() -> Result<PathBuf, UnitError> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map(|base| base.join("systemd/user").join(UNIT))
        .ok_or(UnitError::Nowhere)
}

/// Writes `unit` to `path`, replacing one that Covey wrote before. What remains to be done is up to the
/// person: `systemctl --user daemon-reload`, then `systemctl --user enable --now covey`.
///
/// # Errors
/// If somebody else's unit is there, a path cannot be written, or the disk says no.
pub fn install(path: &Path, unit: &Unit) -> Result<(), UnitError> {
    let text = unit.render()?;
    if is_there(path)? {
        durable::replace(path, text.as_bytes())?;
    } else {
        // Folders of systemd's, so their modes stay as they are.
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(durable::io("create", dir))?;
        }
        durable::write_new(path, text.as_bytes())?;
    }
    Ok(())
}

/// Removes the unit at `path`.
///
/// # Errors
/// If there is none, Covey did not write it, or the disk says no.
pub fn uninstall(path: &Path) -> Result<(), UnitError> {
    match is_there(path)? {
        true => Ok(durable::remove_if_there(path)?),
        false => Err(UnitError::Missing(path.to_owned())),
    }
}

/// Whether there is a unit that Covey wrote; somebody else's is an error.
fn is_there(path: &Path) -> Result<bool, UnitError> {
    match std::fs::read(path) {
        Ok(text) if text.starts_with(MARK.as_bytes()) => Ok(true),
        Ok(_) => Err(UnitError::Foreign(path.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(durable::io("read", path)(error).into()),
    }
}

/// A path as one argument of ExecStart.
fn quote(path: &Path) -> Result<String, UnitError> {
    Ok(format!("\"{}\"", escape(plain(path)?, true)))
}

fn plain(path: &Path) -> Result<&str, UnitError> {
    let text = path.to_str().filter(|text| path.is_absolute() && !text.contains(char::is_control));
    text.ok_or_else(|| UnitError::Path(path.to_owned()))
}

/// Text inside double quotes. `%` starts a specifier everywhere, `$` a variable in commands only.
fn escape(text: &str, is_command: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    if is_command { text.replace('$', "$$") } else { text }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const ODD: &str = "/h/a b/%h \"x\" $HOME \\ ü";

    #[test]
    fn odd_paths_are_escaped_and_impossible_ones_refused() {
        let unit = Unit::new(Path::new("/bin/covey"), Some(Path::new(ODD)));
        let text = unit.render().expect("renders");
        let line = r#"ExecStart="/bin/covey" --home "/h/a b/%%h \"x\" $$HOME \\ ü" daemon"#;
        assert!(text.lines().any(|found| found == line), "{text}");
        for home in ["relative", "/a\nExecStart=/bin/evil"] {
            let unit = Unit::new(Path::new("/bin/covey"), Some(Path::new(home)));
            assert!(matches!(unit.render(), Err(UnitError::Path(_))));
        }
    }

    #[test]
    fn without_a_home_the_daemon_gets_this_environments_places() {
        let variables = |name| match name {
            "XDG_STATE_HOME" => Some("/s t/$x".into()),
            "XDG_DATA_HOME" => Some("relative".into()),
            _ => None,
        };
        let exe = Path::new("/bin/covey");
        let text = Unit::with_variables(exe, None, &variables).render().expect("renders");
        let set: Vec<_> = text.lines().filter(|line| line.starts_with("Environment=")).collect();
        assert_eq!(set, ["Environment=\"XDG_STATE_HOME=/s t/$x\""]);
        assert!(text.contains("\nExecStart=\"/bin/covey\" daemon\n"));
        let text = Unit::with_variables(exe, Some(Path::new("/h")), &variables).render();
        assert!(!text.expect("renders").contains("Environment="));
    }

    #[test]
    fn only_covey_s_own_unit_is_replaced_or_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("systemd/user").join(UNIT);
        let unit = Unit::new(Path::new("/bin/covey"), None);
        assert!(matches!(uninstall(&path), Err(UnitError::Missing(_))));
        install(&path, &unit).expect("installs");
        install(&path, &unit).expect("installs again");
        assert_eq!(std::fs::read_to_string(&path).ok(), unit.render().ok());
        uninstall(&path).expect("removes");
        assert!(!path.exists());
        std::fs::write(&path, "[Service]\n").expect("writes");
        assert!(matches!(install(&path, &unit), Err(UnitError::Foreign(_))));
        assert!(matches!(uninstall(&path), Err(UnitError::Foreign(_))));
    }

    #[test]
    fn systemd_accepts_the_unit() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(UNIT);
        let exe = std::env::current_exe().expect("this test");
        let unit = Unit::with_variables(&exe, None, &|_| Some(ODD.into()));
        let homed = Unit::new(&exe, Some(Path::new(ODD)));
        for unit in [unit, homed] {
            install(&path, &unit).expect("installs");
            let mut verify = Command::new("systemd-analyze");
            verify.args(["verify", "--user", "--man=no"]).arg(&path);
            let output = match verify.env("XDG_RUNTIME_DIR", dir.path()).output() {
                Ok(output) => output,
                Err(error) => {
                    println!("SKIPPED (systemd-analyze unavailable: {error})");
                    return;
                }
            };
            let complaints = String::from_utf8_lossy(&output.stderr);
            if complaints.contains("Failed to initialize manager") {
                println!("SKIPPED (systemd-analyze does not work here: {complaints})");
                return;
            }
            assert!(output.status.success(), "{complaints}");
            assert!(!complaints.contains(UNIT), "{complaints}");
        }
    }
}
