//! What rounds and searches have in common: who is there, how messages travel, and when it is over.

use std::time::Duration;

use covey_net::memory::NetworkConfig;
use covey_node::cancel::CancelFlag;

use crate::SimError;
use crate::scenario::Scenario;
use crate::seed::Draw;

/// How a scenario's messages travel.
pub(crate) fn network(scenario: &Scenario, seed: u64) -> Result<NetworkConfig, SimError> {
    let network = &scenario.network;
    let [least, most] = network.latency_ms.map(|ms| Duration::from_secs_f64(ms / 1e3));
    let config = NetworkConfig::new(seed).latency(least, most);
    let config = config.map_err(|error| SimError::bad(&error))?;
    let config = config.loss_per_million((network.loss * 1e6).round() as u32);
    config.map_err(|error| SimError::bad(&error))
}

/// Whether a peer is away at that hour since the beginning: for the same part of each day.
pub(crate) fn is_away(seed: u64, peer: usize, share: f64, hour: f64) -> bool {
    let begins = Draw::new(seed, "away", peer as u64, 0).share();
    (hour / 24.0 - begins).rem_euclid(1.0) < share
}

/// That nobody wants a run to end.
///
/// # Errors
/// If somebody does.
pub(crate) fn cancelled(cancel: &CancelFlag) -> Result<(), SimError> {
    if cancel.is_cancelled() { Err(SimError::Cancelled) } else { Ok(()) }
}
