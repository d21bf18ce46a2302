//! What is due: plans, attempts, and what becomes of their sums.

use covey_protocol::ids::UnixMillis;
use covey_protocol::round::{Checked, SignedPlan, Start, Task};
use covey_protocol::secagg::server::Summed;
use covey_protocol::wire::v1::round::Over;

use super::{Coordinator, CoordinatorError, GroupView, Inner, evaluate, failed, record};
use crate::learnt::{Learnt, Unlearnt};
use crate::record::Came;
use crate::run::{Failed, Run};
use crate::state::{Current, Memory, State};

impl Coordinator {
    pub(super) fn due(
        &self,
        inner: &mut Inner,
        view: &GroupView,
        now: UnixMillis,
    ) -> Result<(), CoordinatorError> {
        if let Some(run) = self.run(inner)? {
            run.tick(&self.key, &*self.store, now)?;
            if let Some(ended) = run.take_end() {
                let plan = run.plan.clone();
                self.end(inner, &plan, ended, now)?;
            }
            return Ok(());
        }
        if self.ask(inner, view, now)? {
            return Ok(());
        }
        let state = &inner.state;
        let Some((campaign, done)) = &state.campaign else { return Ok(()) };
        if now < state.next_at {
            return Ok(());
        }
        let mut next = state.clone();
        if *done >= campaign.rounds {
            next.campaign = None;
            return self.write(inner, next);
        }
        let start = state.checkpoint.as_ref().ok_or(CoordinatorError::NoCheckpoint)?.values;
        // Too few members now may be enough later.
        next.next_at = now.plus(campaign.pause_ms.max(60_000));
        let plan = match campaign.plan(view, state.round + 1, start, now) {
            Ok(plan) => plan,
            Err(error) => {
                self.write(inner, next)?;
                return Err(error.into());
            }
        };
        let plan = SignedPlan::sign(&plan, &self.key).map_err(CoordinatorError::Plan)?;
        next.round += 1;
        next.current = Some(Current::new(plan, view, now));
        self.open_attempt(inner, next)
    }

    pub(super) fn open_attempt(
        &self,
        inner: &mut Inner,
        next: State,
    ) -> Result<(), CoordinatorError> {
        self.write(inner, next)?;
        inner.run = None;
        self.run(inner).map(|_| ())
    }

    /// An attempt is over: takes its sum, or tries again.
    fn end(
        &self,
        inner: &mut Inner,
        plan: &Checked,
        ended: Result<Summed, Failed>,
        now: UnixMillis,
    ) -> Result<(), CoordinatorError> {
        let mut next = inner.state.clone();
        let asked = matches!(plan.plan().task, Task::Evaluate { .. });
        let mut sit_out = Vec::new();
        let came = match ended {
            Ok(summed) if asked => match evaluate::decoded(plan, summed) {
                Ok(evaluation) => Came::Evaluated(evaluation),
                Err(why) => failed(why),
            },
            Ok(summed) => match self.take(&mut next, plan, summed) {
                Ok(came) => came,
                Err(Taking::Rejected(why)) => failed(why),
                Err(Taking::Failed(error)) => return Err(error),
            },
            Err(Failed { why, sit_out: who }) => {
                sit_out = who;
                failed(why)
            }
        };
        let made = !matches!(came, Came::Failed { .. });
        let record = record(inner, plan, now, came);
        if inner.run.as_ref().is_some_and(Run::may_have_cost) {
            next.pay(plan);
        }
        tracing::info!(round = record.round, attempt = record.attempt, came = ?record.came, "an attempt is over");
        self.record(inner, record.clone())?;
        let over = if made { Over::Done } else { Over::Failed };
        next.last = Some((plan.terms(record.attempt).digest(), over));
        let attempt = record.attempt + 1;
        let again = !made && attempt < plan.plan().attempts;
        if let Some(current) = next.current.as_mut().filter(|_| again) {
            (current.attempt, current.opened) = (attempt, now);
            current.sit_out.extend(sit_out);
        } else if asked {
            next.current = None;
            next.evaluated(&record.came, now);
        } else {
            next.current = None;
            if let Some((campaign, done)) = &mut next.campaign {
                *done += 1;
                // After the last round there is nothing to wait for.
                let pause = if *done < campaign.rounds { campaign.pause_ms } else { 0 };
                next.next_at = now.plus(pause);
            }
        }
        inner.run = None;
        self.write(inner, next)?;
        self.store.clear()?;
        if again { self.run(inner).map(|_| ()) } else { Ok(()) }
    }

    /// What becomes of a sum.
    fn take(&self, next: &mut State, plan: &Checked, summed: Summed) -> Result<Came, Taking> {
        let participants = summed.survivors.len() as u32;
        let checkpoint = next.checkpoint.as_mut().ok_or(CoordinatorError::NoCheckpoint)?;
        let values = self.kept(&checkpoint.values)?;
        let by = plan.plan().rule;
        let memory = match checkpoint.memory.filter(|memory| memory.is_of(&by)) {
            Some(Memory { digest, .. }) => {
                self.store.values(&digest)?.ok_or(CoordinatorError::Damaged)?
            }
            None => Vec::new(),
        };
        let learnt = match Learnt::of(plan, summed.sum, participants, values, memory) {
            Ok(learnt) => learnt,
            Err(Unlearnt::Values { found, expected }) => {
                return Err(CoordinatorError::Values { found, expected }.into());
            }
            Err(Unlearnt::Rejected(why)) => return Err(Taking::Rejected(why)),
        };
        let Learnt { values, memory, norm, measured } = learnt;
        let contribution = &plan.plan().contribution;
        let start = Start::of(&values);
        self.store.put_values(&start.digest, &values)?;
        checkpoint.memory = match &memory[..] {
            [] => None,
            memory => {
                let digest = Start::digest(memory);
                self.store.put_values(&digest, memory)?;
                Some(Memory { rule: by, digest })
            }
        };
        checkpoint.values = start;
        (checkpoint.participants, checkpoint.delta) = match checkpoint.rounds {
            0 => (participants, contribution.delta),
            _ if checkpoint.delta > contribution.delta => {
                (checkpoint.participants.min(participants), contribution.delta)
            }
            _ => (checkpoint.participants.min(participants), checkpoint.delta),
        };
        checkpoint.unit = contribution.unit;
        checkpoint.rounds += 1;
        checkpoint.round = plan.plan().round;
        checkpoint.plan = plan.digest();
        checkpoint.measured.clone_from(&measured);
        Ok(Came::Checkpoint { values: start.digest, participants, norm, measured })
    }
}

/// Why a sum does not become a checkpoint.
enum Taking {
    /// It is not what it should be; another attempt may be.
    Rejected(String),
    Failed(CoordinatorError),
}

impl<E: Into<CoordinatorError>> From<E> for Taking {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
