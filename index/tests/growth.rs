//! What stays true while a collection grows, learns how to code its vectors and moves to another release.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use crate::common::{WordEncoder, ask, topics, update};
use covey_index::{
    Collection, EncodeError, Encoder, EncoderId, MemoryFiles, Profile, Progress, SearchOptions,
    Settings, UpdateOptions,
};

const ROOT: &str = "/library";

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn name(i: usize) -> String {
    format!("{ROOT}/{i:05}")
}

/// A collection without a lexical index, which these tests have no use for.
fn empty(encoder: &dyn Encoder, settings: Settings) -> Collection {
    let mut collection = Collection::in_memory(encoder).expect("made");
    let mut settings = settings;
    settings.lexical = false;
    collection.set_settings(settings).expect("set");
    collection
}

/// An encoder in each release of which words mean something else, though texts with words in common
/// are as close as before.
struct Released(WordEncoder, u8);

impl Released {
    fn new(dim: usize, release: u8) -> Self {
        Self(WordEncoder::new(dim).with_id(7, release), release)
    }

    fn one(&self, text: &str) -> Vec<f32> {
        let words = text.split_whitespace().map(|word| format!("{word}-{}", self.1));
        self.0.one(&words.collect::<Vec<_>>().join(" "))
    }
}

impl Encoder for Released {
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
        self.0.encode(texts)?;
        Ok(texts.iter().flat_map(|text| self.one(text)).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        self.0.token_spans(text)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Recall@10 against exact scores. Also checks that scores are as far off as is said, at most.
fn recall(
    collection: &Collection,
    texts: &[String],
    files: &MemoryFiles,
    encoder: &Released,
) -> f64 {
    let rows: Vec<Vec<f32>> = texts.iter().map(|text| encoder.one(text)).collect();
    let questions = topics(30, 12, 77);
    let (mut found, mut outside) = (0, 0);
    for question in &questions {
        let query = encoder.one(question);
        let mut exact: Vec<(f32, usize)> =
            rows.iter().map(|row| dot(row, &query)).zip(0..).collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0));
        let options = SearchOptions::default();
        let result = collection.search(&query, 10, files, encoder, &options).expect("searches");
        assert_eq!(result.hits.len(), 10.min(texts.len()));
        // A score as good as the tenth is as good as the tenth.
        let tenth = exact[9.min(exact.len() - 1)].0;
        for hit in &result.hits {
            let score = dot(&encoder.one(&hit.text), &query);
            found += usize::from(score >= tenth - 1e-5);
            let error = (hit.score - score).abs();
            assert!(hit.margin > 0.0 || error < 1e-5, "off by {error}");
            outside += usize::from(error > hit.margin + 1e-5);
        }
    }
    // Margins are 2.5 standard deviations or more, of errors that are not quite Gaussian.
    assert!(
        outside * 100 <= 5 * 10 * questions.len(),
        "{outside} scores are off by more than is said"
    );
    found as f64 / (10.min(texts.len()) * questions.len()) as f64
}

#[test]
fn a_collection_that_begins_with_one_file_answers_as_well_as_one_built_at_once() {
    let texts = topics(160, 30, 1);
    for start in [1, 2, 5] {
        let (files, encoder) = (MemoryFiles::new(), Released::new(384, 1));
        let mut collection = empty(&encoder, Settings::default());
        for (i, text) in texts.iter().enumerate() {
            files.insert(name(i), text.as_str());
            if [start, 10, 40, 100, 160].contains(&(i + 1)) {
                update(&mut collection, ROOT, &files, &encoder);
                let recall = recall(&collection, &texts[..=i], &files, &encoder);
                assert!(recall >= 0.99, "{} files, the first {start} at once: {recall}", i + 1);
            }
        }
    }
}

#[test]
fn a_collection_that_begins_with_copies_of_one_text_answers_too() {
    let texts = topics(100, 30, 1);
    let (files, encoder) = (MemoryFiles::new(), Released::new(64, 1));
    let mut collection = empty(&encoder, Settings::default());
    for i in 0..100 {
        files.insert(format!("{ROOT}/copy{i}"), "one and the same text of a template");
    }
    update(&mut collection, ROOT, &files, &encoder);
    for (i, text) in texts.iter().enumerate() {
        files.insert(name(i), text.as_str());
    }
    update(&mut collection, ROOT, &files, &encoder);
    assert!(recall(&collection, &texts, &files, &encoder) >= 0.99);
}

#[test]
fn files_added_one_at_a_time_leave_few_segments_and_are_embedded_once() {
    let texts = topics(300, 20, 8);
    let (files, encoder) = (MemoryFiles::new(), Released::new(32, 1));
    let mut collection = empty(&encoder, Settings::default());
    for (i, text) in texts.iter().enumerate() {
        files.insert(name(i), text.as_str());
        let report = update(&mut collection, ROOT, &files, &encoder);
        assert_eq!((report.added, report.embedded), (1, 1));
        // Four of each size class: up to 4, 16, 64 and 256 chunks, and what is larger.
        let classes = (i + 1).ilog(4) as usize + 1;
        assert!(
            collection.stats().segments <= 4 * classes,
            "{} after {i}",
            collection.stats().segments
        );
    }
    assert_eq!(encoder.0.encoded(), 300, "nothing is embedded twice");
    assert!(recall(&collection, &texts, &files, &encoder) >= 0.98);
}

#[test]
fn learning_codes_in_a_merge_keeps_recall() {
    let texts = topics(1200, 30, 2);
    for (profile, learnt, grown) in
        [(Profile::Small, 0.8, 0.7), (Profile::Balanced, 0.98, 0.98), (Profile::Fast, 0.98, 0.98)]
    {
        let (files, encoder) = (MemoryFiles::new(), Released::new(64, 1));
        let mut collection = empty(&encoder, profile.settings());
        let mut last = 0;
        // 256 chunks are enough to learn from, one fewer are not.
        for (count, least) in [(255, 0.98), (256, learnt), (1200, grown)] {
            for (i, text) in texts[last..count].iter().enumerate() {
                files.insert(name(last + i), text.as_str());
            }
            last = count;
            update(&mut collection, ROOT, &files, &encoder);
            let recall = recall(&collection, &texts[..count], &files, &encoder);
            println!("{profile:?}, {count} chunks: {recall}");
            assert!(recall >= least, "{profile:?}, {count} chunks: {recall}");
        }
        // With all of them at hand, codes can be as good as those of a collection built at once.
        let options = UpdateOptions::default();
        collection.recode(&files, &encoder, &options, &mut go_on).expect("recodes");
        let recall = recall(&collection, &texts, &files, &encoder);
        println!("{profile:?}, coded anew: {recall}");
        assert!(recall >= 0.9, "{profile:?}, coded anew: {recall}");
    }
}

#[test]
fn a_move_to_another_release_embeds_each_chunk_once_and_keeps_recall() {
    let texts = topics(700, 30, 2);
    for flat in [u32::MAX, 100] {
        let files = MemoryFiles::new();
        let (old, new) = (Released::new(64, 1), Released::new(64, 2));
        let mut settings = Settings::default();
        settings.flat = flat;
        let mut collection = empty(&old, settings);
        let mut options = UpdateOptions::default();
        options.segment_chunks = 200;
        // A part of all that was there when codes were learnt, and two more.
        let parts = [&texts[..300], &texts[300..]];
        for (first, part) in [0, 300].into_iter().zip(parts) {
            for (i, text) in part.iter().enumerate() {
                files.insert(name(first + i), text.as_str());
            }
            let report = collection.update(Path::new(ROOT), &files, &old, &options, &mut go_on);
            assert_eq!(report.expect("updates").added, part.len());
        }
        assert_eq!(collection.stats().segments, 3);
        let before = recall(&collection, &texts, &files, &old);

        // Ended early again and again: answers stay those of the old release, and work is not lost.
        let answer = |collection: &Collection| {
            let query = old.one("t3w5 t3w9 common7");
            let options = SearchOptions::default();
            let found = collection.search(&query, 10, &files, &old, &options).expect("searches");
            found.hits.into_iter().map(|hit| (hit.path, hit.score.to_bits())).collect::<Vec<_>>()
        };
        let asked = answer(&collection);
        for _ in 0..2 {
            let mut parts = 0;
            let mut one_part = |event: Progress| {
                parts += usize::from(event.files_done == 0);
                if parts > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let report = collection.recode(&files, &new, &options, &mut one_part).expect("runs");
            assert!(report.cancelled && report.embedded > 0);
            assert_eq!(collection.moving_to(), Some(new.id()));
            assert_eq!(answer(&collection), asked);
        }
        let snapshot = collection.snapshot();
        let report = collection.recode(&files, &new, &options, &mut go_on).expect("ends");
        assert!(!report.cancelled);
        assert_eq!(new.0.encoded(), 700, "each once");
        let after = recall(&collection, &texts, &files, &new);
        assert!(after >= before - 0.005, "flat up to {flat}: {before} before, {after} after");
        let options = SearchOptions::default();
        let query = old.one("t3w5 t3w9 common7");
        let still = snapshot.search(&query, 10, &files, &old, &options).expect("goes on answering");
        assert_eq!(still.hits.len(), 10);
        assert!(collection.search(&query, 10, &files, &old, &options).is_err(), "it has moved on");
        assert_eq!(collection.verify().expect("sound").unreachable, 0);
    }
}

#[test]
fn settings_that_change_are_taken_up_by_coding_anew() {
    let texts = topics(1500, 30, 2);
    let files = MemoryFiles::new();
    for (i, text) in texts.iter().enumerate() {
        files.insert(name(i), text.as_str());
    }
    let encoder = Released::new(128, 1);
    let mut collection = empty(&encoder, Profile::Fast.settings());
    update(&mut collection, ROOT, &files, &encoder);
    let large = collection.stats().index_bytes;
    let mut settings = Profile::Small.settings();
    settings.lexical = false;
    collection.set_settings(settings).expect("set");
    let report = collection.recode(&files, &encoder, &UpdateOptions::default(), &mut go_on);
    assert_eq!(report.expect("recodes").embedded, 1500);
    let small = collection.stats().index_bytes;
    assert!(2 * small < large, "{large} before, {small} after");
    assert!(recall(&collection, &texts, &files, &encoder) >= 0.9);
}

#[test]
fn vectors_of_any_length_are_found() {
    for dim in [1, 2, 8, 15, 16, 17, 20, 1000] {
        let texts = topics(90, 12, 3);
        let (files, encoder) = (MemoryFiles::new(), WordEncoder::new(dim));
        for (i, text) in texts.iter().enumerate() {
            files.insert(name(i), text.as_str());
        }
        for flat in [0, 20, u32::MAX] {
            let mut settings = Settings::default();
            settings.flat = flat;
            let mut collection = empty(&encoder, settings);
            update(&mut collection, ROOT, &files, &encoder);
            let result = ask(&collection, &texts[40], 90, &files, &encoder);
            assert_eq!(result.hits.len(), 90, "{dim} dimensions, flat up to {flat}");
            for hit in &result.hits {
                let exact = encoder.dot(&texts[40], &hit.text);
                assert!((hit.score - exact).abs() <= hit.margin + 1e-5);
            }
            let best = &result.hits[0];
            assert!(best.text == texts[40] || dim == 1, "{dim}: {}", best.text);
            assert_eq!(collection.verify().expect("sound").unreachable, 0);
        }
    }
}

#[test]
fn the_longest_vectors_are_found_and_longer_ones_are_refused() {
    let (files, encoder) = (MemoryFiles::new(), WordEncoder::new(16 * 1024));
    let texts = ["bees and flowers", "bread and water", "stars at night"];
    for (i, text) in texts.iter().enumerate() {
        files.insert(name(i), *text);
    }
    let mut collection = empty(&encoder, Settings::default());
    update(&mut collection, ROOT, &files, &encoder);
    let result = ask(&collection, "bread and water", 3, &files, &encoder);
    assert_eq!(result.hits[0].text, "bread and water");
    assert!(Collection::in_memory(&WordEncoder::new(16 * 1024 + 1)).is_err());
}
