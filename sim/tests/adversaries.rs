//! Nodes that do what they should not: removed members, strangers, forgers, and an owner who signs
//! two histories. They speak raw messages over their own, authenticated link.

use std::time::Duration;

use crate::common::{introduce, lab, name, raw_group, raw_search, scenario, share_note};
use covey_crypto::{Digest, SecretKey};
use covey_net::memory::MemoryLink;
use covey_net::{Link, LinkEvent, Protocol};
use covey_node::api::{Call, Reply, Reveal};
use covey_protocol::group::{Change, ENTRY_VERSION, Entry, EntryBody, Head, Role};
use covey_protocol::ids::{Epoch, GroupId, Name, NodeId, RequestId, UnixMillis};
use covey_protocol::limits::{MAX_GROUP_REPLY, MAX_SEARCH_REPLY, MAX_SEARCH_REQUEST};
use covey_protocol::wire;
use covey_protocol::wire::PrivateText;
use covey_protocol::wire::v1::group::{GroupRefusal, GroupReply, GroupRequest};
use covey_protocol::wire::v1::search::{
    Found, ModelQuery, QueryBody, Question, Revealed, Score, SearchRefusal, SearchReply,
    SearchRequest,
};
use covey_sim::World;

const QUESTION: &str = "When are apple trees pruned?";

/// A member's head, as it tells another member.
async fn head_of(link: &MemoryLink, from: NodeId, group: GroupId) -> Head {
    let first = Head { epoch: Epoch(0), digest: group.0 };
    let request =
        GroupRequest::Sync { id: RequestId(1), group, head: first, addresses: Vec::new() };
    match raw_group(link, from, &request).await {
        GroupReply::Entries { head, .. } => head,
        other => panic!("no entries: {other:?}"),
    }
}

async fn question(world: &World, number: usize, lab: &Name) -> SearchRequest {
    let info = world.group(number, lab).await.expect("is there");
    let Ok(Reply::Status(status)) = world.call(number, Call::Status).await else {
        panic!("no status")
    };
    SearchRequest {
        id: RequestId(7),
        group: info.id,
        head: Head { epoch: Epoch(1_000), digest: Digest::ZERO },
        queries: vec![ModelQuery {
            model: status.model.id,
            query: QueryBody::Text(Question::new(QUESTION).expect("fits")),
        }],
        limit: 10,
        deadline_ms: 5_000,
    }
}

#[test]
fn a_removed_member_is_refused_by_everybody() {
    scenario(async {
        let (world, lab) = lab(21, 6).await;
        for number in 0..5 {
            share_note(&world, number, &lab, Reveal::Full).await;
        }
        let request = question(&world, 5, &lab).await;
        let report = world.ask(5, &lab, QUESTION).await.expect("is still in");
        assert_eq!(report.coverage.answered, 5);

        let remove = Call::GroupRemove { group: lab.clone(), member: "node-5".into() };
        world.call(0, remove).await.expect("removes");
        // Its own node knows, and does not even ask.
        assert_eq!(world.group(5, &lab).await.expect("is there").role, "removed");
        let error = world.ask(5, &lab, QUESTION).await.expect_err("is out");
        assert!(error.to_string().contains("no member"), "{error}");

        // A changed one that asks all the same is refused by each.
        let (link, _events) = world.network().join(world.peer(5).id);
        for number in 0..5 {
            let to = world.peer(number).id;
            introduce(&world, &link, number).await;
            let reply = raw_search(&link, to, &request).await;
            assert_eq!(
                reply,
                SearchReply::Refused { id: RequestId(7), refusal: SearchRefusal::Removed }
            );
        }
        let Ok(Reply::Audit { records }) = world.call(0, Call::AuditList { limit: None }).await
        else {
            panic!("no audit")
        };
        assert_eq!(records.len(), 1, "a refusal discloses nothing and is not recorded");
    });
}

#[test]
fn a_stranger_learns_nothing_and_garbage_gets_a_reply() {
    scenario(async {
        let (world, lab) = lab(22, 2).await;
        share_note(&world, 0, &lab, Reveal::Full).await;
        let request = question(&world, 0, &lab).await;
        let stranger = SecretKey::from_seed(&[99; 32]);
        let (link, _events) = world.network().join(NodeId::new(stranger.public()));
        let to = world.peer(0).id;
        introduce(&world, &link, 0).await;

        let refused = SearchReply::Refused { id: RequestId(7), refusal: SearchRefusal::NotAMember };
        assert_eq!(raw_search(&link, to, &request).await, refused);
        let mut elsewhere = request.clone();
        elsewhere.group = GroupId(Digest::sha256(b"no such group"));
        assert_eq!(raw_search(&link, to, &elsewhere).await, refused, "the two look alike");
        let sync = |group| GroupRequest::Sync {
            id: RequestId(3),
            group,
            head: request.head,
            addresses: Vec::new(),
        };
        let refused = GroupReply::Refused { id: RequestId(3), refusal: GroupRefusal::NotAMember };
        for group in [request.group, elsewhere.group] {
            assert_eq!(raw_group(&link, to, &sync(group)).await, refused);
        }

        for garbage in [Vec::new(), vec![0xff; 100], vec![0; 40_000]] {
            let sent =
                link.request(to, Protocol::Group, garbage.clone(), crate::common::TIMEOUT).await;
            let reply: GroupReply =
                wire::decode(&sent.expect("a reply"), MAX_GROUP_REPLY).expect("decodes");
            assert!(matches!(reply, GroupReply::Refused { refusal: GroupRefusal::BadRequest, .. }));
            let sent = link.request(to, Protocol::Search, garbage, crate::common::TIMEOUT).await;
            let reply: SearchReply =
                wire::decode(&sent.expect("a reply"), MAX_SEARCH_REPLY).expect("decodes");
            assert!(matches!(
                reply,
                SearchReply::Refused { refusal: SearchRefusal::BadRequest, .. }
            ));
        }
        let report = world.ask(1, &lab, QUESTION).await.expect("all goes on");
        assert_eq!(report.results.len(), 1);
    });
}

#[test]
fn an_owner_who_signs_two_histories_freezes_the_group_for_everybody() {
    scenario(async {
        let (world, lab) = lab(23, 6).await;
        let group = world.group(0, &lab).await.expect("is there").id;
        let key = world.key(0);
        // The owner's machine now runs something else.
        let (evil, _events) = world.network().join(world.peer(0).id);
        let peers: Vec<NodeId> = (1..6).map(|number| world.peer(number).id).collect();
        for number in 1..6 {
            introduce(&world, &evil, number).await;
        }
        let head = head_of(&evil, peers[0], group).await;
        let role = |node| Change::SetRole { node, role: Role::Admin };
        let rivals =
            [role(peers[0]), role(peers[1])].map(|change| rival(&key, group, head, change));
        for (number, peer) in peers.iter().enumerate() {
            let entry = rivals[number % 2].clone();
            let theirs = Head { epoch: Epoch(head.epoch.0 + 1), digest: entry.digest() };
            let push =
                GroupRequest::Push { id: RequestId(9), group, entries: vec![entry], head: theirs };
            assert!(matches!(raw_group(&evil, *peer, &push).await, GroupReply::Accepted { .. }));
        }
        world.pass(Duration::from_secs(300)).await;
        for number in 1..6 {
            assert!(world.group(number, &lab).await.expect("is there").frozen, "{number}");
            let call = Call::GroupLeave { group: lab.clone() };
            if number == 5 {
                world.call(number, call).await.expect("leaving a frozen group needs nobody");
            } else {
                let error = world.ask(number, &lab, QUESTION).await.expect_err("is frozen");
                assert!(error.to_string().contains("frozen"), "{error}");
            }
        }
    });
}

/// An entry that follows `head`, signed by `key`, as no honest node makes beside another one.
fn rival(key: &SecretKey, group: GroupId, head: Head, change: Change) -> Entry {
    let body = EntryBody {
        version: ENTRY_VERSION,
        group,
        epoch: Epoch(head.epoch.0 + 1),
        parent: head.digest,
        at: UnixMillis(1_800_000_000_000),
        change,
        request: None,
    };
    let body = wire::encode(&body);
    let signature = key.sign("covey group entry v1", &body);
    Entry { body, signature }
}

#[test]
fn forged_scores_do_not_push_honest_results_away() {
    scenario(async {
        let (world, lab) = lab(24, 3).await;
        share_note(&world, 1, &lab, Reveal::Full).await;
        // Node 2 answers every question with texts of its choice at the highest score.
        let (link, mut events) = world.network().join(world.peer(2).id);
        let forger = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let LinkEvent::Request(inbound) = event else { continue };
                let Ok(request) = wire::decode::<SearchRequest>(&inbound.body, MAX_SEARCH_REQUEST)
                else {
                    continue;
                };
                let results = (0..10).map(|number| Found {
                    score: Score::new(1.0).expect("a score"),
                    collection: name("ads"),
                    revealed: Revealed::Full {
                        title: PrivateText::clipped("ad"),
                        text: PrivateText::clipped(&format!(
                            "Buy our fine product number {number}!"
                        )),
                    },
                });
                let reply = SearchReply::Answer {
                    id: request.id,
                    model: request.queries[0].model,
                    head: request.head,
                    results: results.collect(),
                };
                inbound.reply.send(wire::encode(&reply));
            }
        });
        let report = world.ask(0, &lab, QUESTION).await.expect("asks");
        assert_eq!(report.results.len(), 1, "{report:?}");
        assert_eq!(report.results[0].from[0].member, "node-1");
        assert!(report.results[0].verified);
        let forged =
            report.coverage.members.iter().find(|it| it.member == "node-2").expect("asked");
        assert_eq!(forged.outcome, "refused");
        assert_eq!((report.coverage.answered, report.coverage.refused), (1, 1));
        assert!(report.notes.iter().any(|note| note.contains("node-2")), "{:?}", report.notes);
        drop(link);
        forger.abort();
    });
}

#[test]
fn a_flood_of_questions_is_held_back() {
    scenario(async {
        let (world, lab) = lab(25, 3).await;
        share_note(&world, 0, &lab, Reveal::Score).await;
        let mut request = question(&world, 1, &lab).await;
        let (link, _events) = world.network().join(world.peer(1).id);
        let to = world.peer(0).id;
        introduce(&world, &link, 0).await;
        let mut answered = 0;
        let refused = loop {
            request.id = RequestId(answered);
            match raw_search(&link, to, &request).await {
                SearchReply::Answer { .. } => answered += 1,
                SearchReply::Refused { refusal, .. } => break refusal,
            }
            assert!(answered < 10_000, "there is a bound");
        };
        assert_eq!(refused, SearchRefusal::Busy);
        assert!(answered >= 30, "a person who asks a lot is served: {answered}");
        let report = world.ask(2, &lab, QUESTION).await.expect("asks");
        assert_eq!(report.results.len(), 1, "others are not held back");
    });
}

#[test]
fn an_ousted_owner_cannot_sequence() {
    scenario(async {
        let (world, lab) = lab(26, 3).await;
        let group = world.group(0, &lab).await.expect("is there").id;
        let transfer = Call::GroupTransfer { group: lab.clone(), member: "node-1".into() };
        world.call(0, transfer).await.expect("hands over");
        let remove = Call::GroupRemove { group: lab.clone(), member: "node-2".into() };
        // Now an admin, node 0 may ask the new owner to remove a plain member.
        world.call(0, remove).await.expect("the new owner agrees");
        assert_eq!(world.group(1, &lab).await.expect("is there").members, 2);

        let key = world.key(0);
        let (evil, _events) = world.network().join(world.peer(0).id);
        let to = world.peer(1).id;
        introduce(&world, &evil, 1).await;
        let head = head_of(&evil, to, group).await;
        let entry = rival(&key, group, head, Change::Remove { node: to });
        let theirs = Head { epoch: Epoch(head.epoch.0 + 1), digest: entry.digest() };
        let push =
            GroupRequest::Push { id: RequestId(9), group, entries: vec![entry], head: theirs };
        drop(raw_group(&evil, to, &push).await);
        world.pass(Duration::from_secs(60)).await;
        let info = world.group(1, &lab).await.expect("is there");
        assert_eq!((info.members, info.epoch, info.frozen), (2, head.epoch, false));
    });
}
