//! Steps until training is done, stopped, or no longer learns. The same seed gives the same values on one machine,
//! also through a checkpoint.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::optimizer::Moments;
use super::{Batch, Example, Examples, Learner, Objective, Optimizer, Schedule, TrainError};
use crate::adapter::seeded;
use crate::vector::sum_of_squares;

/// How an adapter is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainOptions {
    /// Pairs that are told from each other at a time.
    pub batch: usize,
    /// Batches whose gradients are summed in a step.
    pub accumulate: usize,
    /// Times that every pair is looked at.
    pub epochs: usize,
    /// Most steps, however many pairs there are.
    pub max_steps: Option<usize>,
    /// Learning rate after the warm-up.
    pub rate: f64,
    /// Share of the steps over which the learning rate rises.
    pub warmup: f64,
    /// How it moves then.
    pub schedule: Schedule,
    /// How values follow their gradient.
    pub optimizer: Optimizer,
    /// What is to become small.
    pub objective: Objective,
    /// Longest gradient; a longer one is shortened to it.
    pub max_norm: Option<f64>,
    /// FedProx: pulls values towards those at the start with half of this times the squared distance (Li et
    /// al., "Federated Optimization in Heterogeneous Networks", 2020).
    pub proximal: f64,
    /// Steps between looks at the held-out pairs; 0 for once an epoch.
    pub evaluate_every: usize,
    /// Looks in a row that may bring nothing better before training ends; 0 to go on to the end.
    pub patience: usize,
    /// What order and batches are drawn from.
    pub seed: u64,
    /// Bytes that a batch may need; a larger one is cut in parts, which are told apart by themselves.
    pub memory: usize,
}

impl Default for TrainOptions {
    /// One pass by AdamW in batches of 16.
    fn default() -> Self {
        Self {
            batch: 16,
            accumulate: 1,
            epochs: 1,
            max_steps: None,
            rate: 2e-4,
            warmup: 0.1,
            schedule: Schedule::default(),
            optimizer: Optimizer::default(),
            objective: Objective::default(),
            max_norm: Some(1.0),
            proximal: 0.0,
            evaluate_every: 0,
            patience: 0,
            seed: 0,
            memory: 2 << 30,
        }
    }
}

/// Streams of a seed that order is drawn from; those below are for factors that are drawn.
const ORDER: u64 = 1 << 32;

/// One step that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Its number, from 1.
    pub step: usize,
    /// Steps there will be, if nothing ends training early.
    pub steps: usize,
    /// Mean loss of its batches.
    pub loss: f64,
    /// Length of its gradient before it was shortened.
    pub gradient: f64,
    /// Mean loss of the held-out pairs after it, where they were looked at.
    pub held_out: Option<f64>,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// All steps were taken.
    Done,
    /// Held-out pairs were told apart no better for a while; the values are those that did best, perhaps those
    /// at the start.
    Early,
    /// A loss or gradient was infinite or not a number; the values are the last good ones, or with patience
    /// those that did best.
    Diverged,
    /// The caller asked for it.
    Asked,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Why training ended.
    pub stopped: Stopped,
    /// Steps taken.
    pub steps: usize,
    /// Loss of held-out pairs before the first step, if there are any.
    pub held_out_before: Option<f64>,
    /// And with the values that are returned.
    pub held_out: Option<f64>,
    /// The values of the adapter: the last, or with patience those that did best on held-out pairs.
    pub values: Vec<f32>,
}

/// What changes from step to step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) step: usize,
    pub(super) values: Vec<f32>,
    pub(super) moments: Moments,
    /// Where the proximal term pulls to.
    pub(super) origin: Vec<f32>,
    /// Values that did best on held-out pairs.
    pub(super) best: Vec<f32>,
    pub(super) marks: Marks,
}

/// Losses of held-out pairs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Marks {
    #[serde(with = "bits")]
    pub(super) before: Option<f64>,
    #[serde(with = "bits")]
    pub(super) best: Option<f64>,
    /// Looks since the best.
    pub(super) worse: usize,
}

/// Numbers as the bits they consist of, since decimals may come back as their neighbours.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        number.map(f64::to_bits).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::deserialize(from)?.map(f64::from_bits))
    }
}

/// Training under way.
pub struct Trainer<'a> {
    pub(super) learner: &'a dyn Learner,
    pub(super) examples: &'a Examples,
    pub(super) options: TrainOptions,
    pub(super) state: State,
    steps_per_epoch: usize,
    /// Room for a step, kept from one to the next: its gradient, and what it goes back to.
    gradient: Vec<f32>,
    before: (Moments, Vec<f32>),
}

impl<'a> Trainer<'a> {
    /// Begins from `values`, or from where the model stays as it is.
    ///
    /// # Errors
    ///
    /// When an option is out of its range, there are fewer than two pairs, or one pair alone needs more
    /// memory than is allowed.
    pub fn new(
        learner: &'a dyn Learner,
        examples: &'a Examples,
        options: TrainOptions,
        values: Option<Vec<f32>>,
    ) -> Result<Self, TrainError> {
        options.check(learner.dim())?;
        let needed = 2;
        if examples.train.len() < needed {
            return Err(TrainError::TooFew(examples.train.len(), needed));
        }
        let values = values.unwrap_or_else(|| learner.start());
        learner.adapter(&values)?;
        if learner.texts() < examples.texts.len() {
            let (found, expected) = (learner.texts(), examples.texts.len());
            return Err(TrainError::Texts { found, expected });
        }
        for example in &examples.train {
            let needed = 2 * learner.bytes(&examples.batch(&[example], &[]));
            if needed > options.memory {
                return Err(TrainError::TooLarge { needed, budget: options.memory });
            }
        }
        let state = State {
            step: 0,
            moments: options.optimizer.begin(values.len()),
            origin: values.clone(),
            best: Vec::new(),
            marks: Marks::default(),
            values,
        };
        Ok(Self::with_state(learner, examples, options, state))
    }

    pub(super) fn with_state(
        learner: &'a dyn Learner,
        examples: &'a Examples,
        options: TrainOptions,
        state: State,
    ) -> Self {
        let a_step = options.batch * options.accumulate;
        let steps_per_epoch = examples.train.len().div_ceil(a_step);
        let (gradient, before) = (vec![0.0; state.values.len()], Default::default());
        Self { learner, examples, options, state, steps_per_epoch, gradient, before }
    }

    /// Steps there will be, if nothing ends training early.
    #[must_use]
    pub fn steps(&self) -> usize {
        let all = self.options.epochs * self.steps_per_epoch;
        self.options.max_steps.map_or(all, |most| all.min(most))
    }

    /// The values as they are now.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.state.values
    }

    /// Trains to the end, or until `watch` says to break.
    ///
    /// # Errors
    ///
    /// When the tensor backend fails. A loss that is no number is no error, but ends training.
    pub fn run(
        &mut self,
        watch: &mut dyn FnMut(&Self, &Step) -> ControlFlow<()>,
    ) -> Result<Outcome, TrainError> {
        if self.state.step == 0 && self.state.marks.before.is_none() {
            // Where training starts is what it has to be better than.
            let before = self.held_out_loss()?.filter(|loss| loss.is_finite());
            self.state.marks = Marks { before, best: before, worse: 0 };
            if before.is_some() {
                self.state.best.clone_from(&self.state.values);
            }
        }
        loop {
            if self.options.patience > 0 && self.state.marks.worse >= self.options.patience {
                return self.outcome(Stopped::Early);
            }
            if self.state.step >= self.steps() {
                return self.outcome(Stopped::Done);
            }
            let Some(mut step) = self.step()? else {
                return self.outcome(Stopped::Diverged);
            };
            step.held_out = self.look()?;
            if watch(self, &step).is_break() {
                return self.outcome(Stopped::Asked);
            }
        }
    }

    /// Takes one step. `None` if its loss or gradient is no finite number; then nothing has moved.
    ///
    /// # Errors
    ///
    /// When the tensor backend fails.
    pub fn step(&mut self) -> Result<Option<Step>, TrainError> {
        let mut gradient = std::mem::take(&mut self.gradient);
        gradient.fill(0.0);
        let step = self.step_by(&mut gradient);
        self.gradient = gradient;
        step
    }

    /// The same, with room for its gradient, which is zeros.
    fn step_by(&mut self, gradient: &mut [f32]) -> Result<Option<Step>, TrainError> {
        let (mut loss, mut count) = (0.0, 0);
        for batch in self.batches() {
            loss += self.learner.gradient(
                &self.state.values,
                &batch,
                &self.options.objective,
                gradient,
            )?;
            count += 1;
        }
        if count == 0 {
            // All its pairs belong together, so there is nothing to tell apart.
            self.state.step += 1;
            let (step, steps) = (self.state.step, self.steps());
            return Ok(Some(Step { step, steps, loss: 0.0, gradient: 0.0, held_out: None }));
        }
        loss /= f64::from(count);
        let (share, pull) = (1.0 / count as f32, self.options.proximal as f32);
        let values = self.state.values.iter().zip(&self.state.origin);
        for (gradient, (value, origin)) in gradient.iter_mut().zip(values) {
            *gradient = *gradient * share + pull * (value - origin);
        }
        let length = sum_of_squares(gradient).sqrt();
        if !(loss.is_finite() && length.is_finite()) {
            return Ok(None);
        }
        if let Some(most) = self.options.max_norm.filter(|most| length > *most) {
            gradient.iter_mut().for_each(|x| *x *= (most / length) as f32);
        }
        let steps = self.steps();
        let warmup = (self.options.warmup * steps as f64).ceil() as usize;
        let factor = self.options.schedule.factor(self.state.step, steps, warmup);
        let rate = (self.options.rate * factor) as f32;
        let State { moments, values, .. } = &mut self.state;
        self.before.0.copy(moments);
        self.before.1.clone_from(values);
        if !self.options.optimizer.step(moments, values, gradient, rate) {
            std::mem::swap(moments, &mut self.before.0);
            std::mem::swap(values, &mut self.before.1);
            return Ok(None);
        }
        self.state.step += 1;
        Ok(Some(Step { step: self.state.step, steps, loss, gradient: length, held_out: None }))
    }

    /// Mean loss of the held-out pairs, in batches of always the same; `None` if there are not two.
    ///
    /// # Errors
    ///
    /// When the tensor backend fails.
    pub fn held_out_loss(&self) -> Result<Option<f64>, TrainError> {
        self.held_out_loss_unless(&mut || false)
    }

    /// The same, unless `ended` says before a batch that it is not wanted any more: then `None`.
    ///
    /// # Errors
    ///
    /// When the tensor backend fails.
    pub fn held_out_loss_unless(
        &self,
        ended: &mut dyn FnMut() -> bool,
    ) -> Result<Option<f64>, TrainError> {
        let (mut sum, mut rows) = (0.0, 0);
        for some in self.examples.held_out.chunks(self.options.batch) {
            if ended() {
                return Ok(None);
            }
            for batch in self.fitting(&some.iter().collect::<Vec<_>>()) {
                let loss =
                    self.learner.loss(&self.state.values, &batch, &self.options.objective)?;
                sum += loss * batch.rows() as f64;
                rows += batch.rows();
            }
        }
        Ok((rows > 0).then(|| sum / rows as f64))
    }

    /// Looks at the held-out pairs, if it is time to.
    fn look(&mut self) -> Result<Option<f64>, TrainError> {
        let every = match self.options.evaluate_every {
            0 => self.steps_per_epoch,
            every => every,
        };
        if !self.state.step.is_multiple_of(every) && self.state.step != self.steps() {
            return Ok(None);
        }
        let Some(loss) = self.held_out_loss()? else { return Ok(None) };
        let finite = loss.is_finite();
        let marks = &mut self.state.marks;
        if finite && marks.best.is_none_or(|best| loss < best) {
            (marks.best, marks.worse) = (Some(loss), 0);
            self.state.best.clone_from(&self.state.values);
        } else {
            marks.worse = marks.worse.saturating_add(1);
        }
        Ok(Some(loss))
    }

    fn outcome(&self, stopped: Stopped) -> Result<Outcome, TrainError> {
        let State { step, values, best, marks, .. } = &self.state;
        let early = self.options.patience > 0 && marks.best.is_some();
        let (values, held_out) = if early {
            (best.clone(), marks.best)
        } else {
            (values.clone(), self.held_out_loss()?)
        };
        let held_out_before = marks.before;
        Ok(Outcome { stopped, steps: *step, held_out_before, held_out, values })
    }

    /// What the next step looks at.
    fn batches(&self) -> Vec<Batch> {
        let (epoch, place) =
            (self.state.step / self.steps_per_epoch, self.state.step % self.steps_per_epoch);
        let mut order: Vec<usize> = (0..self.examples.train.len()).collect();
        seeded(self.options.seed, ORDER | epoch as u64).shuffle(&mut order);
        let a_step = self.options.batch * self.options.accumulate;
        let chosen = order.iter().skip(place * a_step).take(a_step);
        let chosen: Vec<&Example> = chosen.map(|&number| &self.examples.train[number]).collect();
        chosen.chunks(self.options.batch).flat_map(|some| self.fitting(some)).collect()
    }

    /// A batch of `some`, in parts where it needs too much memory; parts that teach nothing are left out.
    fn fitting(&self, some: &[&Example]) -> Vec<Batch> {
        let batch = self.examples.batch(some, &[]);
        if some.len() > 1 && self.learner.bytes(&batch) > self.options.memory {
            let (first, second) = some.split_at(some.len() / 2);
            return [first, second].into_iter().flat_map(|some| self.fitting(some)).collect();
        }
        Some(batch).filter(Batch::teaches).into_iter().collect()
    }
}

impl TrainOptions {
    fn check(&self, dim: usize) -> Result<(), TrainError> {
        let wrong =
            |option, wanted: &str| Err(TrainError::Option { option, wanted: wanted.into() });
        self.objective.check(dim)?;
        if !(2..=4096).contains(&self.batch) {
            return wrong("batch", "from 2 to 4096");
        }
        if !(1..=1024).contains(&self.accumulate) {
            return wrong("accumulate", "from 1 to 1024");
        }
        if !(1..=10_000).contains(&self.epochs) {
            return wrong("epochs", "from 1 to 10000");
        }
        if self.max_steps == Some(0) {
            return wrong("max_steps", "at least 1");
        }
        if !(self.rate > 0.0 && self.rate <= 100.0) {
            return wrong("rate", "above 0 and at most 100");
        }
        if !(0.0..=1.0).contains(&self.warmup) {
            return wrong("warmup", "from 0 to 1");
        }
        if self.max_norm.is_some_and(|norm| !(norm > 0.0 && norm.is_finite())) {
            return wrong("max_norm", "above 0");
        }
        if !(0.0..=1e6).contains(&self.proximal) {
            return wrong("proximal", "from 0 to 1000000");
        }
        Ok(())
    }
}
