//! Waiting, giving up and merging.

use std::collections::BTreeSet;

use covey_protocol::group::Log;
use covey_protocol::ids::{ModelId, NodeId, RequestId, UnixMillis};
use covey_protocol::search::{
    Ask, Asker, BadAnswer, Effect, Failure, Outcome, PeerOutcome, Provider, TooManyPeers,
};
use covey_protocol::wire::PrivateText;
use covey_protocol::wire::v1::search::{Found, Revealed, Score, SearchRefusal, SearchReply};
use proptest::prelude::*;

use crate::common::*;
use crate::search_answerer::request;

const SOFT: u64 = 1_000;
const HARD: u64 = 5_000;

fn asker(peers: &[u8], limit: u16, own: bool) -> Asker {
    let peers: BTreeSet<_> = peers.iter().map(|n| node(*n)).collect();
    let ask =
        Ask { request: request(&lab(), limit), peers: peers.clone(), soft_ms: SOFT, hard_ms: HARD };
    let (asker, effects) = Asker::new(ask, own, START).expect("few peers");
    let sent: BTreeSet<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { to, .. } => Some(*to),
            Effect::Finish => None,
        })
        .collect();
    assert_eq!(sent, peers);
    asker
}

fn full(score: f32, text: &str) -> Found {
    Found {
        score: Score::new(score).expect("a cosine"),
        collection: name("notes"),
        revealed: Revealed::Full {
            title: PrivateText::clipped("t.md"),
            text: PrivateText::clipped(text),
        },
    }
}

fn bare(score: f32) -> Found {
    Found { revealed: Revealed::Score, ..full(score, "") }
}

fn answer(results: Vec<Found>) -> SearchReply {
    answer_as(RequestId(7), model("r1"), results)
}

fn answer_as(id: RequestId, model: ModelId, results: Vec<Found>) -> SearchReply {
    let log: Log = lab();
    SearchReply::Answer { id, model, head: log.head(), results }
}

fn refused() -> SearchReply {
    SearchReply::Refused { id: RequestId(7), refusal: SearchRefusal::NothingShared }
}

fn at(ms: u64) -> UnixMillis {
    START.plus(ms)
}

fn counts(outcome: &Outcome) -> [usize; 6] {
    let report = &outcome.report;
    let parts = [report.answered, report.refused, report.timed_out, report.offline, report.bad];
    assert_eq!(report.asked, parts.iter().sum::<usize>());
    assert_eq!(report.asked, report.peers.len());
    [report.asked, parts[0], parts[1], parts[2], parts[3], parts[4]]
}

fn of(outcome: &Outcome, peer: NodeId) -> &PeerOutcome {
    let found = outcome.report.peers.iter().find(|report| report.node == peer);
    &found.expect("it was asked").outcome
}

#[test]
fn it_ends_as_soon_as_everybody_is_in() {
    let mut asker = asker(&[2, 3, 4], 10, false);
    assert_eq!(asker.reply(node(2), answer(vec![full(0.5, "x")]), at(10)), None);
    assert_eq!(asker.reply(node(3), refused(), at(20)), None);
    let end = asker.failed(node(4), Failure::Offline("no route".to_owned()), at(30));
    assert_eq!(end, Some(Effect::Finish));
    assert_eq!(asker.wake_at(at(30)), None);
    let outcome = asker.finish(at(30));
    assert_eq!(counts(&outcome), [3, 1, 1, 0, 1, 0]);
    assert_eq!(of(&outcome, node(2)), &PeerOutcome::Answered { results: 1 });
    assert_eq!(of(&outcome, node(3)), &PeerOutcome::Refused(SearchRefusal::NothingShared));
    assert_eq!(outcome.report.peers.iter().map(|peer| peer.latency_ms).sum::<u64>(), 60);
    assert!(outcome.report.answered < outcome.report.asked);
}

#[test]
fn a_killed_peer_costs_the_soft_deadline_only() {
    let mut asker = asker(&[2, 3], 10, false);
    assert_eq!(asker.reply(node(2), answer(vec![full(0.5, "x")]), at(10)), None);
    assert_eq!(asker.wake_at(at(10)), Some(at(SOFT)));
    assert_eq!(asker.tick(at(SOFT - 1)), None);
    assert_eq!(asker.tick(at(SOFT)), Some(Effect::Finish));
    assert_eq!(asker.reply(node(3), answer(vec![full(0.9, "late")]), at(SOFT + 1)), None);
    let outcome = asker.finish(at(SOFT + 1));
    assert_eq!(counts(&outcome), [2, 1, 0, 1, 0, 0]);
    assert_eq!(of(&outcome, node(3)), &PeerOutcome::TimedOut);
    assert_eq!(outcome.results.len(), 1);
}

#[test]
fn past_the_soft_deadline_it_waits_for_half_and_for_an_answer() {
    let mut most = asker(&[2, 3, 4, 5], 10, false);
    most.reply(node(2), answer(vec![]), at(10));
    assert_eq!(most.tick(at(SOFT)), None, "one of four is not half");
    assert_eq!(most.wake_at(at(SOFT)), Some(at(HARD)));
    assert_eq!(most.reply(node(3), refused(), at(SOFT + 5)), Some(Effect::Finish));

    let mut none = asker(&[2, 3], 10, false);
    none.reply(node(2), refused(), at(10));
    assert_eq!(none.tick(at(SOFT)), None, "a refusal is no answer");
    assert_eq!(none.tick(at(HARD)), Some(Effect::Finish));
    assert_eq!(counts(&none.finish(at(HARD))), [2, 0, 1, 1, 0, 0]);
}

#[test]
fn s8_to_s11_a_bad_answer_counts_against_its_sender_alone() {
    let mut asker = asker(&[2, 3, 4, 5, 6], 1, false);
    let two = vec![full(0.9, "x"), full(0.8, "y")];
    asker.failed(node(2), Failure::Unreadable, at(1));
    asker.reply(node(3), answer_as(RequestId(8), model("r1"), vec![]), at(1));
    asker.reply(node(4), answer_as(RequestId(7), model("r9"), vec![]), at(1));
    asker.reply(node(5), answer(two), at(1));
    asker.reply(node(9), answer(vec![full(1.0, "not asked")]), at(1));
    assert_eq!(asker.reply(node(6), answer(vec![full(0.1, "good")]), at(1)), Some(Effect::Finish));
    assert_eq!(asker.reply(node(6), answer(vec![full(1.0, "twice")]), at(2)), None);
    let outcome = asker.finish(at(2));
    assert_eq!(counts(&outcome), [5, 1, 0, 0, 0, 4]);
    let reasons = [
        (2, BadAnswer::Unreadable),
        (3, BadAnswer::WrongId),
        (4, BadAnswer::WrongModel),
        (5, BadAnswer::TooMany),
    ];
    for (peer, why) in reasons {
        assert_eq!(of(&outcome, node(peer)), &PeerOutcome::Bad(why));
    }
    assert_eq!(outcome.results.len(), 1);
    assert_eq!(outcome.results[0].sources[0].provider, Provider::Peer(node(6)));
}

#[test]
fn equal_texts_become_one_result_with_all_its_holders() {
    let mut asker = asker(&[2, 3], 10, true);
    asker.reply(node(2), answer(vec![full(0.7, "same"), bare(0.6)]), at(1));
    asker.reply(node(3), answer(vec![full(0.8, " same\n"), bare(0.6)]), at(1));
    let end = asker.own(model("r1"), vec![full(0.75, "same"), full(0.9, "mine")], at(2));
    assert_eq!(end, Some(Effect::Finish));
    let results = asker.finish(at(2)).results;
    let scores: Vec<_> = results.iter().map(|result| result.score.get()).collect();
    assert_eq!(scores, [0.9, 0.8, 0.6, 0.6], "bare scores are never taken for one");
    let holders: Vec<_> = results[1].sources.iter().map(|source| source.provider).collect();
    assert_eq!(holders, [Provider::Peer(node(3)), Provider::Own, Provider::Peer(node(2))]);
}

#[test]
fn own_results_alone_are_a_search_too() {
    let mut alone = asker(&[], 10, true);
    let end = alone.own(model("r1"), vec![full(0.5, "x")], at(1));
    assert_eq!(end, Some(Effect::Finish));
    let outcome = alone.finish(at(1));
    assert_eq!((counts(&outcome), outcome.results.len()), ([0; 6], 1));
    assert_eq!(outcome.report.answered, outcome.report.asked);

    let nobody =
        Ask { request: request(&lab(), 10), peers: BTreeSet::new(), soft_ms: SOFT, hard_ms: HARD };
    let (_, effects) = Asker::new(nobody, false, START).expect("fine");
    assert_eq!(effects, [Effect::Finish]);
}

#[test]
fn other_releases_are_listed_after_the_preferred_one() {
    let mut request = request(&lab(), 10);
    let mut second = request.queries[0].clone();
    second.model = model("r2");
    request.queries.push(second);
    let peers = BTreeSet::from([node(2), node(3)]);
    let ask = Ask { request, peers, soft_ms: SOFT, hard_ms: HARD };
    let (mut asker, _) = Asker::new(ask, false, START).expect("fine");
    asker.reply(node(2), answer_as(RequestId(7), model("r2"), vec![full(0.9, "b")]), at(1));
    asker.reply(node(3), answer_as(RequestId(7), model("r1"), vec![full(0.1, "a")]), at(1));
    let models: Vec<_> = asker.finish(at(1)).results.iter().map(|result| result.model).collect();
    assert_eq!(models, [model("r1"), model("r2")]);
}

#[test]
fn what_could_steer_a_terminal_is_replaced() {
    let mut asker = asker(&[2], 10, false);
    let mut evil = full(0.5, "a\u{1b}[2Jb\nc\u{202e}d\u{200f}e\u{61c}f");
    if let Revealed::Full { title, .. } = &mut evil.revealed {
        *title = PrivateText::clipped("t\n\u{7}.md");
    }
    asker.reply(node(2), answer(vec![evil]), at(1));
    let results = asker.finish(at(1)).results;
    let Revealed::Full { title, text } = &results[0].revealed else { panic!("full") };
    assert_eq!((title.as_str(), text.as_str()), ("t  .md", "a [2Jb\nc d e f"));
}

#[test]
fn the_number_of_peers_is_bounded() {
    let key = |n: u64| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        NodeId::new(covey_crypto::SecretKey::from_seed(&seed).public())
    };
    let peers = (0..=covey_protocol::limits::MAX_ASKED as u64).map(key).collect();
    let ask = Ask { request: request(&lab(), 1), peers, soft_ms: SOFT, hard_ms: HARD };
    assert_eq!(Asker::new(ask, false, START).map(|_| ()), Err(TooManyPeers));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Federated equals central: whatever the split, and whatever the order of arrival.
    #[test]
    fn merging_answers_equals_ranking_everything_at_once(
        held in proptest::collection::vec((2..7u8, 0..40u32, -100..100i32), 0..60),
        order in Just((2..7u8).collect::<Vec<_>>()).prop_shuffle(),
        limit in 1..20u16,
    ) {
        // One text has one score, whoever holds it.
        let score = |text: u32, noise: i32| (text as f32 / 50.0 + noise as f32 / 1e9).clamp(-1.0, 1.0);
        let mut asker = asker(&[2, 3, 4, 5, 6], limit, false);
        for peer in order {
            let mut texts: Vec<_> =
                held.iter().filter(|(holder, ..)| *holder == peer).map(|(_, text, _)| *text).collect();
            texts.sort_unstable_by(|a, b| b.cmp(a));
            texts.dedup();
            texts.truncate(limit.into());
            let results = texts.iter().map(|t| full(score(*t, 0), &t.to_string())).collect();
            asker.reply(node(peer), answer(results), at(1));
        }
        let mut central: Vec<_> = held.iter().map(|(_, text, _)| *text).collect();
        central.sort_unstable_by(|a, b| b.cmp(a));
        central.dedup();
        central.truncate(limit.into());
        let federated: Vec<u32> = asker.finish(at(1)).results.iter().map(|result| {
            let Revealed::Full { text, .. } = &result.revealed else { panic!("full") };
            text.as_str().parse().expect("a number")
        }).collect();
        prop_assert_eq!(federated, central);
    }
}
