//! A server that lies: every lie is caught by the check that docs/spec/secagg.md names, and nothing is
//! opened.

use covey_crypto::{Digest, MerkleTree, RoundSecret, SecretKey, Signature};
use covey_protocol::ids::NodeId;
use covey_protocol::secagg::client::{Agreed, Enrolled, Joining};
use covey_protocol::secagg::server::{Gathering, Sharing, Summing, Surviving};
use covey_protocol::secagg::{
    Bounds, Check, Culprit, Demands, Fault, Seat, SeatSet, Terms, Topology,
};
use covey_protocol::wire::encode;
use covey_protocol::wire::v1::secagg::{
    Advertisement, Agreement, Agreements, Inbox, Neighbours, Place, Roster, RosterHead, Survivors,
};

use crate::common::model;
use crate::secagg_round::*;

/// What a server changes in a message, and the check that catches it.
pub type Lie<T> = (Check, fn(&mut T));

pub const N: u32 = 7;
pub const ENTRIES: u32 = 3;

pub fn complete() -> Terms {
    let bounds = Bounds { collusion_permille: 150, dropout_permille: 150, ..Bounds::default() };
    terms(Topology::Complete, N, ENTRIES, bounds)
}

pub fn anybody(_: &NodeId) -> bool {
    true
}

/// The check that failed, and that it speaks against the coordinator.
pub fn coordinators<T>(result: Result<T, Fault>) -> Check {
    let fault = result.err().expect("refused");
    assert_eq!(fault.culprit, Culprit::Coordinator, "{fault}");
    fault.check
}

/// The check that failed, and that it speaks against `client`.
pub fn clients<T>(result: Result<T, Fault>, client: &NodeId) -> Check {
    let fault = result.err().expect("refused");
    assert_eq!(fault.culprit, Culprit::Client(*client), "{fault}");
    fault.check
}

pub fn transcript(terms: &Terms, roster: &Roster) -> Digest {
    let (terms, cohort) = (terms.digest(), encode(&roster.head.cohort));
    let parts: [&[u8]; 3] = [terms.as_bytes(), &cohort, roster.head.root.as_bytes()];
    Digest::of("covey/secagg/v1/transcript", &parts)
}

/// The transcript once the first `dealers` seats have dealt.
pub fn dealt_by(roster: &Roster, dealers: u32) -> Digest {
    let mut set = SeatSet::new(N);
    set.extend((0..dealers).map(Seat));
    let (transcript, set) = (transcript(&complete(), roster), encode(&set));
    Digest::of("covey/secagg/v1/dealers", &[&transcript.as_bytes()[..], &set])
}

/// A cohort of seven: their ids in the order of their seats, their states, and the server.
pub fn enrolled() -> (Vec<NodeId>, Cohort0, Sharing, Clients<Enrolled>) {
    let (cohort, sharing, enrolled) =
        enrol(seat(&complete(), N as usize, 1), anybody).expect("enrols");
    (cohort.keys.keys().copied().collect(), cohort, sharing, enrolled)
}

fn joined() -> (Cohort, NodeId, Joining, Roster) {
    let mut cohort = seat(&complete(), N as usize, 1);
    let (id, client) = cohort.joining.pop_first().expect("somebody");
    let roster = cohort.seated.roster();
    (cohort, id, client, roster)
}

pub fn summing() -> (Vec<NodeId>, Cohort0, Summing, Clients<covey_protocol::secagg::client::Dealt>)
{
    let (ids, mut cohort, sharing, enrolled) = enrolled();
    let (summing, dealt) = deal(&mut cohort, sharing, enrolled, anybody).expect("deals");
    (ids, cohort, summing, dealt)
}

/// Up to the survivors, of whom the last seat is none.
pub fn surviving()
-> (Vec<NodeId>, Cohort0, Surviving, Clients<covey_protocol::secagg::client::Masked>) {
    let (ids, cohort, summing, dealt) = summing();
    let vectors = ids.iter().map(|id| (*id, vec![1; ENTRIES as usize])).collect();
    let masking = take_inbox(&summing, dealt).expect("taken");
    let last = ids[N as usize - 1];
    let (surviving, masked) =
        upload(&cohort, summing, masking, &vectors, |id| *id != last).expect("enough");
    (ids, cohort, surviving, masked)
}

fn signed_survivors(ids: &[NodeId], dealers: u32, seats: &[u32], by: &SecretKey) -> Survivors {
    let roster = seat(&complete(), ids.len(), 1).seated.roster();
    let mut set = SeatSet::new(ids.len() as u32);
    set.extend(seats.iter().map(|seat| Seat(*seat)));
    let digest = Digest::of("covey/secagg/v1/set", &[&encode(&set)]);
    let bytes = [*dealt_by(&roster, dealers).as_bytes(), *digest.as_bytes()].concat();
    let signature = by.sign("covey/secagg/v1/survivors", &bytes);
    Survivors { set, signature }
}

#[test]
fn a1_a2_a3_terms_that_protect_too_little() {
    let mut rng = rng(1);
    let key = identity(0);
    let mut start = |change: &dyn Fn(&mut Terms), demands| {
        let mut terms = complete();
        change(&mut terms);
        coordinators(Joining::start(&terms, &members(N as usize), demands, &key, &mut rng))
    };
    let easy = demands();
    assert_eq!(start(&|t| t.parameters.entries = 0, easy), Check::Parameters);
    assert_eq!(start(&|t| t.parameters.entries = u32::MAX, easy), Check::Parameters);
    assert_eq!(start(&|t| t.parameters.min_cohort = 2, easy), Check::Parameters);
    assert_eq!(start(&|t| t.parameters.max_cohort = 513, easy), Check::Parameters);
    assert_eq!(start(&|t| t.parameters.bounds.dropout_permille = 500, easy), Check::Parameters);
    let strict = Demands { collusion_permille: 151, ..easy };
    assert_eq!(start(&|_| (), strict), Check::Demands);
    let sparse: &dyn Fn(&mut Terms) = &|t| {
        t.parameters.topology = Topology::Sparse;
        t.parameters.bounds.security_bits = 39;
    };
    assert_eq!(start(sparse, Demands { security_bits: 40, ..easy }), Check::Demands);

    // Six survivors of seven, one of them a colluder: five honest, not six.
    let roster = seat(&complete(), N as usize, 1).seated.roster();
    let crowd = Demands { min_honest: 6, ..easy };
    let (client, _) = Joining::start(&complete(), &members(N as usize), crowd, &key, &mut rng)
        .expect("may be met");
    assert_eq!(coordinators(client.roster(&roster)), Check::Demands);

    let (_, _, client, mut roster) = joined();
    roster.head.cohort = SeatSet::new(N);
    roster.head.cohort.extend([Seat(0), Seat(1)]);
    assert_eq!(coordinators(client.roster(&roster)), Check::CohortSize);
}

#[test]
fn a4_a5_a6_a_cohort_that_is_not_what_was_signed() {
    let (_, _, client, mut roster) = joined();
    roster.head.signature = identity(3).sign("covey/secagg/v1/roster", b"");
    assert_eq!(coordinators(client.roster(&roster)), Check::RosterSignature);

    let changes: [fn(&mut Roster); 4] = [
        |roster| roster.keys.swap(1, 2),
        |roster| roster.keys[2] = roster.keys[1],
        |roster| roster.keys.truncate(N as usize - 1),
        |roster| roster.keys.truncate(0),
    ];
    for change in changes {
        let (_, _, client, mut roster) = joined();
        change(&mut roster);
        assert_eq!(coordinators(client.roster(&roster)), Check::RosterShape);
    }

    // A server that keeps a client out of the list, or puts other keys of the client's in it.
    let mut gathering = Gathering::open(&complete(), &members(N as usize)).expect("good");
    let (client, own) =
        Joining::start(&complete(), &members(N as usize), demands(), &identity(0), &mut rng(1))
            .expect("joins");
    let (_, other) =
        Joining::start(&complete(), &members(N as usize), demands(), &identity(0), &mut rng(2))
            .expect("joins");
    assert_ne!(own, other);
    gathering.advertise(&other.client, other).expect("the other keys");
    for n in 1..N as usize {
        let (_, keys) =
            Joining::start(&complete(), &members(N as usize), demands(), &identity(n), &mut rng(3))
                .expect("joins");
        gathering.advertise(&keys.client, keys).expect("keys");
    }
    let roster = gathering.close(&coordinator()).expect("enough").roster();
    assert_eq!(coordinators(client.roster(&roster)), Check::OwnKeys);

    // A sparse place under complete terms.
    let (cohort, id, client, _) = joined();
    let place = cohort.seated.place(&id).expect("in it");
    assert_eq!(coordinators(client.place(&place, &mut rng(4))), Check::RosterShape);
}

/// A server that accepts anything from anybody and signs what it likes.
fn lying_roster(change: impl Fn(usize, &mut Terms)) -> (Joining, Roster) {
    let mut cohort: Vec<_> = (0..N as usize)
        .map(|n| {
            let mut terms = complete();
            change(n, &mut terms);
            Joining::start(
                &terms,
                &members(N as usize),
                demands(),
                &identity(n),
                &mut rng(n as u64),
            )
            .expect("joins")
        })
        .collect();
    let keys: Vec<_> = cohort.iter().map(|(_, keys)| *keys).collect();
    (cohort.swap_remove(0).0, signed_roster(keys))
}

/// The roster of these keys, signed by the coordinator, whatever they are signed for.
fn signed_roster(mut keys: Vec<Advertisement>) -> Roster {
    keys.sort_by_key(|keys| keys.client);
    let root = MerkleTree::new(keys.iter().map(leaf)).root();
    let mut roster = Roster { head: seat(&complete(), N as usize, 1).seated.roster().head, keys };
    roster.head.root = root;
    roster.head.signature =
        coordinator().sign("covey/secagg/v1/roster", transcript(&complete(), &roster).as_bytes());
    roster
}

#[test]
fn a7_swapped_keys_other_models_and_replayed_rounds() {
    let stale: [fn(&mut Terms); 5] = [
        |terms| terms.model = model("another release"),
        |terms| terms.plan = Digest::sha256(b"another plan"),
        |terms| terms.round -= 1,
        |terms| terms.attempt = 3,
        |terms| terms.parameters.bounds.dropout_permille = 149,
    ];
    for change in stale {
        let (client, roster) = lying_roster(|n, terms| {
            if n == 3 {
                change(terms);
            }
        });
        assert_eq!(coordinators(client.roster(&roster)), Check::KeySignature);
    }
    // Nobody changed anything: the same liar gets through, so it was the change that was caught.
    let (client, roster) = lying_roster(|_, _| ());
    assert!(client.roster(&roster).is_ok());

    // The server puts its own mask key in the place of a client's.
    let mut keys = seat(&complete(), N as usize, 1).advertised;
    keys[3].mask = RoundSecret::draw(&mut rng(66)).public();
    let (_, _, client, _) = joined();
    assert_eq!(coordinators(client.roster(&signed_roster(keys))), Check::KeySignature);
}

#[test]
fn a8_puppets_in_the_cohort() {
    // Members that this client does not know.
    let puppets = members(N as usize + 1);
    let started = Joining::start(&complete(), &puppets, demands(), &identity(0), &mut rng(1));
    assert_eq!(coordinators(started), Check::Eligible);
    // A stranger cannot even start, and no server takes its keys.
    let stranger = identity(99);
    let own = members(N as usize);
    let started = Joining::start(&complete(), &own, demands(), &stranger, &mut rng(1));
    assert_eq!(coordinators(started), Check::Eligible);
    assert_eq!(coordinators(Gathering::open(&complete(), &puppets)), Check::Eligible);

    // One member's keys on another's seat.
    let mut keys = seat(&complete(), N as usize, 1).advertised;
    keys.sort_by_key(|keys| keys.client);
    let (_, own, client, _) = joined();
    let others: Vec<usize> = (0..N as usize).filter(|at| keys[*at].client != own).collect();
    keys[others[0]] = keys[others[1]];
    assert_eq!(coordinators(client.roster(&signed_roster(keys))), Check::Eligible);
}

/// On a sparse graph one colluder on every seat but the victim's would hold all of its shares: a
/// seat is its member's, so the first neighbour that is not gives it away.
#[test]
fn a8_one_puppet_on_many_seats_of_a_sparse_cohort() {
    const COHORT: u32 = 100;
    let terms = terms(Topology::Sparse, COHORT, ENTRIES, Bounds::default());
    let members = members(COHORT as usize);
    let start = |n: usize| {
        Joining::start(&terms, &members, Demands::default(), &identity(n), &mut rng(n as u64))
            .expect("joins")
    };
    let ((client, own), (_, puppet)) = (start(0), start(1));
    let seat = members.seat(&own.client).expect("a member");
    let keys: Vec<Advertisement> =
        (0..COHORT).map(|at| if Seat(at) == seat { own } else { puppet }).collect();
    let (head, tree) = sparse_head(&terms, &keys);
    let place = Place { proof: tree.proof(&[seat.index()]).expect("a leaf"), head };
    let (client, choice) = client.place(&place, &mut rng(4)).expect("its own keys are there");
    let seats: Vec<usize> = choice.neighbours.iter().map(|seat| seat.index()).collect();
    let neighbours = Neighbours {
        keys: choice.neighbours.iter().map(|seat| (*seat, puppet)).collect(),
        proof: tree.proof(&seats).expect("leaves"),
        choosing: vec![],
    };
    assert_eq!(coordinators(client.neighbours(&neighbours)), Check::Eligible);
}

/// The root over keys of the whole membership, signed by the coordinator.
fn sparse_head(terms: &Terms, keys: &[Advertisement]) -> (RosterHead, MerkleTree) {
    let tree = MerkleTree::new(keys.iter().map(leaf));
    let mut cohort = SeatSet::new(keys.len() as u32);
    cohort.extend((0..keys.len() as u32).map(Seat));
    let (terms, root) = (terms.digest(), tree.root());
    let encoded = encode(&cohort);
    let parts: [&[u8]; 3] = [terms.as_bytes(), &encoded, root.as_bytes()];
    let transcript = Digest::of("covey/secagg/v1/transcript", &parts);
    let signature = coordinator().sign("covey/secagg/v1/roster", transcript.as_bytes());
    (RosterHead { cohort, root, signature }, tree)
}

fn leaf(keys: &Advertisement) -> Digest {
    let parts: [&[u8]; 4] = [
        keys.client.as_bytes(),
        keys.seal.as_bytes(),
        keys.mask.as_bytes(),
        keys.signature.as_bytes(),
    ];
    Digest::of("covey/secagg/v1/advertisement", &parts)
}

#[test]
fn a11_a12_dealers_that_are_too_few_or_none() {
    let changes: [Lie<Inbox>; 6] = [
        (Check::Dealers, |inbox| inbox.dealers = SeatSet::new(N)),
        (Check::Dealers, |inbox| inbox.dealers = SeatSet::new(N + 1)),
        // A split cohort: half of it hears of half of it.
        (Check::TooFew, |inbox| {
            inbox.dealers = SeatSet::new(N);
            inbox.dealers.extend((0..4).map(Seat));
        }),
        // All but the client itself.
        (Check::Dealers, |inbox| {
            inbox.dealers = SeatSet::new(N);
            inbox.dealers.extend((1..N).map(Seat));
        }),
        (Check::Delivery, |inbox| inbox.shares.swap(0, 1)),
        (Check::Delivery, |inbox| inbox.shares.push(inbox.shares[0].clone())),
    ];
    for (check, change) in changes {
        let (ids, _, summing, mut dealt) = summing();
        let mut inbox = summing.inbox(&ids[0]).expect("dealt");
        change(&mut inbox);
        let client = dealt.remove(&ids[0]).expect("dealt");
        assert_eq!(client.inbox(&inbox).err().map(|fault| fault.check), Some(check));
    }
}

#[test]
fn a13_bent_shares_are_done_without() {
    let changes: [fn(&mut Inbox); 4] = [
        |inbox| inbox.shares[2].shares.sealed[5] ^= 1,
        |inbox| inbox.shares[2].shares.sealed.clear(),
        |inbox| inbox.shares[2].shares.commitment = Digest::ZERO,
        |inbox| inbox.shares[2].self_key = inbox.shares[1].self_key,
    ];
    for change in changes {
        let (ids, _, summing, mut dealt) = summing();
        let mut inbox = summing.inbox(&ids[0]).expect("dealt");
        change(&mut inbox);
        let (_, faults) = dealt.remove(&ids[0]).expect("dealt").inbox(&inbox).expect("goes on");
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].check, Check::SealedShare);
        assert_eq!(faults[0].culprit, Culprit::Either(ids[3]), "it cannot be told who bent it");
    }
}

#[test]
fn a15_a16_a17_survivors_that_are_not_or_twice() {
    let (ids, cohort, surviving, masked) = surviving();
    let real = surviving.survivors().clone();
    assert_eq!(real, signed_survivors(&ids, N, &[0, 1, 2, 3, 4, 5], &coordinator()));
    let cases = [
        (Check::SurvivorsSignature, signed_survivors(&ids, N, &[0, 1, 2, 3, 4, 5], &identity(1))),
        (Check::SurvivorsSignature, Survivors { set: SeatSet::new(N), ..real.clone() }),
        (Check::Survivors, signed_survivors(&ids, N, &[0, 1, 2, 3, 4], &coordinator())),
        (Check::Survivors, signed_survivors(&ids, N, &[1, 2, 3, 4, 5, 6], &coordinator())),
        (Check::Survivors, signed_survivors(&ids, N, &[], &coordinator())),
    ];
    let masked = &mut masked.into_iter();
    let (id, first) = masked.next().expect("somebody");
    let record = encode(&first);
    for (check, survivors) in cases {
        let again: covey_protocol::secagg::client::Masked =
            covey_protocol::wire::decode(&record, 1 << 20).expect("a record");
        assert_eq!(coordinators(again.survivors(&survivors, &cohort.keys[&id])), check);
    }
    let (agreed, _) = first.survivors(&real, &cohort.keys[&id]).expect("agrees");
    let other = signed_survivors(&ids, N, &[0, 1, 2, 3, 4, 5, 6], &coordinator());
    assert_eq!(coordinators(agreed.survivors(&other, &cohort.keys[&id])), Check::SecondSurvivors);
}

/// A set that holds a client which dealt nothing: nobody has a mask with it.
#[test]
fn a15_a_survivor_that_dealt_nothing() {
    let (ids, mut cohort, sharing, enrolled) = enrolled();
    let last = ids[N as usize - 1];
    let (summing, dealt) = deal(&mut cohort, sharing, enrolled, |id| *id != last).expect("enough");
    let vectors = ids.iter().map(|id| (*id, vec![1; ENTRIES as usize])).collect();
    let masking = take_inbox(&summing, dealt).expect("taken");
    let (_, mut masked) = upload(&cohort, summing, masking, &vectors, anybody).expect("enough");
    let everybody = signed_survivors(&ids, N - 1, &[0, 1, 2, 3, 4, 5, 6], &coordinator());
    let client = masked.remove(&ids[0]).expect("masked");
    assert_eq!(coordinators(client.survivors(&everybody, &cohort.keys[&ids[0]])), Check::Survivors);
}

/// Two sets of survivors, each shown to half of the cohort: neither half gets a threshold of
/// agreements, and forged ones do not count.
#[test]
fn a18_a19_two_sets_of_survivors_open_nothing() {
    let (ids, cohort, summing, dealt) = summing();
    let vectors: Clients<Vec<u32>> = ids.iter().map(|id| (*id, vec![1; 3])).collect();
    let masking = take_inbox(&summing, dealt).expect("taken");
    let (_, masked) = upload(&cohort, summing, masking, &vectors, anybody).expect("enough");
    let all = signed_survivors(&ids, N, &[0, 1, 2, 3, 4, 5, 6], &coordinator());
    let fewer = signed_survivors(&ids, N, &[0, 1, 2, 3, 4, 5], &coordinator());
    let mut halves: [Vec<(Seat, Signature)>; 2] = [vec![], vec![]];
    let mut agreed: Vec<(usize, Agreed)> = Vec::new();
    for (at, (id, client)) in masked.into_iter().enumerate() {
        let half = at % 2;
        let set = [&all, &fewer][half];
        let Ok((client, Agreement { signature })) = client.survivors(set, &cohort.keys[&id]) else {
            panic!("either set may be agreed to on its own")
        };
        halves[half].push((Seat(at as u32), signature));
        agreed.push((half, client));
    }
    for (half, client) in agreed {
        let (own, others) = (halves[half].clone(), halves[1 - half].clone());
        let mut answers = vec![(Check::TooFewAgreements, own.clone())];
        answers.push((Check::AgreementSignature, [own.clone(), others].concat()));
        let doubled = own.iter().chain(&own).chain(&own).copied().collect();
        answers.push((Check::TooFewAgreements, doubled));
        let record = encode(&client);
        for (check, signatures) in answers {
            let client: Agreed = covey_protocol::wire::decode(&record, 1 << 20).expect("a record");
            let refused = client.agreements(&Agreements { signatures }).err();
            assert_eq!(refused.map(|fault| fault.check), Some(check));
        }
    }
}
