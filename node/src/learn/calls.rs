//! What the person asks of learning together.

use std::path::PathBuf;

use covey_coordinator::{Came, Campaign, CoordinatorError, GroupView, RoundRecord, Status};
use covey_embedder::adapter::{AdapterConfig, HeadConfig, LoraConfig};
use covey_net::Link;
use covey_privacy::accountant::{Rounds, zcdp};
use covey_privacy::ledger::{Account, CollectionKey, Unit};
use covey_privacy::plan::ledger_noise;
use covey_privacy::{ClipNorm, Delta, Epsilon, NoiseMultiplier, Rho};
use covey_protocol::group::{Change, Log};
use covey_protocol::ids::{GroupId, Name, UnixMillis};
use covey_protocol::limits::MAX_COHORT;
use covey_protocol::round::{Contribution, Learning, Measure, Rule, Start, Weighting};
use covey_protocol::secagg::{Bounds, Parameters, Topology};

use super::ledger::Standing;
use super::noise;
use crate::api::{
    ApiError, CampaignInfo, ErrorCode, LearnInfo, OptIn, PastRound, PrivacyAccount, Reply,
    RoundInfo, StartRounds,
};
use crate::collections::key_of_pairs;
use crate::models::ModelHandle;
use crate::node::Node;

/// How often a round is tried.
const ATTEMPTS: u32 = 3;
/// Groups up to here share with everybody.
const MOST_COMPLETE: u32 = 100;
/// Pairs beyond which a participant counts no more.
const PAIRS_CAP: u32 = 1_000;
/// Fewest pairs to take part with.
const MIN_PAIRS: u32 = 8;
/// Rank of a small adapter.
const RANK: usize = 8;
/// Longest update where noise is as long as a multiple of it, and where it only bounds what one member can do.
const CLIP: f64 = 1.0;
const CLIP_WITHOUT_NOISE: f64 = 20.0;
/// Tokens of a text that count in training.
const TOKENS: u16 = 128;

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
        self.set_budgets(&choice)?;
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
        self.forget_attempt(id)?;
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
                let mut campaign = campaign(&model, &adapter, &call)?;
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
        let coordinator = self.coordinator(id).await?;
        coordinator.stop(self.env.now()).map_err(|error| failed(&error))?;
        self.learning.woken.notify_one();
        Ok(Reply::Ok)
    }

    pub(crate) fn privacy_report(&self) -> Result<Reply, ApiError> {
        let mut named: Vec<(CollectionKey, Name)> = Vec::new();
        for name in self.collections.names() {
            let keys = self.collections.keys_of(&name)?;
            named.extend(keys.into_iter().map(|key| (key, name.clone())));
        }
        let mut files: Vec<(CollectionKey, PathBuf)> = Vec::new();
        for group in self.groups.active() {
            let choice = self.learning.choice(group)?;
            let pairs = choice.into_iter().flat_map(|choice| choice.pairs);
            files.extend(pairs.map(|file| (key_of_pairs(&file), file)));
        }
        let accounts = self.learning.ledger.standings()?;
        let accounts = accounts.iter().map(|standing| account(standing, &named, &files)).collect();
        Ok(Reply::Privacy { accounts })
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
                let mut info = campaign_info(&coordinator.status(), &records, problem, ends);
                let view = self.group_view(id);
                let layout = view.and_then(|view| coordinator.layout(&view, self.env.now()));
                info.noise = layout.and_then(|layout| {
                    let mut summed = info.history.iter().rev().map(|past| past.participants);
                    let cohort = summed.find(|cohort| *cohort > 0).unwrap_or(layout.clients);
                    noise::over_signal(&layout, cohort)
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
            rounds: self.learning.seen(id)?.rounds,
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

fn usage(error: &dyn std::fmt::Display) -> ApiError {
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
        CoordinatorError::NoCheckpoint => ErrorCode::NotFound,
        CoordinatorError::Campaign(_)
        | CoordinatorError::Values { .. }
        | CoordinatorError::Unit { .. } => ErrorCode::Usage,
        CoordinatorError::Plan(_) | CoordinatorError::Fault(_) => ErrorCode::Internal,
    };
    ApiError::new(code, error.to_string())
}

/// A small adapter, or a full map behind a static model. With noise it is small in any case, as noise grows with the number of values, and
/// only one factor moves: a mean of updates is then the update of the mean, and noise is not multiplied with itself (FFA-LoRA).
fn adapter(model: &ModelHandle, call: &StartRounds) -> AdapterConfig {
    let (asked, noise) = (call.rank.map(|rank| usize::from(rank.max(1))), call.epsilon.is_some());
    let small = asked.unwrap_or(RANK);
    if model.family == "static" {
        let rank = if noise { Some(small) } else { asked };
        AdapterConfig::Head(HeadConfig { rank, freeze_a: noise, ..HeadConfig::default() })
    } else {
        let (rank, alpha) = (small, 2.0 * small as f32);
        AdapterConfig::Lora(LoraConfig { rank, alpha, freeze_a: noise, ..LoraConfig::default() })
    }
}

fn campaign(
    model: &ModelHandle,
    adapter: &AdapterConfig,
    call: &StartRounds,
) -> Result<Campaign, ApiError> {
    let (batch, rate) = if model.family == "static" { (256, 1e-3) } else { (32, 2e-4) };
    let (rate_of, tau) = (call.server_rate, 1e-3);
    let rule = match call.rule.as_str() {
        "average" => Rule::Average { rate: rate_of },
        "momentum" => Rule::Momentum { rate: rate_of, beta: 0.9 },
        "adagrad" => Rule::Adagrad { rate: rate_of, tau },
        "adam" => Rule::Adam { rate: rate_of, beta1: 0.9, beta2: 0.99, tau },
        "yogi" => Rule::Yogi { rate: rate_of, beta1: 0.9, beta2: 0.99, tau },
        other => {
            let message = format!(
                "there is no rule called {other}: average, momentum, adagrad, adam or yogi"
            );
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
    };
    let seconds = |seconds: u32| seconds.saturating_mul(1_000);
    Ok(Campaign {
        rounds: call.rounds,
        attempts: ATTEMPTS,
        model: model.id,
        adapter: serde_json::to_vec(adapter).map_err(|error| usage(&error))?,
        learning: Learning {
            epochs: call.epochs,
            batch,
            max_steps: call.max_steps,
            rate: call.rate.unwrap_or(rate),
            proximal: call.proximal,
            max_tokens: TOKENS,
            min_pairs: MIN_PAIRS,
        },
        contribution: Contribution {
            clip: number(ClipNorm::new(call.clip.unwrap_or(match call.epsilon {
                Some(_) => CLIP,
                None => CLIP_WITHOUT_NOISE,
            })))?,
            noise: None,
            unit: Unit::Peer,
            delta: number(Delta::new(call.delta))?,
            rotate: false,
            // Weights and losses would cost noise of their own.
            weighting: match call.epsilon {
                Some(_) => Weighting::Uniform,
                None => Weighting::Pairs { cap: PAIRS_CAP },
            },
            measures: match call.epsilon {
                Some(_) => vec![],
                None => vec![Measure::LossBefore, Measure::LossAfter, Measure::Clipped],
            },
        },
        sum: Parameters {
            topology: Topology::Complete,
            entries: 1,
            min_cohort: call.min_cohort,
            max_cohort: call.max_cohort.unwrap_or(MAX_COHORT).min(MAX_COHORT).min(MOST_COMPLETE),
            bounds: Bounds {
                collusion_permille: call.collusion_permille,
                dropout_permille: call.dropout_permille,
                ..Bounds::default()
            },
        },
        rule,
        window_ms: call.window_s.saturating_mul(1_000),
        phase_ms: seconds(call.phase_s),
        upload_ms: seconds(call.upload_s.unwrap_or(call.phase_s.saturating_mul(4))),
        pause_ms: call.pause_s.saturating_mul(1_000),
        release_every_ms: call.release_every_s.map(|every| every.saturating_mul(1_000)),
    })
}

/// Evaluations that a campaign may come to, each of which costs what a round does: none where the group wants none.
fn evaluations(view: &GroupView, campaign: &Campaign) -> u32 {
    let Some(every) = campaign.release_every_ms.filter(|_| view.quorum > 0) else { return 0 };
    let round = campaign.window_ms.saturating_add(campaign.pause_ms);
    let during = round.saturating_mul(campaign.rounds.into()) / every.max(1);
    u32::try_from(during).unwrap_or(u32::MAX).min(campaign.rounds).saturating_add(1)
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
        epsilon: epsilon.map(Epsilon::get),
        delta: epsilon.and(delta).map(Delta::get),
        noise: None,
        release_every_s: status.release_every_ms.map(|every| every / 1_000),
        next_release: None,
        problem,
        history: records.iter().map(past).collect(),
    }
}

pub(super) fn account(
    standing: &Standing,
    named: &[(CollectionKey, Name)],
    files: &[(CollectionKey, PathBuf)],
) -> PrivacyAccount {
    let delta = standing.budget.map_or(1e-5, |budget| budget.delta.get());
    let at = Delta::new(delta).expect("checked before");
    let spent = standing.spent.rho();
    let epsilon = |rho: Rho| zcdp::epsilon(rho, at).ok().map(Epsilon::get);
    let four = Rho::new(4.0 * spent.get()).ok();
    let (unit, collection, pairs) = match standing.account {
        Account::Peer => ("peer".to_owned(), None, None),
        Account::Collection { unit, collection } => {
            let name = named.iter().find(|(key, _)| *key == collection);
            let file = files.iter().find(|(key, _)| *key == collection);
            let (name, file) = (name.map(|it| it.1.clone()), file.map(|it| it.1.clone()));
            (unit.to_string(), name, file)
        }
    };
    PrivacyAccount {
        account: standing.account.to_string(),
        collection,
        pairs,
        unit,
        epsilon: epsilon(spent),
        replace_one_epsilon: four.and_then(epsilon),
        delta,
        budget: standing.budget.map(|budget| budget.epsilon.get()),
    }
}
