//! Building peers from one seed, and the steps every scenario takes.

use std::sync::Arc;
use std::time::Duration;

use covey_crypto::{Digest, SecretKey};
use covey_index::MemoryFiles;
use covey_net::memory::{Network, NetworkConfig, Recording, Transcript};
use covey_node::api::{ApiError, Call, Reply, Reveal, SearchCall, SearchReport};
use covey_node::env::{Clock, Compute, Env, TokioClock};
use covey_node::models::Models;
use covey_node::node::{Node, Parts, Settings};
use covey_node::store::MemoryStores;
use covey_protocol::ids::{Name, UnixMillis};

use crate::{Peer, PeerIndex};

/// When virtual time starts: 2026-01-01 00:00 UTC.
const START: UnixMillis = UnixMillis(1_767_225_600_000);

/// What a federation is built from.
pub struct FederationConfig {
    /// Identities, latencies and every node's generator follow from it.
    pub seed: u64,
    /// Chance that a message is lost, in a million.
    pub loss_per_million: u32,
    /// The embedders of all peers.
    pub models: Arc<dyn Models>,
}

/// Peers on one in-memory network.
pub struct Federation {
    seed: u64,
    network: Network,
    clock: Arc<dyn Clock>,
    models: Arc<dyn Models>,
    peers: Vec<Peer>,
}

impl Federation {
    /// Starts the network. Call it inside [`virtual_time`](crate::virtual_time).
    ///
    /// # Panics
    /// If more than all messages are to be lost.
    pub fn new(config: FederationConfig) -> Self {
        let network = NetworkConfig::new(config.seed)
            .loss_per_million(config.loss_per_million)
            .expect("a share of a million")
            .recording(Recording::Digest);
        Self {
            seed: config.seed,
            network: Network::new(network),
            clock: Arc::new(TokioClock::starting_at(START)),
            models: config.models,
            peers: Vec::new(),
        }
    }

    /// Adds a peer called `name` and starts its node.
    ///
    /// # Errors
    /// If the node does not open.
    pub fn add_peer(&mut self, name: &str) -> Result<PeerIndex, ApiError> {
        let index = PeerIndex(self.peers.len());
        let peer = self.start(
            index,
            name,
            Arc::new(MemoryFiles::new()),
            Arc::new(MemoryStores::new()),
            0,
        )?;
        self.peers.push(peer);
        Ok(index)
    }

    /// Crashes a peer's node and starts it again from what its stores hold.
    ///
    /// # Errors
    /// If the node does not open.
    pub fn restart(&mut self, index: PeerIndex, life: u64) -> Result<(), ApiError> {
        let old = &self.peers[index.0];
        old.running.abort();
        let (name, files, stores) = (old.name.clone(), old.files.clone(), old.stores.clone());
        self.peers[index.0] = self.start(index, &name, files, stores, life)?;
        Ok(())
    }

    /// A peer.
    ///
    /// # Panics
    /// If there is none at `index`.
    pub fn peer(&self, index: PeerIndex) -> &Peer {
        &self.peers[index.0]
    }

    /// All peers.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The network, for crashes and partitions.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Everything that was delivered so far, as a digest and a count.
    pub fn transcript(&self) -> Transcript {
        self.network.transcript()
    }

    /// Lets `duration` of virtual time pass.
    pub async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Indexes a peer's folder as the collection `notes`.
    ///
    /// # Errors
    /// What the node says.
    pub async fn index(&self, peer: PeerIndex) -> Result<Reply, ApiError> {
        let peer = self.peer(peer);
        peer.call(Call::Add { path: peer.folder(), collection: Some(name("notes")) }).await
    }

    /// Shares a peer's `notes` with `group`.
    ///
    /// # Errors
    /// What the node says.
    pub async fn share(
        &self,
        peer: PeerIndex,
        group: &str,
        reveal: Reveal,
    ) -> Result<Reply, ApiError> {
        let call = Call::Share { collection: name("notes"), group: name(group), reveal };
        self.peer(peer).call(call).await
    }

    /// Founds `group`.
    ///
    /// # Errors
    /// What the node says.
    pub async fn found(&self, owner: PeerIndex, group: &str) -> Result<Reply, ApiError> {
        let member = Some(name(&self.peer(owner).name));
        self.peer(owner).call(Call::GroupCreate { group: name(group), member }).await
    }

    /// Makes an invite to `group`; returns its code.
    ///
    /// # Errors
    /// What the node says.
    pub async fn invite(&self, inviter: PeerIndex, group: &str) -> Result<String, ApiError> {
        match self.peer(inviter).call(Call::Invite { group: name(group), expires_s: None }).await? {
            Reply::Invite { code, .. } => Ok(code),
            other => Err(unexpected(&other)),
        }
    }

    /// Redeems an invite.
    ///
    /// # Errors
    /// What the node says.
    pub async fn join(&self, peer: PeerIndex, code: &str) -> Result<Reply, ApiError> {
        let member = Some(name(&self.peer(peer).name));
        self.peer(peer).call(Call::Join { code: code.to_owned(), member, wait_s: None }).await
    }

    /// Asks `group` a question.
    ///
    /// # Errors
    /// What the node says.
    pub async fn ask(
        &self,
        asker: PeerIndex,
        group: &str,
        question: &str,
    ) -> Result<SearchReport, ApiError> {
        let call = SearchCall {
            question: question.to_owned(),
            group: Some(name(group)),
            collection: None,
            limit: None,
            soft_ms: None,
            hard_ms: None,
        };
        self.search(asker, call).await
    }

    /// Runs a search as given.
    ///
    /// # Errors
    /// What the node says.
    pub async fn search(
        &self,
        asker: PeerIndex,
        call: SearchCall,
    ) -> Result<SearchReport, ApiError> {
        match self.peer(asker).call(Call::Search(call)).await? {
            Reply::Search(report) => Ok(report),
            other => Err(unexpected(&other)),
        }
    }

    fn start(
        &self,
        index: PeerIndex,
        name: &str,
        files: Arc<MemoryFiles>,
        stores: Arc<MemoryStores>,
        life: u64,
    ) -> Result<Peer, ApiError> {
        let identity = SecretKey::from_seed(&self.seed_of("identity", index, 0));
        let id = covey_protocol::ids::NodeId::new(identity.public());
        let (link, events) = self.network.join(id);
        let rng = self.seed_of("rng", index, life);
        let node = Node::open(Parts {
            identity,
            link,
            events,
            env: Env::new(self.clock.clone(), rng, Compute::Inline),
            stores: stores.clone(),
            files: files.clone(),
            models: self.models.clone(),
            settings: Settings { name: self::name(name), ..Settings::default() },
        })?;
        let running = tokio::spawn({
            let node = node.clone();
            async move { node.run().await }
        });
        Ok(Peer { id, name: name.to_owned(), files, stores, node, running })
    }

    fn seed_of(&self, what: &str, index: PeerIndex, life: u64) -> [u8; 32] {
        let parts = [self.seed, index.0 as u64, life].map(u64::to_le_bytes);
        *Digest::of(&format!("covey/sim/{what}/1"), &[&parts[0], &parts[1], &parts[2]]).as_bytes()
    }
}

/// A name that a scenario's author wrote.
fn name(text: &str) -> Name {
    text.parse().expect("scenarios use valid names")
}

fn unexpected(reply: &Reply) -> ApiError {
    ApiError::new(
        covey_node::api::ErrorCode::Internal,
        format!("the node answered something else: {reply:?}"),
    )
}
