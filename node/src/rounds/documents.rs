//! Training for a round that protects single documents: the gradient of each by itself, at the values that the round starts from.
//!
//! Nothing of one document decides about another: not which pairs count, what they are told from, whether it is held out, nor whether it fails,
//! nor whether there is time for it.

use std::collections::BTreeSet;

use covey_embedder::train::{
    Documents, Examples, Learner, Objective, PUBLIC, Pair, PairRules, update,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::prepare::{adapter, check_model};
use super::{Told, Trained, Training, Update};
use crate::api::{ApiError, ErrorCode};
use crate::held_out::by_document;
use crate::models::Models;

/// Takes minus the gradients of at most as many documents as the plan says and there is time for, drawn by the seed.
pub(super) fn learn(models: &dyn Models, training: &Training<'_>) -> Result<Trained, ApiError> {
    let Training { plan, values, pairs, seed, watch, fit } = training;
    let plan = plan.plan();
    check_model(models, plan, values)?;
    let learning = plan.learning;
    let mut examples = by_document(pairs, learning.batch.into());
    let public = examples.add_texts(&PUBLIC.map(str::to_owned));
    let all: BTreeSet<usize> = examples.train.iter().map(|example| example.document).collect();
    if all.is_empty() {
        let message = "there is no document to learn from in these collections";
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    let (config, tokens) = (adapter(&plan.adapter)?, usize::from(learning.max_tokens));
    let learner = |texts: &[String]| models.learner(plan.model, config.clone(), texts, tokens);
    let together = learner(&examples.texts).ok();
    let each = together.as_deref().and_then(|learner| documents(learner, &examples, &public));
    let largest = Largest::new(learning.batch.into(), tokens);
    let most = fit(&mut || {
        // With a learner of its own, which each has where a text of one cannot be read: that must not decide how many others there are.
        if let Ok(own) = learner(&largest.0.texts) {
            largest.look(&*own, values);
        }
    });
    let drawn = draw(all.len(), most.min(learning.documents as usize), *seed);
    let late = || {
        let message = "the time to train was over before the documents were done";
        Err(ApiError::new(ErrorCode::Timeout, message))
    };
    if drawn.is_empty() || watch(0, drawn.len()) {
        return late();
    }
    let (mut parts, mut length) = (Vec::with_capacity(drawn.len()), 0.0);
    for (done, &number) in drawn.iter().enumerate() {
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
            parts.push(gradient);
        }
        if watch(done + 1, drawn.len()) && done + 1 < drawn.len() {
            return late();
        }
    }
    let steps = drawn.len();
    let told = Told { pairs: examples.train.len(), steps, norm: length / steps as f64 };
    let (update, collections) = (Update::Documents(parts), Vec::new());
    Ok(Trained { update, extras: Vec::new(), collections, told, nothing: None })
}

/// A document that takes as long as any may: as many pairs, of texts as long as count. It is made of public texts, as its time decides how many documents
/// there is time for.
struct Largest(Examples, Vec<usize>);

impl Largest {
    fn new(pairs: usize, tokens: usize) -> Self {
        let text = |first: usize| {
            let texts = PUBLIC.iter().cycle().skip(first).flat_map(|text| text.split(' '));
            // A word is a token at least.
            texts.take(tokens).collect::<Vec<_>>().join(" ")
        };
        let pair = |number: usize| Pair {
            anchor: format!("{number} {}", text(number)),
            positive: format!("of {number} {}", text(number + 1)),
            document: "the largest".to_owned(),
            ..Pair::default()
        };
        let pairs: Vec<Pair> = (0..pairs).map(pair).collect();
        let rules = PairRules { per_document: pairs.len(), held_out: 0.0, seed: 0 };
        let mut examples = Examples::new(&pairs, &rules);
        let public = examples.add_texts(&PUBLIC.map(str::to_owned));
        Self(examples, public)
    }

    fn look(&self, learner: &dyn Learner, values: &[f32]) {
        // Whether it fails is nothing to anybody: it is done for the time that it takes.
        drop(documents(learner, &self.0, &self.1).map(|it| it.gradient(values, 0, 0)));
    }
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
