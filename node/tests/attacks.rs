//! Bad moments: a share withdrawn, a slow disk, an old backup, while others ask.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use covey_crypto::SecretKey;
use covey_index::{FileStat, Files, MemoryFiles, Walked};
use covey_net::LinkEvent;
use covey_net::memory::{MemoryLink, Network, NetworkConfig};
use covey_node::api::{ApiError, Call, Reply, Reveal, SearchCall, SearchReport};
use covey_node::backup;
use covey_node::cancel::CancelFlag;
use covey_node::env::Env;
use covey_node::home::Home;
use covey_node::models::OneModel;
use covey_node::node::{Node, Parts, Role, Settings};
use covey_node::store::{DiskStores, MemoryStores, Stores};
use covey_protocol::ids::{Name, NodeId, UnixMillis};
use covey_protocol::limits::MAX_GROUP_REQUEST;
use covey_protocol::wire;
use covey_protocol::wire::v1::group::{GroupReply, GroupRequest};

const QUESTION: &str = "When are apple trees pruned?";

type Hook = Box<dyn Fn() + Send + Sync>;

/// Files that do something else, too, when one of them is read.
#[derive(Default)]
struct Hooked {
    files: MemoryFiles,
    hook: Mutex<Option<Hook>>,
}

impl Hooked {
    fn on_next_read(&self, hook: impl Fn() + Send + Sync + 'static) {
        *self.hook.lock().expect("whole") = Some(Box::new(hook));
    }
}

impl Files for Hooked {
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
        let hook = self.hook.lock().expect("whole").take();
        if let Some(hook) = hook {
            hook();
        }
        self.files.read(path, limit)
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn id(seed: u8) -> NodeId {
    NodeId::new(key(seed).public())
}

fn open(
    network: &Network,
    seed: u8,
    files: Arc<Hooked>,
    stores: Arc<dyn Stores>,
) -> Node<MemoryLink> {
    let (link, events) = network.join(id(seed));
    Node::open(Parts {
        identity: key(seed),
        link,
        events,
        env: Env::system().expect("randomness"),
        stores,
        files,
        models: Arc::new(OneModel::builtin().expect("loads")),
        settings: Settings {
            name: name(&format!("node-{seed}")),
            max_file_bytes: 1 << 20,
            role: Role::Full,
        },
    })
    .expect("opens")
}

/// Lets a node serve others, and sync by itself.
fn run(node: &Node<MemoryLink>) {
    let node = node.clone();
    tokio::spawn(async move { node.run().await });
}

async fn call(node: &Node<MemoryLink>, call: Call) -> Result<Reply, ApiError> {
    node.call(call, &mut |_| {}, CancelFlag::new()).await
}

async fn note(node: &Node<MemoryLink>, files: &Hooked, text: &str, reveal: Option<Reveal>) {
    files.files.insert("/home/notes/apple.md", text);
    let add = Call::Add { path: "/home/notes".into(), collection: None, profile: None };
    call(node, add).await.expect("indexes");
    if let Some(reveal) = reveal {
        let share = Call::Share { collection: name("notes"), group: name("lab"), reveal };
        call(node, share).await.expect("shares");
    }
}

async fn let_in(owner: &Node<MemoryLink>, guest: &Node<MemoryLink>) {
    let invite = Call::Invite { group: name("lab"), expires_s: None };
    let Ok(Reply::Invite { code, .. }) = call(owner, invite).await else { panic!("no invite") };
    call(guest, Call::Join { code, member: None, wait_s: None }).await.expect("joins");
}

async fn found(owner: &Node<MemoryLink>) {
    let create = Call::GroupCreate { group: name("lab"), member: None };
    call(owner, create).await.expect("founds");
}

async fn ask(node: &Node<MemoryLink>, hard_ms: Option<u32>) -> SearchReport {
    let search = SearchCall {
        question: QUESTION.to_owned(),
        group: Some(name("lab")),
        hard_ms,
        ..SearchCall::default()
    };
    match call(node, Call::Search(search)).await {
        Ok(Reply::Search(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// Two nodes of one group, with their files.
async fn pair() -> [(Node<MemoryLink>, Arc<Hooked>); 2] {
    let network = Network::new(NetworkConfig::new(1));
    let files = [Arc::new(Hooked::default()), Arc::new(Hooked::default())];
    let [a, b] = [1, 2].map(|seed| {
        let stores = Arc::new(MemoryStores::new());
        let node = open(&network, seed, Arc::clone(&files[usize::from(seed) - 1]), stores);
        run(&node);
        node
    });
    found(&a).await;
    let_in(&a, &b).await;
    let [first, second] = files;
    [(a, first), (b, second)]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_while_it_is_searched_does_not_leave() {
    let [(a, _), (b, files)] = pair().await;
    note(&b, &files, "Apple trees are pruned in late winter.", Some(Reveal::Full)).await;
    assert_eq!(ask(&a, None).await.results.len(), 1);

    let (node, runtime) = (b.clone(), tokio::runtime::Handle::current());
    files.on_next_read(move || {
        let unshare = Call::Unshare { collection: name("notes"), group: name("lab") };
        runtime.block_on(call(&node, unshare)).expect("is shared");
    });
    let report = ask(&a, None).await;
    assert_eq!(report.results, [], "{report:?}");
    assert_eq!(report.coverage.refused, 1);
    let Ok(Reply::Audit { records }) = call(&b, Call::AuditList { limit: None }).await else {
        panic!("no audit")
    };
    assert_eq!(records.len(), 1, "what was not answered is not recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_less_while_it_is_searched_leaves_as_little() {
    let [(a, _), (b, files)] = pair().await;
    note(&b, &files, "Apple trees are pruned in late winter.", Some(Reveal::Full)).await;
    let (node, runtime) = (b.clone(), tokio::runtime::Handle::current());
    files.on_next_read(move || {
        let (collection, group) = (name("notes"), name("lab"));
        let share = Call::Share { collection, group, reveal: Reveal::Score };
        runtime.block_on(call(&node, share)).expect("shares");
    });
    let report = ask(&a, None).await;
    assert_eq!(report.results.len(), 1, "{report:?}");
    assert_eq!((&report.results[0].text, &report.results[0].title), (&None, &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_answers_are_checked_though_own_files_take_too_long() {
    let [(a, own), (b, files)] = pair().await;
    note(&a, &own, "Bread is baked in the morning.", None).await;
    note(&b, &files, "Apple trees are pruned in late winter.", Some(Reveal::Full)).await;
    own.on_next_read(|| std::thread::sleep(Duration::from_secs(3)));
    let report = ask(&a, Some(1_500)).await;
    assert_eq!((report.coverage.answered, report.results.len()), (1, 1), "{report:?}");
    assert!(report.results[0].verified);
}

/// Answers every request as a member that knows nothing new, and admits to nothing later.
async fn say_nothing_is_new(network: &Network, seed: u8) -> MemoryLink {
    let (link, mut events) = network.join(id(seed));
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            let LinkEvent::Request(inbound) = event else { continue };
            let decoded = wire::decode::<GroupRequest>(&inbound.body, MAX_GROUP_REQUEST);
            let Ok(GroupRequest::Sync { id, head, .. }) = decoded else { continue };
            let reply = GroupReply::Entries { id, entries: vec![], head, hints: vec![] };
            inbound.reply.send(wire::encode(&reply));
        }
    });
    link
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_cannot_make_a_restored_owner_fork_its_group() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = |name: &str| {
        let home = Home::below(&dir.path().join(name)).expect("a home");
        home.create().expect("makes folders");
        home
    };
    let (old, new, file) = (home("old"), home("new"), dir.path().join("backup"));
    covey_node::identity::create(&old.identity_path(), &key(1)).expect("makes");
    let network = Network::new(NetworkConfig::new(1));
    let files = || Arc::new(Hooked::default());
    // The liar is asked before the honest member, whoever orders them by id.
    let [liar, honest] = if id(2) < id(3) { [2, 3] } else { [3, 2] };

    let owner = open(&network, 1, files(), Arc::new(DiskStores::open(&old).expect("opens")));
    run(&owner);
    let memory = |seed| {
        let node = open(&network, seed, files(), Arc::new(MemoryStores::new()));
        run(&node);
        node
    };
    let (liar_node, honest_node) = (memory(liar), memory(honest));
    found(&owner).await;
    let_in(&owner, &liar_node).await;
    let_in(&owner, &honest_node).await;
    end(&network, owner).await;
    let lock = old.lock().expect("is free");
    backup::save(&old, &lock, &file, UnixMillis(1)).expect("saves");
    let owner = open(&network, 1, files(), Arc::new(DiskStores::open(&old).expect("opens")));
    run(&owner);
    let role = |seed: u8, admin| Call::GroupRole {
        group: name("lab"),
        member: format!("node-{seed}"),
        admin,
    };
    call(&owner, role(honest, true)).await.expect("is the owner");
    end(&network, owner).await;

    let lock = new.lock().expect("is free");
    backup::restore(&new, &lock, &file).expect("restores");
    let _liar = say_nothing_is_new(&network, liar).await;
    // It makes a call at once, when it may not have synced by itself.
    let owner = open(&network, 1, files(), Arc::new(DiskStores::open(&new).expect("opens")));
    run(&owner);
    call(&owner, role(liar, true)).await.expect("both members are there to ask");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let members = Call::GroupMembers { group: name("lab") };
    let Ok(Reply::Members { group, .. }) = call(&honest_node, members).await else {
        panic!("no members")
    };
    assert!(!group.frozen, "the restored owner signed a second history");
    assert_eq!(group.epoch.0, 4, "it went on from what the honest member knew");
}

/// Ends a node, so that its stores are free.
async fn end(network: &Network, node: Node<MemoryLink>) {
    // Joining anew closes the events of the earlier life, and with that its loop.
    drop(network.join(node.id()));
    drop(node);
    tokio::time::sleep(Duration::from_millis(500)).await;
}
