//! The same gradients by passes of our own: what a processor trains with.

use std::collections::BTreeMap;

use super::BertLearner;
use crate::adapter::Place;
use crate::bert::{Adapted, Each, Factors, Passes, Updated};
use crate::kernels::Level;
use crate::train::learner::TrainError;
use crate::train::{Batch, Objective};

/// The texts of a batch, each once.
struct Once<'a> {
    tokens: Vec<&'a [u32]>,
    /// Where in `tokens` each anchor is.
    anchors: Vec<usize>,
    /// And each column.
    columns: Vec<usize>,
}

/// As [`Learner::gradient`](crate::train::Learner::gradient).
pub(super) fn gradient(
    learner: &BertLearner,
    passes: &Passes,
    values: &[f32],
    batch: &Batch,
    objective: &Objective,
    gradient: &mut [f32],
) -> Result<f64, TrainError> {
    let texts = Once::new(learner, batch);
    let (loss, found) = adapted(learner, passes, values, |adapted| {
        let (means, traces) = adapted.traced(&texts.tokens)?;
        let (loss, slopes) = texts.slopes(batch, objective, &means);
        Ok((loss, adapted.gradient(traces, &slopes)))
    })?;
    for (_, place) in places(learner) {
        let of_place = place.target.and_then(|target| found[place.layer][target as usize].as_ref());
        let (Some(of_place), Some(b)) = (of_place, learner.layout.get(&place.b())) else {
            continue;
        };
        // `A` comes right before `B`, if it moves at all.
        let (before, b) = gradient[..b.range.end].split_at_mut(b.range.start);
        let a = learner.layout.get(&place.a()).map(|a| &mut before[a.range.clone()]);
        of_place.add_to(a, b);
    }
    Ok(loss)
}

/// As [`Learner::loss`](crate::train::Learner::loss).
pub(super) fn loss(
    learner: &BertLearner,
    passes: &Passes,
    values: &[f32],
    batch: &Batch,
    objective: &Objective,
) -> Result<f64, TrainError> {
    let texts = Once::new(learner, batch);
    let means = adapted(learner, passes, values, |adapted| Ok(adapted.means(&texts.tokens)?))?;
    let [anchors, columns] = texts.sides().map(|places| texts.rows(&means, places));
    Ok(objective.loss_of(Level::best(), batch, &anchors, &columns))
}

/// Runs `run` on the encoder with the adapter of these values.
fn adapted<T>(
    learner: &BertLearner,
    passes: &Passes,
    values: &[f32],
    run: impl FnOnce(Adapted<'_>) -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    let low = learner.config.low_rank().expect("LoRA is low-rank");
    let at = |name: &str| learner.layout.get(name).map(|placed| &values[placed.range.clone()]);
    let mut updates: Updated<Factors<'_>> = Vec::new();
    updates.resize_with(learner.layers(), Each::default);
    let places = places(learner);
    let drawn = places
        .iter()
        .map(|(number, place)| if low.freeze_a { low.draw_a(*number, place) } else { Vec::new() });
    let drawn: Vec<Vec<f32>> = drawn.collect();
    for ((_, place), drawn) in places.iter().zip(&drawn) {
        let (Some(target), Some(b)) = (place.target, at(&place.b())) else { continue };
        updates[place.layer][target as usize] = Some(Factors {
            rank: low.rank,
            scale: low.scale,
            a: at(&place.a()).unwrap_or(drawn),
            b,
            learns_a: !low.freeze_a,
        });
    }
    run(passes.with(&updates))
}

fn places(learner: &BertLearner) -> Vec<(usize, Place)> {
    learner.config.places(&learner.shape).into_iter().enumerate().collect()
}

impl<'a> Once<'a> {
    fn new(learner: &'a BertLearner, batch: &Batch) -> Self {
        let mut tokens: Vec<&[u32]> = Vec::new();
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        let mut place = |text: &usize| {
            *places.entry(*text).or_insert_with(|| {
                tokens.push(&learner.texts[*text]);
                tokens.len() - 1
            })
        };
        let anchors = batch.anchors.iter().map(&mut place).collect();
        let columns = batch.columns.iter().map(&mut place).collect();
        Self { tokens, anchors, columns }
    }

    /// The rows of `means` at `places`.
    fn rows(&self, means: &[f32], places: &[usize]) -> Vec<f32> {
        let width = means.len() / self.tokens.len().max(1);
        places.iter().flat_map(|&place| &means[place * width..][..width]).copied().collect()
    }

    fn sides(&self) -> [&[usize]; 2] {
        [&self.anchors, &self.columns]
    }

    /// The loss and its gradient with respect to the means.
    fn slopes(&self, batch: &Batch, objective: &Objective, means: &[f32]) -> (f64, Vec<f32>) {
        let [anchors, columns] = self.sides().map(|places| self.rows(means, places));
        let found = objective.slopes(Level::best(), batch, &anchors, &columns);
        let mut slopes = vec![0.0; means.len()];
        let width = means.len() / self.tokens.len().max(1);
        for (of_side, places) in [found.anchors, found.columns].iter().zip(self.sides()) {
            for (row, place) in of_side.chunks_exact(width).zip(places) {
                let slope = &mut slopes[place * width..][..width];
                slope.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
        }
        (found.loss, slopes)
    }
}
