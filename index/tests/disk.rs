//! Collections and files on a real disk: persistence, locks, damage, and folders as users have them.
#![cfg(unix)]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::common::{WordEncoder, ask, update};
use covey_index::{Collection, Disk, Encoder, IndexError, SearchOptions, SkipReason};

struct Home {
    temp: tempfile::TempDir,
    encoder: WordEncoder,
}

impl Home {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let home = Self { temp, encoder: WordEncoder::new(64) };
        home.write("bread.md", b"# Bread\n\nKnead the dough.\n");
        home.write("sub/bees.txt", b"A hive needs flowers.\n");
        home
    }

    fn notes(&self) -> PathBuf {
        fs::canonicalize(self.temp.path()).expect("exists").join("notes")
    }

    fn index(&self) -> PathBuf {
        self.temp.path().join("index")
    }

    fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
        let path = self.temp.path().join("notes").join(name);
        fs::create_dir_all(path.parent().expect("below notes")).expect("made");
        fs::write(&path, bytes).expect("written");
        path
    }

    fn build(&self) -> Collection {
        let mut collection = Collection::create(&self.index(), &self.encoder).expect("made");
        update(&mut collection, self.notes(), &Disk, &self.encoder);
        collection
    }

    fn segment_file(&self) -> PathBuf {
        let entries = fs::read_dir(self.index()).expect("lists");
        entries
            .map(|entry| entry.expect("entry").path())
            .find(|path| {
                path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"content-"))
            })
            .expect("there is a segment")
    }
}

#[test]
fn what_is_closed_is_found_again_when_opened() {
    let home = Home::new();
    let stats = home.build().stats();
    let mut collection = Collection::open(&home.index()).expect("opens");
    assert_eq!(collection.stats(), stats);
    assert_eq!(collection.roots(), [home.notes()]);
    let result = ask(&collection, "hive", 1, &Disk, &home.encoder);
    assert_eq!(result.hits[0].path, home.notes().join("sub/bees.txt"));
    assert_eq!(result.hits[0].title, "sub/bees.txt");
    assert_eq!(result.hits[0].text, "A hive needs flowers.");
    let report = update(&mut collection, home.notes(), &Disk, &home.encoder);
    assert_eq!((report.unchanged, report.embedded), (2, 0));
    let verified = collection.verify().expect("sound");
    assert_eq!((verified.files, verified.unreachable), (2, 0));
}

#[test]
fn only_the_user_can_read_the_index() {
    let home = Home::new();
    drop(home.build());
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&home.index()), 0o700);
    for entry in fs::read_dir(home.index()).expect("lists") {
        let path = entry.expect("entry").path();
        assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let home = Home::new();
    let collection = home.build();
    assert!(matches!(Collection::open(&home.index()), Err(IndexError::Locked { .. })));
    let mut reader = Collection::open_read_only(&home.index()).expect("reads beside the writer");
    assert_eq!(ask(&reader, "hive", 1, &Disk, &home.encoder).hits.len(), 1);
    assert!(matches!(reader.remove_root(&home.notes()), Err(IndexError::ReadOnly)));
    drop(collection);
    Collection::open(&home.index()).expect("the lock goes with its holder");
}

#[test]
fn a_place_without_an_index_or_with_one_is_named() {
    let home = Home::new();
    assert!(matches!(Collection::open(&home.index()), Err(IndexError::NotFound { .. })));
    drop(home.build());
    let again = Collection::create(&home.index(), &home.encoder);
    assert!(matches!(again, Err(IndexError::AlreadyExists { .. })));
}

#[test]
fn remains_of_an_interrupted_write_are_removed() {
    let home = Home::new();
    drop(home.build());
    let stray = ["tmp-content-0000000000000009", "codes-0000000000000009", "tmp-manifest"];
    for name in stray {
        fs::write(home.index().join(name), b"half").expect("written");
    }
    fs::write(home.index().join("mine.txt"), b"not ours").expect("written");
    Collection::open(&home.index()).expect("opens");
    assert!(stray.iter().all(|name| !home.index().join(name).exists()));
    assert!(home.index().join("mine.txt").exists());
}

#[test]
fn erasing_takes_what_is_ours_and_nothing_else() {
    let home = Home::new();
    let collection = home.build();
    assert!(matches!(Collection::erase(&home.index()), Err(IndexError::Locked { .. })));
    drop(collection);
    let foreign = ["mine.txt", "content-notes", "tmp-content-7", "codec-00000000000000zz"];
    for name in foreign {
        fs::write(home.index().join(name), b"not ours").expect("written");
    }
    fs::write(home.index().join("tmp-codes-0000000000000009"), b"half").expect("written");
    Collection::erase(&home.index()).expect("erases");
    let mut left: Vec<_> = names(&home.index());
    left.sort();
    assert_eq!(left, ["codec-00000000000000zz", "content-notes", "mine.txt", "tmp-content-7"]);
    Collection::erase(&home.temp.path().join("nowhere")).expect("nothing to do");
    drop(home.build());
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("lists");
    entries.map(|it| it.expect("entry").file_name().into_string().expect("text")).collect()
}

#[test]
fn a_reader_writes_nothing_and_does_not_hide_what_is_wrong() {
    let home = Home::new();
    drop(home.build());
    let lexical = home.index().join("lexical");
    for lock in names(&lexical).into_iter().filter(|name| name.ends_with(".lock")) {
        fs::remove_file(lexical.join(lock)).expect("removes");
    }
    let listed = || (names(&home.index()).len(), names(&lexical));
    let before = listed();
    let reader = Collection::open_read_only(&home.index()).expect("opens");
    let words = |reader: &Collection| {
        reader.snapshot().search_words("hive", 1, &Disk, &SearchOptions::default())
    };
    assert_eq!(words(&reader).expect("has words").hits.len(), 1);
    reader.verify().expect("sound");
    assert_eq!(listed(), before);

    fs::remove_file(lexical.join("meta.json")).expect("removes");
    let before = listed();
    let reader = Collection::open_read_only(&home.index()).expect("opens");
    assert!(matches!(words(&reader), Err(IndexError::NoWords)));
    let error = reader.verify().expect_err("its words are damaged");
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(listed(), before);
    let mut writer = Collection::open(&home.index()).expect("opens");
    update(&mut writer, home.notes(), &Disk, &home.encoder);
    assert_eq!(words(&writer).expect("made anew").hits.len(), 1);
    writer.verify().expect("sound");
}

#[test]
fn what_is_made_for_another_release_counts_as_well() {
    let home = Home::new();
    let mut collection = home.build();
    let next = WordEncoder::new(64).with_id(7, 2);
    let step = collection.recode_step(&Disk, &next, 0).expect("begins").expect("has chunks");
    let mut go_on = |_| std::ops::ControlFlow::Continue(());
    let part = step.run(&Disk, &next, 64, &mut go_on).expect("runs").expect("not interrupted");
    let before = collection.stats().index_bytes;
    assert!(collection.accept(part).expect("accepts"));
    let taken = |collection: &Collection| {
        let files = fs::read_dir(home.index()).expect("lists").map(|it| it.expect("entry"));
        let ours = files.filter(|file| file.file_name() != "lexical" && file.file_name() != "lock");
        let taken: u64 = ours.map(|file| file.metadata().expect("there").len()).sum();
        assert_eq!(collection.stats().index_bytes, taken);
        taken
    };
    assert!(taken(&collection) > before);
    drop(collection);
    let mut collection = Collection::open(&home.index()).expect("opens");
    taken(&collection);
    collection.abandon_recode().expect("forgets");
    assert_eq!(taken(&collection), before);
}

#[test]
fn a_damaged_segment_is_named_and_repaired_by_indexing_its_files_again() {
    let home = Home::new();
    drop(home.build());
    let path = home.segment_file();
    let mut bytes = fs::read(&path).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");

    let Err(IndexError::Corrupt { file, what }) = Collection::open(&home.index()) else {
        panic!("a damaged segment was accepted");
    };
    assert!(path.ends_with(&file) && what.starts_with("IDX-0"), "{file}: {what}");
    let (mut collection, errors) = Collection::repair(&home.index()).expect("repairs");
    assert_eq!(errors.len(), 1);
    assert_eq!(collection.stats().files, 0);
    let report = update(&mut collection, home.notes(), &Disk, &home.encoder);
    assert_eq!(report.added, 2);
    drop(collection);
    Collection::open(&home.index()).expect("sound again").verify().expect("sound");
}

#[test]
fn a_missing_or_swapped_segment_is_noticed() {
    let home = Home::new();
    drop(home.build());
    let path = home.segment_file();
    let other = Home::new();
    other.write("other.txt", b"something else");
    drop(other.build());
    fs::copy(other.segment_file(), &path).expect("copied");
    let swapped = Collection::open(&home.index()).err();
    assert!(
        matches!(&swapped, Some(IndexError::Corrupt { what, .. }) if what.starts_with("IDX-23"))
    );
    fs::remove_file(&path).expect("removed");
    assert!(matches!(Collection::open(&home.index()), Err(IndexError::Io { .. })));
    let (collection, errors) = Collection::repair(&home.index()).expect("repairs");
    assert_eq!((errors.len(), collection.stats().segments), (1, 0));
}

#[test]
fn every_damaged_manifest_is_an_error_and_another_version_is_told_apart() {
    let home = Home::new();
    drop(home.build());
    let path = home.index().join("manifest");
    let good = fs::read(&path).expect("reads");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).expect("written");
        let error = Collection::open(&home.index()).err();
        let version = (8..12).contains(&at);
        assert_eq!(matches!(error, Some(IndexError::Version { .. })), version, "byte {at}");
        assert_eq!(matches!(error, Some(IndexError::Corrupt { .. })), !version, "byte {at}");
    }
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).expect("written");
        assert!(Collection::open(&home.index()).is_err(), "cut at {length}");
    }
}

#[test]
fn another_model_is_refused_with_what_differs() {
    let home = Home::new();
    let collection = home.build();
    let query = home.encoder.one("hive");
    for (base, release, word) in [(9, 1, "built with model"), (7, 9, "release")] {
        let other = WordEncoder::new(64).with_id(base, release);
        let error = collection
            .search(&query, 1, &Disk, &other, &SearchOptions::default())
            .expect_err("another model");
        let IndexError::WrongModel(models) = &error else {
            panic!("{error}");
        };
        assert_eq!((models.index, models.encoder), (home.encoder.id(), other.id()));
        assert_eq!(models.base_differs(), base == 9);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn links_are_not_followed_and_hidden_or_ignored_files_are_not_seen() {
    let home = Home::new();
    let outside = home.temp.path().join("outside.txt");
    fs::write(&outside, b"not in the folder").expect("written");
    symlink(&outside, home.notes().join("link.txt")).expect("linked");
    symlink(home.notes(), home.notes().join("sub/loop")).expect("linked");
    home.write(".hidden.txt", b"hidden");
    home.write("build/out.txt", b"ignored");
    home.write(".gitignore", b"build/\n");
    let mut collection = Collection::create(&home.index(), &home.encoder).expect("made");
    let report = update(&mut collection, home.notes(), &Disk, &home.encoder);
    assert_eq!(report.added, 2);
    let mut skipped = report.skipped;
    skipped.sort_by(|a, b| a.0.cmp(&b.0));
    let links = [home.notes().join("link.txt"), home.notes().join("sub/loop")];
    assert_eq!(skipped, links.map(|path| (path, SkipReason::Link)));
}

#[test]
fn a_link_put_in_a_files_place_is_not_read() {
    let home = Home::new();
    let collection = home.build();
    let path = home.notes().join("sub/bees.txt");
    let copy = home.temp.path().join("copy.txt");
    fs::rename(&path, &copy).expect("moved");
    symlink(&copy, &path).expect("linked");
    let result = ask(&collection, "hive", 9, &Disk, &home.encoder);
    assert_eq!((result.hits.len(), result.stale), (1, 1));
}

#[test]
fn a_pipe_is_skipped_and_blocks_nobody() {
    let home = Home::new();
    let pipe = home.notes().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("made");
    let mut collection = Collection::create(&home.index(), &home.encoder).expect("made");
    let report = update(&mut collection, home.notes(), &Disk, &home.encoder);
    assert_eq!(report.skipped, [(pipe, SkipReason::Special)]);
}

#[test]
fn names_need_not_be_utf8() {
    let home = Home::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
    let path = home.write(name, b"espresso and a croissant\n");
    drop(home.build());
    let collection = Collection::open(&home.index()).expect("opens");
    let result = ask(&collection, "espresso", 1, &Disk, &home.encoder);
    assert_eq!(result.hits[0].path.file_name(), path.file_name());
    assert_eq!(result.hits[0].title, "caf\u{fffd}.txt");
}

#[test]
fn one_file_can_be_a_root() {
    let home = Home::new();
    let file = home.notes().join("bread.md");
    let mut collection = Collection::create(&home.index(), &home.encoder).expect("made");
    let report = update(&mut collection, &file, &Disk, &home.encoder);
    assert_eq!((report.added, &report.root), (1, &file));
    fs::write(&file, b"only water and flour\n").expect("written");
    let report = update(&mut collection, &file, &Disk, &home.encoder);
    assert_eq!(report.changed, 1);
    let result = ask(&collection, "flour", 1, &Disk, &home.encoder);
    assert_eq!((result.hits[0].title.as_str(), &result.hits[0].path), ("bread.md", &file));
}

#[test]
fn a_root_that_is_away_keeps_what_is_known_of_it() {
    let home = Home::new();
    let mut collection = home.build();
    let away = home.temp.path().join("away");
    fs::rename(home.notes(), &away).expect("moved");
    let notes = home.temp.path().join("notes");
    let options = covey_index::UpdateOptions::default();
    let error =
        collection
            .update(&notes, &Disk, &home.encoder, &options, &mut |_| {
                std::ops::ControlFlow::Continue(())
            })
            .expect_err("the folder is gone");
    assert!(matches!(error, IndexError::RootUnreadable { .. }));
    assert_eq!(ask(&collection, "hive", 9, &Disk, &home.encoder).stale, 2);
    fs::rename(&away, &notes).expect("moved back");
    assert_eq!(ask(&collection, "hive", 9, &Disk, &home.encoder).hits.len(), 2);
}

#[test]
fn a_folder_that_may_not_be_entered_keeps_what_is_known_of_it() {
    let home = Home::new();
    let mut collection = home.build();
    let sub = home.notes().join("sub");
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o000)).expect("set");
    let may_enter = fs::read_dir(&sub).is_ok();
    let report = update(&mut collection, home.notes(), &Disk, &home.encoder);
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o700)).expect("set");
    // The superuser enters anyway, and then the file is simply unchanged.
    assert_eq!(report.skipped_count, usize::from(!may_enter));
    assert_eq!(report.removed, 0);
    assert_eq!(ask(&collection, "hive", 9, &Disk, &home.encoder).hits.len(), 2);
}

#[test]
fn a_pdf_is_found_by_its_text() {
    let home = Home::new();
    home.write("paper.pdf", &crate::common::pdf("Telescopes gather faint starlight"));
    let collection = home.build();
    for _ in 0..2 {
        let result = ask(&collection, "faint starlight", 1, &Disk, &home.encoder);
        assert!(result.hits[0].text.contains("Telescopes gather faint starlight"));
        assert_eq!(result.hits[0].title, "paper.pdf");
    }
}
