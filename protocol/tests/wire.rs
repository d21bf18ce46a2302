//! W1 to W4: frames, bounds and round trips.

use covey_protocol::group::{Code, Entry, EntryBody, InviteBook, Log, SignedRequest};
use covey_protocol::limits::*;
use covey_protocol::round::{Record, SignedManifest, SignedPlan};
use covey_protocol::wire::v1::group::{GroupReply, GroupRequest, Hint};
use covey_protocol::wire::v1::round::{RoundReply, RoundRequest};
use covey_protocol::wire::v1::search::{
    Found, ModelQuery, Question, Revealed, Score, SearchRefusal, SearchReply, SearchRequest,
};
use covey_protocol::wire::{PrivateText, WireError, decode, encode};
use proptest::prelude::*;

use crate::common::*;
use crate::secagg_round::coordinator;
use crate::vectors::{group_replies, group_requests, search_replies, search_request};

#[test]
fn w1_to_w3_length_damage_and_trailing_bytes() {
    let bytes = encode(&search_request());
    let too_long = WireError::TooLong { length: bytes.len(), limit: bytes.len() - 1 };
    assert_eq!(decode::<SearchRequest>(&bytes, bytes.len() - 1), Err(too_long));
    let longer = [bytes.clone(), vec![0, 0]].concat();
    let trailing = WireError::Trailing { extra: 2 };
    assert_eq!(decode::<SearchRequest>(&longer, MAX_SEARCH_REQUEST), Err(trailing));
    for end in 0..bytes.len() {
        let cut = decode::<SearchRequest>(&bytes[..end], MAX_SEARCH_REQUEST);
        assert_eq!(cut, Err(WireError::Malformed), "cut at {end}");
    }
    assert_eq!(decode::<GroupRequest>(&[9], MAX_GROUP_REQUEST), Err(WireError::Malformed));
}

#[test]
fn w4_lists_and_texts_longer_than_their_limit_do_not_decode() {
    fn fits<T: serde::de::DeserializeOwned>(value: &impl serde::Serialize) -> bool {
        decode::<T>(&encode(value), usize::MAX).is_ok()
    }
    let address = |n: usize| "a".repeat(n);
    let hint = |count: usize, length: usize| Hint {
        node: node(1),
        addresses: vec![address(length); count],
    };
    assert!(fits::<Hint>(&hint(MAX_ADDRESSES, MAX_ADDRESS)));
    assert!(!fits::<Hint>(&hint(MAX_ADDRESSES + 1, 1)));
    assert!(!fits::<Hint>(&hint(1, MAX_ADDRESS + 1)));

    let entry = lab().entries_from_start(1).remove(0);
    let entry_of = |length: usize| Entry { body: vec![1; length], signature: entry.signature };
    assert!(fits::<Entry>(&entry_of(MAX_ENTRY)));
    assert!(!fits::<Entry>(&entry_of(MAX_ENTRY + 1)));

    let head = lab().head();
    let id = covey_protocol::ids::RequestId(1);
    let entries = |count: usize| GroupReply::Entries {
        id,
        entries: vec![entry.clone(); count],
        head,
        hints: vec![],
    };
    assert!(fits::<GroupReply>(&entries(MAX_ENTRIES_PER_REPLY)));
    assert!(!fits::<GroupReply>(&entries(MAX_ENTRIES_PER_REPLY + 1)));
    let hints = |count: usize| GroupReply::Entries {
        id,
        entries: vec![],
        head,
        hints: vec![hint(1, 1); count],
    };
    assert!(fits::<GroupReply>(&hints(MAX_HINTS)));
    assert!(!fits::<GroupReply>(&hints(MAX_HINTS + 1)));
    let push = |count: usize| GroupRequest::Push {
        id,
        group: lab().group(),
        entries: vec![entry.clone(); count],
        head,
    };
    assert!(fits::<GroupRequest>(&push(MAX_ENTRIES_PER_PUSH)));
    assert!(!fits::<GroupRequest>(&push(MAX_ENTRIES_PER_PUSH + 1)));

    let mut request = search_request();
    request.queries = vec![request.queries[0].clone(); MAX_RELEASES];
    assert!(fits::<SearchRequest>(&request));
    request.queries.push(request.queries[0].clone());
    assert!(!fits::<SearchRequest>(&request));
    let refusal = |count: usize| SearchRefusal::WrongModel { have: vec![model("r"); count] };
    assert!(fits::<SearchRefusal>(&refusal(MAX_RELEASES)));
    assert!(!fits::<SearchRefusal>(&refusal(MAX_RELEASES + 1)));
    let found = Found {
        score: Score::new(0.0).expect("a cosine"),
        collection: name("c"),
        revealed: Revealed::Score,
    };
    let answer = |count: usize| SearchReply::Answer {
        id,
        model: model("r"),
        head,
        results: vec![found.clone(); count],
    };
    assert!(fits::<SearchReply>(&answer(MAX_RESULTS)));
    assert!(!fits::<SearchReply>(&answer(MAX_RESULTS + 1)));
    assert!(fits::<PrivateText<3>>(&"abc"));
    assert!(!fits::<PrivateText<3>>(&"abcd"));
    for bad in [f32::NAN, f32::INFINITY, 1.1, -2.0] {
        assert!(!fits::<Score>(&bad), "{bad}");
    }
}

#[test]
fn full_pages_fit_into_their_frames() {
    let entry = lab().entries_from_start(1).remove(0);
    let entry = Entry { body: vec![1; MAX_ENTRY], ..entry };
    let id = covey_protocol::ids::RequestId(u64::MAX);
    let head = covey_protocol::group::Head {
        epoch: covey_protocol::ids::Epoch(u64::MAX),
        digest: lab().head().digest,
    };
    let hint = Hint { node: node(1), addresses: vec!["a".repeat(MAX_ADDRESS); MAX_ADDRESSES] };
    let reply = GroupReply::Joined {
        id,
        entries: vec![entry.clone(); MAX_ENTRIES_PER_REPLY],
        head,
        hints: vec![hint; MAX_HINTS],
    };
    assert!(encode(&reply).len() <= MAX_GROUP_REPLY);
    let entries = vec![entry; MAX_ENTRIES_PER_PUSH];
    let push = GroupRequest::Push { id, group: lab().group(), entries, head };
    assert!(encode(&push).len() <= MAX_GROUP_REQUEST);
    let question = Question::new("q".repeat(MAX_QUESTION)).expect("fits");
    let query = ModelQuery {
        model: model("r"),
        query: covey_protocol::wire::v1::search::QueryBody::Text(question),
    };
    let request = SearchRequest { queries: vec![query; MAX_RELEASES], ..search_request() };
    assert!(encode(&request).len() <= MAX_SEARCH_REQUEST);
}

#[test]
fn every_message_round_trips() {
    for request in group_requests() {
        assert_eq!(decode(&encode(&request), MAX_GROUP_REQUEST), Ok(request));
    }
    for reply in group_replies() {
        assert_eq!(decode(&encode(&reply), MAX_GROUP_REPLY), Ok(reply));
    }
    for reply in search_replies() {
        assert_eq!(decode(&encode(&reply), MAX_SEARCH_REPLY), Ok(reply));
    }
    assert_eq!(decode(&encode(&search_request()), MAX_SEARCH_REQUEST), Ok(search_request()));
}

#[test]
fn logs_show_neither_questions_nor_secrets() {
    let question = "what is a covey?";
    assert!(!format!("{:?}", search_request()).contains(question));
    for reply in search_replies() {
        assert!(!format!("{reply:?}").contains("partridge"));
    }
    let redeem = format!("{:?}", group_requests()[0]);
    assert!(redeem.contains("Secret32(..)"), "{redeem}");
}

/// Every decoder that reads what somebody else wrote.
fn decode_everything(bytes: &[u8]) {
    let max = usize::MAX;
    let _ = decode::<GroupRequest>(bytes, max);
    let _ = decode::<GroupReply>(bytes, max);
    let _ = decode::<SearchRequest>(bytes, max);
    let _ = decode::<SearchReply>(bytes, max);
    let _ = decode::<RoundRequest>(bytes, max);
    let _ = decode::<RoundReply>(bytes, max);
    let _ = Record::decode(bytes);
    let coordinator = covey_protocol::ids::NodeId::new(coordinator().public());
    if let Ok(plan) = decode::<SignedPlan>(bytes, max) {
        let _ = plan.verify(&coordinator);
    }
    if let Ok(manifest) = decode::<SignedManifest>(bytes, max) {
        let _ = manifest.verify();
    }
    let _ = decode::<EntryBody>(bytes, max);
    let _ = decode::<SignedRequest>(bytes, max);
    let _ = decode::<InviteBook>(bytes, max);
    if let Ok(entry) = decode::<Entry>(bytes, max) {
        let _ = lab().apply(entry.clone());
        let _ = Log::open(entry);
    }
    let _ = lab().apply(forge_bytes(bytes.to_vec(), ANN));
    let _ = Code::parse(&String::from_utf8_lossy(bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        decode_everything(&bytes);
    }

    #[test]
    fn bent_messages_never_panic(
        which in any::<proptest::sample::Index>(),
        at in any::<proptest::sample::Index>(),
        to in any::<u8>(),
    ) {
        let mut all: Vec<_> = group_requests().iter().map(encode).collect();
        all.extend(group_replies().iter().map(encode));
        all.extend(search_replies().iter().map(encode));
        all.push(encode(&search_request()));
        all.extend(lab().entries_from_start(9).into_iter().map(|entry| entry.body));
        let mut bytes = which.get(&all).clone();
        let at = at.index(bytes.len());
        bytes[at] = to;
        decode_everything(&bytes);
    }

    #[test]
    fn random_text_is_never_an_invite_code(text in "\\PC{0,200}", digits in "[a-z2-7]{0,300}") {
        prop_assert!(Code::parse(&text).is_err());
        let typed = format!("covey1{digits}");
        prop_assert!(Code::parse(&typed).is_err());
    }
}
