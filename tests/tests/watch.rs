//! `covey watch`: what changes in a folder is found, without anybody typing `add` again.

use std::fs;
use std::process::{Child, Stdio};

use covey_tests::{Person, wait_for, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// A running `covey watch`; dropping it kills the process.
struct Watching(Child);

impl Watching {
    fn start(person: &Person) -> Self {
        Self::with(person, &["watch", "notes"])
    }

    fn with(person: &Person, arguments: &[&str]) -> Self {
        let mut command = person.command();
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("covey starts"))
    }

    /// Presses Ctrl-C; returns the exit code.
    fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), Signal::INT).expect("is there to be told");
        self.0.wait().expect("ends").code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Already gone where a test ended it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Names of the files with a line that has `word`, as the index has them.
fn found(person: &Person, word: &str) -> Vec<String> {
    let reply = person.json(&["search", "--mode", "lexical", word]);
    let results = reply["results"].as_array().expect("a list");
    let names = results.iter().filter_map(|it| {
        let path = std::path::Path::new(it["path"].as_str()?);
        Some(path.file_name()?.to_string_lossy().into_owned())
    });
    names.collect()
}

/// Adds, edits, renames and deletes files, and waits each time for the index to follow.
fn follow(ada: &Person) {
    let expect = |word: &str, files: &[&str]| {
        wait_until(&format!("{word} to be in {files:?}"), || found(ada, word) == files);
    };
    let quince = ada.write("notes/quince.md", "Quince jelly sets by itself.");
    expect("quince", &["quince.md"]);
    fs::write(&quince, "Medlars are eaten when they have bletted.").expect("writes");
    expect("medlars", &["quince.md"]);
    expect("quince", &[]);
    fs::rename(&quince, quince.with_file_name("medlar.md")).expect("renames");
    expect("medlars", &["medlar.md"]);
    ada.write("notes/deep/below/sorb.txt", "The sorb tree is rare.");
    expect("sorb", &["sorb.txt"]);
    fs::remove_file(quince.with_file_name("medlar.md")).expect("removes");
    expect("medlars", &[]);
    assert_eq!(found(ada, "sorb"), ["sorb.txt"]);
}

#[test]
fn a_watched_folder_is_kept_up_to_date_by_the_daemon() {
    let ada = Person::new("ada");
    ada.write("notes/pear.txt", "Pears are picked before they are ripe.");
    let folder = ada.dir().join("notes");
    ada.json(&["add", folder.to_str().expect("a plain path")]);
    let _daemon = ada.daemon();
    let watching = Watching::start(&ada);
    follow(&ada);
    assert_eq!(watching.interrupt(), Some(0));
}

#[test]
fn a_collection_that_is_added_is_watched_and_one_that_is_removed_stays_away() {
    let ada = Person::new("ada");
    ada.write("notes/pear.txt", "Pears are picked before they are ripe.");
    let [notes, other] = ["notes", "other"].map(|name| ada.dir().join(name));
    ada.json(&["add", notes.to_str().expect("a plain path")]);
    let _daemon = ada.daemon();
    let watching = Watching::with(&ada, &["watch"]);
    ada.write("notes/quince.txt", "Quince jelly sets by itself.");
    wait_until("the watch to run", || found(&ada, "quince") == ["quince.txt"]);

    ada.write("other/fig.txt", "Figs ripen in autumn.");
    ada.json(&["add", other.to_str().expect("a plain path")]);
    let medlar = ada.write("other/medlar.txt", "Medlars are eaten when they have bletted.");
    wait_until("the new folder to be watched", || found(&ada, "medlars") == ["medlar.txt"]);

    ada.json(&["remove", "other"]);
    fs::write(&medlar, "Medlars again.").expect("writes");
    ada.write("notes/sorb.txt", "The sorb tree is rare.");
    wait_until("the watch to go on", || found(&ada, "sorb") == ["sorb.txt"]);
    assert_eq!(found(&ada, "medlars"), Vec::<String>::new());
    let status = ada.json(&["status"]);
    assert_eq!(status["collections"].as_array().map(Vec::len), Some(1), "{status}");
    assert_eq!(watching.interrupt(), Some(0));
}

#[test]
fn without_a_daemon_the_command_does_it_and_catches_up_first() {
    let ada = Person::new("ada");
    ada.write("notes/pear.txt", "Pears are picked before they are ripe.");
    let folder = ada.dir().join("notes");
    ada.json(&["add", folder.to_str().expect("a plain path")]);
    ada.write("notes/late.txt", "The loquat came while nobody watched.");
    let watching = Watching::start(&ada);
    let caught_up = || (found(&ada, "loquat") == ["late.txt"]).then_some(());
    wait_for("the watch to catch up", caught_up);
    follow(&ada);
    assert_eq!(watching.interrupt(), Some(0));
    assert_eq!(ada.fails(&["watch", "nothing"]).kind, "not_found");
}
