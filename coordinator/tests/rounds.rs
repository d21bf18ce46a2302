//! What members learn of each other, what a restart changes (nothing), what a failed attempt leaves (its record).

use covey_coordinator::store::Store;
use covey_coordinator::{Came, Campaign, CoordinatorError, rule};
use covey_crypto::Digest;
use covey_privacy::NoiseMultiplier;
use covey_protocol::round::{Contribution, Rule, Weighting};
use covey_protocol::wire::v1::round::{ClientMessage, RoundAnswer, RoundAsk, RoundRefusal};

use crate::world::{NOW, World, campaign, id, target, view};

/// The weighted mean of what these want, less `from`.
fn mean(who: &[usize], from: &[f32]) -> Vec<f64> {
    let weight = |n: usize| (target(n).1 as f64 / 100.0).min(1.0);
    let all: f64 = who.iter().map(|n| weight(*n)).sum();
    (0..50)
        .map(|i| {
            let sum = |n: &usize| weight(*n) * f64::from(target(*n).0[i] - from[i]);
            who.iter().map(sum).sum::<f64>() / all
        })
        .collect()
}

#[test]
fn rounds_move_the_values_as_the_rule_says_restarted_or_not() {
    let mut checkpoints = Vec::new();
    for restarts in [false, true] {
        let mut world = World::new(5, restarts);
        let start = vec![0.25_f32; 50];
        world.begin(campaign(3), &start);
        assert!(world.announced(1).is_some());
        let (mut values, mut running) = (start, vec![0.0; 50]);
        for round in 1..=3_u64 {
            let who = [0, 1, 2, 3, 4];
            world.attempt(&who, &[]);
            let mean = mean(&who, &values);
            for ((value, running), mean) in values.iter_mut().zip(&mut running).zip(mean) {
                *running = 0.5 * *running + mean;
                *value += (0.5 * *running) as f32;
            }
            let (_, _, found) = world.coordinator.checkpoint().expect("a checkpoint");
            for (found, expected) in found.iter().zip(&values) {
                assert!((found - expected).abs() < 1e-4, "round {round}: {found}, {expected}");
            }
            values = found;
            world.wait(5_000);
        }
        let status = world.coordinator.status();
        assert_eq!((status.rounds, status.participants, status.running), (3, 5, None));
        assert_eq!(status.cost, None, "no noise, no promise");
        world.wait(5_000);
        assert_eq!(world.coordinator.status().left, None, "the campaign is over");
        assert!(world.announced(1).is_none());
        let records = world.coordinator.records().expect("records");
        assert_eq!(records.len(), 3);
        assert_eq!(world.coordinator.recent(), records);
        for record in &records {
            let Came::Checkpoint { participants: 5, measured, .. } = &record.came else {
                panic!("{record:?}")
            };
            assert!((measured[0].1 - 2.0).abs() < 1e-4, "the mean of 0 to 4");
        }
        checkpoints.push(values);
    }
    let apart = checkpoints[0].iter().zip(&checkpoints[1]).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) < 1e-4);
}

#[test]
fn a_rule_goes_on_from_what_one_of_its_kind_remembers_and_from_nothing_else() {
    let adam = |rate| Rule::Adam { rate, beta1: 0.9, beta2: 0.5, tau: 1e-3 };
    let yogi = Rule::Yogi { rate: 0.1, beta1: 0.9, beta2: 0.5, tau: 1e-3 };
    let mut world = World::new(4, false);
    let (mut values, mut memory) = (vec![0.25_f32; 50], Vec::new());
    let who = [0, 1, 2, 3];
    // As long as Yogi's is what Adam remembers.
    for (rule, goes_on) in [(adam(0.1), false), (adam(0.2), true), (yogi, false)] {
        world.begin(Campaign { rule, ..campaign(1) }, &values);
        world.attempt(&who, &[]);
        world.wait(5_000);
        let mean: Vec<f32> = mean(&who, &values).into_iter().map(|it| it as f32).collect();
        let mut by = rule::of(rule, if goes_on { memory } else { Vec::new() });
        by.apply(&mut values, &mean);
        memory = by.memory().to_vec();
        assert_eq!(memory.len(), 100);
        let (_, _, found) = world.coordinator.checkpoint().expect("a checkpoint");
        for (found, expected) in found.iter().zip(&values) {
            assert!((found - expected).abs() < 1e-3, "{rule:?}: {found}, {expected}");
        }
        values = found;
    }
}

#[test]
fn a_failed_attempt_leaves_its_record_and_another_follows() {
    let mut world = World::new(5, true);
    let start = vec![0.0_f32; 50];
    world.begin(campaign(1), &start);
    assert_eq!(world.announced(1).expect("a plan").attempt, 0);
    // Three of five are gone where one in three may be: the vectors are too few.
    world.attempt(&[0, 1, 2, 3, 4], &[1, 2, 3]);
    assert_eq!(world.announced(1).expect("the plan again").attempt, 1);
    let (_, _, values) = world.coordinator.checkpoint().expect("as before");
    assert_eq!(values, start);
    let records = world.coordinator.records().expect("records");
    let Came::Failed { why } = &records[0].came else { panic!("it failed") };
    assert!(why.contains("A28"), "{why}");
    assert_eq!(world.coordinator.status().cost, None, "vectors were masked without noise");
}

#[test]
fn a_coordinator_that_lost_everything_counts_from_a_number_that_nobody_has_seen() {
    let mut world = World::new(4, true);
    let round = |world: &mut World| {
        let announced = world.announced(1).expect("a plan");
        announced.plan.verify(&id(0)).expect("sound").plan().round
    };
    let too_high = world.coordinator.count_from(2_000_000);
    assert!(matches!(too_high, Err(CoordinatorError::FirstRound { round: 0, .. })), "{too_high:?}");
    world.coordinator.count_from(8).expect("counts");
    world.begin(campaign(2), &[0.0_f32; 50]);
    assert_eq!(round(&mut world), 8);
    let busy = world.coordinator.count_from(20);
    assert!(matches!(busy, Err(CoordinatorError::Busy)), "{busy:?}");
    world.attempt(&[0, 1, 2, 3], &[]);
    world.wait(5_000);
    assert_eq!(round(&mut world), 9);
    world.coordinator.stop(world.now).expect("stops");
    // A lower one changes nothing.
    world.coordinator.count_from(3).expect("counts");
    world.begin(campaign(1), &[0.0_f32; 50]);
    assert_eq!(round(&mut world), 10);
}

#[test]
fn who_was_silent_when_an_attempt_failed_sits_the_next_one_out() {
    let mut world = World::new(8, true);
    let mut campaign = campaign(2);
    campaign.contribution = noise(campaign.contribution);
    world.begin(campaign, &[0.0_f32; 50]);
    let (all, gone) = ([0, 1, 2, 3, 4, 5, 6, 7], [5, 6, 7]);
    world.attempt(&all, &gone);
    assert_eq!(world.announced(1).expect("the plan again").attempt, 1);
    // They are back and told so, and the others, who pay again, do not wait for them.
    world.attempt(&all, &[]);
    let records = world.coordinator.records().expect("records");
    assert!(matches!(&records[0].came, Came::Failed { why } if why.contains("A28")), "{records:?}");
    let Came::Checkpoint { participants, .. } = &records[1].came else { panic!("{records:?}") };
    assert_eq!(*participants, 5);
    // Both attempts cost those who stayed, and that is said of the checkpoint.
    let one = records[0].cost.expect("noise").get();
    assert_eq!(records[1].cost.map(|cost| cost.get()), Some(one));
    let cost = world.coordinator.status().cost.expect("noise").get();
    assert!(cost >= 2.0 * one && cost < 2.000_001 * one, "{cost}, {one} each");
    // The next plan is open to everybody.
    world.wait(5_000);
    world.attempt(&all, &[]);
    let records = world.coordinator.records().expect("records");
    assert!(matches!(records[2].came, Came::Checkpoint { participants: 8, .. }), "{records:?}");
}

#[test]
fn an_attempt_that_nobody_masked_for_costs_nothing() {
    let mut world = World::new(4, false);
    let mut campaign = campaign(1);
    campaign.contribution = noise(campaign.contribution);
    world.begin(campaign, &[0.0_f32; 50]);
    world.attempt(&[0, 1], &[]);
    let records = world.coordinator.records().expect("records");
    assert_eq!((records.len(), records[0].cost), (1, None));
    assert_eq!(world.coordinator.status().cost, Some(covey_privacy::Rho::ZERO));
}

#[test]
fn a_damaged_journal_fails_the_attempt_and_leaves_the_checkpoint() {
    type Entries = Vec<Vec<u8>>;
    let seen = |world: &World| world.store.journal().expect("reads");
    // Zeros at the end, half an entry, a bit, no beginning, nothing but zeros.
    let damages: [fn(Entries) -> Entries; 5] = [
        |mut it| {
            it.push(Vec::new());
            it
        },
        |mut it| {
            let last = it.last_mut().expect("some");
            last.truncate(last.len() / 2);
            it
        },
        |mut it| {
            it[1][20] ^= 1;
            it
        },
        |mut it| {
            it.remove(0);
            it
        },
        |it| vec![vec![0; it[0].len()]],
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let mut world = World::new(5, false);
        world.begin(campaign(1), &[0.25_f32; 50]);
        let announced = world.announced(1).expect("a plan");
        world.check_in(&[0, 1, 2]);
        assert!(seen(&world).len() > 2);
        let damaged = damage(seen(&world));
        world.store.clear().expect("clears");
        for entry in damaged {
            world.store.append(&entry).expect("appends");
        }
        world.restart();
        world.wait(1);
        let records = world.coordinator.records().expect("records");
        let Came::Failed { why } = &records[0].came else { panic!("{number}: {records:?}") };
        assert!(why.contains("journal"), "{why}");
        let again = world.announced(1).expect("the plan again");
        assert_eq!((again.attempt, again.plan), (1, announced.plan));
        world.attempt(&[0, 1, 2, 3, 4], &[]);
        assert_eq!(world.coordinator.status().rounds, 1, "{number}");
    }
}

/// The same with noise, and neither weights nor measures.
fn noise(contribution: Contribution) -> Contribution {
    Contribution {
        noise: Some(NoiseMultiplier::new(1.0).expect("above 0")),
        weighting: Weighting::Uniform,
        measures: vec![],
        ..contribution
    }
}

#[test]
fn who_is_to_blame_for_an_attempt_sits_the_next_one_out() {
    for restarts in [false, true] {
        let mut world = World::new(5, restarts);
        let mut campaign = campaign(2);
        campaign.window_ms = 1_000_000;
        campaign.phase_ms = 1_000_000;
        world.begin(campaign, &[0.0_f32; 50]);
        let all = [0, 1, 2, 3, 4];
        world.unopened = Some(3);
        world.attempt(&all, &[]);
        assert_eq!(world.announced(1).expect("the plan again").attempt, 1);
        // It is told so, and nobody waits for it.
        world.unopened = None;
        world.attempt(&all, &[]);
        let records = world.coordinator.records().expect("records");
        let Came::Failed { why } = &records[0].came else { panic!("it failed: {records:?}") };
        let named = id(3).short().to_string();
        assert!(why.contains("A29") && why.contains(&named), "{why}");
        let Came::Checkpoint { participants, .. } = &records[1].came else { panic!("{records:?}") };
        assert_eq!(*participants, 4);
        // The next round is open to it again.
        world.wait(5_000);
        world.attempt(&all, &[]);
        let records = world.coordinator.records().expect("records");
        assert!(matches!(records[2].came, Came::Checkpoint { participants: 5, .. }));
    }
}

#[test]
fn nothing_of_an_update_is_seen_before_the_sum() {
    let mut world = World::new(5, false);
    world.begin(campaign(1), &[0.0_f32; 50]);
    world.announced(1).expect("a plan");
    let store = world.store.clone();
    world.attempt(&[0, 1, 2, 3, 4], &[]);
    let Came::Checkpoint { participants, .. } =
        world.coordinator.records().expect("one")[0].came.clone()
    else {
        panic!("it sums")
    };
    assert_eq!(participants, 5);
    // What lies about, journal and vectors included, has no run of words of any update.
    let everything = format!("{store:?}");
    for words in world.sent.values() {
        let first: Vec<u8> = words[..4].iter().flat_map(|word| word.to_le_bytes()).collect();
        let bytes: Vec<String> = first.iter().map(ToString::to_string).collect();
        assert!(!everything.contains(&bytes.join(", ")));
    }
}

#[test]
fn other_terms_and_values_are_refused() {
    let mut world = World::new(4, false);
    let message = || Box::new(ClientMessage::Piece { offset: 0, bytes: vec![0; 4] });
    let terms = Digest::sha256(b"other");
    let answer = world.ask(1, RoundAsk::Step { terms, message: message() });
    assert!(matches!(answer, RoundAnswer::Refused(RoundRefusal::NoSuchAttempt)));
    let answer = world.ask(1, RoundAsk::Values { of: terms, offset: 0 });
    assert!(matches!(answer, RoundAnswer::Refused(RoundRefusal::NoSuchValues)));
    let _: &dyn Store = &*world.store;
    // Too few members for the smallest cohort.
    let few = view(2);
    let error = world.coordinator.start(campaign(1), &[0.0; 50], &few, NOW).expect_err("too few");
    assert!(matches!(error, CoordinatorError::Campaign(_)), "{error}");
}
