//! Who takes no part in rounds, for whatever reason, costs its own update at most, and is told of.

use std::sync::Arc;

use covey_node::cancel::CancelFlag;
use covey_node::rounds::Trained;
use covey_protocol::ids::ModelId;
use covey_protocol::round::Checked;
use covey_sim::SimError;
use covey_sim::learner::{Judged, Learns, Surrogate};
use covey_sim::metrics::{Event, RoundMetric};
use covey_sim::scenario::{Algorithm, Scenario, Sum, Training};
use covey_sim::training::{Checkpoint, train};

/// A task in which these peers never come to anything.
struct Fails(Surrogate, Vec<usize>);

impl Learns for Fails {
    fn model(&self) -> ModelId {
        self.0.model()
    }

    fn adapter(&self) -> Vec<u8> {
        self.0.adapter()
    }

    fn start(&self) -> Vec<f32> {
        self.0.start()
    }

    fn peers(&self) -> usize {
        self.0.peers()
    }

    fn examples(&self, peer: usize) -> usize {
        self.0.examples(peer)
    }

    fn pooled(&self) -> Box<dyn Learns> {
        self.0.pooled()
    }

    fn train(
        &self,
        peer: usize,
        plan: &Checked,
        values: Vec<f32>,
        most: u32,
        seed: u64,
    ) -> Result<Trained, SimError> {
        match self.1.contains(&peer) {
            true => Err(SimError::Scenario("there are too few pairs to learn from".to_owned())),
            false => self.0.train(peer, plan, values, most, seed),
        }
    }

    fn judge(&self, values: &[f32]) -> Result<Judged, SimError> {
        self.0.judge(values)
    }

    fn quality_for(&self, peer: usize, values: &[f32]) -> Option<f64> {
        self.0.quality_for(peer, values)
    }
}

fn scenario(peers: u32) -> Scenario {
    Scenario {
        peers,
        training: Training { rounds: 2, rate: 0.3, ..Training::default() },
        sum: Sum { dropout: 0.3, attempts: 1, ..Sum::default() },
        ..Scenario::default()
    }
}

fn task(peers: u32, fail: &[usize]) -> Arc<dyn Learns> {
    let counts = |peer: u32| (0..4).map(|topic| 2 + 5 * (peer + topic) % 11).collect();
    let task = Surrogate::new(5, 200, 0.5, (0..peers).map(counts).collect());
    Arc::new(Fails(task, fail.to_vec()))
}

fn ran(scenario: &Scenario, task: &Arc<dyn Learns>) -> (Vec<RoundMetric>, Vec<Event>) {
    let (mut rounds, mut events) = (Vec::new(), Vec::new());
    let note = &mut |event| {
        events.push(event);
        Ok(())
    };
    let tell = &mut |metric, _: Option<&Checkpoint>| {
        rounds.push(metric);
        Ok(())
    };
    let running =
        async { train(scenario, 3, Arc::clone(task), None, &CancelFlag::new(), note, tell).await };
    covey_sim::run(running).expect("a runtime").expect("it runs to its end");
    (rounds, events)
}

/// The same with secure sums and in the clear.
fn both(scenario: &Scenario, task: &Arc<dyn Learns>) -> [(Vec<RoundMetric>, Vec<Event>); 2] {
    [true, false].map(|secure| {
        let mut scenario = scenario.clone();
        scenario.sum.secure = secure;
        ran(&scenario, task)
    })
}

fn why(event: &Event) -> &str {
    event.more["why"].as_str().expect("a text")
}

#[test]
fn who_has_nothing_to_give_is_told_of_and_the_others_go_on() {
    let task = task(12, &[3, 7]);
    let [(secure, events), (clear, in_the_clear)] = both(&scenario(12), &task);
    for (secure, clear) in secure[1..].iter().zip(&clear[1..]) {
        assert_eq!((secure.cohort, secure.survivors, &secure.failed), (10, 10, &None));
        assert_eq!((clear.cohort, clear.survivors, &clear.failed), (10, 10, &None));
        assert_eq!(secure.quality, clear.quality);
    }
    for events in [events, in_the_clear] {
        let told: Vec<_> = events
            .iter()
            .map(|it| (it.what.as_str(), it.peer.expect("a peer"), it.more["round"].as_u64()))
            .collect();
        let expected = [(3, 1), (7, 1), (3, 2), (7, 2)];
        let mut expected: Vec<_> =
            expected.map(|(peer, round)| ("took no part", peer, Some(round))).to_vec();
        let mut told = told;
        told.sort_by_key(|it| (it.2, it.1));
        expected.sort_by_key(|it| (it.2, it.1));
        assert_eq!(told, expected);
        assert!(events.iter().all(|it| why(it).contains("too few pairs")), "{events:?}");
    }
}

#[test]
fn too_few_end_a_round_and_not_the_run() {
    let mut away = scenario(10);
    away.availability.away = 0.9;
    let mut leave = scenario(10);
    leave.availability.dropout.training = 0.8;
    let none: Arc<dyn Learns> = task(10, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (name, scenario, task) in [
        ("away", away, task(10, &[])),
        ("leave", leave, task(10, &[])),
        ("nobody", scenario(10), none),
    ] {
        for (rounds, _) in both(&scenario, &task) {
            assert_eq!(rounds.len(), 3, "{name}");
            assert!(rounds[1..].iter().all(|it| it.failed.is_some()), "{name}: {rounds:?}");
            assert_eq!(rounds[2].quality, rounds[0].quality, "{name}");
        }
    }
}

#[test]
fn some_who_are_away_or_leave_while_they_train_are_missed_alike() {
    let task = task(20, &[]);
    let mut leave = scenario(20);
    leave.availability.dropout.training = 0.15;
    let [(secure, _), (clear, _)] = both(&leave, &task);
    for (secure, clear) in secure.iter().zip(&clear) {
        assert_eq!((secure.quality, secure.cohort), (clear.quality, clear.cohort));
        assert_eq!((&secure.failed, &clear.failed), (&None, &None));
    }
    let mut away = scenario(20);
    away.availability.away = 0.15;
    for (rounds, _) in both(&away, &task) {
        assert!(rounds[1..].iter().all(|it| it.failed.is_none() && it.cohort < 20), "{rounds:?}");
    }
}

#[test]
fn who_is_cut_short_takes_as_many_steps_in_the_clear() {
    let mut scenario = scenario(12);
    scenario.network.latency_ms = [0.0, 0.0];
    scenario.training.epochs = 40;
    scenario.sum.window_s = 400;
    // The margin is thirty seconds here, not a tenth of the window.
    scenario.availability.step_ms = [7_000.0, 20_000.0];
    let [(secure, _), (clear, _)] = both(&scenario, &task(12, &[]));
    assert_eq!(secure[2].quality, clear[2].quality);
    scenario.availability.step_ms = [500_000.0, 900_000.0];
    for (rounds, events) in both(&scenario, &task(12, &[])) {
        assert!(rounds[1].failed.is_some() && rounds[1].cohort == 0, "{rounds:?}");
        assert!(events.iter().all(|it| why(it).contains("before the first step")), "{events:?}");
        assert_eq!(events.len(), 24);
    }
}

#[test]
fn whose_training_fails_alone_stays_where_it_was() {
    let mut scenario = scenario(10);
    scenario.training.algorithm = Algorithm::Local;
    let (all, _) = ran(&scenario, &task(10, &[]));
    let (some, events) = ran(&scenario, &task(10, &[2, 5]));
    assert_eq!((all[2].cohort, some[2].cohort), (10, 8));
    assert!(some[0].quality < some[2].quality && some[2].quality < all[2].quality);
    assert_eq!(some[2].worst_decile, Some(0.0), "of who stays, nothing has got better");
    assert_eq!(events.len(), 4);
    scenario.training.algorithm = Algorithm::Central;
    scenario.peers = 1;
    let (alone, _) = ran(&scenario, &task(1, &[]));
    assert!(alone[2].quality > alone[0].quality, "one peer is no cohort, and needs none here");
}

#[test]
fn the_worst_tenth_of_those_who_learn_alone_is_judged_by_what_each_is_after() {
    // Each has a topic of its own, and plenty of it.
    let counts = |peer: usize| (0..10).map(|topic| if topic == peer { 400 } else { 0 }).collect();
    let task: Arc<dyn Learns> =
        Arc::new(Surrogate::new(5, 200, 2.0, (0..10).map(counts).collect()));
    let mut scenario = scenario(10);
    scenario.training.rounds = 30;
    scenario.sum.secure = false;
    scenario.privacy.clip = 100.0;
    let (together, _) = ran(&scenario, &task);
    scenario.training.algorithm = Algorithm::Local;
    let (alone, _) = ran(&scenario, &task);
    let last = |rounds: &[RoundMetric]| {
        let last = rounds.last().expect("rounds");
        (last.quality.expect("judged"), last.worst_decile.expect("told apart"))
    };
    let ((common, of_common), (own, of_own)) = (last(&together), last(&alone));
    assert!(common > 0.9 && of_common < 0.5, "{common} {of_common}");
    assert!(own < 0.5 && of_own > 0.9, "{own} {of_own}");
}
