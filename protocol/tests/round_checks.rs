//! What a participant refuses, check by check (docs/spec/round.md).

use covey_crypto::Digest;
use covey_privacy::ledger::Unit;
use covey_privacy::{Epsilon, NoiseMultiplier};
use covey_protocol::group::{CurrentRelease, Release};
use covey_protocol::ids::{GroupId, NodeId, UnixMillis};
use covey_protocol::round::{
    Check, Evaluation, Known, Learning, Limits, MANIFEST_VERSION, Manifest, Measure, Plan, Rule,
    STEP_TOKENS, SignedManifest, SignedPlan, Task, Weighting,
};
use covey_protocol::secagg::{Bounds, Members, Topology};
use covey_protocol::wire::encode;

use crate::common::model;
use crate::round_world::{
    NOW, by_document, evaluating, known, limits, noisy, plan, signed, verified,
};
use crate::secagg_round::{LOOSE, coordinator, identity, members};

fn sound() -> Plan {
    plan(Topology::Complete, 10, Bounds { collusion_permille: 100, ..LOOSE })
}

fn refused(signed: &SignedPlan, limits: &Limits, known: &Known<'_>) -> Option<Check> {
    match verified(signed) {
        Ok(plan) => limits.check(&plan, known).err().map(|refused| refused.check),
        Err(check) => Some(check),
    }
}

fn refuses(plan: &Plan, limits: &Limits, known: &Known<'_>) -> Option<Check> {
    refused(&signed(plan), limits, known)
}

#[test]
fn a_sound_plan_is_let_pass() {
    let members = members(10);
    assert_eq!(refuses(&sound(), &limits(), &known(&members)), None);
}

#[test]
fn r1_r2_what_is_not_the_signed_plan_of_the_coordinator() {
    let members = members(10);
    let known = known(&members);
    let good = signed(&sound());
    for at in 0..good.body.len() {
        for flip in [1, 0x80] {
            let mut bad = good.clone();
            bad.body[at] ^= flip;
            let check = refused(&bad, &limits(), &known).expect("refused");
            assert!(check <= Check::Shape, "{at}: {check}");
        }
    }
    let mut long = good.clone();
    long.body.push(0);
    assert_eq!(refused(&long, &limits(), &known), Some(Check::Form));
    for length in 0..good.body.len() {
        let mut short = good.clone();
        short.body.truncate(length);
        assert_eq!(refused(&short, &limits(), &known), Some(Check::Form));
    }
    let other = SignedPlan::sign(&sound(), &identity(1)).expect("signs");
    assert_eq!(refused(&other, &limits(), &known), Some(Check::Signature));
    // Signed by its own coordinator, whom this group does not name.
    let mut plan = sound();
    plan.coordinator = NodeId::new(identity(1).public());
    let other = SignedPlan::sign(&plan, &identity(1)).expect("signs");
    assert_eq!(refused(&other, &limits(), &known), Some(Check::Signature));
}

#[test]
fn r3_another_group_or_other_members() {
    let (ten, nine) = (members(10), members(9));
    assert_eq!(refuses(&sound(), &limits(), &known(&nine)), Some(Check::Members));
    let other = Known { group: GroupId(Digest::sha256(b"other")), ..known(&ten) };
    assert_eq!(refuses(&sound(), &limits(), &other), Some(Check::Members));
}

/// Signs what [`SignedPlan::sign`] would not, as a malicious coordinator does.
fn forced(plan: &Plan) -> SignedPlan {
    let body = encode(plan);
    let signature = coordinator().sign("covey round plan v1", &body);
    SignedPlan { body, signature }
}

#[test]
fn r4_numbers_out_of_range() {
    type Bend = fn(&mut Plan);
    let bends: [Bend; 21] = [
        |plan| plan.attempts = 0,
        |plan| plan.attempts = 17,
        |plan| plan.learning.rate = f64::NAN,
        |plan| plan.learning.rate = -1.0,
        |plan| plan.learning.proximal = -0.1,
        |plan| plan.learning.proximal = f64::INFINITY,
        |plan| plan.learning.batch = 1,
        |plan| plan.learning.epochs = 0,
        |plan| plan.learning.min_pairs = 1,
        |plan| plan.rule = Rule::Average { rate: 0.0 },
        |plan| plan.rule = Rule::Adam { rate: 1.0, beta1: 1.0, beta2: 0.9, tau: 1e-3 },
        |plan| plan.rule = Rule::Yogi { rate: 1.0, beta1: 0.9, beta2: 0.9, tau: f64::NAN },
        |plan| plan.timing.check_in_by = UnixMillis(plan.timing.opens.0 - 1),
        |plan| plan.timing.check_in_by = UnixMillis(u64::MAX),
        |plan| plan.timing.upload_ms = 0,
        |plan| plan.timing.phase_ms = u32::MAX,
        |plan| plan.sum.entries += 1,
        |plan| plan.sum.min_cohort = 2,
        |plan| plan.contribution.measures = vec![Measure::Clipped],
        |plan| plan.contribution.weighting = Weighting::Pairs { cap: 0 },
        |plan| {
            plan.contribution.measures = vec![Measure::NoWorse];
            plan.sum.entries += 1;
        },
    ];
    let members = members(10);
    for (number, bend) in bends.iter().enumerate() {
        let mut plan = sound();
        bend(&mut plan);
        assert_eq!(SignedPlan::sign(&plan, &coordinator()), Err(Check::Shape), "{number}");
        let check = refused(&forced(&plan), &limits(), &known(&members));
        assert_eq!(check, Some(Check::Shape), "{number}");
    }
    // An evaluation trains nothing, and sums its measures alone.
    let bends: [Bend; 11] = [
        |plan| plan.learning.epochs = 1,
        |plan| plan.learning.max_steps = 1,
        |plan| plan.learning.rate = 1e-3,
        |plan| plan.learning.proximal = 0.1,
        |plan| plan.learning.min_pairs = 1,
        |plan| plan.contribution.rotate = true,
        |plan| {
            plan.contribution.weighting = Weighting::Pairs { cap: 9 };
            plan.sum.entries = 4;
        },
        |plan| plan.contribution.measures.swap(0, 1),
        |plan| {
            plan.contribution.measures.pop();
            plan.sum.entries = 2;
        },
        |plan| plan.sum.entries += plan.start.values,
        |plan| plan.task = Task::Evaluate { of: plan.start },
    ];
    for (number, bend) in bends.iter().enumerate() {
        let mut plan = sound();
        evaluating(&mut plan);
        assert_eq!(refuses(&plan, &limits(), &known(&members)), None);
        bend(&mut plan);
        assert_eq!(SignedPlan::sign(&plan, &coordinator()), Err(Check::Shape), "{number}");
        let check = refused(&forced(&plan), &limits(), &known(&members));
        assert_eq!(check, Some(Check::Shape), "{number}");
    }
    // So little noise that shares of it would be smaller than the grid.
    let mut plan = sound();
    noisy(&mut plan, 1e-9);
    assert_eq!(refused(&forced(&plan), &limits(), &known(&members)), Some(Check::Shape));
}

#[test]
fn r5_too_few_honest_or_too_few_colluders_withstood() {
    let members = members(10);
    let mut wants = limits();
    wants.demands.collusion_permille = 200;
    assert_eq!(refuses(&sound(), &wants, &known(&members)), Some(Check::Demands));
    let mut wants = limits();
    wants.demands.min_honest = 3;
    // The smallest cohort is of three, one of whom colludes.
    assert_eq!(refuses(&sound(), &wants, &known(&members)), Some(Check::Demands));
    let mut larger = sound();
    larger.sum.min_cohort = 8;
    assert_eq!(refuses(&larger, &wants, &known(&members)), None);
}

#[test]
fn r6_r7_noise_and_what_it_costs() {
    let members = members(10);
    let epsilon = |most| Some(Epsilon::new(most).expect("finite"));
    let wants = |most| Limits { max_epsilon: epsilon(most), ..limits() };
    assert_eq!(refuses(&sound(), &wants(1e9), &known(&members)), Some(Check::Noise));
    let mut plan = sound();
    plan.contribution.noise = NoiseMultiplier::new(2.0).ok();
    // A Gaussian of twice the sensitivity: rho 1/8, epsilon between 1.9 and 2.6 at delta 1e-5.
    assert_eq!(refuses(&plan, &wants(1.9), &known(&members)), Some(Check::Cost));
    assert_eq!(refuses(&plan, &wants(2.6), &known(&members)), None);
    // An evaluation is paid for like an update.
    let mut plan = sound();
    evaluating(&mut plan);
    assert_eq!(refuses(&plan, &wants(1e9), &known(&members)), Some(Check::Noise));
    noisy(&mut plan, 2.0);
    assert_eq!(refuses(&plan, &wants(1.9), &known(&members)), Some(Check::Cost));
    assert_eq!(refuses(&plan, &wants(2.6), &known(&members)), None);
}

#[test]
fn r8_more_work_than_is_given() {
    let members = members(10);
    let few_steps = Limits { max_steps: 99, ..limits() };
    assert_eq!(refuses(&sound(), &few_steps, &known(&members)), Some(Check::Work));
    let few_bytes = Limits { max_bytes: 2_399, ..limits() };
    assert_eq!(refuses(&sound(), &few_bytes, &known(&members)), Some(Check::Work));
    let enough = Limits { max_steps: 100, max_bytes: 2_400, ..limits() };
    assert_eq!(refuses(&sound(), &enough, &known(&members)), None);
    // Steps are of so many tokens: eight times those of 32 pairs with 128.
    for (batch, max_tokens, max_steps, check) in [
        (256, 128, 100, None),
        (257, 128, 100, Some(Check::Work)),
        (512, 128, 50, None),
        (512, 128, 51, Some(Check::Work)),
        (4_096, 512, 1, None),
        (4_096, 512, 2, Some(Check::Work)),
    ] {
        let mut plan = sound();
        let learning = plan.learning;
        plan.learning = Learning { batch, max_tokens, max_steps, ..learning };
        let limits = Limits { max_steps: 100, ..limits() };
        assert_eq!(refuses(&plan, &limits, &known(&members)), check, "{batch} {max_tokens}");
    }
    assert_eq!(STEP_TOKENS, 256 * 128);
    // Documents: both sides of each pair, and the public texts.
    let mut plan = sound();
    by_document(&mut plan);
    plan.learning.documents = 256;
    let wants = |max_steps| Limits { unit: Unit::Document, max_steps, ..limits() };
    assert_eq!(refuses(&plan, &wants(96), &known(&members)), None);
    assert_eq!(refuses(&plan, &wants(95), &known(&members)), Some(Check::Work));
    // No steps at all, two times the values, and three numbers.
    let mut plan = sound();
    evaluating(&mut plan);
    let enough = Limits { max_steps: 1, max_bytes: 2_412, ..limits() };
    assert_eq!(refuses(&plan, &enough, &known(&members)), None);
    let few_bytes = Limits { max_bytes: 2_411, ..limits() };
    assert_eq!(refuses(&plan, &few_bytes, &known(&members)), Some(Check::Work));
}

#[test]
fn r9_an_old_plan_or_a_second_one() {
    let members = members(10);
    let plan = sound();
    let seen = |round, digest| Known { last: Some((round, digest)), ..known(&members) };
    let digest = signed(&plan).digest();
    assert_eq!(refuses(&plan, &limits(), &seen(1, digest)), None, "the same again");
    assert_eq!(refuses(&plan, &limits(), &seen(2, digest)), Some(Check::Stale));
    let mut second = plan;
    second.learning.max_steps = 99;
    assert_eq!(refuses(&second, &limits(), &seen(1, digest)), Some(Check::Stale));
    second.round = 2;
    assert_eq!(refuses(&second, &limits(), &seen(1, digest)), None);
}

#[test]
fn r10_too_late_or_too_early() {
    let members: Members = members(10);
    let at = |now| Known { now, ..known(&members) };
    let day = 24 * 3_600_000;
    assert_eq!(refuses(&sound(), &limits(), &at(NOW.plus(day))), Some(Check::Time));
    let early = UnixMillis(NOW.0 - 31 * day);
    assert_eq!(refuses(&sound(), &limits(), &at(early)), Some(Check::Time));
    assert_eq!(refuses(&sound(), &limits(), &at(UnixMillis(NOW.0 - 29 * day))), None);
}

#[test]
fn r16_a_plan_for_documents_asks_for_one_step_of_clipped_gradients() {
    type Bend = fn(&mut Plan);
    let bends: [Bend; 12] = [
        |plan| plan.learning.epochs = 2,
        |plan| plan.learning.max_steps = 2,
        |plan| plan.learning.rate = 0.5,
        |plan| plan.learning.proximal = 0.1,
        |plan| plan.learning.min_pairs = 2,
        |plan| plan.learning.documents = 0,
        |plan| plan.learning.documents = 4_097,
        |plan| plan.contribution.unit = Unit::Peer,
        |plan| {
            plan.contribution.weighting = Weighting::Pairs { cap: 9 };
            plan.sum.entries += 1;
        },
        |plan| {
            plan.contribution.measures = vec![Measure::Clipped];
            plan.sum.entries += 1;
        },
        |plan| {
            plan.start.values = 25_000_000 / 8 + 1;
            plan.sum.entries = plan.start.values;
        },
        |plan| {
            evaluating(plan);
            plan.contribution.unit = Unit::Document;
        },
    ];
    let members = members(10);
    let wants = Limits { unit: Unit::Document, ..limits() };
    for (number, bend) in bends.iter().enumerate() {
        let mut plan = sound();
        by_document(&mut plan);
        noisy(&mut plan, 2.0);
        assert_eq!(refuses(&plan, &wants, &known(&members)), None);
        bend(&mut plan);
        assert_eq!(SignedPlan::sign(&plan, &coordinator()), Err(Check::Documents), "{number}");
        let check = refused(&forced(&plan), &wants, &known(&members));
        assert_eq!(check, Some(Check::Documents), "{number}");
    }
    // The noise is for one document, however many there may be; and its sum is held to as many.
    let cost = |bend: &dyn Fn(&mut Plan)| {
        let mut plan = sound();
        noisy(&mut plan, 2.0);
        bend(&mut plan);
        verified(&signed(&plan)).expect("sound")
    };
    let (one, all) = (cost(&|_| ()), cost(&by_document));
    let rho = |plan: &covey_protocol::round::Checked| plan.cost().expect("noise").get();
    assert!((rho(&one) / rho(&all) - 1.0).abs() < 1e-3, "{} {}", rho(&one), rho(&all));
    assert_eq!((one.layout().units, all.layout().units), (1, 8));
}

#[test]
fn r17_what_this_node_takes_part_for() {
    let members = members(10);
    let mut documents = sound();
    by_document(&mut documents);
    for (plan, unit, check) in [
        (&sound(), Unit::Peer, None),
        (&sound(), Unit::Document, Some(Check::Unit)),
        (&documents, Unit::Peer, Some(Check::Unit)),
        (&documents, Unit::Document, None),
    ] {
        let wants = Limits { unit, ..limits() };
        assert_eq!(refuses(plan, &wants, &known(&members)), check, "{unit}");
    }
}

#[test]
fn r14_a_release_that_was_not_evaluated_as_demanded() {
    let plan = sound();
    let evaluation = |members, no_worse| Evaluation {
        plan: Digest::sha256(b"evaluation"),
        members,
        loss_before: 1.5,
        loss_after: 1.25,
        no_worse,
    };
    let manifest = |evaluation| Manifest {
        version: MANIFEST_VERSION,
        group: plan.group,
        coordinator: plan.coordinator,
        number: 2,
        model: model("better"),
        base: plan.model,
        adapter: plan.adapter.clone(),
        values: plan.start,
        parent: None,
        plan: signed(&plan).digest(),
        round: 1,
        rounds: 1,
        cohort: 9,
        cost: None,
        unit: plan.contribution.unit,
        delta: plan.contribution.delta,
        measured: vec![],
        evaluation,
        at: NOW,
    };
    let check = |evaluation, quorum| {
        let signed = SignedManifest::sign(&manifest(evaluation), &coordinator());
        let release = Release { number: 2, model: model("better"), manifest: signed.digest() };
        let current = CurrentRelease { release, at: NOW, quorum };
        signed.verify()?.check(signed.digest(), plan.group, &current)
    };
    assert_eq!(check(None, 0), Ok(()));
    assert_eq!(check(None, 1), Err(Check::Quorum));
    assert_eq!(check(Some(evaluation(4, 0.75)), 4), Ok(()));
    assert_eq!(check(Some(evaluation(3, 0.75)), 4), Err(Check::Quorum));
    assert_eq!(check(Some(evaluation(4, 0.5)), 4), Err(Check::Quorum), "half is no more than half");
    assert_eq!(check(Some(evaluation(4, f64::NAN)), 4), Err(Check::Quorum));
    let lossless = Evaluation { loss_after: f64::INFINITY, ..evaluation(9, 1.0) };
    assert_eq!(check(Some(lossless), 1), Err(Check::Quorum));
    // Another release than the log names.
    let signed = SignedManifest::sign(&manifest(None), &coordinator());
    let named = signed.verify().expect("signed");
    let release = Release { number: 2, model: model("better"), manifest: signed.digest() };
    let current = CurrentRelease { release, at: NOW, quorum: 0 };
    let other = GroupId(Digest::sha256(b"other"));
    assert_eq!(named.check(signed.digest(), other, &current), Err(Check::Signature));
    let bad = Digest::sha256(b"other");
    assert_eq!(named.check(bad, plan.group, &current), Err(Check::Signature));
    let third = CurrentRelease { release: Release { number: 3, ..release }, ..current };
    assert_eq!(named.check(signed.digest(), plan.group, &third), Err(Check::Form));
}
