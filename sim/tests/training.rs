//! Peers that learn together, by the code that nodes and coordinators run.

use std::sync::Arc;

use covey_node::cancel::CancelFlag;
use covey_privacy::ledger::Unit;
use covey_sim::learner::{Learns, Surrogate};
use covey_sim::metrics::RoundMetric;
use covey_sim::scenario::{
    Adversary, Algorithm, Attack, Availability, Network, Privacy, Scenario, Sum, Topology, Training,
};
use covey_sim::seed::Draw;
use covey_sim::training::{Checkpoint, train};

/// A small scenario that names all it rests on.
fn scenario(peers: u32) -> Scenario {
    Scenario {
        peers,
        training: Training {
            rounds: 3,
            epochs: 1,
            steps: 20,
            batch: 32,
            rate: 0.3,
            server_rate: 1.0,
            ..Training::default()
        },
        sum: Sum {
            secure: true,
            dropout: 0.3,
            collusion: 0.1,
            attempts: 2,
            window_s: 60,
            phase_s: 20,
            upload_s: 60,
            ..Sum::default()
        },
        privacy: Privacy {
            delta: 1e-5,
            clip: 2.0,
            epsilon: None,
            noise: None,
            ..Privacy::default()
        },
        network: Network { latency_ms: [5.0, 50.0], ..Network::default() },
        availability: Availability { step_ms: [50.0, 150.0], ..Availability::default() },
        ..Scenario::default()
    }
}

fn task(peers: u32, heterogeneity: f64) -> Arc<dyn Learns> {
    let counts = |peer: u32| (0..4).map(|topic| 2 + 5 * (peer + topic) % 11).collect();
    Arc::new(Surrogate::new(5, 300, heterogeneity, (0..peers).map(counts).collect()))
}

fn ran(scenario: &Scenario, seed: u64, task: &Arc<dyn Learns>) -> Vec<RoundMetric> {
    let (scenario, task) = (scenario.clone(), Arc::clone(task));
    let mut rounds = Vec::new();
    let tell = &mut |metric, _: Option<&Checkpoint>| {
        rounds.push(metric);
        Ok(())
    };
    let running = async {
        train(&scenario, seed, task, None, &CancelFlag::new(), &mut |_| Ok(()), tell).await
    };
    covey_sim::run(running).expect("a runtime").expect("it runs");
    assert!(rounds.iter().enumerate().all(|(place, metric)| metric.round as usize == place));
    rounds
}

fn quality(rounds: &[RoundMetric]) -> Vec<f64> {
    rounds.iter().map(|metric| metric.quality.expect("judged")).collect()
}

#[test]
fn secure_sums_and_sums_in_the_clear_are_the_same_to_the_bit() {
    for (peers, topology, noise, unit) in [
        (6, Topology::Complete, None, Unit::Peer),
        (24, Topology::Sparse, None, Unit::Peer),
        (9, Topology::Auto, Some(0.5), Unit::Peer),
        (6, Topology::Complete, None, Unit::Document),
        (24, Topology::Sparse, Some(0.5), Unit::Document),
    ] {
        let mut scenario = scenario(peers);
        // More than some peers have, and fewer than others.
        (scenario.privacy.unit, scenario.privacy.documents) = (unit, 25);
        scenario.sum.topology = topology;
        scenario.privacy.noise = noise;
        scenario.sum.dropout = 0.1;
        let task = task(peers, 0.5);
        let secure = ran(&scenario, 3, &task);
        scenario.sum.secure = false;
        let clear = ran(&scenario, 3, &task);
        assert_eq!(quality(&secure), quality(&clear), "{topology:?}");
        assert_eq!(secure[3].norm, clear[3].norm);
        assert_eq!(secure[3].epsilon, clear[3].epsilon);
        assert_eq!(secure[3].epsilon.is_some(), noise.is_some());
        assert!(secure.iter().all(|metric| metric.failed.is_none()), "{secure:?}");
        assert_eq!(secure[3].survivors, peers);
        assert!(secure[3].up_bytes > u64::from(peers) * 4 * 300, "vectors went over the network");
    }
}

#[test]
fn rounds_that_go_on_from_a_checkpoint_are_those_that_follow_without_one() {
    let mut scenario = scenario(12);
    scenario.sum.secure = false;
    scenario.training.rounds = 5;
    scenario.training.cohort = 9;
    scenario.availability.away = 0.2;
    scenario.availability.stragglers = 0.3;
    scenario.availability.dropout.upload = 0.1;
    scenario.sum.dropout = 0.3;
    let task = task(12, 0.5);
    let of = |scenario: &Scenario, from: Option<Checkpoint>| {
        let (mut rounds, mut checkpoints) = (Vec::new(), Vec::new());
        let tell = &mut |metric: RoundMetric, at: Option<&Checkpoint>| {
            rounds.push(metric);
            checkpoints.extend(at.cloned());
            Ok(())
        };
        let (task, cancel) = (Arc::clone(&task), CancelFlag::new());
        let running =
            async { train(scenario, 3, task, from, &cancel, &mut |_| Ok(()), tell).await };
        covey_sim::run(running).expect("a runtime").expect("it runs");
        (rounds, checkpoints)
    };
    let noise = Some(0.4);
    for (algorithm, noise) in [
        (Algorithm::Average, None),
        (Algorithm::Average, noise),
        (Algorithm::Adam, None),
        (Algorithm::Momentum, noise),
        (Algorithm::Central, None),
    ] {
        (scenario.training.algorithm, scenario.privacy.noise) = (algorithm, noise);
        let (straight, checkpoints) = of(&scenario, None);
        assert_eq!((straight.len(), checkpoints.len()), (6, 6), "{algorithm:?}");
        for (done, checkpoint) in checkpoints.into_iter().enumerate() {
            assert_eq!(checkpoint.round as usize, done);
            let (rest, _) = of(&scenario, Some(checkpoint));
            assert_eq!(rest, straight[done + 1..], "{algorithm:?}, noise {noise:?}, after {done}");
        }
    }
    // One that is of something else is none.
    let (straight, checkpoints) = of(&scenario, None);
    let mut others = checkpoints[2].clone();
    others.values.pop();
    assert_eq!(of(&scenario, Some(others)).0, straight);
    let others = Checkpoint { seed: 4, ..checkpoints[2].clone() };
    assert_eq!(of(&scenario, Some(others)).0, straight);
}

/// Where each document is hidden by itself, all of a peer's count, so there is far more to hear beside the same noise.
#[test]
fn the_noise_for_a_document_is_borne_by_a_cohort_that_cannot_bear_it_for_peers() {
    let task: Arc<dyn Learns> = Arc::new(Surrogate::new(5, 300, 0.2, vec![vec![5; 4]; 100]));
    let mut scenario = scenario(100);
    scenario.sum.secure = false;
    scenario.training.rounds = 8;
    (scenario.privacy.epsilon, scenario.privacy.documents) = (Some(2.0), 20);
    // As long as what is sent is anyway.
    scenario.privacy.clip = 0.4;
    let peers = *quality(&ran(&scenario, 3, &task)).last().expect("the end");
    (scenario.privacy.unit, scenario.privacy.clip) = (Unit::Document, 1.0);
    let rounds = ran(&scenario, 3, &task);
    let documents = *quality(&rounds).last().expect("the end");
    let spent = rounds[8].epsilon.expect("noise");
    assert!((1.99..=2.0).contains(&spent), "{spent}");
    assert!(documents > 0.7 && peers < 0.4, "{documents} and {peers}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let mut scenario = scenario(12);
    scenario.availability.dropout.upload = 0.1;
    scenario.availability.stragglers = 0.2;
    scenario.availability.slowdown = 4.0;
    scenario.network.loss = 0.01;
    scenario.network.bandwidth_mbit = [1.0, 10.0];
    let task = task(12, 0.5);
    let bytes = |seed| serde_json::to_vec(&ran(&scenario, seed, &task)).expect("JSON");
    let first = bytes(7);
    assert_eq!(first, bytes(7));
    assert_ne!(first, bytes(8));
}

#[test]
fn who_leaves_in_any_phase_costs_its_own_update_at_most() {
    let peers = 20;
    let task = task(peers, 0.0);
    type Leave = fn(&mut Scenario);
    let phases: [(&str, bool, Leave); 6] = [
        ("training", false, |it| it.availability.dropout.training = 0.15),
        ("keys", false, |it| it.availability.dropout.keys = 0.15),
        ("shares", false, |it| it.availability.dropout.shares = 0.15),
        ("upload", false, |it| it.availability.dropout.upload = 0.15),
        ("survivors", true, |it| it.availability.dropout.survivors = 0.15),
        ("opening", true, |it| it.availability.dropout.opening = 0.15),
    ];
    for topology in [Topology::Complete, Topology::Sparse] {
        for (phase, is_summed, leave) in phases {
            let mut scenario = scenario(peers);
            scenario.sum.topology = topology;
            scenario.training.rounds = 2;
            leave(&mut scenario);
            let rounds = ran(&scenario, 11, &task);
            for metric in &rounds[1..] {
                assert_eq!(metric.failed, None, "{phase}");
                assert_eq!(metric.attempts, 1, "{phase}");
                assert_eq!(metric.survivors == peers, is_summed, "{phase}: {}", metric.survivors);
            }
            assert!(rounds[2].quality > rounds[1].quality, "{phase}");
        }
    }
}

#[test]
fn a_round_that_too_many_leave_is_tried_again_and_then_fails_without_a_trace() {
    let mut scenario = scenario(10);
    scenario.training.rounds = 1;
    scenario.availability.dropout.upload = 0.7;
    let rounds = ran(&scenario, 2, &task(10, 0.0));
    assert_eq!(rounds[1].attempts, 2);
    assert!(rounds[1].failed.is_some());
    // Who has given its update to the first attempt gives nothing to another, so the first is the last that anybody checked in for.
    assert_eq!(rounds[1].cohort, 10);
    assert_eq!(rounds[1].quality, rounds[0].quality);
}

#[test]
fn a_vector_far_above_the_clip_norm_ends_the_round_and_a_clipped_one_does_little() {
    let bad = |attack, strength| Adversary { attack, share: 0.1, strength };
    let task = task(20, 0.0);
    let of = |adversaries: Vec<Adversary>| {
        let mut scenario = scenario(20);
        scenario.adversaries = adversaries;
        scenario.privacy.clip = 0.6;
        ran(&scenario, 4, &task)
    };
    let honest = of(vec![]);
    let garbage = of(vec![bad(Attack::Garbage, 1e4)]);
    assert!(garbage[1].failed.as_ref().is_some_and(|why| why.contains("cap")), "{garbage:?}");
    assert_eq!(garbage[3].quality, garbage[0].quality, "nothing was learnt, and nothing lost");
    let flipped = of(vec![bad(Attack::SignFlip, 1e4)]);
    assert_eq!(flipped[3].failed, None);
    assert!(flipped[3].quality < honest[3].quality);
    assert!(flipped[3].quality > Some(0.5), "a tenth of clipped vectors moves little");
}

#[test]
fn together_they_learn_what_none_could_alone() {
    let mut scenario = scenario(10);
    (scenario.sum.secure, scenario.training.rounds) = (false, 12);
    let task = task(10, 0.0);
    let of = |algorithm| {
        let mut scenario = scenario.clone();
        scenario.training.algorithm = algorithm;
        *quality(&ran(&scenario, 1, &task)).last().expect("rounds")
    };
    let (together, alone, pooled) =
        (of(Algorithm::Average), of(Algorithm::Local), of(Algorithm::Central));
    assert!(alone < 0.8 && together > 0.9, "{alone} {together}");
    assert!(pooled > together - 0.02, "{pooled} {together}");
}

#[test]
fn a_budget_that_is_spent_ends_the_rounds() {
    let mut scenario = scenario(8);
    scenario.privacy.epsilon = Some(8.0);
    scenario.sum.dropout = 0.2;
    let task = task(8, 0.0);
    let rounds = ran(&scenario, 1, &task);
    let spent = rounds[3].epsilon.expect("noise");
    assert!(rounds[3].failed.is_none() && spent <= 8.0 && spent > 7.9, "{spent}");
    assert!(rounds[1].epsilon < rounds[2].epsilon);
    scenario.sum.secure = false;
    let clear = ran(&scenario, 1, &task);
    assert_eq!(clear[3].epsilon, rounds[3].epsilon, "one meaning in both");
}

/// The sums in the clear are a reference federation: it knows who is in each sum and adds their words. Whatever befalls peers, rounds come to what it
/// says, or fail where it does.
#[test]
fn whatever_befalls_peers_rounds_come_to_what_the_reference_says() {
    let mut outcomes = (0, 0);
    for number in 0..24_u64 {
        let mut draw = Draw::new(number, "reference", 0, 0);
        let peers = 8 + draw.below(20) as u32;
        let mut scenario = scenario(peers);
        scenario.sum.attempts = 1;
        scenario.sum.topology = [Topology::Complete, Topology::Sparse][draw.below(2)];
        scenario.sum.dropout = [0.2, 0.3][draw.below(2)];
        scenario.privacy.noise = [None, Some(0.2)][draw.below(2)];
        scenario.privacy.clip = [0.3, 2.0][draw.below(2)];
        scenario.privacy.unit = [Unit::Peer, Unit::Document][draw.below(2)];
        scenario.training.weighted = draw.below(2) == 0 && scenario.privacy.unit == Unit::Peer;
        scenario.training.algorithm =
            [Algorithm::Average, Algorithm::Momentum, Algorithm::Adam, Algorithm::Yogi]
                [draw.below(4)];
        let mut leave = || [0.0, 0.0, 0.1, 0.25][draw.below(4)];
        let dropout = &mut scenario.availability.dropout;
        (dropout.keys, dropout.shares, dropout.upload) = (leave(), leave(), leave());
        (dropout.survivors, dropout.opening) = (leave() / 3.0, leave() / 3.0);
        if draw.below(3) == 0 {
            let attack = [Attack::Scale, Attack::SignFlip, Attack::Garbage][draw.below(3)];
            scenario.adversaries = vec![Adversary { attack, share: 0.2, strength: 50.0 }];
        }
        let task = task(peers, 1.0);
        let secure = ran(&scenario, number, &task);
        scenario.sum.secure = false;
        let clear = ran(&scenario, number, &task);
        for (secure, clear) in secure.iter().zip(&clear) {
            // Who leaves after the vectors may leave too few to unmask, which the reference does not look at.
            if secure.failed.is_some() && clear.failed.is_none() {
                let left =
                    scenario.availability.dropout.survivors + scenario.availability.dropout.opening;
                assert!(left > 0.0, "{number}: {secure:?}");
                outcomes.1 += 1;
                break;
            }
            assert_eq!(
                secure.failed.is_some(),
                clear.failed.is_some(),
                "{number}: {secure:?} {clear:?}"
            );
            assert_eq!(secure.quality, clear.quality, "{number}: {secure:?} {clear:?}");
            assert_eq!(secure.norm, clear.norm, "{number}");
            assert_eq!(secure.epsilon, clear.epsilon, "{number}: {secure:?} {clear:?}");
            if secure.failed.is_none() {
                assert_eq!(secure.survivors, clear.survivors, "{number}");
                outcomes.0 += 1;
            } else {
                outcomes.1 += 1;
            }
        }
    }
    assert!(outcomes.0 > 30 && outcomes.1 > 5, "both ways are taken: {outcomes:?}");
}
