//! Searching: quality against an exact ranking, and queries and vectors as bad as they come.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::common::{WordEncoder, ask, topics, update};
use covey_index::{
    Collection, EncodeError, Encoder, EncoderId, IndexError, MemoryFiles, Profile, SearchOptions,
    Stopped,
};

const DIM: usize = 384;

fn library(texts: &[String]) -> MemoryFiles {
    let files = MemoryFiles::new();
    for (i, text) in texts.iter().enumerate() {
        files.insert(format!("/library/{i:05}"), text.as_str());
    }
    files
}

fn indexed(files: &MemoryFiles, encoder: &dyn Encoder) -> Collection {
    let mut collection = Collection::in_memory(encoder).expect("made");
    update(&mut collection, "/library", files, encoder);
    collection
}

/// How good and how costly a collection's answers are.
struct Quality {
    recall: f64,
    recomputed: f64,
    visited: f64,
}

fn quality(texts: &[String], collection: &Collection, files: &MemoryFiles) -> Quality {
    let encoder = WordEncoder::new(DIM);
    let rows: Vec<Vec<f32>> = texts.iter().map(|text| encoder.one(text)).collect();
    let questions = topics(40, 12, 77);
    let mut quality = Quality { recall: 0.0, recomputed: 0.0, visited: 0.0 };
    for question in &questions {
        let query = encoder.one(question);
        let mut exact: Vec<(f32, usize)> = rows
            .iter()
            .map(|row| row.iter().zip(&query).map(|(x, y)| x * y).sum())
            .zip(0..)
            .collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        let result = collection
            .search(&query, 10, files, &encoder, &SearchOptions::default())
            .expect("searches");
        let nearest: Vec<String> =
            exact[..10].iter().map(|(_, i)| format!("/library/{i:05}")).collect();
        let found =
            result.hits.iter().filter(|hit| nearest.iter().any(|path| hit.path == Path::new(path)));
        quality.recall += found.count() as f64 / 10.0;
        quality.recomputed += result.recomputed as f64;
        quality.visited += result.visited as f64;
    }
    let n = questions.len() as f64;
    let Quality { recall, recomputed, visited } = quality;
    Quality { recall: recall / n, recomputed: recomputed / n, visited: visited / n }
}

#[test]
fn each_profile_finds_what_it_promises_within_its_budget() {
    // These vectors are as good as noise: they have no leading directions, and each chunk is a file,
    // whose name and hash count towards the bytes of a chunk. Real ones do better.
    let texts = topics(2500, 30, 1);
    let (files, encoder) = (library(&texts), WordEncoder::new(DIM));
    for (profile, recall, most) in [
        (Profile::Small, 0.98, 300.0),
        (Profile::Balanced, 0.98, 180.0),
        (Profile::Fast, 0.95, 8.0),
    ] {
        for flat in [u32::MAX, 500] {
            let mut collection = Collection::in_memory(&encoder).expect("made");
            let mut settings = profile.settings();
            settings.flat = flat;
            settings.probes = 24;
            collection.set_settings(settings).expect("set");
            update(&mut collection, "/library", &files, &encoder);
            let quality = quality(&texts, &collection, &files);
            let Quality { recall: got, recomputed, visited } = quality;
            println!("{profile:?}, {flat}: {got} with {recomputed}");
            assert!(got >= recall, "{profile:?}, flat up to {flat}: recall@10 is {got}");
            assert!(recomputed <= most, "{profile:?}, flat up to {flat}: {recomputed} recomputed");
            assert!(flat > 500 || visited < 2200.0, "{profile:?}: {visited} visited");
        }
    }
}

#[test]
fn a_search_out_of_time_or_budget_says_so_and_says_what_may_be_missing() {
    let texts = topics(2500, 30, 1);
    let (files, encoder) = (library(&texts), WordEncoder::new(DIM));
    let collection = indexed(&files, &encoder);
    let query = encoder.one(&topics(1, 12, 5)[0]);
    let ask = |options: &SearchOptions<'_>| {
        collection.search(&query, 10, &files, &encoder, options).expect("searches")
    };
    let none = || Duration::ZERO;
    let mut options = SearchOptions::default();
    options.time_left = Some(&none);
    let result = ask(&options);
    assert_eq!((result.stopped, result.hits.len()), (Stopped::Time, 10));
    assert_eq!(result.recomputed, 0);
    assert!(result.bound > result.hits[9].score && result.hits.iter().all(|hit| hit.margin > 0.0));

    let mut options = SearchOptions::default();
    options.recompute = Some(10);
    let result = ask(&options);
    assert_eq!((result.stopped, result.recomputed), (Stopped::Budget, 10));
    assert!(result.bound > result.hits[9].score);

    let mut options = SearchOptions::default();
    options.recompute = Some(2500);
    let result = ask(&options);
    assert_eq!(result.stopped, Stopped::Bound);
    assert!(result.bound <= result.hits[9].score);
    assert!(result.hits.iter().all(|hit| hit.margin == 0.0));
}

#[test]
fn the_same_files_and_seed_give_the_same_answer() {
    let files = library(&topics(1200, 20, 9));
    let encoder = WordEncoder::new(64);
    let (one, two) = (indexed(&files, &encoder), indexed(&files, &encoder));
    assert_eq!(one.stats(), two.stats());
    let answer = |collection: &Collection| -> Vec<(u32, String)> {
        let result = ask(collection, "t3w5 t3w9 common7", 20, &files, &encoder);
        result.hits.into_iter().map(|hit| (hit.score.to_bits(), hit.text)).collect()
    };
    assert_eq!(answer(&one), answer(&two));
}

#[test]
fn stale_chunks_are_made_up_for_by_the_next_best() {
    let texts: Vec<String> = (0..40).map(|i| format!("shared words and number{i}")).collect();
    let (files, encoder) = (library(&texts), WordEncoder::new(64));
    let collection = indexed(&files, &encoder);
    for i in 0..20 {
        files.remove(format!("/library/{i:05}"));
    }
    let mut options = SearchOptions::default();
    options.recompute = Some(10);
    let query = encoder.one("shared words and");
    let result = collection.search(&query, 10, &files, &encoder, &options).expect("searches");
    assert_eq!((result.hits.len(), result.recomputed), (10, 10));
    assert!(result.stale <= 20);
}

#[test]
fn a_bad_query_is_an_error_and_an_empty_collection_answers_nothing() {
    let encoder = WordEncoder::new(64);
    let files = library(&["one text".to_owned()]);
    let empty = Collection::in_memory(&encoder).expect("made");
    assert!(ask(&empty, "anything", 5, &files, &encoder).hits.is_empty());
    let collection = indexed(&files, &encoder);
    let options = SearchOptions::default();
    for query in [vec![0.0; 63], vec![], vec![f32::NAN; 64], vec![f32::INFINITY; 64]] {
        let error = collection.search(&query, 5, &files, &encoder, &options).err();
        assert!(matches!(error, Some(IndexError::BadQuery { .. })), "{error:?}");
    }
    let zero = collection.search(&[0.0; 64], 5, &files, &encoder, &options).expect("searches");
    assert_eq!(zero.hits.len(), 1);
    let none = collection.search(&[1.0; 64], 0, &files, &encoder, &options).expect("searches");
    assert!(none.hits.is_empty());
}

/// Gives texts that contain "nan" a vector of NaNs, and texts that contain "zero" zeros.
struct Faulty(WordEncoder);

impl Encoder for Faulty {
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
        let row = |text: &&str| match text {
            text if text.contains("nan") => vec![f32::NAN; self.dim()],
            text if text.contains("zero") => vec![0.0; self.dim()],
            text => self.0.one(text),
        };
        Ok(texts.iter().flat_map(row).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        self.0.token_spans(text)
    }
}

#[test]
fn vectors_of_nans_and_zeros_harm_nobody() {
    let mut texts = topics(300, 10, 2);
    texts.extend((0..50).map(|i| format!("nan {i}")));
    texts.extend((0..50).map(|i| format!("zero {i}")));
    texts.push("the needle in the haystack".into());
    let files = library(&texts);
    let encoder = Faulty(WordEncoder::new(64));
    let collection = indexed(&files, &encoder);
    let options = SearchOptions::default();
    let query = encoder.0.one("needle in the haystack");
    let result = collection.search(&query, 400, &files, &encoder, &options).expect("searches");
    assert_eq!(result.hits[0].text, "the needle in the haystack");
    assert!(result.hits.iter().all(|hit| hit.score.is_finite()));
    assert_eq!(result.hits.len(), 400);
    assert_eq!(collection.verify().expect("sound").unreachable, 0);
}
