//! Who is answered, and what leaves.

use std::collections::BTreeMap;

use covey_protocol::group::{Change, Log, Role};
use covey_protocol::ids::{Epoch, ModelId, Name, RequestId};
use covey_protocol::limits::{MAX_FULL_TEXT, MAX_RESULTS, MAX_SEARCH_REPLY, MAX_SNIPPET};
use covey_protocol::search::{Hit, Plan, Reveal, plan};
use covey_protocol::wire;
use covey_protocol::wire::v1::search::{
    Found, ModelQuery, QueryBody, Question, Revealed, SearchRefusal, SearchReply, SearchRequest,
};

use crate::common::*;

pub fn request(log: &Log, limit: u16) -> SearchRequest {
    let text = Question::clipped("what is a covey?");
    SearchRequest {
        id: RequestId(7),
        group: log.group(),
        head: log.head(),
        queries: vec![ModelQuery { model: model("r1"), query: QueryBody::Text(text) }],
        limit,
        deadline_ms: 2_000,
    }
}

fn shares(list: &[(&str, Reveal)]) -> BTreeMap<Name, Reveal> {
    list.iter().map(|(collection, reveal)| (name(collection), *reveal)).collect()
}

fn hit(collection: &str, score: f32) -> Hit {
    Hit {
        collection: name(collection),
        score,
        path: "private/2024/diary.md".to_owned(),
        heading: Some("May".to_owned()),
        snippet: "a covey is".to_owned(),
        text: "a covey is a small flock of partridges".to_owned(),
    }
}

fn planned(log: &Log, limit: u16, list: &[(&str, Reveal)]) -> Plan {
    plan(&request(log, limit), node(CLEO), Some(log), &shares(list), &[model("r1")])
        .expect("Cleo may ask")
}

fn results(reply: &SearchReply) -> &[Found] {
    match reply {
        SearchReply::Answer { results, .. } => results,
        SearchReply::Refused { .. } => panic!("an answer"),
    }
}

#[test]
fn s1_to_s7_each_refusal_has_its_reason() {
    let log = lab();
    let all = shares(&[("notes", Reveal::Full)]);
    let models = [model("r1")];
    let asked = |request: &SearchRequest,
                 by: u8,
                 log: Option<&Log>,
                 shares: &BTreeMap<Name, Reveal>,
                 models: &[ModelId]| {
        plan(request, node(by), log, shares, models).map(|_| ()).expect_err("refused")
    };
    let good = request(&log, 10);

    // S1: no such group, a log of another group, and a stranger look alike.
    let other_log = Log::create(name("lab"), name("cleo"), &key(CLEO), START, &mut rng(8));
    let stranger = asked(&good, DAN, Some(&log), &all, &models);
    assert_eq!(stranger, SearchRefusal::NotAMember);
    assert_eq!(asked(&good, CLEO, None, &all, &models), stranger);
    assert_eq!(asked(&good, CLEO, Some(&other_log), &all, &models), stranger);
    let mut other_group = good.clone();
    other_group.group.0 = covey_crypto::Digest::ZERO;
    assert_eq!(asked(&other_group, CLEO, Some(&log), &all, &models), stranger);

    // S2
    let mut without = log.clone();
    without.sequence(Change::Remove { node: node(CLEO) }, &key(ANN), START).expect("removed");
    assert_eq!(asked(&good, CLEO, Some(&without), &all, &models), SearchRefusal::Removed);

    // S3
    let mut frozen = log.clone();
    let rival = forge(&next_body(&founded(), add(9, ANN, Role::Member), None), ANN);
    assert!(matches!(frozen.apply(rival), covey_protocol::group::Outcome::Equivocation(_)));
    assert_eq!(asked(&good, CLEO, Some(&frozen), &all, &models), SearchRefusal::Frozen);

    // S4: another history is refused; an older or a newer view of this one is not.
    let mut forked = good.clone();
    forked.head.digest = covey_crypto::Digest::ZERO;
    let refusal = SearchRefusal::Forked { head: log.head() };
    assert_eq!(asked(&forked, CLEO, Some(&log), &all, &models), refusal);
    let mut older = good.clone();
    older.head = log.head_at(Epoch(1)).expect("an older head");
    assert!(plan(&older, node(CLEO), Some(&log), &all, &models).is_ok());
    let mut newer = good.clone();
    newer.head.epoch = Epoch(99);
    assert!(plan(&newer, node(CLEO), Some(&log), &all, &models).is_ok());

    // S5
    let mut nothing = good.clone();
    nothing.limit = 0;
    let mut empty = good.clone();
    empty.queries.clear();
    let mut blank = good.clone();
    blank.queries[0].query = QueryBody::Text(Question::clipped(" \n"));
    for bad in [nothing, empty, blank] {
        assert_eq!(asked(&bad, CLEO, Some(&log), &all, &models), SearchRefusal::BadRequest);
    }

    // S6
    let have = vec![model("r2")];
    let refusal = asked(&good, CLEO, Some(&log), &all, &have);
    assert_eq!(refusal, SearchRefusal::WrongModel { have });

    // S7
    for none in [shares(&[]), shares(&[("notes", Reveal::Nothing)])] {
        let refusal = asked(&good, CLEO, Some(&log), &none, &models);
        assert_eq!(refusal, SearchRefusal::NothingShared);
    }
}

#[test]
fn the_plan_names_what_may_be_searched() {
    let log = lab();
    let list = [("a", Reveal::Full), ("b", Reveal::Nothing), ("c", Reveal::Score)];
    let plan = planned(&log, 1_000, &list);
    let scopes: Vec<_> = plan.scopes().map(|s| (s.collection.to_string(), s.reveal)).collect();
    assert_eq!(scopes, [("a".to_owned(), Reveal::Full), ("c".to_owned(), Reveal::Score)]);
    assert_eq!(plan.limit(), MAX_RESULTS, "whatever the asker would like");
    assert_eq!((plan.model(), plan.question()), (model("r1"), "what is a covey?"));
}

#[test]
fn nothing_leaves_beyond_the_policy() {
    let log = lab();
    let list = [
        ("bare", Reveal::Score),
        ("short", Reveal::Snippet),
        ("open", Reveal::Full),
        ("no", Reveal::Nothing),
    ];
    let hits = vec![
        hit("short", 0.7),
        hit("no", 0.99),
        hit("bare", 0.8),
        hit("open", 0.6),
        hit("else", 0.9),
    ];
    let composed = planned(&log, 10, &list).compose(hits, START);
    let [bare, short, open] = results(&composed.reply) else { panic!("three of five leave") };

    assert_eq!((bare.collection.as_str(), &bare.revealed), ("bare", &Revealed::Score));
    let Revealed::Snippet { title, snippet } = &short.revealed else { panic!("a snippet") };
    assert_eq!((title.as_str(), snippet.as_str()), ("diary.md › May", "a covey is"));
    let Revealed::Full { title, text } = &open.revealed else { panic!("the text") };
    assert_eq!(title.as_str(), "private/2024/diary.md › May");
    assert!(text.as_str().ends_with("partridges"));

    // What a bare score's bytes hold of the chunk: nothing.
    let bytes = wire::encode(bare);
    for leak in ["diary", "2024", "covey", "May"] {
        assert!(!bytes.windows(leak.len()).any(|window| window == leak.as_bytes()), "{leak}");
    }

    let audit = composed.audit;
    let chunk = covey_crypto::Digest::sha256(hit("open", 0.0).text.as_bytes());
    assert!(audit.disclosed.iter().all(|disclosure| disclosure.chunk == chunk));
    let noted: Vec<_> = audit.disclosed.iter().map(|d| (d.collection.as_str(), d.reveal)).collect();
    let expected = [("bare", Reveal::Score), ("short", Reveal::Snippet), ("open", Reveal::Full)];
    assert_eq!(noted, expected);
    assert_eq!((audit.asker, audit.epoch, audit.at), (node(CLEO), log.head().epoch, START));
    assert_eq!(audit.question.as_str(), "what is a covey?");
    let bytes = wire::encode(&audit);
    assert_eq!(wire::decode(&bytes, 1 << 20), Ok(audit));
}

#[test]
fn answers_are_sorted_limited_and_clipped_between_characters() {
    let log = lab();
    let mut long = hit("s", 0.5);
    long.snippet = "ä".repeat(MAX_SNIPPET);
    let hits = vec![long, hit("s", 0.9), hit("s", f32::NAN), hit("s", 7.0), hit("s", 0.1)];
    let composed = planned(&log, 2, &[("s", Reveal::Snippet)]).compose(hits, START);
    let [first, second] = results(&composed.reply) else { panic!("two") };
    assert!((first.score.get() - 0.9).abs() < 1e-6);
    let Revealed::Snippet { snippet, .. } = &second.revealed else { panic!("a snippet") };
    assert_eq!(snippet.as_str(), "ä".repeat(MAX_SNIPPET / 2));
}

#[test]
fn the_largest_answer_fits_into_a_frame() {
    let log = lab();
    let huge = |n: usize| {
        let mut hit = hit("s", 1.0 - n as f32 / 1_000.0);
        hit.text = "x".repeat(2 * MAX_FULL_TEXT);
        hit.path = "p/".repeat(5_000);
        hit
    };
    let hits = (0..MAX_RESULTS).map(huge).collect();
    let composed = planned(&log, 100, &[("s", Reveal::Full)]).compose(hits, START);
    let bytes = wire::encode(&composed.reply);
    assert!(bytes.len() <= MAX_SEARCH_REPLY);
    assert!(bytes.len() > MAX_SEARCH_REPLY - 2 * MAX_FULL_TEXT, "and uses it: {}", bytes.len());
    assert_eq!(results(&composed.reply).len(), composed.audit.disclosed.len());
    assert_eq!(wire::decode(&bytes, MAX_SEARCH_REPLY), Ok(composed.reply));
}
