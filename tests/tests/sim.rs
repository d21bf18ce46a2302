//! `covey sim` by real processes: the same run twice, one that is interrupted, a sweep with a trial that is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};

use covey_tests::{Person, wait_for};
use serde_json::Value;

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// All files of a run but for what the machine took, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("below").display().to_string();
            if name != "timing.json" {
                found.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

fn same(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(*bytes == other[name], "{name} differs");
    }
}

fn run(ada: &Person, out: &Path, set: &[&str]) -> Value {
    let mut arguments = vec!["sim", "run", "dropouts", "--out", text(out)];
    set.iter().for_each(|set| arguments.extend(["--set", set]));
    ada.json(&arguments)
}

/// Starts a command and waits until there are so many lines in a file.
fn started(mut command: Command, file: &Path, lines: usize) -> Child {
    let child = command.spawn().expect("it starts");
    wait_for("lines", || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        (text.lines().count() >= lines).then_some(())
    });
    child
}

#[test]
fn a_run_is_the_same_each_time_even_if_it_was_killed_or_interrupted() {
    let ada = Person::without_node("ada");
    let [whole, again, killed] = ["whole", "again", "killed"].map(|name| ada.dir().join(name));
    let set = ["peers=24", "repeats=2", "training.rounds=4"];
    let told = run(&ada, &whole, &set);
    assert_eq!((&told["type"], &told["summary"]["complete"]), (&"sim_run".into(), &true.into()));
    let quality = told["summary"]["rounds"]["quality"]["mean"].as_f64().expect("a number");
    assert!(quality > 0.5, "{quality}");
    run(&ada, &again, &set);
    same(&whole, &again);

    let command = |signal: bool| {
        let mut command = ada.command();
        command.args(["--quiet", "sim", "run", "dropouts", "--out", text(&killed)]);
        set.iter().for_each(|set| {
            command.args(["--set", set]);
        });
        let mut child = started(command, &killed.join("metrics.jsonl"), if signal { 7 } else { 3 });
        if signal {
            let pid = rustix::process::Pid::from_child(&child);
            // It may have come to its end meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        } else {
            child.kill().expect("it can be killed");
        }
        child.wait().expect("it ends");
    };
    command(false);
    command(true);
    run(&ada, &killed, &set);
    same(&whole, &killed);

    // Another scenario does not go into the same folder.
    let refused = ada.fails(&["sim", "run", "quick", "--out", text(&whole)]);
    assert!(refused.message.contains("another scenario"), "{}", refused.message);
    let compared = ada.json(&["sim", "compare", text(&whole), text(&killed)]);
    assert_eq!(compared["runs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_run_in_the_clear_that_was_killed_goes_on_in_the_middle_of_a_repeat() {
    let ada = Person::without_node("ada");
    let [whole, killed] = ["whole", "killed"].map(|name| ada.dir().join(name));
    let set = ["peers=100", "sum.secure=false", "training.rounds=120", "learner.values=3000"];
    run(&ada, &whole, &set);
    let mut command = ada.command();
    command.args(["--quiet", "sim", "run", "dropouts", "--out", text(&killed)]);
    set.iter().for_each(|set| {
        command.args(["--set", set]);
    });
    // It is told once a second from where it can go on.
    let mut child = command.spawn().expect("it starts");
    wait_for("a checkpoint", || killed.join("checkpoint").exists().then_some(()));
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    let mut again = vec!["sim", "run", "dropouts", "--out", text(&killed)];
    set.iter().for_each(|set| again.extend(["--set", set]));
    let said = ada.run(&again).stderr;
    assert!(said.contains("done again from its round "), "{said}");
    same(&whole, &killed);
    let left = ["whole", "killed"].map(|name| ada.dir().join(name).join("checkpoint").exists());
    assert_eq!(left, [false, false]);
}

#[test]
fn what_cannot_run_is_refused_before_anything_is_written() {
    let ada = Person::without_node("ada");
    let out = ada.dir().join("out");
    let run = |more: &[&str]| {
        let of = [&["sim", "run", "embedder", "--out", text(&out)], more].concat();
        let failure = ada.fails(&of);
        assert!(!out.exists(), "{}", failure.message);
        failure.message
    };
    let none = run(&["--set", "data.folder=/none"]);
    assert!(none.contains("/none"), "{none}");
    ada.write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\na\tb\t1\n");
    let folder = format!("data.folder={}", ada.dir().join("set").display());
    let split = run(&["--set", &folder, "--set", "data.split=dev"]);
    assert!(split.contains("no split dev; it has: test"), "{split}");
    // Only when it is read does it show that there are no documents.
    let empty = run(&["--set", &folder]);
    assert!(empty.contains("corpus.jsonl"), "{empty}");
    let meant = ada.fails(&["sim", "run", "quik", "--out", text(&out)]);
    assert!(meant.message.ends_with("did you mean quick?"), "{}", meant.message);
    assert_eq!(ada.fails(&["sim", "compare", text(ada.dir())]).kind, "not_found");
}

#[test]
fn a_sweep_runs_all_trials_and_goes_on_with_those_that_are_missing() {
    let ada = Person::without_node("ada");
    let out = ada.dir().join("sweep");
    let sweep = |vary: &[&str]| {
        let mut arguments = vec!["sim", "sweep", "quick", "--set", "peers=8", "--out", text(&out)];
        vary.iter().for_each(|vary| arguments.extend(["--vary", vary]));
        ada.json(&arguments)
    };
    assert_eq!(sweep(&["training.mu=0,0.1", "seed=1,2"])["done"], 4);
    let table = std::fs::read_to_string(out.join("sweep.csv")).expect("a table");
    assert_eq!(table.lines().count(), 5, "{table}");
    let before = files(&out.join("trials"));
    assert_eq!(sweep(&["training.mu=0,0.1", "seed=1,2,3"])["done"], 6);
    let after = files(&out.join("trials"));
    assert!(before.iter().all(|(name, bytes)| after[name] == *bytes), "what is done stays");
    let wrong =
        ada.fails(&["sim", "sweep", "quick", "--vary", "training.mue=1", "--out", text(&out)]);
    assert!(wrong.message.contains("training.mu"), "{}", wrong.message);
}
