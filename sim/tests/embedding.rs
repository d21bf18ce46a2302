//! The embedder as what is learnt.

use std::sync::Arc;

use covey_node::cancel::CancelFlag;
use covey_sim::learner;
use covey_sim::learner::Learns;
use covey_sim::metrics::RoundMetric;
use covey_sim::scenario::{Algorithm, Learner, Scenario};
use covey_sim::training::train;

fn scenario() -> Scenario {
    let mut scenario = Scenario { peers: 4, ..Scenario::default() };
    scenario.learner = Learner::Embedder { model: None, rank: Some(2) };
    (scenario.data.examples, scenario.data.topics) = (80, 2);
    (scenario.training.rounds, scenario.training.rate) = (1, 0.01);
    scenario
}

fn local(task: &Arc<dyn Learns>) -> Vec<RoundMetric> {
    let mut scenario = scenario();
    scenario.training.algorithm = Algorithm::Local;
    let mut rounds = Vec::new();
    let tell = &mut |metric| {
        rounds.push(metric);
        Ok(())
    };
    let (cancel, task) = (CancelFlag::new(), Arc::clone(task));
    let running = async { train(&scenario, 1, task, &cancel, &mut |_| Ok(()), tell).await };
    covey_sim::run(running).expect("a runtime").expect("it runs");
    rounds
}

#[test]
fn peers_that_learn_alone_are_all_judged_and_by_several_at_a_time_the_same() {
    let task = learner(&scenario(), 1).expect("a task");
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
