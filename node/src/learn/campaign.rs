//! What the person who coordinates asks for, as a campaign: sizes and times that suit the model.

use covey_coordinator::{Campaign, GroupView};
use covey_embedder::adapter::{AdapterConfig, HeadConfig, LoraConfig};
use covey_privacy::ledger::Unit;
use covey_privacy::{ClipNorm, Delta};
use covey_protocol::limits::MAX_COHORT;
use covey_protocol::round::{Contribution, Learning, Measure, Rule, Weighting};
use covey_protocol::secagg::{Bounds, Parameters, Topology};

use super::calls::{number, usage};
use crate::api::{ApiError, ErrorCode, StartRounds};
use crate::models::ModelHandle;

/// How often a round is tried.
const ATTEMPTS: u32 = 3;
/// Most participants of a round in which each shares with all others; in larger ones each shares with some.
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
/// Most documents of a participant that count in a round by themselves, and most pairs of each.
const DOCUMENTS: u32 = 32;
const DOCUMENT_PAIRS: u16 = 16;
/// Tokens of a text that count in training.
const TOKENS: u16 = 128;

/// A small adapter, or a full map behind a static model. With noise it is small in any case, as noise grows with the number of values, and
/// only one factor moves: a mean of updates is then the update of the mean, and noise is not multiplied with itself (FFA-LoRA).
pub(super) fn adapter(model: &ModelHandle, call: &StartRounds) -> AdapterConfig {
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

/// For a group of so many members.
pub(super) fn campaign(
    model: &ModelHandle,
    adapter: &AdapterConfig,
    call: &StartRounds,
    members: u32,
) -> Result<Campaign, ApiError> {
    if call.rounds == 0 {
        let message = "there are no rounds to begin";
        return Err(ApiError::new(ErrorCode::Usage, message).hint("take --rounds of 1 or more"));
    }
    let documents = match (call.unit, call.documents) {
        (Unit::Peer, Some(_)) => {
            let message = "documents are counted only where each is protected by itself";
            return Err(ApiError::new(ErrorCode::Usage, message)
                .hint("take --unit document, or leave --documents out"));
        }
        (Unit::Document, _) if call.epsilon.is_none() => {
            let message =
                "a document is protected by noise only: say what all rounds together may cost";
            return Err(
                ApiError::new(ErrorCode::Usage, message).hint("take --epsilon, or --unit peer")
            );
        }
        (Unit::Document, _) if call.rate.is_some() || call.proximal > 0.0 => {
            let message = "rounds that protect single documents take one step, whose length is the server's rate";
            return Err(ApiError::new(ErrorCode::Usage, message)
                .hint("take --server-rate, and leave --rate and --proximal out"));
        }
        (Unit::Peer, None) => None,
        (Unit::Document, asked) => Some(asked.unwrap_or(DOCUMENTS)),
    };
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
    let (topology, most) = topology(call, members)?;
    let seconds = |seconds: u32| seconds.saturating_mul(1_000);
    Ok(Campaign {
        rounds: call.rounds,
        attempts: ATTEMPTS,
        model: model.id,
        adapter: serde_json::to_vec(adapter).map_err(|error| usage(&error))?,
        learning: match documents {
            Some(documents) => Learning::by_document(documents, DOCUMENT_PAIRS, TOKENS),
            None => Learning {
                epochs: call.epochs,
                batch,
                max_steps: call.max_steps,
                rate: call.rate.unwrap_or(rate),
                proximal: call.proximal,
                max_tokens: TOKENS,
                min_pairs: MIN_PAIRS,
                documents: 0,
            },
        },
        contribution: Contribution {
            clip: number(ClipNorm::new(call.clip.unwrap_or(match call.epsilon {
                Some(_) => CLIP,
                None => CLIP_WITHOUT_NOISE,
            })))?,
            noise: None,
            unit: call.unit,
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
            topology,
            entries: 1,
            min_cohort: call.min_cohort,
            max_cohort: most,
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

/// Who shares with whom in a group of so many members, and most participants of a round.
fn topology(call: &StartRounds, members: u32) -> Result<(Topology, u32), ApiError> {
    let most = call.max_cohort.unwrap_or(MOST_COMPLETE.max(call.min_cohort));
    if call.min_cohort.max(most) > MAX_COHORT {
        let message = format!("a round has {MAX_COHORT} participants at most");
        return Err(ApiError::new(ErrorCode::Usage, message)
            .hint(format!("take --min-cohort and --max-cohort of up to {MAX_COHORT}")));
    }
    // Of a group that grows later, no more take part than can all share with all.
    if most.min(members) > MOST_COMPLETE {
        Ok((Topology::Sparse, most))
    } else {
        Ok((Topology::Complete, most.min(MOST_COMPLETE)))
    }
}

/// Evaluations that a campaign may come to, each of which costs what a round does: none where the group wants none.
pub(super) fn evaluations(view: &GroupView, campaign: &Campaign) -> u32 {
    let Some(every) = campaign.release_every_ms.filter(|_| view.quorum > 0) else { return 0 };
    let round = campaign.window_ms.saturating_add(campaign.pause_ms);
    let during = round.saturating_mul(campaign.rounds.into()) / every.max(1);
    u32::try_from(during).unwrap_or(u32::MAX).min(campaign.rounds).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_cohorts_share_with_neighbours() {
        let call = |min_cohort, max_cohort| {
            StartRounds {
            min_cohort,
            max_cohort,
            ..serde_json::from_str(
                r#"{"group":"lab","rounds":1,"rule":"average","server_rate":1.0,"min_cohort":4,"epochs":1,"max_steps":1,
                    "delta":1e-5,"proximal":0.0,"collusion_permille":100,"dropout_permille":100,"window_s":60,"phase_s":60,"pause_s":0}"#,
            )
            .expect("a call")
        }
        };
        let of =
            |min_cohort, max_cohort, members| topology(&call(min_cohort, max_cohort), members).ok();
        assert_eq!(of(4, None, 900), Some((Topology::Complete, 100)));
        assert_eq!(of(4, Some(300), 80), Some((Topology::Complete, 100)));
        assert_eq!(of(4, Some(300), 900), Some((Topology::Sparse, 300)));
        assert_eq!(of(200, None, 900), Some((Topology::Sparse, 200)));
        assert_eq!(of(4, Some(MAX_COHORT + 1), 900), None);
    }
}
