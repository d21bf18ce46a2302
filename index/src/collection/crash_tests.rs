//! A machine that dies, or a disk that fills up, at every single step of an update.

mod forged;
mod recode;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::content::{FileHash, Kind, NewFile, Passage};
use crate::files::MemoryFiles;
use crate::fixture::WordEncoder;
use crate::store::Fault;
use crate::vectors::Rows;

type Live = BTreeMap<PathBuf, FileHash>;

fn live(collection: &Collection) -> Live {
    let parts = collection.snapshot.parts().iter();
    let files =
        parts.flat_map(|part| part.live_files().map(|(_, file)| (file.path.clone(), file.hash)));
    let mut live = Live::new();
    for (path, hash) in files {
        assert!(live.insert(path, hash).is_none(), "a file is alive twice");
    }
    live
}

fn change(files: &MemoryFiles) {
    files.insert("/n/a", "the first file, now changed");
    files.remove("/n/b");
    files.insert("/n/d", "the fourth file is new");
    files.insert("/n/e", "and so is the fifth");
}

fn update(
    collection: &mut Collection,
    files: &MemoryFiles,
    segment_chunks: usize,
) -> Result<UpdateReport, IndexError> {
    let encoder = WordEncoder::new(16);
    let options = UpdateOptions { segment_chunks, ..UpdateOptions::default() };
    collection.update(
        Path::new("/n"),
        files,
        &encoder,
        &options,
        &mut |_| ControlFlow::Continue(()),
    )
}

/// A collection of three files in `dir`, and the files.
fn start(dir: &Path) -> MemoryFiles {
    let files = MemoryFiles::new();
    files.insert("/n/a", "the first file");
    files.insert("/n/b", "the second file");
    files.insert("/n/c", "the third file");
    let mut collection = Collection::create(dir, &WordEncoder::new(16)).expect("made");
    update(&mut collection, &files, 8192).expect("updates");
    files
}

/// Runs the update with the fault after ever more steps, until it no longer strikes, and hands each
/// state found after reopening to `check`.
fn crash_everywhere(
    segment_chunks: usize,
    kind: io::ErrorKind,
    check: impl Fn(&Live, &Live, &Live),
) {
    for steps in 0.. {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let dir = temp.path().join("index");
        let files = start(&dir);
        let before = live(&Collection::open(&dir).expect("opens"));
        change(&files);

        let fault = Fault::at(steps..usize::MAX, kind);
        let store = DirStore::locked(&dir).expect("locks").with_fault(Arc::clone(&fault));
        let mut collection = Collection::open_in(Box::new(store), true).expect("opens");
        let outcome = update(&mut collection, &files, segment_chunks);
        let in_memory = live(&collection);
        drop(collection);

        let mut collection = Collection::open(&dir).expect("a crash leaves a sound index");
        collection.verify().expect("sound");
        let found = live(&collection);
        let names = collection.store.names().expect("lists");
        assert_eq!(names.len(), 1 + collection.manifest.names().len(), "no remains: {names:?}");

        update(&mut collection, &files, segment_chunks).expect("continues");
        let after = live(&collection);
        check(&before, &found, &after);
        match outcome {
            Ok(_) => assert_eq!((&found, &in_memory), (&after, &after), "step {steps}"),
            Err(error) => {
                let full = matches!(error, IndexError::DiskFull { .. });
                assert_eq!(full, kind == io::ErrorKind::StorageFull, "{error}");
            }
        }
        if !fault.struck() {
            assert!(steps > 8, "the update takes more steps than {steps}");
            return;
        }
    }
}

#[test]
fn a_crash_leaves_the_state_before_or_the_state_after() {
    crash_everywhere(8192, io::ErrorKind::Other, |before, found, after| {
        assert!(found == before || found == after, "{found:?}");
    });
}

#[test]
fn a_full_disk_loses_nothing_and_says_so() {
    crash_everywhere(8192, io::ErrorKind::StorageFull, |before, found, after| {
        assert!(found == before || found == after, "{found:?}");
    });
}

#[test]
fn with_checkpoints_each_file_is_in_its_state_before_or_after() {
    crash_everywhere(1, io::ErrorKind::Other, |before, found, after| {
        for path in before.keys().chain(after.keys()) {
            let state = found.get(path);
            assert!(state == before.get(path) || state == after.get(path), "{path:?}");
        }
    });
}

#[test]
fn after_a_passing_failure_the_same_collection_goes_on() {
    for steps in 0.. {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let dir = temp.path().join("index");
        let files = start(&dir);
        change(&files);
        let fault = Fault::at(steps..steps + 1, io::ErrorKind::StorageFull);
        let store = DirStore::locked(&dir).expect("locks").with_fault(Arc::clone(&fault));
        let mut collection = Collection::open_in(Box::new(store), true).expect("opens");
        let first = update(&mut collection, &files, 8192);
        assert!(first.is_ok() || fault.struck(), "step {steps}");
        files.insert("/n/f", "the sixth file comes after the failure");
        // Dies before its own manifest is in place: what is on disk must hold together anyway.
        let mut between = collection.manifest.clone();
        let encoder = WordEncoder::new(16);
        let mut content = ContentBuilder::default();
        content.push(NewFile {
            root: "/n".into(),
            relative: "x".into(),
            kind: Kind::current(crate::document::Format::Text, true),
            stat: crate::files::FileStat { size: 1, mtime_ns: 1 },
            hash: [0; 16],
            text_len: 1,
            passages: vec![Passage { span: 0..1, section: 0 }],
            sections: vec![Default::default()],
            kept: Vec::new(),
        });
        let (number, codec) =
            collection.codecs.iter().next().map(|(n, c)| (*n, c.clone())).expect("has one");
        let mut codes = CodedBuilder::new(codec);
        codes.push_vectors(Rows::new(&encoder.one("x"), 16));
        let written = collection.write_segment(&mut between, content, codes, number, 0);
        assert!(written.is_ok() || fault.struck(), "step {steps}");
        drop(collection);

        let mut collection = Collection::open(&dir).expect("sound");
        update(&mut collection, &files, 8192).expect("updates");
        assert_eq!(live(&collection).len(), 5);
        if !fault.struck() {
            return;
        }
    }
}

#[test]
fn going_back_after_a_failure_is_no_less_durable_than_going_on() {
    for steps in 0.. {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let dir = temp.path().join("index");
        start(&dir);
        let fault = Fault::at(steps..steps + 1, io::ErrorKind::Other);
        let store = DirStore::locked(&dir).expect("locks").with_fault(Arc::clone(&fault));
        let mut collection = Collection::open_in(Box::new(store), true).expect("opens");
        let before = collection.settings();
        let other = Settings { recompute: before.recompute + 1, ..before };
        let changed = collection.set_settings(other);
        if changed.is_ok() {
            assert!(steps > 3, "saving takes more steps than {steps}");
            return;
        }
        collection.set_settings(before).expect("the disk is well again");
        drop(collection);
        let found = Collection::open(&dir).expect("sound").settings();
        assert_eq!(found, before, "step {steps}");
    }
}
