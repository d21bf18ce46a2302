//! What the tests of the real link share.

// Each test file uses its part of this.
#![allow(dead_code)]

use std::time::Duration;

use covey_crypto::SecretKey;
use covey_net::{Addr, Events, Inbound, Link, LinkEvent, SwarmConfig, SwarmLink};
use covey_protocol::ids::NodeId;

/// Longer than anything that works takes, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn id(n: u8) -> NodeId {
    NodeId::new(key(n).public())
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// A config for node `n` that listens on `listen`, and touches nothing outside this machine.
pub fn config(n: u8, listen: &[&str]) -> SwarmConfig {
    let listen = listen.iter().map(|addr| addr.parse().expect("valid")).collect();
    SwarmConfig { listen, ..SwarmConfig::new(key(n).seed()) }
}

pub const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

pub async fn start(n: u8, listen: &[&str]) -> (SwarmLink, Events) {
    SwarmLink::start(config(n, listen)).await.expect("starts")
}

/// The next event that `pick` takes.
pub async fn next<T>(events: &mut Events, mut pick: impl FnMut(LinkEvent) -> Option<T>) -> T {
    let wait = async {
        loop {
            let event = events.recv().await.expect("the link is open");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it happens in time")
}

pub fn request(event: LinkEvent) -> Option<Inbound> {
    match event {
        LinkEvent::Request(inbound) => Some(inbound),
        LinkEvent::Connected(_)
        | LinkEvent::Disconnected(_)
        | LinkEvent::Discovered(..)
        | LinkEvent::AddressesChanged => None,
    }
}

/// Answers every request with its body reversed.
pub fn serve(mut events: Events) {
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let LinkEvent::Request(Inbound { mut body, reply, .. }) = event {
                body.reverse();
                reply.send(body);
            }
        }
    });
}

/// Waits until `link` has an address that `wanted` likes.
pub async fn address(
    link: &SwarmLink,
    events: &mut Events,
    wanted: impl Fn(&Addr) -> bool,
) -> Addr {
    loop {
        if let Some(addr) = link.addresses().into_iter().find(&wanted) {
            return addr;
        }
        next(events, |event| matches!(event, LinkEvent::AddressesChanged).then_some(())).await;
    }
}
