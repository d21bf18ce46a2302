//! How far an attack on training got: beside the same rounds without it.

use covey_node::cancel::CancelFlag;

use crate::metrics::RoundMetric;
use crate::scenario::{Coordinator, Scenario};
use crate::training::{self, Checkpoint};
use crate::{SimError, learner};

/// What honest peers would have come to, by round, where some are not. In the clear, where that comes to the same, as it takes a fraction of the time.
pub(crate) fn reference(
    scenario: &Scenario,
    seed: u64,
    cancel: &CancelFlag,
) -> Result<Vec<Option<f64>>, SimError> {
    if !scenario.adversaries.iter().any(|it| it.attack.spoils_values()) {
        return Ok(Vec::new());
    }
    let mut honest = scenario.clone();
    honest.adversaries.clear();
    honest.coordinator = Coordinator::default();
    let task = learner::of(&honest, seed)?;
    honest.sum.secure &= !training::is_same_in_the_clear(&honest, seed, &*task);
    let mut quality = Vec::new();
    let mut keep = |metric: RoundMetric, _: Option<&Checkpoint>| {
        quality.push(metric.quality);
        Ok(())
    };
    let mut note = |_| Ok(());
    let running =
        async { training::train(&honest, seed, task, None, cancel, &mut note, &mut keep).await };
    crate::run(running).map_err(|error| SimError::bad(&error))??;
    Ok(quality)
}

/// What honest peers have to gain for a share of it to mean anything.
const LEAST_GAIN: f64 = 1e-3;

/// What share of what honest peers gained an attack has undone: below 0 where it did good, above 1 where things are worse than they were before.
pub(crate) fn undone(honest: &[Option<f64>], metric: &RoundMetric) -> Option<f64> {
    let of = |round: usize| honest.get(round).copied().flatten();
    let (before, after) = (of(0)?, of(metric.round as usize)?);
    let gained = after - before;
    let lost = (after - metric.quality?) / gained;
    (metric.round > 0 && gained >= LEAST_GAIN && lost.is_finite()).then_some(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_undoes_a_share_of_what_there_was_to_gain_if_there_was_anything() {
        let of = |after: f64, quality: Option<f64>| {
            let metric = RoundMetric { round: 1, quality, ..RoundMetric::default() };
            undone(&[Some(0.25), Some(after)], &metric)
        };
        assert_eq!(of(0.75, Some(0.75)), Some(0.0));
        assert_eq!(of(0.75, Some(0.25)), Some(1.0));
        // Worse than before, and better than without.
        assert_eq!(of(0.75, Some(-0.25)), Some(2.0));
        assert_eq!(of(0.75, Some(1.25)), Some(-1.0));
        assert_eq!(of(0.75, None), None);
        assert_eq!(of(0.2501, Some(0.0)), None, "as good as nothing was gained");
        assert_eq!(of(0.1, Some(0.0)), None);
    }
}
