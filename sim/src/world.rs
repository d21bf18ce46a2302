//! Nodes, their network, and what can befall them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use covey_crypto::SecretKey;
use covey_index::MemoryFiles;
use covey_net::Events;
use covey_net::memory::{MemoryLink, Network, NetworkConfig, Recording, Transcript};
use covey_node::api::{
    ApiError, Call, ErrorCode, GroupInfo, Reply, Reveal, SearchCall, SearchReport,
};
use covey_node::cancel::CancelFlag;
use covey_node::env::{Compute, Env, TokioClock};
use covey_node::models::{Models, OneModel};
use covey_node::node::{Node, Parts, Role, Settings};
use covey_node::store::MemoryStores;
use covey_protocol::ids::{Name, NodeId, UnixMillis};
use tokio::task::JoinHandle;

use crate::seed::derive;

/// When every simulated world begins: 2026-01-01 UTC.
pub(crate) const START: UnixMillis = UnixMillis(1_767_225_600_000);
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A simulation that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The model that all nodes share does not load.
    #[error(transparent)]
    Model(ApiError),
    /// A node's call failed.
    #[error("{who}: {error}")]
    Call {
        /// Whose call.
        who: Name,
        /// Why.
        #[source]
        error: ApiError,
    },
    /// A call was answered with another call's reply.
    #[error("{who}: an unexpected reply")]
    Reply {
        /// Whose call.
        who: Name,
    },
    /// A scenario of which no run comes.
    #[error("{0}")]
    Scenario(String),
    /// It was interrupted.
    #[error("interrupted; what was finished is kept")]
    Cancelled,
    /// A name that no node or group can have.
    #[error("{0}")]
    Name(#[from] covey_protocol::ids::ParseIdError),
}

/// Of what is measured with a part missing.
pub(crate) const PANICKED: &str =
    "a part of the simulation has panicked, which is a fault of Covey's";

impl SimError {
    /// A scenario of which no run comes, as that says.
    pub fn bad(why: &dyn std::fmt::Display) -> Self {
        Self::Scenario(why.to_string())
    }
}

/// One node and what survives its restarts.
pub struct Peer {
    /// What it is called.
    pub name: Name,
    /// Who it is.
    pub id: NodeId,
    /// Its person's files.
    pub files: Arc<MemoryFiles>,
    seed: [u8; 32],
    stores: MemoryStores,
    life: Option<Life>,
    lives: u64,
}

/// A node between two restarts.
struct Life {
    node: Node<MemoryLink>,
    running: JoinHandle<()>,
}

/// A network of nodes. Everything in it follows from its seed and from what is called.
pub struct World {
    seed: u64,
    network: Network,
    models: Arc<dyn Models>,
    clock: Arc<TokioClock>,
    peers: Vec<Peer>,
}

impl World {
    /// An empty world; call it inside [`crate::run`]. Messages take 5 to 50 ms and none is lost.
    ///
    /// # Errors
    /// If the built-in model does not load.
    pub fn new(seed: u64) -> Result<Self, SimError> {
        Self::with(seed, NetworkConfig::new(seed))
    }

    /// An empty world with its own network behaviour; deliveries are recorded as a digest.
    ///
    /// # Errors
    /// If the built-in model does not load.
    pub fn with(seed: u64, network: NetworkConfig) -> Result<Self, SimError> {
        let models = Arc::new(OneModel::builtin().map_err(SimError::Model)?);
        Ok(Self::with_models(seed, network, models))
    }

    /// The same, with other models than the built-in one.
    pub fn with_models(seed: u64, network: NetworkConfig, models: Arc<dyn Models>) -> Self {
        Self {
            seed,
            network: Network::new(network.recording(Recording::Digest)),
            models,
            clock: Arc::new(TokioClock::starting_at(START)),
            peers: Vec::new(),
        }
    }

    /// Adds a running node; gives its number.
    ///
    /// # Errors
    /// If it does not open.
    pub fn add(&mut self, name: &str) -> Result<usize, SimError> {
        let name: Name = name.parse()?;
        let number = self.peers.len();
        let seed = derive(self.seed, "identity", number as u64, 0);
        let id = NodeId::new(SecretKey::from_seed(&seed).public());
        let (files, stores) = (Arc::new(MemoryFiles::new()), MemoryStores::new());
        self.peers.push(Peer { name, id, files, seed, stores, life: None, lives: 0 });
        self.start(number)?;
        Ok(number)
    }

    /// Ends a node and opens it again on its stores, as a restart of its daemon does. Indexes in
    /// memory are lost, as nothing else is, and made again.
    ///
    /// # Errors
    /// If it does not open.
    pub async fn restart(&mut self, number: usize) -> Result<(), SimError> {
        if let Some(Life { node, running }) = self.peers[number].life.take() {
            // Joining anew closes the events of the earlier life, and with that its loop.
            drop(self.network.join(self.peers[number].id));
            drop(node);
            // A loop that panicked has said so; its stores are free either way.
            let _ = running.await;
        }
        self.start(number)?;
        self.must(number, Call::Reindex { collection: None }).await.map(drop)
    }

    /// A node.
    ///
    /// # Panics
    /// If there is none of that number.
    pub fn peer(&self, number: usize) -> &Peer {
        &self.peers[number]
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// The network, for partitions and raw messages.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The secret key of a node, for a test that plays an adversary.
    pub fn key(&self, number: usize) -> SecretKey {
        SecretKey::from_seed(&self.peers[number].seed)
    }

    /// Carries out a call of a node's person.
    ///
    /// # Errors
    /// What the node says.
    pub async fn call(&self, number: usize, call: Call) -> Result<Reply, ApiError> {
        let Some(life) = &self.peers[number].life else {
            return Err(ApiError::new(ErrorCode::Unreachable, "the node is not running"));
        };
        life.node.call(call, &mut |_| {}, CancelFlag::new()).await
    }

    /// Writes a file of a node's person below `/home`, not yet indexed.
    pub fn write(&self, number: usize, path: &str, text: &str) {
        self.peers[number].files.insert(Path::new("/home").join(path), text.as_bytes().to_vec());
    }

    /// Indexes a folder below `/home` as a collection of the same name and shares it.
    ///
    /// # Errors
    /// What the node says.
    pub async fn share(
        &self,
        number: usize,
        folder: &str,
        group: &Name,
        reveal: Reveal,
    ) -> Result<(), SimError> {
        let collection: Name = folder.parse()?;
        let path = Path::new("/home").join(folder);
        self.must(number, Call::Add { path, collection: Some(collection.clone()), profile: None })
            .await?;
        self.must(number, Call::Share { collection, group: group.clone(), reveal }).await?;
        Ok(())
    }

    /// Lets `inviter` invite `guest`, who joins.
    ///
    /// # Errors
    /// What either says.
    pub async fn invite(
        &self,
        inviter: usize,
        guest: usize,
        group: &Name,
    ) -> Result<GroupInfo, SimError> {
        let invite = Call::Invite { group: group.clone(), expires_s: None };
        let Reply::Invite { code, .. } = self.must(inviter, invite).await? else {
            return Err(SimError::Reply { who: self.peers[inviter].name.clone() });
        };
        let join = Call::Join { code, member: None, wait_s: Some(60) };
        match self.must(guest, join).await? {
            Reply::Group(info) => Ok(info),
            _ => Err(SimError::Reply { who: self.peers[guest].name.clone() }),
        }
    }

    /// Asks a group.
    ///
    /// # Errors
    /// What the node says.
    pub async fn ask(
        &self,
        number: usize,
        group: &Name,
        question: &str,
    ) -> Result<SearchReport, SimError> {
        let search = SearchCall {
            question: question.to_owned(),
            group: Some(group.clone()),
            ..SearchCall::default()
        };
        match self.must(number, Call::Search(search)).await? {
            Reply::Search(report) => Ok(report),
            _ => Err(SimError::Reply { who: self.peers[number].name.clone() }),
        }
    }

    /// A node's view of a group.
    ///
    /// # Errors
    /// If the node does not have it.
    pub async fn group(&self, number: usize, group: &Name) -> Result<GroupInfo, SimError> {
        match self.must(number, Call::GroupMembers { group: group.clone() }).await? {
            Reply::Members { group, .. } => Ok(group),
            _ => Err(SimError::Reply { who: self.peers[number].name.clone() }),
        }
    }

    /// Crashes a node's network; its state stays.
    pub fn take_down(&self, number: usize) {
        self.network.set_down(self.peers[number].id);
    }

    /// Brings it back.
    pub fn bring_up(&self, number: usize) {
        self.network.set_up(self.peers[number].id);
    }

    /// Splits the network: the nodes of `side` see only each other, as do all others.
    pub fn split(&self, side: impl IntoIterator<Item = usize>) {
        let side: BTreeSet<NodeId> = side.into_iter().map(|n| self.peers[n].id).collect();
        self.network.partition(&[side]);
    }

    /// Ends a split.
    pub fn heal(&self) {
        self.network.heal();
    }

    /// Ends a node for good.
    pub(crate) fn remove(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        drop(self.network.join(peer.id));
        self.network.set_down(peer.id);
        peer.life = None;
        peer.files = Arc::new(MemoryFiles::new());
        peer.stores = MemoryStores::new();
    }

    /// Takes a node's place in the network: from here on, whoever has this end speaks for it.
    pub(crate) fn take_over(&mut self, number: usize) -> (MemoryLink, Events) {
        self.network.join(self.peers[number].id)
    }

    /// Lets virtual time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// What was delivered so far.
    pub fn transcript(&self) -> Transcript {
        self.network.transcript()
    }

    /// An error of a node's call, with its name.
    pub fn failed(&self, number: usize, error: ApiError) -> SimError {
        SimError::Call { who: self.peers[number].name.clone(), error }
    }

    pub(crate) async fn must(&self, number: usize, call: Call) -> Result<Reply, SimError> {
        self.call(number, call).await.map_err(|error| self.failed(number, error))
    }

    fn start(&mut self, number: usize) -> Result<(), SimError> {
        let peer = &self.peers[number];
        let random = derive(self.seed, "random", number as u64, peer.lives);
        let (link, events) = self.network.join(peer.id);
        let opened = Node::open(Parts {
            identity: SecretKey::from_seed(&peer.seed),
            link,
            events,
            env: Env::new(self.clock.clone(), random, Compute::Inline),
            stores: Arc::new(peer.stores.clone()),
            files: peer.files.clone(),
            models: self.models.clone(),
            settings: Settings {
                name: peer.name.clone(),
                max_file_bytes: MAX_FILE_BYTES,
                role: Role::Full,
            },
        });
        let node = opened.map_err(|error| SimError::Call { who: peer.name.clone(), error })?;
        let running = tokio::spawn({
            let node = node.clone();
            async move { node.run().await }
        });
        let peer = &mut self.peers[number];
        peer.life = Some(Life { node, running });
        peer.lives += 1;
        Ok(())
    }
}
