//! Finds the `covey` binary, building it where it is missing or older than the sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The `covey` binary of this build: beside the test executables, as `cargo test --workspace` puts it there.
/// Where it is missing or stale (`cargo test -p covey-tests` builds no other package's
/// binaries), cargo is asked for it. `COVEY_BIN` names another one.
///
/// # Panics
/// If it cannot be built.
pub fn covey() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("COVEY_BIN") {
        Some(binary) => binary.into(),
        None => built(),
    })
}

fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST");
    let binary = profile.join("covey");
    if modified(&binary) < newest_source() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "covey"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.current_dir(root()).arg("--target-dir").arg(profile.parent().expect("target"));
        assert!(cargo.status().expect("cargo runs").success(), "`covey` does not build");
    }
    binary
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// When the youngest source file that goes into the binary was changed.
fn newest_source() -> Option<SystemTime> {
    let crates =
        ["cli", "coordinator", "node", "net", "index", "embedder", "protocol", "crypto", "privacy"];
    let mut newest = None;
    let mut folders: Vec<PathBuf> = crates.iter().map(|it| root().join(it).join("src")).collect();
    folders.push(root().join("cli/demo"));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => newest = newest.max(modified(&entry.path())),
            }
        }
    }
    newest
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|it| it.modified()).ok()
}
