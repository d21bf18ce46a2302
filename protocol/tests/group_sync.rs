//! Two logs brought together page by page.

use covey_protocol::group::sync::{Answer, Next, Pull, answer, take_push};
use covey_protocol::group::{Change, Head, Log, Outcome, Rejection, Role};
use covey_protocol::ids::{Epoch, NodeId};
use covey_protocol::limits::{MAX_ENTRIES_PER_PUSH, MAX_ENTRIES_PER_REPLY};
use proptest::prelude::*;

use crate::common::*;

/// Toggles Cleo's role until the log is `epochs` further.
fn grow(log: &mut Log, epochs: usize) {
    for _ in 0..epochs {
        let role = match log.role_of(node(CLEO)) {
            Some(Role::Member) => Role::Admin,
            _ => Role::Member,
        };
        log.sequence(Change::SetRole { node: node(CLEO), role }, &key(ANN), START).expect("grows");
    }
}

/// Lets `mine`, the log of `me`, pull from `theirs` until the conversation ends.
fn pull(mine: &mut Log, me: NodeId, theirs: &Log) -> (Next, usize) {
    let mut pull = Pull::new(mine);
    for rounds in 1..=4 + theirs.head().epoch.0 as usize / MAX_ENTRIES_PER_REPLY {
        let before = mine.head();
        let next = match answer(theirs, me, pull.head()) {
            Answer::Entries { entries, head, .. } => {
                assert!(entries.len() <= MAX_ENTRIES_PER_REPLY);
                let taken = pull.take(mine, entries, head);
                assert_eq!(mine.head().epoch.0 - before.epoch.0, taken.new.len() as u64);
                taken.next
            }
            Answer::Forked => pull.forked(mine),
            Answer::NotAMember => return (Next::Bad(None), rounds),
            Answer::Frozen(proof) => {
                return (Next::Frozen(proof), rounds);
            }
        };
        if next != Next::AskAgain {
            return (next, rounds);
        }
    }
    panic!("the conversation does not end");
}

#[test]
fn a_long_log_comes_in_pages() {
    let mut theirs = lab();
    grow(&mut theirs, 2 * MAX_ENTRIES_PER_REPLY + 10);
    let mut mine = lab();
    assert_eq!(pull(&mut mine, node(BOB), &theirs), (Next::Done, 3));
    assert_eq!(mine.head(), theirs.head());
}

#[test]
fn whoever_is_ahead_pushes() {
    let theirs = lab();
    let mut mine = lab();
    grow(&mut mine, MAX_ENTRIES_PER_PUSH + 5);
    let told = answer(&theirs, node(BOB), mine.head());
    let Answer::Entries { entries, head, peer_is_ahead: true } = told else {
        panic!("Bob claims to be ahead: {told:?}");
    };
    assert_eq!((entries.len(), head), (0, theirs.head()));
    let (Next::Push(entries), 1) = pull(&mut mine, node(BOB), &theirs) else {
        panic!("Bob has what they lack");
    };
    assert_eq!(entries, mine.entries_after(theirs.head().epoch, MAX_ENTRIES_PER_PUSH));
}

#[test]
fn a_removed_member_learns_of_its_removal_and_of_nothing_later() {
    let mut theirs = lab();
    let mut mine = lab();
    theirs.sequence(Change::Remove { node: node(CLEO) }, &key(ANN), START).expect("removed");
    let removal = theirs.head();
    theirs.sequence(add(DAN, ANN, Role::Member), &key(ANN), START).expect("later news");
    assert_eq!(pull(&mut mine, node(CLEO), &theirs), (Next::Done, 1));
    assert_eq!(mine.head(), removal);
    assert_eq!(mine.was_removed(node(CLEO)), Some(removal.epoch));
    let nothing = Answer::Entries { entries: vec![], head: removal, peer_is_ahead: false };
    assert_eq!(answer(&theirs, node(CLEO), theirs.head()), nothing);
}

#[test]
fn a_stranger_learns_nothing() {
    let theirs = lab();
    for head in [theirs.head(), founded().head()] {
        assert_eq!(answer(&theirs, node(DAN), head), Answer::NotAMember);
    }
}

#[test]
fn an_old_fork_is_found_by_reading_from_the_start() {
    for (ours, others) in [(300, 5), (5, 300), (0, 0), (200, 200)] {
        let common = lab();
        let mut theirs = common.clone();
        let mut mine = common.clone();
        theirs.sequence(add(DAN, ANN, Role::Member), &key(ANN), START).expect("one history");
        mine.sequence(add(5, ANN, Role::Member), &key(ANN), START).expect("another");
        grow(&mut theirs, others);
        grow(&mut mine, ours);
        let (Next::Frozen(proof), _) = pull(&mut mine, node(BOB), &theirs) else {
            panic!("the fork is proof, {ours} and {others} after it");
        };
        assert!(mine.is_frozen());
        // They believe the proof, and tell it to whoever can check it.
        theirs.convict(*proof.clone()).expect("proof");
        assert_eq!(answer(&theirs, node(CLEO), common.head()), Answer::Frozen(proof));
        let first = common.head_at(Epoch(0)).expect("a first entry");
        let told = answer(&theirs, node(CLEO), first);
        assert!(matches!(told, Answer::Entries { .. }), "who lacks the parent needs entries first");
    }
}

#[test]
fn a_peer_that_promises_and_never_gives_is_let_go() {
    let mut mine = lab();
    let far = Head { epoch: Epoch(1_000), digest: mine.head().digest };
    let mut pull = Pull::new(&mine);
    assert_eq!(pull.take(&mut mine, vec![], far).next, Next::Bad(None));
    // A head that contradicts ours without any entry to show for it: one more question, no more.
    let near = Head { epoch: mine.head().epoch, digest: covey_crypto::Digest::ZERO };
    let mut pull = Pull::new(&mine);
    assert_eq!(pull.take(&mut mine, vec![], near).next, Next::AskAgain);
    let page = mine.entries_after(Epoch(0), 100);
    assert_eq!(pull.take(&mut mine, page, near).next, Next::Bad(None));
}

#[test]
fn a_peer_that_sends_the_same_again_and_again_is_let_go() {
    let mut mine = lab();
    let far = Head { epoch: Epoch(1_000), digest: mine.head().digest };
    let known = mine.entries_from_start(100);
    for page in [known[..1].to_vec(), known[2..].to_vec(), known] {
        let mut pull = Pull::new(&mine);
        assert_eq!(pull.take(&mut mine, page, far).next, Next::Bad(None));
    }
}

#[test]
fn a_removed_member_is_not_told_of_a_fork_after_its_removal() {
    let mut theirs = lab();
    theirs.sequence(Change::Remove { node: node(CLEO) }, &key(ANN), START).expect("removed");
    let removal = theirs.head();
    theirs.sequence(add(DAN, ANN, Role::Member), &key(ANN), START).expect("later news");
    let rival = forge(&next_body(&theirs, add(5, ANN, Role::Member), None), ANN);
    theirs.sequence(add(6, ANN, Role::Member), &key(ANN), START).expect("and more");
    let far = Head { epoch: Epoch(1_000), digest: removal.digest };
    assert!(matches!(theirs.apply(rival), Outcome::Equivocation(_)));
    let nothing = Answer::Entries { entries: vec![], head: removal, peer_is_ahead: false };
    assert_eq!(answer(&theirs, node(CLEO), far), nothing);
    assert!(matches!(answer(&theirs, node(BOB), far), Answer::Frozen(_)));
}

#[test]
fn a_push_is_taken_asked_about_or_turned_down() {
    let mut theirs = lab();
    grow(&mut theirs, 40);
    let entries = theirs.entries_after(Epoch(0), 100);
    let mut mine = founded();
    let taken = take_push(&mut mine, entries[..10].to_vec(), theirs.head());
    assert_eq!((taken.new.len(), taken.next), (10, Next::AskAgain), "there is more");
    let taken = take_push(&mut mine, entries[20..].to_vec(), theirs.head());
    assert_eq!((taken.new.len(), taken.next), (0, Next::AskAgain), "something is missing");
    let taken = take_push(&mut mine, entries[5..].to_vec(), theirs.head());
    assert_eq!((taken.new, taken.next), (entries[10..].to_vec(), Next::Done));

    let forged = forge(&next_body(&mine, add(DAN, BOB, Role::Member), None), BOB);
    let taken = take_push(&mut mine, vec![forged], theirs.head());
    assert_eq!(taken.next, Next::Bad(Some(Rejection::BadSignature)));
    let rival = forge(&next_body(&founded(), add(DAN, ANN, Role::Member), None), ANN);
    let taken = take_push(&mut mine, vec![rival], theirs.head());
    assert!(matches!(taken.next, Next::Frozen(_)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_two_prefixes_of_one_log_end_up_equal(a in 0usize..60, b in 0usize..60) {
        let mut whole = lab();
        grow(&mut whole, 60);
        let prefix = |n| Log::verify(whole.group(), whole.entries_from_start(3 + n)).expect("valid");
        let (mut mine, mut theirs) = (prefix(a), prefix(b));
        while let (Next::Push(entries), _) = pull(&mut mine, node(BOB), &theirs) {
            apply_all(&mut theirs, entries);
        }
        prop_assert_eq!(mine.head(), theirs.head());
        prop_assert_eq!(mine.head().epoch.0 as usize, 2 + a.max(b));
    }
}
