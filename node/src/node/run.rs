//! The node's loop: what happens on the link, jobs, and the periodic sync.

use std::sync::PoisonError;
use std::time::Duration;

use covey_net::{Inbound, Link, LinkEvent, Protocol};
use covey_protocol::group::Log;
use covey_protocol::ids::{GroupId, NodeId};
use covey_protocol::limits::MAX_ADDRESSES;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{Node, Role};

/// Tasks of the node at work at once. Requests beyond are refused, jobs wait.
const MAX_TASKS: usize = 512;
/// Places of [`MAX_TASKS`] that jobs leave free for requests.
const TASK_RESERVE: usize = 128;
/// The shortest pause between two periodic syncs; the longest is half as much more.
const SYNC_EVERY: Duration = Duration::from_secs(60);
/// A member that connects is synced with, unless that was done within this time.
const CONNECT_GAP: Duration = Duration::from_secs(60);
/// Members of one group that a node which starts syncs with, besides the owner.
const FIRST_SYNCS: usize = 8;
/// The same for a group's coordinator, whom the others ask: they have to know where it is now.
const FIRST_SYNCS_OF_COORDINATOR: usize = 64;
/// While a member cannot be reached, others are asked where it is no more often than this.
const LOOK_GAP: Duration = Duration::from_secs(5);

/// Something to do in the background.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Job {
    /// Make a log equal with a member's, unless that was done within `gap`.
    Sync { group: GroupId, with: NodeId, gap: Duration },
    /// Tell the members (and one who may be none any more) what is new.
    Announce { group: GroupId, also: Option<NodeId> },
    /// Show the members the proof that froze the group.
    Spread(GroupId),
}

impl<L: Link> Node<L> {
    /// Serves other nodes and keeps groups in sync until the link closes. A second call returns at
    /// once.
    pub async fn run(&self) {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut events, mut jobs)) = inbox else { return };
        self.sync_at_start();
        let mut tasks = JoinSet::new();
        let node = self.clone();
        tasks.spawn(async move { node.run_coordinators().await });
        let node = self.clone();
        tasks.spawn(async move { node.promote_releases().await });
        if self.settings.role == Role::Full {
            let node = self.clone();
            tasks.spawn(async move { node.follow_rounds().await });
            let node = self.clone();
            tasks.spawn(async move { node.follow_releases().await });
        }
        let mut next_sync = self.next_sync();
        loop {
            tokio::select! {
                biased;
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a task of the node failed; this is a bug");
                    }
                }
                event = events.recv() => match event {
                    Some(LinkEvent::Request(inbound)) => self.on_request(inbound, &mut tasks),
                    Some(LinkEvent::Connected(node)) => self.on_connected(node),
                    Some(LinkEvent::Discovered(node, addrs)) => {
                        // Anybody on the local network can announce anything: only members matter.
                        // And what they are known to be reached at stays before it.
                        if self.groups.fellow_members().contains(&node) {
                            let (known, half) = (self.addresses.of(node), MAX_ADDRESSES / 2);
                            self.link.learn(node, &addrs[..addrs.len().min(half)]);
                            self.link.learn(node, &known[..known.len().min(half)]);
                        }
                    }
                    Some(LinkEvent::Disconnected(_) | LinkEvent::AddressesChanged) => {}
                    None => break,
                },
                Some(job) = jobs.recv(), if tasks.len() < MAX_TASKS - TASK_RESERVE => {
                    let node = self.clone();
                    tasks.spawn(async move { node.carry_out(job).await });
                }
                () = sleep_until(next_sync) => {
                    self.sync_periodically();
                    next_sync = self.next_sync();
                }
            }
        }
        tasks.shutdown().await;
    }

    fn on_request(&self, inbound: Inbound, tasks: &mut JoinSet<()>) {
        if tasks.len() >= MAX_TASKS {
            // Dropping it tells the other node that it was refused.
            return;
        }
        let node = self.clone();
        tasks.spawn(async move {
            let Inbound { from, protocol, body, reply } = inbound;
            reply.send(match protocol {
                Protocol::Group => node.serve_group(from, &body).await,
                Protocol::Search => node.serve_search(from, &body).await,
                Protocol::Round => node.serve_round(from, body).await,
            });
        });
    }

    fn on_connected(&self, node: NodeId) {
        for group in self.groups.active() {
            if self.groups.view(group, |log| log.role_of(node).is_some()) == Some(true) {
                self.schedule(Job::Sync { group, with: node, gap: CONNECT_GAP });
            }
        }
    }

    async fn carry_out(&self, job: Job) {
        match job {
            Job::Sync { group, with, gap } => self.sync_now_and_then(group, with, gap).await,
            Job::Announce { group, also } => self.announce(group, also).await,
            Job::Spread(group) => self.spread_evidence(group).await,
        }
    }

    fn next_sync(&self) -> Instant {
        let spread = SYNC_EVERY / 2;
        let share = u32::try_from(self.env.next_u64() % 1_024).unwrap_or_default();
        Instant::now() + SYNC_EVERY + spread * share / 1_024
    }

    /// The owner and some others of each group.
    fn sync_at_start(&self) {
        for group in self.groups.active() {
            let (owner, others) = self.fellows(group);
            let coordinates =
                self.groups.view(group, Log::coordinator).flatten() == Some(self.id());
            let count = if coordinates { FIRST_SYNCS_OF_COORDINATOR } else { FIRST_SYNCS };
            for with in owner.into_iter().chain(self.draw(others, count)) {
                self.schedule(Job::Sync { group, with, gap: Duration::ZERO });
            }
        }
    }

    /// The owner and one other of each group.
    fn sync_periodically(&self) {
        for group in self.groups.active() {
            let (owner, others) = self.fellows(group);
            for with in owner.into_iter().chain(self.draw(others, 1)) {
                self.schedule(Job::Sync { group, with, gap: Duration::ZERO });
            }
        }
    }

    /// Asks the owner and one other member of a group where `lost` may be by now, who cannot be reached.
    pub(crate) fn look_for(&self, group: GroupId, lost: NodeId) {
        let (owner, mut others) = self.fellows(group);
        others.retain(|node| *node != lost);
        for with in owner.into_iter().filter(|node| *node != lost).chain(self.draw(others, 1)) {
            self.schedule(Job::Sync { group, with, gap: LOOK_GAP });
        }
    }

    /// The owner, unless that is this node, and the other members.
    fn fellows(&self, group: GroupId) -> (Option<NodeId>, Vec<NodeId>) {
        let me = self.id();
        let look = |log: &Log| {
            let owner = log.owner();
            let others = log.members().keys().copied().filter(|node| *node != me && *node != owner);
            (Some(owner).filter(|owner| *owner != me), others.collect())
        };
        self.groups.view(group, look).unwrap_or_default()
    }

    /// Up to `count` of `nodes`, at random.
    pub(crate) fn draw(&self, mut nodes: Vec<NodeId>, count: usize) -> Vec<NodeId> {
        let mut drawn = Vec::new();
        while drawn.len() < count && !nodes.is_empty() {
            let at = self.env.next_u64() % nodes.len() as u64;
            drawn.push(nodes.swap_remove(usize::try_from(at).unwrap_or_default()));
        }
        drawn
    }
}
