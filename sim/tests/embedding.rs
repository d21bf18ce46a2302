//! The embedder as what is learnt.

use std::sync::Arc;

use covey_node::cancel::CancelFlag;
use covey_privacy::ledger::Unit;
use covey_sim::learner::{self, Learns};
use covey_sim::metrics::RoundMetric;
use covey_sim::scenario::{Algorithm, Learner, Scenario};
use covey_sim::training::{Checkpoint, train};

fn scenario() -> Scenario {
    let mut scenario = Scenario { peers: 4, ..Scenario::default() };
    scenario.learner = Learner::Embedder { model: None, rank: Some(2), found: 0 };
    (scenario.data.examples, scenario.data.topics) = (80, 2);
    (scenario.training.rounds, scenario.training.rate) = (1, 0.01);
    scenario
}

/// One step by document comes to the same whether sums are secure or not, and where pairs are told apart better.
#[test]
fn documents_are_learnt_from_one_by_one() {
    let mut scenario = scenario();
    (scenario.privacy.unit, scenario.privacy.clip) = (Unit::Document, 1.0);
    (scenario.training.rounds, scenario.training.server_rate) = (3, 1.0);
    let task = learner::of(&scenario, 1).expect("a task");
    let mut ran = |secure| {
        scenario.sum.secure = secure;
        let mut rounds = Vec::new();
        let tell = &mut |metric, _: Option<&Checkpoint>| {
            rounds.push(metric);
            Ok(())
        };
        let (cancel, task) = (CancelFlag::new(), Arc::clone(&task));
        let running =
            async { train(&scenario, 1, task, None, &cancel, &mut |_| Ok(()), tell).await };
        covey_sim::run(running).expect("a runtime").expect("it runs");
        for metric in &rounds {
            // By what each holds out, and none is served worse than that.
            let (worst, all) =
                (metric.worst_decile.expect("told"), metric.peers_quality.expect("told"));
            assert!((0.0..=1.0).contains(&worst) && worst <= all && all <= 1.0, "{metric:?}");
        }
        let told = |metric: &RoundMetric| (metric.survivors, metric.norm, metric.quality);
        rounds.iter().map(told).collect::<Vec<_>>()
    };
    let (secure, clear) = (ran(true), ran(false));
    assert_eq!(secure, clear);
    assert!(secure[1..].iter().all(|(survivors, norm, _)| *survivors == 4 && norm.is_some()));
    let quality: Vec<f64> = secure.iter().map(|(_, _, quality)| quality.expect("judged")).collect();
    assert!(quality[3] >= quality[0], "{quality:?}");
}

fn local(task: &Arc<dyn Learns>) -> Vec<RoundMetric> {
    let mut scenario = scenario();
    scenario.training.algorithm = Algorithm::Local;
    let mut rounds = Vec::new();
    let tell = &mut |metric, _: Option<&Checkpoint>| {
        rounds.push(metric);
        Ok(())
    };
    let (cancel, task) = (CancelFlag::new(), Arc::clone(task));
    let running = async { train(&scenario, 1, task, None, &cancel, &mut |_| Ok(()), tell).await };
    covey_sim::run(running).expect("a runtime").expect("it runs");
    rounds
}

#[test]
fn peers_that_learn_alone_are_all_judged_and_by_several_at_a_time_the_same() {
    let task = learner::of(&scenario(), 1).expect("a task");
    let rounds = local(&task);
    assert_eq!((rounds.len(), rounds[1].cohort), (2, 4));
    assert_eq!(rounds[1].worst_decile, None, "peers are not told apart");
    assert_eq!(rounds, local(&task));

    let values = |by: f32| task.start().iter().map(|value| value + by).collect::<Vec<f32>>();
    let each = [0.0, 0.01, 0.02, 0.03].map(values);
    let alone = each.each_ref().map(|values| task.judge(values).expect("judged"));
    let together = std::thread::scope(|scope| {
        let task = &task;
        let all = each.each_ref().map(|values| scope.spawn(move || task.judge(values)));
        all.map(|it| it.join().expect("no panic").expect("judged"))
    });
    assert_eq!(alone, together);
}
