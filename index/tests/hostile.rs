//! Files, vectors, settings and readers as they come in the worst case.
#![cfg(unix)]

use std::fs::{self, File};
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::common::{WordEncoder, ask, topics, update};
use covey_index::{
    Collection, Disk, EncodeError, Encoder, EncoderId, FileStat, Files, IndexError, MemoryFiles,
    Profile, Progress, SearchOptions, Settings, SkipReason, UpdateOptions, Walked,
};

const ROOT: &str = "/notes";

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Files that change right before one is read for the `at`th time.
struct Shifting {
    files: MemoryFiles,
    change: Change,
    reads: AtomicUsize,
    at: usize,
}

type Change = fn(&[u8]) -> Vec<u8>;

/// A change that keeps the size, and one that does not.
const CHANGES: [Change; 2] = [<[u8]>::to_ascii_uppercase, |bytes| [bytes, b" and more"].concat()];

impl Files for Shifting {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.files.resolve(path)
    }

    fn walk(
        &self,
        root: &Path,
        visit: &mut dyn FnMut(Walked) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.files.walk(root, visit)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        self.files.stat(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        if self.reads.fetch_add(1, Ordering::Relaxed) == self.at {
            let bytes = self.files.read(path, u64::MAX)?;
            self.files.insert(path, (self.change)(&bytes));
        }
        self.files.read(path, limit)
    }
}

#[test]
fn a_file_that_changes_in_the_middle_of_a_search_gives_no_text_that_was_not_indexed() {
    let encoder = WordEncoder::new(64);
    for (at, change) in (0..12).flat_map(|at| CHANGES.map(|change| (at, change))) {
        let files = MemoryFiles::new();
        let texts = topics(3, 200, 5);
        for (i, text) in texts.iter().enumerate() {
            files.insert(format!("{ROOT}/{i}.txt"), text.as_str());
        }
        let mut collection = Collection::in_memory(&encoder).expect("made");
        update(&mut collection, ROOT, &files, &encoder);
        assert!(collection.stats().chunks >= 12);
        let files = Shifting { files, change, reads: AtomicUsize::new(0), at };
        let result = ask(&collection, "t3w5 t3w9 common7", 12, &files, &encoder);
        for hit in &result.hits {
            assert!(texts.iter().any(|text| text.contains(&hit.text)), "read {at}: {}", hit.text);
        }
        assert!(result.stale > 0, "read {at}");
    }
}

#[test]
fn a_large_file_that_changed_hides_no_other() {
    let encoder = WordEncoder::new(64);
    let files = MemoryFiles::new();
    let large: Vec<String> = (0..3000).map(|i| format!("wanted thing {i}. ").repeat(9)).collect();
    files.insert(format!("{ROOT}/large.txt"), large.join("\n\n"));
    for i in 0..12 {
        files.insert(format!("{ROOT}/{i}.txt"), format!("wanted thing and {}", i * i + 1000));
    }
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let mut settings = Profile::Fast.settings();
    settings.recompute = 40;
    collection.set_settings(settings).expect("set");
    update(&mut collection, ROOT, &files, &encoder);
    assert!(collection.stats().chunks > 1000);
    files.insert(format!("{ROOT}/large.txt"), "gone");

    let (text, options) = ("wanted thing", SearchOptions::default());
    let query = encoder.one(text);
    let by_vector = ask(&collection, text, 10, &files, &encoder);
    let by_words =
        collection.snapshot().search_words(text, 10, &files, &options).expect("has words");
    let by_both = collection.snapshot();
    let by_both = by_both.search_both(&query, text, None, 10, &files, &encoder, &options);
    for result in [by_vector, by_words, by_both.expect("searches")] {
        assert_eq!(result.hits.len(), 10);
        assert!(result.stale > 0 && result.recomputed <= 40);
    }
}

#[test]
fn a_file_that_changes_while_it_is_indexed_is_taken_in_by_the_next_update() {
    let encoder = WordEncoder::new(64);
    for (at, change) in (0..4).flat_map(|at| CHANGES.map(|change| (at, change))) {
        let files = MemoryFiles::new();
        for name in ["a.txt", "b.txt"] {
            files.insert(format!("{ROOT}/{name}"), format!("words of {name}"));
        }
        let files = Shifting { files, change, reads: AtomicUsize::new(0), at };
        let mut collection = Collection::in_memory(&encoder).expect("made");
        update(&mut collection, ROOT, &files, &encoder);
        update(&mut collection, ROOT, &files, &encoder);
        let result = ask(&collection, "words", 9, &files, &encoder);
        assert_eq!((result.hits.len(), result.stale), (2, 0), "read {at}");
        for hit in result.hits {
            let now = files.files.read(&hit.path, u64::MAX).expect("reads");
            assert_eq!(hit.text.as_bytes(), now, "read {at}");
        }
    }
}

#[test]
fn files_of_one_byte_and_of_a_gigabyte_are_told_apart() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let notes = fs::canonicalize(temp.path()).expect("exists").join("notes");
    fs::create_dir(&notes).expect("made");
    fs::write(notes.join("one.txt"), "x").expect("written");
    for name in ["huge.txt", "huge.pdf"] {
        File::create(notes.join(name)).expect("made").set_len(1 << 30).expect("sparse");
    }
    let encoder = WordEncoder::new(16);
    let mut collection = Collection::create(&temp.path().join("index"), &encoder).expect("made");
    let mut options = UpdateOptions::default();
    for limit in [options.max_file_bytes, u64::MAX] {
        options.max_file_bytes = limit;
        let report = collection.update(&notes, &Disk, &encoder, &options, &mut go_on);
        let report = report.expect("updates");
        assert_eq!(report.skipped_count, 2, "{:?}", report.skipped);
        let text = report.skipped.iter().find(|(path, _)| path.ends_with("huge.txt"));
        let (_, reason) = text.expect("skipped");
        if limit == u64::MAX {
            assert_eq!(*reason, SkipReason::Binary);
        } else {
            assert_eq!(*reason, SkipReason::TooLarge { size: 1 << 30, limit });
            // Reading a gigabyte of nothing only to see that it is no PDF is not this test's point.
            fs::remove_file(notes.join("huge.pdf")).expect("removed");
            File::create(notes.join("empty.pdf")).expect("made");
        }
    }
    assert_eq!(ask(&collection, "x", 1, &Disk, &encoder).hits[0].text, "x");
}

#[test]
fn readers_see_a_sound_collection_at_every_moment_of_a_writer() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let home = fs::canonicalize(temp.path()).expect("exists");
    let (notes, index) = (home.join("notes"), home.join("index"));
    fs::create_dir(&notes).expect("made");
    let encoder = WordEncoder::new(16);
    let mut collection = Collection::create(&index, &encoder).expect("made");
    let mut settings = Settings::default();
    settings.lexical = false;
    collection.set_settings(settings).expect("set");
    let done = AtomicBool::new(false);
    let opened = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::Acquire) {
                let reader = Collection::open_read_only(&index).expect("opens beside the writer");
                let files = reader.stats().files;
                assert!(files >= last, "{last} files before, {files} now");
                last = files;
                let result = ask(&reader, "common1 t3w5", 3, &Disk, &encoder);
                assert_eq!((result.hits.len(), result.stale), (files.min(3), 0));
                opened.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Merges with each second file, so that segments come and go all the time.
        let mut options = UpdateOptions::default();
        options.merge_at = 1;
        let mut texts = topics(400, 12, 6).into_iter().enumerate();
        while opened.load(Ordering::Relaxed) < 60 {
            let (i, text) = texts.next().expect("readers get their turn");
            fs::write(notes.join(format!("{i}.txt")), text).expect("written");
            let report = collection.update(&notes, &Disk, &encoder, &options, &mut go_on);
            assert_eq!(report.expect("updates").added, 1);
        }
        done.store(true, Ordering::Release);
    });
}

/// Every text has the same vector.
struct Alike(WordEncoder);

impl Encoder for Alike {
    fn id(&self) -> EncoderId {
        self.0.id()
    }

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn max_tokens(&self) -> usize {
        self.0.max_tokens()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        Ok(texts.iter().flat_map(|_| self.0.one("alike")).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        self.0.token_spans(text)
    }
}

fn library(texts: &[String]) -> MemoryFiles {
    let files = MemoryFiles::new();
    for (i, text) in texts.iter().enumerate() {
        files.insert(format!("{ROOT}/{i:04}"), text.as_str());
    }
    files
}

#[test]
fn vectors_all_alike_are_learnt_from_grouped_and_found() {
    let (files, encoder) = (library(&topics(300, 8, 5)), Alike(WordEncoder::new(32)));
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let mut settings = Settings::default();
    (settings.flat, settings.lexical) = (10, false);
    collection.set_settings(settings).expect("set");
    update(&mut collection, ROOT, &files, &encoder);
    let query = encoder.0.one("alike");
    let options = SearchOptions::default();
    let result = collection.search(&query, 50, &files, &encoder, &options).expect("searches");
    assert_eq!(result.hits.len(), 50);
    assert!(result.hits.iter().all(|hit| (hit.score - 1.0).abs() < 1e-5));
    assert_eq!(collection.verify().expect("sound").unreachable, 0);
    // Others that come later differ from all of these.
    let words = WordEncoder::new(32);
    for i in 0..20 {
        files.insert(format!("{ROOT}/new{i}"), format!("the new text number{i}"));
    }
    update(&mut collection, ROOT, &files, &words);
    let result = ask(&collection, "the new text number7", 1, &files, &words);
    assert_eq!(result.hits[0].text, "the new text number7");
    assert!((result.hits[0].score - 1.0).abs() < 1e-5);
}

#[test]
fn settings_at_their_bounds_work_and_beyond_them_are_refused() {
    let texts = topics(150, 12, 5);
    let (files, encoder) = (library(&texts), WordEncoder::new(24));
    let set = |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings::default();
        settings.lexical = false;
        change(&mut settings);
        settings
    };
    let good: [Settings; 8] = [
        set(&|s| s.bytes_per_chunk = 8),
        set(&|s| s.bytes_per_chunk = 1 << 16),
        set(&|s| (s.recompute, s.exact) = (0, false)),
        set(&|s| (s.recompute, s.exact) = (0, true)),
        set(&|s| s.recompute = 1 << 24),
        set(&|s| (s.flat, s.probes) = (0, 1)),
        set(&|s| (s.flat, s.probes) = (0, u32::MAX)),
        set(&|s| (s.confidence, s.cache_bytes) = (10.0, u64::MAX)),
    ];
    for settings in good {
        let mut collection = Collection::in_memory(&encoder).expect("made");
        collection.set_settings(settings).expect("set");
        update(&mut collection, ROOT, &files, &encoder);
        let result = ask(&collection, &texts[7], 5, &files, &encoder);
        assert_eq!(result.hits.len(), 5, "{settings:?}");
        collection
            .recode(&files, &encoder, &UpdateOptions::default(), &mut go_on)
            .expect("recodes");
        assert_eq!(ask(&collection, &texts[7], 5, &files, &encoder).hits.len(), 5, "{settings:?}");
    }
    for bad in [
        set(&|s| s.bytes_per_chunk = 7),
        set(&|s| s.bytes_per_chunk = u32::MAX),
        set(&|s| s.recompute = u32::MAX),
        set(&|s| s.confidence = f32::INFINITY),
        set(&|s| s.confidence = -1.0),
    ] {
        let mut collection = Collection::in_memory(&encoder).expect("made");
        assert!(matches!(collection.set_settings(bad), Err(IndexError::BadSettings)), "{bad:?}");
    }
}

#[test]
fn all_files_may_go_and_come_back() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let home = fs::canonicalize(temp.path()).expect("exists");
    let (notes, index) = (home.join("notes"), home.join("index"));
    fs::create_dir(&notes).expect("made");
    let encoder = WordEncoder::new(16);
    let mut collection = Collection::create(&index, &encoder).expect("made");
    collection.set_settings(Profile::Small.settings()).expect("set");
    for round in 0..3 {
        let texts = topics(80, 12, round);
        for (i, text) in texts.iter().enumerate() {
            fs::write(notes.join(format!("{i}.txt")), text).expect("written");
        }
        assert_eq!(update(&mut collection, &notes, &Disk, &encoder).added, 80);
        assert_eq!(ask(&collection, &texts[9], 1, &Disk, &encoder).hits[0].text, texts[9]);
        for i in 0..80 {
            fs::remove_file(notes.join(format!("{i}.txt"))).expect("removed");
        }
        assert_eq!(update(&mut collection, &notes, &Disk, &encoder).removed, 80);
        let stats = collection.stats();
        assert_eq!((stats.segments, stats.files, stats.chunks), (0, 0, 0));
        assert!(ask(&collection, "anything", 3, &Disk, &encoder).hits.is_empty());
        drop(collection);
        let left: Vec<_> = fs::read_dir(&index).expect("lists").collect();
        assert_eq!(left.len(), 2, "the lock and the manifest: {left:?}");
        collection = Collection::open(&index).expect("opens");
    }
}

#[test]
fn another_base_model_is_refused_by_everything() {
    let (files, encoder) = (library(&topics(20, 8, 5)), WordEncoder::new(24));
    let mut collection = Collection::in_memory(&encoder).expect("made");
    update(&mut collection, ROOT, &files, &encoder);
    let options = UpdateOptions::default();
    let query = encoder.one("text");
    for other in [
        WordEncoder::new(24).with_id(9, 1),
        WordEncoder::new(25),
        WordEncoder::new(25).with_id(9, 1),
    ] {
        let errors = [
            collection.update(Path::new(ROOT), &files, &other, &options, &mut go_on).err(),
            collection.recode(&files, &other, &options, &mut go_on).err(),
            collection.search(&query, 3, &files, &other, &SearchOptions::default()).err(),
        ];
        for error in errors {
            assert!(matches!(error, Some(IndexError::WrongModel(_))), "{error:?}");
        }
    }
    assert_eq!(ask(&collection, "text", 3, &files, &encoder).hits.len(), 3);
}

#[test]
fn queries_and_options_at_their_extremes_do_no_harm() {
    let texts = topics(50, 12, 5);
    let (files, encoder) = (library(&texts), WordEncoder::new(24));
    let mut collection = Collection::in_memory(&encoder).expect("made");
    update(&mut collection, ROOT, &files, &encoder);
    for size in [f32::MAX, 1e30, 1e-30, f32::MIN_POSITIVE, 1e-45] {
        let query: Vec<f32> = encoder.one(&texts[3]).iter().map(|x| x.signum() * size).collect();
        match collection.search(&query, 5, &files, &encoder, &SearchOptions::default()) {
            Ok(result) => assert!(result.hits.iter().all(|hit| !hit.score.is_nan()), "{size}"),
            Err(error) => assert!(matches!(error, IndexError::BadQuery { .. }), "{error}"),
        }
    }
    let query = encoder.one(&texts[3]);
    for most in [0, usize::MAX / 2, usize::MAX] {
        let mut options = SearchOptions::default();
        (options.recompute, options.probes) = (Some(most), Some(most));
        for k in [1, usize::MAX / 2, usize::MAX] {
            let result = collection.search(&query, k, &files, &encoder, &options);
            assert_eq!(result.expect("searches").hits.len(), k.min(50), "{most} and {k}");
            let words = collection.snapshot().search_words("common1", k, &files, &options);
            assert!(words.is_ok());
        }
    }
}
