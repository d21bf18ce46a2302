//! A server that lies, and clients that do: each is caught by the check that docs/spec/secagg.md
//! names, and nothing is opened.

use covey_crypto::{Digest, RoundSecret, SecretKey, Signature, derive_key, seal, shamir};
use covey_protocol::ids::NodeId;
use covey_protocol::secagg::client::{Agreed, Choosing, Enrolled, Joining};
use covey_protocol::secagg::server::{Gathering, Sharing, Summing, Surviving, Unmasking};
use covey_protocol::secagg::{
    Bounds, Check, Culprit, Demands, Fault, Seat, SeatSet, Terms, Topology,
};
use covey_protocol::wire::encode;
use covey_protocol::wire::v1::secagg::{
    Agreement, Agreements, Choice, Dealing, Inbox, Neighbours, Roster, SealedShares, Survivors,
    Upload,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::common::model;
use crate::secagg_round::*;

/// What a server changes in a message, and the check that catches it.
type Lie<T> = (Check, fn(&mut T));

const N: u32 = 7;
const ENTRIES: u32 = 3;

fn complete() -> Terms {
    let bounds = Bounds { collusion_permille: 150, dropout_permille: 150, ..Bounds::default() };
    terms(Topology::Complete, N, ENTRIES, bounds)
}

fn anybody(_: &NodeId) -> bool {
    true
}

/// The check that failed, and that it speaks against the coordinator.
fn coordinators<T>(result: Result<T, Fault>) -> Check {
    let fault = result.err().expect("refused");
    assert_eq!(fault.culprit, Culprit::Coordinator, "{fault}");
    fault.check
}

/// The check that failed, and that it speaks against `client`.
fn clients<T>(result: Result<T, Fault>, client: &NodeId) -> Check {
    let fault = result.err().expect("refused");
    assert_eq!(fault.culprit, Culprit::Client(*client), "{fault}");
    fault.check
}

fn transcript(terms: &Terms, roster: &Roster) -> Digest {
    let (terms, count) = (terms.digest(), roster.head.cohort.to_le_bytes());
    let parts: [&[u8]; 3] = [terms.as_bytes(), &count, roster.head.root.as_bytes()];
    Digest::of("covey/secagg/v1/transcript", &parts)
}

/// A cohort of seven: their ids in the order of their seats, their states, and the server.
fn enrolled() -> (Vec<NodeId>, Cohort0, Sharing, Clients<Enrolled>) {
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

fn summing() -> (Vec<NodeId>, Cohort0, Summing, Clients<covey_protocol::secagg::client::Dealt>) {
    let (ids, mut cohort, sharing, enrolled) = enrolled();
    let (summing, dealt) = deal(&mut cohort, sharing, enrolled, anybody).expect("deals");
    (ids, cohort, summing, dealt)
}

/// Up to the survivors, of whom the last seat is none.
fn surviving() -> (Vec<NodeId>, Cohort0, Surviving, Clients<covey_protocol::secagg::client::Masked>)
{
    let (ids, cohort, summing, dealt) = summing();
    let vectors = ids.iter().map(|id| (*id, vec![1; ENTRIES as usize])).collect();
    let masking = take_inbox(&summing, dealt).expect("taken");
    let last = ids[N as usize - 1];
    let (surviving, masked) =
        upload(&cohort, summing, masking, &vectors, |id| *id != last).expect("enough");
    (ids, cohort, surviving, masked)
}

fn signed_survivors(ids: &[NodeId], seats: &[u32], by: &SecretKey) -> Survivors {
    let roster = seat(&complete(), ids.len(), 1).seated.roster();
    let mut set = SeatSet::new(ids.len() as u32);
    set.extend(seats.iter().map(|seat| Seat(*seat)));
    let digest = Digest::of("covey/secagg/v1/set", &[&encode(&set)]);
    let bytes = [*transcript(&complete(), &roster).as_bytes(), *digest.as_bytes()].concat();
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
        coordinators(Joining::start(&terms, demands, &key, &mut rng))
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
    let (client, _) = Joining::start(&complete(), crowd, &key, &mut rng).expect("may be met");
    assert_eq!(coordinators(client.roster(&roster, anybody)), Check::Demands);

    let (_, _, client, mut roster) = joined();
    roster.head.cohort = 2;
    assert_eq!(coordinators(client.roster(&roster, anybody)), Check::CohortSize);
}

#[test]
fn a4_a5_a6_a_cohort_that_is_not_what_was_signed() {
    let (_, _, client, mut roster) = joined();
    roster.head.signature = identity(3).sign("covey/secagg/v1/roster", b"");
    assert_eq!(coordinators(client.roster(&roster, anybody)), Check::RosterSignature);

    let changes: [fn(&mut Roster); 4] = [
        |roster| roster.cohort.swap(1, 2),
        |roster| roster.cohort[2] = roster.cohort[1],
        |roster| roster.cohort.truncate(N as usize - 1),
        |roster| roster.cohort.truncate(0),
    ];
    for change in changes {
        let (_, _, client, mut roster) = joined();
        change(&mut roster);
        assert_eq!(coordinators(client.roster(&roster, anybody)), Check::RosterShape);
    }

    // A server that keeps a client out of the list, or puts other keys of the client's in it.
    let mut gathering = Gathering::open(&complete()).expect("good");
    let (client, own) =
        Joining::start(&complete(), demands(), &identity(0), &mut rng(1)).expect("joins");
    let (_, other) =
        Joining::start(&complete(), demands(), &identity(0), &mut rng(2)).expect("joins");
    assert_ne!(own, other);
    gathering.advertise(&other.client, other).expect("the other keys");
    for n in 1..N as usize {
        let (_, keys) =
            Joining::start(&complete(), demands(), &identity(n), &mut rng(3)).expect("joins");
        gathering.advertise(&keys.client, keys).expect("keys");
    }
    let roster = gathering.close(&coordinator()).expect("enough").roster();
    assert_eq!(coordinators(client.roster(&roster, anybody)), Check::OwnKeys);

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
            Joining::start(&terms, demands(), &identity(n), &mut rng(n as u64)).expect("joins")
        })
        .collect();
    let keys: Vec<_> = cohort.iter().map(|(_, keys)| *keys).collect();
    (cohort.swap_remove(0).0, signed_roster(keys))
}

/// The roster of these keys, signed by the coordinator, whatever they are signed for.
fn signed_roster(mut keys: Vec<covey_protocol::wire::v1::secagg::Advertisement>) -> Roster {
    keys.sort_by_key(|keys| keys.client);
    let leaf = |keys: &covey_protocol::wire::v1::secagg::Advertisement| {
        let parts: [&[u8]; 4] = [
            keys.client.as_bytes(),
            keys.seal.as_bytes(),
            keys.mask.as_bytes(),
            keys.signature.as_bytes(),
        ];
        Digest::of("covey/secagg/v1/advertisement", &parts)
    };
    let root = covey_crypto::MerkleTree::new(keys.iter().map(leaf)).root();
    let mut roster =
        Roster { head: seat(&complete(), N as usize, 1).seated.roster().head, cohort: keys };
    roster.head.cohort = roster.cohort.len() as u32;
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
        let victim = NodeId::new(identity(3).public());
        let (client, roster) = lying_roster(|n, terms| {
            if n == 3 {
                change(terms);
            }
        });
        assert_eq!(clients(client.roster(&roster, anybody), &victim), Check::KeySignature);
    }
    // Nobody changed anything: the same liar gets through, so it was the change that was caught.
    let (client, roster) = lying_roster(|_, _| ());
    assert!(client.roster(&roster, anybody).is_ok());

    // The server puts its own mask key in the place of a client's.
    let mut keys = seat(&complete(), N as usize, 1).advertised;
    keys[3].mask = RoundSecret::draw(&mut rng(66)).public();
    let victim = keys[3].client;
    let (_, _, client, _) = joined();
    assert_eq!(clients(client.roster(&signed_roster(keys), anybody), &victim), Check::KeySignature);
}

#[test]
fn a8_puppets_in_the_cohort() {
    let (_, _, client, roster) = joined();
    let puppet = NodeId::new(identity(5).public());
    let result = client.roster(&roster, |id| *id != puppet);
    assert_eq!(clients(result, &puppet), Check::Eligible);
}

const SPARSE: u32 = 30;

fn sparse() -> (Vec<NodeId>, Sharing, Clients<Choosing>) {
    let bounds = Bounds { security_bits: 20, correctness_bits: 10, ..Bounds::default() };
    let mut cohort = seat(&terms(Topology::Sparse, SPARSE, ENTRIES, bounds), SPARSE as usize, 5);
    let mut choosing = Clients::new();
    for (id, client) in std::mem::take(&mut cohort.joining) {
        let place = cohort.seated.place(&id).expect("in the cohort");
        let (client, choice) = client.place(&place, &mut cohort.rng).expect("draws");
        let refuse = |seats: &[Seat]| Choice { neighbours: seats.to_vec() };
        let mut doubled = choice.neighbours.clone();
        doubled[1] = doubled[0];
        let mut own = choice.neighbours.clone();
        own[0] = place.seat;
        own.sort();
        for bad in [refuse(&choice.neighbours[1..]), refuse(&doubled), refuse(&own)] {
            assert_eq!(clients(cohort.seated.choose(&id, bad), &id), Check::Choice);
        }
        cohort.seated.choose(&id, choice).expect("chosen");
        choosing.insert(id, client);
    }
    let ids = choosing.keys().copied().collect();
    (ids, cohort.seated.close().expect("enough"), choosing)
}

#[test]
fn a9_a10_neighbours_that_were_not_drawn() {
    let changes: [Lie<Neighbours>; 7] = [
        (Check::Neighbours, |n| n.keys.truncate(3)),
        (Check::Neighbours, |n| n.keys.swap(0, 1)),
        (Check::Neighbours, |n| n.keys.insert(0, n.keys[0])),
        (Check::Neighbours, |n| n.choosing.extend((0..SPARSE).map(Seat))),
        (Check::Neighbours, |n| n.choosing = vec![Seat(9)]),
        (Check::Proof, |n| n.proof[0] = Digest::ZERO),
        (Check::Proof, |n| n.keys[1].1 = n.keys[0].1),
    ];
    for (check, change) in changes {
        let (ids, sharing, mut choosing) = sparse();
        let id = ids[9];
        let mut neighbours = sharing.neighbours(&id).expect("chose");
        change(&mut neighbours);
        let client = choosing.remove(&id).expect("chose");
        assert_eq!(coordinators(client.neighbours(&neighbours, anybody)), check);
    }
}

#[test]
fn a11_a12_dealers_that_are_too_few_or_none() {
    let changes: [Lie<Inbox>; 6] = [
        (Check::Dealers, |inbox| inbox.dealers = SeatSet::new(N)),
        (Check::Dealers, |inbox| inbox.dealers = SeatSet::new(N + 1)),
        // A split cohort: half of it hears of half of it.
        (Check::Dealers, |inbox| {
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
        assert_eq!(coordinators(client.inbox(&inbox)), check);
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
        assert_eq!(faults[0].culprit, Culprit::Client(ids[3]));
    }
}

/// The last client by seat deals by hand: `shares` says what to whom, `committed` whether honestly.
fn dealt_by_hand(
    polynomial: impl Fn(u32, [u8; 32]) -> [u8; 32],
    committed: bool,
) -> (Vec<NodeId>, Cohort0, Summing, Clients<covey_protocol::secagg::client::Dealt>) {
    let terms = complete();
    let (ids, mut cohort, mut sharing, mut enrolled) = enrolled();
    let liar = ids[N as usize - 1];
    enrolled.remove(&liar);
    // The liar's keys are drawn again from the same generator, so the test holds their secrets.
    let n = (0..N as usize).find(|n| NodeId::new(identity(*n).public()) == liar).expect("in it");
    let mut seeded = ChaCha20Rng::seed_from_u64(1);
    let mut secrets =
        (0..=n).map(|_| (RoundSecret::draw(&mut seeded), RoundSecret::draw(&mut seeded)));
    let (sealing, masking) = secrets.nth(n).expect("drawn");
    let roster = seat(&terms, N as usize, 1).seated.roster();
    let transcript = transcript(&terms, &roster);
    assert_eq!(roster.cohort[N as usize - 1].mask, masking.public(), "the same secrets");

    let places: Vec<u32> = (1..=N).collect();
    let own = RoundSecret::draw(&mut rng(9));
    let self_key = own.public();
    let threshold = terms.parameters.thresholds(N).expect("fits").threshold as usize;
    let deal_of = |secret| shamir::deal(secret, threshold, &places, &mut rng(10)).expect("deals");
    let me = N - 1;
    let shares: Vec<SealedShares> = (0..N)
        .zip(deal_of(&own).iter().zip(deal_of(&masking)))
        .map(|(to, (own, pair))| {
            let own = polynomial(to, *own.expose());
            let pair = *pair.expose();
            let of = |domain, bytes: &[u8; 32]| Digest::of(domain, &[bytes]);
            let digests =
                [of("covey/secagg/v1/self-share", &own), of("covey/secagg/v1/pair-share", &pair)];
            let both: [&[u8]; 2] = [digests[0].as_bytes(), digests[1].as_bytes()];
            let honest = Digest::of("covey/secagg/v1/commitment", &both);
            let commitment = if committed { honest } else { Digest::sha256(&to.to_le_bytes()) };
            let (from_bytes, to_bytes) = (me.to_le_bytes(), to.to_le_bytes());
            let shared = sealing.agree(&roster.cohort[to as usize].seal);
            let key = derive_key(
                &shared[..],
                &transcript,
                "covey/secagg/v1/share",
                &[&from_bytes, &to_bytes],
            );
            let context = Digest::of(
                "covey/secagg/v1/share-context",
                &[
                    transcript.as_bytes(),
                    &from_bytes,
                    &to_bytes,
                    self_key.as_bytes(),
                    commitment.as_bytes(),
                ],
            );
            let sealed = if to == me {
                Vec::new()
            } else {
                seal(key, context.as_bytes(), &[own, pair].concat())
            };
            SealedShares { seat: Seat(to), commitment, sealed }
        })
        .collect();
    let mut digest = Digest::stream("covey/secagg/v1/dealt");
    digest.update(self_key.as_bytes());
    for share in &shares {
        digest.update(&share.seat.0.to_le_bytes());
        digest.update(share.commitment.as_bytes());
    }
    let bytes = [*transcript.as_bytes(), *digest.finish().as_bytes()].concat();
    let signature = cohort.keys[&liar].sign("covey/secagg/v1/dealing", &bytes);
    sharing.deal(&liar, Dealing { self_key, shares, signature }).expect("looks well");
    let (summing, dealt) = deal(&mut cohort, sharing, enrolled, anybody).expect("enough");
    (ids, cohort, summing, dealt)
}

#[test]
fn a14_a_dealer_that_commits_to_something_else_throws_nobody_out() {
    let (ids, _, summing, dealt) = dealt_by_hand(|_, share| share, false);
    for (id, client) in dealt {
        let (_, faults) = client.inbox(&summing.inbox(&id).expect("dealt")).expect("goes on");
        let [fault] = faults[..] else { panic!("one fault") };
        assert_eq!(fault.check, Check::Commitment);
        assert_eq!(fault.culprit, Culprit::Client(ids[N as usize - 1]));
    }
}

/// The liar vanishes after dealing, so what it shared of its mask must give its mask: by hand and
/// honestly it does; and a liar that stays dealt a self share that lies on no polynomial.
#[test]
fn a27_a_dealer_whose_shares_give_another_secret_is_named() {
    let round = |polynomial: fn(u32, [u8; 32]) -> [u8; 32], swap: bool| {
        let (ids, cohort, summing, dealt) = dealt_by_hand(polynomial, true);
        let vectors: Clients<Vec<u32>> =
            ids.iter().map(|id| (*id, vec![1; ENTRIES as usize])).collect();
        let masking = take_inbox(&summing, dealt).expect("shares open and fit");
        let mut summing = summing;
        if swap {
            // The liar uploads something under its own signature, and so survives.
            let liar = ids[N as usize - 1];
            let bytes = [7; 4 * ENTRIES as usize];
            summing.accept(&liar, &upload_of(&cohort, &liar, &bytes), &bytes).expect("looks well");
        }
        let (surviving, masked) =
            upload(&cohort, summing, masking, &vectors, anybody).expect("enough");
        let (unmasking, agreed) = agree(&cohort, surviving, masked, anybody).expect("agree");
        (ids, open(unmasking, agreed, anybody))
    };
    let (_, summed) = round(|_, share| share, false);
    assert_eq!(summed.expect("sums").sum, vec![N - 1; ENTRIES as usize]);
    // Every self share is 1: the polynomial is constant, the secret 1, and the self key another.
    let (ids, named) = round(|_, _| std::array::from_fn(|at| u8::from(at == 0)), true);
    assert_eq!(clients(named, &ids[N as usize - 1]), Check::Recovered);
}

fn upload_of(cohort: &Cohort0, id: &NodeId, bytes: &[u8]) -> Upload {
    let mut digest = Digest::stream("covey/secagg/v1/masked");
    digest.update(bytes);
    let digest = digest.finish();
    let roster = seat(&complete(), N as usize, 1).seated.roster();
    let signed = [*transcript(&complete(), &roster).as_bytes(), *digest.as_bytes()].concat();
    Upload { digest, signature: cohort.keys[id].sign("covey/secagg/v1/vector", &signed) }
}

#[test]
fn a15_a16_a17_survivors_that_are_not_or_twice() {
    let (ids, cohort, surviving, masked) = surviving();
    let real = surviving.survivors().clone();
    assert_eq!(real, signed_survivors(&ids, &[0, 1, 2, 3, 4, 5], &coordinator()));
    let cases = [
        (Check::SurvivorsSignature, signed_survivors(&ids, &[0, 1, 2, 3, 4, 5], &identity(1))),
        (Check::SurvivorsSignature, Survivors { set: SeatSet::new(N), ..real.clone() }),
        (Check::Survivors, signed_survivors(&ids, &[0, 1, 2, 3, 4], &coordinator())),
        (Check::Survivors, signed_survivors(&ids, &[1, 2, 3, 4, 5, 6], &coordinator())),
        (Check::Survivors, signed_survivors(&ids, &[], &coordinator())),
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
    let other = signed_survivors(&ids, &[0, 1, 2, 3, 4, 5, 6], &coordinator());
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
    let everybody = signed_survivors(&ids, &[0, 1, 2, 3, 4, 5, 6], &coordinator());
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
    let all = signed_survivors(&ids, &[0, 1, 2, 3, 4, 5, 6], &coordinator());
    let fewer = signed_survivors(&ids, &[0, 1, 2, 3, 4, 5], &coordinator());
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
            assert_eq!(coordinators(client.agreements(&Agreements { signatures })), check);
        }
    }
}

#[test]
fn a20_a21_out_of_turn_and_twice() {
    let terms = complete();
    let stranger = NodeId::new(identity(99).public());
    let mut gathering = Gathering::open(&terms).expect("good");
    let own = |n: usize, seed| {
        Joining::start(&terms, demands(), &identity(n), &mut rng(seed)).expect("joins").1
    };
    let keys = own(0, 1);
    gathering.advertise(&keys.client, keys).expect("keys");
    assert_eq!(
        clients(gathering.advertise(&keys.client, own(0, 2)), &keys.client),
        Check::Repeated
    );
    assert_eq!(clients(gathering.advertise(&stranger, keys), &stranger), Check::KeySignature);
    for n in 1..N as usize {
        let keys = own(n, 3);
        gathering.advertise(&keys.client, keys).expect("keys");
    }
    let late = own(99, 1);
    assert_eq!(clients(gathering.advertise(&stranger, late), &stranger), Check::CohortSize);

    let (ids, mut cohort, mut sharing, mut enrolled) = enrolled();
    let (_, dealing) =
        enrolled.remove(&ids[0]).expect("in it").deal(&cohort.keys[&ids[0]], &mut cohort.rng);
    assert_eq!(clients(sharing.deal(&stranger, dealing.clone()), &stranger), Check::OutOfTurn);
    assert_eq!(clients(sharing.deal(&ids[1], dealing.clone()), &ids[1]), Check::Dealing);
    sharing.deal(&ids[0], dealing.clone()).expect("deals");
    sharing.deal(&ids[0], dealing.clone()).expect("the same again");
    let mut other = dealing;
    other.shares[1].sealed[0] ^= 1;
    assert_eq!(clients(sharing.deal(&ids[0], other), &ids[0]), Check::Repeated);
}

#[test]
fn a23_shares_for_others_than_the_shareholders() {
    let changes: [fn(&mut Dealing); 5] = [
        |dealing| drop(dealing.shares.pop()),
        |dealing| dealing.shares.swap(0, 1),
        |dealing| dealing.shares[1].sealed.push(0),
        |dealing| dealing.shares[1].commitment = Digest::ZERO,
        |dealing| dealing.self_key = RoundSecret::draw(&mut rng(3)).public(),
    ];
    for change in changes {
        let (ids, mut cohort, mut sharing, mut enrolled) = enrolled();
        let client = enrolled.remove(&ids[0]).expect("in it");
        let (_, mut dealing) = client.deal(&cohort.keys[&ids[0]], &mut cohort.rng);
        change(&mut dealing);
        assert_eq!(clients(sharing.deal(&ids[0], dealing), &ids[0]), Check::Dealing);
    }
}

#[test]
fn a24_a25_vectors_cut_short_or_changed_on_the_way() {
    let (ids, cohort, mut summing, mut dealt) = summing();
    let inbox = summing.inbox(&ids[0]).expect("dealt");
    let (masking, _) = dealt.remove(&ids[0]).expect("dealt").inbox(&inbox).expect("taken");
    let (_, real, bytes) = mask(masking, &cohort.keys[&ids[0]], &[5; ENTRIES as usize]);
    assert_ne!(bytes[..4], 5_u32.to_le_bytes(), "masked");
    let refused = |summing: &mut Summing, from: &NodeId, upload: &Upload, bytes: &[u8]| {
        clients(summing.accept(from, upload, bytes), from)
    };
    assert_eq!(refused(&mut summing, &ids[0], &real, &bytes[1..]), Check::VectorLength);
    let mut bent = bytes.clone();
    bent[0] ^= 1;
    assert_eq!(refused(&mut summing, &ids[0], &real, &bent), Check::VectorSignature);
    assert_eq!(refused(&mut summing, &ids[1], &real, &bytes), Check::VectorSignature);
    let stranger = NodeId::new(identity(99).public());
    assert_eq!(refused(&mut summing, &stranger, &real, &bytes), Check::OutOfTurn);
    assert_eq!(summing.received(), 0, "nothing was added");
    summing.accept(&ids[0], &real, &bytes).expect("added");
    assert_eq!(summing.received(), 1);
}

#[test]
fn a14_a26_openings_of_what_was_not_dealt() {
    let (ids, cohort, surviving, masked) = surviving();
    let (mut unmasking, agreed): (Unmasking, _) =
        agree(&cohort, surviving, masked, anybody).expect("agree");
    let record = |id: &NodeId| encode(&agreed[id]);
    let opening = |unmasking: &Unmasking, id: &NodeId| {
        let client: Agreed = covey_protocol::wire::decode(&record(id), 1 << 20).expect("a record");
        client.agreements(&unmasking.agreements(id).expect("survived")).expect("opens")
    };
    let id = ids[0];
    let mut other = opening(&unmasking, &ids[1]);
    other.shares.swap(0, 1);
    assert_eq!(clients(unmasking.open(&id, other), &id), Check::Opening);
    let other = opening(&unmasking, &ids[1]);
    assert_eq!(clients(unmasking.open(&id, other), &id), Check::Commitment);
    let mut stray = opening(&unmasking, &id);
    stray.shares[0].dealer = Seat(99);
    assert_eq!(clients(unmasking.open(&id, stray), &id), Check::Opening);
    let last = ids[N as usize - 1];
    let own = opening(&unmasking, &id);
    assert_eq!(clients(unmasking.open(&last, own), &last), Check::OutOfTurn);
    assert!(unmasking.agreements(&last).is_none() && !unmasking.is_ready());
    let own = opening(&unmasking, &id);
    // One share of each dealer, never both.
    assert_eq!(own.shares.len(), N as usize);
    unmasking.open(&id, own).expect("opened");
}
