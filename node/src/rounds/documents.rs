//! Training for a round that protects single documents: the gradient of each by itself, at the values that the round starts from.
//!
//! Nothing of one document decides about another: not which pairs count, what they are told from, whether it is held out, nor whether it fails.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use covey_embedder::train::{Documents, Examples, Learner, Objective, PUBLIC, Pair, update};
use covey_protocol::round::Plan;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::prepare::{adapter, check_model};
use super::{Told, Trained, Update};
use crate::api::{ApiError, ErrorCode};
use crate::held_out::by_document;
use crate::models::Models;

/// Minus the gradients of the documents that are done, in the order of their draw, where they can be taken while another is worked on.
#[derive(Debug, Default)]
pub struct SoFar(Mutex<Vec<Vec<f32>>>);

impl SoFar {
    fn push(&self, document: Vec<f32>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(document);
    }

    /// What there is. Later ones are for nobody.
    pub(crate) fn take(&self) -> Update {
        Update::Documents(std::mem::take(
            &mut self.0.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

/// Takes the gradients of at most as many documents as the plan says, drawn by `seed`, into `so_far`. `watch` hears after each how many are done, and of
/// how many, and ends it early.
pub(super) fn learn(
    models: &dyn Models,
    plan: &Plan,
    values: &[f32],
    pairs: &[Pair],
    seed: u64,
    watch: &dyn Fn(usize, usize) -> bool,
    so_far: &SoFar,
) -> Result<Trained, ApiError> {
    check_model(models, plan, values)?;
    let mut examples = by_document(pairs, plan.learning.batch.into());
    let public = examples.add_texts(&PUBLIC.map(str::to_owned));
    let all: BTreeSet<usize> = examples.train.iter().map(|example| example.document).collect();
    if all.is_empty() {
        let message = "there is no document to learn from in these collections";
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    let (config, tokens) = (adapter(&plan.adapter)?, usize::from(plan.learning.max_tokens));
    let learner = |texts: &[String]| models.learner(plan.model, config.clone(), texts, tokens);
    let together = learner(&examples.texts).ok();
    let each = together.as_deref().and_then(|learner| documents(learner, &examples, &public));
    let drawn = draw(all.len(), plan.learning.documents as usize, seed);
    let (mut done, mut length, mut over) = (0, 0.0, watch(0, drawn.len()));
    for &number in &drawn {
        if over {
            break;
        }
        // One that fails adds nothing, and the others do as they would without it.
        let gradient = match &each {
            Some(each) => each.gradient(values, number, 0).ok(),
            // A text of some document cannot be read by the model.
            None => all.iter().nth(number).and_then(|document| {
                let learner = learner(&texts_of(&examples, *document)).ok()?;
                documents(&*learner, &examples, &public)?.gradient(values, number, 0).ok()
            }),
        };
        if let Some(mut gradient) = gradient {
            let norm = update::norm(&gradient);
            length += if norm.is_finite() { norm } else { 0.0 };
            gradient.iter_mut().for_each(|value| *value = -*value);
            so_far.push(gradient);
        }
        done += 1;
        over = watch(done, drawn.len());
    }
    if done == 0 {
        let message = "the time to train was over before the first document was done";
        return Err(ApiError::new(ErrorCode::Timeout, message));
    }
    let told = Told { pairs: examples.train.len(), steps: done, norm: length / done as f64 };
    let (update, collections) = (so_far.take(), Vec::new());
    Ok(Trained { update, extras: Vec::new(), collections, told, nothing: None })
}

/// Those to learn from, each told from all public texts.
fn documents<'a>(
    learner: &'a dyn Learner,
    examples: &'a Examples,
    public: &'a [usize],
) -> Option<Documents<'a>> {
    let objective = Objective { symmetric: false, ..Objective::default() };
    Documents::new(learner, examples, public, objective, public.len()).ok()
}

/// All texts by number, but for those of other documents, in whose place there is none.
fn texts_of(examples: &Examples, document: usize) -> Vec<String> {
    let mut texts = examples.texts.clone();
    let of = |own: bool| {
        let examples = examples.train.iter().chain(&examples.held_out);
        let those = examples.filter(move |example| (example.document == document) == own);
        those.flat_map(|example| [example.anchor, example.positive])
    };
    let own: BTreeSet<usize> = of(true).collect();
    of(false).filter(|text| !own.contains(text)).for_each(|text| texts[text].clear());
    texts
}

/// `most` of so many, each set of them with the same chance.
fn draw(count: usize, most: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut all: Vec<(u64, usize)> = (0..count).map(|number| (rng.next_u64(), number)).collect();
    all.sort_unstable();
    all.into_iter().take(most).map(|(_, number)| number).collect()
}

#[cfg(test)]
mod tests;
