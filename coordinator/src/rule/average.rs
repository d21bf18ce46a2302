//! FedAvg (McMahan et al. 2017): the mean itself.

use super::ServerRule;

/// Adds the mean, times a rate.
pub struct Average {
    /// One for plain averaging.
    pub rate: f64,
}

impl ServerRule for Average {
    fn apply(&mut self, values: &mut [f32], mean: &[f32]) {
        for (value, mean) in values.iter_mut().zip(mean) {
            *value += (self.rate * f64::from(*mean)) as f32;
        }
    }

    fn memory(&self) -> &[f32] {
        &[]
    }
}
