//! Updating a collection: what is read, embedded, kept, skipped and forgotten.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::common::{WordEncoder, ask, update};
use covey_index::{
    Collection, FileStat, Files, IndexError, MemoryFiles, Progress, SearchOptions, SkipReason,
    Stage, UpdateOptions, UpdateReport, Walked,
};

const NOTES: &str = "/notes";

fn three_files() -> MemoryFiles {
    let files = MemoryFiles::new();
    files.insert("/notes/bread.md", "# Bread\n\nKnead the dough and let it rise overnight.\n");
    files.insert("/notes/bees.txt", "A hive needs water, flowers and a quiet corner.\n");
    files.insert(
        "/notes/code/sum.rs",
        "fn sum(values: &[i32]) -> i32 {\n    values.iter().sum()\n}\n",
    );
    files
}

fn indexed(files: &MemoryFiles, encoder: &WordEncoder) -> Collection {
    let mut collection = Collection::in_memory(encoder).expect("made");
    update(&mut collection, NOTES, files, encoder);
    collection
}

#[test]
fn what_is_added_is_found_with_its_place_and_title() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    let collection = indexed(&files, &encoder);

    let result = ask(&collection, "let the dough rise", 2, &files, &encoder);
    let hit = &result.hits[0];
    assert_eq!(hit.path, Path::new("/notes/bread.md"));
    assert_eq!(hit.title, "Bread");
    let text = "# Bread\n\nKnead the dough and let it rise overnight.\n";
    assert_eq!(hit.text, text[hit.span.clone()]);
    assert!((hit.score - encoder.dot("let the dough rise", &hit.text)).abs() < 1e-5);
    assert_eq!(result.hits.len(), 2);

    let result = ask(&collection, "hive water flowers", 1, &files, &encoder);
    assert_eq!(result.hits[0].title, "bees.txt");
}

#[test]
fn a_second_update_embeds_nothing() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    let mut collection = indexed(&files, &encoder);
    let before = encoder.encoded();
    let report = update(&mut collection, NOTES, &files, &encoder);
    assert_eq!((report.added, report.changed, report.removed, report.unchanged), (0, 0, 0, 3));
    assert_eq!(encoder.encoded(), before);
}

#[test]
fn only_what_changed_is_embedded() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    let mut collection = indexed(&files, &encoder);
    let before = encoder.encoded();

    files.insert("/notes/bees.txt", "Bees dance to tell of flowers.\n");
    files.insert("/notes/new.txt", "A new thought about telescopes.\n");
    files.remove("/notes/bread.md");
    let report = update(&mut collection, NOTES, &files, &encoder);

    assert_eq!((report.added, report.changed, report.removed, report.unchanged), (1, 1, 1, 1));
    assert_eq!(encoder.encoded() - before, 2);
    assert_eq!(report.embedded, 2);
    let result = ask(&collection, "bees dance", 9, &files, &encoder);
    assert_eq!(result.hits[0].text, "Bees dance to tell of flowers.");
    assert_eq!(result.hits.len(), 3);
    assert_eq!(result.stale, 0);
}

#[test]
fn a_file_written_again_with_the_same_contents_is_not_embedded() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    let mut collection = indexed(&files, &encoder);
    let before = encoder.encoded();
    files.insert("/notes/bees.txt", "A hive needs water, flowers and a quiet corner.\n");
    let result = ask(&collection, "hive", 3, &files, &encoder);
    assert_eq!((result.hits.len(), result.stale), (3, 0), "its hash speaks for it");
    let queried = encoder.encoded();

    let report = update(&mut collection, NOTES, &files, &encoder);
    assert_eq!((report.unchanged, report.changed), (3, 0));
    assert_eq!(encoder.encoded(), queried);
    assert!(queried > before);
}

#[test]
fn chunks_of_changed_and_vanished_files_are_passed_over_and_counted() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    let collection = indexed(&files, &encoder);
    files.insert("/notes/bees.txt", "A hive needs water, flowers and a quiet corneR.\n");
    files.remove("/notes/bread.md");
    let result = ask(&collection, "hive dough", 9, &files, &encoder);
    assert_eq!(result.stale, 2);
    assert_eq!(result.hits.len(), 1);
    assert_eq!(result.hits[0].path, Path::new("/notes/code/sum.rs"));
}

#[test]
fn what_cannot_be_indexed_is_told_with_the_reason() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    files.insert("/notes/empty.txt", "");
    files.insert("/notes/blank.txt", " \n\n");
    files.insert("/notes/program", vec![0x7f, b'E', b'L', b'F', 0, 1, 2]);
    files.insert("/notes/photo.jpg", "not read at all");
    files.insert("/notes/huge.txt", "word ".repeat(1000));
    files.insert("/notes/locked.txt", "secret");
    files.set_readable("/notes/locked.txt", false);
    files.insert("/notes/latin.txt", vec![0xe4; 100]);
    files.insert("/notes/broken.pdf", "%PDF-1.4 nothing more");
    let mut options = UpdateOptions::default();
    options.max_file_bytes = 4096;

    let mut collection = Collection::in_memory(&encoder).expect("made");
    let report = collection
        .update(Path::new(NOTES), &files, &encoder, &options, &mut |_| ControlFlow::Continue(()))
        .expect("updates");
    let mut skipped: Vec<(String, SkipReason)> = report
        .skipped
        .into_iter()
        .map(|(path, reason)| (path.display().to_string(), reason))
        .collect();
    skipped.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<&str> = skipped.iter().map(|(path, _)| &path["/notes/".len()..]).collect();
    assert_eq!(
        names,
        [
            "blank.txt",
            "broken.pdf",
            "empty.txt",
            "huge.txt",
            "latin.txt",
            "locked.txt",
            "photo.jpg",
            "program"
        ]
    );
    let reasons: Vec<SkipReason> = skipped.into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons[0], SkipReason::Empty);
    assert!(matches!(reasons[1], SkipReason::ExtractionFailed(_)));
    assert_eq!(reasons[2], SkipReason::Empty);
    assert_eq!(reasons[3], SkipReason::TooLarge { size: 5000, limit: 4096 });
    assert_eq!(reasons[4], SkipReason::NotUtf8);
    assert!(matches!(reasons[5], SkipReason::Unreadable(_)));
    assert_eq!(reasons[6], SkipReason::Unsupported("jpg".into()));
    assert_eq!(reasons[7], SkipReason::Binary);
    assert_eq!(report.added, 3);
    assert_eq!(report.skipped_count, 8);
}

fn numbered(count: usize) -> MemoryFiles {
    let files = MemoryFiles::new();
    for (i, text) in crate::common::topics(count, 20, 4).into_iter().enumerate() {
        files.insert(format!("/notes/{i:05}.txt"), text);
    }
    files
}

fn update_until(
    collection: &mut Collection,
    files: &MemoryFiles,
    encoder: &WordEncoder,
    options: &UpdateOptions,
    mut go_on: impl FnMut(&Progress) -> bool,
) -> UpdateReport {
    let mut progress = |event: Progress| match go_on(&event) {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    collection.update(Path::new(NOTES), files, encoder, options, &mut progress).expect("updates")
}

#[test]
fn a_cancelled_update_keeps_what_was_done_and_goes_on_later() {
    let (files, encoder) = (numbered(100), WordEncoder::new(32));
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let mut options = UpdateOptions::default();
    options.batch = 10;
    let report = update_until(&mut collection, &files, &encoder, &options, |event| {
        event.chunks_embedded < 50
    });
    assert!(report.cancelled);
    assert_eq!((report.added, report.chunks), (50, 50));
    let before = encoder.encoded();
    let report = update(&mut collection, NOTES, &files, &encoder);
    assert_eq!((report.added, report.unchanged, report.cancelled), (50, 50, false));
    assert_eq!(encoder.encoded() - before, 50);
}

#[test]
fn a_cancelled_scan_changes_nothing() {
    let (files, encoder) = (numbered(10), WordEncoder::new(32));
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let options = UpdateOptions::default();
    let report = update_until(&mut collection, &files, &encoder, &options, |_| false);
    assert!(report.cancelled);
    assert_eq!((collection.roots().len(), collection.stats().files), (0, 0));
}

#[test]
fn a_file_cancelled_in_its_middle_keeps_its_older_version() {
    let (files, encoder) = (MemoryFiles::new(), WordEncoder::new(32));
    files.insert("/notes/long.txt", "old words");
    let mut collection = indexed(&files, &encoder);
    files.insert("/notes/long.txt", "new words\n\n".repeat(500));
    let mut options = UpdateOptions::default();
    options.batch = 2;
    let report = update_until(&mut collection, &files, &encoder, &options, |event| {
        event.stage != Stage::Embedding || event.chunks_embedded < 4
    });
    assert!(report.cancelled);
    assert_eq!((report.changed, report.chunks), (0, 1));
    assert!(update(&mut collection, NOTES, &files, &encoder).chunks > 10);
}

#[test]
fn progress_ends_at_what_it_expected() {
    let (files, encoder) = (numbered(200), WordEncoder::new(32));
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let mut last = None;
    let options = UpdateOptions::default();
    update_until(&mut collection, &files, &encoder, &options, |event| {
        last = Some(event.clone());
        true
    });
    let last = last.expect("there was progress");
    assert_eq!((last.files_seen, last.files_total), (200, 200));
    assert!((195..=205).contains(&last.chunks_expected), "{last:?}");
}

#[test]
fn a_big_folder_is_saved_in_segments_that_are_merged_without_embedding_again() {
    let (files, encoder) = (numbered(300), WordEncoder::new(32));
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let mut options = UpdateOptions::default();
    options.segment_chunks = 32;
    let report = update_until(&mut collection, &files, &encoder, &options, |_| true);
    assert_eq!((report.embedded, encoder.encoded()), (300, 300));
    assert_eq!(collection.stats().segments, 1);
    let result = ask(&collection, "common1 common2", 300, &files, &encoder);
    assert_eq!(result.hits.len(), 300);
    assert!(result.hits.is_sorted_by(|a, b| a.score >= b.score));
}

#[test]
fn many_small_updates_are_merged_and_all_stays_findable() {
    let (files, encoder) = (MemoryFiles::new(), WordEncoder::new(32));
    files.insert("/notes/0", "seed");
    let mut collection = indexed(&files, &encoder);
    for i in 1..60 {
        files.insert(format!("/notes/{i}"), format!("thought number{i} about things"));
        update(&mut collection, NOTES, &files, &encoder);
        assert!(collection.stats().segments <= 16, "{:?}", collection.stats());
    }
    assert!(encoder.encoded() < 60 * 6, "{} encoded", encoder.encoded());
    for i in 1..60 {
        let result =
            ask(&collection, &format!("thought number{i} about things"), 1, &files, &encoder);
        assert_eq!(result.hits[0].path, Path::new(&format!("/notes/{i}")));
    }
    assert_eq!(collection.stats().files, 60);
}

#[test]
fn dead_chunks_are_cleared_away_once_they_are_many() {
    let (files, encoder) = (numbered(200), WordEncoder::new(32));
    let mut collection = indexed(&files, &encoder);
    for i in 0..40 {
        files.remove(format!("/notes/{i:05}.txt"));
    }
    update(&mut collection, NOTES, &files, &encoder);
    assert_eq!(collection.stats().dead_chunks, 40);
    for i in 40..80 {
        files.remove(format!("/notes/{i:05}.txt"));
    }
    update(&mut collection, NOTES, &files, &encoder);
    let stats = collection.stats();
    assert_eq!((stats.dead_chunks, stats.chunks, stats.segments), (0, 120, 1));
}

#[test]
fn a_merge_needs_none_of_the_files() {
    let (files, encoder) = (numbered(100), WordEncoder::new(32));
    let mut collection = indexed(&files, &encoder);
    files.set_readable("/notes/00099.txt", false);
    for i in 0..50 {
        files.remove(format!("/notes/{i:05}.txt"));
    }
    update(&mut collection, NOTES, &files, &encoder);
    assert_eq!((collection.stats().files, collection.stats().segments), (50, 1));
    files.set_readable("/notes/00099.txt", true);
    assert_eq!(ask(&collection, "common1", 99, &files, &encoder).hits.len(), 50);

    let last = crate::common::topics(100, 20, 4).pop().expect("there is one");
    let by_words = |collection: &Collection| {
        let found =
            collection.snapshot().search_words(&last, 99, &files, &SearchOptions::default());
        let hits = found.expect("there are words").hits;
        hits.iter().filter(|hit| hit.path.ends_with("00099.txt")).count()
    };
    assert_eq!(by_words(&collection), 0, "its words could not be read again");
    for _ in 0..2 {
        update(&mut collection, NOTES, &files, &encoder);
        assert_eq!(by_words(&collection), 1, "and are once they can");
    }
}

#[test]
fn a_root_inside_another_owns_its_files() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    let mut collection = indexed(&files, &encoder);
    let before = encoder.encoded();
    let report = update(&mut collection, "/notes/code", &files, &encoder);
    assert_eq!((report.unchanged, encoder.encoded()), (1, before), "it was known already");
    assert_eq!(collection.roots(), [Path::new("/notes"), Path::new("/notes/code")]);

    assert_eq!(collection.remove_root(Path::new(NOTES)).expect("known"), 2);
    let result = ask(&collection, "sum", 9, &files, &encoder);
    assert_eq!(result.hits.len(), 1);
    assert_eq!(result.hits[0].path, Path::new("/notes/code/sum.rs"));
    assert!(matches!(
        collection.remove_root(Path::new(NOTES)),
        Err(IndexError::UnknownRoot { .. })
    ));
    assert_eq!(collection.remove_root(Path::new("/notes/code")).expect("known"), 1);
    let stats = collection.stats();
    assert_eq!((stats.segments, stats.files, stats.chunks, stats.text_bytes), (0, 0, 0, 0));
}

#[test]
fn a_snapshot_answers_as_it_was_while_the_collection_moves_on() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    let mut collection = indexed(&files, &encoder);
    let snapshot = collection.snapshot();
    files.insert("/notes/new.txt", "telescopes\n");
    update(&mut collection, NOTES, &files, &encoder);
    assert_eq!((snapshot.stats().files, collection.stats().files), (3, 4));
    let query = encoder.one("telescopes");
    let options = SearchOptions::default();
    let old = snapshot.search(&query, 9, &files, &encoder, &options).expect("searches");
    assert_eq!(old.hits.len(), 3);
}

#[test]
fn an_encoder_that_fails_leaves_the_collection_as_it_was() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    let mut collection = indexed(&files, &encoder);
    files.insert("/notes/new.txt", "telescopes\n");
    let broken = crate::common::Broken(WordEncoder::new(64));
    let options = UpdateOptions::default();
    let error = collection
        .update(Path::new(NOTES), &files, &broken, &options, &mut |_| ControlFlow::Continue(()))
        .expect_err("the encoder fails");
    assert!(matches!(error, IndexError::Encode(_)));
    assert_eq!(collection.stats().files, 3);
    assert_eq!(update(&mut collection, NOTES, &files, &encoder).added, 1);
}

/// Files of which one folder cannot be entered.
struct Barred<'a>(&'a MemoryFiles, &'a Path);

impl Files for Barred<'_> {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.resolve(path)
    }

    fn walk(
        &self,
        root: &Path,
        visit: &mut dyn FnMut(Walked) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let error = io::ErrorKind::PermissionDenied.into();
        if visit(Walked::Unreadable { relative: self.1.into(), error }).is_break() {
            return Ok(());
        }
        self.0.walk(root, &mut |walked| match &walked {
            Walked::File { relative, .. } if relative.starts_with(self.1) => {
                ControlFlow::Continue(())
            }
            _ => visit(walked),
        })
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.0.stat(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.0.read(path, limit)
    }
}

#[test]
fn files_in_a_folder_that_cannot_be_entered_are_kept_and_others_are_not() {
    let (files, encoder) = (three_files(), WordEncoder::new(64));
    let mut collection = indexed(&files, &encoder);
    files.remove("/notes/bread.md");
    let barred = Barred(&files, Path::new("code"));
    let report = update(&mut collection, NOTES, &barred, &encoder);
    assert_eq!((report.removed, report.unchanged, report.skipped_count), (1, 1, 1));
    assert_eq!(collection.stats().files, 2);
}
