//! A machine that dies, or a disk that fills up, at every single step of a move to another release.

use super::*;
use crate::encoder::Encoder;
use crate::search::SearchOptions;

const DIM: usize = 16;

fn release(number: u8) -> WordEncoder {
    WordEncoder::new(DIM).with_id(7, number)
}

fn recode(
    collection: &mut Collection,
    files: &MemoryFiles,
    to: &WordEncoder,
) -> Result<RecodeReport, IndexError> {
    let options = UpdateOptions { batch: 1, ..UpdateOptions::default() };
    collection.recode(files, to, &options, &mut |_| ControlFlow::Continue(()))
}

/// Names and scores of an answer by the release that the collection is at.
fn answer(collection: &Collection, files: &MemoryFiles) -> Vec<(PathBuf, u32)> {
    let encoder = release(collection.encoder_id().release[0]);
    let query = encoder.one("the third file");
    let found = collection.search(&query, 9, files, &encoder, &SearchOptions::default());
    let hits = found.expect("searches").hits;
    hits.into_iter().map(|hit| (hit.path, hit.score.to_bits())).collect()
}

/// A collection in `dir` of `count` files in parts of eight: too few to learn from, or enough.
fn start_with(dir: &Path, count: usize) -> MemoryFiles {
    let files = MemoryFiles::new();
    for i in 0..count {
        files.insert(format!("/n/{i:03}"), format!("the third file and number{i}"));
    }
    let mut collection = Collection::create(dir, &release(1)).expect("made");
    let settings = crate::Settings { lexical: false, ..crate::Settings::default() };
    collection.set_settings(settings).expect("set");
    let options = UpdateOptions { segment_chunks: 8, merge_at: 99, ..UpdateOptions::default() };
    let root = Path::new("/n");
    collection
        .update(root, &files, &release(1), &options, &mut |_| ControlFlow::Continue(()))
        .expect("updates");
    files
}

fn crash_everywhere(count: usize, kind: io::ErrorKind) {
    for steps in 0.. {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let dir = temp.path().join("index");
        let files = start_with(&dir, count);
        let fault = Fault::at(steps..usize::MAX, kind);
        let store = DirStore::locked(&dir).expect("locks").with_fault(Arc::clone(&fault));
        let mut collection = Collection::open_in(Box::new(store), true).expect("opens");
        let before = answer(&collection, &files);
        let encoder = release(2);
        let outcome = recode(&mut collection, &files, &encoder);
        if let Err(error) = &outcome {
            let full = matches!(error, IndexError::DiskFull { .. });
            assert_eq!(full, kind == io::ErrorKind::StorageFull, "{error}");
            assert_eq!(collection.encoder_id(), release(1).id(), "step {steps}");
            assert_eq!(answer(&collection, &files), before, "in memory, step {steps}");
        }
        drop(collection);

        let mut collection = Collection::open(&dir).expect("a crash leaves a sound index");
        collection.verify().expect("sound");
        assert_eq!(live(&collection).len(), count);
        let switched = collection.encoder_id() == release(2).id();
        assert!(switched || collection.encoder_id() == release(1).id());
        if !switched {
            assert_eq!(answer(&collection, &files), before, "on disk, step {steps}");
            let moving = collection.manifest.moving.clone();
            let done = |part: &&Part| {
                moving.as_ref().is_some_and(|moving| moving.codes.contains_key(&part.id))
            };
            let parts = collection.snapshot.parts().iter().filter(done);
            let listed: usize = parts.map(|part| part.segment.len() as usize).sum();
            let again = release(2);
            let report = recode(&mut collection, &files, &again).expect("goes on");
            assert_eq!(report.embedded, count - listed, "step {steps}: {listed} were done");
            let sizes = collection.snapshot.parts().iter().map(|part| part.segment.len() as usize);
            let lost = sizes.max().unwrap_or(0);
            assert!(encoder.encoded() + report.embedded <= count + lost, "step {steps}");
        }
        assert_eq!(collection.encoder_id(), release(2).id());
        assert_eq!(collection.moving_to(), None);
        let names = collection.store.names().expect("lists");
        assert_eq!(names.len(), 1 + collection.manifest.names().len(), "no remains: {names:?}");
        assert_eq!(answer(&collection, &files).len(), 9);
        drop(collection);
        Collection::open(&dir).expect("opens").verify().expect("sound");
        if !fault.struck() {
            assert!(outcome.is_ok() && steps > 20, "{steps} steps");
            return;
        }
    }
}

#[test]
fn the_old_release_answers_until_the_new_one_is_whole() {
    crash_everywhere(24, io::ErrorKind::Other);
}

#[test]
fn the_same_where_a_codec_is_learnt_at_the_switch() {
    crash_everywhere(4 * DIM, io::ErrorKind::Other);
}

#[test]
fn a_disk_that_fills_up_in_a_move_loses_nothing() {
    crash_everywhere(24, io::ErrorKind::StorageFull);
}

#[test]
fn a_disk_that_fills_up_in_a_merge_loses_nothing() {
    for steps in 0.. {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let dir = temp.path().join("index");
        // Enough to learn from: the merge writes a codec and all codes anew.
        let files = start_with(&dir, 4 * DIM);
        let fault = Fault::at(steps..usize::MAX, io::ErrorKind::StorageFull);
        let store = DirStore::locked(&dir).expect("locks").with_fault(Arc::clone(&fault));
        let mut collection = Collection::open_in(Box::new(store), true).expect("opens");
        let before = live(&collection);
        let encoder = release(1);
        let options = UpdateOptions { merge_at: 1, ..UpdateOptions::default() };
        let outcome = collection.update(Path::new("/n"), &files, &encoder, &options, &mut |_| {
            ControlFlow::Continue(())
        });
        assert_eq!(encoder.encoded(), 0, "merging embeds nothing");
        if let Err(error) = &outcome {
            assert!(matches!(error, IndexError::DiskFull { .. }), "{error}");
        }
        assert_eq!(live(&collection), before, "step {steps}");
        drop(collection);
        let collection = Collection::open(&dir).expect("sound");
        collection.verify().expect("sound");
        assert_eq!(live(&collection), before, "step {steps}");
        if !fault.struck() {
            assert_eq!(collection.stats().segments, 1);
            return;
        }
    }
}

#[test]
fn codes_of_a_move_that_were_swapped_are_noticed() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let dir = temp.path().join("index");
    let files = start_with(&dir, 24);
    let mut collection = Collection::open(&dir).expect("opens");
    let mut parts = 0;
    let report = collection.recode(&files, &release(2), &UpdateOptions::default(), &mut |event| {
        parts += usize::from(event.files_done == 0);
        if parts > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(report.expect("runs").cancelled);
    let moving = collection.manifest.moving.clone().expect("under way");
    assert_eq!((moving.codes.len(), collection.moving_to()), (2, Some(release(2).id())));
    drop(collection);
    let names: Vec<PathBuf> =
        moving.codes.values().map(|file| dir.join(file_name(CODES, file.id))).collect();
    std::fs::copy(&names[0], &names[1]).expect("copied");
    let mut collection = Collection::open(&dir).expect("answers as before");
    assert!(matches!(collection.verify(), Err(IndexError::Corrupt { .. })));
    assert!(matches!(
        recode(&mut collection, &files, &release(2)),
        Err(IndexError::Corrupt { .. })
    ));
    drop(collection);
    let (mut collection, _) = Collection::repair(&dir).expect("repairs");
    assert_eq!(recode(&mut collection, &files, &release(2)).expect("recodes").embedded, 24);
    collection.verify().expect("sound");
}

#[test]
fn a_root_that_is_away_stops_a_move_and_loses_nothing() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let dir = temp.path().join("index");
    start_with(&dir, 24);
    let mut collection = Collection::open(&dir).expect("opens");
    let away = recode(&mut collection, &MemoryFiles::new(), &release(2));
    assert!(matches!(away, Err(IndexError::RootUnreadable { .. })), "{away:?}");
    assert_eq!(live(&collection).len(), 24);
}

#[test]
fn codes_are_learnt_with_the_first_chunk_that_makes_enough() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let dir = temp.path().join("index");
    let files = start_with(&dir, 4 * DIM - 1);
    let mut collection = Collection::open(&dir).expect("opens");
    let provisional = |collection: &Collection| {
        let parts = collection.snapshot.parts().iter();
        parts.map(|part| part.segment.coded.codec().is_provisional()).collect::<Vec<_>>()
    };
    assert_eq!(provisional(&collection), [true; 8]);
    files.insert("/n/last", "the third file and the last");
    super::update(&mut collection, &files, 8192).expect("updates");
    assert_eq!(provisional(&collection), [false]);
    assert_eq!(collection.manifest.codecs.len(), 1, "the provisional one is forgotten");
    files.insert("/n/later", "the third file and a later one");
    super::update(&mut collection, &files, 8192).expect("updates");
    assert_eq!(provisional(&collection), [false; 2]);
}
