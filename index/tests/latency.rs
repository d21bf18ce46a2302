//! Searches that may take only so long, on an encoder whose clock is part of it: nothing here waits.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{WordEncoder, topics, update};
use covey_index::{
    Collection, EncodeError, Encoder, EncoderId, MemoryFiles, SearchOptions, SearchResult, Stopped,
};

/// Each call makes it this much later: so much for each round of as many texts as it has threads.
struct Slow {
    words: WordEncoder,
    cost: u64,
    threads: u64,
    now: AtomicU64,
}

impl Slow {
    fn new(cost: u64, threads: u64) -> Self {
        Self { words: WordEncoder::new(64), cost, threads, now: AtomicU64::new(0) }
    }
}

impl Encoder for Slow {
    fn id(&self) -> EncoderId {
        self.words.id()
    }

    fn dim(&self) -> usize {
        self.words.dim()
    }

    fn max_tokens(&self) -> usize {
        self.words.max_tokens()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        let rounds = (texts.len() as u64).div_ceil(self.threads);
        self.now.fetch_add(self.cost * rounds, Ordering::Relaxed);
        self.words.encode(texts)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        self.words.token_spans(text)
    }
}

fn library() -> (MemoryFiles, Collection) {
    let files = MemoryFiles::new();
    for (i, text) in topics(600, 30, 1).iter().enumerate() {
        files.insert(format!("/library/{i:05}"), text.as_str());
    }
    let encoder = WordEncoder::new(64);
    let mut collection = Collection::in_memory(&encoder).expect("made");
    update(&mut collection, "/library", &files, &encoder);
    (files, collection)
}

/// Searches with a limit in microseconds of which `before` are gone; also when it ended.
fn ask(
    (files, collection): &(MemoryFiles, Collection),
    encoder: &Slow,
    limit: u64,
    before: u64,
) -> (SearchResult, u64) {
    encoder.now.store(before, Ordering::Relaxed);
    let left = || Duration::from_micros(limit.saturating_sub(encoder.now.load(Ordering::Relaxed)));
    let mut options = SearchOptions::default();
    options.time_left = Some(&left);
    options.recompute = Some(600);
    options.confidence = Some(10.0);
    let query = encoder.words.one(&topics(1, 12, 5)[0]);
    let result = collection.search(&query, 10, files, encoder, &options).expect("searches");
    (result, encoder.now.load(Ordering::Relaxed))
}

#[test]
fn a_limit_is_kept_and_used_whatever_a_text_costs_and_however_many_threads_there_are() {
    let library = library();
    let mut cut = 0;
    for threads in [1, 2, 3, 4, 8, 16] {
        for cost in [20, 700, 5_000, 30_000, 75_000, 200_000] {
            for limit in [1_000, 10_000, 50_000, 200_000, 500_000, 1_000_000, 3_000_000] {
                let before = limit / 20;
                let encoder = Slow::new(cost, threads);
                let (result, ended) = ask(&library, &encoder, limit, before);
                let what = format!("{cost} us a text, {threads} threads, {limit} us: {ended}");
                assert_eq!(result.hits.len(), 10, "{what}");
                if limit > before + cost {
                    assert!(ended as f64 <= 1.1 * limit as f64, "{what}");
                } else {
                    assert!(result.recomputed <= 1, "{what}");
                }
                match result.stopped {
                    Stopped::Bound => assert!(result.hits.iter().all(|hit| hit.margin == 0.0)),
                    Stopped::Budget => assert_eq!(result.recomputed, 600, "{what}"),
                    Stopped::Time => {
                        cut += 1;
                        // Texts differ in length, and longer ones are taken to take longer.
                        assert!(ended + cost * 3 / 2 > limit, "more would have fitted: {what}");
                        assert!(result.bound > result.hits[9].score, "{what}");
                    }
                }
            }
        }
    }
    assert!(cut > 100, "{cut} searches were cut short");
}

#[test]
fn more_time_is_never_a_worse_answer_and_the_best_come_first() {
    let library = library();
    let mut former = (0, f32::NEG_INFINITY);
    for limit in (30_000..1_500_000).step_by(90_000) {
        let (result, _) = ask(&library, &Slow::new(30_000, 1), limit, 0);
        let exact: f32 =
            result.hits.iter().filter(|hit| hit.margin == 0.0).map(|it| it.score).sum();
        assert!(result.recomputed >= former.0, "{limit}");
        assert!(exact >= former.1 - 1e-5, "{limit}: {exact} after {}", former.1);
        former = (result.recomputed, exact);
    }
    assert!(former.0 >= 40);
}

#[test]
fn without_time_the_answer_is_estimates_and_says_so() {
    let library = library();
    let (result, ended) = ask(&library, &Slow::new(30_000, 1), 100, 100);
    assert_eq!((result.recomputed, result.stopped, ended), (0, Stopped::Time, 100));
    assert!(result.hits.len() == 10 && result.hits.iter().all(|hit| hit.margin > 0.0));
}
