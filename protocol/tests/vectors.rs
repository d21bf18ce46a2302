//! Pinned bytes (protocol/vectors/*.json). A difference means that the format has changed: that
//! needs a new version, not new vectors. Where the change is meant, `UPDATE_VECTORS=1` rewrites them.

use std::path::Path;

use covey_crypto::Digest;
use covey_protocol::group::{
    Change, Code, Equivocation, InviteRefusal, InviteSecret, Log, Rejection, Release, Role, Wish,
};
use covey_protocol::ids::RequestId;
use covey_protocol::wire::v1::group::{GroupRefusal, GroupReply, GroupRequest, Hint};
use covey_protocol::wire::v1::search::{
    Found, ModelQuery, QueryBody, Question, Revealed, Score, SearchRefusal, SearchReply,
    SearchRequest,
};
use covey_protocol::wire::{PrivateText, encode};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::common::*;

const ID: RequestId = RequestId(0x0102_0304);

/// A log in which everything happens once.
fn story() -> Log {
    let mut log = lab();
    let wish = Wish::Add { node: node(DAN), name: name("dan"), invite: invite(DAN) };
    let later = START.plus(3_000);
    let signed = log.wish(wish, &key(BOB), later, &mut rng(8)).expect("Bob may invite");
    log.sequence_request(signed, &key(ANN), later).expect("Dan comes in");
    for change in [
        Change::SetRole { node: node(CLEO), role: Role::Admin },
        Change::Transfer { to: node(CLEO) },
    ] {
        log.sequence(change, &key(ANN), START.plus(4_000)).expect("allowed");
    }
    log.sequence(Change::Remove { node: node(BOB) }, &key(CLEO), START.plus(5_000))
        .expect("Cleo owns it now");
    let coordinates = Change::Coordinator { node: Some(node(DAN)) };
    log.sequence(coordinates, &key(CLEO), START.plus(6_000)).expect("named");
    log.sequence(Change::Policy { quorum: 2 }, &key(CLEO), START.plus(6_500)).expect("set");
    let release =
        Release { number: 1, model: model("better"), manifest: Digest::sha256(b"manifest") };
    let later = START.plus(7_000);
    let signed = log.wish(Wish::Release(release), &key(DAN), later, &mut rng(9)).expect("may");
    log.sequence_request(signed, &key(CLEO), later).expect("released");
    log
}

fn code() -> Code {
    Code {
        group: story().group(),
        name: name("lab"),
        issuer: node(ANN),
        addresses: vec!["/ip4/192.0.2.1/tcp/4001".to_owned()],
        secret: InviteSecret::draw(&mut rng(9)),
        expires: START.plus(86_400_000),
    }
}

fn proof() -> Equivocation {
    let log = lab();
    let forged = |n: u8| forge(&next_body(&log, add(n, ANN, Role::Member), None), ANN);
    Equivocation { first: forged(5), second: forged(6) }
}

pub fn group_requests() -> Vec<GroupRequest> {
    let log = story();
    let (group, head) = (log.group(), log.head());
    let addresses = vec!["/ip4/192.0.2.2/tcp/4002".to_owned()];
    let leave = Wish::Remove { node: node(DAN) };
    let request = log.wish(leave, &key(DAN), START, &mut rng(10)).expect("Dan may leave");
    vec![
        code().redeem(ID, name("dan"), addresses.clone()),
        GroupRequest::Sync { id: ID, group, head, addresses },
        GroupRequest::Push { id: ID, group, entries: log.entries_from_start(2), head },
        GroupRequest::Submit { id: ID, group, request },
        GroupRequest::Evidence { id: ID, group, evidence: Box::new(proof()) },
    ]
}

pub fn group_replies() -> Vec<GroupReply> {
    let log = story();
    let head = log.head();
    let hints =
        || vec![Hint { node: node(BOB), addresses: vec!["/ip4/192.0.2.3/tcp/4003".to_owned()] }];
    let entries = log.entries_from_start(1);
    let mut all = vec![
        GroupReply::Joined { id: ID, entries: entries.clone(), head, hints: hints() },
        GroupReply::Entries { id: ID, entries, head, hints: hints() },
        GroupReply::Accepted { id: ID, head },
        GroupReply::Frozen { id: ID, evidence: Box::new(proof()) },
    ];
    let refusals = [
        GroupRefusal::NotAMember,
        GroupRefusal::Removed,
        GroupRefusal::Forked,
        GroupRefusal::Invite(InviteRefusal::UnknownOrForged),
        GroupRefusal::Invite(InviteRefusal::Expired),
        GroupRefusal::Invite(InviteRefusal::AlreadyUsed),
        GroupRefusal::Invite(InviteRefusal::Revoked),
        GroupRefusal::Invite(InviteRefusal::InviterNotAllowed),
        GroupRefusal::OwnerOffline,
        GroupRefusal::NotTheOwner { owner: node(ANN) },
        GroupRefusal::Busy,
        GroupRefusal::BadRequest,
        GroupRefusal::Internal,
    ];
    let rejections = [
        Rejection::Malformed,
        Rejection::UnknownVersion,
        Rejection::WrongGroup,
        Rejection::BadFirst,
        Rejection::BadSignature,
        Rejection::TimeWentBack,
        Rejection::BadRequestSignature,
        Rejection::RequestMismatch,
        Rejection::StaleRequest,
        Rejection::RequestReused,
        Rejection::NotAllowed,
        Rejection::AlreadyMember,
        Rejection::NameTaken,
        Rejection::InviteReused,
        Rejection::GroupFull,
        Rejection::NoSuchMember,
        Rejection::OwnerStays,
        Rejection::OnlyByTransfer,
        Rejection::NoChange,
        Rejection::LogFull,
        Rejection::Frozen,
        Rejection::WrongRelease,
        Rejection::BadPolicy,
    ];
    let refusals = refusals.into_iter().chain(rejections.map(GroupRefusal::Rejected));
    all.extend(refusals.map(|refusal| GroupReply::Refused { id: ID, refusal }));
    all
}

pub fn search_request() -> SearchRequest {
    let log = story();
    let text = Question::clipped("what is a covey?");
    SearchRequest {
        id: ID,
        group: log.group(),
        head: log.head(),
        queries: vec![ModelQuery { model: model("r1"), query: QueryBody::Text(text) }],
        limit: 10,
        deadline_ms: 2_000,
    }
}

pub fn search_replies() -> Vec<SearchReply> {
    let head = story().head();
    let found = |score: f32, revealed: Revealed| Found {
        score: Score::new(score).expect("a cosine"),
        collection: name("birds"),
        revealed,
    };
    let results = vec![
        found(
            0.75,
            Revealed::Full {
                title: PrivateText::clipped("field/birds.md › Flocks"),
                text: PrivateText::clipped("A covey is a small flock of partridges."),
            },
        ),
        found(
            0.5,
            Revealed::Snippet {
                title: PrivateText::clipped("birds.md"),
                snippet: PrivateText::clipped("a flock of partridges"),
            },
        ),
        found(-0.25, Revealed::Score),
    ];
    let mut all = vec![SearchReply::Answer { id: ID, model: model("r1"), head, results }];
    let refusals = [
        SearchRefusal::NotAMember,
        SearchRefusal::Removed,
        SearchRefusal::Forked { head },
        SearchRefusal::Frozen,
        SearchRefusal::WrongModel { have: vec![model("r2")] },
        SearchRefusal::NothingShared,
        SearchRefusal::Busy,
        SearchRefusal::BadRequest,
        SearchRefusal::Internal,
        SearchRefusal::Coordinates,
    ];
    all.extend(refusals.map(|refusal| SearchReply::Refused { id: ID, refusal }));
    all
}

pub fn pinned(file: &str, made: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let text = format!("{made:#}\n");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, &text).expect("the vectors can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("the vectors are in the repository");
    assert_eq!(kept, text, "{file}: the bytes on the wire have changed");
}

pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

#[test]
fn the_log_is_pinned() {
    let log = story();
    let entries = log.entries_from_start(100);
    let rows: Vec<_> = entries
        .into_iter()
        .map(|entry| {
            let decoded = entry.clone().decode().expect("ours");
            json!({
                "epoch": decoded.head().epoch,
                "digest": decoded.head().digest,
                "body": hex(&entry.body),
                "signature": hex(entry.signature.as_bytes()),
                "says": format!("{:?}", decoded.body().change),
            })
        })
        .collect();
    let owner_key = hex(&*key(ANN).seed());
    let made = json!({ "group": log.group(), "first_owner_key": owner_key, "entries": rows });
    pinned("log.json", &made);
}

#[test]
fn the_invite_code_is_pinned() {
    let code = code();
    assert_eq!(Code::parse(&code.to_text()), Ok(self::code()));
    let made = json!({
        "group": code.group,
        "name": code.name,
        "issuer": code.issuer,
        "addresses": code.addresses,
        "secret": hex(&encode(&code.secret)),
        "invite": code.secret.invite(),
        "expires": code.expires,
        "code": *code.to_text(),
    });
    pinned("invite.json", &made);
}

#[test]
fn the_messages_are_pinned() {
    fn row<T: serde::Serialize + std::fmt::Debug>(message: &T) -> Value {
        let debug = format!("{message:?}");
        let kind: String = debug.chars().take_while(|c| c.is_alphanumeric()).collect();
        let why = debug.split("refusal: ").nth(1).map(|rest| rest.trim_end_matches(" }"));
        json!({ "message": kind, "refusal": why, "bytes": hex(&encode(message)) })
    }
    let made = json!({
        "/covey/group/1": {
            "requests": group_requests().iter().map(row).collect::<Vec<_>>(),
            "replies": group_replies().iter().map(row).collect::<Vec<_>>(),
        },
        "/covey/search/1": {
            "requests": [row(&search_request())],
            "replies": search_replies().iter().map(row).collect::<Vec<_>>(),
        },
    });
    pinned("messages.json", &made);
}

#[test]
fn the_pinned_digests_are_what_the_specification_says() {
    let first = story().entries_from_start(1).remove(0);
    let framed = |part: &[u8]| [&(part.len() as u64).to_le_bytes()[..], part].concat();
    let preimage = [framed(b"covey group entry v1"), framed(&first.body)].concat();
    assert_eq!(story().group().0, Digest::sha256(&preimage));
}
