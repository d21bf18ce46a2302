//! Puts a node together from a home's files.

use std::sync::Arc;

use covey_crypto::SecretKey;
use covey_embedder::ModelStore;
use covey_index::Disk;
use covey_net::swarm::{NetError, SwarmConfig, SwarmLink};
use covey_net::{Events, Link};
use covey_protocol::ids::NodeId;

use super::offline::OfflineLink;
use crate::api::{ApiError, ErrorCode};
use crate::config::Config;
use crate::env::Env;
use crate::home::Home;
use crate::identity;
use crate::models::{StoredModels, model_error};
use crate::node::{Node, Parts, Role, Settings};
use crate::store::DiskStores;

/// A way to others, with who this node is on it.
pub struct Network<L> {
    pub link: L,
    events: Events,
    identity: SecretKey,
}

impl Network<SwarmLink> {
    /// As the configuration says.
    pub async fn full(home: &Home, config: &Config) -> Result<Self, ApiError> {
        let identity = identity::load(&home.identity_path())?;
        let (link, events) = SwarmLink::start(swarm_config(&identity, config)).await?;
        Ok(Self { link, events, identity })
    }

    /// For one command: no relaying for others, and where the port is taken, no listening either.
    pub async fn visiting(home: &Home, config: &Config) -> Result<Self, ApiError> {
        let identity = identity::load(&home.identity_path())?;
        let settings = || SwarmConfig { relay_server: false, ..swarm_config(&identity, config) };
        let (link, events) = match SwarmLink::start(settings()).await {
            Err(NetError::AddressInUse { .. } | NetError::Listen { .. }) => {
                SwarmLink::start(SwarmConfig { listen: Vec::new(), ..settings() }).await?
            }
            other => other?,
        };
        Ok(Self { link, events, identity })
    }
}

impl Network<OfflineLink> {
    /// For commands that need nobody else.
    pub fn none(home: &Home) -> Result<Self, ApiError> {
        let identity = identity::load(&home.identity_path())?;
        let (link, events) = OfflineLink::new(NodeId::new(identity.public()));
        Ok(Self { link, events, identity })
    }
}

fn swarm_config(identity: &SecretKey, config: &Config) -> SwarmConfig {
    SwarmConfig {
        listen: config.listen.clone(),
        mdns: config.mdns,
        relay_server: config.relay,
        relays: config.relays.iter().map(|relay| (relay.node, relay.addr.clone())).collect(),
        ..SwarmConfig::new(identity.seed())
    }
}

/// Opens the node's stores and models.
pub fn node<L: Link>(
    home: &Home,
    config: &Config,
    role: Role,
    network: Network<L>,
) -> Result<Node<L>, ApiError> {
    let Network { link, events, identity } = network;
    let env = Env::system().map_err(|error| {
        ApiError::new(ErrorCode::Internal, format!("the system gives no randomness: {error}"))
    })?;
    let models = ModelStore::open(&home.models_dir()).map_err(|error| model_error(&error))?;
    let models = models.on(config.device);
    Node::open(Parts {
        identity,
        link,
        events,
        env,
        stores: Arc::new(DiskStores::open(home)?),
        files: Arc::new(Disk),
        models: Arc::new(StoredModels::new(models, config.model.clone())),
        settings: Settings {
            name: config.name.clone(),
            max_file_bytes: config.max_file_mib.bytes(),
            role,
        },
    })
}
