//! A scenario's rounds, as the campaign that a coordinator is given.

use covey_coordinator::{Campaign, GroupView};
use covey_privacy::accountant::Rounds;
use covey_privacy::encode::Encoding;
use covey_privacy::ledger::Unit;
use covey_privacy::plan::ledger_noise;
use covey_privacy::{ClipNorm, Delta, Epsilon, NoiseMultiplier};
use covey_protocol::ids::UnixMillis;
use covey_protocol::round::{Contribution, Learning, Measure, Rule, Start, Weighting};
use covey_protocol::secagg::{Bounds, Parameters, Topology};

use crate::SimError;
use crate::learner::Learns;
use crate::scenario::{self, Algorithm, Scenario};

/// Everybody shares with everybody up to so many.
pub(crate) const MOST_COMPLETE: u32 = 100;
/// Examples beyond which a peer counts no more, where they count.
const EXAMPLES_CAP: u32 = 1_000;
/// Tokens of a text that count.
const TOKENS: u16 = 128;
/// Least divisor of adaptive rules.
const TAU: f64 = 1e-3;

/// One round of a scenario, as its coordinator starts it. Noise is for all of its rounds.
pub(super) fn one_round(
    scenario: &Scenario,
    learner: &dyn Learns,
    view: &GroupView,
    now: UnixMillis,
) -> Result<Campaign, SimError> {
    let all = u32::try_from(learner.peers()).unwrap_or(u32::MAX);
    with(scenario, parameters(scenario, all), learner, view, now)
}

/// The same with a secure sum of these sizes.
pub(super) fn with(
    scenario: &Scenario,
    parameters: Parameters,
    learner: &dyn Learns,
    view: &GroupView,
    now: UnixMillis,
) -> Result<Campaign, SimError> {
    let Scenario { training, sum, privacy, .. } = scenario;
    let noisy = privacy.is_noisy();
    let unit = unit(scenario);
    let seconds = |seconds: u32| seconds.saturating_mul(1_000);
    let mut campaign = Campaign {
        rounds: 1,
        attempts: sum.attempts,
        model: learner.model(),
        adapter: learner.adapter(),
        learning: learning(scenario),
        contribution: Contribution {
            clip: ClipNorm::new(privacy.clip).map_err(|error| SimError::bad(&error))?,
            noise: None,
            unit,
            delta: Delta::new(privacy.delta).map_err(|error| SimError::bad(&error))?,
            rotate: false,
            weighting: match training.weighted {
                true => Weighting::Pairs { cap: EXAMPLES_CAP },
                false => Weighting::Uniform,
            },
            // A measure would cost noise of its own.
            measures: match unit {
                Unit::Peer if !noisy => vec![Measure::Clipped],
                Unit::Peer | Unit::Document => vec![],
            },
        },
        sum: parameters,
        rule: rule(training.algorithm, training.server_rate),
        window_ms: u64::from(sum.window_s) * 1_000,
        phase_ms: seconds(sum.phase_s),
        upload_ms: seconds(sum.upload_s),
        pause_ms: 0,
        release_every_ms: None,
    };
    let layout = |campaign: &Campaign| {
        let plan = campaign.plan(view, 1, Start::of(&learner.start()), now);
        let plan = plan.map_err(|error| SimError::bad(&error))?;
        plan.check().map_err(|check| SimError::bad(&check))
    };
    if noisy {
        // Of the layout that the rounds will have: any noise will do to find it.
        campaign.contribution.noise = Some(NoiseMultiplier::ONE);
        let layout = layout(&campaign)?;
        campaign.contribution.noise = match (privacy.epsilon, privacy.noise) {
            (None, None) => None,
            (None, Some(noise)) => {
                Some(NoiseMultiplier::new(noise).map_err(|error| SimError::bad(&error))?)
            }
            (Some(epsilon), _) => {
                let epsilon = Epsilon::new(epsilon).map_err(|error| SimError::bad(&error))?;
                let rounds = Rounds::new(training.rounds).map_err(|error| SimError::bad(&error))?;
                let noise = ledger_noise(epsilon, campaign.contribution.delta, rounds, &layout);
                Some(noise.map_err(|error| SimError::bad(&error))?)
            }
        };
    }
    // A grid too coarse for it would have nobody send anything, round after round.
    Encoding::new(layout(&campaign)?).map_err(|error| SimError::bad(&error))?;
    Ok(campaign)
}

/// Sizes and bounds of a scenario's secure sums among so many peers.
pub(crate) fn parameters(scenario: &Scenario, peers: u32) -> Parameters {
    let (sum, most) = (&scenario.sum, most(scenario, peers));
    let permille = |share: f64| (1_000.0 * share).round() as u16;
    let bounds = Bounds {
        collusion_permille: permille(sum.collusion),
        dropout_permille: permille(sum.dropout),
        ..Bounds::default()
    };
    let min_cohort = match sum.min_cohort {
        0 => bounds.survivors(most).max(3),
        least => least,
    };
    let topology = if is_sparse(scenario, peers) { Topology::Sparse } else { Topology::Complete };
    Parameters { topology, entries: 1, min_cohort, max_cohort: most, bounds }
}

/// Whether participants know their neighbours alone.
pub(crate) fn is_sparse(scenario: &Scenario, peers: u32) -> bool {
    match scenario.sum.topology {
        scenario::Topology::Auto => most(scenario, peers) > MOST_COMPLETE,
        scenario::Topology::Complete => false,
        scenario::Topology::Sparse => true,
    }
}

/// Most of so many peers who take part in a round.
fn most(scenario: &Scenario, peers: u32) -> u32 {
    scenario.training.participants(peers)
}

/// What the rounds hide. Whoever trains alone is in nobody's sum, where there would be anything to hide.
fn unit(scenario: &Scenario) -> Unit {
    if scenario.training.algorithm.sums() { scenario.privacy.unit } else { Unit::Peer }
}

/// How peers train.
pub(super) fn learning(scenario: &Scenario) -> Learning {
    let training = &scenario.training;
    let batch = u16::try_from(training.batch).unwrap_or(u16::MAX);
    if unit(scenario) == Unit::Document {
        return Learning::by_document(scenario.privacy.documents, batch, TOKENS);
    }
    Learning {
        epochs: u16::try_from(training.epochs).unwrap_or(u16::MAX),
        batch,
        max_steps: training.steps,
        rate: training.rate,
        proximal: training.mu,
        max_tokens: TOKENS,
        min_pairs: 2,
        documents: 0,
    }
}

fn rule(algorithm: Algorithm, rate: f64) -> Rule {
    match algorithm {
        Algorithm::Average | Algorithm::Local | Algorithm::Central => Rule::Average { rate },
        Algorithm::Momentum => Rule::Momentum { rate, beta: 0.9 },
        Algorithm::Adagrad => Rule::Adagrad { rate, tau: TAU },
        Algorithm::Adam => Rule::Adam { rate, beta1: 0.9, beta2: 0.99, tau: TAU },
        Algorithm::Yogi => Rule::Yogi { rate, beta1: 0.9, beta2: 0.99, tau: TAU },
    }
}
