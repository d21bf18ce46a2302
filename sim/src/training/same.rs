//! When words that are added in the clear come to what a secure sum of them comes to, to the bit.

use std::time::Duration;

use covey_protocol::limits::MAX_PIECE;

use super::campaign::learning;
use super::fate::{FIRST, Nature};
use crate::learner::{Learns, steps};
use crate::scenario::Scenario;

/// Requests of a phase that may follow each other, with some to spare.
const TRIPS: u32 = 10;

/// Whether a scenario's rounds come to the same with secure sums and in the clear. Then everybody who should be in a sum is: nothing is lost, cut off or slowed
/// down between peers, all who take part are there, nobody has so little time that it gets through fewer steps, and no attempt is followed by another one.
pub(crate) fn is_same_in_the_clear(scenario: &Scenario, seed: u64, learner: &dyn Learns) -> bool {
    let Scenario { network, availability, sum, .. } = scenario;
    let undisturbed = network.loss == 0.0
        && network.cuts.is_empty()
        && network.bandwidth_mbit == [0.0; 2]
        && availability.away == 0.0;
    let out = &availability.dropout;
    // Who leaves after its vector is there may leave too few to unmask the sum, which nobody looks at in the clear.
    let unmasks = out.survivors + out.opening == 0.0;
    let once = sum.attempts == 1 || out.keys + out.shares + out.upload == 0.0;
    undisturbed && unmasks && once && has_time(scenario, seed, learner)
}

/// Whether all peers get through all steps and messages in time.
fn has_time(scenario: &Scenario, seed: u64, learner: &dyn Learns) -> bool {
    let (sum, peers) = (&scenario.sum, learner.peers());
    let trip = Duration::from_secs_f64(2.0 * scenario.network.latency_ms[1] / 1e3);
    let pieces = u32::try_from(4 * learner.start().len() / MAX_PIECE + 1).unwrap_or(u32::MAX);
    let messages = trip.saturating_mul(TRIPS.saturating_add(pieces));
    let window = Duration::from_secs(sum.window_s.into());
    let longest = (0..peers).zip(Nature::of_all(scenario, seed, peers)).map(|(peer, nature)| {
        nature.step.saturating_mul(steps(learner.examples(peer), &learning(scenario)))
    });
    let trains = FIRST + longest.max().unwrap_or_default() + messages;
    // A tenth of the window is for checking in.
    trains <= window * 9 / 10
        && messages <= window / 10
        && messages <= Duration::from_secs(sum.phase_s.min(sum.upload_s).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::Surrogate;
    use crate::scenario::Cut;

    #[test]
    fn whatever_may_be_lost_cut_or_late_is_not_the_same() {
        let task = Surrogate::new(1, 100, 0.0, vec![vec![50]; 10]);
        let of = |change: fn(&mut Scenario)| {
            let mut scenario = Scenario { peers: 10, ..Scenario::default() };
            change(&mut scenario);
            is_same_in_the_clear(&scenario, 1, &task)
        };
        let same: [fn(&mut Scenario); 4] = [
            |_| {},
            |it| it.availability.dropout.training = 0.2,
            |it| (it.availability.dropout.upload, it.sum.attempts) = (0.2, 1),
            |it| it.availability.step_ms = [1_000.0, 2_000.0],
        ];
        assert!(same.into_iter().all(of));
        let others: [fn(&mut Scenario); 9] = [
            |it| it.network.loss = 0.01,
            |it| it.network.bandwidth_mbit = [1.0, 2.0],
            |it| it.network.cuts = vec![Cut { at_s: 1.0, for_s: 1.0, share: 0.1 }],
            |it| it.network.latency_ms = [5.0, 2_000.0],
            |it| it.availability.away = 0.1,
            |it| it.availability.step_ms = [1_000.0, 30_000.0],
            |it| it.availability.dropout.upload = 0.2,
            |it| (it.availability.dropout.opening, it.sum.attempts) = (0.1, 1),
            |it| it.sum.window_s = 6,
        ];
        let wrong: Vec<usize> =
            others.into_iter().enumerate().filter(|(_, it)| of(*it)).map(|(at, _)| at).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
