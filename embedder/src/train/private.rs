//! Steps that protect each document: DP-SGD (Abadi et al., "Deep Learning with Differential Privacy", 2016)
//! with a document's pairs as the unit.
//!
//! A step sums, over the documents drawn for it, the gradient of each document alone, shortened to the clip
//! norm and rounded to whole multiples of a grid, so that one document moves the sum by at most
//! `clip / grid` in L2, exactly. Noise is added to that sum of whole numbers, and only then is it used. A document's
//! candidates are its own texts and public ones: with other documents' texts as negatives its gradient would depend
//! on them, and no clipping could undo that.
//!
//! Which documents are drawn and what noise is added decides the privacy, so both come from
//! [`Mechanism`], which the caller provides, with its randomness and its accounting.

use std::collections::BTreeSet;

use super::optimizer::Moments;
use super::{Documents, Examples, Learner, Objective, Optimizer, TrainError, update};

/// Draws documents, and noise on a sum of whole numbers.
pub trait Mechanism {
    /// Which of `documents`, by number, take part in the next step, each by itself with one chance for all.
    ///
    /// # Errors
    ///
    /// When no further step is allowed, such as where a budget is spent; the reason is for people.
    fn sample(&mut self, documents: usize) -> Result<BTreeSet<usize>, String>;

    /// Adds noise to a sum that one document moves by at most `sensitivity` in L2.
    fn add_noise(&mut self, sum: &mut [i64], sensitivity: f64);
}

/// How documents are clipped and their sum is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrivateOptions {
    /// Longest gradient of one document, in L2.
    pub clip: f64,
    /// Whole numbers count this much.
    pub grid: f64,
    /// Documents expected in a step; the noised sum is divided by it, whatever their number was.
    pub expected: f64,
    /// Public texts that each document's anchors are told from.
    pub negatives: usize,
    /// Learning rate.
    pub rate: f32,
    /// How values follow the gradient.
    pub optimizer: Optimizer,
}

/// Training that protects each document.
pub struct PrivateTrainer<'a> {
    documents: Documents<'a>,
    options: PrivateOptions,
    values: Vec<f32>,
    moments: Moments,
    steps: usize,
}

impl<'a> PrivateTrainer<'a> {
    /// Begins from `values`. `public` are the numbers of texts that anybody may know, which serve as negatives.
    ///
    /// # Errors
    ///
    /// When an option is out of its range, or as [`Documents::new`].
    pub fn new(
        learner: &'a dyn Learner,
        examples: &'a Examples,
        public: &'a [usize],
        objective: Objective,
        options: PrivateOptions,
        values: Vec<f32>,
    ) -> Result<Self, TrainError> {
        objective.check(learner.dim())?;
        options.check()?;
        learner.adapter(&values)?;
        let documents = Documents::new(learner, examples, public, objective, options.negatives)?;
        Ok(Self {
            documents,
            options,
            moments: options.optimizer.begin(values.len()),
            values,
            steps: 0,
        })
    }

    /// Documents there are.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// The values as they are now.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Most that one document moves the sum, in L2 and whole numbers.
    #[must_use]
    pub fn sensitivity(&self) -> f64 {
        self.options.clip / self.options.grid
    }

    /// Takes one step and gives how many documents took part. That number is private: it must not be
    /// published. Whoever takes part, the noise is the same.
    ///
    /// # Errors
    ///
    /// When the mechanism refuses.
    pub fn step(&mut self, mechanism: &mut dyn Mechanism) -> Result<usize, TrainError> {
        let drawn = mechanism.sample(self.documents.len()).map_err(TrainError::Refused)?;
        if drawn.last().is_some_and(|last| *last >= self.documents.len()) {
            return Err(TrainError::Refused("a document was drawn that is not there".to_owned()));
        }
        let mut sum = vec![0_i64; self.values.len()];
        for &document in &drawn {
            // One that fails adds nothing: whether it does is its own affair, and no other's.
            let Ok(whole) = self.document(document) else { continue };
            sum.iter_mut().zip(whole).for_each(|(sum, x)| *sum += x);
        }
        mechanism.add_noise(&mut sum, self.sensitivity());
        let scale = self.options.grid / self.options.expected;
        let gradient: Vec<f32> = sum.iter().map(|x| (*x as f64 * scale) as f32).collect();
        let PrivateOptions { optimizer, rate, .. } = self.options;
        optimizer.step(&mut self.moments, &mut self.values, &gradient, rate);
        self.steps += 1;
        Ok(drawn.len())
    }

    /// A document's gradient in whole numbers, no longer than the sensitivity.
    fn document(&self, number: usize) -> Result<Vec<i64>, TrainError> {
        let mut gradient = self.documents.gradient(&self.values, number, self.steps)?;
        update::clip(&mut gradient, self.options.clip);
        Ok(whole(&gradient, self.options.grid, self.sensitivity()))
    }
}

/// `gradient` in multiples of `grid`, no longer than `most`: towards zero where the nearest would be longer.
fn whole(gradient: &[f32], grid: f64, most: f64) -> Vec<i64> {
    // A hair less, so that squaring cannot round in favour of a longer one.
    let most = (most * most * (1.0 - 1e-15)).floor() as i128;
    let fits = |whole: &[i64]| whole.iter().map(|x| i128::from(*x).pow(2)).sum::<i128>() <= most;
    let multiples = || gradient.iter().map(|x| f64::from(*x) / grid);
    let mut whole: Vec<i64> = multiples().map(|x| x.round() as i64).collect();
    if !fits(&whole) {
        whole = multiples().map(|x| x.trunc() as i64).collect();
    }
    while !fits(&whole) {
        let largest = whole.iter_mut().max_by_key(|x| x.unsigned_abs());
        largest.into_iter().for_each(|x| *x -= x.signum());
    }
    whole
}

impl PrivateOptions {
    fn check(&self) -> Result<(), TrainError> {
        let wrong =
            |option, wanted: &str| Err(TrainError::Option { option, wanted: wanted.into() });
        if !(self.clip > 0.0 && self.clip.is_finite()) {
            return wrong("clip", "above 0");
        }
        // Sums of a million documents stay far from what an i64 holds.
        let steps = self.clip / self.grid;
        if !(self.grid > 0.0 && (16.0..=1e12).contains(&steps)) {
            return wrong("grid", "from the clip norm / 10^12 to the clip norm / 16");
        }
        if !(self.expected >= 1.0 && self.expected.is_finite()) {
            return wrong("expected", "at least 1");
        }
        if self.negatives == 0 {
            return wrong("negatives", "at least 1");
        }
        if !(self.rate > 0.0 && self.rate.is_finite()) {
            return wrong("rate", "above 0");
        }
        Ok(())
    }
}
