//! Steps down a gradient, on one vector of values. They are written here because clipping, noise, the proximal
//! term and checkpoints all act on that vector; what differentiates is the tensor library.

use serde::{Deserialize, Serialize};

use crate::kernels::Level;
use crate::kernels::steps::{self, AdamW};

/// How values follow their gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum (0 for none).
    Sgd {
        /// Share of the last step that is taken again.
        momentum: f32,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    AdamW {
        /// Share of the old mean of gradients.
        beta1: f32,
        /// Share of the old mean of their squares.
        beta2: f32,
        /// Added to the root.
        epsilon: f32,
        /// Share of the values that each step takes away, times the learning rate.
        weight_decay: f32,
    },
}

impl Default for Optimizer {
    /// AdamW as PyTorch has it, without decay.
    fn default() -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// How the learning rate moves over the steps after a linear warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Falls evenly to zero.
    #[default]
    Linear,
    /// Falls to zero as half a cosine.
    Cosine,
}

impl Schedule {
    /// Factor of the learning rate at `step` (from 0) of `steps`, of which the first `warmup` rise.
    #[must_use]
    pub fn factor(self, step: usize, steps: usize, warmup: usize) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let share = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => (1.0 - share).max(0.0),
            Self::Cosine => f64::midpoint(1.0, (std::f64::consts::PI * share.min(1.0)).cos()),
        }
    }
}

/// What an optimiser remembers between steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Moments {
    /// Steps taken.
    pub(super) steps: u64,
    /// Mean of gradients, or the last step.
    pub(super) first: Vec<f32>,
    /// Mean of their squares; empty for SGD.
    pub(super) second: Vec<f32>,
}

impl Moments {
    /// Takes over what another remembers, in the room that there is.
    pub(super) fn copy(&mut self, other: &Self) {
        self.steps = other.steps;
        self.first.clone_from(&other.first);
        self.second.clone_from(&other.second);
    }
}

impl Optimizer {
    pub(super) fn begin(self, count: usize) -> Moments {
        let second = match self {
            Self::Sgd { .. } => 0,
            Self::AdamW { .. } => count,
        };
        Moments { steps: 0, first: vec![0.0; count], second: vec![0.0; second] }
    }

    /// Moves `values` against `gradient` at the learning rate `rate`, and says whether all are finite after it.
    pub(super) fn step(
        self,
        moments: &mut Moments,
        values: &mut [f32],
        gradient: &[f32],
        rate: f32,
    ) -> bool {
        moments.steps = moments.steps.saturating_add(1);
        let level = Level::best();
        match self {
            Self::Sgd { momentum } => {
                steps::descend(level, momentum, rate, gradient, &mut moments.first, values)
            }
            Self::AdamW { beta1, beta2, epsilon, weight_decay } => {
                let unbias = |beta: f32| {
                    let steps = i32::try_from(moments.steps).unwrap_or(i32::MAX);
                    (1.0 / (1.0 - f64::from(beta).powi(steps))) as f32
                };
                let with = AdamW {
                    betas: [beta1, beta2],
                    unbias: [unbias(beta1), unbias(beta2)],
                    epsilon,
                    rate,
                    keep: 1.0 - rate * weight_decay,
                };
                let Moments { first, second, .. } = moments;
                steps::adamw(level, with, gradient, first, second, values)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `torch.optim` 2.15 after three steps on the gradient `2 x` from (1, -2), learning rate .1.
    #[test]
    fn steps_agree_with_pytorch() {
        let after = |optimizer: Optimizer| {
            let mut values = vec![1.0, -2.0];
            let mut moments = optimizer.begin(2);
            for _ in 0..3 {
                let gradient: Vec<f32> = values.iter().map(|x| 2.0 * x).collect();
                optimizer.step(&mut moments, &mut values, &gradient, 0.1);
            }
            values
        };
        let close = |found: Vec<f32>, expected: [f32; 2]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        // (1 - .2)^3 and, with momentum .9: 1, .8, .46, .062.
        close(after(Optimizer::Sgd { momentum: 0.0 }), [0.512, -1.024]);
        close(after(Optimizer::Sgd { momentum: 0.9 }), [0.062, -0.124]);
        let adam = |weight_decay| Optimizer::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay,
        };
        close(after(adam(0.0)), TORCH_ADAMW);
        close(after(adam(0.1)), TORCH_ADAMW_DECAYED);
    }

    const TORCH_ADAMW: [f32; 2] = [0.701_586_3, -1.700_623_4];
    const TORCH_ADAMW_DECAYED: [f32; 2] = [0.675_101_3, -1.644_368_6];

    #[test]
    fn schedules_rise_and_fall() {
        for schedule in [Schedule::Constant, Schedule::Linear, Schedule::Cosine] {
            let factor = |step| schedule.factor(step, 110, 10);
            assert_eq!((factor(0), factor(9), factor(10)), (0.1, 1.0, 1.0), "{schedule:?}");
            let middle = if schedule == Schedule::Constant { 1.0 } else { 0.5 };
            assert!((factor(60) - middle).abs() < 1e-12, "{schedule:?}");
            assert!(factor(200) >= 0.0);
        }
    }
}
