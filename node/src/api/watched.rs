//! What changes in a group's rounds, told from looks at how learning stands.

use covey_protocol::ids::{Name, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{LearnInfo, PastRound, PlanInfo, RoundInfo, StepsInfo};

/// Training is told of once it has come so many hundredths further.
const TENTH: u64 = 10;

/// Something that changed in a group's rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// The group.
    pub group: Name,
    /// When it was seen.
    pub at: UnixMillis,
    /// What changed.
    #[serde(flatten)]
    pub change: Change,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// This node follows another plan, or another attempt at it.
    Plan(PlanInfo),
    /// This node does something else for the round, or has come further in it.
    Doing {
        /// What it does; null for nothing.
        doing: Option<String>,
        /// How far training is, while it goes on.
        training: Option<StepsInfo>,
    },
    /// This node was summed in a further round.
    Summed {
        /// In so many by now.
        rounds: u64,
    },
    /// This node takes no part.
    Refused {
        /// Why.
        why: String,
    },
    /// As the coordinator: the phase is another one, or more participants are done with it.
    Phase(RoundInfo),
    /// As the coordinator: an attempt is over.
    Over {
        /// How it ended.
        ended: PastRound,
    },
    /// As the coordinator: so many rounds are left.
    Left {
        /// Null once the rounds have ended.
        rounds: Option<u32>,
    },
    /// As the coordinator: nothing is under way although something should be.
    Problem {
        /// Why.
        why: String,
    },
}

/// Remembers how learning stood, to tell what changes.
#[derive(Debug, Default)]
pub struct Watcher {
    last: Option<LearnInfo>,
}

impl Watcher {
    /// What has changed since the last look. The first one tells how it stands, and nothing of attempts that were over by then.
    pub fn look(&mut self, now: LearnInfo) -> Vec<Change> {
        let changes = changes(self.last.as_ref(), &now);
        self.last = Some(now);
        changes
    }
}

fn changes(before: Option<&LearnInfo>, now: &LearnInfo) -> Vec<Change> {
    let mut changes = coordinated(before, now);
    if let Some(plan) = &now.plan
        && before.and_then(|it| it.plan.as_ref()) != Some(plan)
    {
        changes.push(Change::Plan(plan.clone()));
    }
    let doing = |it: &LearnInfo| (it.doing.clone(), it.training.map(tenths));
    let (was, is) = (before.map(doing).unwrap_or_default(), doing(now));
    if was != is {
        changes.push(Change::Doing { doing: now.doing.clone(), training: now.training });
    }
    if before.is_some_and(|before| before.rounds < now.rounds) {
        changes.push(Change::Summed { rounds: now.rounds });
    }
    if let Some(why) = &now.refused
        && before.and_then(|it| it.refused.as_ref()) != Some(why)
    {
        changes.push(Change::Refused { why: why.clone() });
    }
    changes
}

fn coordinated(before: Option<&LearnInfo>, now: &LearnInfo) -> Vec<Change> {
    let Some(campaign) = &now.campaign else { return Vec::new() };
    let before = before.and_then(|it| it.campaign.as_ref());
    let mut changes = Vec::new();
    if let Some(before) = before {
        let last = before.history.last().map(|it| (it.round, it.attempt));
        let news = campaign.history.iter().filter(|it| Some((it.round, it.attempt)) > last);
        changes.extend(news.cloned().map(|ended| Change::Over { ended }));
    }
    // A deadline alone is no news.
    let place = |it: &RoundInfo| (it.round, it.attempt, it.phase.clone(), it.participants, it.done);
    if let Some(round) = &campaign.round
        && before.and_then(|it| it.round.as_ref()).map(place) != Some(place(round))
    {
        changes.push(Change::Phase(round.clone()));
    }
    if before.map(|it| it.left) != Some(campaign.left) {
        changes.push(Change::Left { rounds: campaign.left });
    }
    if let Some(why) = &campaign.problem
        && before.and_then(|it| it.problem.as_ref()) != Some(why)
    {
        changes.push(Change::Problem { why: why.clone() });
    }
    changes
}

fn tenths(steps: StepsInfo) -> u64 {
    (steps.done * 100).checked_div(steps.total).unwrap_or(0) / TENTH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::CampaignInfo;

    fn info() -> LearnInfo {
        LearnInfo {
            group: "lab".parse().expect("a name"),
            coordinator: Some("ada".into()),
            coordinates: false,
            release: 0,
            taking_part: None,
            doing: None,
            training: None,
            plan: None,
            refused: None,
            strangers: None,
            rounds: 0,
            not_adopted: None,
            campaign: None,
            trained: None,
        }
    }

    fn past(round: u64, attempt: u32) -> PastRound {
        let (at, participants) = (UnixMillis(1), 0);
        let failed = Some("too few".to_owned());
        PastRound {
            round,
            attempt,
            at,
            participants,
            norm: None,
            loss: None,
            no_worse: None,
            failed,
            clipped: None,
            phases: Vec::new(),
        }
    }

    fn phase(phase: &str, done: u64) -> RoundInfo {
        let (round, attempt, participants) = (1, 0, 4);
        let ends = Some(UnixMillis(done));
        RoundInfo { round, attempt, phase: phase.into(), participants, done, ends }
    }

    fn campaign(round: Option<RoundInfo>, history: Vec<PastRound>) -> Option<CampaignInfo> {
        Some(CampaignInfo {
            left: Some(2),
            round,
            rounds: 0,
            participants: 0,
            unit: covey_privacy::ledger::Unit::Peer,
            epsilon: None,
            delta: None,
            noise: None,
            release_every_s: None,
            next_release: None,
            problem: None,
            history,
        })
    }

    #[test]
    fn a_participant_hears_of_each_tenth_and_each_end_once() {
        let mut watcher = Watcher::default();
        assert_eq!(watcher.look(info()), []);
        let training = |done| {
            let training = Some(StepsInfo { done, total: 200 });
            LearnInfo { doing: Some("training".into()), training, ..info() }
        };
        let told: Vec<u64> = (0..=200)
            .flat_map(|done| watcher.look(training(done)))
            .map(|change| match change {
                Change::Doing { training: Some(steps), .. } => steps.done,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200]);
        let summed = LearnInfo { rounds: 1, ..info() };
        let nothing = Change::Doing { doing: None, training: None };
        assert_eq!(watcher.look(summed.clone()), [nothing, Change::Summed { rounds: 1 }]);
        assert_eq!(watcher.look(summed.clone()), []);
        let refused = LearnInfo { refused: Some("R6".into()), ..summed };
        assert_eq!(watcher.look(refused.clone()), [Change::Refused { why: "R6".into() }]);
        assert_eq!(watcher.look(refused), []);
    }

    #[test]
    fn a_coordinator_hears_of_phases_and_of_every_attempt_that_ends() {
        let mut watcher = Watcher::default();
        let at = |round, history| LearnInfo { campaign: campaign(round, history), ..info() };
        let old = vec![past(1, 0)];
        // What was over before is no news.
        let first = watcher.look(at(None, old.clone()));
        assert_eq!(first, [Change::Left { rounds: Some(2) }]);
        let gathering = phase("gathering", 0);
        let seen = watcher.look(at(Some(gathering.clone()), old.clone()));
        assert_eq!(seen, [Change::Phase(gathering.clone())]);
        let later = RoundInfo { ends: None, ..gathering };
        assert_eq!(watcher.look(at(Some(later), old.clone())), []);
        let more = phase("gathering", 1);
        assert_eq!(watcher.look(at(Some(more.clone()), old)), [Change::Phase(more)]);
        // Two ended between two looks, and another one is on.
        let history = vec![past(1, 0), past(1, 1), past(2, 0)];
        let next = phase("shares", 0);
        let seen = watcher.look(at(Some(next.clone()), history));
        let over = |round, attempt| Change::Over { ended: past(round, attempt) };
        assert_eq!(seen, [over(1, 1), over(2, 0), Change::Phase(next)]);
    }
}
