//! The learner that a scenario names, with its data dealt to peers.

use std::sync::Arc;

use super::{Base, EmbedderTask, Learns, Part, Surrogate};
use crate::data::{Dataset, Found, Labels, deal};
use crate::scenario::{Attack, Learner, Scenario};
use crate::{SimError, training};

/// What a scenario's peers learn, with a seed.
///
/// # Errors
/// If its data or model cannot be had.
pub fn of(scenario: &Scenario, seed: u64) -> Result<Arc<dyn Learns>, SimError> {
    let data = &scenario.data;
    let peers = scenario.peers as usize;
    let bad = training::adversaries(scenario, seed, peers);
    let poisoned = |peer: usize| matches!(bad[peer], Some((Attack::Poison, _)));
    match &scenario.learner {
        Learner::Surrogate { values, heterogeneity } => {
            let labels = match data.folder {
                Some(_) => dataset(scenario, seed, None)?.pair_labels,
                None => Labels::made_up(data.examples, data.topics),
            };
            let dealt = deal(data, &labels, peers, seed).map_err(|error| SimError::bad(&error))?;
            let topics = labels.topics();
            let count = topics.iter().max().map_or(1, |most| *most as usize + 1);
            let counts = |examples: &Vec<u32>| {
                let mut counts = vec![0_u32; count];
                examples.iter().for_each(|example| counts[topics[*example as usize] as usize] += 1);
                counts
            };
            let counts = dealt.iter().map(counts).collect();
            let values = *values as usize;
            let task = Surrogate::new(seed, values, *heterogeneity, counts);
            let poisoned: Vec<bool> = (0..peers).map(poisoned).collect();
            Ok(Arc::new(task.poisoned(&poisoned)))
        }
        Learner::Embedder { model, rank, found } => {
            let base = Base::open(model.as_deref())?;
            let finds = if *found > 0 { Some(base.embedder()?) } else { None };
            let set = dataset(scenario, seed, finds.as_deref().map(|it| (it, *found as usize)))?;
            let dealt = deal(data, &set.pair_labels, peers, seed);
            let dealt = dealt.map_err(|error| SimError::bad(&error))?;
            let own = |examples: &Vec<u32>| {
                examples.iter().map(|example| set.pairs[*example as usize].clone()).collect()
            };
            let own: Vec<Vec<_>> = dealt.iter().map(own).collect();
            let mut pairs = own.clone();
            let bad = pairs.iter_mut().enumerate().filter(|(peer, _)| poisoned(*peer));
            bad.for_each(|(_, pairs)| misplace(pairs));
            let noisy = scenario.privacy.is_noisy();
            let part = Part { rank: rank.map(|rank| rank as usize), freeze_a: noisy };
            Ok(Arc::new(EmbedderTask::new(base, part, pairs, &own, set.test)?))
        }
    }
}

/// Gives each question another's answer; whoever has one pair alone keeps it.
fn misplace(pairs: &mut [covey_embedder::train::Pair]) {
    let count = pairs.len();
    let answers: Vec<String> = pairs.iter().map(|pair| pair.positive.clone()).collect();
    for (place, pair) in pairs.iter_mut().enumerate() {
        pair.positive.clone_from(&answers[(place + count / 2) % count]);
    }
}

fn dataset(scenario: &Scenario, seed: u64, found: Option<Found<'_>>) -> Result<Dataset, SimError> {
    Dataset::of(&scenario.data, seed, found).map_err(|error| SimError::bad(&error))
}
