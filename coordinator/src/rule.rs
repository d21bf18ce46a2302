//! What becomes of a mean update: rules that move the shared values, one a file.
//!
//! A rule sees means only. To add one, implement [`ServerRule`] beside these, give it a variant of
//! [`covey_protocol::round::Rule`], and name it in [`of`].

mod adaptive;
mod average;
mod momentum;

use covey_protocol::round::Rule;

pub use adaptive::{Adaptive, Squares};
pub use average::Average;
pub use momentum::Momentum;

/// Moves the shared values by a round's mean update.
pub trait ServerRule: Send {
    /// Adds what the rule makes of `mean` to `values`, which are as many.
    fn apply(&mut self, values: &mut [f32], mean: &[f32]);

    /// What it remembers from round to round, to be kept with the values.
    fn memory(&self) -> &[f32];
}

/// The rule of a plan, with what one of its kind remembered: nothing at first. A memory of another length is forgotten.
pub fn of(rule: Rule, memory: Vec<f32>) -> Box<dyn ServerRule> {
    match rule {
        Rule::Average { rate } => Box::new(Average { rate }),
        Rule::Momentum { rate, beta } => Box::new(Momentum { rate, beta, sum: memory }),
        Rule::Adagrad { rate, tau } => {
            Box::new(Adaptive::new(rate, 0.0, tau, Squares::Sum, memory))
        }
        Rule::Adam { rate, beta1, beta2, tau } => {
            Box::new(Adaptive::new(rate, beta1, tau, Squares::Mean { beta: beta2 }, memory))
        }
        Rule::Yogi { rate, beta1, beta2, tau } => {
            Box::new(Adaptive::new(rate, beta1, tau, Squares::Towards { beta: beta2 }, memory))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After two rounds with these means, from zero; worked out by hand from Reddi et al. 2021, algorithm 2.
    #[test]
    fn rules_by_hand() {
        let means = [1.0_f32, -2.0];
        let cases = [
            (Rule::Average { rate: 0.5 }, -0.5),
            (Rule::Momentum { rate: 1.0, beta: 0.5 }, 1.0 + (0.5 - 2.0)),
            // 1 / (1 + 1), then -2 / (sqrt(5) + 1).
            (Rule::Adagrad { rate: 1.0, tau: 1.0 }, 0.5 - 2.0 / (5_f64.sqrt() + 1.0)),
            // m: .5, -.75; v: .5, 2.25.
            (
                Rule::Adam { rate: 1.0, beta1: 0.5, beta2: 0.5, tau: 1.0 },
                0.5 / (0.5_f64.sqrt() + 1.0) - 0.75 / (1.5 + 1.0),
            ),
            // v: 0 + .5 * 1; then .5 + .5 * 4.
            (
                Rule::Yogi { rate: 1.0, beta1: 0.5, beta2: 0.5, tau: 1.0 },
                0.5 / (0.5_f64.sqrt() + 1.0) - 0.75 / (2.5_f64.sqrt() + 1.0),
            ),
        ];
        for (rule, expected) in cases {
            let (mut values, mut memory) = ([0.0_f32], Vec::new());
            for mean in means {
                // Through what is kept, as after a restart.
                let mut of = of(rule, memory);
                of.apply(&mut values, &[mean]);
                memory = of.memory().to_vec();
            }
            assert!((f64::from(values[0]) - expected).abs() < 1e-6, "{rule:?}: {}", values[0]);
        }
    }
}
