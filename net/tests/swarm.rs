//! The libp2p link between real sockets on loopback.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use crate::common::{PATIENCE, QUIC, TCP, config, id, next, request, serve, start};
use covey_net::limits::{MAX_INBOUND_PER_STRANGER, MAX_STRANGER_CONNECTIONS};
use covey_net::{Addr, Link, LinkError, LinkEvent, NetError, Protocol, SwarmLink};
use tokio::time::timeout;

#[tokio::test]
async fn requests_are_answered_over_either_transport() {
    for (listen, part) in [(TCP, "/tcp/"), (QUIC, "/quic-v1")] {
        let (server, events) = start(1, &[listen]).await;
        serve(events);
        let (asker, mut news) = start(2, &[]).await;
        let addresses = server.addresses();
        assert!(addresses.len() == 1 && addresses[0].as_str().contains(part), "{addresses:?}");
        assert!(asker.addresses().is_empty());
        asker.learn(id(1), &addresses);

        for protocol in Protocol::ALL {
            let body = vec![1, 2, 3];
            let reply = asker.request(id(1), protocol, body, PATIENCE).await;
            assert_eq!(reply, Ok(vec![3, 2, 1]), "{listen} {protocol}");
        }
        let connected = next(&mut news, |event| match event {
            LinkEvent::Connected(node) => Some(node),
            _ => None,
        });
        assert_eq!(connected.await, id(1));
        let peers = asker.peers();
        assert_eq!(peers.len(), 1);
        assert_eq!((peers[0].node, peers[0].relayed), (id(1), false));
        assert_eq!(peers[0].address.as_ref(), addresses.first());

        // The server answers over the asker's connection, though it knows no address of it.
        let (reply, ()) =
            tokio::join!(server.request(id(2), Protocol::Group, vec![7], PATIENCE), async {
                next(&mut news, request).await.reply.send(vec![8])
            });
        assert_eq!(reply, Ok(vec![8]));

        asker.disconnect(id(1));
        next(&mut news, |event| matches!(event, LinkEvent::Disconnected(_)).then_some(())).await;
        assert!(asker.peers().is_empty());
    }
}

#[tokio::test]
async fn the_largest_messages_pass_and_larger_ones_are_named() {
    for listen in [TCP, QUIC] {
        let (server, mut events) = start(1, &[listen]).await;
        let (asker, _news) = start(2, &[]).await;
        asker.learn(id(1), &server.addresses());
        for protocol in Protocol::ALL {
            let (largest, limit) = (protocol.max_request(), protocol.max_response());
            let ask = |length| asker.request(id(1), protocol, vec![5; length], PATIENCE);

            let (reply, length) = tokio::join!(ask(largest), async {
                let inbound = next(&mut events, request).await;
                let length = inbound.body.len();
                inbound.reply.send(vec![6; limit]);
                length
            });
            assert_eq!(reply.map(|body| body.len()), Ok(limit), "{listen} {protocol}");
            assert_eq!(length, largest);

            assert_eq!(ask(largest + 1).await, Err(LinkError::TooLarge { limit: largest }));
            let (reply, ()) = tokio::join!(ask(0), async {
                next(&mut events, request).await.reply.send(vec![6; limit + 1]);
            });
            assert_eq!(reply, Err(LinkError::TooLarge { limit }));
        }
    }
}

#[tokio::test]
async fn refusal_silence_and_death_are_told_apart() {
    let (server, mut events) = start(1, &[TCP]).await;
    let (asker, mut news) = start(2, &[]).await;
    asker.learn(id(1), &server.addresses());
    let ask = |patience| asker.request(id(1), Protocol::Search, vec![], patience);

    let (reply, ()) = tokio::join!(ask(PATIENCE), async {
        drop(next(&mut events, request).await);
    });
    assert_eq!(reply, Err(LinkError::Refused));

    let (reply, held) = tokio::join!(ask(Duration::from_millis(300)), next(&mut events, request));
    assert_eq!(reply, Err(LinkError::Timeout));
    drop(held);

    let (reply, held) = tokio::join!(ask(PATIENCE), async {
        let held = next(&mut events, request).await;
        server.shutdown().await;
        held
    });
    assert_eq!(reply, Err(LinkError::Closed));
    drop(held);
    next(&mut news, |event| matches!(event, LinkEvent::Disconnected(_)).then_some(())).await;

    match ask(PATIENCE).await {
        Err(LinkError::Unreachable { reason }) => {
            assert!(reason.contains("refused"), "{reason}");
            assert!(reason.contains("/ip4/127.0.0.1/tcp/"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let from_the_dead = server.request(id(2), Protocol::Group, vec![], PATIENCE).await;
    assert_eq!(from_the_dead, Err(LinkError::Closed));
}

#[tokio::test]
async fn unknown_and_wrong_nodes_are_unreachable() {
    let (server, _events) = start(1, &[TCP]).await;
    let (asker, _news) = start(2, &[]).await;
    let ask = async |n| match asker.request(id(n), Protocol::Group, vec![], PATIENCE).await {
        Err(LinkError::Unreachable { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(ask(9).await, "no address of it is known");
    assert_eq!(ask(2).await, "it is this node itself");
    asker.learn(id(9), &server.addresses());
    let reason = ask(9).await;
    assert!(reason.contains(&format!("another node, {}", id(1).short())), "{reason}");
}

#[tokio::test]
async fn a_wrong_node_at_one_address_does_not_hide_the_right_one_at_another() {
    for listen in [TCP, QUIC] {
        let (server, events) = start(1, &[listen]).await;
        server.set_members(BTreeSet::from([id(2)]));
        serve(events);
        let (other, _others) = start(3, &[TCP, QUIC]).await;
        let (asker, _news) = start(2, &[]).await;
        let mut addresses = other.addresses();
        addresses.extend(server.addresses());
        asker.learn(id(1), &addresses);
        let ask = || asker.request(id(1), Protocol::Group, vec![1], PATIENCE);
        let replies = futures::future::join_all((0..8).map(|_| ask())).await;
        assert!(replies.iter().all(|reply| *reply == Ok(vec![1])), "{listen}: {replies:?}");
    }
}

#[tokio::test]
async fn a_flood_of_a_stranger_is_told_that_the_node_is_busy() {
    let (server, mut events) = start(1, &[TCP]).await;
    let (asker, _news) = start(2, &[]).await;
    asker.learn(id(1), &server.addresses());
    let ask = || asker.request(id(1), Protocol::Group, vec![], PATIENCE);
    let flood = futures::future::join_all((0..MAX_INBOUND_PER_STRANGER).map(|_| ask()));
    let (replies, ()) = tokio::join!(flood, async {
        let mut held = Vec::new();
        for _ in 0..MAX_INBOUND_PER_STRANGER {
            held.push(next(&mut events, request).await);
        }
        assert_eq!(ask().await, Err(LinkError::Busy));
        server.set_members(BTreeSet::from([id(2)]));
        let (reply, ()) = tokio::join!(ask(), async {
            next(&mut events, request).await.reply.send(vec![1]);
        });
        assert_eq!(reply, Ok(vec![1]), "a member has more room");
        drop(held);
    });
    assert!(replies.iter().all(|reply| *reply == Err(LinkError::Refused)), "{replies:?}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = taken.local_addr().expect("bound").port();
    let check = async |listen: String| match SwarmLink::start(config(3, &[&listen])).await {
        Err(NetError::AddressInUse { address }) => assert_eq!(address.as_str(), listen),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{listen} was free"),
    };
    check(format!("/ip4/127.0.0.1/tcp/{port}")).await;
    // libp2p alone would share the port with another node.
    let (first, _events) = start(1, &[TCP, QUIC]).await;
    for addr in first.addresses() {
        check(addr.to_string()).await;
    }
}

#[tokio::test]
async fn what_cannot_be_listened_on_is_said() {
    let cases = ["/dns4/localhost/tcp/0", "/ip4/192.0.2.1/tcp/0"];
    for listen in cases {
        match SwarmLink::start(config(1, &[listen])).await {
            Err(NetError::Listen { address, .. }) => assert_eq!(address.as_str(), listen),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{listen} was listened on"),
        }
    }
    let many = vec![TCP; 17];
    let started = SwarmLink::start(config(1, &many)).await;
    assert!(matches!(started, Err(NetError::TooMany { count: 17, limit: 16, .. })));
}

#[tokio::test]
async fn a_port_is_free_again_after_shutdown() {
    let (first, _events) = start(1, &[TCP, QUIC]).await;
    let addresses = first.addresses();
    first.shutdown().await;
    let listen: Vec<&str> = addresses.iter().map(Addr::as_str).collect();
    let again = timeout(PATIENCE, async {
        loop {
            match SwarmLink::start(config(1, &listen)).await {
                Ok(started) => return started,
                // The sockets close a moment after the swarm.
                Err(NetError::AddressInUse { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    });
    assert_eq!(again.await.expect("free in time").0.addresses(), addresses);
}

#[tokio::test]
async fn a_crowd_of_strangers_leaves_room_for_members() {
    let (server, events) = start(1, &[TCP]).await;
    serve(events);
    server.set_members(BTreeSet::from([id(2)]));
    let ask = async |n: u8| {
        let (asker, news) = start(n, &[]).await;
        asker.learn(id(1), &server.addresses());
        let reply = asker.request(id(1), Protocol::Group, vec![n], PATIENCE).await;
        (reply, asker, news)
    };
    let mut crowd = Vec::new();
    for n in 100..100 + u8::try_from(MAX_STRANGER_CONNECTIONS).expect("small") {
        let (reply, asker, news) = ask(n).await;
        assert_eq!(reply, Ok(vec![n]));
        crowd.push((asker, news));
    }
    let (reply, ..) = ask(3).await;
    assert!(matches!(reply, Err(LinkError::Closed | LinkError::Unreachable { .. })), "{reply:?}");
    let (reply, ..) = ask(2).await;
    assert_eq!(reply, Ok(vec![2]), "a member");
    crowd.pop();
    let (reply, ..) = timeout(PATIENCE, async {
        loop {
            let answered = ask(4).await;
            if answered.0.is_ok() {
                return answered;
            }
        }
    })
    .await
    .expect("a place becomes free");
    assert_eq!(reply, Ok(vec![4]));
}
