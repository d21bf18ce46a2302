//! What a node tells about itself.

use std::collections::{BTreeMap, BTreeSet};

use covey_net::{Addr, Link};
use covey_protocol::group::Log;
use covey_protocol::ids::{GroupId, ModelId, Name, NodeId};

use super::Node;
use crate::api::{
    ApiError, Check, CollectionInfo, GroupInfo, LearningNow, ModelEntry, MovingInfo, PeerInfo,
    Reply, Reveal, ShareInfo, Status,
};
use crate::collections::{Moving, Summary};

/// Most audit records that one call lists.
const MAX_AUDIT: u32 = 10_000;

impl<L: Link> Node<L> {
    pub(super) async fn status(&self) -> Result<Reply, ApiError> {
        let models = self.models.clone();
        // A status is wanted most when something is broken: a model that fails is shown as such.
        let model = self.env.compute(move || {
            models.current().map(|model| model.entry(true)).or_else(|error| {
                models
                    .list()
                    .ok()
                    .and_then(|all| all.into_iter().find(|it| it.current))
                    .ok_or(error)
            })
        });
        let model: ModelEntry = model.await?;
        let (peers, current) = (self.link.peers(), model.id);
        Ok(Reply::Status(Box::new(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.id(),
            daemon: false,
            model,
            addresses: self.link.addresses().iter().map(Addr::to_string).collect(),
            collections: self.collection_infos(Some(current)),
            groups: self.group_infos(),
            connected: u32::try_from(peers.len()).unwrap_or(u32::MAX),
            learning: self.learning_now(),
            personal: self.personal.is_used(&self.asked_by(Some(current))),
        })))
    }

    /// `current` is the current model's id, where that is known.
    fn collection_infos(&self, current: Option<ModelId>) -> Vec<CollectionInfo> {
        let summaries = self.collections.summaries().into_iter();
        let info = |it: Summary| {
            let share = |(group, reveal)| {
                Some(ShareInfo { group: self.groups.name_of(group)?, reveal: Reveal::of(reveal)? })
            };
            let shares = self.shares.of_collection(&it.name).into_iter().filter_map(share);
            let moving = current.and_then(|current| moving(current, &it));
            CollectionInfo {
                shares: shares.collect(),
                name: it.name,
                roots: it.roots,
                files: it.files,
                chunks: it.chunks,
                index_bytes: it.index_bytes,
                lexical_bytes: it.lexical_bytes,
                text_bytes: it.text_bytes,
                dead_chunks: it.dead_chunks,
                moving,
                model: it.model,
                problem: it.problem,
                tuned: it.tuned,
            }
        };
        summaries.map(info).collect()
    }

    /// What is done for rounds of learning, by group.
    fn learning_now(&self) -> Vec<LearningNow> {
        let names = self.groups.names().into_iter();
        names.filter_map(|(name, id)| self.learning.now(id, name)).collect()
    }

    /// All groups that this node is a member of, by name, and its own name there.
    pub(crate) fn names_in_groups(&self) -> Vec<(Name, String)> {
        let me = self.id();
        let names = self.groups.names().into_iter();
        let ours = names
            .filter(|(_, id)| self.groups.view(*id, |log| log.role_of(me).is_some()) == Some(true));
        ours.map(|(name, id)| (name, self.member_name(id, me))).collect()
    }

    /// All groups, by name.
    pub(crate) fn group_infos(&self) -> Vec<GroupInfo> {
        let names = self.groups.names().into_iter();
        names.filter_map(|(_, id)| self.group_info(id)).collect()
    }

    /// One group, if it still is here.
    pub(crate) fn group_info(&self, id: GroupId) -> Option<GroupInfo> {
        let name = self.groups.name_of(id)?;
        self.groups.view(id, |log| info(name, log, self.id()))
    }

    /// Connected peers and known members, by id.
    pub(super) fn peer_infos(&self) -> Vec<PeerInfo> {
        let mut in_common: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
        for (group, id) in self.groups.names() {
            let members: Vec<(NodeId, Name)> = self
                .groups
                .view(id, |log| {
                    let members = log.members().iter();
                    members.map(|(node, member)| (*node, member.name.clone())).collect()
                })
                .unwrap_or_default();
            if members.iter().any(|(node, _)| *node == self.id()) {
                for (node, name) in members {
                    in_common.entry(node).or_default().push(format!("{group}/{name}"));
                }
            }
        }
        in_common.remove(&self.id());
        let connected: BTreeMap<NodeId, _> =
            self.link.peers().into_iter().map(|peer| (peer.node, peer)).collect();
        let nodes: BTreeSet<NodeId> = in_common.keys().chain(connected.keys()).copied().collect();
        let info = |node: NodeId| {
            let peer = connected.get(&node);
            let addresses = match peer.and_then(|peer| peer.address.clone()) {
                Some(addr) => vec![addr.to_string()],
                None => self.addresses.of(node).iter().map(Addr::to_string).collect(),
            };
            PeerInfo {
                node,
                members_of: in_common.get(&node).cloned().unwrap_or_default(),
                connected: peer.is_some(),
                addresses,
                relayed: peer.is_some_and(|peer| peer.relayed),
                rtt_us: peer
                    .and_then(|peer| peer.rtt)
                    .map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            }
        };
        nodes.into_iter().map(info).collect()
    }

    pub(super) async fn audit_list(&self, limit: Option<u32>) -> Result<Reply, ApiError> {
        let audit = self.audit.clone();
        let limit = limit.unwrap_or(MAX_AUDIT).min(MAX_AUDIT) as usize;
        let records = self.env.compute(move || audit.list(limit)).await?;
        Ok(Reply::Audit { records })
    }

    pub(super) async fn audit_verify(&self) -> Result<Reply, ApiError> {
        let audit = self.audit.clone();
        let head = self.env.compute(move || audit.verify()).await?;
        Ok(Reply::AuditVerified { records: head.records, head: head.digest.to_string() })
    }

    /// What this node can check of itself without looking at the home it lives in.
    pub(super) async fn examine(&self) -> Vec<Check> {
        let check = |name: String, problem: Option<String>, fix: Option<String>| Check {
            name,
            ok: problem.is_none(),
            fix: problem.is_some().then_some(fix).flatten(),
            detail: problem.unwrap_or_else(|| "fine".to_owned()),
        };
        let mut checks = Vec::new();
        for collection in self.collection_infos(None) {
            let fix = format!("covey reindex {}", collection.name);
            let name = format!("collection {}", collection.name);
            let size = size_of(&collection);
            let mut found = check(name, collection.problem, Some(fix));
            if found.ok {
                found.detail = size;
            }
            checks.push(found);
        }
        for group in self.group_infos() {
            let problem = group.frozen.then(|| "its owner signed two histories".to_owned());
            let fix = "make a new group with the members you trust".to_owned();
            checks.push(check(format!("group {}", group.name), problem, Some(fix)));
        }
        for (name, problem) in self.groups.damaged() {
            let fix = "restore a backup, or leave the group and ask for a new invite".to_owned();
            checks.push(check(format!("group {name}"), Some(problem), Some(fix)));
        }
        let audit = self.audit_verify().await.err();
        let (problem, fix) = audit.map_or((None, None), |error| (Some(error.message), error.hint));
        checks.push(check("audit log".to_owned(), problem, fix));
        checks
    }
}

/// How far a collection is on its way to the current release, if it holds another one of the same model.
fn moving(current: ModelId, it: &Summary) -> Option<MovingInfo> {
    if it.model == current || it.model.base != current.base || it.problem.is_some() {
        return None;
    }
    let under_way = it.moving.clone().filter(|moving| moving.to == current);
    let total = it.chunks + it.dead_chunks;
    let not_begun = Moving { to: current, done: 0, total, problem: None };
    let Moving { to, done, total, problem } = under_way.unwrap_or(not_begun);
    Some(MovingInfo { to, done, total, problem })
}

/// How large a collection's index is, and what of it is dead.
fn size_of(it: &CollectionInfo) -> String {
    let bytes = it.index_bytes + it.lexical_bytes;
    let mut size = format!("{} passages, {} KiB of index", it.chunks, bytes.div_ceil(1024));
    let dead = it.dead_chunks * 100 / (it.dead_chunks + it.chunks).max(1);
    if dead > 0 {
        size.push_str(&format!(
            ", {dead}% of changed or removed files (`covey index compact {}`)",
            it.name
        ));
    }
    size
}

fn info(name: Name, log: &Log, me: NodeId) -> GroupInfo {
    GroupInfo {
        id: log.group(),
        name,
        epoch: log.head().epoch,
        members: u32::try_from(log.members().len()).unwrap_or(u32::MAX),
        role: log.role_of(me).map_or_else(|| "removed".to_owned(), |role| role.to_string()),
        frozen: log.is_frozen(),
        quorum: log.quorum(),
    }
}
