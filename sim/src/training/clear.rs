//! A round whose words are added in the clear: what a secure sum would have come to, without its cost.

use std::sync::Arc;
use std::time::Duration;

use covey_coordinator::{Campaign, GroupView, Learnt};
use covey_crypto::SecretKey;
use covey_privacy::encode::Encoding;
use covey_protocol::ids::UnixMillis;
use covey_protocol::round::{Checked, SignedPlan, Start};
use rayon::prelude::*;

use super::adversary;
use super::fate::{Fate, Leaves};
use super::party::{Ground, noise, time_to_train, trained};
use crate::SimError;

/// What a round came to.
pub(super) struct Summed {
    pub(super) learnt: Learnt,
    pub(super) cohort: u32,
    pub(super) survivors: u32,
}

/// One round with these participants, by their numbers. Of those who leave, who would have been in the sum is.
pub(super) fn round(
    ground: &Ground,
    plan: &Checked,
    fates: &[(usize, Fate)],
    round: u32,
    (values, memory): (&[f32], &[f32]),
) -> Result<Summed, SimError> {
    let most = plan.plan().learning.max_steps;
    let window = plan.plan().timing.window_ms().unwrap_or(0);
    let time = Duration::from_millis(window - window / 10);
    let time = |fate: &Fate| time_to_train(fate, time.saturating_sub(fate.begins));
    let trains = |fate: &Fate| fate.leaves != Some(Leaves::Training) && time(fate) > 0;
    let checks_in = |it: &&(usize, Fate)| trains(&it.1);
    let cohort = fates.iter().filter(checks_in).count() as u32;
    let sends = |it: &&(usize, Fate)| match it.1.leaves {
        None | Some(Leaves::Survivors | Leaves::Opening) => true,
        Some(Leaves::Training | Leaves::Keys | Leaves::Shares | Leaves::Upload) => false,
    };
    let senders: Vec<_> = fates.iter().filter(checks_in).filter(sends).collect();
    let words = |(peer, fate): &&(usize, Fate)| -> Result<Vec<u32>, SimError> {
        let most = most.min(time(fate));
        let trained = trained(ground, *peer, fate, plan, values.to_vec(), most, round)
            .map_err(|error| SimError::bad(&error))?;
        let layout = adversary::layout(fate.attack, plan.layout());
        let encoding = Encoding::new(layout).map_err(|error| SimError::bad(&error))?;
        let mut rng = noise(ground.seed, *peer, round, 0);
        let encoded = encoding.encode(&trained.update, &trained.extras, &mut rng);
        Ok(encoded.map_err(|error| SimError::bad(&error))?.noised(&mut rng).into_words())
    };
    // Sums of words are the same in any order.
    let sum = senders
        .par_iter()
        .map(words)
        .try_reduce_with(|mut sum, words| {
            sum.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(word));
            Ok(sum)
        })
        .unwrap_or_else(|| Ok(Vec::new()))?;
    let survivors = senders.len() as u32;
    let thresholds = plan.plan().sum.thresholds(cohort).map_err(|error| SimError::bad(&error))?;
    if survivors < thresholds.survivors {
        let why =
            format!("{survivors} survive of {cohort}, and {} are needed", thresholds.survivors);
        return Err(SimError::Round(why));
    }
    let learnt = Learnt::of(plan, sum, survivors, values.to_vec(), memory.to_vec());
    let learnt = learnt.map_err(|error| SimError::Round(error.to_string()))?;
    Ok(Summed { learnt, cohort, survivors })
}

/// The plan of a round.
pub(super) fn plan(
    campaign: &Campaign,
    view: &GroupView,
    key: &Arc<SecretKey>,
    round: u32,
    values: &[f32],
    now: UnixMillis,
) -> Result<Checked, SimError> {
    let plan = campaign.plan(view, round.into(), Start::of(values), now);
    let plan = plan.map_err(|error| SimError::bad(&error))?;
    let signed = SignedPlan::sign(&plan, key).map_err(|check| SimError::bad(&check))?;
    signed.verify(&view.coordinator).map_err(|check| SimError::bad(&check))
}
