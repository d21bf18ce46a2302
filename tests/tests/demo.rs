//! The demo leaves nothing behind, however it ends.

use std::path::Path;
use std::process::{Command, Stdio};

use covey_tests::{covey, wait_for, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Starts a demo whose temporary files all go below the returned folder.
fn start() -> (TempDir, std::process::Child) {
    let dir = tempfile::Builder::new().prefix("covey-t-").tempdir().expect("a temporary folder");
    let demo = Command::new(covey())
        .arg("demo")
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("covey starts");
    (dir, demo)
}

/// The processes that have `dir` in their command line: the demo's daemons.
fn daemons(dir: &Path) -> usize {
    let dir = dir.to_string_lossy();
    let processes = std::fs::read_dir("/proc").expect("a Linux system").flatten();
    let commands = processes.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    commands.filter(|it| String::from_utf8_lossy(it).contains(&*dir)).count()
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).expect("lists").next().is_none()
}

#[test]
fn success_leaves_nothing() {
    let (dir, mut demo) = start();
    assert_eq!(demo.wait().expect("ends").code(), Some(0));
    assert!(is_empty(dir.path()));
    assert_eq!(daemons(dir.path()), 0);
}

#[test]
fn ctrl_c_and_termination_leave_nothing() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (dir, mut demo) = start();
        wait_until("a daemon to run", || daemons(dir.path()) > 0);
        kill_process(Pid::from_child(&demo), signal).expect("is running");
        assert_eq!(demo.wait().expect("ends").code(), Some(130), "{signal:?}");
        assert!(is_empty(dir.path()), "{signal:?}");
        assert_eq!(daemons(dir.path()), 0, "{signal:?}");
    }
}

#[test]
fn even_a_killed_demo_takes_its_daemons_along() {
    let (dir, mut demo) = start();
    wait_for("three daemons to run", || (daemons(dir.path()) == 3).then_some(()));
    demo.kill().expect("is running");
    demo.wait().expect("ends");
    wait_until("the daemons to end", || daemons(dir.path()) == 0);
}
