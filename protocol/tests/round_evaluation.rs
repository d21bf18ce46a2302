//! Evaluations: what is summed, and what it costs.

use covey_privacy::encode::{Encoding, Sum};
use covey_privacy::rng::SimulationRng;
use covey_protocol::round::{Check, Measure, Plan};
use covey_protocol::secagg::{Bounds, Topology};
use proptest::prelude::*;

use crate::round_world::{evaluating, noisy, plan, signed, verified};
use crate::secagg_round::LOOSE;

fn asking(cohort: u32) -> Plan {
    let mut plan = plan(Topology::Complete, cohort, LOOSE);
    evaluating(&mut plan);
    plan
}

proptest! {
    /// Whatever members send, each is held to its bounds, and the mean is that of all.
    #[test]
    fn the_mean_is_that_of_what_members_may_send(
        sent in prop::collection::vec((-50.0..50.0_f64, -50.0..50.0_f64, -2.0..2.0_f64), 3..10),
    ) {
        let checked = verified(&signed(&asking(10))).expect("sound");
        let encoding = Encoding::new(checked.layout().clone()).expect("a layout");
        let mut sum = vec![0_u32; 3];
        let mut means = [0.0; 3];
        for (number, &(before, after, vote)) in sent.iter().enumerate() {
            let mut rng = SimulationRng::numbered(1, number as u64);
            let encoded = encoding.encode(&[], &[before, after, vote], &mut rng).expect("finite");
            for (sum, word) in sum.iter_mut().zip(encoded.noised(&mut rng).words()) {
                *sum = sum.wrapping_add(*word);
            }
            for (mean, (value, measure)) in
                means.iter_mut().zip([before, after, vote].iter().zip(Measure::OF_EVALUATION))
            {
                let bound = measure.bound();
                *mean += value.clamp(-bound, bound) / sent.len() as f64;
            }
        }
        let decoded = Sum::new(&encoding, sum, sent.len() as u32).expect("as many").decode();
        let decoded = decoded.expect("within the cap");
        prop_assert!(decoded.mean.is_empty());
        for (found, expected) in decoded.extras.iter().zip(means) {
            prop_assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
    }

    /// With the noise of the rounds an evaluation costs no more than one of them.
    #[test]
    fn it_costs_no_more_than_a_round(cohort in 4_u32..60, multiplier in 0.05..20.0_f64) {
        let bounds = Bounds { collusion_permille: 100, ..LOOSE };
        let mut trains = plan(Topology::Complete, cohort, bounds);
        noisy(&mut trains, multiplier);
        let mut asks = trains.clone();
        evaluating(&mut asks);
        let cost = |plan: &Plan| verified(&signed(plan)).expect("sound").cost().expect("noise");
        prop_assert!(cost(&asks) <= cost(&trains));
        // And not much less: what it says is worth as much.
        prop_assert!(cost(&asks).get() > 0.9 * cost(&trains).get());
    }
}

#[test]
fn a_training_plan_has_no_vote() {
    let mut plan = plan(Topology::Complete, 10, LOOSE);
    plan.contribution.measures = Measure::OF_EVALUATION.to_vec();
    plan.sum.entries += 3;
    assert_eq!(plan.check().map(drop), Err(Check::Shape));
}
