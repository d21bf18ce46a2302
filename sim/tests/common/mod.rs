//! What the scenarios share.
#![allow(dead_code)]

use std::future::Future;

use covey_net::memory::MemoryLink;
use covey_net::{Link, Protocol};
use covey_node::api::{ApiError, Call, ErrorCode, Reply, Reveal};
use covey_protocol::ids::{Name, NodeId};
use covey_protocol::limits::{MAX_GROUP_REPLY, MAX_SEARCH_REPLY};
use covey_protocol::wire;
use covey_protocol::wire::v1::group::{GroupReply, GroupRequest};
use covey_protocol::wire::v1::search::{SearchReply, SearchRequest};
use covey_sim::World;

pub const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Runs a scenario in virtual time.
pub fn scenario<T>(work: impl Future<Output = T>) -> T {
    covey_sim::run(work).expect("a runtime")
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A group called `lab` of `count` nodes, everybody let in by node 0, its owner.
pub async fn lab(seed: u64, count: usize) -> (World, Name) {
    let mut world = World::new(seed).expect("a world");
    let lab = name("lab");
    for number in 0..count {
        world.add(&format!("node-{number}")).expect("opens");
    }
    let create = Call::GroupCreate { group: lab.clone(), member: None };
    world.call(0, create).await.expect("founds");
    for guest in 1..count {
        world.invite(0, guest, &lab).await.expect("joins");
    }
    (world, lab)
}

/// Lets a node share one note about apple trees.
pub async fn share_note(world: &World, number: usize, group: &Name, reveal: Reveal) {
    let text = format!("Note {number}: apple trees are pruned in late winter.");
    world.write(number, "notes/apple.md", &text);
    world.share(number, "notes", group, reveal).await.expect("shares");
}

pub async fn invite(world: &World, number: usize, group: &Name, expires_s: Option<u64>) -> String {
    match world.call(number, Call::Invite { group: group.clone(), expires_s }).await {
        Ok(Reply::Invite { code, .. }) => code,
        other => panic!("no invite: {other:?}"),
    }
}

pub async fn join(world: &World, number: usize, code: &str, wait_s: u64) -> Result<(), ApiError> {
    let call = Call::Join { code: code.to_owned(), member: None, wait_s: Some(wait_s) };
    world.call(number, call).await.map(drop)
}

/// The code of an error, or a panic where there is none.
pub fn code_of<T: std::fmt::Debug>(result: Result<T, ApiError>) -> ErrorCode {
    result.expect_err("is refused").code
}

pub async fn raw_group(link: &MemoryLink, to: NodeId, request: &GroupRequest) -> GroupReply {
    let body = wire::encode(request);
    let reply = link.request(to, Protocol::Group, body, TIMEOUT).await.expect("a reply");
    wire::decode(&reply, MAX_GROUP_REPLY).expect("decodes")
}

pub async fn raw_search(link: &MemoryLink, to: NodeId, request: &SearchRequest) -> SearchReply {
    let body = wire::encode(request);
    let reply = link.request(to, Protocol::Search, body, TIMEOUT).await.expect("a reply");
    wire::decode(&reply, MAX_SEARCH_REPLY).expect("decodes")
}

/// Tells `link` where a node is.
pub async fn introduce(world: &World, link: &MemoryLink, number: usize) {
    let Ok(Reply::Status(status)) = world.call(number, Call::Status).await else {
        panic!("no status")
    };
    let addrs: Vec<_> = status.addresses.iter().map(|it| it.parse().expect("an address")).collect();
    link.learn(status.node, &addrs);
}
