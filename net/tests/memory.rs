//! The in-memory link: determinism, loss, partitions, crashes and the bounds of the real one.

use std::collections::BTreeSet;
use std::time::Duration;

use covey_crypto::SecretKey;
use covey_net::limits::{MAX_INBOUND_PER_MEMBER, MAX_INBOUND_PER_STRANGER};
use covey_net::memory::{MemoryLink, Network, NetworkConfig, Recording, Transcript};
use covey_net::{Events, Inbound, Link, LinkError, LinkEvent, Protocol};
use covey_protocol::ids::NodeId;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn id(n: u8) -> NodeId {
    NodeId::new(SecretKey::from_seed(&[n; 32]).public())
}

/// Answers every request with its body reversed, until the network ends.
fn serve(mut events: Events) {
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let LinkEvent::Request(Inbound { mut body, reply, .. }) = event {
                body.reverse();
                reply.send(body);
            }
        }
    });
}

/// `count` nodes that know each other; all but those in `kept` answer by themselves.
fn cluster(network: &Network, count: u8) -> Vec<(MemoryLink, Events)> {
    let nodes: Vec<_> = (0..count).map(|n| network.join(id(n))).collect();
    for (one, _) in &nodes {
        for (other, _) in &nodes {
            one.learn(other.local(), &other.addresses());
        }
    }
    nodes
}

async fn next_request(events: &mut Events) -> Inbound {
    loop {
        match events.recv().await.expect("the link is open") {
            LinkEvent::Request(inbound) => return inbound,
            LinkEvent::Connected(_)
            | LinkEvent::Disconnected(_)
            | LinkEvent::Discovered(..)
            | LinkEvent::AddressesChanged => {}
        }
    }
}

async fn busy_traffic(seed: u64) -> Transcript {
    let config = NetworkConfig::new(seed).loss_per_million(50_000).expect("a valid loss");
    let network = Network::new(config.recording(Recording::List));
    let mut links = Vec::new();
    for (link, events) in cluster(&network, 6) {
        serve(events);
        links.push(link);
    }
    let mut tasks = Vec::new();
    for link in &links {
        for other in &links {
            let (link, to) = (link.clone(), other.local());
            tasks.push(tokio::spawn(async move {
                for n in 0..20 {
                    let _ = link.request(to, Protocol::Search, vec![n; 9], SECOND).await;
                }
            }));
        }
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    network.transcript()
}

#[tokio::test(start_paused = true)]
async fn same_seed_same_deliveries() {
    let once = busy_traffic(7).await;
    let again = busy_traffic(7).await;
    let other = busy_traffic(8).await;
    assert_eq!(once, again);
    assert_ne!(once.digest, other.digest);
    assert!(once.count > 1_000, "{}", once.count);
    assert!(once.entries.is_sorted_by_key(|entry| entry.at));
    assert!(once.count < 30 * 20 * 2, "some of the 1,200 messages were lost");
}

#[tokio::test(start_paused = true)]
async fn a_round_trip_takes_the_latency_that_was_asked_for() {
    let latency = Duration::from_millis(40);
    let config = NetworkConfig::new(1).latency(latency, latency).expect("in order");
    let network = Network::new(config);
    let mut nodes = cluster(&network, 2);
    serve(nodes.remove(1).1);
    let (link, mut events) = nodes.remove(0);
    let begin = Instant::now();
    let reply = link.request(id(1), Protocol::Group, b"abc".to_vec(), SECOND).await;
    assert_eq!(reply, Ok(b"cba".to_vec()));
    assert_eq!(begin.elapsed(), 2 * latency);
    assert!(matches!(events.recv().await, Some(LinkEvent::Connected(node)) if node == id(1)));
    let peers = link.peers();
    assert_eq!(peers.len(), 1);
    assert_eq!((peers[0].node, peers[0].rtt), (id(1), Some(2 * latency)));
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_apart() {
    let network = Network::new(NetworkConfig::new(1));
    let mut nodes = cluster(&network, 4);
    let (asker, _events) = nodes.remove(0);
    let (_one, mut one) = nodes.remove(0);
    let (_two, two) = nodes.remove(0);
    let ask = async |to, body: Vec<u8>| asker.request(to, Protocol::Search, body, SECOND).await;
    let unreachable = |result| match result {
        Err(LinkError::Unreachable { reason }) => reason,
        other => panic!("expected Unreachable, got {other:?}"),
    };

    assert_eq!(unreachable(ask(id(9), vec![]).await), "no address of it is known");
    assert_eq!(unreachable(ask(id(0), vec![]).await), "it is this node itself");
    asker.learn(id(9), &["/ip4/192.0.2.1/tcp/9".parse().expect("valid")]);
    assert_eq!(unreachable(ask(id(9), vec![]).await), "nobody answers at its addresses");

    let limit = Protocol::Search.max_request();
    assert_eq!(ask(id(1), vec![0; limit + 1]).await, Err(LinkError::TooLarge { limit }));

    let limit = Protocol::Search.max_response();
    let (reply, ()) = tokio::join!(ask(id(1), vec![0; Protocol::Search.max_request()]), async {
        next_request(&mut one).await.reply.send(vec![0; limit + 1]);
    });
    assert_eq!(reply, Err(LinkError::TooLarge { limit }));
    let (reply, ()) = tokio::join!(ask(id(1), vec![]), async {
        next_request(&mut one).await.reply.send(vec![0; limit]);
    });
    assert_eq!(reply.map(|body| body.len()), Ok(limit));

    let (reply, ()) = tokio::join!(ask(id(1), vec![]), async {
        drop(next_request(&mut one).await);
    });
    assert_eq!(reply, Err(LinkError::Refused));

    let (reply, held) = tokio::join!(ask(id(1), vec![]), next_request(&mut one));
    assert_eq!(reply, Err(LinkError::Timeout));
    held.reply.send(vec![]);

    drop(two);
    assert_eq!(ask(id(2), vec![]).await, Err(LinkError::Closed), "nobody takes its events");
}

#[tokio::test(start_paused = true)]
async fn everything_lost_is_a_timeout() {
    let config = NetworkConfig::new(1).loss_per_million(1_000_000).expect("a valid loss");
    let network = Network::new(config.recording(Recording::Digest));
    let nodes = cluster(&network, 2);
    let reply = nodes[0].0.request(id(1), Protocol::Group, vec![], SECOND).await;
    assert_eq!(reply, Err(LinkError::Timeout));
    assert_eq!(network.transcript().count, 0);
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_silent_and_heals() {
    let network = Network::new(NetworkConfig::new(1));
    let mut links = Vec::new();
    for (link, events) in cluster(&network, 3) {
        serve(events);
        links.push(link);
    }
    let ask =
        async |from: usize, to| links[from].request(id(to), Protocol::Group, vec![1], SECOND).await;
    network.partition(&[BTreeSet::from([id(0), id(1)])]);
    assert_eq!(ask(0, 1).await, Ok(vec![1]));
    assert_eq!(ask(0, 2).await, Err(LinkError::Timeout));
    assert_eq!(ask(2, 1).await, Err(LinkError::Timeout));
    network.heal();
    assert_eq!(ask(0, 2).await, Ok(vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_crash_closes_connections_and_refuses_until_the_node_is_back() {
    let network = Network::new(NetworkConfig::new(1));
    let mut nodes = cluster(&network, 2);
    let (server, mut requests) = nodes.remove(1);
    let (asker, mut events) = nodes.remove(0);
    let ask = async || asker.request(id(1), Protocol::Group, vec![1], SECOND).await;

    let (reply, held) = tokio::join!(ask(), async {
        let held = next_request(&mut requests).await;
        network.set_down(id(1));
        held
    });
    assert_eq!(reply, Err(LinkError::Closed));
    assert!(matches!(events.recv().await, Some(LinkEvent::Connected(_))));
    assert!(matches!(events.recv().await, Some(LinkEvent::Disconnected(_))));
    assert!(matches!(ask().await, Err(LinkError::Unreachable { .. })));
    let from_the_dead = server.request(id(0), Protocol::Group, vec![1], SECOND).await;
    assert_eq!(from_the_dead, Err(LinkError::Closed));

    let (_server, requests) = network.join(id(1));
    serve(requests);
    assert_eq!(ask().await, Ok(vec![1]));
    held.reply.send(vec![9]);
    let from_an_earlier_life = server.request(id(0), Protocol::Group, vec![1], SECOND).await;
    assert_eq!(from_an_earlier_life, Err(LinkError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_told_that_the_node_is_busy() {
    for (member, expected) in [(true, MAX_INBOUND_PER_MEMBER), (false, MAX_INBOUND_PER_STRANGER)] {
        let network = Network::new(NetworkConfig::new(1));
        let mut nodes = cluster(&network, 2);
        let (server, mut events) = nodes.remove(1);
        if member {
            server.set_members(BTreeSet::from([id(0)]));
        }
        let asker = nodes.remove(0).0;
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let asker = asker.clone();
                tokio::spawn(
                    async move { asker.request(id(1), Protocol::Group, vec![], SECOND).await },
                )
            })
            .collect();
        let mut held = Vec::new();
        let begin = Instant::now();
        while begin.elapsed() < SECOND / 2 {
            match tokio::time::timeout(SECOND / 2, next_request(&mut events)).await {
                Ok(inbound) => held.push(inbound),
                Err(_) => break,
            }
        }
        assert_eq!(held.len(), expected);
        drop(held);
        let mut counts = (0, 0);
        for task in tasks {
            match task.await.expect("no panic") {
                Err(LinkError::Refused) => counts.0 += 1,
                Err(LinkError::Busy) => counts.1 += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(counts, (expected, 100 - expected));
    }
}
