//! Tuning a collection, keeping its goals, and tuning again when it has grown.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicUsize;

use covey_index::Collection;
use covey_node::api::{TuneCall, TuneDisk, TuneInfo, TunedInfo};

use super::*;

/// Notes from `first` on, each about something of its own.
fn write_notes(place: &Place, first: usize, count: usize) {
    for n in first..first + count {
        let (a, b) = (n * 7 % 31, n * 13 % 37);
        place.write(
            &format!("note{n}.txt"),
            &format!("Shelf {n} holds jar {a} and crate {b}. It was moved from room {a}."),
        );
    }
}

fn goals() -> TuneCall {
    TuneCall {
        collection: name("notes"),
        recall: Some(0.9),
        latency_us: None,
        disk: Some(TuneDisk::BytesPerChunk(4_000.0)),
        dry_run: false,
        nearest: false,
    }
}

async fn tune(node: &Node<MemoryLink>, it: TuneCall) -> Result<TuneInfo, ApiError> {
    match call(node, Call::Tune(it)).await? {
        Reply::Tuned(info) => Ok(*info),
        other => panic!("{other:?}"),
    }
}

async fn kept(node: &Node<MemoryLink>) -> Option<TunedInfo> {
    let info = super::modes::info(node).await;
    let status = collections(node).await;
    assert_eq!(status[0].tuned, info.tuned, "both say the same");
    info.tuned
}

#[tokio::test]
async fn goals_are_kept_across_restarts_and_growth_is_met_by_tuning_again() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    let few = tune(&node, goals()).await.expect_err("two notes are too few");
    assert_eq!(few.code, ErrorCode::Usage);
    assert!(few.message.contains("300"), "{few}");
    assert_eq!(kept(&node).await, None);

    write_notes(&place, 0, 400);
    add(&node, &place.notes()).await;
    let dry = tune(&node, TuneCall { dry_run: true, ..goals() }).await.expect("looks");
    assert!(dry.chosen.is_some() && !dry.applied && dry.measured.is_none(), "{dry:?}");
    assert_eq!(kept(&node).await, None, "a dry run leaves no trace");

    let info = tune(&node, goals()).await.expect("tunes");
    let chosen = &info.choices[usize::try_from(info.chosen.expect("fits")).expect("small")];
    let measured = info.measured.expect("was tried out");
    assert!(info.applied && measured.recall > 0.8, "{measured:?}");
    assert_eq!(super::modes::info(&node).await.settings, chosen.settings);
    let before = kept(&node).await.expect("has goals");
    assert_eq!((before.chunks, before.fits, before.goals.recall), (402, true, 0.9));
    drop(node);

    let node = place.open();
    assert_eq!(kept(&node).await, Some(before.clone()), "a restart changes nothing");
    write_notes(&place, 400, 100);
    add(&node, &place.notes()).await;
    assert_eq!(kept(&node).await, Some(before.clone()), "a quarter more is not enough");
    write_notes(&place, 500, 350);
    add(&node, &place.notes()).await;
    let after = kept(&node).await.expect("has goals");
    assert_eq!((after.chunks, &after.goals), (852, &before.goals));

    call(&node, Call::Reindex { collection: Some(name("notes")) }).await.expect("rebuilds");
    assert_eq!(kept(&node).await, Some(after), "a rebuilt collection keeps its goals");
    let profile =
        Call::IndexProfile { collection: name("notes"), profile: Profile::Fast, cache_bytes: None };
    call(&node, profile).await.expect("changes");
    assert_eq!(kept(&node).await, None, "whoever chooses a profile wants no goals");
}

#[tokio::test]
async fn what_does_not_fit_or_is_interrupted_changes_nothing() {
    let place = Place::new();
    write_notes(&place, 0, 400);
    let node = place.open();
    add(&node, &place.notes()).await;
    let before = super::modes::info(&node).await;

    let small = TuneCall { disk: Some(TuneDisk::BytesPerChunk(1.0)), ..goals() };
    let info = tune(&node, small.clone()).await.expect("looks");
    assert_eq!((info.chosen, info.applied), (None, false));
    assert!(info.nearest.is_some() && !info.in_the_way.is_empty(), "{info:?}");
    assert_eq!(super::modes::info(&node).await, before);

    let cancel = CancelFlag::new();
    let mut stop = |_| cancel.cancel();
    let stopped = node.call(Call::Tune(goals()), &mut stop, cancel.clone()).await;
    assert_eq!(stopped.expect_err("was interrupted").code, ErrorCode::Cancelled);
    assert_eq!(super::modes::info(&node).await, before);

    let nearest = tune(&node, TuneCall { nearest: true, ..small }).await.expect("applies");
    assert!(nearest.applied);
    assert!(!kept(&node).await.expect("has goals").fits);
    let off = Call::TuneOff { collection: name("notes") };
    call(&node, off.clone()).await.expect("forgets");
    assert_eq!(kept(&node).await, None);
    let again = call(&node, off).await.expect_err("there is nothing to forget");
    assert_eq!(again.code, ErrorCode::NotFound);
    let bad = tune(&node, TuneCall { recall: Some(2.0), ..goals() }).await.expect_err("no recall");
    assert_eq!(bad.code, ErrorCode::Usage);
}

/// Questions the tuner plays, and chunks of two segments. It embeds the questions one by one, and then, coding
/// anew, every chunk that has no new code yet: here those of the second segment.
const QUESTIONS: usize = 64;
const FIRST: usize = 352;
const SECOND: usize = 150;

/// Hashes words, and raises a flag once it was given so many texts one by one.
struct Interrupting {
    cancel: CancelFlag,
    after: usize,
    singles: AtomicUsize,
}

impl Encoder for Interrupting {
    fn id(&self) -> EncoderId {
        Hashing { id: 1, gate: None }.id()
    }

    fn dim(&self) -> usize {
        64
    }

    fn max_tokens(&self) -> usize {
        64
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        let singles = match texts.len() {
            1 => self.singles.fetch_add(1, Ordering::SeqCst) + 1,
            _ => self.singles.swap(0, Ordering::SeqCst),
        };
        if singles > self.after {
            self.cancel.cancel();
        }
        Ok(texts.iter().flat_map(|text| row(text)).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        Hashing { id: 1, gate: None }.token_spans(text)
    }
}

/// As an interrupted `covey index recode` does, which also keeps the segment apart.
fn begin_coding_anew(place: &Place) {
    let dir = fs::read_dir(place.home.index_dir()).expect("lists").next().expect("an index");
    let dir = dir.expect("an entry").path();
    let encoder = Hashing { id: 1, gate: None };
    let mut index = Collection::open(&dir).expect("opens");
    let step = index.recode_step(&Disk, &encoder, 0).expect("begins").expect("has chunks");
    let mut go_on = |_| ControlFlow::Continue(());
    let part = step.run(&Disk, &encoder, 64, &mut go_on).expect("runs").expect("ends");
    assert!(index.accept(part).expect("accepts"));
}

/// Tunes two segments to codes of another width, is interrupted after so many texts, and gives what came of
/// it, the settings of before, and the collection after a restart.
async fn interrupted(
    after: usize,
) -> (Result<TuneInfo, ApiError>, IndexInfo, IndexInfo, CollectionInfo) {
    let models = |cancel: &CancelFlag, after| {
        let mut models = TwoModels::new(None);
        let (cancel, singles) = (cancel.clone(), AtomicUsize::new(0));
        models.handles[0].encoder = Arc::new(Interrupting { cancel, after, singles });
        Arc::new(models)
    };
    let cancel = CancelFlag::new();
    let place = Place::with(models(&cancel, usize::MAX));
    let node = place.open();
    write_notes(&place, 0, FIRST - 2);
    add(&node, &place.notes()).await;
    drop(node);
    begin_coding_anew(&place);
    let node = place.open();
    for n in 0..SECOND {
        place.write(&format!("z{n}.txt"), &format!("Barrel {n} stands behind door {}.", n % 7));
    }
    add(&node, &place.notes()).await;
    let before = super::modes::info(&node).await;
    assert_eq!(before.segments, 2);
    drop(node);

    let place = Place { models: models(&cancel, after), ..place };
    let node = place.open();
    let disk = Some(TuneDisk::BytesPerChunk(1.0));
    let tune = Call::Tune(TuneCall { disk, nearest: true, ..goals() });
    let done = node.call(tune, &mut |_| {}, cancel).await.map(|reply| match reply {
        Reply::Tuned(info) => *info,
        other => panic!("{other:?}"),
    });
    drop(node);
    let node = place.open();
    let now = collections(&node).await.remove(0);
    (done, before, super::modes::info(&node).await, now)
}

#[tokio::test]
async fn tuning_that_is_interrupted_while_it_codes_anew_leaves_nothing_half_done() {
    let (done, before, after, now) = interrupted(QUESTIONS + SECOND / 2).await;
    assert_eq!(done.expect_err("was interrupted").code, ErrorCode::Cancelled);
    assert_eq!(after.settings, before.settings);
    assert_eq!(now.moving, None);
}

#[tokio::test]
async fn tuning_that_is_interrupted_while_it_measures_says_what_is_in_force() {
    let (done, before, after, _) = interrupted(QUESTIONS + SECOND).await;
    let done = done.expect("the settings are in force");
    assert!(done.applied && done.measured.is_none(), "{done:?}");
    assert_ne!(after.settings, before.settings);
}
