//! A node for real use: built from a home on disk, on the real network, behind the local API.
//!
//! [`run`] is `covey daemon`. [`call_once`] lets a command do without one: it opens the same node, makes
//! one call, and closes it again. Whoever calls holds the home's lock, so there is one of them at a time.

mod build;
mod doctor;
mod errors;
mod host;
mod init;
mod metrics;
mod offline;

use std::net::SocketAddr;
use std::time::Duration;

use covey_net::swarm::SwarmLink;
use covey_net::{Addr, Link};
use covey_protocol::ids::{Name, NodeId};

pub use init::init;

use crate::api::server::{Handler, Server};
use crate::api::{ApiError, Call, ErrorCode, Progress, Reply};
use crate::cancel::CancelFlag;
use crate::config::Config;
use crate::home::{Home, HomeLock};
use crate::node::Role;
use build::Network;
use host::Host;
use metrics::Endpoint;

/// How long the node's own loop may take to end once the network is closed.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What `covey daemon` may change about the configuration.
#[derive(Debug, Clone, Default)]
pub struct DaemonOptions {
    /// Listen here instead.
    pub listen: Option<Vec<Addr>>,
    /// Relay for members, whatever the configuration says.
    pub relay: bool,
    /// Stay off mDNS, whatever the configuration says.
    pub no_mdns: bool,
    /// Tell metrics here instead.
    pub metrics: Option<SocketAddr>,
    /// Tell them to other machines too, whatever the configuration says.
    pub metrics_public: bool,
    /// What the node is there for.
    pub role: Role,
}

/// A daemon that is up.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where it listens.
    pub addresses: Vec<Addr>,
    /// Where it tells metrics.
    pub metrics: Option<SocketAddr>,
    /// Who it is.
    pub node: NodeId,
    /// Its groups, by name, and what it is called there.
    pub groups: Vec<(Name, String)>,
}

/// Runs the node of `home` and serves its local API until `stop` is raised or somebody calls
/// [`Call::Stop`]. `ready` hears of it once everything is up.
///
/// # Errors
/// If the home, the network or the socket cannot be used; the message says which, and what to do.
pub async fn run(
    home: &Home,
    lock: HomeLock,
    options: DaemonOptions,
    stop: CancelFlag,
    ready: impl FnOnce(&Ready),
) -> Result<(), ApiError> {
    home.create()?;
    let mut config = Config::load(&home.config_path())?;
    config.listen = options.listen.unwrap_or(config.listen);
    config.relay |= options.relay;
    config.mdns &= !options.no_mdns;
    config.metrics = options.metrics.or(config.metrics);
    config.metrics_public |= options.metrics_public;
    let endpoint = match config.metrics {
        Some(at) => Some(Endpoint::bind(at, config.metrics_public).await?),
        None => None,
    };
    let network = Network::full(home, &config).await?;
    let link = network.link.clone();
    let node = build::node(home, &config, options.role, network)?;
    let groups = node.names_in_groups();
    if options.role == Role::Coordinator && groups.is_empty() {
        let message = "this node is in no group, so there is nothing to coordinate";
        return Err(ApiError::new(ErrorCode::NotFound, message).hint(
            "join one first: `covey join CODE`, with a code that `covey invite GROUP` prints",
        ));
    }
    let server = Server::bind(&home.socket_path()?).await?;
    let events = tokio::spawn({
        let node = node.clone();
        async move { node.run().await }
    });
    let (halt, background) = (CancelFlag::new(), node.clone());
    let adopting = tokio::spawn({
        let halt = halt.clone();
        async move {
            match options.role {
                Role::Full => background.adopt_releases(halt).await,
                Role::Coordinator => {}
            }
        }
    });
    let metrics = endpoint.as_ref().map(Endpoint::address);
    let measuring = tokio::spawn({
        let (node, halt) = (node.clone(), halt.clone());
        async move {
            if let Some(endpoint) = endpoint {
                endpoint.run(node, halt).await;
            }
        }
    });
    tracing::info!(node = %link.local(), version = env!("CARGO_PKG_VERSION"), "the daemon is up");
    ready(&Ready { addresses: link.addresses(), metrics, node: link.local(), groups });
    server.run(Host::new(node, home.clone(), true), stop).await;
    tracing::info!("the daemon stops");
    halt.cancel();
    link.shutdown().await;
    let ended =
        tokio::time::timeout(END_PATIENCE, async { tokio::join!(events, adopting, measuring) });
    if ended.await.is_err() {
        tracing::warn!("the node took too long to end");
    }
    drop(lock);
    Ok(())
}

/// Opens the node of `home`, makes one call, and closes it. It goes on the network only for calls
/// that need others.
///
/// # Errors
/// What the call answers, or why the node cannot be opened.
pub async fn call_once(
    home: &Home,
    lock: HomeLock,
    call: Call,
    progress: &mut (dyn FnMut(Progress) + Send),
    cancel: CancelFlag,
) -> Result<Reply, ApiError> {
    home.create()?;
    let examines = call == Call::Doctor;
    let result = if needs_others(&call) {
        once_online(home, call, progress, cancel).await
    } else {
        once_offline(home, call, progress, cancel).await
    };
    drop(lock);
    match result {
        // A node that does not open is the first thing a doctor should report.
        Err(error) if examines => Ok(Reply::Doctor { checks: doctor::unopened(home, &error) }),
        result => result,
    }
}

/// Whether a call makes sense only on the network.
fn needs_others(call: &Call) -> bool {
    match call {
        Call::Search(search) => search.group.is_some(),
        Call::Join { .. }
        | Call::Invite { .. }
        | Call::GroupLeave { .. }
        | Call::GroupRemove { .. }
        | Call::GroupTransfer { .. }
        | Call::GroupRole { .. }
        | Call::GroupCoordinator { .. }
        | Call::GroupPolicy { .. }
        | Call::ModelRelease { .. }
        | Call::ModelAdopt { .. }
        | Call::Peers => true,
        Call::Status
        | Call::Add { .. }
        | Call::Refresh { .. }
        | Call::Remove { .. }
        | Call::Reindex { .. }
        | Call::IndexInfo { .. }
        | Call::IndexVerify { .. }
        | Call::IndexCompact { .. }
        | Call::IndexRecode { .. }
        | Call::IndexProfile { .. }
        | Call::Tune(_)
        | Call::TuneOff { .. }
        | Call::IndexExport { .. }
        | Call::Mine(_)
        | Call::OpenedAdd(_)
        | Call::OpenedList
        | Call::OpenedClear
        | Call::PersonalTrain(_)
        | Call::PersonalShow
        | Call::PersonalUse { .. }
        | Call::PersonalRemove
        | Call::Share { .. }
        | Call::Unshare { .. }
        | Call::GroupCreate { .. }
        | Call::GroupList
        | Call::GroupMembers { .. }
        | Call::TrainOptIn(_)
        | Call::TrainOptOut { .. }
        | Call::TrainLimits(_)
        | Call::TrainStatus { .. }
        | Call::RoundsStart(_)
        | Call::RoundsStop { .. }
        | Call::PrivacyReport
        | Call::ModelReleases { .. }
        | Call::ModelFollow { .. }
        | Call::ModelRollback { .. }
        | Call::AuditList { .. }
        | Call::AuditVerify
        | Call::ModelList
        | Call::ModelUse { .. }
        | Call::Doctor
        | Call::Stop => false,
    }
}

async fn once_online(
    home: &Home,
    call: Call,
    progress: &mut (dyn FnMut(Progress) + Send),
    cancel: CancelFlag,
) -> Result<Reply, ApiError> {
    let config = Config::load(&home.config_path())?;
    let network = Network::visiting(home, &config).await?;
    let link: SwarmLink = network.link.clone();
    let result = once(home, &config, network, call, progress, cancel).await;
    link.shutdown().await;
    result
}

async fn once_offline(
    home: &Home,
    call: Call,
    progress: &mut (dyn FnMut(Progress) + Send),
    cancel: CancelFlag,
) -> Result<Reply, ApiError> {
    let config = Config::load(&home.config_path())?;
    once(home, &config, Network::none(home)?, call, progress, cancel).await
}

async fn once<L: Link>(
    home: &Home,
    config: &Config,
    network: Network<L>,
    call: Call,
    progress: &mut (dyn FnMut(Progress) + Send),
    cancel: CancelFlag,
) -> Result<Reply, ApiError> {
    let node = build::node(home, config, Role::Full, network)?;
    let events = tokio::spawn({
        let node = node.clone();
        async move { node.run().await }
    });
    let result = Host::new(node, home.clone(), false).call(call, progress, cancel).await;
    events.abort();
    // Its end gives back what it holds; that it was aborted is known.
    let _ = events.await;
    result
}
