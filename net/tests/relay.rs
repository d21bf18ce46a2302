//! Relaying on loopback: who gets a reservation, who gets a circuit, and what happens on loss.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{PATIENCE, TCP, address, config, id, next, serve, start};
use covey_net::{Addr, Link, LinkError, LinkEvent, Protocol, SwarmConfig, SwarmLink};

/// A relay (node 1) that listens on `listen` and has `members`.
async fn relay(listen: &str, members: &[u8]) -> SwarmLink {
    let config = SwarmConfig { relay_server: true, ..config(1, &[listen]) };
    let (relay, events) = SwarmLink::start(config).await.expect("starts");
    relay.set_members(members.iter().map(|n| id(*n)).collect());
    serve(events);
    relay
}

/// Node `n`, which listens nowhere but at `relay`.
fn hidden(n: u8, relay: &SwarmLink) -> SwarmConfig {
    let addr = relay.addresses().remove(0);
    SwarmConfig { relays: vec![(id(1), addr)], ..config(n, &[]) }
}

#[tokio::test]
async fn a_member_is_reached_through_the_relay_by_members_and_newcomers() {
    let relay = relay(TCP, &[2, 3]).await;
    let (server, mut events) = SwarmLink::start(hidden(2, &relay)).await.expect("starts");
    let circuit = address(&server, &mut events, Addr::is_relayed).await;
    serve(events);
    for n in [3, 4] {
        let (asker, _news) = start(n, &[]).await;
        asker.learn(id(2), std::slice::from_ref(&circuit));
        let body = vec![9; Protocol::Group.max_request()];
        let reply = asker.request(id(2), Protocol::Group, body.clone(), PATIENCE).await;
        assert_eq!(reply, Ok(body), "more than libp2p's own 128 KiB passes");
        let through: Vec<_> = asker.peers().into_iter().map(|p| (p.node, p.relayed)).collect();
        assert!(through.contains(&(id(2), true)), "{through:?}");
        assert!(through.contains(&(id(1), false)), "{through:?}");
    }
}

#[tokio::test]
async fn a_stranger_gets_no_reservation_until_it_is_a_member() {
    let relay = relay(TCP, &[]).await;
    let (server, mut events) = SwarmLink::start(hidden(2, &relay)).await.expect("starts");
    next(&mut events, |event| matches!(event, LinkEvent::Connected(_)).then_some(())).await;
    // The refusal is on its way or here: whoever asks the relay for the node learns that it has none.
    let reply = server.request(id(1), Protocol::Group, vec![1], PATIENCE).await;
    assert_eq!(reply, Ok(vec![1]), "a stranger may still ask the relay itself");
    let (asker, _news) = start(3, &[]).await;
    let relay_peer = relay.addresses().remove(0);
    asker.learn(id(2), &[circuit_at(&relay_peer)]);
    let refused = asker.request(id(2), Protocol::Group, vec![1], PATIENCE).await;
    assert!(matches!(refused, Err(LinkError::Unreachable { .. })), "{refused:?}");
    assert!(server.addresses().is_empty());

    relay.set_members(BTreeSet::from([id(2)]));
    let circuit = address(&server, &mut events, Addr::is_relayed).await;
    serve(events);
    asker.learn(id(2), &[circuit]);
    let reply = asker.request(id(2), Protocol::Group, vec![1], PATIENCE).await;
    assert_eq!(reply, Ok(vec![1]));
}

#[tokio::test]
async fn a_reservation_is_asked_for_again_when_the_relay_comes_back() {
    let first = relay(TCP, &[2]).await;
    let listen = first.addresses().remove(0);
    let (server, mut events) = SwarmLink::start(hidden(2, &first)).await.expect("starts");
    address(&server, &mut events, Addr::is_relayed).await;
    first.shutdown().await;
    next(&mut events, |event| matches!(event, LinkEvent::AddressesChanged).then_some(())).await;
    assert!(server.addresses().is_empty());
    let _second = relay(listen.as_str(), &[2]).await;
    address(&server, &mut events, Addr::is_relayed).await;
}

#[tokio::test]
async fn a_member_that_leaves_the_group_loses_its_reservation() {
    let relay = relay(TCP, &[2]).await;
    let (server, mut events) = SwarmLink::start(hidden(2, &relay)).await.expect("starts");
    address(&server, &mut events, Addr::is_relayed).await;
    relay.set_members(BTreeSet::new());
    next(&mut events, |event| matches!(event, LinkEvent::AddressesChanged).then_some(())).await;
    assert!(server.addresses().is_empty());
}

#[tokio::test]
async fn a_node_that_is_no_relay_relays_nothing() {
    let (plain, events) = start(1, &[TCP]).await;
    plain.set_members(BTreeSet::from([id(2), id(3)]));
    serve(events);
    let (asker, _news) = start(3, &[]).await;
    asker.learn(id(2), &[circuit_at(&plain.addresses().remove(0))]);
    let reply = asker.request(id(2), Protocol::Group, vec![1], Duration::from_secs(20)).await;
    assert!(matches!(reply, Err(LinkError::Unreachable { .. })), "{reply:?}");
}

/// The circuit through node 1 at `relay`.
fn circuit_at(relay: &Addr) -> Addr {
    let peer = {
        let mut bytes = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
        bytes.extend(id(1).as_bytes());
        libp2p::PeerId::from_bytes(&bytes).expect("a peer id")
    };
    format!("{relay}/p2p/{peer}/p2p-circuit").parse().expect("valid")
}
