//! The attempt that is on, and its journal.

use covey_crypto::{Digest, SecretKey};
use covey_protocol::ids::{NodeId, UnixMillis};
use covey_protocol::limits::MAX_ROUND_REQUEST;
use covey_protocol::round::{Answer, Attempt, Checked, Effect, Phase};
use covey_protocol::secagg::server::Summed;
use covey_protocol::secagg::{Culprit, Fault, Members};
use covey_protocol::wire;
use covey_protocol::wire::v1::round::{Awaited, ClientMessage, Over, ServerMessage};
use serde::{Deserialize, Serialize};

use crate::coordinator::CoordinatorError;
use crate::state::Current;
use crate::store::Store;

/// A running attempt. What it is told and changes something is in the journal before it is answered.
pub(crate) struct Run {
    pub(crate) plan: Checked,
    pub(crate) terms: Digest,
    attempt: Attempt,
    ended: Option<Result<Summed, Failed>>,
    /// Whether nobody knows any more what was answered in it: its journal is damaged, and it has failed.
    lost: bool,
    /// When each phase began.
    begun: Vec<(Phase, UnixMillis)>,
}

/// How an attempt failed.
#[derive(Debug)]
pub(crate) struct Failed {
    /// For people.
    pub(crate) why: String,
    /// Who sits out the other attempts at the plan: whom it is blamed on beyond doubt, and who was silent in the phase that it failed in.
    pub(crate) sit_out: Vec<NodeId>,
}

/// Bytes of an entry's digest that stand before it. A loss of power can leave a file longer than what was written to it.
const SEAL: usize = 8;

/// What the journal holds. The message is kept as its bytes, which its sender chose and the wire's bounds hold.
#[derive(Serialize, Deserialize)]
enum Entry {
    /// The first entry: whose journal it is.
    Begin {
        terms: Digest,
    },
    Step {
        from: NodeId,
        message: Vec<u8>,
        now: UnixMillis,
    },
    Added {
        from: NodeId,
        now: UnixMillis,
    },
    Tick {
        now: UnixMillis,
    },
}

impl Run {
    /// Begins an attempt, or goes on with one where its journal ends.
    pub(crate) fn open(
        current: &Current,
        key: &SecretKey,
        store: &dyn Store,
    ) -> Result<Self, CoordinatorError> {
        let me = NodeId::new(key.public());
        let plan = current.plan.verify(&me).map_err(CoordinatorError::Plan)?;
        let members =
            Members::new(current.members.iter().copied()).map_err(|_| CoordinatorError::Damaged)?;
        let attempt = Attempt::open(&plan, &members, current.attempt, current.opened)
            .map_err(CoordinatorError::Fault)?
            .without(&current.sit_out, &members);
        let terms = plan.terms(current.attempt).digest();
        let begun = vec![(attempt.phase(), current.opened)];
        let mut run = Self { plan, terms, attempt, ended: None, lost: false, begun };
        let sealed = store.journal()?;
        match sealed.first().map(|first| opened(first)) {
            Some(Some(Entry::Begin { terms: of })) if of == terms => {}
            // What an attempt left that is over, or nothing.
            Some(Some(Entry::Begin { .. })) | None => {
                store.clear()?;
                journal(store, &Entry::Begin { terms })?;
                return Ok(run);
            }
            Some(Some(Entry::Step { .. } | Entry::Added { .. } | Entry::Tick { .. }) | None) => {
                run.lose();
                return Ok(run);
            }
        }
        for sealed in &sealed[1..] {
            let (effects, now) = match opened(sealed) {
                Some(Entry::Step { from, message, now }) => {
                    let Ok(message) = wire::decode(&message, MAX_ROUND_REQUEST) else {
                        run.lose();
                        return Ok(run);
                    };
                    (run.attempt.step(&from, message, key, now).effects, now)
                }
                Some(Entry::Added { from, now }) => {
                    let bytes = store.spooled(&from)?;
                    (run.attempt.added(&from, &bytes, key, now).effects, now)
                }
                Some(Entry::Tick { now }) => (run.attempt.tick(key, now), now),
                Some(Entry::Begin { .. }) | None => {
                    run.lose();
                    return Ok(run);
                }
            };
            run.note(effects, now);
        }
        run.attempt.found(|from| {
            store
                .spooled_bytes(from)
                .map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
        });
        Ok(run)
    }

    /// Ends it: what it answered so far cannot be told, so nothing more is answered. The checkpoint is another matter.
    fn lose(&mut self) {
        tracing::error!("the journal of a round is damaged, as after a loss of power");
        let why = "the coordinator's journal of it is damaged, as after a loss of power".to_owned();
        (self.lost, self.ended) = (true, Some(Err(Failed { why, sit_out: Vec::new() })));
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.lost { Phase::Over } else { self.attempt.phase() }
    }

    /// Whether participants may have paid for it.
    pub(crate) fn may_have_cost(&self) -> bool {
        self.lost || self.begun.iter().any(|(phase, _)| *phase == Phase::Uploads)
    }

    /// How many take part, and how many are done with the phase.
    pub(crate) fn progress(&self) -> (usize, usize) {
        self.attempt.progress()
    }

    /// When it is to be looked at; nothing if its end waits to be taken.
    pub(crate) fn wake_at(&self) -> Option<UnixMillis> {
        self.attempt.wake_at().filter(|_| self.ended.is_none())
    }

    /// How long each phase has taken, the one that is on until `now`.
    pub(crate) fn phases(&self, now: UnixMillis) -> Vec<(Phase, u64)> {
        let ends = self.begun.iter().skip(1).map(|(_, at)| *at).chain([now]);
        let took = |((phase, begun), end): (&(Phase, UnixMillis), UnixMillis)| {
            (*phase, end.0.saturating_sub(begun.0))
        };
        let phases = self.begun.iter().zip(ends).map(took);
        phases.filter(|(phase, _)| *phase != Phase::Over).collect()
    }

    /// How it ended, once.
    pub(crate) fn take_end(&mut self) -> Option<Result<Summed, Failed>> {
        self.ended.take()
    }

    pub(crate) fn tick(
        &mut self,
        key: &SecretKey,
        store: &dyn Store,
        now: UnixMillis,
    ) -> Result<(), CoordinatorError> {
        if !self.lost && self.attempt.is_due(now) {
            journal(store, &Entry::Tick { now })?;
            let effects = self.attempt.tick(key, now);
            self.note(effects, now);
        }
        Ok(())
    }

    pub(crate) fn step(
        &mut self,
        from: &NodeId,
        message: ClientMessage,
        key: &SecretKey,
        store: &dyn Store,
        now: UnixMillis,
    ) -> Result<ServerMessage, CoordinatorError> {
        if self.lost {
            return Ok(ServerMessage::Over(Over::Failed));
        }
        let bytes = kept(&message).then(|| wire::encode(&message));
        let Answer { mut reply, keep, effects } = self.attempt.step(from, message, key, now);
        if let Some(message) = bytes.filter(|_| keep) {
            journal(store, &Entry::Step { from: *from, message, now })?;
        }
        let mut rest = Vec::new();
        for effect in effects {
            match effect {
                Effect::Store { from, offset, bytes } => store.spool(&from, offset, &bytes)?,
                Effect::Add(from) => {
                    let bytes = store.spooled(&from)?;
                    let answer = self.attempt.added(&from, &bytes, key, now);
                    if answer.keep {
                        journal(store, &Entry::Added { from, now })?;
                    }
                    reply = answer.reply;
                    rest.extend(answer.effects);
                }
                other @ (Effect::Fault(_) | Effect::Entered(_) | Effect::Ended(_)) => {
                    rest.push(other);
                }
            }
        }
        self.note(rest, now);
        Ok(reply)
    }

    fn note(&mut self, effects: Vec<Effect>, now: UnixMillis) {
        for effect in effects {
            match effect {
                Effect::Fault(fault) => tracing::warn!(%fault, "a participant did something wrong"),
                Effect::Entered(phase) => {
                    self.begun.push((phase, now));
                    let (all, done) = self.attempt.progress();
                    let round = self.plan.plan().round;
                    tracing::info!(round, %phase, all, done, "a round has come to its next phase");
                }
                Effect::Ended(ended) => {
                    self.ended = Some(ended.map_err(|fault| self.failed(&fault)))
                }
                // Done where it arose; on the way through the journal the bytes are there.
                Effect::Store { .. } | Effect::Add(_) => {}
            }
        }
    }
}

impl Run {
    fn failed(&self, fault: &Fault) -> Failed {
        let culprit = match fault.culprit {
            Culprit::Client(client) => Some(client),
            // Of the others nobody can tell who did it.
            Culprit::Either(_) | Culprit::Disputed(_) | Culprit::Coordinator | Culprit::Nobody => {
                None
            }
        };
        let silent = self.attempt.silent().iter().copied();
        Failed { why: fault.to_string(), sit_out: culprit.into_iter().chain(silent).collect() }
    }
}

/// Whether a message can be worth keeping: pieces of vectors lie in files of their own, and waiting changes nothing.
const fn kept(message: &ClientMessage) -> bool {
    match message {
        ClientMessage::Keys(_)
        | ClientMessage::Choice(_)
        | ClientMessage::Dealing(_)
        | ClientMessage::Upload(_)
        | ClientMessage::Agreement(_)
        | ClientMessage::Opening(_) => true,
        ClientMessage::Piece { .. }
        | ClientMessage::Waits(
            Awaited::Cohort
            | Awaited::Neighbours
            | Awaited::Inbox
            | Awaited::Survivors
            | Awaited::Agreements
            | Awaited::End,
        ) => false,
    }
}

fn journal(store: &dyn Store, entry: &Entry) -> Result<(), CoordinatorError> {
    let bytes = postcard::to_allocvec(entry).expect("every sequence in an entry knows its length");
    Ok(store.append(&[&seal(&bytes)[..], &bytes].concat())?)
}

/// What stands before an entry.
fn seal(bytes: &[u8]) -> [u8; SEAL] {
    let digest = Digest::of("covey coordinator journal v1", &[bytes]);
    let (first, _) = digest.as_bytes().split_first_chunk().expect("a digest is longer");
    *first
}

/// An entry of the journal, if it is whole.
fn opened(sealed: &[u8]) -> Option<Entry> {
    let (before, bytes) = sealed.split_first_chunk::<SEAL>()?;
    postcard::from_bytes(bytes).ok().filter(|_| *before == seal(bytes))
}
