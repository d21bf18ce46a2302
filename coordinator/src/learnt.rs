//! What becomes of a sum: the mean update, and the values that the rule makes of it.

use covey_privacy::encode::{Encoding, Sum};
use covey_protocol::round::{Checked, Measure, Weighting};

use crate::rule;

/// A mean weight below this is noise: dividing by it would blow the update up.
const LEAST_WEIGHT: f64 = 0.01;

/// What was learnt in a round.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    /// The values after it.
    pub values: Vec<f32>,
    /// What the rule remembers for the next round.
    pub memory: Vec<f32>,
    /// Length of the mean update.
    pub norm: f64,
    /// Means of what was summed beside it.
    pub measured: Vec<(Measure, f64)>,
}

/// Why nothing was learnt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unlearnt {
    /// The values to start from are not as many as the plan says.
    #[error("the values to start from are {found}, and the plan says {expected}")]
    Values {
        /// Values there are.
        found: usize,
        /// Values there should be.
        expected: usize,
    },
    /// The sum is not what it should be; another attempt may be.
    #[error("{0}")]
    Rejected(String),
}

impl Learnt {
    /// Takes the sum, modulo 2^32, of the words that `participants` sent for `plan`, checks its norm against the cap, and moves `values` by what the
    /// plan's rule makes of the mean, with what it remembered.
    ///
    /// # Errors
    /// [`Unlearnt`].
    pub fn of(
        plan: &Checked,
        words: Vec<u32>,
        participants: u32,
        mut values: Vec<f32>,
        memory: Vec<f32>,
    ) -> Result<Self, Unlearnt> {
        let rejected = |error: &dyn std::fmt::Display| Unlearnt::Rejected(error.to_string());
        let encoding = Encoding::new(plan.layout().clone()).map_err(|error| rejected(&error))?;
        let sum = Sum::new(&encoding, words, participants).map_err(|error| rejected(&error))?;
        let decoded = sum.decode().map_err(|error| rejected(&error))?;
        let (mut mean, mut extras) = (decoded.mean, decoded.extras);
        let contribution = &plan.plan().contribution;
        if let Weighting::Pairs { .. } = contribution.weighting {
            let weight = extras.remove(0).clamp(LEAST_WEIGHT, 1.0);
            mean.iter_mut().for_each(|value| *value = (f64::from(*value) / weight) as f32);
        }
        let measured = contribution.measures.iter().copied().zip(extras).collect();
        let norm = mean.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if values.len() != mean.len() {
            return Err(Unlearnt::Values { found: values.len(), expected: mean.len() });
        }
        let mut rule = rule::of(plan.plan().rule, memory);
        rule.apply(&mut values, &mean);
        if !values.iter().all(|value| value.is_finite()) {
            let why = "the rule made values that are no numbers; take a lower server rate";
            return Err(Unlearnt::Rejected(why.into()));
        }
        Ok(Self { values, memory: rule.memory().to_vec(), norm, measured })
    }
}
