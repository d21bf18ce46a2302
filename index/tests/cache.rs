//! Searches that find embeddings of earlier ones: what that saves, and that it never shows.
#![cfg(unix)]

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::common::{WordEncoder, topics, update};
use covey_index::{
    Collection, MemoryFiles, SearchOptions, SearchResult, Snapshot, Stopped, UpdateOptions,
};

const MOST: u64 = 1 << 20;

struct Home {
    temp: tempfile::TempDir,
    files: MemoryFiles,
    encoder: WordEncoder,
}

impl Home {
    /// A collection of 400 files with a cache.
    fn with(exact: bool) -> (Self, Collection) {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let home = Self { temp, files: MemoryFiles::new(), encoder: WordEncoder::new(64) };
        for (i, text) in topics(400, 30, 1).iter().enumerate() {
            home.files.insert(format!("/n/{i:03}"), text.as_str());
        }
        let mut collection = Collection::create(&home.index(), &home.encoder).expect("made");
        let mut settings = collection.settings();
        (settings.cache_bytes, settings.exact) = (MOST, exact);
        collection.set_settings(settings).expect("set");
        update(&mut collection, "/n", &home.files, &home.encoder);
        (home, collection)
    }

    fn index(&self) -> PathBuf {
        self.temp.path().join("index")
    }

    fn file(&self) -> PathBuf {
        self.index().join("cache")
    }

    /// The answer to a question, and how many texts were embedded for it.
    fn ask(&self, snapshot: &Snapshot, question: usize) -> (SearchResult, usize) {
        self.ask_with(snapshot, question, &SearchOptions::default(), &self.encoder)
    }

    fn ask_with(
        &self,
        snapshot: &Snapshot,
        question: usize,
        options: &SearchOptions<'_>,
        encoder: &WordEncoder,
    ) -> (SearchResult, usize) {
        let query = encoder.one(&topics(20, 12, 5)[question]);
        let before = encoder.encoded();
        let result = snapshot.search(&query, 10, &self.files, encoder, options).expect("searches");
        let embedded = encoder.encoded() - before;
        assert_eq!(result.recomputed, embedded);
        (result, embedded)
    }
}

fn texts(result: &SearchResult) -> Vec<&str> {
    result.hits.iter().map(|hit| hit.text.as_str()).collect()
}

#[test]
fn a_question_asked_again_embeds_nothing_and_has_the_same_answer() {
    for exact in [true, false] {
        let (home, collection) = Home::with(exact);
        let snapshot = collection.snapshot();
        let first: Vec<_> = (0..20).map(|n| home.ask(&snapshot, n)).collect();
        assert!(first.iter().map(|(_, embedded)| embedded).sum::<usize>() > 50);
        assert_eq!(first[0].0.cached, 0);
        let stats = collection.stats();
        assert!(stats.cache_bytes > 0 && stats.cache_bytes <= MOST);
        drop((snapshot, collection));
        let collection = Collection::open(&home.index()).expect("opens");
        assert_eq!(collection.stats(), stats, "the cache is no part of the index");
        let report = collection.verify().expect("whole");
        assert!(report.cached > 50 && report.cache_bytes == stats.cache_bytes);
        let (mut saved, mut spent) = (0, 0);
        for (n, (before, cost)) in first.iter().enumerate() {
            let (now, embedded) = home.ask(&collection.snapshot(), n);
            (saved, spent) = (saved + cost, spent + embedded);
            assert_eq!(now.stopped, before.stopped, "question {n}");
            assert!(!exact || now.hits.iter().all(|hit| hit.margin == 0.0));
            assert!(!exact || texts(before) == texts(&now), "question {n}");
            for (a, b) in before.hits.iter().zip(&now.hits).filter(|_| exact) {
                assert!((a.score - b.score).abs() <= 1e-3, "{a:?} {b:?}");
            }
        }
        // Where only the order matters, other questions' vectors may have moved what is in doubt.
        let most = if exact { saved / 50 } else { saved / 2 };
        assert!(spent <= most, "{spent} embedded again, after {saved}");
    }
}

#[test]
fn what_is_cached_is_no_part_of_what_may_be_recomputed() {
    let (home, collection) = Home::with(true);
    let snapshot = collection.snapshot();
    let mut options = SearchOptions::default();
    (options.recompute, options.confidence) = (Some(10), Some(10.0));
    let mut known = 0;
    for round in 0..100 {
        let (result, embedded) = home.ask_with(&snapshot, 0, &options, &home.encoder);
        assert!(result.cached <= known && (result.cached > 0 || round == 0), "round {round}");
        assert!(embedded <= 10);
        known += embedded;
        if result.stopped == Stopped::Bound {
            assert!(round > 1);
            return;
        }
    }
    panic!("each search goes further than the one before");
}

#[test]
fn a_file_that_changed_is_not_answered_from_the_cache() {
    let (home, mut collection) = Home::with(true);
    let best = home.ask(&collection.snapshot(), 3).0.hits[0].clone();
    home.files.insert(&best.path, "entirely other words");
    let (result, _) = home.ask(&collection.snapshot(), 3);
    assert!(result.stale > 0 && !texts(&result).contains(&best.text.as_str()));
    update(&mut collection, "/n", &home.files, &home.encoder);
    let (result, _) = home.ask(&collection.snapshot(), 3);
    assert!(result.stale == 0 && !texts(&result).contains(&best.text.as_str()));
    // Its text is back, in another file: the vector is that text's.
    home.files.insert("/n/back", best.text.as_str());
    update(&mut collection, "/n", &home.files, &home.encoder);
    let (result, _) = home.ask(&collection.snapshot(), 3);
    assert!(result.cached > 0 && (result.hits[0].score - best.score).abs() < 1e-3);
    assert_eq!(result.hits[0].text, best.text);
}

#[test]
fn another_release_finds_nothing_and_the_cache_starts_anew() {
    let (home, mut collection) = Home::with(true);
    let snapshot = collection.snapshot();
    home.ask(&snapshot, 0);
    let next = WordEncoder::new(64).with_id(7, 2);
    let go_on = &mut |_| ControlFlow::Continue(());
    collection.recode(&home.files, &next, &UpdateOptions::default(), go_on).expect("recodes");
    let options = SearchOptions::default();
    let (result, embedded) = home.ask_with(&collection.snapshot(), 0, &options, &next);
    assert!(result.cached == 0 && embedded > 0);
    let (result, embedded) = home.ask_with(&collection.snapshot(), 0, &options, &next);
    assert!(result.cached > 0 && embedded == 0);
    // One taken before goes on without.
    assert!(home.ask(&snapshot, 0).1 > 0);
    assert!(home.ask_with(&collection.snapshot(), 0, &options, &next).0.cached > 0);
}

#[test]
fn it_goes_where_settings_want_none_and_where_what_it_holds_is_removed() {
    let (home, mut collection) = Home::with(true);
    let old = collection.snapshot();
    home.ask(&old, 0);
    assert!(home.file().exists());
    let mut settings = collection.settings();
    settings.cache_bytes = 0;
    collection.set_settings(settings).expect("set");
    home.ask(&old, 0);
    home.ask(&collection.snapshot(), 0);
    assert!(!home.file().exists());
    assert_eq!(collection.stats().cache_bytes, 0);
    fs::write(home.file(), b"left over").expect("written");
    drop(collection);
    let mut collection = Collection::open(&home.index()).expect("opens");
    assert!(!home.file().exists());

    settings.cache_bytes = MOST;
    collection.set_settings(settings).expect("set");
    home.ask(&collection.snapshot(), 0);
    assert!(home.file().exists());
    collection.remove_root("/n".as_ref()).expect("removed");
    assert!(!home.file().exists());
}

#[test]
fn readers_use_it_and_write_nothing_and_it_may_be_deleted_at_any_time() {
    let (home, collection) = Home::with(true);
    home.ask(&collection.snapshot(), 0);
    let before = fs::read(home.file()).expect("reads");
    let reader = Collection::open_read_only(&home.index()).expect("opens");
    assert_eq!(home.ask(&reader.snapshot(), 0).1, 0);
    assert!(home.ask(&reader.snapshot(), 1).1 > 0);
    assert_eq!(fs::read(home.file()).expect("reads"), before);
    fs::remove_file(home.file()).expect("removed");
    for n in 0..20 {
        home.ask(&collection.snapshot(), n);
        home.ask(&reader.snapshot(), n);
    }
    let reader = Collection::open_read_only(&home.index()).expect("opens");
    home.ask(&reader.snapshot(), 0);
    assert!(!home.file().exists(), "a reader makes none");
    drop(collection);
    let collection = Collection::open(&home.index()).expect("opens");
    assert!(home.ask(&collection.snapshot(), 0).1 > 0);
    assert_eq!(home.ask(&collection.snapshot(), 0).1, 0);
}

#[test]
fn whatever_is_done_to_it_answers_stay_right() {
    let (home, collection) = Home::with(true);
    let snapshot = collection.snapshot();
    let expected: Vec<_> = (0..20).map(|n| home.ask(&snapshot, n).0).collect();
    let sound = fs::read(home.file()).expect("reads");
    for seed in 0..40usize {
        // Some bytes here and there, then a tear; under a search that has it open, and before opening.
        let mut bytes = sound.clone();
        for i in 0..200 {
            let at = (i * 7919 + seed * 104_729) % bytes.len();
            bytes[at] ^= (seed + i) as u8 | 1;
        }
        bytes.truncate(bytes.len() - seed * bytes.len() / 40);
        fs::write(home.file(), &bytes).expect("written");
        let reader = Collection::open_read_only(&home.index()).expect("opens");
        for n in [seed % 20, (seed * 7) % 20] {
            for snapshot in [&snapshot, &reader.snapshot()] {
                let (result, _) = home.ask(snapshot, n);
                assert_eq!(texts(&result), texts(&expected[n]));
                assert!(
                    result
                        .hits
                        .iter()
                        .zip(&expected[n].hits)
                        .all(|(a, b)| { (a.score - b.score).abs() < 1e-3 })
                );
            }
        }
    }
}
