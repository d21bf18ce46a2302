//! The coordinator of one group.

mod answer;
mod evaluate;
mod promote;
mod rounds;
mod shown;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_crypto::{Digest, SecretKey};
use covey_privacy::encode::Layout;
use covey_privacy::ledger::Unit;
use covey_privacy::{Delta, Rho};
use covey_protocol::group::CurrentRelease;
use covey_protocol::ids::{Epoch, GroupId, ModelId, NodeId, UnixMillis};
use covey_protocol::round::{Check, Checked, Phase, Start};
use covey_protocol::secagg::{Fault, Members};
use covey_protocol::wire::v1::round::{
    Announced, RoundAnswer, RoundRefusal, RoundReply, RoundRequest,
};

use crate::record::{Came, RoundRecord};
use crate::run::Run;
use crate::state::{Checkpoint, Promotion, State};
use crate::store::{Store, StoreError};
use crate::{Campaign, CampaignError};
pub use promote::{Candidate, Promote};
use shown::{Open, Shown};

/// Attempts that [`Coordinator::recent`] tells of.
pub const RECENT: usize = 100;

/// Most numbers that [`Coordinator::count_from`] leaves out.
const MOST_SKIPPED: u64 = 1_000_000;

/// A group as its log has it now.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// The group.
    pub group: GroupId,
    /// Its last entry.
    pub epoch: Epoch,
    /// Who coordinates: this node.
    pub coordinator: NodeId,
    /// Its members.
    pub members: Members,
    /// Its current release.
    pub release: Option<CurrentRelease>,
    /// The fewest members that have to evaluate a release; 0 if nobody is asked.
    pub quorum: u32,
}

/// Why a coordinator cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it kept is damaged.
    #[error(
        "what the coordinator kept is damaged; the group's owner can name another one: `covey group coordinator`"
    )]
    Damaged,
    /// What it kept is of another version.
    #[error(
        "what the coordinator kept has version {0}, which this Covey does not read: use the one that wrote it, or have the group's owner name another \
         coordinator (`covey group coordinator`)"
    )]
    Version(u8),
    /// The campaign gives no plan.
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    /// A campaign is on already.
    #[error("rounds are under way already; stop them first (`covey train stop`)")]
    Busy,
    /// There is nothing to release.
    #[error("there is no checkpoint to release yet: let a round finish first")]
    NoCheckpoint,
    /// The current release is of all that was learnt.
    #[error("nothing has been learnt since the last release: let a round finish first")]
    NothingNew,
    /// Something else is about to be released.
    #[error("something else has become the next release meanwhile; look again")]
    Moved,
    /// The number of the first round is far too high.
    #[error("the last round was number {round}, and at most {most} numbers can be left out")]
    FirstRound {
        /// The last round.
        round: u64,
        /// Numbers that can be left out.
        most: u64,
    },
    /// The campaign protects something else than the rounds before it.
    #[error(
        "the {rounds} rounds so far protect a {unit}, and a checkpoint holds rounds of one kind only: \
         begin anew from another model or rank (--model, --rank)"
    )]
    Unit {
        /// Rounds there are.
        rounds: u32,
        /// What they protect.
        unit: Unit,
    },
    /// The adapter is for another model than the checkpoint.
    #[error("the values to start from are {found}, and the plan says {expected}")]
    Values {
        /// Values there are.
        found: usize,
        /// Values there should be.
        expected: usize,
    },
    /// A plan of its own does not verify.
    #[error("the coordinator's own plan does not verify: {0}")]
    Plan(Check),
    /// An attempt cannot begin.
    #[error("the round cannot begin: {0}")]
    Fault(Fault),
}

/// How it stands, for people and for metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Rounds that the campaign still wants, if there is one.
    pub left: Option<u32>,
    /// The round that is on: its number, attempt, phase, how many take part, and how many of them are done with the phase.
    pub running: Option<(u64, u32, Phase, usize, usize)>,
    /// Rounds in the checkpoint.
    pub rounds: u32,
    /// Fewest participants that one of them had.
    pub participants: u32,
    /// What they come to for somebody who took part in all of them; nothing if one had no noise.
    pub cost: Option<Rho>,
    /// Whose presence its rounds are about.
    pub unit: Option<Unit>,
    /// The delta that epsilons are told for.
    pub delta: Option<Delta>,
    /// The shortest time from one release to the next that is made by itself, in milliseconds.
    pub release_every_ms: Option<u64>,
    /// How far the next release has come, for people: what it does, after "the next release".
    pub candidate: Option<String>,
    /// The last release made here, and whether it has the checkpoint's values.
    pub released: Option<(u32, bool)>,
}

/// The coordinator of one group. It may be asked by many threads.
pub struct Coordinator {
    key: Arc<SecretKey>,
    store: Arc<dyn Store>,
    inner: Mutex<Inner>,
    /// How it stood when `inner` was last let go, so that who only looks never waits for a vector to be added.
    shown: Mutex<Shown>,
}

struct Inner {
    state: State,
    /// The attempt that is on; nothing if it has to be read from its journal first.
    run: Option<Run>,
    /// The last values that somebody asked for.
    values: Option<(Digest, Arc<[f32]>)>,
    /// The last attempts that are over.
    recent: Arc<VecDeque<RoundRecord>>,
}

impl Coordinator {
    /// Goes on from what `store` holds.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(key: Arc<SecretKey>, store: Arc<dyn Store>) -> Result<Self, CoordinatorError> {
        let state = State::read(&*store)?;
        let recent = match records(&*store) {
            // That the past cannot be told is no reason not to go on.
            Err(CoordinatorError::Damaged) => {
                tracing::error!("records of rounds are damaged, and past rounds are not shown");
                VecDeque::new()
            }
            read => read?.into(),
        };
        let mut inner = Inner { state, run: None, values: None, recent: Arc::new(recent) };
        inner.forget();
        match &inner.state.current {
            Some(current) => inner.run = Some(Run::open(current, &key, &*store)?),
            // A crash may have come between the end of an attempt and that of its journal.
            None => store.clear()?,
        }
        let shown = Mutex::new(inner.shown());
        Ok(Self { key, store, inner: Mutex::new(inner), shown })
    }

    /// Has the next round be number `first`, if it would be a lower one: where what a coordinator kept is lost, members remember numbers that it does not, and
    /// refuse lower ones (R9).
    ///
    /// # Errors
    /// If rounds are under way, the number is absurd, or the store fails.
    pub fn count_from(&self, first: u64) -> Result<(), CoordinatorError> {
        let mut inner = self.inner();
        if inner.state.current.is_some() || inner.state.campaign.is_some() {
            return Err(CoordinatorError::Busy);
        }
        // Members remember it for good, so a slip must leave room above.
        if first > inner.state.round.saturating_add(MOST_SKIPPED) {
            return Err(CoordinatorError::FirstRound {
                round: inner.state.round,
                most: MOST_SKIPPED,
            });
        }
        let mut state = inner.state.clone();
        state.round = state.round.max(first.saturating_sub(1));
        self.write(&mut inner, state)
    }

    /// Begins rounds: from the last checkpoint if it is of the same model and adapter, else from `values`.
    ///
    /// # Errors
    /// If rounds are under way, or no sound plan comes of the campaign.
    pub fn start(
        &self,
        campaign: Campaign,
        values: &[f32],
        view: &GroupView,
        now: UnixMillis,
    ) -> Result<(), CoordinatorError> {
        let mut inner = self.inner();
        if inner.state.current.is_some() || inner.state.campaign.is_some() {
            return Err(CoordinatorError::Busy);
        }
        if campaign.contribution.unit == Unit::Document && view.quorum > 0 {
            return Err(CampaignError::Evaluation.into());
        }
        let mut state = inner.state.clone();
        let fits = |it: &&Checkpoint| it.model == campaign.model && it.adapter == campaign.adapter;
        let (unit, delta) = (campaign.contribution.unit, campaign.contribution.delta);
        if let Some(before) = state.checkpoint.as_ref().filter(fits) {
            if before.rounds > 0 && before.unit != unit {
                return Err(CoordinatorError::Unit { rounds: before.rounds, unit: before.unit });
            }
            // Before the first of them it is theirs that counts.
            state.checkpoint.iter_mut().for_each(|it| it.unit = unit);
        } else {
            let start = Start::of(values);
            self.store.put_values(&start.digest, values)?;
            state.candidate = None;
            state.checkpoint = Some(Checkpoint {
                values: start,
                origin: start,
                memory: None,
                model: campaign.model,
                adapter: campaign.adapter.clone(),
                rounds: 0,
                round: 0,
                plan: Digest::ZERO,
                participants: 0,
                cost: Some(Rho::ZERO),
                unit,
                delta,
                measured: Vec::new(),
            });
        }
        let start = state.checkpoint.as_ref().map(|it| it.values).expect("there by now");
        campaign.plan(view, state.round + 1, start, now)?;
        state.promotion = Some(Promotion {
            every_ms: campaign.release_every_ms,
            began: now,
            evaluation: campaign.evaluation(),
        });
        state.campaign = Some((campaign, 0));
        state.next_at = now;
        self.write(&mut inner, state)
    }

    /// Ends the campaign, and the round that is on.
    ///
    /// # Errors
    /// If the store fails.
    pub fn stop(&self, now: UnixMillis) -> Result<(), CoordinatorError> {
        let mut inner = self.inner();
        let mut state = inner.state.clone();
        if let Some(run) = &inner.run {
            if run.may_have_cost() {
                state.pay(&run.plan);
            }
            let record = record(&inner, &run.plan, now, failed("it was stopped"));
            self.record(&mut inner, record)?;
            inner.run = None;
        }
        state.stop_asking();
        (state.campaign, state.current) = (None, None);
        self.write(&mut inner, state)?;
        Ok(self.store.clear()?)
    }

    /// Answers one request of `from`, who is a member now.
    pub fn serve(&self, from: &NodeId, request: RoundRequest, now: UnixMillis) -> RoundReply {
        let RoundRequest { id, ask, .. } = request;
        let mut inner = self.inner();
        let answer = self.answer(&mut inner, from, ask, now).unwrap_or_else(|error| {
            tracing::error!(%error, "the coordinator could not answer");
            // What is in memory may be ahead of the journal, which is what counts. Nobody is answered out of it in between.
            inner.run = None;
            RoundAnswer::Refused(RoundRefusal::Busy)
        });
        drop(inner);
        RoundReply { id, answer }
    }

    /// Does what is due: ends phases, takes sums, opens attempts and publishes plans.
    ///
    /// # Errors
    /// If the store fails, or the campaign gives no plan for the group as it is.
    pub fn tick(&self, view: &GroupView, now: UnixMillis) -> Result<(), CoordinatorError> {
        let mut inner = self.inner();
        let done = self.due(&mut inner, view, now);
        if done.is_err() {
            inner.run = None;
        }
        done
    }

    /// The values of the checkpoint, with the model and adapter that they are for.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn checkpoint(&self) -> Result<(ModelId, Vec<u8>, Vec<f32>), CoordinatorError> {
        let inner = self.inner();
        let checkpoint = inner.state.checkpoint.as_ref().ok_or(CoordinatorError::NoCheckpoint)?;
        let values = self.kept(&checkpoint.values)?;
        Ok((checkpoint.model, checkpoint.adapter.clone(), values))
    }

    /// What updates look like in the rounds of the campaign that is on; nothing if there is none, or no plan comes of it now.
    pub fn layout(&self, view: &GroupView, now: UnixMillis) -> Option<Layout> {
        let (campaign, round, start) = self.shown().planned.clone()?;
        campaign.plan(view, round, start, now).ok()?.check().ok()
    }

    /// When [`Coordinator::tick`] is next due, if ever.
    pub fn wake_at(&self) -> Option<UnixMillis> {
        self.shown().wake_at
    }

    /// The round and attempt that are on and where that is, for who waits for it to change.
    pub fn at(&self) -> Option<(u64, u32, Phase)> {
        self.shown().at
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.shown().status.clone()
    }

    /// All attempts that are over, by round.
    ///
    /// # Errors
    /// If the store fails, or a record is damaged.
    pub fn records(&self) -> Result<Vec<RoundRecord>, CoordinatorError> {
        records(&*self.store)
    }

    /// The last [`RECENT`] of them, without reading the store.
    pub fn recent(&self) -> Vec<RoundRecord> {
        self.shown().recent.iter().cloned().collect()
    }

    fn inner(&self) -> Open<'_> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Open { inner, shown: &self.shown }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, inner: &mut Inner, record: RoundRecord) -> Result<(), CoordinatorError> {
        let bytes = postcard::to_allocvec(&record);
        let bytes = bytes.expect("every sequence in a record knows its length");
        self.store.record(record.round, record.attempt, &bytes)?;
        // After a crash between this and what follows, it ends once more.
        let recent = Arc::make_mut(&mut inner.recent);
        recent.retain(|it| (it.round, it.attempt) != (record.round, record.attempt));
        recent.push_back(record);
        inner.forget();
        Ok(())
    }

    fn write(&self, inner: &mut Inner, state: State) -> Result<(), CoordinatorError> {
        state.write(&*self.store)?;
        let before = std::mem::replace(&mut inner.state, state).kept();
        // Values that nothing names any more.
        let kept = inner.state.kept();
        for digest in before.iter().filter(|digest| !kept.contains(digest)) {
            self.store.drop_values(digest)?;
        }
        Ok(())
    }

    /// Values that have to be there.
    fn kept(&self, of: &Start) -> Result<Vec<f32>, CoordinatorError> {
        self.store.values(&of.digest)?.ok_or(CoordinatorError::Damaged)
    }
}

impl Inner {
    fn forget(&mut self) {
        let beyond = self.recent.len().saturating_sub(RECENT);
        if beyond > 0 {
            Arc::make_mut(&mut self.recent).drain(..beyond);
        }
    }

    fn announced(&self) -> Option<Announced> {
        let current = self.state.current.as_ref()?;
        let open = self.run.as_ref().is_some_and(|run| run.phase() == Phase::Gathering);
        Some(Announced { plan: current.plan.clone(), attempt: current.attempt, open })
    }

    fn wake_at(&self) -> Option<UnixMillis> {
        match (&self.state.current, &self.run) {
            (Some(_), Some(run)) => run.wake_at().or(Some(UnixMillis(0))),
            (Some(_), None) => Some(UnixMillis(0)),
            (None, _) => {
                let next = self.state.campaign.is_some().then_some(self.state.next_at);
                next.into_iter().chain(self.state.asks_at()).min()
            }
        }
    }
}

fn records(store: &dyn Store) -> Result<Vec<RoundRecord>, CoordinatorError> {
    let records = store.records()?;
    let decode = |bytes: &Vec<u8>| postcard::from_bytes(bytes);
    records.iter().map(decode).collect::<Result<_, _>>().map_err(|_| CoordinatorError::Damaged)
}

fn failed(why: impl Into<String>) -> Came {
    Came::Failed { why: why.into() }
}

fn record(inner: &Inner, plan: &Checked, at: UnixMillis, came: Came) -> RoundRecord {
    let run = inner.run.as_ref();
    RoundRecord {
        round: plan.plan().round,
        attempt: inner.state.current.as_ref().map_or(0, |current| current.attempt),
        plan: plan.digest(),
        at,
        cost: plan.cost().filter(|_| run.is_some_and(Run::may_have_cost)),
        came,
        phases: run.map(|run| run.phases(at)).unwrap_or_default(),
    }
}
