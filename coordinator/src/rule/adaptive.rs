//! FedAdagrad, FedAdam and FedYogi (Reddi et al., "Adaptive Federated Optimization", 2021, algorithm 2).

use super::ServerRule;

/// How the running square follows the squared mean.
#[derive(Debug, Clone, Copy)]
pub enum Squares {
    /// Grows by it.
    Sum,
    /// A running mean of it.
    Mean {
        /// How much of it stays.
        beta: f64,
    },
    /// Moves towards it, by at most a share of it.
    Towards {
        /// One less that share.
        beta: f64,
    },
}

/// Divides a running mean by the root of a running square.
pub struct Adaptive {
    rate: f64,
    beta: f64,
    tau: f64,
    squares: Squares,
    /// Running means, then as many running squares.
    memory: Vec<f32>,
}

impl Adaptive {
    /// With what it remembered of earlier rounds.
    pub fn new(rate: f64, beta: f64, tau: f64, squares: Squares, memory: Vec<f32>) -> Self {
        Self { rate, beta, tau, squares, memory }
    }
}

impl ServerRule for Adaptive {
    fn apply(&mut self, values: &mut [f32], mean: &[f32]) {
        if self.memory.len() != 2 * mean.len() {
            self.memory = vec![0.0; 2 * mean.len()];
        }
        let (means, squares) = self.memory.split_at_mut(mean.len());
        let running = means.iter_mut().zip(squares);
        for ((value, (running, square)), mean) in values.iter_mut().zip(running).zip(mean) {
            let mean = f64::from(*mean);
            let (m, v) = (f64::from(*running), f64::from(*square));
            let m = self.beta * m + (1.0 - self.beta) * mean;
            let squared = mean * mean;
            let v = match self.squares {
                Squares::Sum => v + squared,
                Squares::Mean { beta } => beta * v + (1.0 - beta) * squared,
                Squares::Towards { beta } => {
                    let sign = if v > squared { 1.0 } else { -1.0 };
                    (v - (1.0 - beta) * squared * sign).max(0.0)
                }
            };
            (*running, *square) = (m as f32, v as f32);
            *value += (self.rate * m / (v.sqrt() + self.tau)) as f32;
        }
    }

    fn memory(&self) -> &[f32] {
        &self.memory
    }
}
