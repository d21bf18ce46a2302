//! A folder as people have them: with all that cannot be indexed.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use covey_tests::Person;
use serde_json::{Value, json};

const GOOD: &str = "Descale the kettle with citric acid and rinse it three times.";

#[test]
fn what_cannot_be_indexed_is_skipped_with_the_reason_and_harms_nothing() {
    let ada = Person::new("ada");
    let good = ada.write("stuff/good.txt", GOOD);
    ada.write("stuff/empty.txt", "");
    ada.write("stuff/blank.md", " \n\n \n");
    ada.write("stuff/image.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0".repeat(50));
    ada.write("stuff/latin1.txt", b"caf\xe9 cr\xe8me ".repeat(40));
    ada.write("stuff/broken.pdf", "%PDF-1.7\nthis is no PDF at all");
    let folder = good.parent().expect("a folder");
    let huge = File::create(folder.join("huge.txt")).expect("creates");
    huge.set_len(65 << 20).expect("a sparse file");
    std::fs::write(
        folder.join(OsStr::from_bytes(b"odd-\xff.txt")),
        "A kettle in a file with an odd name.",
    )
    .expect("writes");
    symlink("/dev/zero", folder.join("zero.txt")).expect("links");
    symlink("nowhere", folder.join("dangling.txt")).expect("links");
    symlink("..", folder.join("loop")).expect("links");
    let _socket = UnixListener::bind(folder.join("socket.txt")).expect("binds");
    let pipe =
        Command::new("mkfifo").arg(folder.join("pipe.txt")).status().expect("mkfifo is there");
    assert!(pipe.success());
    let locked = ada.write("stuff/locked.txt", "Nobody may read this.");
    std::fs::set_permissions(&locked, Permissions::from_mode(0o000)).expect("locks");
    let readable = File::open(&locked).is_ok();

    let folder = folder.to_str().expect("a plain path");
    let added = ada.json(&["add", folder]);
    let expected = 2 + u64::from(readable);
    assert!(added["added"].as_u64().is_some_and(|n| n >= expected), "{added}");
    for name in ["empty.txt", "image.txt", "broken.pdf", "huge.txt"] {
        assert!(reason(&added, name).is_some_and(|it| !it.is_empty()), "{name} in {added}");
    }
    assert!(
        reason(&added, "huge.txt").is_some_and(|it| it.contains("large") || it.contains("MiB")),
        "{added}"
    );
    if !readable {
        assert!(reason(&added, "locked.txt").is_some(), "{added}");
    }
    assert_eq!(
        added["skipped"].as_array().map(Vec::len),
        added["skipped_total"].as_u64().map(|n| n as usize)
    );

    let found = ada.json(&["search", "descaling a kettle"]);
    assert_eq!(found["results"][0]["path"], json!(good));
    // Shown in words, the odd name included, without anything a terminal would act on.
    let shown = ada.run(&["search", "kettle in a file with an odd name"]);
    assert!(shown.stdout.contains("odd-\u{fffd}.txt"), "{shown:?}");
    let again = ada.json(&["add", folder]);
    assert_eq!((&again["added"], &again["embedded"]), (&json!(0), &json!(0)), "{again}");
}

fn reason(added: &Value, name: &str) -> Option<String> {
    let skipped = added["skipped"].as_array().expect("a list");
    let it =
        skipped.iter().find(|it| it["path"].as_str().is_some_and(|path| path.ends_with(name)))?;
    it["reason"].as_str().map(str::to_owned)
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let ada = Person::new("ada");
    let failure = ada.fails(&["add", "/nonexistent/notes"]);
    assert_eq!((failure.code, failure.kind.as_str()), (10, "not_found"));
    assert!(failure.message.contains("/nonexistent/notes"), "{failure:?}");
}

#[test]
fn a_changed_or_vanished_file_is_noticed() {
    let ada = Person::new("ada");
    let kettle = ada.write("notes/kettle.txt", GOOD);
    let pear = ada.write("notes/pear.txt", "Prune the pear tree in late winter.");
    let folder = kettle.parent().and_then(|it| it.to_str()).expect("a plain path");
    ada.json(&["add", folder]);
    std::fs::write(&kettle, "Something else entirely is written here now, about gears.")
        .expect("writes");
    std::fs::remove_file(&pear).expect("removes");
    let found = ada.json(&["search", "descaling a kettle"]);
    assert_eq!(found["results"], json!([]), "no text that is not in the file: {found}");
    assert!(found["stale"].as_u64().is_some_and(|n| n > 0), "{found}");
    let added = ada.json(&["add", folder]);
    assert_eq!((&added["changed"], &added["removed"]), (&json!(1), &json!(1)), "{added}");
    assert_eq!(ada.json(&["search", "gears"])["results"][0]["path"], json!(kettle));
}
