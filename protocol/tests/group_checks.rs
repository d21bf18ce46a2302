//! Every numbered check of docs/spec/group.md, by what fails it.

use covey_crypto::{Digest, Signature};
use covey_protocol::group::{
    Admission, Change, CurrentRelease, Equivocation, InviteBook, InviteRefusal, InviteSecret, Log,
    Nonce, NotProof, Outcome, Rejection, Release, RequestBody, Role, SignedRequest, Standing, Wish,
    admit,
};
use covey_protocol::ids::{Epoch, GroupId};
use covey_protocol::limits::{MAX_MEMBERS, MAX_REQUEST_AGE_MS};
use covey_protocol::wire;

use crate::common::*;

fn rejects(log: &Log, entry: covey_protocol::group::Entry, why: Rejection) {
    let mut copy = log.clone();
    assert_eq!(copy.apply(entry), Outcome::Rejected(why));
    assert_eq!(copy.head(), log.head());
    assert_eq!(copy.members(), log.members());
}

fn request(log: &Log, by: u8, wish: Wish) -> SignedRequest {
    let body = RequestBody {
        group: log.group(),
        author: node(by),
        at: log.last_at(),
        nonce: Nonce([by; 16]),
        wish,
    };
    SignedRequest::sign(body, &key(by))
}

fn wished(log: &Log, request: SignedRequest) -> covey_protocol::group::Entry {
    let change = request.body.wish.change(request.body.author);
    forge(&next_body(log, change, Some(request)), ANN)
}

#[test]
fn g1_damaged_entries() {
    let log = lab();
    let good = wire::encode(&next_body(&log, add(DAN, ANN, Role::Member), None));
    let trailing = [good.clone(), vec![0]].concat();
    let cut = good[..good.len() - 1].to_vec();
    // The epoch, 3, as an overlong varint: decodes to the same value, is not the same bytes.
    let at = 1 + 32;
    assert_eq!(good[at], 3);
    let overlong = [&good[..at], &[0x83, 0x00], &good[at + 1..]].concat();
    for body in [vec![], trailing, cut, overlong, vec![1; 5_000]] {
        rejects(&log, forge_bytes(body, ANN), Rejection::Malformed);
    }
}

#[test]
fn g2_an_unknown_version() {
    let log = lab();
    let mut body = wire::encode(&next_body(&log, add(DAN, ANN, Role::Member), None));
    body[0] = 2;
    rejects(&log, forge_bytes(body, ANN), Rejection::UnknownVersion);
}

#[test]
fn g3_another_group() {
    let log = lab();
    let mut body = next_body(&log, add(DAN, ANN, Role::Member), None);
    body.group = GroupId(Digest::sha256(b"other"));
    rejects(&log, forge(&body, ANN), Rejection::WrongGroup);
    let entries = log.entries_from_start(100);
    let error = Log::verify(body.group, entries).expect_err("not that group's");
    assert_eq!((error.position, error.rejection), (0, Rejection::WrongGroup));
}

#[test]
fn g4_the_first_entry_and_no_other_creates() {
    let log = lab();
    let create = || Change::Create {
        name: name("x"),
        owner: node(ANN),
        owner_name: name("ann"),
        nonce: Nonce([0; 16]),
    };
    rejects(&log, forge(&next_body(&log, create(), None), ANN), Rejection::BadFirst);

    let mut first = next_body(&log, create(), None);
    (first.group, first.epoch, first.parent) = (GroupId(Digest::ZERO), Epoch(0), Digest::ZERO);
    assert!(Log::open(forge(&first, ANN)).is_ok());
    let open = |body, by| Log::open(forge(&body, by)).map(|_| ());
    assert_eq!(open(first.clone(), BOB), Err(Rejection::BadSignature));
    let with = |change: &dyn Fn(&mut covey_protocol::group::EntryBody)| {
        let mut body = first.clone();
        change(&mut body);
        body
    };
    for body in [
        with(&|body| body.epoch = Epoch(1)),
        with(&|body| body.parent = log.head().digest),
        with(&|body| body.group = log.group()),
        with(&|body| body.request = Some(request(&log, BOB, Wish::Remove { node: node(BOB) }))),
        with(&|body| body.change = Change::Remove { node: node(ANN) }),
    ] {
        assert_eq!(open(body, ANN), Err(Rejection::BadFirst));
    }
}

#[test]
fn g5_only_the_owner_of_the_time_signs() {
    let mut log = lab();
    let body = next_body(&log, add(DAN, ANN, Role::Member), None);
    rejects(&log, forge(&body, BOB), Rejection::BadSignature);
    let mut entry = forge(&body, ANN);
    entry.signature = Signature::from_bytes([0; 64]);
    rejects(&log, entry, Rejection::BadSignature);

    log.sequence(Change::Transfer { to: node(BOB) }, &key(ANN), START).expect("handed over");
    assert_eq!(log.owner(), node(BOB));
    assert_eq!(log.role_of(node(ANN)), Some(Role::Admin));
    let body = next_body(&log, add(DAN, BOB, Role::Member), None);
    rejects(&log, forge(&body, ANN), Rejection::BadSignature);
    assert_eq!(log.apply(forge(&body, BOB)), Outcome::Applied);
}

#[test]
fn g6_time_does_not_go_backwards() {
    let mut log = lab();
    let mut body = next_body(&log, add(DAN, ANN, Role::Member), None);
    body.at.0 -= 1;
    rejects(&log, forge(&body, ANN), Rejection::TimeWentBack);
    log.sequence(add(DAN, ANN, Role::Member), &key(ANN), START).expect("a slow clock is moved on");
}

#[test]
fn g7_to_g10_requests_are_signed_meant_fresh_and_used_once() {
    let mut log = lab();
    let leave = Wish::Remove { node: node(CLEO) };

    let mut forged = request(&log, CLEO, leave.clone());
    forged.signature = request(&log, BOB, leave.clone()).signature;
    rejects(&log, wished(&log, forged), Rejection::BadRequestSignature);

    let meant = request(&log, CLEO, leave.clone());
    let other = Change::Remove { node: node(BOB) };
    let twisted = forge(&next_body(&log, other, Some(meant.clone())), ANN);
    rejects(&log, twisted, Rejection::RequestMismatch);
    let mut elsewhere = meant.body.clone();
    elsewhere.group = GroupId(Digest::ZERO);
    let elsewhere = SignedRequest::sign(elsewhere, &key(CLEO));
    rejects(&log, wished(&log, elsewhere), Rejection::RequestMismatch);

    for late in [false, true] {
        let mut body = meant.body.clone();
        let at = log.last_at().0;
        body.at.0 = if late { at + MAX_REQUEST_AGE_MS + 1 } else { at - MAX_REQUEST_AGE_MS - 1 };
        let stale = SignedRequest::sign(body, &key(CLEO));
        rejects(&log, wished(&log, stale), Rejection::StaleRequest);
    }

    log.sequence_request(meant.clone(), &key(ANN), START).expect("Cleo leaves");
    let back = Change::Add {
        node: node(CLEO),
        name: name("cleo"),
        role: Role::Member,
        inviter: node(ANN),
        invite: invite(99),
    };
    log.sequence(back, &key(ANN), START).expect("Cleo returns");
    rejects(&log, wished(&log, meant), Rejection::RequestReused);
}

#[test]
fn g11_to_g19_what_may_be_changed_by_whom() {
    let log = lab();
    let by = |author: u8, wish: Wish| wished(&log, request(&log, author, wish));
    let own = |change: Change| forge(&next_body(&log, change, None), ANN);
    let wish = |n: u8| Wish::Add { node: node(n), name: name("new"), invite: invite(n) };
    let named = |n: u8, text: &str, invited: u8| Change::Add {
        node: node(n),
        name: name(text),
        role: Role::Member,
        inviter: node(ANN),
        invite: invite(invited),
    };
    let role = |n: u8, role: Role| Change::SetRole { node: node(n), role };
    let cases = [
        ("a member invites", by(CLEO, wish(DAN)), Err(Rejection::NotAllowed)),
        ("an admin invites", by(BOB, wish(DAN)), Ok(())),
        ("a stranger invites", by(DAN, wish(5)), Err(Rejection::NotAllowed)),
        ("in another's name", own(add(DAN, BOB, Role::Member)), Err(Rejection::NotAllowed)),
        ("twice in", own(add(BOB, ANN, Role::Member)), Err(Rejection::AlreadyMember)),
        ("a taken name", own(named(DAN, "ANN", DAN)), Err(Rejection::NameTaken)),
        ("a used invite", own(named(DAN, "dan", CLEO)), Err(Rejection::InviteReused)),
        ("born an owner", own(add(DAN, ANN, Role::Owner)), Err(Rejection::OnlyByTransfer)),
        ("crowned", own(role(BOB, Role::Owner)), Err(Rejection::OnlyByTransfer)),
        ("promoted", own(role(CLEO, Role::Admin)), Ok(())),
        ("demoted", own(role(BOB, Role::Member)), Ok(())),
        ("the owner demoted", own(role(ANN, Role::Admin)), Err(Rejection::OwnerStays)),
        ("as before", own(role(CLEO, Role::Member)), Err(Rejection::NoChange)),
        ("nobody promoted", own(role(DAN, Role::Admin)), Err(Rejection::NoSuchMember)),
        ("to a stranger", own(Change::Transfer { to: node(DAN) }), Err(Rejection::NoSuchMember)),
        ("to oneself", own(Change::Transfer { to: node(ANN) }), Err(Rejection::NoChange)),
        ("nobody removed", own(Change::Remove { node: node(DAN) }), Err(Rejection::NoSuchMember)),
        ("the owner leaves", own(Change::Remove { node: node(ANN) }), Err(Rejection::OwnerStays)),
        ("mutiny", by(BOB, Wish::Remove { node: node(ANN) }), Err(Rejection::OwnerStays)),
        ("an admin removes", by(BOB, Wish::Remove { node: node(CLEO) }), Ok(())),
        (
            "a member removes",
            by(CLEO, Wish::Remove { node: node(BOB) }),
            Err(Rejection::NotAllowed),
        ),
        ("a member leaves", by(CLEO, Wish::Remove { node: node(CLEO) }), Ok(())),
        ("an admin leaves", by(BOB, Wish::Remove { node: node(BOB) }), Ok(())),
    ];
    for (what, entry, expected) in cases {
        let expected = expected.map_or_else(Outcome::Rejected, |()| Outcome::Applied);
        assert_eq!(log.clone().apply(entry), expected, "{what}");
    }

    // The rest of the roles: who coordinates, and who releases.
    let mut learning = log.clone();
    let names = |n| Change::Coordinator { node: Some(node(n)) };
    learning.sequence(names(CLEO), &key(ANN), START.plus(3_000)).expect("named");
    assert_eq!(learning.coordinator(), Some(node(CLEO)));
    let release =
        |number| Release { number, model: model("better"), manifest: Digest::sha256(b"manifest") };
    let by = |author: u8, wish: Wish| wished(&learning, request(&learning, author, wish));
    let own = |change: Change| forge(&next_body(&learning, change, None), ANN);
    let cases = [
        ("a stranger coordinates", own(names(DAN)), Err(Rejection::NoSuchMember)),
        ("named again", own(names(CLEO)), Err(Rejection::NoChange)),
        ("another one", own(names(BOB)), Ok(())),
        ("nobody", own(Change::Coordinator { node: None }), Ok(())),
        ("the coordinator releases", by(CLEO, Wish::Release(release(1))), Ok(())),
        ("the owner releases", own(Change::Release(release(1))), Ok(())),
        ("an admin releases", by(BOB, Wish::Release(release(1))), Err(Rejection::NotAllowed)),
        ("the second first", by(CLEO, Wish::Release(release(2))), Err(Rejection::WrongRelease)),
        ("none", by(CLEO, Wish::Release(release(0))), Err(Rejection::WrongRelease)),
        ("a policy", own(Change::Policy { quorum: 2 }), Ok(())),
        ("the policy there is", own(Change::Policy { quorum: 0 }), Err(Rejection::NoChange)),
        ("more than a group", own(Change::Policy { quorum: 1_001 }), Err(Rejection::BadPolicy)),
    ];
    for (what, entry, expected) in cases {
        let expected = expected.map_or_else(Outcome::Rejected, |()| Outcome::Applied);
        assert_eq!(learning.clone().apply(entry), expected, "{what}");
    }
    for number in 1..=3 {
        let at = START.plus(4_000 + u64::from(number));
        learning.sequence(Change::Release(release(number)), &key(ANN), at).expect("next");
        if number == 2 {
            let policy = Change::Policy { quorum: 5 };
            learning.sequence(policy, &key(ANN), at).expect("the owner's");
        }
    }
    // Each with the policy of its time.
    let current = |number: u32, quorum| {
        let at = START.plus(4_000 + u64::from(number));
        Some(CurrentRelease { release: release(number), at, quorum })
    };
    assert_eq!(learning.releases(), [current(3, 5), current(2, 0)]);
    assert_eq!(learning.quorum(), 5);
    learning
        .sequence(Change::Remove { node: node(CLEO) }, &key(ANN), START.plus(5_000))
        .expect("out");
    assert_eq!(learning.coordinator(), None, "who is removed coordinates no more");
    let members = |epoch| learning.members_at(Epoch(epoch));
    let ids = |all: &[u8]| Some(all.iter().map(|n| node(*n)).collect());
    assert_eq!(members(0), ids(&[ANN]));
    assert_eq!(members(7), ids(&[ANN, BOB, CLEO]));
    assert_eq!(members(8), ids(&[ANN, BOB]));
    assert_eq!(members(9), None);

    let mut two = log.clone();
    two.sequence(role(CLEO, Role::Admin), &key(ANN), START).expect("promoted");
    let against = request(&two, BOB, Wish::Remove { node: node(CLEO) });
    rejects(&two, wished(&two, against), Rejection::NotAllowed);
}

#[test]
fn g15_a_group_has_a_largest_size() {
    let mut log = founded();
    let newcomer = |n: usize| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(n as u64 + 1_000).to_le_bytes());
        let key = covey_crypto::SecretKey::from_seed(&seed);
        Change::Add {
            node: covey_protocol::ids::NodeId::new(key.public()),
            name: name(&format!("n{n}")),
            role: Role::Member,
            inviter: node(ANN),
            invite: covey_protocol::group::InviteId(Digest::sha256(&seed)),
        }
    };
    for n in 1..MAX_MEMBERS {
        log.sequence(newcomer(n), &key(ANN), START).expect("there is room");
    }
    assert_eq!(log.members().len(), MAX_MEMBERS);
    let full = log.sequence(newcomer(MAX_MEMBERS), &key(ANN), START);
    assert_eq!(full, Err(Rejection::GroupFull));
}

#[test]
fn g21_two_successors_freeze_the_log_at_any_depth() {
    for depth in [1, 2] {
        let mut log = lab();
        let entries = log.entries_from_start(100);
        let until = Log::verify(log.group(), entries[..depth].to_vec()).expect("a prefix");
        let rival = forge(&next_body(&until, add(DAN, ANN, Role::Member), None), ANN);
        let Outcome::Equivocation(proof) = log.apply(rival.clone()) else {
            panic!("a second successor at epoch {depth} is proof");
        };
        assert!(log.is_frozen());
        assert_eq!(log.evidence(), Some(&*proof));
        assert_eq!(log.apply(entries[1].clone()), Outcome::AlreadyKnown);
        let next = forge(&next_body(&log, add(9, ANN, Role::Member), None), ANN);
        assert_eq!(log.apply(next), Outcome::Rejected(Rejection::Frozen));
        let wish = log.wish(Wish::Remove { node: node(CLEO) }, &key(CLEO), START, &mut rng(1));
        assert_eq!(wish, Err(Rejection::Frozen));

        // The proof stands alone: it freezes an honest copy, and survives a restart.
        let mut other = lab();
        other.convict((*proof).clone()).expect("proof");
        assert!(other.is_frozen());
        let mut behind = until.clone();
        behind.convict(*proof).expect("the parent is enough");
    }
}

#[test]
fn e1_to_e4_what_proves_nothing() {
    let log = lab();
    let first = forge(&next_body(&log, add(DAN, ANN, Role::Member), None), ANN);
    let second = forge(&next_body(&log, add(5, ANN, Role::Member), None), ANN);
    let by_bob = forge(&next_body(&log, add(5, ANN, Role::Member), None), BOB);
    let check = |first: &covey_protocol::group::Entry, second: &covey_protocol::group::Entry| {
        Equivocation { first: first.clone(), second: second.clone() }.verify(&log)
    };
    assert_eq!(check(&first, &second), Ok(()));
    assert_eq!(check(&first, &first), Err(NotProof::Invalid));
    assert_eq!(check(&first, &by_bob), Err(NotProof::Invalid));
    let mut resigned = first.clone();
    resigned.signature = Signature::from_bytes([1; 64]);
    assert_eq!(check(&first, &resigned), Err(NotProof::Invalid), "one body is one entry");
    let entries = log.entries_from_start(100);
    assert_eq!(check(&entries[1], &entries[2]), Err(NotProof::Invalid), "parent and child");
    assert_eq!(check(&entries[0], &first), Err(NotProof::Invalid));

    let ahead = Equivocation { first, second };
    assert_eq!(ahead.verify(&founded()), Err(NotProof::UnknownParent));
}

#[test]
fn a_gap_is_told_apart_from_a_bad_entry() {
    let log = lab();
    let entries = log.entries_from_start(100);
    let mut behind = founded();
    assert_eq!(behind.apply(entries[2].clone()), Outcome::Gap);
    apply_all(&mut behind, entries[1..].to_vec());
    assert_eq!(behind.head(), log.head());
    assert!(Log::verify(log.group(), [entries[0].clone(), entries[2].clone()]).is_err());
}

#[test]
fn names_are_made_free_within_their_limit() {
    let log = lab();
    assert_eq!(log.free_name(&name("dan")), name("dan"));
    assert_eq!(log.free_name(&name("Ann")), name("Ann-2"));
    let mut log = log;
    let long = name(&"ä".repeat(32));
    let change = |n: u8, name: &covey_protocol::ids::Name| Change::Add {
        node: node(n),
        name: name.clone(),
        role: Role::Member,
        inviter: node(ANN),
        invite: invite(n),
    };
    log.sequence(change(DAN, &long), &key(ANN), START).expect("added");
    let free = log.free_name(&long);
    assert_eq!(free, name(&format!("{}-2", "ä".repeat(31))));
    log.sequence(change(5, &free), &key(ANN), START).expect("added");
}

#[test]
fn admission_binds_once_and_a_removed_member_needs_a_new_invite() {
    let mut log = lab();
    let mut book = InviteBook::default();
    let (secret, _) = book.issue(log.group(), START, 3_600_000, &mut rng(1)).expect("issued");
    let show = |book: &mut InviteBook, log: &Log, n: u8, secret: &InviteSecret| {
        admit(book, log, node(BOB), node(n), secret, &name("ann"), START)
    };
    let forged = InviteSecret::draw(&mut rng(2));
    let unknown = Err(InviteRefusal::UnknownOrForged);
    assert_eq!(show(&mut book, &log, DAN, &forged), unknown);

    let Ok(Admission::Add(wish)) = show(&mut book, &log, DAN, &secret) else {
        panic!("a good invite lets Dan in");
    };
    assert_eq!(show(&mut book, &log, DAN, &secret), Ok(Admission::Add(wish.clone())), "a retry");
    assert_eq!(show(&mut book, &log, 5, &secret), Err(InviteRefusal::AlreadyUsed));

    let signed = log.wish(wish, &key(BOB), START, &mut rng(3)).expect("Bob may invite");
    log.sequence_request(signed, &key(ANN), START).expect("sequenced");
    assert_eq!(log.members()[&node(DAN)].name, name("ann-2"));
    assert_eq!(show(&mut book, &log, DAN, &secret), Ok(Admission::AlreadyIn));

    log.sequence(Change::Remove { node: node(DAN) }, &key(ANN), START).expect("removed");
    assert_eq!(log.standing(node(DAN)), Standing::Removed(log.head().epoch));
    assert_eq!(show(&mut book, &log, DAN, &secret), Err(InviteRefusal::AlreadyUsed));

    let (second, _) = book.issue(log.group(), START, 3_600_000, &mut rng(4)).expect("issued");
    log.sequence(Change::SetRole { node: node(BOB), role: Role::Member }, &key(ANN), START)
        .expect("demoted");
    assert_eq!(show(&mut book, &log, 6, &second), Err(InviteRefusal::InviterNotAllowed));
    assert_eq!(show(&mut book, &log, 6, &forged), unknown);
}

#[test]
fn a_member_cannot_lay_an_invite_by_for_after_its_removal() {
    let mut log = lab();
    let mut book = InviteBook::default();
    let (secret, expires) = book.issue(log.group(), START, 1_000, &mut rng(1)).expect("issued");
    let late = expires.plus(1);
    let mut show =
        |log: &Log, n: u8, now| admit(&mut book, log, node(BOB), node(n), &secret, &name("x"), now);
    assert_eq!(show(&log, CLEO, START), Ok(Admission::AlreadyIn));
    log.sequence(Change::Remove { node: node(CLEO) }, &key(ANN), START).expect("removed");
    assert_eq!(show(&log, CLEO, late), Err(InviteRefusal::Expired));
    assert!(matches!(show(&log, DAN, START), Ok(Admission::Add(_))), "it is still unused");
}

#[test]
fn whoever_is_in_gets_the_log_again_though_its_inviter_may_not_invite_any_more() {
    let mut log = lab();
    let mut book = InviteBook::default();
    let (secret, _) = book.issue(log.group(), START, 1_000, &mut rng(1)).expect("issued");
    let shown = admit(&mut book, &log, node(BOB), node(DAN), &secret, &name("dan"), START);
    let Ok(Admission::Add(wish)) = shown else { panic!("a good invite: {shown:?}") };
    log.sequence(wish.change(node(ANN)), &key(ANN), START).expect("sequenced");
    log.sequence(Change::SetRole { node: node(BOB), role: Role::Member }, &key(ANN), START)
        .expect("demoted");
    let again = admit(&mut book, &log, node(BOB), node(DAN), &secret, &name("dan"), START);
    assert_eq!(again, Ok(Admission::AlreadyIn));
}
