//! A coordinator that lies, and peers that collude with it: who refuses, and what opens.

use std::collections::BTreeMap;
use std::sync::Arc;

use covey_node::cancel::CancelFlag;
use covey_sim::learner::{Learns, Surrogate};
use covey_sim::metrics::{Event, RoundMetric};
use covey_sim::scenario::{Adversary, Attack, Coordinator, Lies, Scenario, ready};
use covey_sim::training::{Checkpoint, train};

fn ran(scenario: &Scenario) -> (Vec<RoundMetric>, Vec<Event>) {
    let topics = vec![vec![20; 3]; scenario.peers as usize];
    let task: Arc<dyn Learns> = Arc::new(Surrogate::new(5, 300, 0.2, topics));
    let (mut rounds, mut events) = (Vec::new(), Vec::new());
    let note = &mut |event| {
        events.push(event);
        Ok(())
    };
    let tell = &mut |metric, _: Option<&Checkpoint>| {
        rounds.push(metric);
        Ok(())
    };
    let running = async { train(scenario, 3, task, None, &CancelFlag::new(), note, tell).await };
    covey_sim::run(running).expect("a runtime").expect("it runs");
    (rounds, events)
}

fn scenario(peers: u32, lies: Lies, colluders: f64) -> Scenario {
    let mut scenario = Scenario { peers, coordinator: Coordinator { lies }, ..Scenario::default() };
    scenario.training.rounds = 3;
    (scenario.sum.dropout, scenario.sum.attempts) = (0.2, 1);
    if colluders > 0.0 {
        scenario.adversaries =
            vec![Adversary { attack: Attack::Collude, share: colluders, strength: 1.0 }];
    }
    assert_eq!(scenario.validate(), Ok(()));
    scenario
}

fn refused<const N: usize>(of: [(&str, u32); N]) -> BTreeMap<String, u32> {
    of.into_iter().map(|(check, peers)| (check.to_owned(), peers)).collect()
}

#[test]
fn each_lie_is_seen_through_by_the_check_that_is_there_for_it() {
    let cases = [
        (Lies::SwappedKeys, refused([("A6", 1), ("A7", 7)])),
        (Lies::TwoModels, refused([("A7", 8)])),
        (Lies::SmallCohort, refused([("A3", 8)])),
        (Lies::TwoSets, refused([("A19", 8)])),
    ];
    for (lies, expected) in cases {
        let (rounds, events) = ran(&scenario(8, lies, 0.0));
        for round in &rounds[1..] {
            assert_eq!(round.refused, expected, "{lies:?}");
            assert_eq!((round.opened, round.exposed), (Some(0), Some(0)), "{lies:?}");
            assert!(round.failed.is_some() && round.survivors == 0, "{lies:?}: {round:?}");
        }
        assert_eq!(events.len(), 24, "{lies:?}: {events:?}");
        assert!(events.iter().all(|event| {
            let check = event.more["check"].as_str().expect("a number");
            event.what == "refused" && expected.contains_key(check)
        }));
    }
}

#[test]
fn a_plan_that_comes_again_is_refused_and_what_came_before_it_stays() {
    let mut scenario = scenario(6, Lies::Replay, 0.0);
    scenario.training.rounds = 4;
    let (rounds, _) = ran(&scenario);
    for honest in &rounds[1..3] {
        assert_eq!((honest.survivors, honest.opened), (6, None), "{honest:?}");
        assert!(honest.refused.is_empty() && honest.failed.is_none());
    }
    for replayed in &rounds[3..] {
        assert_eq!(replayed.refused, refused([("R9", 6)]));
        assert_eq!((replayed.cohort, replayed.exposed), (0, Some(0)));
    }
    assert_eq!(rounds[2].quality, rounds[4].quality);
}

#[test]
fn colluders_of_a_coordinator_that_keeps_to_the_protocol_change_nothing_and_learn_nothing() {
    let (honest, _) = ran(&scenario(10, Lies::None, 0.0));
    for share in [0.1, 0.5] {
        let (colluding, events) = ran(&scenario(10, Lies::None, share));
        assert!(events.is_empty(), "{events:?}");
        for (one, other) in honest.iter().zip(&colluding) {
            assert_eq!((one.quality, one.up_bytes), (other.quality, other.up_bytes));
            assert_eq!((one.at_s, other.opened), (other.at_s, None));
            // More than half of the shares of what masks of pairs come from are never together.
            assert_eq!((one.exposed, other.exposed), (None, (one.round > 0).then_some(0)));
        }
    }
}

/// Two halves that are told of different survivors open shares of both kinds, if there are enough to agree in both.
#[test]
fn more_colluders_than_a_sum_withstands_open_an_update_and_no_more_than_that_do_not() {
    let mut twice = scenario(20, Lies::TwoSets, 0.1);
    for (share, opens) in [(0.0, 0), (0.05, 0), (0.1, 0), (0.2, 1), (0.3, 1)] {
        twice.adversaries = vec![Adversary { attack: Attack::Collude, share, strength: 1.0 }];
        let (rounds, _) = ran(&twice);
        for round in &rounds[1..] {
            assert_eq!(round.exposed, Some(opens), "{share}: {round:?}");
            let fooled = round.opened.expect("it lies");
            let honest = 20 - (20.0 * share) as u32;
            assert_eq!(fooled + round.refusals(), honest, "{share}: {round:?}");
            assert_eq!(fooled > 0, opens > 0, "{share}: {round:?}");
        }
    }
}

#[test]
fn the_scenario_that_is_ready_shows_both_and_is_the_same_each_time() {
    let text = ready::by_name("betrayal").expect("there").text;
    let scenario = Scenario::parse(text, &[]).expect("sound");
    let (rounds, events) = ran(&scenario);
    assert_eq!(rounds.len(), 4);
    for round in &rounds[1..] {
        assert_eq!(round.refused, refused([("A19", 18)]));
        assert_eq!((round.opened, round.exposed), (Some(0), Some(0)));
    }
    assert_eq!(ran(&scenario), (rounds, events));
}
