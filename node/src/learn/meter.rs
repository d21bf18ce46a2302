//! What is counted of learning together, for metrics. Nothing here names a group, a member or a collection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use covey_coordinator::{Came, RoundRecord};
use covey_crypto::Digest;
use covey_net::Link;
use covey_privacy::accountant::zcdp;
use covey_privacy::{Delta, Rho};
use covey_protocol::ids::{GroupId, UnixMillis};
use covey_protocol::round::Phase;
use covey_protocol::wire::v1::round::{
    ClientMessage, Over, RoundAnswer, RoundAsk, RoundRequest, ServerMessage,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::calls::failed;
use super::report::account;
use crate::api::ApiError;
use crate::metrics::Label;
use crate::node::Node;

/// Counts from when the process started.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Steps of training.
    pub(super) steps: Counter,
    /// Attempts that this node took part in, and plans that it refused, by outcome.
    rounds: Family<Label, Counter>,
    /// The plan of each group that was refused last, so that it counts once.
    refused: Mutex<BTreeMap<GroupId, Digest>>,
    /// Bytes of masked vectors that were taken.
    masked: Counter,
    seconds: Family<Label, Counter<f64, AtomicU64>>,
    /// The phase of each round that is coordinated here, and when it was looked at last.
    phases: Mutex<BTreeMap<GroupId, (Phase, UnixMillis)>>,
}

impl Meter {
    /// An attempt is over for this node as a participant.
    pub(super) fn over(&self, over: Over) {
        let outcome = match over {
            Over::Done => "summed",
            Over::Failed => "failed",
            Over::Without => "without",
        };
        self.rounds.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// No part is taken in a plan.
    pub(super) fn refused(&self, group: GroupId, plan: Digest) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.insert(group, plan) != Some(plan) {
            self.rounds.get_or_create(&[("outcome", "refused")]).inc();
        }
    }

    /// What a member sent was taken.
    pub(super) fn taken(&self, piece: Option<Piece>, answer: &RoundAnswer) {
        let Some(Piece { offset, bytes }) = piece else { return };
        let taken = match answer {
            RoundAnswer::Step(ServerMessage::Have(have)) => *have == offset + bytes,
            RoundAnswer::Step(ServerMessage::Summed) => true,
            RoundAnswer::Step(_)
            | RoundAnswer::Status(_)
            | RoundAnswer::Values { .. }
            | RoundAnswer::Manifest(_)
            | RoundAnswer::Refused(_) => false,
        };
        if taken {
            self.masked.inc_by(bytes);
        }
    }

    /// A round that is coordinated here is in this phase now.
    pub(super) fn phase(&self, group: GroupId, phase: Option<Phase>, now: UnixMillis) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, since)) = phases.get(&group) {
            let seconds = now.0.saturating_sub(since.0) as f64 / 1_000.0;
            self.seconds.get_or_create(&[("phase", before.name())]).inc_by(seconds);
        }
        match phase {
            Some(phase) => phases.insert(group, (phase, now)),
            None => phases.remove(&group),
        };
    }
}

/// A piece of a masked vector.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    offset: u64,
    bytes: u64,
}

impl Piece {
    /// What a request brings of a masked vector, if it does.
    pub(super) fn of(request: &RoundRequest) -> Option<Self> {
        let RoundAsk::Step { message, .. } = &request.ask else { return None };
        let ClientMessage::Piece { offset, bytes } = &**message else { return None };
        Some(Self { offset: *offset, bytes: bytes.len() as u64 })
    }
}

impl<L: Link> Node<L> {
    /// Adds what is known of learning together.
    pub(crate) fn measure_learning(&self, to: &mut Registry) -> Result<(), ApiError> {
        let meter = &self.learning.meter;
        to.register("training_steps", "Steps of training for rounds", meter.steps.clone());
        to.register(
            "rounds",
            "Attempts at rounds that this node took part in (summed, failed, or gone on without it), and plans that it refused",
            meter.rounds.clone(),
        );
        self.measure_ledger(to)?;
        self.measure_coordinators(to)
    }

    fn measure_ledger(&self, to: &mut Registry) -> Result<(), ApiError> {
        let (epsilon, delta) = (Family::<Label, Real>::default(), Family::<Label, Real>::default());
        for standing in self.learning.ledger.standings()? {
            let account = account(&standing, &[], &[]);
            let unit = match account.unit.as_str() {
                "document" => [("unit", "document")],
                _ => [("unit", "peer")],
            };
            let spent = account.epsilon.unwrap_or(f64::INFINITY);
            let most = epsilon.get_or_create_owned(&unit);
            if spent >= most.get() {
                most.set(spent);
                delta.get_or_create(&unit).set(account.delta);
            }
        }
        to.register(
            "privacy_epsilon",
            "Epsilon spent, rounded up, of the account of that unit that has spent most",
            epsilon,
        );
        to.register("privacy_delta", "The delta that privacy_epsilon is told for", delta);
        Ok(())
    }

    fn measure_coordinators(&self, to: &mut Registry) -> Result<(), ApiError> {
        let meter = &self.learning.meter;
        let hosted: Vec<_> = {
            let state = self.learning.state();
            let hosted = state.hosted.iter().map(|(group, it)| (*group, it.clone()));
            hosted.collect()
        };
        let (attempts, rounds) =
            (Family::<Label, Counter>::default(), Family::<Label, Counter>::default());
        let phases = Family::<Label, Gauge>::default();
        let (mut participants, mut done, mut learnt) = (0_i64, 0_i64, 0_u64);
        let mut cost = Some(Rho::ZERO);
        for (group, coordinator) in hosted {
            if self.group_view(group).is_none() {
                continue;
            }
            let status = coordinator.status();
            let running = status.running.map(|(round, ..)| round);
            let records = coordinator.records().map_err(|error| failed(&error))?;
            count(&records, running, &attempts, &rounds);
            if let Some((_, _, phase, all, ready)) = status.running {
                phases.get_or_create(&[("phase", phase.name())]).inc();
                participants += i64::try_from(all).unwrap_or(i64::MAX);
                done += i64::try_from(ready).unwrap_or(i64::MAX);
            }
            learnt += u64::from(status.rounds);
            if status.rounds > 0 {
                cost = cost.zip(status.cost).map(|(a, b)| if a >= b { a } else { b });
            }
            meter.phase(group, status.running.map(|(_, _, phase, ..)| phase), self.env.now());
        }
        let coordinator = to.sub_registry_with_prefix("coordinator");
        coordinator.register("attempts", "Attempts at rounds that are over", attempts);
        coordinator.register("rounds", "Rounds that are over", rounds);
        coordinator.register("phase", "Rounds that are in this phase now", phases);
        coordinator.register(
            "participants",
            "Who may take part in the rounds that are on, or does once all are gathered",
            ConstGauge::new(participants),
        );
        coordinator.register(
            "participants_done",
            "How many of them are done with the phase",
            ConstGauge::new(done),
        );
        coordinator.register("masked_bytes", "Bytes of masked vectors taken", meter.masked.clone());
        coordinator.register(
            "phase_seconds",
            "Seconds that rounds were in each phase",
            meter.seconds.clone(),
        );
        coordinator.register(
            "checkpoint_rounds",
            "Rounds in the checkpoints",
            ConstGauge::new(i64::try_from(learnt).unwrap_or(i64::MAX)),
        );
        let delta = Delta::new(1e-5).expect("a constant in its range");
        let epsilon = cost.and_then(|cost| zcdp::epsilon(cost, delta).ok());
        let epsilon = epsilon.map_or(f64::INFINITY, |epsilon| epsilon.get());
        coordinator.register(
            "checkpoint_epsilon",
            "What the dearest checkpoint cost one who took part in all of it, at delta 1e-5, rounded up",
            ConstGauge::new(epsilon),
        );
        Ok(())
    }
}

/// A gauge of a real number.
type Real = Gauge<f64, AtomicU64>;

/// Counts what is over by how it ended. A round whose attempts failed is over once it is not the one that is on.
fn count(
    records: &[RoundRecord],
    running: Option<u64>,
    attempts: &Family<Label, Counter>,
    rounds: &Family<Label, Counter>,
) {
    let (mut seen, mut made) = (BTreeSet::new(), BTreeSet::new());
    let mut evaluated = BTreeSet::new();
    for record in records {
        seen.insert(record.round);
        let outcome = match record.came {
            Came::Checkpoint { .. } => {
                made.insert(record.round);
                "checkpoint"
            }
            Came::Evaluated(_) => {
                evaluated.insert(record.round);
                "evaluation"
            }
            Came::Failed { .. } => "failed",
        };
        attempts.get_or_create(&[("outcome", outcome)]).inc();
    }
    let open = |round: &&u64| Some(**round) != running && !evaluated.contains(*round);
    let failed = seen.difference(&made).filter(open).count();
    let ended = [("checkpoint", made.len()), ("evaluation", evaluated.len()), ("failed", failed)];
    for (outcome, count) in ended {
        rounds.get_or_create(&[("outcome", outcome)]).inc_by(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(round: u64, attempt: u32, made: bool) -> RoundRecord {
        let came = match made {
            true => Came::Checkpoint {
                values: Digest::ZERO,
                participants: 4,
                norm: 0.5,
                measured: vec![],
            },
            false => Came::Failed { why: "too few".into() },
        };
        let (plan, at) = (Digest::ZERO, UnixMillis(0));
        RoundRecord { round, attempt, plan, at, cost: None, came, phases: Vec::new() }
    }

    #[test]
    fn a_round_counts_by_its_last_attempt_once_it_is_over() {
        let records = [
            record(1, 0, false),
            record(1, 1, true),
            record(2, 0, false),
            record(2, 1, false),
            record(3, 0, false),
        ];
        for (running, failed) in [(Some(3), 1), (None, 2), (Some(4), 2)] {
            let (attempts, rounds) = (Family::default(), Family::default());
            count(&records, running, &attempts, &rounds);
            let of = |family: &Family<Label, Counter>, outcome| {
                family.get_or_create(&[("outcome", outcome)]).get()
            };
            assert_eq!((of(&attempts, "checkpoint"), of(&attempts, "failed")), (1, 4));
            assert_eq!((of(&rounds, "checkpoint"), of(&rounds, "failed")), (1, failed));
        }
    }

    #[test]
    fn phases_add_up_and_a_refusal_counts_once_for_a_plan() {
        let (meter, group) = (Meter::default(), GroupId(Digest::ZERO));
        for (phase, at) in [
            (Some(Phase::Gathering), 1_000),
            (Some(Phase::Gathering), 2_500),
            (Some(Phase::Shares), 4_000),
            (None, 4_250),
            (None, 9_000),
            (Some(Phase::Gathering), 10_000),
            // The clock was set back.
            (Some(Phase::Gathering), 5_000),
        ] {
            meter.phase(group, phase, UnixMillis(at));
        }
        let seconds = |phase| meter.seconds.get_or_create(&[("phase", phase)]).get();
        assert_eq!((seconds("gathering"), seconds("shares")), (3.0, 0.25));
        let plans = [Digest::ZERO, Digest::ZERO, Digest::of("test", &[b"another"])];
        plans.into_iter().for_each(|plan| meter.refused(group, plan));
        assert_eq!(meter.rounds.get_or_create(&[("outcome", "refused")]).get(), 2);
    }
}
