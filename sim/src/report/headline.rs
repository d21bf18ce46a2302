//! What a run was and what came out, in sentences.

use covey_privacy::ledger::Unit;

use super::figure::Figure;
use super::numbers::{bytes, figure, millis, number, seconds, share};
use super::summary::{RoundsSummary, SearchSummary, Summary};
use crate::scenario::{Adversary, Algorithm, Attack, Learner, Lies, Partition, Scenario};

/// What the scenario is, a sentence for each part of it that matters.
pub(super) fn what(scenario: &Scenario) -> Vec<String> {
    let mut said = Vec::new();
    if scenario.training.rounds > 0 {
        said.push(learning(scenario));
        said.push(quality(scenario));
        said.push(protection(scenario));
        said.extend(too_many_leave(scenario));
    }
    if scenario.search.hours > 0 {
        let search = &scenario.search;
        said.push(format!(
            "{} in groups of {} ask each other {} questions an hour each, for {}.",
            count(scenario.peers, "peer"),
            search.group,
            number(search.per_hour),
            seconds(f64::from(search.hours) * 3_600.0)
        ));
        let (away, churn) = (scenario.availability.away, scenario.availability.churn_per_hour);
        if away > 0.0 || churn > 0.0 {
            said.push(format!(
                "Each is away for {} of the day, and {} of the members are replaced in an hour.",
                share(away),
                share(churn)
            ));
        }
    }
    said.extend(scenario.adversaries.iter().map(|of| adversary(of, &scenario.learner)));
    said.extend(lie(scenario.coordinator.lies).map(|lie| format!("The coordinator {lie}.")));
    said.extend(too_many_collude(scenario));
    said
}

/// What quality is.
fn quality(scenario: &Scenario) -> String {
    match (&scenario.learner, scenario.data.questions) {
        (Learner::Surrogate { .. }, _) => {
            "Quality is 1 at the optimum of all peers' examples, and 0 where training begins."
                .into()
        }
        (Learner::Embedder { .. }, 0) => {
            "Quality is nDCG@10 on the questions that judge.".to_owned()
        }
        (Learner::Embedder { .. }, most) => {
            format!("Quality is nDCG@10 on up to {} that judge.", count(most, "question"))
        }
    }
}

/// That rounds are bound to fail, where more leave than a sum can do without.
fn too_many_leave(scenario: &Scenario) -> Option<String> {
    let out = &scenario.availability.dropout;
    let leave = out.keys + out.shares + out.upload + out.survivors + out.opening;
    let sums = scenario.training.algorithm.sums();
    (sums && leave > 0.0 && leave >= scenario.sum.dropout).then(|| {
        format!(
            "Of a round's participants {} leave on average after checking in, and a sum can do without {} of them (sum.dropout): expect rounds that come to nothing.",
            share(leave),
            share(scenario.sum.dropout)
        )
    })
}

/// That an epsilon says nothing, where more collude than noise is calculated for: they know their own shares of it.
fn too_many_collude(scenario: &Scenario) -> Option<String> {
    let collude = scenario.adversaries.iter().filter(|it| it.attack == Attack::Collude);
    let colluding: f64 = collude.map(|it| it.share).sum();
    (scenario.privacy.is_noisy() && colluding > scenario.sum.collusion).then(|| {
        format!(
            "More collude than sum.collusion allows for ({}), and they know the noise that they added themselves: no epsilon told here holds against them.",
            share(scenario.sum.collusion)
        )
    })
}

fn learning(scenario: &Scenario) -> String {
    let training = &scenario.training;
    let learner = match &scenario.learner {
        Learner::Surrogate { values, .. } => format!("a quadratic of {values} values"),
        Learner::Embedder { rank: Some(rank), .. } => {
            format!("the embedder's adapter of rank {rank}")
        }
        Learner::Embedder { rank: None, .. } => "the embedder's full map".to_owned(),
    };
    let how = match training.algorithm {
        Algorithm::Average if training.mu > 0.0 => {
            format!(" together with FedProx (mu {})", number(training.mu))
        }
        Algorithm::Average if scenario.privacy.unit == Unit::Document => {
            " together with FedSGD".to_owned()
        }
        Algorithm::Average => " together with FedAvg".to_owned(),
        Algorithm::Momentum => " together with FedAvg and server momentum".to_owned(),
        Algorithm::Adagrad => " together with FedAdagrad".to_owned(),
        Algorithm::Adam => " together with FedAdam".to_owned(),
        Algorithm::Yogi => " together with FedYogi".to_owned(),
        Algorithm::Local => ", each for itself".to_owned(),
        Algorithm::Central => ", with all examples in one place".to_owned(),
    };
    let split = match scenario.data.partition {
        Partition::Iid => "examples dealt out at random".to_owned(),
        Partition::Dirichlet => {
            format!(
                "examples dealt out by topic (Dirichlet, alpha {})",
                number(scenario.data.alpha)
            )
        }
        Partition::Topics => format!("{} topics each", scenario.data.topics_per_peer),
        Partition::Author => "examples dealt out by author".to_owned(),
    };
    let cohort = match training.cohort {
        0 => String::new(),
        cohort if cohort >= scenario.peers => String::new(),
        cohort => format!(", {cohort} of them asked in each"),
    };
    format!(
        "{} train {learner}{how} for {}{cohort}; {split}.",
        count(scenario.peers, "peer"),
        count(training.rounds, "round")
    )
}

fn protection(scenario: &Scenario) -> String {
    let privacy = &scenario.privacy;
    let sum = match scenario.training.algorithm {
        Algorithm::Local | Algorithm::Central => return "Nothing is summed.".to_owned(),
        _ if scenario.sum.secure => "Updates are summed by secure aggregation",
        _ => "Updates are summed in the clear, encoded as for secure aggregation",
    };
    // Of a document at a time there is more to say, wherever it is.
    let (of, clipped) = match privacy.unit {
        Unit::Peer => (" for all that any one peer has", ""),
        Unit::Document => {
            (" for any one document, and less for several of a peer's,", " document by document")
        }
    };
    let sum = match privacy.unit {
        Unit::Peer => sum.to_owned(),
        Unit::Document => format!(
            "{sum}, in one step a round on at most {} of each peer's documents",
            privacy.documents
        ),
    };
    match (privacy.epsilon, privacy.noise) {
        (Some(epsilon), _) => format!(
            "{sum}, with noise for epsilon {}{of} and delta {} in all rounds together, clipped{clipped} at {}; that holds against a coordinator with whom at most {} of the participants collude.",
            number(epsilon),
            number(privacy.delta),
            number(privacy.clip),
            share(scenario.sum.collusion)
        ),
        (None, Some(noise)) => format!(
            "{sum}, with noise of at least {} times the clip norm of {} on each sum{of}: as much if only the fewest honest ones stay who may, and more if more do.",
            number(noise),
            number(privacy.clip)
        ),
        (None, None) => format!("{sum}, without noise, so there is no bound on what it tells."),
    }
}

fn adversary(of: &Adversary, learner: &Learner) -> String {
    let strength = number(of.strength);
    let what = match of.attack {
        Attack::Scale => format!("send updates {strength} times as long"),
        Attack::SignFlip => format!("send {strength} times the negative of their updates"),
        Attack::Garbage => format!("send garbage {strength} clip norms long"),
        Attack::Poison => match learner {
            Learner::Surrogate { .. } => "learn from the mirror image of their examples".to_owned(),
            Learner::Embedder { .. } => "learn from pairs with other pairs' answers".to_owned(),
        },
        Attack::ForgeScores => {
            format!("answer questions with ads that claim a score of {strength}")
        }
        Attack::Flood => format!("ask {strength} times as many questions"),
        Attack::Collude => "pool what they know with the coordinator".to_owned(),
    };
    format!("{} of the peers {what}.", share(of.share))
}

/// What a coordinator does that lies.
const fn lie(lies: Lies) -> Option<&'static str> {
    match lies {
        Lies::None => None,
        Lies::SwappedKeys => Some("puts keys of its own in the place of a peer's"),
        Lies::TwoSets => Some("tells different peers of different survivors"),
        Lies::TwoModels => Some("has peers train different models"),
        Lies::SmallCohort => Some("tells each peer that there are two of them"),
        Lies::Replay => Some("announces the first plan again, from the third round on"),
    }
}

/// What came out.
pub(super) fn outcome(summary: &Summary) -> Vec<String> {
    let mut said = Vec::new();
    if summary.rounds.is_none() && summary.search.is_none() {
        return vec!["Nothing has been measured yet.".to_owned()];
    }
    if !summary.complete {
        said.push("The run has not come to its end; this is what there is so far.".to_owned());
    }
    if let Some(rounds) = &summary.rounds {
        of_rounds(rounds, &mut said);
    }
    if let Some(search) = &summary.search {
        of_search(search, &mut said);
    }
    said
}

fn of_rounds(of: &RoundsSummary, said: &mut Vec<String>) {
    match (of.quality_before, of.quality) {
        (Some(before), Some(after)) if of.done > 0 => said.push(format!(
            "Quality went from {} to {} in {}.",
            number(before.mean),
            with_seeds(&after),
            count(of.done, "round")
        )),
        (_, Some(after)) => {
            said.push(format!(
                "Quality is {} after {}.",
                with_seeds(&after),
                count(of.done, "round")
            ));
        }
        (_, None) => {}
    }
    if let Some(worst) = of.worst_decile {
        let peers = of.peers_quality.map(|peers| {
            let all = figure(&peers, number);
            format!(", where all have {all}, each by what it holds out of its own pairs")
        });
        said.push(format!(
            "The tenth of the peers that it serves worst has {}{}.",
            figure(&worst, number),
            peers.unwrap_or_default()
        ));
    }
    if let Some(failed) = of.failed.filter(|failed| failed.mean > 0.0) {
        let each = if failed.seeds > 1 { " for each seed" } else { "" };
        said.push(format!("Rounds that came to nothing: {}{each}.", number(failed.mean)));
    }
    if let Some(epsilon) = of.epsilon {
        said.push(format!(
            "The most that a peer has spent is epsilon {}.",
            figure(&epsilon, number)
        ));
    }
    if let (Some(up), Some(down)) = (of.up_per_peer_bytes, of.down_per_peer_bytes) {
        said.push(format!(
            "A peer sent {} and received {} on average.",
            bytes(up.mean),
            bytes(down.mean)
        ));
    }
    if let Some(took) = of.virtual_s.filter(|took| took.mean > 0.0) {
        said.push(format!("It took {} of virtual time.", seconds(took.mean)));
    }
    if let Some(attack) = of.attack {
        said.push(format!(
            "The attack has undone {} of what honest peers alone gain.",
            figure(&attack, share)
        ));
    }
    if !of.refused_by.is_empty() {
        let each = of.refused_by.iter();
        let each = each.map(|(check, peers)| format!("{check} {}", number(peers.mean)));
        let each = each.collect::<Vec<_>>().join(", ");
        said.push(format!("Times that a check had a peer refuse to go on: {each}."));
    }
    if let Some(opened) = of.opened.filter(|opened| opened.mean > 0.0) {
        said.push(format!(
            "Times that a peer opened shares for the coordinator while it lied: {}.",
            figure(&opened, number)
        ));
    }
    if let Some(exposed) = of.exposed {
        said.push(match exposed.mean > 0.0 {
            true => format!(
                "By all that it and those who collude with it know, the coordinator could open {} updates of honest peers.",
                figure(&exposed, number)
            ),
            false => "The coordinator could open no honest peer's update, by all that it and those who collude with it know.".to_owned(),
        });
    }
}

fn of_search(of: &SearchSummary, said: &mut Vec<String>) {
    if let (Some(questions), Some(answered)) = (of.questions, of.answered) {
        said.push(format!(
            "{} questions were asked, and {} of the members asked answered.",
            number(questions.mean),
            figure(&answered, share)
        ));
    }
    if let Some(recall) = of.recall {
        said.push(format!("Recall of the best ten passages was {}.", with_seeds(&recall)));
    }
    if let (Some(p50), Some(p95)) = (of.p50_ms, of.p95_ms) {
        said.push(format!(
            "Half of the questions were over within {}, and 95 of a hundred within {}, whether or not anybody but the asker had an answer.",
            millis(p50.mean),
            millis(p95.mean)
        ));
    }
    if let Some(attack) = of.attack {
        said.push(format!(
            "Of the questions to groups with forgers {} had a forged result first.",
            figure(&attack, share)
        ));
    }
    if let Some(harvested) = of.harvested {
        said.push(format!(
            "Those who flood have got {} of what others in their groups share.",
            figure(&harvested, share)
        ));
    }
}

fn with_seeds(of: &Figure) -> String {
    let mean = number(of.mean);
    match (of.low.map(number), of.high.map(number)) {
        (Some(low), Some(high)) if low != high => {
            format!("{mean} (95% interval {low} to {high} over {} seeds)", of.seeds)
        }
        (Some(_), Some(_)) => format!("{mean} in all {} seeds", of.seeds),
        _ => mean,
    }
}

fn count(many: u32, what: &str) -> String {
    if many == 1 { format!("1 {what}") } else { format!("{many} {what}s") }
}
