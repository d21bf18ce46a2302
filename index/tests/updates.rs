//! Updating a collection: what is read, embedded, kept, skipped and forgotten.

mod common;

use std::ops::ControlFlow;
use std::path::Path;

use common::{WordEncoder, ask, update};
use covey_index::{Collection, MemoryFiles, SkipReason, UpdateOptions};

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
