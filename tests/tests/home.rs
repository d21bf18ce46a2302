//! The home itself: backups, the service, the log, and how commands print.

use std::io::Read;
use std::process::Stdio;

use covey_tests::{Lab, Person, Run};
use serde_json::json;

const NOTE: &str = "Descale the kettle with citric acid and rinse it three times.";

#[test]
fn a_backup_brings_the_node_and_its_groups_back() {
    let mut lab = Lab::found(&[("ada", NOTE, "full"), ("ben", NOTE, "full")]);
    lab.person(1).search("lab", "descaling a kettle");
    assert_eq!(lab.take_daemon(0).terminate(), Some(0));
    let ada = lab.person(0);
    let backup = ada.dir().join("covey.backup");
    let backup = backup.to_str().expect("a plain path");
    let made = ada.json(&["backup", backup]);
    assert_eq!(made["node"], json!(ada.node()));
    assert_eq!(ada.fails(&["backup", backup]).kind, "exists", "nothing is overwritten");
    assert_eq!(ada.fails(&["restore", backup]).kind, "exists", "a node lives here");

    let again = Person::without_node("ada");
    let restored = again.json(&["restore", backup]);
    assert_eq!(restored["node"], made["node"]);
    assert_eq!(again.json(&["group", "list"])["groups"][0]["role"], "owner");
    assert_eq!(again.json(&["audit", "verify"])["records"], 1);
    again.json(&["reindex"]);
    let _daemon = again.daemon();
    let found = again.search("lab", "descaling a kettle");
    assert_eq!(Lab::outcome(&found, "ben")["outcome"], "answered", "{found}");
    let holders: Vec<_> = found["results"][0]["from"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["member"])
        .collect();
    assert!(holders.contains(&&json!("you")), "the index is back: {found}");

    // A damaged backup brings nothing back.
    let mut bytes = std::fs::read(backup).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let bad = ada.write("bad.backup", bytes);
    let empty = Person::without_node("nobody");
    let failure = empty.fails(&["restore", bad.to_str().expect("a plain path")]);
    assert_eq!((failure.code, failure.kind.as_str()), (18, "corrupt"), "{failure:?}");
    assert_eq!(empty.fails(&["status"]).kind, "not_found");
}

#[test]
fn the_service_unit_is_written_and_removed() {
    let ada = Person::new("ada");
    let config = ada.dir().join("xdg");
    let service = |verb: &str| {
        let mut command = ada.command();
        command.args(["--json", "service", verb]).env("XDG_CONFIG_HOME", &config);
        Run::from(command.output().expect("starts"))
    };
    let installed = service("install");
    assert_eq!(installed.code, Some(0), "{installed:?}");
    let unit = config.join("systemd/user/covey.service");
    let text = std::fs::read_to_string(&unit).expect("the unit");
    let home = ada.home();
    assert!(text.contains("daemon") && text.contains(home.to_str().expect("plain")), "{text}");
    assert_eq!(service("uninstall").code, Some(0));
    assert!(!unit.exists());
    assert_eq!(service("uninstall").failure().kind, "not_found");
}

#[test]
fn the_log_tells_what_happens_but_not_what_is_searched() {
    let lab = Lab::found(&[("ada", NOTE, "full"), ("ben", NOTE, "full")]);
    lab.person(1).search("lab", "descaling a kettle");
    let ada = lab.person(0);
    let log = ada.json(&["logs"]);
    let lines = log["lines"].as_array().expect("a list");
    assert!(
        lines.iter().any(|it| it.as_str().is_some_and(|it| it.contains("the daemon is up"))),
        "{log}"
    );
    let text = log["lines"].to_string();
    for secret in ["kettle", "citric", "note.txt"] {
        assert!(!text.contains(secret), "{secret} in {log}");
    }
    assert_eq!(Person::new("eve").fails(&["logs"]).kind, "not_found");
}

#[test]
fn mistakes_are_explained_with_code_two() {
    let ada = Person::new("ada");
    let cases: [&[&str]; 6] = [
        &["dance"],
        &["search"],
        &["share", "notes", "--group", "lab"],
        &["share", "notes", "--group", "lab", "--reveal", "everything"],
        &["invite", "lab", "--expires", "soon"],
        &["search", "--limit", "1000", "kettle"],
    ];
    for case in cases {
        let run = ada.run(case);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{case:?}: {run:?}");
        assert!(
            run.stderr.contains("--help") || run.stderr.contains("possible"),
            "{case:?}: {run:?}"
        );
        assert_eq!(ada.fails(case).kind, "usage");
    }
    let run = ada.run(&["search", "--group", "lab", "kettle"]);
    assert_eq!(run.code, Some(10));
    let said = without_progress(&run.stderr);
    assert!(said.starts_with("error: ") && said.contains("hint: "), "{run:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let ada = Person::new("ada");
    for n in 0..50 {
        ada.write(&format!("notes/{n}.txt"), format!("{NOTE} This is note {n}."));
    }
    ada.json(&["add", ada.dir().join("notes").to_str().expect("a plain path")]);
    let mut command = ada.command();
    command.args(["search", "-n", "100", "kettle"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut errors).expect("reads");
    let said = without_progress(&errors);
    assert_eq!((child.wait().expect("ends").code(), said.as_str()), (Some(0), ""));
}

/// What was said but for lines of progress, which a slow machine gives a command the time to print.
fn without_progress(stderr: &str) -> String {
    stderr.lines().filter(|line| !line.ends_with('…')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_shell_gets_its_completions() {
    let ada = Person::without_node("ada");
    for shell in ["bash", "zsh", "fish"] {
        let run = ada.run(&["completions", shell]);
        assert_eq!(run.code, Some(0));
        assert!(run.stdout.contains("unshare"), "{shell}");
    }
}
