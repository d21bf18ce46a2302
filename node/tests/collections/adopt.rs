//! Moving collections to another release of their model in the background.

use std::sync::Condvar;

use tokio::task::JoinHandle;

use super::*;

const DIM: usize = 64;
const CHUNKS: u64 = 12;

/// Lets so many chunks through; counts them.
#[derive(Default)]
struct Turnstile {
    state: Mutex<Passing>,
    changed: Condvar,
}

#[derive(Default)]
struct Passing {
    allowed: usize,
    passed: usize,
    waiting: bool,
}

impl Turnstile {
    fn pass(&self, chunks: usize) {
        let mut state = self.state.lock().expect("whole");
        while state.passed + chunks > state.allowed {
            state.waiting = true;
            state = self.changed.wait(state).expect("whole");
        }
        state.waiting = false;
        state.passed += chunks;
    }

    fn allow(&self, allowed: usize) {
        self.state.lock().expect("whole").allowed = allowed;
        self.changed.notify_all();
    }

    fn is_held_at(&self, passed: usize) -> bool {
        let state = self.state.lock().expect("whole");
        state.waiting && state.passed == passed
    }

    fn passed(&self) -> usize {
        self.state.lock().expect("whole").passed
    }
}

/// A release in which words stand for directions of their own; chunks, not questions, pass its turnstile.
struct Release {
    number: u8,
    turnstile: Arc<Turnstile>,
}

impl Release {
    fn one(&self, text: &str) -> Vec<f32> {
        let mut row = vec![0f32; DIM];
        for word in text.split_whitespace() {
            let digest = Digest::sha256(format!("{} {word}", self.number).as_bytes());
            for (i, x) in row.iter_mut().enumerate() {
                let nibble = digest.as_bytes()[i / 2] >> (4 * (i % 2)) & 15;
                *x += f32::from(nibble) - 7.5;
            }
        }
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        row.iter().map(|x| x / length).collect()
    }
}

impl Encoder for Release {
    fn id(&self) -> EncoderId {
        EncoderId { base: [7; 32], release: [self.number; 32] }
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn max_tokens(&self) -> usize {
        64
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        self.turnstile.pass(texts.iter().filter(|text| text.starts_with("chunk")).count());
        Ok(texts.iter().flat_map(|text| self.one(text)).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        Hashing { id: 0, gate: None }.token_spans(text)
    }
}

/// Two releases of one model, `one` and `two`; the second holds chunks up.
fn releases(second: Arc<Turnstile>) -> TwoModels {
    let free = Arc::new(Turnstile::default());
    free.allow(usize::MAX);
    let handle = |number: u8, name: &str, turnstile| ModelHandle {
        id: ModelId {
            base: Digest::from_bytes([7; 32]),
            release: Digest::from_bytes([number; 32]),
        },
        name: name.to_owned(),
        family: "bert".to_owned(),
        dim: DIM,
        encoder: Arc::new(Release { number, turnstile }),
    };
    TwoModels::of([handle(1, "one", free), handle(2, "two", second)])
}

/// A node with a collection of three segments of four chunks, by the first release.
struct Moving {
    place: Place,
    turnstile: Arc<Turnstile>,
    stop: CancelFlag,
    task: JoinHandle<()>,
    node: Node<MemoryLink>,
}

impl Moving {
    async fn begin() -> Self {
        let turnstile = Arc::new(Turnstile::default());
        let place = Place::with(Arc::new(releases(turnstile.clone())));
        for file in ["apple.md", "bread.txt"] {
            fs::remove_file(place.notes().join(file)).expect("removes");
        }
        let node = place.open();
        for segment in 0..3 {
            for i in 0..4 {
                let n = segment * 4 + i;
                place.write(&format!("{n:02}.txt"), &format!("chunk about subject{n} only"));
            }
            assert_eq!(add(&node, &place.notes()).await.embedded, 4);
        }
        call(&node, Call::ModelUse { model: "two".into() }).await.expect("switches");
        Self::on(place, turnstile, node)
    }

    fn on(place: Place, turnstile: Arc<Turnstile>, node: Node<MemoryLink>) -> Self {
        let stop = CancelFlag::new();
        let (background, flag) = (node.clone(), stop.clone());
        let task = tokio::spawn(async move { background.adopt_releases(flag).await });
        Self { place, turnstile, stop, task, node }
    }

    /// Ends the node as a crash would, and opens it again with a turnstile of its own.
    async fn restart(self) -> Self {
        let Self { place, turnstile, stop, task, node } = self;
        stop.cancel();
        turnstile.allow(usize::MAX);
        task.await.expect("ends");
        drop(node);
        let turnstile = Arc::new(Turnstile::default());
        let place = Place { models: Arc::new(releases(turnstile.clone())), ..place };
        let node = place.open();
        Self::on(place, turnstile, node)
    }

    /// The file found for a subject, checked to be scored by this release.
    async fn ask(&self, n: usize, release: u8) -> String {
        let search =
            SearchCall { question: format!("subject{n}"), limit: Some(1), ..SearchCall::default() };
        let Ok(Reply::Search(report)) = call(&self.node, Call::Search(search)).await else {
            panic!("no answer")
        };
        assert_eq!(report.notes, Vec::<String>::new());
        let hit = &report.results[0];
        let by = Release { number: release, turnstile: Arc::default() };
        let (question, text) =
            (by.one(&format!("subject{n}")), by.one(hit.text.as_deref().expect("a text")));
        let score: f32 = question.iter().zip(&text).map(|(a, b)| a * b).sum();
        assert!((hit.score - score).abs() < 1e-4, "{} is not {score}", hit.score);
        let path = hit.path.as_deref().and_then(Path::file_name).expect("a file");
        path.to_string_lossy().into_owned()
    }

    async fn info(&self) -> CollectionInfo {
        collections(&self.node).await.remove(0)
    }

    async fn wait(&self, what: &str, done: impl Fn(&CollectionInfo, &Turnstile) -> bool) {
        for _ in 0..6_000 {
            if done(&self.info().await, &self.turnstile) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("waited in vain for {what}");
    }
}

fn is_there(info: &CollectionInfo, _: &Turnstile) -> bool {
    info.model.release == Digest::from_bytes([2; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_before_answers_until_every_chunk_is_embedded_once() {
    let moving = Moving::begin().await;
    for segments in 0..3 {
        let held = segments * 4;
        moving.wait("a segment to be begun", |_, turnstile| turnstile.is_held_at(held)).await;
        let progress = moving.info().await.moving.expect("is under way");
        assert_eq!((progress.done, progress.total), (held as u64, CHUNKS));
        for n in 0..12 {
            assert_eq!(moving.ask(n, 1).await, format!("{n:02}.txt"));
        }
        if segments == 1 {
            moving.place.write("12.txt", "chunk about subject12 only");
            let added = add(&moving.node, &moving.place.notes()).await;
            assert_eq!((added.added, added.embedded), (1, 1), "an update is not held up");
            assert_eq!(moving.ask(12, 1).await, "12.txt");
            moving.turnstile.allow(held + 4);
            moving.wait("the next segment", |_, turnstile| turnstile.is_held_at(held + 4)).await;
            assert_eq!(moving.info().await.moving.expect("goes on").total, CHUNKS + 1);
            break;
        }
        moving.turnstile.allow(held + 4);
    }
    moving.turnstile.allow(usize::MAX);
    moving.wait("the move to end", is_there).await;
    assert_eq!(moving.turnstile.passed(), 13, "each chunk is embedded once");
    assert_eq!(moving.info().await.moving, None);
    for n in 0..13 {
        assert_eq!(moving.ask(n, 2).await, format!("{n:02}.txt"));
    }
    moving.stop.cancel();
    moving.task.await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_goes_on_and_embeds_only_what_is_left() {
    let moving = Moving::begin().await;
    moving.turnstile.allow(4);
    moving.wait("the second segment", |_, turnstile| turnstile.is_held_at(4)).await;
    let moving = moving.restart().await;
    moving.wait("the second segment again", |_, turnstile| turnstile.is_held_at(0)).await;
    assert_eq!(moving.info().await.moving.expect("goes on").done, 4);
    assert_eq!(moving.ask(9, 1).await, "09.txt");
    moving.turnstile.allow(usize::MAX);
    moving.wait("the move to end", is_there).await;
    assert_eq!(moving.turnstile.passed(), 8);
    assert_eq!(moving.ask(9, 2).await, "09.txt");
    let moving = moving.restart().await;
    // A search recomputes by this release now.
    moving.turnstile.allow(usize::MAX);
    assert_eq!(moving.ask(3, 2).await, "03.txt");
    moving.stop.cancel();
    moving.task.await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_to_the_release_before_ends_a_move_and_forgets_it() {
    let moving = Moving::begin().await;
    moving.turnstile.allow(4);
    moving.wait("the second segment", |_, turnstile| turnstile.is_held_at(4)).await;
    call(&moving.node, Call::ModelUse { model: "one".into() }).await.expect("switches");
    moving.turnstile.allow(usize::MAX);
    let codes = || {
        let index = fs::read_dir(moving.place.home.index_dir()).expect("lists").flatten();
        let files = index.flat_map(|dir| fs::read_dir(dir.path()).expect("lists").flatten());
        files.filter(|file| file.file_name().to_string_lossy().starts_with("codes-")).count()
    };
    moving.wait("what was made to be forgotten", |_, _| codes() == 3).await;
    assert_eq!(moving.info().await.moving, None);
    assert_eq!(moving.ask(9, 1).await, "09.txt");
    moving.stop.cancel();
    moving.task.await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_of_two_releases_are_ranked_by_scores_of_one() {
    let moving = Moving::begin().await;
    moving.wait("the first segment", |_, turnstile| turnstile.is_held_at(0)).await;
    // A second collection, by the current release.
    let other = moving.place.dir.path().join("other");
    fs::create_dir(&other).expect("makes a folder");
    fs::write(other.join("other.txt"), "all about subject3").expect("writes");
    add(&moving.node, &other).await;
    let question = "subject3".to_owned();
    let search = SearchCall { question, limit: Some(5), ..SearchCall::default() };
    // To compare scores, chunks of the first collection are embedded by the second release.
    moving.turnstile.allow(64);
    let Ok(Reply::Search(report)) = call(&moving.node, Call::Search(search)).await else {
        panic!("no answer")
    };
    let by = Release { number: 2, turnstile: Arc::default() };
    for hit in &report.results {
        let texts = (by.one("subject3"), by.one(hit.text.as_deref().expect("a text")));
        let score: f32 = texts.0.iter().zip(&texts.1).map(|(a, b)| a * b).sum();
        assert!((hit.score - score).abs() < 1e-4, "{hit:?} is not {score}");
    }
    assert!(report.results.iter().any(|hit| hit.from[0].collection == "other"));
    moving.turnstile.allow(usize::MAX);
    moving.stop.cancel();
    moving.task.await.expect("ends");
}
