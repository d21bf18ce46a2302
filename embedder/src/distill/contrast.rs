//! Trains token vectors on pairs of texts that belong together.
//!
//! A text is the normalised sum of its tokens' vectors, as in the model to be, and the loss is
//! InfoNCE in both directions over the other pairs of a batch (van den Oord, Li and Vinyals 2018;
//! Radford et al. 2021): each text is to be nearer to its partner than to the others'. What
//! moves is every coordinate of every vector, so its length, which is the token's weight, is
//! learnt as well. A batch is drawn from one group of pairs, whose texts are of one kind and
//! field; told from each other they teach more than from those of another field.
//!
//! The same pairs, options and kind of processor give the same bytes on any number of threads.

mod adam;
mod step;

use rayon::prelude::*;

use crate::EmbedError;
use crate::adapter::seeded;
use crate::tokens::ContentTokenizer;
use adam::Adam;

/// Two texts that belong together: a term and its definition, a title and its text.
pub type TextPair = [String; 2];

/// How token vectors are trained.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrastOptions {
    /// Times that each pair is seen.
    pub passes: usize,
    /// Pairs of a batch.
    pub batch: usize,
    /// What similarities are divided by.
    pub temperature: f32,
    /// Adam's step, at most: it grows over the first batches and falls to next to nothing.
    pub rate: f32,
    /// Tokens of a text that count in training.
    pub max_tokens: usize,
    /// What the order of pairs is drawn from.
    pub seed: u64,
}

impl Default for ContrastOptions {
    fn default() -> Self {
        Self { passes: 2, batch: 1024, temperature: 0.05, rate: 0.025, max_tokens: 256, seed: 1 }
    }
}

/// Batches over which the rate grows.
const WARM_UP: usize = 50;

/// The last rate's share of the highest.
const LAST_RATE: f32 = 0.02;

/// How far training has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastProgress {
    /// Batches done.
    pub done: usize,
    /// Batches in all.
    pub all: usize,
    /// The loss of the last batch.
    pub loss: f64,
}

/// Texts of a group's pairs as token numbers: first and second side.
struct Group(Vec<[Vec<u32>; 2]>);

/// Trains `vectors`, `[tokens, dim]`, in place.
pub(super) fn train(
    vectors: &mut [f32],
    dim: usize,
    tokenizer: &ContentTokenizer,
    groups: &[Vec<TextPair>],
    options: &ContrastOptions,
    progress: &mut dyn FnMut(ContrastProgress),
) -> Result<(), EmbedError> {
    let tokens = vectors.len() / dim;
    let groups: Vec<Group> = groups
        .iter()
        .map(|pairs| tokenized(pairs, tokenizer, tokens, options.max_tokens))
        .collect::<Result<_, _>>()?;
    let orders: Vec<Vec<Batch>> =
        (0..options.passes).map(|pass| order(&groups, options, pass as u64)).collect();
    let all = orders.iter().map(Vec::len).sum();
    let mut adam = Adam::new(vectors.len());
    for (done, (group, pairs)) in orders.iter().flatten().enumerate() {
        let pairs: Vec<&[Vec<u32>; 2]> = pairs.iter().map(|&at| &groups[*group].0[at]).collect();
        let found = step::gradient(vectors, dim, &pairs, options.temperature);
        adam.step(vectors, dim, &found, rate(options.rate, done, all));
        progress(ContrastProgress { done: done + 1, all, loss: found.loss });
    }
    Ok(())
}

/// The step of the batch after `done`.
fn rate(highest: f32, done: usize, all: usize) -> f32 {
    let grown = ((done + 1) as f32 / WARM_UP as f32).min(1.0);
    let left = (1.0 - done as f32 / all as f32).max(LAST_RATE);
    highest * grown * left
}

/// Pairs whose texts both have a known token.
fn tokenized(
    pairs: &[TextPair],
    tokenizer: &ContentTokenizer,
    tokens: usize,
    max_tokens: usize,
) -> Result<Group, EmbedError> {
    let ids = |text: &String| -> Result<Vec<u32>, EmbedError> {
        let mut ids = tokenizer.ids(text, max_tokens)?;
        ids.retain(|&id| (id as usize) < tokens);
        Ok(ids)
    };
    let both = |[a, b]: &TextPair| Ok([ids(a)?, ids(b)?]);
    let pairs: Vec<[Vec<u32>; 2]> =
        pairs.par_iter().map(both).collect::<Result<_, EmbedError>>()?;
    Ok(Group(pairs.into_iter().filter(|[a, b]| !a.is_empty() && !b.is_empty()).collect()))
}

/// A group's number and its pairs' places.
type Batch = (usize, Vec<usize>);

/// Every pair once, in batches of one group each; what would be less than a quarter of a batch is
/// left out, as it tells too few texts apart.
fn order(groups: &[Group], options: &ContrastOptions, pass: u64) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (number, Group(pairs)) in groups.iter().enumerate() {
        let mut places: Vec<usize> = (0..pairs.len()).collect();
        seeded(options.seed, pass << 32 | (number as u64 + 1)).shuffle(&mut places);
        let enough = |batch: &&[usize]| batch.len() * 4 >= options.batch;
        batches.extend(
            places.chunks(options.batch).filter(enough).map(|batch| (number, batch.to_vec())),
        );
    }
    seeded(options.seed, pass << 32).shuffle(&mut batches);
    batches
}

#[cfg(test)]
mod tests;
