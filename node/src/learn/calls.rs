//! What the person asks of learning together.

use covey_coordinator::{Came, CoordinatorError, RoundRecord, Status};
use covey_net::Link;
use covey_privacy::accountant::{Rounds, zcdp};
use covey_privacy::ledger::Unit;
use covey_privacy::plan::ledger_noise;
use covey_privacy::{Delta, Epsilon, NoiseMultiplier, Rho};
use covey_protocol::group::{Change, Log};
use covey_protocol::ids::{GroupId, Name, UnixMillis};
use covey_protocol::round::{Measure, Start};

use super::campaign::{adapter, campaign, evaluations};
use super::noise;
use crate::api::{
    ApiError, CampaignInfo, ErrorCode, LearnInfo, OptIn, PastRound, Reply, RoundInfo, StartRounds,
};
use crate::node::Node;

impl<L: Link> Node<L> {
    pub(crate) async fn group_coordinator(
        &self,
        group: &Name,
        member: Option<&str>,
    ) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        let node = member.map(|member| self.member(id, group, member)).transpose()?;
        self.decree(id, Change::Coordinator { node }).await?;
        self.learning.woken.notify_one();
        self.group_reply(id)
    }

    pub(crate) fn train_opt_in(&self, choice: &OptIn) -> Result<Reply, ApiError> {
        let id = self.groups.find(&choice.group)?;
        choice.limits()?;
        let mut choice = choice.clone();
        for file in &mut choice.pairs {
            *file = self.collections.pairs_file(file)?;
        }
        if choice.keys(&self.collections)?.is_empty() {
            let message = "say which collections or files of pairs are learnt from";
            return Err(ApiError::new(ErrorCode::Usage, message).hint(
                "`covey status` lists collections, and --collections takes names with commas; --pairs takes a file",
            ));
        }
        // Pairs that were mined from a collection would be of the same documents, under another name and account.
        if choice.unit == Unit::Document
            && !choice.pairs.is_empty()
            && !choice.collections.is_empty()
        {
            let message =
                "a document that is in a collection and in a file of pairs would count twice";
            return Err(ApiError::new(ErrorCode::Usage, message)
                .hint("take --collections or --pairs, or --unit peer"));
        }
        self.set_budgets(&choice, self.may_raise(id)?)?;
        self.learning.choose(id, Some(&choice))?;
        if choice.adopt.is_some() {
            self.learning.shelve(id, |shelf| shelf.follow = None)?;
        }
        self.learning.state().waits.remove(&id);
        self.learning.stop(id);
        self.learning.state().refused.remove(&id);
        self.learning.chosen.notify_one();
        Ok(Reply::Learning { groups: vec![self.learn_info(id)?] })
    }

    pub(crate) fn train_opt_out(&self, group: &Name) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        self.learning.choose(id, None)?;
        self.learning.leave(id);
        // Whoever has masked an update and leaves is a dropout like any other.
        self.learning.kept(id).forget_attempt()?;
        Ok(Reply::Ok)
    }

    pub(crate) fn train_status(&self, group: Option<&Name>) -> Result<Reply, ApiError> {
        let ids = match group {
            Some(group) => vec![self.groups.find(group)?],
            None => self.groups.active(),
        };
        let groups = ids.into_iter().map(|id| self.learn_info(id)).collect::<Result<_, _>>()?;
        Ok(Reply::Learning { groups })
    }

    pub(crate) async fn rounds_start(&self, call: StartRounds) -> Result<Reply, ApiError> {
        let id = self.groups.find(&call.group)?;
        let view = self.group_view(id).ok_or_else(|| not_the_coordinator(&call.group))?;
        let coordinator = self.coordinator(id).await?;
        let (models, now) = (self.models.clone(), self.env.now());
        let bases = self.bases(id)?;
        self.env
            .compute(move || {
                let model = match &call.model {
                    Some(name) => {
                        let entry = models.list()?.into_iter().find(|entry| entry.name == *name);
                        entry.and_then(|entry| models.get(entry.id)).ok_or_else(|| {
                            ApiError::new(
                                ErrorCode::NotFound,
                                format!("there is no model called {name} here"),
                            )
                            .hint("list the models with `covey model list`")
                        })?
                    }
                    // Whoever uses a release of the group goes on from where that came from, which all members have.
                    None => {
                        let current = models.current()?;
                        let base = bases.get(&current.id).and_then(|base| models.get(*base));
                        base.unwrap_or(current)
                    }
                };
                let adapter = adapter(&model, &call);
                let values = models.learner(model.id, adapter.clone(), &[], 1)?.start();
                let mut campaign = campaign(&model, &adapter, &call, view.members.len())?;
                if let Some(epsilon) = call.epsilon {
                    // As much noise as the budget asks for, in the very layout that the rounds will have.
                    campaign.contribution.noise = Some(NoiseMultiplier::ONE);
                    let plan = campaign
                        .plan(&view, 1, Start::of(&values), now)
                        .map_err(|it| failed(&it.into()))?;
                    let layout = plan.check().map_err(|check| usage(&check))?;
                    let evaluations = evaluations(&view, &campaign);
                    let rounds = number(Rounds::new(call.rounds.saturating_add(evaluations)))?;
                    let epsilon = number(Epsilon::new(epsilon))?;
                    let noise = ledger_noise(epsilon, campaign.contribution.delta, rounds, &layout);
                    campaign.contribution.noise = Some(noise.map_err(|error| usage(&error))?);
                }
                if let Some(first) = call.first_round {
                    coordinator.count_from(first).map_err(|error| failed(&error))?;
                }
                coordinator.start(campaign, &values, &view, now).map_err(|error| failed(&error))
            })
            .await?;
        self.learning.woken.notify_one();
        Ok(Reply::Learning { groups: vec![self.learn_info(id)?] })
    }

    pub(crate) async fn rounds_stop(&self, group: &Name) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        // Who does not coordinate any more may end what it began.
        if self.group_view(id).is_none() && !self.has_rounds(id).await? {
            return Err(not_the_coordinator(group));
        }
        self.stop_rounds(id).await?;
        Ok(Reply::Ok)
    }

    pub(super) async fn stop_rounds(&self, id: GroupId) -> Result<(), ApiError> {
        let coordinator = self.coordinator(id).await?;
        coordinator.stop(self.env.now()).map_err(|error| failed(&error))?;
        self.learning.woken.notify_one();
        Ok(())
    }

    fn learn_info(&self, id: GroupId) -> Result<LearnInfo, ApiError> {
        let me = self.id();
        let look = |log: &Log| {
            let release = log.releases()[0].map_or(0, |current| current.release.number);
            (log.coordinator(), release)
        };
        let (coordinator, release) = self.groups.view(id, look).unwrap_or_default();
        let coordinates = coordinator == Some(me);
        let (hosted, problem, doing, refused, trained) = {
            let state = self.learning.state();
            (
                state.hosted.get(&id).filter(|_| coordinates).cloned(),
                state.problems.get(&id).cloned(),
                state.doing.get(&id).cloned().unwrap_or_default(),
                state.refused.get(&id).cloned(),
                state.trained.get(&id).cloned(),
            )
        };
        let campaign = match hosted {
            Some(coordinator) => {
                let records = coordinator.recent();
                let ends = coordinator.wake_at();
                let status = coordinator.status();
                let mut info = campaign_info(&status, &records, problem, ends);
                let view = self.group_view(id);
                let layout = view.and_then(|view| coordinator.layout(&view, self.env.now()));
                info.noise = layout.and_then(|layout| {
                    let mut summed = info.history.iter().rev().map(|past| past.participants);
                    let cohort = summed.find(|cohort| *cohort > 0).unwrap_or(layout.clients);
                    let documents =
                        if status.unit == Some(Unit::Document) { layout.units } else { 0 };
                    noise::over_signal(&layout, cohort, documents)
                });
                info.next_release = self.next_release(id);
                Some(info)
            }
            None => None,
        };
        Ok(LearnInfo {
            group: self.groups.name_of(id).ok_or_else(crate::groups::gone)?,
            coordinator: coordinator.map(|node| self.member_name(id, node)),
            coordinates,
            release,
            taking_part: self.learning.choice(id)?,
            doing: Some(doing.what).filter(|what| !what.is_empty()),
            training: doing.training,
            plan: doing.plan,
            refused,
            rounds: self.learning.kept(id).seen()?.rounds,
            strangers: self.strangers(id)?,
            not_adopted: self.not_adopted(id)?,
            campaign,
            trained,
        })
    }
}

pub(super) fn number<T>(checked: Result<T, covey_privacy::OutOfRange>) -> Result<T, ApiError> {
    checked.map_err(|error| usage(&error))
}

pub(super) fn usage(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Usage, error.to_string())
}

pub(super) fn not_the_coordinator(group: &Name) -> ApiError {
    let message = format!("this node does not coordinate {group}");
    ApiError::new(ErrorCode::Forbidden, message)
        .hint(format!("the group's owner names it: covey group coordinator {group} MEMBER"))
}

pub(super) fn failed(error: &CoordinatorError) -> ApiError {
    let code = match error {
        CoordinatorError::Store(_) => ErrorCode::Storage,
        CoordinatorError::Damaged | CoordinatorError::Version(_) => ErrorCode::Corrupt,
        CoordinatorError::Busy | CoordinatorError::Moved => ErrorCode::Busy,
        CoordinatorError::NoCheckpoint | CoordinatorError::NothingNew => ErrorCode::NotFound,
        CoordinatorError::Campaign(_)
        | CoordinatorError::Values { .. }
        | CoordinatorError::FirstRound { .. }
        | CoordinatorError::Unit { .. } => ErrorCode::Usage,
        CoordinatorError::Plan(_) | CoordinatorError::Fault(_) => ErrorCode::Internal,
    };
    ApiError::new(code, error.to_string())
}

fn campaign_info(
    status: &Status,
    records: &[RoundRecord],
    problem: Option<String>,
    ends: Option<UnixMillis>,
) -> CampaignInfo {
    let past = |record: &RoundRecord| {
        let (participants, norm, measured, failed) = match &record.came {
            Came::Checkpoint { participants, norm, measured, .. } => {
                (*participants, Some(*norm), measured.as_slice(), None)
            }
            Came::Evaluated(evaluation) => (evaluation.members, None, [].as_slice(), None),
            Came::Failed { why } => (0, None, [].as_slice(), Some(why.clone())),
        };
        let evaluated = match &record.came {
            Came::Evaluated(it) => Some(((it.loss_before, it.loss_after), it.no_worse)),
            Came::Checkpoint { .. } | Came::Failed { .. } => None,
        };
        let of = |measure| measured.iter().find(|(of, _)| *of == measure).map(|(_, value)| *value);
        PastRound {
            round: record.round,
            attempt: record.attempt,
            at: record.at,
            participants,
            norm,
            loss: of(Measure::LossBefore)
                .zip(of(Measure::LossAfter))
                .or(evaluated.map(|(loss, _)| loss)),
            no_worse: evaluated.map(|(_, no_worse)| no_worse),
            failed,
            clipped: of(Measure::Clipped),
            phases: record.phases.iter().map(|(phase, ms)| (phase.to_string(), *ms)).collect(),
        }
    };
    let delta = status.delta;
    let cost = status.cost.filter(|cost| *cost > Rho::ZERO).zip(delta);
    let epsilon = cost.and_then(|(cost, delta)| zcdp::epsilon(cost, delta).ok());
    CampaignInfo {
        left: status.left,
        round: status.running.map(|(round, attempt, phase, participants, done)| RoundInfo {
            round,
            attempt,
            phase: phase.to_string(),
            participants: participants as u64,
            done: done as u64,
            ends,
        }),
        rounds: status.rounds,
        participants: status.participants,
        unit: status.unit.unwrap_or(Unit::Peer),
        epsilon: epsilon.map(Epsilon::get),
        delta: epsilon.and(delta).map(Delta::get),
        noise: None,
        release_every_s: status.release_every_ms.map(|every| every / 1_000),
        next_release: None,
        problem,
        history: records.iter().map(past).collect(),
    }
}
