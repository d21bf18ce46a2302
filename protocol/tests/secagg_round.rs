//! Whole rounds of secure aggregation: the unmasked sum is the plain sum, whoever drops out when,
//! as long as enough are left; and if not, the round ends in a named error.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::{Digest, SecretKey};
use covey_protocol::ids::{GroupId, NodeId};
use covey_protocol::secagg::client::{Agreed, Dealt, Enrolled, Joining, Masked, Masking};
use covey_protocol::secagg::server::{
    Gathering, Seated, Sharing, Summed, Summing, Surviving, Unmasking,
};
use covey_protocol::secagg::{
    Bounds, Check, Culprit, Demands, Fault, Members, Parameters, Reason, Terms, Topology,
};
use covey_protocol::wire::v1::secagg::{Advertisement, Upload};
use covey_protocol::wire::{decode, encode};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::common::model;

/// When a client is last heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaves {
    BeforeChoosing,
    BeforeDealing,
    BeforeUpload,
    BeforeAgreeing,
    BeforeOpening,
    Never,
}

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub fn coordinator() -> SecretKey {
    SecretKey::from_seed(&[200; 32])
}

pub fn identity(n: usize) -> SecretKey {
    SecretKey::from_seed(Digest::of("test/identity", &[&n.to_le_bytes()]).as_bytes())
}

/// The members with the first identities.
pub fn members(n: usize) -> Members {
    Members::new((0..n).map(|n| NodeId::new(identity(n).public()))).expect("few")
}

pub fn terms(topology: Topology, cohort: u32, entries: u32, bounds: Bounds) -> Terms {
    Terms {
        group: GroupId(Digest::sha256(b"group")),
        members: members(cohort as usize).digest(),
        plan: Digest::sha256(b"plan"),
        model: model("release"),
        round: 7,
        attempt: 0,
        coordinator: NodeId::new(coordinator().public()),
        parameters: Parameters {
            topology,
            entries,
            min_cohort: cohort.min(3),
            max_cohort: cohort,
            bounds,
        },
    }
}

pub fn demands() -> Demands {
    Demands { min_honest: 1, collusion_permille: 0, colluders: 1, security_bits: 20 }
}

pub fn vector(n: usize, entries: u32) -> Vec<u32> {
    let mut rng = ChaCha20Rng::seed_from_u64(n as u64);
    (0..entries).map(|_| rng.next_u32()).collect()
}

/// A cohort and its server up to the moment where shares are dealt.
pub struct Cohort {
    pub keys: BTreeMap<NodeId, SecretKey>,
    pub rng: ChaCha20Rng,
    pub joining: BTreeMap<NodeId, Joining>,
    pub advertised: Vec<Advertisement>,
    pub seated: Seated,
}

pub fn seat(terms: &Terms, n: usize, seed: u64) -> Cohort {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let members = members(terms.parameters.max_cohort as usize);
    let mut gathering = Gathering::open(terms, &members).expect("good parameters");
    let mut cohort = BTreeMap::new();
    let mut joining = BTreeMap::new();
    let mut advertised = Vec::new();
    for n in 0..n {
        let key = identity(n);
        let id = NodeId::new(key.public());
        let (client, keys) =
            Joining::start(terms, &members, demands(), &key, &mut rng).expect("joins");
        gathering.advertise(&id, keys).expect("accepted");
        gathering.advertise(&id, keys).expect("the same again");
        advertised.push(keys);
        joining.insert(id, client);
        cohort.insert(id, key);
    }
    let seated = gathering.close(&coordinator()).expect("enough");
    Cohort { keys: cohort, rng, joining, advertised, seated }
}

pub type Clients<T> = BTreeMap<NodeId, T>;

/// Enrols everybody; on a sparse graph those who have not left choose neighbours.
pub fn enrol(
    mut cohort: Cohort,
    stays: impl Fn(&NodeId) -> bool,
) -> Result<(Cohort0, Sharing, Clients<Enrolled>), Fault> {
    let complete = cohort.seated.place(cohort.keys.keys().next().expect("somebody")).is_some()
        && cohort.seated.thresholds().shareholders == cohort.seated.thresholds().cohort;
    let joining = std::mem::take(&mut cohort.joining);
    let (sharing, enrolled) = if complete {
        let roster = cohort.seated.roster();
        let enrolled = joining
            .into_iter()
            .filter(|(id, _)| stays(id))
            .map(|(id, client)| Ok((id, client.roster(&roster)?)))
            .collect::<Result<Clients<_>, Fault>>()?;
        (cohort.seated.close()?, enrolled)
    } else {
        let mut choosing = BTreeMap::new();
        for (id, client) in joining.into_iter().filter(|(id, _)| stays(id)) {
            let place = cohort.seated.place(&id).expect("in the cohort");
            let (client, choice) = client.place(&place, &mut cohort.rng)?;
            cohort.seated.choose(&id, choice)?;
            choosing.insert(id, client);
        }
        let sharing = cohort.seated.close()?;
        let enrolled = choosing
            .into_iter()
            .map(|(id, client)| {
                let neighbours = sharing.neighbours(&id).expect("chose");
                Ok((id, client.neighbours(&neighbours)?))
            })
            .collect::<Result<Clients<_>, Fault>>()?;
        (sharing, enrolled)
    };
    Ok((Cohort0 { keys: cohort.keys, rng: cohort.rng }, sharing, enrolled))
}

/// What is left of a cohort that has enrolled.
pub struct Cohort0 {
    pub keys: BTreeMap<NodeId, SecretKey>,
    pub rng: ChaCha20Rng,
}

pub fn deal(
    cohort: &mut Cohort0,
    mut sharing: Sharing,
    enrolled: Clients<Enrolled>,
    stays: impl Fn(&NodeId) -> bool,
) -> Result<(Summing, Clients<Dealt>), Fault> {
    let mut dealt = BTreeMap::new();
    for (id, client) in enrolled.into_iter().filter(|(id, _)| stays(id)) {
        let (client, dealing) = client.deal(&cohort.keys[&id], &mut cohort.rng);
        let dealing = decode(&encode(&dealing), 1 << 20).expect("as sent");
        sharing.deal(&id, dealing)?;
        dealt.insert(id, client);
    }
    Ok((sharing.close()?, dealt))
}

pub fn take_inbox(summing: &Summing, dealt: Clients<Dealt>) -> Result<Clients<Masking>, Fault> {
    dealt
        .into_iter()
        .map(|(id, client)| {
            let inbox = summing.inbox(&id).expect("dealt");
            let (client, faults) = client.inbox(&inbox)?;
            assert_eq!(faults, []);
            Ok((id, client))
        })
        .collect()
}

pub fn mask(mut masking: Masking, key: &SecretKey, vector: &[u32]) -> (Masked, Upload, Vec<u8>) {
    let mut bytes = Vec::new();
    for piece in vector.chunks(5_000) {
        bytes.extend(masking.next(piece).expect("fits"));
    }
    assert!(masking.next(&[1]).is_err(), "one too many");
    let (masked, upload) = masking.finish(key).expect("whole");
    let record = encode(&masked);
    let masked = decode(&record, 1 << 24).expect("a record comes back from disk");
    (masked, upload, bytes)
}

pub fn upload(
    cohort: &Cohort0,
    mut summing: Summing,
    masking: Clients<Masking>,
    vectors: &Clients<Vec<u32>>,
    stays: impl Fn(&NodeId) -> bool,
) -> Result<(Surviving, Clients<Masked>), Fault> {
    let mut masked = BTreeMap::new();
    for (id, client) in masking {
        let (client, upload, bytes) = mask(client, &cohort.keys[&id], &vectors[&id]);
        if stays(&id) {
            summing.accept(&id, &upload, &bytes)?;
            summing.accept(&id, &upload, &bytes)?;
            masked.insert(id, client);
        }
    }
    Ok((summing.close(&coordinator())?, masked))
}

pub fn agree(
    cohort: &Cohort0,
    mut surviving: Surviving,
    masked: Clients<Masked>,
    stays: impl Fn(&NodeId) -> bool,
) -> Result<(Unmasking, Clients<Agreed>), Fault> {
    let mut agreed = BTreeMap::new();
    for (id, client) in masked.into_iter().filter(|(id, _)| stays(id)) {
        let (client, agreement) = client.survivors(surviving.survivors(), &cohort.keys[&id])?;
        let client: Agreed = decode(&encode(&client), 1 << 24).expect("a record");
        assert_eq!(
            client.survivors(surviving.survivors(), &cohort.keys[&id]),
            Ok(agreement),
            "asked again, the same answer"
        );
        surviving.agree(&id, agreement)?;
        agreed.insert(id, client);
    }
    Ok((surviving.close()?, agreed))
}

pub fn open(
    mut unmasking: Unmasking,
    agreed: Clients<Agreed>,
    stays: impl Fn(&NodeId) -> bool,
) -> Result<Summed, Fault> {
    for (id, client) in agreed.into_iter().filter(|(id, _)| stays(id)) {
        let opening = client.agreements(unmasking.agreements())?;
        let opening = decode(&encode(&opening), 1 << 20).expect("as sent");
        unmasking.open(&id, opening)?;
    }
    unmasking.finish()
}

/// Runs a whole round in which each client leaves when `leaves` says.
fn run(terms: &Terms, leaves: &[Leaves], seed: u64) -> Result<Summed, Fault> {
    let vectors = (0..leaves.len()).map(|n| vector(n, terms.parameters.entries)).collect();
    run_with(terms, leaves, vectors, seed)
}

/// The same with these vectors, client by client.
pub fn run_with(
    terms: &Terms,
    leaves: &[Leaves],
    vectors: Vec<Vec<u32>>,
    seed: u64,
) -> Result<Summed, Fault> {
    let entries = terms.parameters.entries;
    let cohort = seat(terms, leaves.len(), seed);
    let ids = || (0..leaves.len()).map(|n| NodeId::new(identity(n).public()));
    let when: BTreeMap<NodeId, Leaves> = ids().zip(leaves.iter().copied()).collect();
    let stays = |phase: Leaves| {
        let when = when.clone();
        move |id: &NodeId| when[id] > phase
    };
    let vectors = ids().zip(vectors).collect();
    let (mut cohort, sharing, enrolled) = enrol(cohort, stays(Leaves::BeforeChoosing))?;
    let (summing, dealt) = deal(&mut cohort, sharing, enrolled, stays(Leaves::BeforeDealing))?;
    let masking = take_inbox(&summing, dealt)?;
    let (surviving, masked) =
        upload(&cohort, summing, masking, &vectors, stays(Leaves::BeforeUpload))?;
    let (unmasking, agreed) = agree(&cohort, surviving, masked, stays(Leaves::BeforeAgreeing))?;
    let summed = open(unmasking, agreed, stays(Leaves::BeforeOpening))?;

    let survivors: BTreeSet<NodeId> = when
        .iter()
        .filter(|(_, leaves)| **leaves > Leaves::BeforeUpload)
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(summed.survivors.iter().copied().collect::<BTreeSet<_>>(), survivors);
    let mut plain = vec![0_u32; entries as usize];
    for id in &survivors {
        let vector: &Vec<u32> = &vectors[id];
        plain.iter_mut().zip(vector).for_each(|(sum, entry)| *sum = sum.wrapping_add(*entry));
    }
    assert_eq!(summed.sum, plain, "the sum of the survivors' vectors");
    Ok(summed)
}

pub const LOOSE: Bounds = Bounds {
    collusion_permille: 50,
    dropout_permille: 300,
    security_bits: 20,
    correctness_bits: 10,
};

fn leaves() -> impl Strategy<Value = Leaves> {
    prop_oneof![
        8 => Just(Leaves::Never),
        1 => Just(Leaves::BeforeChoosing),
        1 => Just(Leaves::BeforeDealing),
        1 => Just(Leaves::BeforeUpload),
        1 => Just(Leaves::BeforeAgreeing),
        1 => Just(Leaves::BeforeOpening),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever leaves when: the sum is right, or the round ends because too few are left, and only
    /// if they are.
    #[test]
    fn a_complete_graph_sums_or_ends(
        leaves in prop::collection::vec(leaves(), 3..14), entries in 1_u32..300, seed: u64,
    ) {
        let bounds = Bounds { collusion_permille: 0, ..LOOSE };
        let terms = terms(Topology::Complete, leaves.len() as u32, entries, bounds);
        let Ok(thresholds) = terms.parameters.thresholds(leaves.len() as u32) else { return Ok(()) };
        let left = |phase| leaves.iter().filter(|leaves| **leaves > phase).count() as u32;
        let enough = left(Leaves::BeforeUpload) >= thresholds.survivors
            && left(Leaves::BeforeAgreeing) >= thresholds.agreements
            && left(Leaves::BeforeOpening) >= thresholds.threshold;
        match run(&terms, &leaves, seed) {
            Ok(_) => prop_assert!(enough),
            Err(fault) => {
                prop_assert_eq!(fault.check, Check::TooFew);
                prop_assert!(!enough);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// On a sparse graph, whoever leaves when: while no more are gone than the bounds allow, the sum is
    /// right; if more are, it is right or the round ends because too few are left. (Bounds of 2^-20, and
    /// so few rounds: one of them would fail by chance in 30,000 runs of all.)
    #[test]
    fn a_sparse_graph_sums_or_ends(
        leaves in prop::collection::vec(leaves(), 10..48), stay in 0_usize..48,
        dropout in 0_u16..250, entries in 1_u32..100, seed: u64,
    ) {
        let n = leaves.len() as u32;
        // Rounds in which few leave, too: from some client on everybody stays.
        let when = |(at, it): (usize, &Leaves)| if at < stay { *it } else { Leaves::Never };
        let leaves: Vec<Leaves> = leaves.iter().enumerate().map(when).collect();
        let bounds = Bounds { dropout_permille: dropout, security_bits: 20, ..Bounds::default() };
        let terms = terms(Topology::Sparse, n, entries, bounds);
        let Ok(thresholds) = terms.parameters.thresholds(n) else { return Ok(()) };
        let left = |phase| leaves.iter().filter(|leaves| **leaves > phase).count() as u32;
        let enough = left(Leaves::BeforeOpening) >= thresholds.survivors;
        let may = left(Leaves::BeforeUpload) >= thresholds.survivors
            && left(Leaves::BeforeAgreeing) >= thresholds.agreements
            && left(Leaves::BeforeOpening) >= thresholds.threshold;
        match run(&terms, &leaves, seed) {
            Ok(_) => prop_assert!(may),
            Err(fault) => {
                prop_assert_eq!((fault.check, fault.culprit), (Check::TooFew, Culprit::Nobody));
                let few = matches!(fault.reason, Some(Reason::Left { left, needed }) if left < needed);
                prop_assert!(few, "{:?}", fault.reason);
                prop_assert!(!enough);
            }
        }
    }
}

#[test]
fn a_sparse_graph_sums_with_a_tenth_missing() {
    let n = 60;
    let terms = terms(Topology::Sparse, n, 1_000, Bounds::default());
    let thresholds = terms.parameters.thresholds(n).expect("reachable");
    assert!(thresholds.shareholders < n / 2, "sparse");
    for seed in 0..3 {
        let leaves: Vec<Leaves> = (0..n as usize)
            .map(|i| match i % 10 {
                3 if i < 50 => [
                    Leaves::BeforeDealing,
                    Leaves::BeforeUpload,
                    Leaves::BeforeAgreeing,
                    Leaves::BeforeOpening,
                    Leaves::BeforeChoosing,
                ][i / 10],
                _ => Leaves::Never,
            })
            .collect();
        run(&terms, &leaves, seed).expect("sums");
    }
}

#[test]
fn everybody_stays_and_everybody_is_summed() {
    let terms = terms(Topology::Complete, 5, 10_000, Bounds { collusion_permille: 200, ..LOOSE });
    let summed = run(&terms, &[Leaves::Never; 5], 1).expect("sums");
    assert_eq!(summed.survivors.len(), 5);
}

#[test]
fn more_drop_out_than_the_bounds_allow_and_nothing_comes_out() {
    let terms = terms(Topology::Complete, 10, 10, Bounds::default());
    for phase in [Leaves::BeforeDealing, Leaves::BeforeUpload] {
        let mut leaves = [Leaves::Never; 10];
        leaves[..2].fill(phase);
        assert_eq!(run(&terms, &leaves, 2).expect_err("too few").check, Check::TooFew);
    }
    let mut leaves = [Leaves::Never; 10];
    leaves[..5].fill(Leaves::BeforeOpening);
    assert_eq!(run(&terms, &leaves, 2).expect_err("too few").check, Check::TooFew);
}
