//! Clients that lie: each is caught by the check that docs/spec/secagg.md names, costs nobody else
//! their part, and is named.

use covey_crypto::{Digest, RoundSecret, derive_key, seal, shamir};
use covey_protocol::ids::NodeId;
use covey_protocol::secagg::client::{Agreed, Dealt, Joining};
use covey_protocol::secagg::server::{Gathering, Summing, Unmasking};
use covey_protocol::secagg::{Bounds, Check, Culprit, Fault, Seat, Topology};
use covey_protocol::wire::v1::secagg::{Advertisement, Dealing, SealedShares, Upload};
use covey_protocol::wire::{decode, encode};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::secagg_attacks::*;
use crate::secagg_round::*;

/// The last client by seat deals by hand: `shares` says what to whom, `committed` whether honestly.
fn dealt_by_hand(
    polynomial: impl Fn(u32, [u8; 32]) -> [u8; 32],
    committed: bool,
) -> (Vec<NodeId>, Cohort0, Summing, Clients<Dealt>) {
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
    assert_eq!(roster.keys[N as usize - 1].mask, masking.public(), "the same secrets");

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
            let shared = sealing.agree(&roster.keys[to as usize].seal);
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
        digest.update(&share.sealed);
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
    let signed = [*dealt_by(&roster, N).as_bytes(), *digest.as_bytes()].concat();
    Upload { digest, signature: cohort.keys[id].sign("covey/secagg/v1/vector", &signed) }
}

#[test]
fn a20_a21_out_of_turn_and_twice() {
    let terms = complete();
    let stranger = NodeId::new(identity(99).public());
    let mut gathering = Gathering::open(&terms, &members(N as usize)).expect("good");
    let own = |n: usize, seed| {
        Joining::start(&terms, &members(N as usize), demands(), &identity(n), &mut rng(seed))
            .expect("joins")
            .1
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
    let late = Advertisement { client: stranger, ..keys };
    assert_eq!(clients(gathering.advertise(&stranger, late), &stranger), Check::Eligible);

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
        let client: Agreed = decode(&record(id), 1 << 20).expect("a record");
        client.agreements(unmasking.agreements()).expect("opens")
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
    assert!(!unmasking.is_ready());
    let own = opening(&unmasking, &id);
    // One share of each dealer, never both.
    assert_eq!(own.shares.len(), N as usize);
    unmasking.open(&id, own).expect("opened");
}

/// A round of so many of whom `answering` open, and `silent` of those no share of seat 0's.
fn withheld(cohort: usize, answering: usize, silent: usize) -> (NodeId, Fault) {
    let terms = terms(Topology::Complete, cohort as u32, ENTRIES, Bounds::default());
    let (mut cohort, sharing, enrolled) = enrol(seat(&terms, cohort, 1), anybody).expect("enrols");
    let (summing, dealt) = deal(&mut cohort, sharing, enrolled, anybody).expect("deals");
    let vectors = dealt.keys().map(|id| (*id, vec![1; ENTRIES as usize])).collect();
    let masking = take_inbox(&summing, dealt).expect("taken");
    let (surviving, masked) = upload(&cohort, summing, masking, &vectors, anybody).expect("enough");
    let (mut unmasking, agreed) = agree(&cohort, surviving, masked, anybody).expect("agree");
    let dealer = *agreed.keys().next().expect("somebody");
    for (n, (id, client)) in agreed.into_iter().take(answering).enumerate() {
        let mut opening = client.agreements(unmasking.agreements()).expect("opens");
        opening.shares.retain(|share| n >= silent || share.dealer != Seat(0));
        unmasking.open(&id, opening).expect("opened");
    }
    (dealer, unmasking.finish().expect_err("too few shares"))
}

/// Ten clients, of whom one may collude; six shares recover a secret. Where four more have gone, a
/// single one of the six that says nothing could have blamed whom it likes.
#[test]
fn a29_a_few_that_open_nothing_of_a_dealer_do_not_put_the_blame_on_it() {
    for (answering, silent) in [(6, 1), (7, 2), (5, 1), (9, 4)] {
        let (dealer, fault) = withheld(10, answering, silent);
        let (check, culprit) = match (answering, silent) {
            (..6, _) => (Check::TooFew, Culprit::Nobody),
            (_, ..2) => (Check::Withheld, Culprit::Disputed(dealer)),
            _ => (Check::Withheld, Culprit::Client(dealer)),
        };
        assert_eq!((fault.check, fault.culprit), (check, culprit), "{answering} {silent}");
    }
}

/// Where a threshold is nearly all, more than may collude are still enough to know that the dealer dealt badly.
#[test]
fn a29_more_than_may_collude_are_believed_in_small_cohorts_too() {
    for (cohort, silent, named) in [(3, 1, false), (3, 2, true), (5, 2, true)] {
        let (dealer, fault) = withheld(cohort, cohort, silent);
        let culprit = if named { Culprit::Client(dealer) } else { Culprit::Disputed(dealer) };
        assert_eq!((fault.check, fault.culprit), (Check::Withheld, culprit), "{cohort} {silent}");
    }
}
