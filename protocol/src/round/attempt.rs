//! The coordinator's side of one attempt at a round.

mod phases;
mod uploads;

use covey_crypto::SecretKey;

use super::Checked;
use crate::ids::{NodeId, UnixMillis};
use crate::secagg::server::Summed;
use crate::secagg::{Check, Fault, Members};
use crate::wire::v1::round::{Awaited, ClientMessage, Over, ServerMessage};
pub use phases::Phase;
use phases::State;

/// Shortest pause before somebody who waits comes back, in milliseconds.
const SOONEST_MS: u64 = 5;
/// Longest pause while the sum is under way, in milliseconds. Larger cohorts get half a millisecond a member more.
const LATEST_MS: u64 = 1_000;
/// Longest pause while participants are gathered, in milliseconds.
const LATEST_GATHERING_MS: u64 = 10_000;

/// One attempt at a round, from gathering participants to their sum.
///
/// It does what it is told in the same way each time, so one that is told the same again (those messages whose
/// answer says `keep`, [`Attempt::added`] and the [`Attempt::tick`]s that were due, in their order) ends up the same.
#[derive(Debug)]
pub struct Attempt {
    state: State,
    since: UnixMillis,
    deadline: UnixMillis,
    phase_ms: u64,
    upload_ms: u64,
    /// Most that can take part.
    most: usize,
    /// Members that are not let in.
    sit_out: Vec<NodeId>,
    /// Who took part and was silent in the phase that failed.
    silent: Vec<NodeId>,
    entries: usize,
}

/// What the coordinator answers, and what has to happen first.
#[derive(Debug)]
#[must_use]
pub struct Answer {
    /// For the participant.
    pub reply: ServerMessage,
    /// Whether the message changed anything: then it belongs in the journal, before the reply leaves.
    pub keep: bool,
    /// In this order, before the reply leaves.
    pub effects: Vec<Effect>,
}

/// What the shell does for an [`Attempt`].
#[derive(Debug)]
pub enum Effect {
    /// Write these bytes of a participant's masked vector behind those that are there.
    Store {
        /// Whose.
        from: NodeId,
        /// Bytes before them. At 0 whatever is there is of no use.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A participant's masked vector is all there: read it, call [`Attempt::added`], and answer what that answers.
    Add(NodeId),
    /// Somebody did something wrong; for the log.
    Fault(Fault),
    /// Another phase begins.
    Entered(Phase),
    /// It is over.
    Ended(Ended),
}

/// How an attempt ended.
pub type Ended = Result<Summed, Fault>;

impl Attempt {
    /// Begins attempt number `attempt` at `plan`, with `members` eligible.
    ///
    /// # Errors
    /// A1 or A8 if the plan's sum cannot be made of these members.
    pub fn open(
        plan: &Checked,
        members: &Members,
        attempt: u32,
        now: UnixMillis,
    ) -> Result<Self, Fault> {
        let timing = plan.plan().timing;
        let deadline = match attempt {
            0 => timing.check_in_by,
            _ => now.plus(timing.phase_ms.into()),
        };
        let sum = &plan.plan().sum;
        Ok(Self {
            state: State::open(&plan.terms(attempt), members)?,
            since: now,
            deadline,
            phase_ms: timing.phase_ms.into(),
            upload_ms: timing.upload_ms.into(),
            most: sum.max_cohort.min(members.len()) as usize,
            sit_out: Vec::new(),
            silent: Vec::new(),
            entries: sum.entries as usize,
        })
    }

    /// The same without these members: they are told that it goes on without them, and nobody waits for them.
    pub fn without(mut self, sit_out: &[NodeId], members: &Members) -> Self {
        let there = sit_out.iter().filter(|node| members.seat(node).is_some()).count();
        self.most = self.most.min((members.len() as usize).saturating_sub(there));
        self.sit_out = sit_out.to_vec();
        self
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// How many take part, and how many of them have done what the phase asks for.
    pub fn progress(&self) -> (usize, usize) {
        self.state.progress(self.most)
    }

    /// Who took part in an attempt that failed, and had nothing to say in the phase that it failed in. That is nobody's fault, but the next
    /// attempt, for which all pay again, does better without them.
    pub fn silent(&self) -> &[NodeId] {
        &self.silent
    }

    /// When to call [`Attempt::tick`]; never once it is over.
    pub fn wake_at(&self) -> Option<UnixMillis> {
        (self.phase() != Phase::Over).then_some(self.deadline)
    }

    /// Takes a participant's message.
    pub fn step(
        &mut self,
        from: &NodeId,
        message: ClientMessage,
        key: &SecretKey,
        now: UnixMillis,
    ) -> Answer {
        let mut effects = Vec::new();
        if self.sit_out.contains(from) {
            let reply = ServerMessage::Over(Over::Without);
            return Answer { reply, keep: false, effects };
        }
        let taken = self.state.take(from, message, self.entries, &mut effects);
        let (awaits, keep) = match taken {
            Ok(taken) => taken,
            Err(fault) => {
                effects.push(Effect::Fault(fault));
                let reply = ServerMessage::Over(Over::Without);
                return Answer { reply, keep: false, effects };
            }
        };
        if keep {
            self.settle(key, now, &mut effects);
        }
        let reply = match awaits {
            Taken::Waits(awaited) => self.serve(from, awaited, now),
            Taken::Answered(reply) => reply,
        };
        Answer { reply, keep, effects }
    }

    /// Takes the whole masked vector that [`Effect::Add`] asked for.
    pub fn added(
        &mut self,
        from: &NodeId,
        bytes: &[u8],
        key: &SecretKey,
        now: UnixMillis,
    ) -> Answer {
        let mut effects = Vec::new();
        match self.state.add(from, bytes) {
            Ok(()) => {
                self.settle(key, now, &mut effects);
                Answer { reply: ServerMessage::Summed, keep: true, effects }
            }
            Err(fault) => {
                effects.push(Effect::Fault(fault));
                Answer { reply: ServerMessage::Over(Over::Without), keep: false, effects }
            }
        }
    }

    /// After a restart: `on_disk` says how many bytes of a participant's masked vector are there, from where it goes on.
    pub fn found(&mut self, on_disk: impl Fn(&NodeId) -> usize) {
        self.state.found(self.entries, on_disk);
    }

    /// Looks at the clock: ends what has waited long enough. Worth keeping if [`Attempt::is_due`] says so before.
    pub fn tick(&mut self, key: &SecretKey, now: UnixMillis) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.is_due(now) {
            self.settle(key, now, &mut effects);
        }
        effects
    }

    /// Whether a tick would change anything.
    pub fn is_due(&self, now: UnixMillis) -> bool {
        self.phase() != Phase::Over && now >= self.deadline
    }

    /// Enters phases for as long as the one before has all that it waits for, or is out of time.
    fn settle(&mut self, key: &SecretKey, now: UnixMillis, effects: &mut Vec<Effect>) {
        loop {
            let complete = self.state.is_complete(self.most);
            if self.phase() == Phase::Over || !(complete || now >= self.deadline) {
                return;
            }
            let silent = self.state.silent();
            let state = std::mem::replace(&mut self.state, State::Over(Over::Failed));
            match state.next(key) {
                Ok((next, summed)) => {
                    self.state = next;
                    effects.push(Effect::Entered(self.phase()));
                    effects.extend(summed.map(|summed| Effect::Ended(Ok(summed))));
                }
                Err(fault) => {
                    self.silent = silent;
                    effects.push(Effect::Entered(Phase::Over));
                    effects.push(Effect::Ended(Err(fault)));
                }
            }
            self.since = now;
            self.deadline = now.plus(match self.phase() {
                Phase::Uploads => self.upload_ms,
                Phase::Gathering
                | Phase::Neighbours
                | Phase::Shares
                | Phase::Survivors
                | Phase::Opening
                | Phase::Over => self.phase_ms,
            });
        }
    }

    /// What a participant waits for, or when to come back.
    fn serve(&self, from: &NodeId, awaited: Awaited, now: UnixMillis) -> ServerMessage {
        self.state
            .serve(from, awaited)
            .unwrap_or_else(|| ServerMessage::Later { ms: self.pause(now) })
    }

    /// A quarter of the time that the phase has taken so far, so that waiting adds little to it, or what is left of it.
    fn pause(&self, now: UnixMillis) -> u32 {
        let so_far = now.0.saturating_sub(self.since.0) / 4;
        let left = self.deadline.0.saturating_sub(now.0);
        let latest = match self.phase() {
            Phase::Gathering => LATEST_GATHERING_MS,
            Phase::Neighbours
            | Phase::Shares
            | Phase::Uploads
            | Phase::Survivors
            | Phase::Opening
            | Phase::Over => LATEST_MS,
        };
        let pause = so_far.clamp(SOONEST_MS, latest) + self.most as u64 / 2;
        u32::try_from(pause.min(left.max(SOONEST_MS))).unwrap_or(u32::MAX)
    }
}

/// What is to be answered to a message.
enum Taken {
    Waits(Awaited),
    Answered(ServerMessage),
}

/// A fault of a participant's, for sending what its part is not.
const fn out_of_turn(from: &NodeId) -> Fault {
    Fault::new(Check::OutOfTurn, crate::secagg::Culprit::Client(*from))
}
