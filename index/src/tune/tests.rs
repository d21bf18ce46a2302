//! Predictions beside the real search, on generated collections.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::collection::{Collection, UpdateOptions};
use crate::files::MemoryFiles;
use crate::fixture::{WordEncoder, topics};
use crate::settings::Settings;

const DIM: usize = 64;

/// Bytes of goals that do not matter here.
const ANY: DiskGoal = DiskGoal::Share(100.0);

fn collection(texts: usize, flat: u32) -> (Collection, MemoryFiles, WordEncoder) {
    let (files, encoder) = (MemoryFiles::new(), WordEncoder::new(DIM));
    for (i, text) in topics(texts, 20, 5).into_iter().enumerate() {
        files.insert(format!("/n/{i:05}.txt"), text.as_str());
    }
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let settings = Settings { flat, lexical: false, ..collection.settings() };
    collection.set_settings(settings).expect("set");
    let options = UpdateOptions::default();
    let mut go_on = |_| ControlFlow::Continue(());
    collection.update(Path::new("/n"), &files, &encoder, &options, &mut go_on).expect("updates");
    (collection, files, encoder)
}

/// Lends a desk whose clock advances by a microsecond whenever it is looked at.
fn at_desk<T>(
    files: &MemoryFiles,
    encoder: &WordEncoder,
    work: impl FnOnce(&mut TuneDesk<'_>) -> T,
) -> T {
    let ticks = Cell::new(0);
    let now = || {
        ticks.set(ticks.get() + 1);
        Duration::from_micros(ticks.get())
    };
    let mut progress = |_| ControlFlow::Continue(());
    work(&mut TuneDesk { files, encoder, now: &now, progress: &mut progress })
}

#[test]
fn what_is_predicted_is_what_the_real_search_does() {
    // All of the first are embedded again, most of the second.
    for texts in [1200, 4400] {
        let (mut collection, files, encoder) = collection(texts, u32::MAX);
        let goals = TuneGoals { recall: 0.9, latency: None, disk: ANY };
        let report = at_desk(&files, &encoder, |desk| collection.snapshot().tune(desk, &goals));
        let report = report.expect("tunes").expect("is not interrupted");
        assert_eq!(report.chunks, texts);
        assert!((texts.min(4000)..=texts).contains(&report.sampled));
        let first = report.chosen.expect("nothing is in the way");
        assert!(report.rows[first].recall >= 0.9);
        let wider = report.rows.iter().position(|row| row.settings.bytes_per_chunk == 40);
        for row in [first, wider.expect("is tried")].map(|at| report.rows[at]) {
            collection.set_settings(row.settings).expect("set");
            let options = UpdateOptions::default();
            let mut go_on = |_| ControlFlow::Continue(());
            collection.recode(&files, &encoder, &options, &mut go_on).expect("codes");
            let measured =
                at_desk(&files, &encoder, |desk| collection.snapshot().try_out(desk, &report));
            let measured = measured.expect("asks").expect("is not interrupted");
            let said = format!("{texts} texts: {row:?}, {measured:?}");
            println!("{said}");
            assert!((row.recall - measured.recall).abs() < 0.05, "{said}");
            let ratio = (row.recomputed + 2.0) / (measured.recomputed + 2.0);
            assert!((0.7..1.4).contains(&ratio), "{said}");
            let bytes = collection.stats().index_bytes as f64 / texts as f64;
            assert!((row.bytes_per_chunk - bytes).abs() < 0.05 * bytes, "{bytes} bytes, {said}");
        }
    }
}

#[test]
fn what_is_measured_is_what_a_new_question_costs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, files, encoder) = collection(600, u32::MAX);
    let mut collection = Collection::create(folder.path(), &encoder).expect("made");
    let settings = Settings { cache_bytes: 1 << 20, lexical: false, ..collection.settings() };
    collection.set_settings(settings).expect("set");
    let options = UpdateOptions::default();
    let mut go_on = |_| ControlFlow::Continue(());
    collection.update(Path::new("/n"), &files, &encoder, &options, &mut go_on).expect("updates");
    let goals = TuneGoals { recall: 0.9, latency: None, disk: ANY };
    let report = at_desk(&files, &encoder, |desk| collection.snapshot().tune(desk, &goals));
    let report = report.expect("tunes").expect("is not interrupted");
    let cached = |question: &str| {
        let query = encoder.encode(&[question]).expect("encodes");
        let options = crate::search::SearchOptions::default();
        let found = collection.search(&query, TUNE_K, &files, &encoder, &options);
        let found = found.expect("searches");
        (found.cached, found.recomputed)
    };
    let measure = || {
        let measured =
            at_desk(&files, &encoder, |desk| collection.snapshot().try_out(desk, &report));
        measured.expect("asks").expect("is not interrupted").recomputed
    };
    let first = measure();
    let (none, recomputed) = cached(&report.questions[0]);
    assert!(none == 0 && recomputed > 0, "measuring fills no cache");
    assert!(cached(&report.questions[0]).0 > 0, "searching does");
    assert_eq!(measure(), first);
}

#[test]
fn a_collection_that_cannot_be_tuned_says_what_is_the_matter() {
    let (collection, files, encoder) = collection(400, u32::MAX);
    let tune = || {
        let goals = TuneGoals::default();
        at_desk(&files, &encoder, |desk| collection.snapshot().tune(desk, &goals))
    };
    for i in 0..200 {
        files.remove(format!("/n/{i:05}.txt"));
    }
    let error = tune().expect_err("half of the files are gone");
    assert!(matches!(error, IndexError::TooFewToRead { chunks: 400, .. }), "{error}");

    let (files, encoder) = (MemoryFiles::new(), WordEncoder::new(DIM));
    for i in 0..400 {
        files.insert(format!("/n/{i:05}.txt"), format!("{i:08}").as_str());
    }
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let options = UpdateOptions::default();
    let mut go_on = |_| ControlFlow::Continue(());
    collection.update(Path::new("/n"), &files, &encoder, &options, &mut go_on).expect("updates");
    let goals = TuneGoals::default();
    let tuned = at_desk(&files, &encoder, |desk| collection.snapshot().tune(desk, &goals));
    assert!(matches!(tuned, Err(IndexError::NoQuestions)), "{tuned:?}");
}

#[test]
fn the_same_collection_gives_the_same_report_and_nothing_is_changed() {
    let (collection, files, encoder) = collection(600, u32::MAX);
    let before = collection.settings();
    let tune = || {
        let goals = TuneGoals { disk: DiskGoal::PerChunk(1.0), ..TuneGoals::default() };
        let report = at_desk(&files, &encoder, |desk| collection.snapshot().tune(desk, &goals));
        report.expect("tunes").expect("is not interrupted")
    };
    let (report, again) = (tune(), tune());
    assert_eq!(report.rows, again.rows);
    assert_eq!(report.in_the_way, [TuneGoal::Disk], "nothing fits into a byte");
    assert_eq!((report.chosen, collection.settings()), (None, before));
    assert!(report.rows.is_sorted_by(|a, b| a.bytes_per_chunk < b.bytes_per_chunk));
}

#[test]
fn with_blocks_the_number_scanned_is_tuned_as_well() {
    let (collection, files, encoder) = collection(1500, 500);
    let goals = TuneGoals { recall: 0.9, latency: None, disk: ANY };
    let report = at_desk(&files, &encoder, |desk| collection.snapshot().tune(desk, &goals));
    let report = report.expect("tunes").expect("is not interrupted");
    let row = report.rows[report.chosen.expect("scanning all of them fits")];
    assert!(row.settings.probes >= 8 && row.recall >= 0.9, "{row:?}");
}

#[test]
fn too_few_chunks_another_model_and_an_interruption_are_told_apart() {
    let (small, files, encoder) = collection(100, u32::MAX);
    let goals = TuneGoals::default();
    let tuned = at_desk(&files, &encoder, |desk| small.snapshot().tune(desk, &goals));
    assert!(matches!(tuned, Err(IndexError::TooFewToTune { chunks: 100, .. })));
    let (collection, files, encoder) = collection(400, u32::MAX);
    let other = WordEncoder::new(DIM).with_id(7, 9);
    let tuned = at_desk(&files, &other, |desk| collection.snapshot().tune(desk, &goals));
    assert!(matches!(tuned, Err(IndexError::WrongModel(_))));
    let bad = TuneGoals { recall: f64::NAN, ..goals };
    let tuned = at_desk(&files, &encoder, |desk| collection.snapshot().tune(desk, &bad));
    assert!(matches!(tuned, Err(IndexError::BadGoals)));
    for stage in [TuneStage::Sampling, TuneStage::Comparing] {
        let mut progress = |at: TuneProgress| match at.stage == stage {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let now = || Duration::ZERO;
        let mut desk =
            TuneDesk { files: &files, encoder: &encoder, now: &now, progress: &mut progress };
        assert!(collection.snapshot().tune(&mut desk, &goals).expect("no error").is_none());
    }
}
