//! Groups that search while members come and go.

use std::sync::Arc;

use covey_node::cancel::CancelFlag;
use covey_node::models::{Models, OneModel};
use covey_sim::metrics::SearchMetric;
use covey_sim::scenario::{Adversary, Attack, Scenario, Search};
use covey_sim::searching::search;

fn ran(scenario: &Scenario, seed: u64) -> Vec<SearchMetric> {
    let mut hours = Vec::new();
    let models: Arc<dyn Models> = Arc::new(OneModel::builtin().expect("loads"));
    let tell = &mut |metric, _| {
        hours.push(metric);
        Ok(())
    };
    search(scenario, seed, &models, &CancelFlag::new(), &mut |_, _| {}, tell).expect("it runs");
    hours
}

fn scenario(peers: u32, group: u32) -> Scenario {
    let search = Search { hours: 2, per_hour: 1.0, group, passages: 6, sharing: 1.0 };
    Scenario { peers, search, ..Scenario::default() }
}

#[test]
fn with_everybody_there_everything_is_found_and_the_same_seed_gives_the_same() {
    let scenario = scenario(12, 6);
    let hours = ran(&scenario, 3);
    assert_eq!(hours.len(), 2);
    for hour in &hours {
        assert_eq!((hour.questions, hour.asked, hour.answered), (12, 60, 60), "{hour:?}");
        assert_eq!(hour.recall, Some(1.0), "{hour:?}");
        assert!(hour.p50_ms > 10.0 && hour.p95_ms >= hour.p50_ms && hour.bytes > 0);
    }
    assert_eq!(hours, ran(&scenario, 3));
    assert_ne!(hours, ran(&scenario, 4));
}

/// More than one district, which are lived through at the same time.
#[test]
fn a_town_of_several_districts_comes_to_the_same_whoever_is_first_and_tells_each_hour_once() {
    let mut scenario = scenario(206, 2);
    scenario.search.passages = 1;
    scenario.search.per_hour = 0.5;
    scenario.adversaries = vec![Adversary { attack: Attack::Flood, share: 0.05, strength: 9.0 }];
    let hours = ran(&scenario, 5);
    assert_eq!(hours.iter().map(|it| it.hour).collect::<Vec<_>>(), [1, 2]);
    for hour in &hours {
        // Each asks the only other one.
        assert!(hour.questions > 100 && hour.asked == hour.questions, "{hour:?}");
        assert_eq!((hour.answered, hour.recall), (hour.asked, Some(1.0)), "{hour:?}");
        assert!(hour.harvested.is_some(), "{hour:?}");
    }
    assert_eq!(hours, ran(&scenario, 5));
}

#[test]
fn who_is_away_is_missed_who_forges_is_not_believed_and_who_leaves_is_replaced() {
    let mut scenario = scenario(16, 8);
    scenario.availability.away = 0.25;
    scenario.availability.churn_per_hour = 0.3;
    scenario.adversaries =
        vec![Adversary { attack: Attack::ForgeScores, share: 0.13, strength: 1.0 }];
    let hours = ran(&scenario, 1);
    let sum = |of: fn(&SearchMetric) -> u64| hours.iter().map(of).sum::<u64>();
    assert!(sum(|it| it.offline) > 0 && sum(|it| it.refused) > 0, "{hours:?}");
    assert!(hours.iter().all(|it| it.recall.is_some_and(|recall| recall > 0.4 && recall < 1.0)));
    assert!(hours.iter().all(|it| it.attack == Some(0.0)), "no forged text comes first: {hours:?}");
    assert_eq!(sum(|it| it.asked), sum(|it| it.answered + it.refused + it.timed_out + it.offline));
}

#[test]
fn who_floods_harvests_more_from_hour_to_hour_and_who_forges_is_told_apart_from_it() {
    let mut scenario = scenario(16, 8);
    scenario.search.hours = 3;
    scenario.availability.churn_per_hour = 0.2;
    let of = |attack, strength| Adversary { attack, share: 0.13, strength };
    scenario.adversaries = vec![of(Attack::Flood, 6.0), of(Attack::ForgeScores, 1.0)];
    let hours = ran(&scenario, 2);
    let harvested: Vec<f64> = hours.iter().filter_map(|it| it.harvested).collect();
    assert_eq!(harvested.len(), 3);
    assert!(harvested[0] > 0.1 && harvested.iter().all(|it| *it <= 1.0), "{harvested:?}");
    assert!(harvested[2] > harvested[0], "what it has got it keeps: {harvested:?}");
    assert!(hours.iter().all(|it| it.attack == Some(0.0)), "{hours:?}");
    scenario.adversaries.pop();
    assert!(ran(&scenario, 2).iter().all(|it| it.attack.is_none() && it.harvested.is_some()));
}

#[test]
fn who_claims_little_is_never_looked_at_and_never_refused() {
    let mut scenario = scenario(16, 8);
    let refused = |strength| {
        scenario.adversaries =
            vec![Adversary { attack: Attack::ForgeScores, share: 0.13, strength }];
        ran(&scenario, 1).iter().map(|it| it.refused).sum::<u64>()
    };
    let [all, little] = [1.0, 0.001].map(refused);
    assert!(all > 0 && little == 0, "{all} {little}");
}
