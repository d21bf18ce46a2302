//! Own collections on a real disk: what is indexed, found, damaged and rebuilt.

mod adopt;
mod mine;
mod modes;
mod tune;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use covey_crypto::{Digest, SecretKey};
use covey_index::{Disk, EncodeError, Encoder, EncoderId};
use covey_net::memory::{MemoryLink, Network, NetworkConfig};
use covey_node::api::{
    Added, ApiError, Call, CollectionInfo, ErrorCode, IndexInfo, ModelEntry, Profile, Reply,
    SearchCall, SearchMode, SearchReport, Stopped,
};
use covey_node::cancel::CancelFlag;
use covey_node::env::{Clock, Compute, Env};
use covey_node::home::Home;
use covey_node::models::{ModelHandle, Models, OneModel};
use covey_node::node::{Node, Parts, Role, Settings};
use covey_node::store::{DiskStores, Stores, Table, Write};
use covey_protocol::ids::{ModelId, Name, NodeId, UnixMillis};

/// A home with a node, and a folder of files.
struct Place {
    dir: tempfile::TempDir,
    home: Home,
    models: Arc<dyn Models>,
}

impl Place {
    fn new() -> Self {
        Self::with(Arc::new(OneModel::builtin().expect("loads")))
    }

    fn with(models: Arc<dyn Models>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home::below(&dir.path().join("home")).expect("a home");
        home.create().expect("makes folders");
        fs::create_dir(dir.path().join("notes")).expect("makes a folder");
        let place = Self { dir, home, models };
        place.write("apple.md", "# Orchard\n\nApple trees are pruned in late winter.\n");
        place.write("bread.txt", "Sourdough that stays flat was proofed too long.\n");
        place
    }

    fn notes(&self) -> PathBuf {
        self.dir.path().join("notes")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.notes().join(name), text).expect("writes");
    }

    /// Opens the node on what is there.
    fn open(&self) -> Node<MemoryLink> {
        self.open_with(Env::system().expect("randomness"))
    }

    fn open_with(&self, env: Env) -> Node<MemoryLink> {
        self.try_open_with(env).expect("opens")
    }

    fn try_open(&self) -> Result<Node<MemoryLink>, ApiError> {
        self.try_open_with(Env::system().expect("randomness"))
    }

    fn try_open_with(&self, env: Env) -> Result<Node<MemoryLink>, ApiError> {
        let identity = SecretKey::from_seed(&[1; 32]);
        let (link, events) =
            Network::new(NetworkConfig::new(1)).join(NodeId::new(identity.public()));
        let name = "me".parse().expect("a name");
        Node::open(Parts {
            identity,
            link,
            events,
            env,
            stores: Arc::new(DiskStores::open(&self.home).expect("opens")),
            files: Arc::new(Disk),
            models: self.models.clone(),
            settings: Settings { name, max_file_bytes: 1 << 20, role: Role::Full },
        })
    }

    /// Every content file of every index.
    fn segments(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for index in fs::read_dir(self.home.index_dir()).expect("lists").flatten() {
            let files = fs::read_dir(index.path()).expect("lists").flatten();
            let names = files.map(|file| file.path());
            found.extend(names.filter(|path| path.to_string_lossy().contains("/content-")));
        }
        found
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

async fn call(node: &Node<MemoryLink>, call: Call) -> Result<Reply, ApiError> {
    node.call(call, &mut |_| {}, CancelFlag::new()).await
}

async fn add(node: &Node<MemoryLink>, path: &Path) -> Added {
    match call(node, Call::Add { path: path.to_owned(), collection: None, profile: None }).await {
        Ok(Reply::Added(added)) => added,
        other => panic!("{other:?}"),
    }
}

async fn search(node: &Node<MemoryLink>, only: Option<&str>) -> Result<SearchReport, ApiError> {
    let search = SearchCall {
        question: "When are apple trees pruned?".to_owned(),
        collection: only.map(name),
        limit: Some(3),
        ..SearchCall::default()
    };
    match call(node, Call::Search(search)).await? {
        Reply::Search(report) => Ok(report),
        other => panic!("{other:?}"),
    }
}

async fn collections(node: &Node<MemoryLink>) -> Vec<CollectionInfo> {
    match call(node, Call::Status).await {
        Ok(Reply::Status(status)) => status.collections,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_folder_is_added_searched_kept_and_brought_up_to_date() {
    let place = Place::new();
    let node = place.open();
    let added = add(&node, &place.notes()).await;
    assert_eq!((added.collection, added.added, added.unchanged), (name("notes"), 2, 0));
    let report = search(&node, None).await.expect("finds");
    let best = &report.results[0];
    assert!(best.text.as_deref().is_some_and(|text| text.contains("late winter")));
    assert_eq!(best.path.as_deref(), Some(place.notes().join("apple.md").as_path()));
    assert_eq!((best.from[0].member.as_str(), best.verified), ("you", true));
    drop(node);

    let node = place.open();
    assert_eq!(search(&node, None).await.expect("finds").results, report.results);
    place.write("bees.md", "A beehive swarms when the queen runs out of room.\n");
    let again = add(&node, &place.notes()).await;
    assert_eq!((again.added, again.changed, again.unchanged), (1, 0, 2));
}

#[tokio::test]
async fn a_folder_never_joins_another_of_the_same_name_unasked() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    let other = place.dir.path().join("work").join("notes");
    fs::create_dir_all(&other).expect("made");
    fs::write(other.join("plan.txt"), "what nobody else may see").expect("writes");
    let joined = Call::Add { path: other.clone(), collection: None, profile: None };
    let refused = call(&node, joined).await.expect_err("it is another folder");
    assert_eq!(refused.code, ErrorCode::Exists);
    assert!(refused.hint.is_some_and(|hint| hint.contains("--collection notes")));
    assert_eq!(add(&node, &place.notes()).await.added, 0, "the same folder is brought up to date");
    let named = Call::Add { path: other, collection: Some(name("notes")), profile: None };
    assert!(matches!(call(&node, named).await, Ok(Reply::Added(added)) if added.added == 1));
}

#[tokio::test]
async fn copies_of_a_text_crowd_no_other_out() {
    let place = Place::new();
    let node = place.open();
    let folder = place.dir.path().join("copies");
    fs::create_dir(&folder).expect("made");
    for i in 0..100 {
        fs::write(folder.join(format!("copy{i}.txt")), "apple trees are pruned").expect("writes");
    }
    for i in 0..4 {
        let text = format!("apple trees grow in garden number {i}");
        fs::write(folder.join(format!("other{i}.txt")), text).expect("writes");
    }
    add(&node, &folder).await;
    let report = search(&node, Some("copies")).await.expect("finds");
    let texts: Vec<_> = report.results.iter().map(|hit| hit.text.clone()).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts.iter().flatten().filter(|text| text.contains("garden")).count() >= 2);
}

#[tokio::test]
async fn what_cannot_be_added_leaves_no_trace() {
    let place = Place::new();
    let node = place.open();
    let missing =
        Call::Add { path: place.dir.path().join("nowhere"), collection: None, profile: None };
    assert_eq!(call(&node, missing).await.expect_err("is not there").code, ErrorCode::NotFound);
    let cancel = CancelFlag::new();
    cancel.cancel();
    let stopped = Call::Add { path: place.notes(), collection: None, profile: None };
    let stopped = node.call(stopped, &mut |_| {}, cancel).await.expect_err("was stopped");
    assert_eq!(stopped.code, ErrorCode::Cancelled);
    assert!(collections(&node).await.is_empty());
    assert_eq!(fs::read_dir(place.home.index_dir()).expect("lists").count(), 0);
}

#[tokio::test]
async fn an_interrupted_update_leaves_an_empty_collection_there() {
    let place = Place::new();
    let node = place.open();
    for file in ["apple.md", "bread.txt"] {
        fs::remove_file(place.notes().join(file)).expect("removes");
    }
    assert_eq!(add(&node, &place.notes()).await.chunks, 0);
    let cancel = CancelFlag::new();
    cancel.cancel();
    let again = Call::Add { path: place.notes(), collection: None, profile: None };
    let stopped = node.call(again, &mut |_| {}, cancel).await.expect_err("was stopped");
    assert_eq!(stopped.code, ErrorCode::Cancelled);
    assert_eq!(collections(&node).await.len(), 1);
    assert_eq!(fs::read_dir(place.home.index_dir()).expect("lists").count(), 1);
}

/// Puts `change` in place of the record of the collection.
fn change_record(place: &Place, change: impl Fn(&mut Vec<u8>)) {
    let kv = DiskStores::open(&place.home).expect("opens").kv();
    let records = kv.scan(Table::Collections, b"").expect("scans");
    let writes = records.into_iter().map(|(key, mut value)| {
        change(&mut value);
        Write::Put(Table::Collections, key, value)
    });
    kv.write(writes.collect()).expect("writes");
}

#[tokio::test]
async fn an_index_outlives_its_damaged_record() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    drop(node);
    change_record(&place, |record| record.truncate(9));
    let node = place.open();
    assert!(collections(&node).await.is_empty());
    assert_eq!(place.segments().len(), 1);
}

#[tokio::test]
async fn a_record_of_a_newer_version_stops_the_node_before_anything_is_lost() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    drop(node);
    change_record(&place, |record| record[0] += 1);
    let error = place.try_open().err().expect("is refused");
    assert!(error.message.contains("collection notes has format version 3"), "{error}");
    assert!(error.hint.expect("a hint").contains("the Covey that wrote it"));
    assert_eq!(place.segments().len(), 1);
    change_record(&place, |record| record[0] -= 1);
    assert_eq!(collections(&place.open()).await.len(), 1);
}

#[tokio::test]
async fn removing_forgets_the_index_and_never_the_files() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    let unknown = Call::Remove { collection: name("notes"), path: Some("/elsewhere".into()) };
    assert_eq!(call(&node, unknown).await.expect_err("is not in it").code, ErrorCode::NotFound);
    let root = Call::Remove { collection: name("notes"), path: Some(place.notes()) };
    call(&node, root).await.expect("removes");
    assert!(search(&node, None).await.expect("searches").results.is_empty());
    call(&node, Call::Remove { collection: name("notes"), path: None }).await.expect("removes");
    assert!(collections(&node).await.is_empty());
    assert_eq!(fs::read_dir(place.home.index_dir()).expect("lists").count(), 0);
    assert!(place.notes().join("apple.md").exists());
}

#[tokio::test]
async fn a_damaged_index_keeps_the_node_running_and_is_rebuilt_from_the_folders() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    let damaged = place.segments();
    let other = place.dir.path().join("other");
    fs::create_dir(&other).expect("makes a folder");
    fs::write(other.join("apple.txt"), "An apple tree is pruned in winter.").expect("writes");
    add(&node, &other).await;
    drop(node);
    for segment in damaged {
        let mut bytes = fs::read(&segment).expect("reads");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&segment, bytes).expect("writes");
    }

    let node = place.open();
    let infos = collections(&node).await;
    let broken = infos.iter().find(|it| it.name == name("notes")).expect("is listed");
    assert!(broken.problem.as_deref().is_some_and(|it| it.contains("damaged")), "{broken:?}");
    assert_eq!(broken.roots, [place.notes()], "what to rebuild from is known");
    let report = search(&node, None).await.expect("the others are searched");
    assert_eq!(report.results[0].from[0].collection, "other");
    assert!(report.notes.iter().any(|note| note.contains("notes")), "{:?}", report.notes);
    let error = search(&node, Some("notes")).await.expect_err("says so");
    assert_eq!(error.code, ErrorCode::Corrupt);
    assert!(error.hint.expect("a hint").contains("covey reindex notes"));
    let again = Call::Add { path: place.notes(), collection: None, profile: None };
    assert_eq!(call(&node, again).await.expect_err("is damaged").code, ErrorCode::Corrupt);

    let reindex = Call::Reindex { collection: Some(name("notes")) };
    let Ok(Reply::Added(added)) = call(&node, reindex).await else { panic!("no rebuild") };
    assert_eq!(added.added, 2);
    assert!(!search(&node, Some("notes")).await.expect("is whole").results.is_empty());
    assert_eq!(fs::read_dir(place.home.index_dir()).expect("lists").count(), 2);
}

/// Holds an encoder up at the first text with the word "held": it has entered, and may leave.
struct Gate {
    entered: Barrier,
    leave: Barrier,
    used: AtomicBool,
}

impl Default for Gate {
    fn default() -> Self {
        Self { entered: Barrier::new(2), leave: Barrier::new(2), used: AtomicBool::new(false) }
    }
}

impl Gate {
    fn pass(&self, texts: &[&str]) {
        let held = texts.iter().any(|text| text.contains("held"));
        if held && !self.used.swap(true, Ordering::SeqCst) {
            self.entered.wait();
            self.leave.wait();
        }
    }
}

/// Two models that hash words, told apart by their ids; the first can be held up.
struct TwoModels {
    current: Mutex<usize>,
    handles: [ModelHandle; 2],
}

struct Hashing {
    id: u8,
    gate: Option<Arc<Gate>>,
}

impl Encoder for Hashing {
    fn id(&self) -> EncoderId {
        EncoderId { base: [self.id; 32], release: [self.id; 32] }
    }

    fn dim(&self) -> usize {
        64
    }

    fn max_tokens(&self) -> usize {
        64
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        if let Some(gate) = &self.gate {
            gate.pass(texts);
        }
        Ok(texts.iter().flat_map(|text| row(text)).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        let starts =
            text.split_whitespace().map(|word| word.as_ptr() as usize - text.as_ptr() as usize);
        let lengths = text.split_whitespace().map(str::len);
        Ok(starts.zip(lengths).map(|(start, length)| start..start + length).collect())
    }
}

fn row(text: &str) -> Vec<f32> {
    let mut row = vec![0.0; 64];
    for word in
        text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|it| !it.is_empty())
    {
        row[usize::from(Digest::sha256(word.as_bytes()).as_bytes()[0] % 64)] += 1.0;
    }
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    row.iter().map(|x| x / length).collect()
}

impl TwoModels {
    fn new(gate: Option<Arc<Gate>>) -> Self {
        let handle = |id: u8, gate| ModelHandle {
            id: ModelId {
                base: Digest::from_bytes([id; 32]),
                release: Digest::from_bytes([id; 32]),
            },
            name: format!("model-{id}"),
            family: "static".to_owned(),
            dim: 64,
            encoder: Arc::new(Hashing { id, gate }),
        };
        Self::of([handle(1, gate), handle(2, None)])
    }

    /// These, the first of which is the current one.
    fn of(handles: [ModelHandle; 2]) -> Self {
        Self { current: Mutex::new(0), handles }
    }
}

impl Models for TwoModels {
    fn current(&self) -> Result<ModelHandle, ApiError> {
        Ok(self.handles[*self.current.lock().expect("a number")].clone())
    }

    fn get(&self, id: ModelId) -> Option<ModelHandle> {
        self.handles.iter().find(|handle| handle.id == id).cloned()
    }

    fn list(&self) -> Result<Vec<ModelEntry>, ApiError> {
        let current = *self.current.lock().expect("a number");
        Ok((0..).zip(&self.handles).map(|(at, it)| it.entry(at == current)).collect())
    }

    fn set_current(&self, name: &str) -> Result<ModelHandle, ApiError> {
        let at = self.handles.iter().position(|handle| handle.name == name);
        let at = at.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "no such model"))?;
        *self.current.lock().expect("a number") = at;
        self.current()
    }
}

#[tokio::test]
async fn another_model_is_an_error_until_the_collection_is_rebuilt_and_is_remembered() {
    let place = Place::with(Arc::new(TwoModels::new(None)));
    let node = place.open();
    add(&node, &place.notes()).await;
    call(&node, Call::ModelUse { model: "model-2".into() }).await.expect("switches");
    let report = search(&node, None).await.expect("searches what fits");
    assert!(report.results.is_empty() && report.notes[0].contains("covey reindex notes"));
    let error = search(&node, Some("notes")).await.expect_err("says so");
    assert_eq!(error.code, ErrorCode::WrongModel);
    let again = Call::Add { path: place.notes(), collection: None, profile: None };
    assert_eq!(call(&node, again).await.expect_err("says so").code, ErrorCode::WrongModel);
    call(&node, Call::Reindex { collection: Some(name("notes")) }).await.expect("rebuilds");
    assert!(!search(&node, Some("notes")).await.expect("fits").results.is_empty());
    drop(node);

    let place = Place { models: Arc::new(TwoModels::new(None)), ..place };
    let node = place.open();
    let Ok(Reply::Models { models }) = call(&node, Call::ModelList).await else {
        panic!("no list")
    };
    assert!(models.iter().any(|it| it.current && it.name == "model-2"), "the choice is kept");
    assert!(!search(&node, Some("notes")).await.expect("fits").results.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_go_on_while_one_writer_works_and_a_second_is_turned_away() {
    let gate = Arc::new(Gate::default());
    let place = Place::with(Arc::new(TwoModels::new(Some(gate.clone()))));
    let node = place.open();
    add(&node, &place.notes()).await;
    place.write("more.txt", "This file is held up while it is embedded.");
    let adding = Call::Add { path: place.notes(), collection: None, profile: None };
    let writing = tokio::spawn({
        let (node, adding) = (node.clone(), adding.clone());
        async move { call(&node, adding).await }
    });
    let arrived = gate.clone();
    tokio::task::spawn_blocking(move || arrived.entered.wait()).await.expect("waits");

    assert!(!search(&node, None).await.expect("goes on").results.is_empty());
    assert_eq!(call(&node, adding).await.expect_err("is turned away").code, ErrorCode::Busy);
    tokio::task::spawn_blocking(move || gate.leave.wait()).await.expect("waits");
    match writing.await.expect("ends") {
        Ok(Reply::Added(added)) => assert_eq!((added.added, added.unchanged), (1, 2)),
        other => panic!("{other:?}"),
    }
}
