//! How far attacks on training get, by the runs that the command line makes.

use covey_node::cancel::CancelFlag;
use covey_sim::metrics::{Metric, RoundMetric};
use covey_sim::scenario::{Adversary, Attack, Scenario};
use covey_sim::{Happened, learner, run_scenario};

fn ran(scenario: &Scenario) -> Vec<RoundMetric> {
    let mut rounds = Vec::new();
    let tell = &mut |happened| {
        if let Happened::Measured(metric, _) = happened
            && let Metric::Round(round) = *metric
        {
            rounds.push(round);
        }
        Ok(())
    };
    run_scenario(scenario, None, &CancelFlag::new(), tell).expect("it runs");
    rounds
}

fn poisoned(share: f64, clip: f64) -> Scenario {
    let mut scenario = Scenario { peers: 20, ..Scenario::default() };
    scenario.training.rounds = 12;
    scenario.training.rate = 0.3;
    scenario.sum.secure = false;
    scenario.privacy.clip = clip;
    scenario.adversaries = vec![Adversary { attack: Attack::Poison, share, strength: 1.0 }];
    scenario
}

#[test]
fn poison_gets_somewhere_where_nothing_is_clipped_and_less_far_where_it_is() {
    let last = |rounds: &[RoundMetric]| rounds.last().and_then(|it| it.attack).expect("told");
    let free = ran(&poisoned(0.3, 1_000.0));
    assert!(free[0].attack.is_none(), "there is nothing to undo yet");
    // Three in ten pull the other way, so that four tenths of the way remain: 1 - 0.6² of it is gained.
    let undone = last(&free);
    assert!((0.3..0.45).contains(&undone), "{undone}");
    let quality = free.last().and_then(|it| it.quality).expect("judged");
    assert!(quality < 0.7, "judged by what is true: {quality}");
    let fewer = last(&ran(&poisoned(0.1, 1_000.0)));
    assert!(fewer > 0.02 && fewer < undone, "{fewer}");
}

#[test]
fn poison_changes_what_is_learnt_and_not_what_is_best() {
    let bad = poisoned(0.3, 1_000.0);
    let honest = Scenario { adversaries: Vec::new(), ..bad.clone() };
    let [bad, honest] = [bad, honest].map(|scenario| learner::of(&scenario, 1).expect("a task"));
    let values = vec![0.01; bad.start().len()];
    assert_eq!(bad.judge(&values).expect("judged"), honest.judge(&values).expect("judged"));
}

/// Where what is lost on the way matters, the honest run that an attack is held against loses it too.
#[test]
fn without_an_attack_nothing_is_undone_whatever_is_lost_on_the_way() {
    let mut scenario = poisoned(0.02, 1.0);
    scenario.peers = 12;
    scenario.training.rounds = 3;
    scenario.sum.secure = true;
    scenario.sum.attempts = 2;
    scenario.sum.dropout = 0.2;
    scenario.availability.dropout.upload = 0.3;
    scenario.availability.away = 0.1;
    // A fiftieth of twelve is nobody.
    for round in &ran(&scenario)[1..] {
        assert!(round.attack.is_none_or(|attack| attack == 0.0), "{round:?}");
    }
}
