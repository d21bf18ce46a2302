//! What one dishonest member, or somebody outside, tries against honest nodes.

use crate::common::{introduce, invite, lab, name, raw_group, scenario, share_note};
use covey_crypto::{Digest, SecretKey};
use covey_net::LinkEvent;
use covey_node::api::{Call, Reply, Reveal};
use covey_protocol::group::{
    Change, ENTRY_VERSION, Entry, EntryBody, Head, InviteId, InviteSecret, Role,
};
use covey_protocol::ids::{Epoch, GroupId, NodeId, RequestId, UnixMillis};
use covey_protocol::limits::{MAX_ASKED, MAX_ENTRIES_PER_PUSH, MAX_SEARCH_REQUEST};
use covey_protocol::wire;
use covey_protocol::wire::PrivateText;
use covey_protocol::wire::v1::group::{GroupReply, GroupRequest};
use covey_protocol::wire::v1::search::{Found, Revealed, Score, SearchReply, SearchRequest};

const QUESTION: &str = "When are apple trees pruned?";

#[test]
fn a_forged_invite_does_not_tell_whether_the_group_is_there() {
    scenario(async {
        let (world, lab) = lab(41, 2).await;
        let group = world.group(0, &lab).await.expect("is there").id;
        let stranger = NodeId::new(SecretKey::from_seed(&[98; 32]).public());
        let (link, _events) = world.network().join(stranger);
        introduce(&world, &link, 0).await;
        let secret: InviteSecret = wire::decode(&[7; 32], 32).expect("32 bytes");
        let mut replies = Vec::new();
        for group in [group, GroupId(Digest::sha256(b"no such group"))] {
            let request = GroupRequest::Redeem {
                id: RequestId(4),
                group,
                secret: secret.duplicate(),
                name: name("mallory"),
                addresses: Vec::new(),
            };
            replies.push(raw_group(&link, world.peer(0).id, &request).await);
        }
        assert_eq!(replies[0], replies[1]);
    });
}

#[test]
fn a_forged_score_of_a_text_that_the_asker_has_too_gains_nothing() {
    scenario(async {
        let (world, lab) = lab(42, 2).await;
        share_note(&world, 0, &lab, Reveal::Full).await;
        let own = world.ask(0, &lab, QUESTION).await.expect("asks");
        let (text, score) = (own.results[0].text.clone().expect("is own"), own.results[0].score);
        // Far off, and so near that honest nodes might differ by as much.
        for (claim, is_noted) in [(1.0, true), (score + 0.004, false)] {
            let (_link, mut events) = world.network().join(world.peer(1).id);
            let text = text.clone();
            let forger = tokio::spawn(async move {
                while let Some(event) = events.recv().await {
                    let LinkEvent::Request(inbound) = event else { continue };
                    let Ok(request) =
                        wire::decode::<SearchRequest>(&inbound.body, MAX_SEARCH_REQUEST)
                    else {
                        continue;
                    };
                    let found = Found {
                        score: Score::new(claim).expect("a score"),
                        collection: name("ads"),
                        revealed: Revealed::Full {
                            title: PrivateText::clipped("ad"),
                            text: PrivateText::clipped(&text),
                        },
                    };
                    let (id, model) = (request.id, request.queries[0].model);
                    let results = vec![found];
                    let reply = SearchReply::Answer { id, model, head: request.head, results };
                    inbound.reply.send(wire::encode(&reply));
                }
            });
            let report = world.ask(0, &lab, QUESTION).await.expect("asks");
            forger.abort();
            let best = &report.results[0];
            assert!(best.verified && (best.score - score).abs() < 1e-5, "{claim}: {report:?}");
            assert_eq!(best.from.len(), 2, "{claim}: {report:?}");
            let noted = report.notes.iter().any(|note| note.contains("node-1"));
            assert_eq!(noted, is_noted, "{claim}: {report:?}");
        }
    });
}

#[test]
fn a_member_that_calls_itself_by_anothers_id_is_not_taken_for_it() {
    scenario(async {
        let (mut world, lab) = lab(43, 2).await;
        let mallory = world.add("mallory").expect("opens");
        let ben = world.peer(1).id.to_string();
        let code = invite(&world, 0, &lab, None).await;
        let join = Call::Join { code, member: Some(name(&ben)), wait_s: None };
        world.call(mallory, join).await.expect("any name will do");
        let transfer = Call::GroupTransfer { group: lab.clone(), member: ben.clone() };
        world.call(0, transfer).await.expect("hands over");
        assert_eq!(world.group(1, &lab).await.expect("is there").role, "owner");
        // The beginning of an id that is also somebody's name means nobody in particular.
        let start = ben[..12].to_owned();
        let eve = world.add("eve").expect("opens");
        let code = invite(&world, 1, &lab, None).await;
        let join = Call::Join { code, member: Some(name(&start)), wait_s: None };
        world.call(eve, join).await.expect("any name will do");
        let transfer = Call::GroupTransfer { group: lab.clone(), member: start };
        let error = world.call(1, transfer).await.expect_err("fits two members");
        assert!(error.message.contains("fits 2 members"), "{}", error.message);
    });
}

#[test]
fn a_group_larger_than_one_question_reaches_can_still_be_asked() {
    scenario(async {
        let (world, lab) = lab(44, 3).await;
        share_note(&world, 2, &lab, Reveal::Full).await;
        let info = world.group(1, &lab).await.expect("is there");
        let key = world.key(0);
        let (owner, _events) = world.network().join(world.peer(0).id);
        introduce(&world, &owner, 1).await;
        let first = Head { epoch: Epoch(0), digest: info.id.0 };
        let sync =
            GroupRequest::Sync { id: RequestId(1), group: info.id, head: first, addresses: vec![] };
        let GroupReply::Entries { mut head, .. } = raw_group(&owner, world.peer(1).id, &sync).await
        else {
            panic!("no entries")
        };
        let mut left = MAX_ASKED + 40;
        while left > 0 {
            let mut entries = Vec::new();
            while left > 0 && entries.len() < MAX_ENTRIES_PER_PUSH {
                let entry = addition(&key, info.id, head, left);
                head = Head { epoch: Epoch(head.epoch.0 + 1), digest: entry.digest() };
                entries.push(entry);
                left -= 1;
            }
            let push = GroupRequest::Push { id: RequestId(2), group: info.id, entries, head };
            let reply = raw_group(&owner, world.peer(1).id, &push).await;
            assert!(matches!(reply, GroupReply::Accepted { .. }), "{reply:?}");
        }
        let report = world.ask(1, &lab, QUESTION).await.expect("asks as many as it may");
        assert_eq!(report.coverage.asked as usize, MAX_ASKED);
        assert!(report.notes.iter().any(|note| note.contains("not asked")), "{:?}", report.notes);
        assert_eq!(report.coverage.answered, 1, "who is connected comes first");
        let Ok(Reply::Status(_)) = world.call(1, Call::Status).await else { panic!("no status") };
    });
}

/// An entry by which the owner lets in a node that nobody can reach.
fn addition(key: &SecretKey, group: GroupId, head: Head, number: usize) -> Entry {
    let seed = *Digest::sha256(&number.to_le_bytes()).as_bytes();
    let change = Change::Add {
        node: NodeId::new(SecretKey::from_seed(&seed).public()),
        name: name(&format!("nobody-{number}")),
        role: Role::Member,
        inviter: NodeId::new(key.public()),
        invite: InviteId(Digest::sha256(&seed)),
    };
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
