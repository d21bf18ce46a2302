//! FedAvgM (Hsu et al. 2019): a running sum of means.

use super::ServerRule;

/// Adds a running sum of means, of which a part stays from round to round.
pub struct Momentum {
    /// Times the running sum.
    pub rate: f64,
    /// How much of it stays.
    pub beta: f64,
    /// The running sum.
    pub sum: Vec<f32>,
}

impl ServerRule for Momentum {
    fn apply(&mut self, values: &mut [f32], mean: &[f32]) {
        if self.sum.len() != mean.len() {
            self.sum = vec![0.0; mean.len()];
        }
        for ((value, running), mean) in values.iter_mut().zip(&mut self.sum).zip(mean) {
            *running = (self.beta * f64::from(*running) + f64::from(*mean)) as f32;
            *value += (self.rate * f64::from(*running)) as f32;
        }
    }

    fn memory(&self) -> &[f32] {
        &self.sum
    }
}
