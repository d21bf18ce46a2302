//! `covey model mine`, `covey open` and `covey model train --mine` with real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use covey_tests::{Person, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn pairs(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("is there");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn mine(ada: &Person, more: &[&str]) -> (Value, Vec<Value>) {
    let out = ada.dir().join("pairs.jsonl");
    let reply = ada.json(&[&["model", "mine", "--out", text(&out)], more].concat());
    (reply, pairs(&out))
}

fn add(ada: &Person, folder: &str) {
    ada.json(&["add", text(&ada.dir().join(folder))]);
}

#[test]
fn titles_headings_code_and_opened_results_become_pairs() {
    let ada = Person::new("ada");
    let bees = ada.write(
        "notes/bees.md",
        "# Keeping bees\n\nHives stand in the sun.\n\n## Winter food\n\nThey eat the honey of summer.\n\n## 12\n\nToo bare.\n",
    );
    ada.write("notes/binary.md", b"\x00\x01\x02");
    let old = ada.write("notes/old.md", "# Some old note\n\nIt was true for a while.\n");
    ada.write("code/hive.rs", "/// Counts the bees of a hive.\npub fn count(hive: &Hive) -> usize {\n    hive.bees.len()\n}\n");
    add(&ada, "notes");
    add(&ada, "code");
    fs::write(&old, "# Something else\n\nAnd now this is true.\n").expect("writes");

    let failure = ada.fails(&["open", "1"]);
    assert_eq!(failure.kind, "not_found", "nothing was searched for: {}", failure.message);
    let found = ada.json(&["search", "what do they eat in the cold?", "--collection", "notes"]);
    let hits = found["results"].as_array().expect("a list");
    let at = hits.iter().position(|hit| hit["path"] == text(&bees)).expect("is found") + 1;
    let opened = ada.json(&["open", &at.to_string(), "--print"]);
    assert_eq!((&opened["type"], &opened["remembered"]), (&json!("open"), &json!(true)));
    assert_eq!(opened["path"], text(&bees));
    assert_eq!(ada.fails(&["open", "99", "--print"]).kind, "not_found");
    assert_eq!(ada.json(&["open", &at.to_string(), "--print", "--private"])["remembered"], false);
    let listed = ada.json(&["opened"]);
    assert_eq!(listed["results"].as_array().map(Vec::len), Some(1), "{listed}");
    let latest = ada.home().join("state/latest-search");
    assert_eq!(latest.metadata().expect("is there").permissions().mode() & 0o777, 0o600);

    // The daemon and the command by itself mine the same.
    let (reply, all) = mine(&ada, &[]);
    {
        let _daemon = ada.daemon();
        let (again, same) = mine(&ada, &[]);
        assert_eq!((&again, &same), (&reply, &all));
    }
    assert_eq!(reply["pairs"], json!({"title": 1, "heading": 1, "code": 1, "opened": 1}));
    assert_eq!(
        reply["left_out"],
        json!({"short": 0, "numeric": 0, "long": 0, "bare": 1, "gone": 0})
    );
    assert_eq!((&reply["stale"], &reply["stale_files"][0]), (&json!(1), &json!(text(&old))));
    let hive = ada.dir().join("code/hive.rs");
    let chunk = fs::read_to_string(&bees).expect("reads");
    let expected = [
        (
            "Counts the bees of a hive.",
            "pub fn count(hive: &Hive) -> usize {\n    hive.bees.len()\n}",
            &hive,
        ),
        ("Keeping bees", "Hives stand in the sun.", &bees),
        ("Keeping bees: Winter food", "They eat the honey of summer.", &bees),
        ("what do they eat in the cold?", chunk.trim_end(), &bees),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(anchor, positive, path)| {
            // Where it is in the folder that was added decides whether it is held out, wherever that moves.
            let place = text(Path::new(path.file_name().expect("a file")));
            json!({"anchor": anchor, "positive": positive, "document": text(path), "place": place})
        })
        .collect();
    assert_eq!(all, expected);
    let mode = ada.dir().join("pairs.jsonl").metadata().expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Of one collection, and after forgetting.
    ada.json(&["opened", "--clear"]);
    assert!(!latest.exists());
    assert_eq!(ada.json(&["opened"])["results"], json!([]));
    let (reply, _) = mine(&ada, &["--collection", "notes"]);
    assert_eq!(reply["pairs"], json!({"title": 1, "heading": 1, "code": 0, "opened": 0}));
    assert_eq!(reply["collections"], json!(["notes"]));
}

#[test]
fn a_result_is_opened_by_the_program_for_it() {
    let ada = Person::new("ada");
    let file = ada.write("notes/a b.md", "# Keeping bees\n\nHives stand in the sun.\n");
    add(&ada, "notes");
    ada.json(&["search", "bees"]);
    let shown = ada.dir().join("shown");
    let opener =
        ada.write("bin/xdg-open", format!("#!/bin/sh\nprintf '%s' \"$1\" > '{}'\n", text(&shown)));
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("sets");
    let path = format!("{}:/usr/bin:/bin", text(opener.parent().expect("a folder")));
    let open = |path: &str| {
        let done = ada.command().args(["--json", "open"]).env("PATH", path).output();
        done.expect("starts").status.code()
    };
    assert_eq!(open(&path), Some(0));
    assert_eq!(fs::read_to_string(&shown).expect("was called"), text(&file));
    assert_eq!(open("/nowhere"), Some(10), "no such program");
    fs::remove_file(&file).expect("removes");
    assert_eq!(ada.fails(&["open", "--print"]).kind, "not_found");
}

/// Notes of two subjects, in which a heading and its text share no word.
fn garden(ada: &Person, notes: usize) {
    let words = [
        ("zebra umbrella", "copper holiday"),
        ("violin gravel", "harbour lettuce"),
        ("candle engine", "meadow printer"),
        ("saddle oxygen", "pepper novel"),
    ];
    for i in 0..notes {
        let (heading, body) = words[i % words.len()];
        let note = format!("# {heading} {i}\n\nThe {body} of number{i} is here.\n");
        ada.write(&format!("garden/{i:03}.md"), note);
    }
    add(ada, "garden");
}

#[test]
fn pairs_that_a_model_is_near_to_are_chosen_from_a_file() {
    let ada = Person::without_node("ada");
    let line = |question: &str, answer: &str| json!({ "anchor": question, "positive": answer });
    let mut lines: Vec<Value> = (0..60)
        .map(|number| {
            line(&format!("bread {number}"), &format!("knead dough {number} and let it rise"))
        })
        .collect();
    lines.push(line("why do cats purr", "a cat purrs by moving its vocal cords quickly"));
    lines.push(line("why do cats purr", "parking on Sundays is free of charge"));
    let all: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let (pairs, out) = (ada.write("pairs.jsonl", all), ada.dir().join("near.jsonl"));
    let reply = ada.json(&["model", "near", text(&pairs), "--among", "1", "--out", text(&out)]);
    assert_eq!((&reply["type"], &reply["pairs"]), (&json!("near"), &json!(62)));
    let written = fs::read_to_string(&out).expect("is there");
    let kept: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).expect("a pair")).collect();
    assert_eq!(reply["kept"], json!(kept.len()), "{reply}");
    let of_cats: Vec<&Value> =
        kept.iter().filter(|pair| pair["anchor"] == "why do cats purr").collect();
    assert_eq!(of_cats.len(), 1, "nobody finds parking: {of_cats:?}");
    assert_eq!(of_cats[0]["positive"], "a cat purrs by moving its vocal cords quickly");
    for pair in &kept {
        let negatives = pair["negatives"].as_array().expect("a list");
        assert_eq!(negatives.len(), 1);
        assert_ne!(negatives[0], pair["positive"]);
    }
    let mode = fs::metadata(&out).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "texts of one's own");
    assert_eq!(ada.fails(&["model", "near", "/none", "--out", text(&out)]).kind, "usage");
    let other = ada.fails(&["model", "near", text(&pairs), "--model", "x", "--out", text(&out)]);
    assert_eq!(other.kind, "not_found");
    assert_eq!(fs::read_to_string(&out).expect("is there"), written, "left as it was");
}

#[test]
fn a_model_learns_from_what_was_mined() {
    let ada = Person::new("ada");
    garden(&ada, 160);
    let train = |name: &str, more: &[&str]| {
        ada.json(&[&["model", "train", "--name", name, "--batch", "16"], more].concat())
    };
    let reply = train("mined", &["--mine"]);
    assert_eq!(reply["mined"]["pairs"]["title"], 160, "{reply}");
    assert_eq!(reply["mined"]["path"], Value::Null);
    let learnt = reply["pairs"].as_u64().zip(reply["held_out_pairs"].as_u64());
    assert!(learnt.is_some_and(|(pairs, held)| pairs + held == 160 && held > 0), "{reply}");
    let (before, after) = (reply["held_out_before"].as_f64(), reply["held_out"].as_f64());
    assert!(after < before, "{before:?} to {after:?}");
    let left = fs::read_dir(ada.home().join("cache")).expect("lists").flatten();
    let left: Vec<_> =
        left.filter(|it| it.file_name().to_string_lossy().contains("mined")).collect();
    assert!(left.is_empty(), "the texts are gone again");

    // The file and both together give the same.
    let out = ada.dir().join("pairs.jsonl");
    mine(&ada, &["--collection", "garden"]);
    let by_file = train("by-file", &["--pairs", text(&out)]);
    assert_eq!(by_file["model"]["id"], reply["model"]["id"]);
    assert_eq!(by_file["mined"], Value::Null);
    let both = train("both", &["--pairs", text(&out), "--mine", "garden"]);
    assert_eq!((&both["dropped"]["repeated"], &both["pairs"]), (&json!(160), &reply["pairs"]));
    assert_eq!(ada.fails(&["model", "train", "--name", "x"]).kind, "usage");
    assert_eq!(ada.fails(&["model", "train", "--name", "x", "--mine", "none"]).kind, "not_found");
}

#[test]
fn negatives_are_of_other_documents_and_no_copies() {
    let ada = Person::new("ada");
    let fruits = ["pears", "plums", "apples", "cherries"];
    let note = |year: usize| {
        let fruit = fruits[year % fruits.len()];
        format!(
            "# Growing {fruit} in year {year:02}\n\nHow {fruit} grow in a garden: year {year:02} of the diary of growing {fruit}.\n"
        )
    };
    for year in 0..60 {
        ada.write(&format!("diary/{year:02}.md"), note(year));
    }
    ada.write("diary/copy.md", note(0).replace("Growing", "More on growing"));
    add(&ada, "diary");
    let (reply, all) = mine(&ada, &["--negatives", "3"]);
    let negatives = |pair: &Value| -> Vec<String> {
        let list = pair["negatives"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
    };
    let count: usize = all.iter().map(|pair| negatives(pair).len()).sum();
    assert_eq!(reply["negatives"], count);
    assert!(count > 61, "most pairs have some: {count}");
    for pair in &all {
        let positive = pair["positive"].as_str().expect("text");
        let (anchor, texts) = (pair["anchor"].as_str().expect("text"), negatives(pair));
        assert!(texts.len() <= 3);
        // Neither its own document, which has the heading as well, nor the copy.
        let own = |text: &String| text.contains(positive) || text.contains(anchor);
        assert!(!texts.iter().any(own), "{pair}");
    }
    assert_eq!(ada.fails(&["model", "mine", "--out", "x", "--negatives", "65"]).kind, "usage");
    let again = mine(&ada, &["--negatives", "3"]);
    assert_eq!(again, (reply, all));
}

#[test]
fn an_interrupted_mining_leaves_no_file_and_an_indexed_folder_takes_none() {
    let ada = Person::new("ada");
    assert_eq!(ada.fails(&["model", "mine", "--out", "pairs.jsonl"]).kind, "not_found");
    garden(&ada, 400);
    let inside = ada.dir().join("garden/pairs.jsonl");
    assert_eq!(ada.fails(&["model", "mine", "--out", text(&inside)]).kind, "usage");
    let folder = ada.dir().join("out");
    fs::create_dir(&folder).expect("makes it");
    let out = folder.join("pairs.jsonl");
    let mut command = ada.command();
    command.args(["model", "mine", "--negatives", "8", "--out", text(&out)]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    wait_until("the file to be begun", || fs::read_dir(&folder).expect("lists").count() > 0);
    // It may be through already, which is fine, too.
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    let code = child.wait().expect("ends").code();
    let left: Vec<_> =
        fs::read_dir(&folder).expect("lists").flatten().map(|it| it.path()).collect();
    match code {
        Some(130) => assert!(left.is_empty(), "{left:?}"),
        Some(0) => assert_eq!((left, pairs(&out).len()), (vec![out.clone()], 400)),
        other => panic!("{other:?}"),
    }
}
