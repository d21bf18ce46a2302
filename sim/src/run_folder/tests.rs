use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use covey_privacy::ledger::Charge;

use super::events::EventLog;
use super::*;
use crate::metrics::{RoundMetric, SearchMetric};

const SCENARIO_TEXT: &str = "name = \"small\"\nseed = 7\nrepeats = 2\npeers = 4\n[training]\nrounds = 2\n[search]\nhours = 1.0\n";

fn versions() -> Versions {
    Versions::here("0.1.0", 7)
}

/// What a run of the scenario measures, each line with what happened before it.
fn lines() -> Vec<(Vec<Event>, Metric)> {
    let event = |seed, at_s| Event {
        seed,
        at_s,
        peer: Some(1),
        what: "left".into(),
        more: BTreeMap::from([("phase".to_owned(), "keys".into())]),
    };
    let round = |seed, round: u32| {
        let metric = RoundMetric {
            seed,
            round,
            at_s: f64::from(round) * 10.1,
            attempts: 1,
            failed: (round == 1).then(|| "too few, \"two\"".to_owned()),
            cohort: 4,
            survivors: 3,
            quality: Some(0.1 * f64::from(round) + seed as f64 / 300.0),
            up_bytes: 1_000,
            phases_s: BTreeMap::from([("training".to_owned(), 2.0)]),
            ..RoundMetric::default()
        };
        (vec![event(seed, metric.at_s)], Metric::Round(metric))
    };
    let hour = |seed| {
        let metric = SearchMetric {
            seed,
            hour: 1,
            at_s: 3_600.0,
            questions: 2,
            asked: 6,
            answered: 6,
            recall: Some(1.0 / 3.0),
            ..SearchMetric::default()
        };
        (vec![event(seed, 3_000.0)], Metric::Search(metric))
    };
    let of_seed = |seed| [round(seed, 0), round(seed, 1), round(seed, 2), hour(seed)];
    [7, 8].into_iter().flat_map(of_seed).collect()
}

fn add(folder: &mut RunFolder, lines: &[(Vec<Event>, Metric)]) {
    for (events, metric) in lines {
        events.iter().for_each(|event| folder.event(event).expect("is written"));
        folder.metric(metric).expect("is written");
    }
}

fn whole(path: &Path) -> Summary {
    let mut folder = RunFolder::create(path, SCENARIO_TEXT, &versions()).expect("is created");
    add(&mut folder, &lines());
    folder.finish(Timing::default()).expect("is finished")
}

/// All files below a folder but for the one that is never the same twice.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("lists") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            let below = contents(&path).into_iter();
            files.extend(below.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else if name != TIMING {
            files.insert(name, fs::read(&path).expect("reads"));
        }
    }
    files
}

#[test]
fn a_run_reads_back_and_has_all_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let summary = whole(folder.path());
    let files = contents(folder.path());
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected: Vec<&str> = [
        "events.jsonl",
        "metrics.jsonl",
        "report.html",
        "rounds.csv",
        "rounds.parquet",
        "scenario.toml",
        "searches.csv",
        "searches.parquet",
        "summary.json",
        "tensorboard/seed-7/events.out.tfevents.0.covey",
        "tensorboard/seed-8/events.out.tfevents.0.covey",
        "versions.json",
    ]
    .into_iter()
    .filter(|name| cfg!(feature = "parquet") || !name.ends_with(".parquet"))
    .collect();
    assert_eq!(names, expected);
    let rounds = String::from_utf8_lossy(&files["rounds.csv"]);
    assert!(rounds.starts_with("seed,round,at_s,"), "{rounds}");
    assert!(rounds.contains("\n7,1,10.1,1,\"too few, \"\"two\"\"\",4,3,"), "{rounds}");
    let run = Run::open(folder.path()).expect("a run");
    assert_eq!(run.metrics.len(), 8);
    assert!(run.complete && run.next().is_none());
    let kept = super::summary(folder.path()).expect("reads").expect("is there");
    assert_eq!((kept.complete, &kept.name, &kept.seeds), (true, &summary.name, &summary.seeds));
    let rounds = summary.rounds.expect("rounds");
    assert_eq!((rounds.done, rounds.failed.map(|of| of.mean)), (2, Some(1.0)));
    assert_eq!(rounds.up_per_peer_bytes.map(|of| of.mean), Some(750.0));
    assert_eq!(summary.search.expect("searches").answered.map(|of| of.mean), Some(1.0));
}

#[test]
fn a_run_that_was_killed_and_continued_is_like_one_that_was_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    whole(&straight);
    let lines = lines();
    for kept in [0, 1, 4, 6, 8] {
        let mut writer =
            RunFolder::replace(&broken, SCENARIO_TEXT, &versions()).expect("is created");
        add(&mut writer, &lines[..kept]);
        // An event of what was being measured, and half a line, when the kill came.
        if let Some((events, _)) = lines.get(kept) {
            events.iter().for_each(|event| writer.event(event).expect("is written"));
        }
        writer.metrics.write_all(b"{\"kind\":\"rou").expect("is written");
        drop(writer);
        let run = Run::open(&broken).expect("a run");
        assert!(!run.complete);
        let next = run.next();
        let wanted = [(7, 0, 1), (7, 1, 1), (8, 0, 1), (8, 2, 1)];
        let wanted = wanted.map(|(seed, round, hour)| Next { seed, round, hour });
        let place = [0, 1, 4, 6].iter().position(|of| *of == kept);
        assert_eq!(next, place.map(|place| wanted[place]), "{kept}");
        let mut writer = RunFolder::resume(&run, next).expect("goes on");
        add(&mut writer, &lines[kept..]);
        writer.finish(Timing::default()).expect("is finished");
        assert!(contents(&broken) == contents(&straight), "differs after {kept} lines");
    }
}

#[test]
fn rounds_go_on_from_a_checkpoint_if_it_is_whole_and_of_what_is_written_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer =
        RunFolder::create(folder.path(), SCENARIO_TEXT, &versions()).expect("is created");
    let checkpoint = Checkpoint {
        seed: 7,
        round: 1,
        values: vec![0.5, -1.5],
        memory: vec![],
        spent: vec![Charge::from_units(3)],
    };
    writer.checkpoint(&checkpoint).expect("is written");
    let run = Run::open(folder.path()).expect("a run");
    let at = |seed, round| run.checkpoint(Next { seed, round, hour: 1 });
    assert_eq!(at(7, 2), Some(checkpoint.clone()));
    assert_eq!(at(7, 9), Some(checkpoint.clone()), "rounds between are done again");
    assert_eq!(at(7, 1), None, "round 1 is not written down");
    assert_eq!(at(8, 2), None, "another repeat");
    let path = folder.path().join(CHECKPOINT);
    let whole = fs::read(&path).expect("reads");
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&path, &bytes).expect("writes");
        assert_eq!(at(7, 2), None, "byte {place} is another");
        fs::write(&path, &whole[..place]).expect("writes");
        assert_eq!(at(7, 2), None, "cut off after {place}");
    }
    fs::write(&path, &whole).expect("writes");
    assert_eq!(at(7, 2), Some(checkpoint));
    writer.finish(Timing::default()).expect("is finished");
    assert!(!path.exists(), "nothing goes on");
}

#[test]
fn a_run_can_go_back() {
    let folder = tempfile::tempdir().expect("a folder");
    whole(folder.path());
    let run = Run::open(folder.path()).expect("a run");
    let next = Next { seed: 7, round: 2, hour: 1 };
    let writer = RunFolder::resume(&run, Some(next)).expect("goes on");
    writer.stop(Timing { wall_s: 2.0, ..Timing::default() }).expect("stops");
    let run = Run::open(folder.path()).expect("a run");
    assert_eq!((run.metrics.len(), run.complete), (2, false));
    let events = fs::read_to_string(folder.path().join(EVENTS)).expect("events");
    assert_eq!(events.lines().count(), 2, "{events}");
    let timing = run::timing(folder.path()).expect("reads").expect("is there");
    assert_eq!(timing.wall_s, 2.0);
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer =
        RunFolder::create(folder.path(), SCENARIO_TEXT, &versions()).expect("is created");
    let wrong = SearchMetric { p50_ms: f64::NAN, ..SearchMetric::default() };
    let refused = writer.metric(&Metric::Search(wrong)).expect_err("is no number");
    assert!(matches!(refused, FolderError::NoNumber(_)), "{refused}");
    writer.metric(&Metric::Round(RoundMetric::default())).expect("is written");
    assert_eq!(Run::open(folder.path()).expect("a run").metrics.len(), 1);
}

#[test]
fn a_run_that_was_cut_off_while_it_began_begins_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    // What a full disk or a kill leaves, step by step.
    for left in [
        &["metrics.jsonl"][..],
        &["metrics.jsonl", "versions.json.part"],
        &["metrics.jsonl", "versions.json"],
        &["metrics.jsonl", "versions.json", "scenario.toml.part"],
    ] {
        fs::create_dir_all(&path).expect("a folder");
        left.iter().for_each(|file| fs::write(path.join(file), "").expect("writes"));
        assert!(!is_begun(&path));
        whole(&path);
        assert!(is_begun(&path) && Run::open(&path).expect("a run").complete, "{left:?}");
        fs::remove_dir_all(&path).expect("removes");
    }
    // Somebody's figures are not.
    fs::create_dir_all(&path).expect("a folder");
    fs::write(path.join("metrics.jsonl"), "precious").expect("writes");
    let refused = RunFolder::create(&path, SCENARIO_TEXT, &versions()).expect_err("is there");
    assert!(matches!(refused, FolderError::Foreign(_)), "{refused}");
    // A summary that cannot be read is none.
    fs::remove_dir_all(&path).expect("removes");
    whole(&path);
    fs::write(path.join(SUMMARY), "").expect("writes");
    assert!(!Run::open(&path).expect("a run").complete);
}

#[test]
fn of_a_run_that_came_to_nothing_nothing_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let writer = RunFolder::create(&path, SCENARIO_TEXT, &versions()).expect("is created");
    writer.discard().expect("goes");
    assert!(!path.exists());
    // But for what somebody else has put there.
    let writer = RunFolder::create(&path, SCENARIO_TEXT, &versions()).expect("is created");
    fs::write(path.join("thesis.txt"), "precious").expect("writes");
    writer.discard().expect("goes");
    assert_eq!(contents(&path).into_keys().collect::<Vec<_>>(), ["thesis.txt"]);
}

#[test]
fn folders_of_others_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    fs::write(path.join("thesis.txt"), "precious").expect("writes");
    for begin in [RunFolder::create, RunFolder::replace] {
        let refused = begin(path, SCENARIO_TEXT, &versions()).expect_err("something is there");
        assert!(matches!(refused, FolderError::Foreign(_)), "{refused}");
    }
    assert!(matches!(Run::open(path), Err(FolderError::NoRun(_))));
    fs::remove_file(path.join("thesis.txt")).expect("removes");
    let first = RunFolder::create(path, SCENARIO_TEXT, &versions()).expect("is empty");
    let refused = RunFolder::create(path, SCENARIO_TEXT, &versions()).expect_err("a run is there");
    assert!(matches!(refused, FolderError::Taken(_)), "{refused}");
    let busy = RunFolder::replace(path, SCENARIO_TEXT, &versions()).expect_err("is written");
    assert!(matches!(busy, FolderError::Busy(_)), "{busy}");
    drop(first);
    RunFolder::replace(path, SCENARIO_TEXT, &versions()).expect("nobody has it");
    fs::write(path.join("thesis.txt"), "precious").expect("writes");
    let before = contents(path);
    let refused = RunFolder::replace(path, SCENARIO_TEXT, &versions()).expect_err("more is there");
    assert!(matches!(refused, FolderError::Foreign(_)), "{refused}");
    assert!(contents(path) == before, "nothing is gone of what could not be replaced");
    assert!(path.join("thesis.txt").exists());
    fs::remove_file(path.join("thesis.txt")).expect("removes");
    fs::write(path.join("summary.json.part"), "cut short by a kill").expect("writes");
    RunFolder::replace(path, SCENARIO_TEXT, &versions()).expect("all that is there is a run's");
}

#[test]
fn times_of_long_runs_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    whole(folder.path());
    let mut timing = Timing::default();
    (0..1_000_000).for_each(|_| timing.took(0.123_456_789_012_345));
    for _ in 0..2 {
        let run = Run::open(folder.path()).expect("a run");
        let writer = RunFolder::resume(&run, None).expect("goes on");
        writer.stop(timing.clone()).expect("reads what was there, and writes");
    }
    let timing = run::timing(folder.path()).expect("reads").expect("is there");
    assert_eq!(timing.rounds_s.len(), crate::metrics::MOST_TIMED);
}

#[test]
fn damage_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    whole(folder.path());
    let metrics = folder.path().join(METRICS);
    let sound = fs::read_to_string(&metrics).expect("reads");
    let cases = [
        (sound.replacen("\"seed\":8", "\"seed\":-8", 1), "line 5"),
        (format!("{}\n{sound}", "x".repeat(lines::MAX_LINE_BYTES + 1)), "longer"),
        (format!("\u{0}\n{sound}"), "line 1"),
    ];
    for (damaged, told) in cases {
        fs::write(&metrics, damaged).expect("writes");
        let error = Run::open(folder.path()).expect_err("is damaged").to_string();
        assert!(error.contains(told) && error.contains(METRICS), "{error}");
    }
    fs::write(folder.path().join(SCENARIO), "peers = \"many\"").expect("writes");
    let error = Run::open(folder.path()).expect_err("is damaged").to_string();
    assert!(error.contains(SCENARIO), "{error}");
}

#[test]
fn events_are_bounded_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    let event = |at_s| Event { at_s, what: "asked".into(), ..Event::default() };
    let mut log = EventLog::open(&path, 2).expect("opens");
    for at_s in [1.0, 2.0, 3.0, 4.0] {
        log.add(&event(at_s)).expect("is written");
        log.settle().expect("is written");
    }
    let text = || fs::read_to_string(&path).expect("reads");
    assert!(text().ends_with("\n{\"left_out\":2}\n") && text().lines().count() == 3, "{}", text());
    drop(log);
    let mut log = EventLog::open(&path, 2).expect("opens");
    log.add(&event(5.0)).expect("is counted");
    log.settle().expect("is written");
    assert!(text().ends_with("\n{\"left_out\":3}\n") && text().lines().count() == 3, "{}", text());
}
