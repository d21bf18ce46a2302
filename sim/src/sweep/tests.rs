use std::cell::Cell;
use std::fs;
use std::process::Command;
use std::time::Instant;

use super::gather::{gather, states};
use super::*;
use crate::metrics::{Metric, RoundMetric};
use crate::report::{Measured, Summary};
use crate::scenario::Scenario;

fn sweep(vary: &[&str]) -> Result<Vec<Trial>, SweepError> {
    let vary: Result<Vec<Vary>, SweepError> = vary.iter().map(|text| text.parse()).collect();
    Sweep { vary: vary? }.trials()
}

#[test]
fn a_grid_has_each_with_each_in_order() {
    let trials = sweep(&["training.mu=0, 0.01", "seed=1,2,3"]).expect("a grid");
    let names: Vec<&str> = trials.iter().map(|of| of.name.as_str()).collect();
    let expected = [
        "training.mu=0,seed=1",
        "training.mu=0,seed=2",
        "training.mu=0,seed=3",
        "training.mu=0.01,seed=1",
        "training.mu=0.01,seed=2",
        "training.mu=0.01,seed=3",
    ];
    assert_eq!(names, expected);
    assert_eq!(trials[4].overrides(), ["training.mu=0.01", "seed=2"]);
}

#[test]
fn a_file_says_the_same() {
    let file = "[vary]\nseed = [1, 2]\n\"training.mu\" = [0, 0.5]\n[vary.data]\npartition = [\"iid\", \"topics\"]\n";
    let trials = Sweep::from_toml(file).and_then(|of| of.trials()).expect("a grid");
    assert_eq!(trials.len(), 8);
    assert_eq!(trials[7].overrides(), ["data.partition=\"topics\"", "seed=2", "training.mu=0.5"]);
    for bad in ["seed = [1]", "[vary]\nseed = 1", "[vary]\n\"a b\" = [1]", "[vary]\n"] {
        assert!(Sweep::from_toml(bad).and_then(|of| of.trials()).is_err(), "{bad}");
    }
}

#[test]
fn values_may_have_commas_and_names_stay_names() {
    let trials = sweep(&["network.latency_ms=[1,2],[30, 60]", "data.folder=/tmp/a,/tmp/b/../c"]);
    let trials = trials.expect("a grid");
    assert_eq!(trials[0].settings[0].1, "[1,2]");
    let names: std::collections::BTreeSet<&str> =
        trials.iter().map(|of| of.name.as_str()).collect();
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|name| !name.contains('/') && name.len() < 200), "{names:?}");
    let alike = sweep(&["name=a b,a/b"]).expect("a grid");
    assert_ne!(alike[0].name, alike[1].name);
    let long = format!("name={},{0}x", "x".repeat(300));
    let long = sweep(&[&long]).expect("a grid");
    assert!(long[0].name != long[1].name && long[0].name.len() < 200);
}

#[test]
fn what_varies_is_checked() {
    let many = format!("seed={}", (0..200).map(|of| of.to_string()).collect::<Vec<_>>().join(","));
    let more = many.replace("seed", "peers");
    let cases: [(&[&str], &str); 8] = [
        (&["seed"], "has no ="),
        (&["=1"], "names no field"),
        (&["a..b=1"], "names no field"),
        (&["seed=1,,2"], "empty value"),
        (&["a=[1,2"], "not closed"),
        (&["seed=1,1"], "twice"),
        (&["seed=1", "seed=2"], "varies twice"),
        (&[&many, &more], "40000 trials"),
    ];
    for (vary, told) in cases {
        let error = sweep(vary).expect_err("is refused").to_string();
        assert!(error.contains(told), "{error}");
    }
    assert!(sweep(&[]).is_err());
}

/// A summary as a complete run writes it.
fn summary() -> String {
    let round = RoundMetric { quality: Some(0.5), ..RoundMetric::default() };
    let metrics = [Metric::Round(round)];
    let summary = Summary::of(&Scenario::default(), &Measured::of(&metrics), true);
    serde_json::to_string(&summary).expect("is JSON")
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn trials_run_as_processes_and_a_sweep_goes_on_where_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("sweep");
    let folder = SweepFolder::open(&path, "peers = 1\n").expect("is new");
    let trials = sweep(&["seed=1,2,3"]).expect("a grid");
    let complete = dir.path().join("summary.json");
    fs::write(&complete, summary()).expect("writes");
    let started = Cell::new(0);
    // The first is killed the first time, the second fails, the third does what it should.
    let command = |trial: &Trial, attempt: u32| {
        started.set(started.get() + 1);
        let (out, from) = (folder.trial(trial), complete.display());
        let done = format!("mkdir -p {0} && cp {from} {0}/summary.json", out.display());
        match (trial.number, attempt) {
            (0, 0) => shell("kill -9 $$"),
            (1, _) => shell("echo no such field >&2; exit 2"),
            _ => shell(&done),
        }
    };
    let driver = Driver {
        folder: &folder,
        at_once: 2,
        retries: 1,
        command: &command,
        is_cancelled: &|| false,
    };
    let mut told = Vec::new();
    let states_now =
        drive(&driver, &trials, &mut |trial, what| told.push((trial.number, what))).expect("runs");
    assert_eq!(states_now[0], State::Done);
    assert_eq!(states_now[2], State::Done);
    let State::Failed(why) = &states_now[1] else { panic!("{states_now:?}") };
    assert!(why.contains('2') && why.ends_with("no such field"), "{why}");
    assert!(told.contains(&(0, Progress::Retried("its process was killed by signal 9".into()))));
    assert_eq!(started.get(), 4);
    gather(&folder, &trials, &states_now).expect("gathers");
    let table = fs::read_to_string(path.join("sweep.csv")).expect("reads");
    assert!(table.starts_with("trial,state,seed,"), "{table}");
    assert!(table.contains("\nseed=2,failed,2,,") && table.contains("0.5"), "{table}");
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(path.join("sweep.json")).expect("reads")).expect("JSON");
    assert_eq!(json["trials"][0]["summary"]["rounds"]["quality"]["mean"], 0.5);
    assert_eq!(json["trials"][1]["state"], "failed");

    // Again: only what failed runs.
    let folder = SweepFolder::open(&path, "peers = 1\n").expect("is the same");
    let again = drive(&Driver { folder: &folder, ..driver }, &trials, &mut |_, _| {});
    assert_eq!(again.expect("runs"), states_now);
    assert_eq!(started.get(), 5);
    assert_eq!(states(&folder, &trials)[1], State::Open);
    let other = SweepFolder::open(&path, "peers = 2\n").expect_err("another scenario");
    assert!(matches!(other, SweepError::Other(_)), "{other}");
    assert!(SweepFolder::open(dir.path(), "peers = 1\n").is_err(), "something else is there");
}

#[test]
fn interrupting_ends_all_processes() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = SweepFolder::open(&dir.path().join("sweep"), "").expect("is new");
    let trials = sweep(&["seed=1,2,3"]).expect("a grid");
    let started = Cell::new(0);
    let command = |_: &Trial, _: u32| {
        started.set(started.get() + 1);
        shell("exec sleep 60")
    };
    let is_cancelled = || started.get() == 2;
    let driver = Driver {
        folder: &folder,
        at_once: 2,
        retries: 5,
        command: &command,
        is_cancelled: &is_cancelled,
    };
    let began = Instant::now();
    let ended = drive(&driver, &trials, &mut |_, _| {}).expect("ends");
    assert_eq!(ended, [State::Open, State::Open, State::Open]);
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    assert_eq!(started.get(), 2);
}

/// Calls the program's `unpack` on a worker whose folder for temporary files is `temporary`, with nothing of Ray.
fn unpack(temporary: &std::path::Path) -> std::process::Output {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/ray/covey_sweep.py");
    let script = format!(
        "import importlib.util, sys, types\n\
         sys.dont_write_bytecode = True\n\
         sys.modules['ray'] = types.ModuleType('ray')\n\
         found = importlib.util.spec_from_file_location('sweep', {program:?})\n\
         sweep = importlib.util.module_from_spec(found)\n\
         found.loader.exec_module(sweep)\n\
         print(sweep.unpack(b'#!/bin/sh\\nexit 0\\n'))\n"
    );
    let mut python = Command::new("python3");
    python.args(["-c", &script]).env("TMPDIR", temporary).output().expect("there is a python3")
}

#[test]
fn a_worker_runs_nothing_out_of_a_folder_that_others_can_write() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    for _ in 0..2 {
        let found = unpack(dir.path());
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        let binary = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        assert!(Command::new(binary).status().expect("runs").success());
    }
    let entry = fs::read_dir(dir.path()).expect("lists").next().expect("one").expect("an entry");
    fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o777)).expect("is ours");
    let refused = unpack(dir.path());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("not this user's alone"), "{said}");
    fs::rename(entry.path(), dir.path().join("elsewhere")).expect("is ours");
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), entry.path()).expect("is made");
    assert!(!unpack(dir.path()).status.success(), "nor where a link leads");
}
