//! Indexes in directories of their own, and exports: by real processes, without a node.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use covey_tests::{Person, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("is there");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_folder_is_indexed_searched_and_exported_without_a_node() {
    let ada = Person::without_node("ada");
    ada.write("papers/pear.md", "# Pears\n\nPears ripen after they are picked.\n");
    ada.write("papers/plum.txt", "Plums ripen on the tree.\n");
    let (folder, index) = (ada.dir().join("papers"), ada.dir().join("papers.index"));
    let built = ada.json(&["index", "build", text(&folder), "--out", text(&index)]);
    assert_eq!((&built["type"], &built["added"]), (&"added".into(), &2.into()));
    let found = ada.json(&["search", "--index", text(&index), "When do pears ripen?"]);
    assert_eq!(found["results"][0]["title"], "pear.md › Pears");
    assert_eq!(found["results"][0]["path"], text(&folder.join("pear.md")));
    for command in ["info", "verify", "compact"] {
        ada.json(&["index", command, text(&index)]);
    }
    let out = ada.dir().join("papers.jsonl");
    let done = ada.json(&["index", "export", text(&index), "--out", text(&out), "--format", "npy"]);
    assert_eq!((&done["chunks"], &done["stale"]), (&2.into(), &0.into()));
    let exported = lines(&out);
    assert_eq!(exported.len(), 2);
    let npy = fs::metadata(ada.dir().join("papers.npy")).expect("is there").len();
    assert_eq!(npy, 128 + 2 * 512 * 4);
    assert!(!ada.home().join("state").exists(), "no node was made");
    assert_eq!(ada.fails(&["index", "info", "./nowhere"]).kind, "not_found");
    let none = ada.fails(&["index", "export", "papers", "--out", text(&out)]);
    assert_eq!(none.kind, "not_found", "a name is that of a collection");
}

#[test]
fn a_build_that_is_interrupted_or_killed_goes_on_where_it_was() {
    let ada = Person::without_node("ada");
    let words = "orchards in the valley are pruned late in winter when sap is low ".repeat(12);
    for i in 0..3_000 {
        ada.write(&format!("papers/{i:04}.txt"), format!("paper{i} {words}"));
    }
    let (folder, index) = (ada.dir().join("papers"), ada.dir().join("papers.index"));
    let build = ["index", "build", text(&folder), "--out", text(&index)];
    for signal in [Signal::INT, Signal::KILL] {
        let mut command = ada.command();
        let quiet = command.args(build).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.spawn().expect("covey starts");
        wait_until("the index to appear", || index.join("manifest").exists());
        // It may be through already, which is fine, too.
        let _ = kill_process(Pid::from_child(&child), signal);
        let code = child.wait().expect("ends").code();
        assert!(code.is_none_or(|code| code == 130 || code == 0), "{signal:?}: {code:?}");
        if index.join("manifest").exists() {
            ada.json(&["index", "verify", text(&index)]);
        }
    }
    let built = ada.json(&build);
    let all = built["added"].as_u64().zip(built["unchanged"].as_u64()).map(|(a, b)| a + b);
    assert_eq!(all, Some(3_000));
    ada.json(&["index", "verify", text(&index)]);
    let found = ada.json(&["search", "--index", text(&index), "--mode", "lexical", "paper1234"]);
    assert_eq!(found["results"][0]["path"], text(&folder.join("1234.txt")));
}

#[test]
fn a_collection_is_exported_by_the_daemon_and_stale_files_are_named() {
    let ada = Person::new("ada");
    let pear = ada.write("notes/pear.txt", "Pears ripen after they are picked.");
    ada.write("notes/plum.txt", "Plums ripen on the tree.");
    ada.json(&["add", text(&ada.dir().join("notes"))]);
    let _daemon = ada.daemon();
    fs::write(&pear, "Quinces are hard until they are cooked for a while.").expect("writes");
    let out = ada.dir().join("notes.jsonl");
    let done = ada.json(&["index", "export", "notes", "--no-text", "--out", text(&out)]);
    assert_eq!((&done["chunks"], &done["stale"]), (&1.into(), &1.into()));
    assert_eq!(done["stale_files"][0], text(&pear));
    let exported = lines(&out);
    assert!(exported.len() == 1 && exported[0].get("text").is_none(), "{exported:?}");
    assert_eq!(exported[0]["name"], "plum.txt");
}
