//! An encoder of two known directions is enough to tell true from forged.

use std::ops::Range;

use covey_crypto::{Digest, SecretKey};
use covey_index::EncoderId;
use covey_protocol::ids::{Epoch, GroupId, RequestId};
use covey_protocol::wire::PrivateText;
use covey_protocol::wire::v1::search::{ModelQuery, QueryBody, Question};

use super::*;

/// `good` texts point at the question, others away from it, `fair` ones a little less.
struct Compass;

impl Encoder for Compass {
    fn id(&self) -> EncoderId {
        EncoderId { base: [1; 32], release: [1; 32] }
    }

    fn dim(&self) -> usize {
        2
    }

    fn max_tokens(&self) -> usize {
        16
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        let row = |text: &&str| match text {
            text if text.contains("good") => [0.9, 0.1],
            text if text.contains("fair") => [0.11, 0.9],
            _ => [0.1, 0.9],
        };
        Ok(texts.iter().flat_map(row).collect())
    }

    fn token_spans(&self, _: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        Ok(Vec::new())
    }
}

const QUESTION: [f32; 2] = [1.0, 0.0];
const TOLERANCE: f32 = 0.03;

fn node(seed: u8) -> NodeId {
    NodeId::new(SecretKey::from_seed(&[seed; 32]).public())
}

fn found(score: f32, text: &str) -> Found {
    let (title, text) = (PrivateText::clipped("title"), PrivateText::clipped(text));
    let score = Score::new(score).expect("a score");
    let collection = "notes".parse().expect("a name");
    Found { score, collection, revealed: Revealed::Full { title, text } }
}

fn snippet(score: f32, snippet: &str) -> Found {
    let (title, snippet) = (PrivateText::clipped("title"), PrivateText::clipped(snippet));
    Found { revealed: Revealed::Snippet { title, snippet }, ..found(score, "") }
}

fn check(limit: u16, own: Vec<Found>, peers: Vec<(NodeId, Vec<Found>)>) -> Checked {
    check_with(limit, own, peers, &[])
}

/// As [`check`], with peers that are at another release.
fn check_with(
    limit: u16,
    own: Vec<Found>,
    peers: Vec<(NodeId, Vec<Found>)>,
    elsewhere: &[NodeId],
) -> Checked {
    let digest = Digest::sha256(b"x");
    let model = ModelId { base: digest, release: digest };
    let next = ModelId { base: digest, release: Digest::sha256(b"next") };
    let query = QueryBody::Text(Question::new("?").expect("fits"));
    let request = SearchRequest {
        id: RequestId(1),
        group: GroupId(digest),
        head: Head { epoch: Epoch(0), digest },
        queries: vec![
            ModelQuery { model, query: query.clone() },
            ModelQuery { model: next, query },
        ],
        limit,
        deadline_ms: 1,
    };
    let head = request.head;
    let peers = peers.into_iter().collect();
    let releases = elsewhere.iter().map(|node| (*node, next)).collect();
    let answers = Answers { request, model, head, own, peers, releases, tolerance: TOLERANCE };
    answers.check(&Compass, &QUESTION).expect("encodes")
}

fn scores(checked: &Checked) -> Vec<f32> {
    checked.results.iter().map(|merged| merged.score.get()).collect()
}

#[test]
fn honest_peers_that_round_otherwise_are_no_forgers() {
    let texts = (0_u8..5).map(|n| found(0.9 + f32::from(n) / 100.0 - 0.02, &format!("good {n}")));
    let checked = check(10, vec![], vec![(node(1), texts.collect())]);
    assert_eq!(scores(&checked), [0.9; 5], "the asker's own scores are shown");
    assert!(checked.corrected.is_empty() && checked.left_out.is_empty());
}

#[test]
fn a_forger_gains_no_rank_by_staying_within_the_tolerance() {
    let bad = || (node(1), vec![found(0.1 + 0.9 * TOLERANCE, "bad")]);
    let fair = || (node(2), vec![found(0.11, "fair")]);
    let checked = check(2, Vec::new(), vec![bad(), fair()]);
    assert_eq!(scores(&checked), [0.11, 0.1], "in the order of true scores, which are shown");
    assert_eq!(checked.results[0].revealed, found(0.0, "fair").revealed);
    assert!(checked.corrected.is_empty(), "it may have been rounding");
    // Nor does it take a place that an honest text has earned, fully revealed or the asker's own.
    for checked in
        [check(1, Vec::new(), vec![bad(), fair()]), check(1, vec![found(0.11, "own")], vec![bad()])]
    {
        assert_eq!(scores(&checked), [0.11]);
    }
    // Nor by the asker's own text at a better score.
    let own = vec![found(0.1, "bad"), found(0.11, "own")];
    assert_eq!(scores(&check(2, own, vec![bad()])), [0.11, 0.1]);
}

#[test]
fn what_a_peer_at_another_release_shows_in_full_is_scored_here_and_the_rest_comes_last() {
    let moved = vec![found(0.2, "good there"), snippet(0.99, "short"), found(0.95, "bad")];
    let peers = vec![(node(1), moved), (node(2), vec![found(0.11, "fair")])];
    let checked = check_with(10, vec![], peers, &[node(1)]);
    assert_eq!(scores(&checked), [0.9, 0.11, 0.1, 0.99]);
    assert!(checked.corrected.is_empty(), "scores of another release are no forgeries");
    let models: Vec<bool> =
        checked.results.iter().map(|it| it.model.release == Digest::sha256(b"x")).collect();
    assert_eq!(models, [true, true, true, false]);
    assert!(!is_verified(&checked.results[3]));
}

#[test]
fn what_cannot_be_checked_stays_as_it_is() {
    let peers = vec![(node(1), vec![found(0.9, "good"), snippet(0.8, "short")])];
    let checked = check(10, vec![found(0.1, "own")], peers);
    assert_eq!(scores(&checked), [0.9, 0.8, 0.1]);
    assert!(checked.corrected.is_empty() && checked.left_out.is_empty());
    let verified: Vec<bool> = checked.results.iter().map(is_verified).collect();
    assert_eq!(verified, [true, false, true], "a snippet cannot be checked");
}

#[test]
fn a_forged_score_is_replaced_by_the_true_one_and_makes_room() {
    let peers = vec![
        (node(1), vec![found(1.0, "bad")]),
        (node(2), vec![found(0.9, "good")]),
        (node(3), vec![found(0.1, "plain")]),
    ];
    let checked = check(1, Vec::new(), peers);
    assert_eq!(scores(&checked), [0.9]);
    assert_eq!(checked.corrected, BTreeMap::from([(node(1), 1)]));
    assert!(checked.left_out.is_empty());
}

#[test]
fn a_peer_with_many_forged_scores_is_left_out() {
    let forged = (0..5).map(|n| found(1.0, &format!("bad {n}"))).collect();
    let peers = vec![(node(1), forged), (node(2), vec![found(0.9, "good")])];
    let checked = check(5, vec![found(0.1, "own")], peers);
    assert_eq!(scores(&checked), [0.9, 0.1]);
    assert_eq!(checked.left_out, BTreeSet::from([node(1)]));
}

#[test]
fn a_score_below_the_truth_is_corrected_too() {
    let checked = check(5, Vec::new(), vec![(node(1), vec![found(0.2, "good")])]);
    assert_eq!(scores(&checked), [0.9]);
}

#[test]
fn own_texts_need_no_second_look_and_share_their_score() {
    let peers = vec![(node(1), vec![found(1.0, "the same text")])];
    let checked = check(5, vec![found(0.3, "the same text")], peers);
    assert_eq!(scores(&checked), [0.3], "the own score is exact");
    assert_eq!(checked.results[0].sources.len(), 2);
}

#[test]
fn everybodys_results_are_merged() {
    let peers = (1..=20).map(|n| (node(n), vec![snippet(f32::from(n) / 100.0, &n.to_string())]));
    let checked = check(20, vec![found(0.9, "own")], peers.collect());
    assert_eq!(checked.results.len(), 20);
    assert_eq!(scores(&checked)[..3], [0.9, 0.2, 0.19]);
}
