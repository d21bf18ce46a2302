//! Fifty real nodes for an hour of virtual time; and what faults do to a group.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use covey_node::api::{Call, ErrorCode, Reply, Reveal, SearchReport};
use covey_node::models::BuiltinModels;
use covey_protocol::ids::Name;
use covey_sim::{Federation, FederationConfig, PeerIndex, virtual_time};

const TOPICS: [(&str, &str); 5] = [
    ("bees", "A honey bee colony survives winter by clustering tightly around the queen."),
    ("bread", "Let the sourdough rise overnight in a cool kitchen before you bake it."),
    ("sails", "Reef the mainsail early when the wind rises and the boat begins to heel."),
    ("chess", "In the endgame the king walks to the centre and supports the passed pawn."),
    ("tides", "Spring tides follow the full moon, when sun and moon pull along one line."),
];

fn name(text: &str) -> Name {
    text.parse().expect("a valid name")
}

fn federation(seed: u64) -> Federation {
    let models = Arc::new(BuiltinModels::new().expect("the model in the binary loads"));
    Federation::new(FederationConfig { seed, loss_per_million: 0, models })
}

/// `size` peers in the group "lab", each with one shared note on a topic, all founded by peer 0.
async fn lab(seed: u64, size: usize) -> Federation {
    let mut federation = federation(seed);
    for number in 0..size {
        let peer = federation.add_peer(&format!("peer-{number:02}")).expect("opens");
        let (topic, text) = TOPICS[number % TOPICS.len()];
        let note = format!("{text} Noted by number {number}.");
        federation.peer(peer).write(&format!("{topic}-{number}.txt"), &note);
        federation.index(peer).await.expect("indexes");
    }
    let owner = PeerIndex(0);
    federation.found(owner, "lab").await.expect("founds");
    for number in 0..size {
        let peer = PeerIndex(number);
        if peer != owner {
            let code = federation.invite(owner, "lab").await.expect("invites");
            federation.join(peer, &code).await.expect("joins");
        }
        federation.share(peer, "lab", Reveal::Snippet).await.expect("shares");
    }
    federation
}

/// The members that `report` says were in each outcome.
fn of_outcome(report: &SearchReport, outcome: &str) -> BTreeSet<String> {
    let members = report.coverage.members.iter().filter(|member| member.outcome == outcome);
    members.map(|member| member.member.clone()).collect()
}

async fn epochs(federation: &Federation) -> BTreeSet<u64> {
    let mut epochs = BTreeSet::new();
    for peer in federation.peers() {
        let Reply::Groups { groups } = peer.call(Call::GroupList).await.expect("lists") else {
            panic!("another reply");
        };
        epochs.extend(groups.iter().map(|group| group.epoch.0));
    }
    epochs
}

fn hour_of_fifty(seed: u64) -> (String, u64) {
    virtual_time(async {
        let federation = lab(seed, 50).await;
        let before = tokio::time::Instant::now();
        for round in 0..6_usize {
            let asker = PeerIndex(7 * round + 1);
            let (topic, text) = TOPICS[round % TOPICS.len()];
            let report = federation.ask(asker, "lab", text).await.expect("answers");
            let coverage = &report.coverage;
            assert_eq!((coverage.asked, coverage.answered), (49, 49), "{coverage:?}");
            let best = &report.results[0];
            let title = best.title.as_deref().unwrap_or_default();
            let path = best.path.as_deref().unwrap_or(title.as_ref());
            assert!(path.to_string_lossy().contains(topic), "{best:?}");
            federation.pass(Duration::from_secs(600)).await;
        }
        assert!(before.elapsed() >= Duration::from_secs(3600), "an hour of virtual time");
        assert_eq!(epochs(&federation).await, BTreeSet::from([49]));
        let transcript = federation.transcript();
        (transcript.digest.to_string(), transcript.count)
    })
}

#[test]
fn fifty_nodes_live_an_hour_and_the_same_seed_sends_the_same_messages() {
    let first = hour_of_fifty(1);
    assert!(first.1 > 1_000, "fifty nodes exchange many messages, not {}", first.1);
    assert_eq!(first, hour_of_fifty(1));
    assert_ne!(first.0, hour_of_fifty(2).0);
}

#[test]
fn a_crashed_member_is_reported_and_the_others_answer() {
    virtual_time(async {
        let federation = lab(3, 6).await;
        federation.network().set_down(federation.peer(PeerIndex(4)).id());
        let report = federation.ask(PeerIndex(1), "lab", "bees in winter").await.expect("answers");
        assert_eq!((report.coverage.asked, report.coverage.answered), (5, 4));
        assert_eq!(of_outcome(&report, "offline"), BTreeSet::from(["peer-04".to_owned()]));
        assert!(!report.results.is_empty());
    });
}

#[test]
fn a_removed_member_is_refused_by_everybody() {
    virtual_time(async {
        let federation = lab(4, 8).await;
        let removed = PeerIndex(5);
        let call = Call::GroupRemove { group: name("lab"), member: "peer-05".to_owned() };
        federation.peer(PeerIndex(0)).call(call).await.expect("removes");
        federation.pass(Duration::from_secs(300)).await;
        let error = federation.ask(removed, "lab", "bees").await.expect_err("it is out");
        assert_eq!(error.code, ErrorCode::Forbidden, "{error:?}");
        let report = federation.ask(PeerIndex(2), "lab", "bees").await.expect("answers");
        assert_eq!((report.coverage.asked, report.coverage.answered), (6, 6));
    });
}

#[test]
fn a_removed_member_that_was_cut_off_is_refused_when_it_comes_back() {
    virtual_time(async {
        let federation = lab(5, 6).await;
        let removed = federation.peer(PeerIndex(3)).id();
        federation.network().partition(&[BTreeSet::from([removed])]);
        let call = Call::GroupRemove { group: name("lab"), member: "peer-03".to_owned() };
        federation.peer(PeerIndex(0)).call(call).await.expect("removes");
        federation.pass(Duration::from_secs(300)).await;
        federation.network().heal();
        // It still believes in its old log; nobody else does.
        match federation.ask(PeerIndex(3), "lab", "bees").await {
            Ok(report) => {
                assert_eq!(report.coverage.answered, 0, "{:?}", report.coverage);
                assert_eq!(report.coverage.refused, report.coverage.asked);
            }
            Err(error) => assert_eq!(error.code, ErrorCode::Forbidden),
        }
    });
}

#[test]
fn logs_converge_after_a_partition_heals() {
    virtual_time(async {
        let mut federation = lab(6, 6).await;
        let far: BTreeSet<_> =
            [3, 4, 5].map(|number| federation.peer(PeerIndex(number)).id()).into();
        federation.network().partition(&[far]);
        let late = federation.add_peer("late").expect("opens");
        let code = federation.invite(PeerIndex(0), "lab").await.expect("invites");
        federation.join(late, &code).await.expect("joins");
        federation.pass(Duration::from_secs(120)).await;
        assert_eq!(epochs(&federation).await, BTreeSet::from([5, 6]));
        federation.network().heal();
        federation.pass(Duration::from_secs(1800)).await;
        assert_eq!(epochs(&federation).await, BTreeSet::from([6]));
    });
}

#[test]
fn an_invite_admits_one_node_once() {
    virtual_time(async {
        let mut federation = lab(7, 3).await;
        let code = federation.invite(PeerIndex(0), "lab").await.expect("invites");
        let invited = federation.add_peer("invited").expect("opens");
        let thief = federation.add_peer("thief").expect("opens");
        federation.join(invited, &code).await.expect("joins");
        let error = federation.join(thief, &code).await.expect_err("it is used");
        assert_eq!(error.code, ErrorCode::BadInvite, "{error:?}");
        let report = federation.ask(thief, "lab", "bees").await.expect_err("not a member");
        assert_eq!(report.code, ErrorCode::NotFound, "it knows no such group");
    });
}

#[test]
fn a_restarted_node_remembers_its_group_and_shares() {
    virtual_time(async {
        let mut federation = lab(8, 4).await;
        federation.restart(PeerIndex(2), 1).expect("opens again");
        federation.index(PeerIndex(2)).await.expect("indexes");
        federation.pass(Duration::from_secs(120)).await;
        let report = federation.ask(PeerIndex(1), "lab", TOPICS[2].1).await.expect("answers");
        assert_eq!((report.coverage.asked, report.coverage.answered), (3, 3), "{report:?}");
        assert!(report.results[0].from.iter().any(|source| source.member == "peer-02"));
    });
}

#[test]
fn nothing_is_revealed_before_it_is_shared_and_nothing_after_it_is_taken_back() {
    virtual_time(async {
        let mut federation = federation(9);
        let [ada, ben] = ["ada", "ben"].map(|name| federation.add_peer(name).expect("opens"));
        federation.peer(ben).write("bees.txt", TOPICS[0].1);
        federation.index(ben).await.expect("indexes");
        federation.found(ada, "lab").await.expect("founds");
        let code = federation.invite(ada, "lab").await.expect("invites");
        federation.join(ben, &code).await.expect("joins");
        let results = async || {
            let report = federation.ask(ada, "lab", "honey bee colony").await.expect("answers");
            report.results
        };
        assert!(results().await.is_empty(), "not shared yet");
        federation.share(ben, "lab", Reveal::Score).await.expect("shares");
        let found = results().await;
        assert_eq!((found.len(), &found[0].title, &found[0].text), (1, &None, &None));
        federation.share(ben, "lab", Reveal::Full).await.expect("shares more");
        let found = results().await;
        assert_eq!(found[0].text.as_deref(), Some(TOPICS[0].1));
        assert!(found[0].verified, "a full text is checked by embedding it");
        let call = Call::Unshare { collection: name("notes"), group: name("lab") };
        federation.peer(ben).call(call).await.expect("takes back");
        assert!(results().await.is_empty());
    });
}
