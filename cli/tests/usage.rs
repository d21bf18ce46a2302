//! What the program says of itself. (That this package has such a test also makes `cargo test --workspace`
//! build the binary, which the end-to-end tests run.)

use std::process::{Command, Output};

fn covey(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_covey")).args(arguments).output().expect("starts")
}

#[test]
fn it_names_its_version_and_helps() {
    let version = covey(&["--version"]);
    assert!(version.status.success());
    assert_eq!(version.stdout, format!("covey {}\n", env!("CARGO_PKG_VERSION")).into_bytes());

    let help = covey(&["--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    for word in ["First steps:", "covey demo", "Exit codes:", "--json", "--home <DIR>"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    for command in ["add", "search", "share", "daemon", "join", "invite", "backup", "restore"] {
        let help = covey(&[command, "--help"]);
        assert!(help.status.success());
        let help = String::from_utf8(help.stdout).expect("UTF-8");
        assert!(help.contains("Example: covey "), "{command}: {help}");
    }
}

#[test]
fn without_a_command_it_helps_and_fails() {
    let nothing = covey(&[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(nothing.stdout.is_empty() && !nothing.stderr.is_empty());
    let wrong = covey(&["--json", "serach"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("similar subcommand"));
}
