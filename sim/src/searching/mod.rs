//! Peers in groups that ask each other, hour by hour, while members come and go: nodes with all that they have, over the in-memory network.
//!
//! [`search`] is the thing to start from. What is to be found is known, as passages are made up, so that what is missed shows.

mod forger;
mod hour;
mod tally;
mod town;
mod truth;

use std::sync::Arc;

use covey_net::memory::NetworkConfig;
use covey_node::cancel::CancelFlag;
use covey_node::models::Models;

use crate::metrics::SearchMetric;
use crate::scenario::Scenario;
use crate::{SimError, World};
use town::Town;

/// Hears of each hour when it is over, and may end the run.
pub type Tell<'a> = &'a mut dyn FnMut(SearchMetric) -> Result<(), SimError>;

/// What a group's making hears: groups made, and groups in all.
pub type Made<'a> = &'a mut dyn FnMut(usize, usize);

/// Runs a scenario's hours with one seed, with these models at every node. `cancel` ends it between two hours or groups.
///
/// # Errors
/// If a node fails where it should not, or `tell` does.
pub async fn search(
    scenario: &Scenario,
    seed: u64,
    models: Arc<dyn Models>,
    cancel: &CancelFlag,
    made: Made<'_>,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let network = network(scenario, seed)?;
    let world = World::with_models(seed, network, models.clone());
    let mut town = Town::found(world, scenario, seed, &models, cancel, made).await?;
    for hour in 1..=scenario.search.hours {
        crate::training::cancelled(cancel)?;
        let metric = hour::pass(&mut town, scenario, seed, hour).await?;
        tell(metric)?;
    }
    Ok(())
}

/// How a scenario's messages travel.
pub(crate) fn network(scenario: &Scenario, seed: u64) -> Result<NetworkConfig, SimError> {
    let network = &scenario.network;
    let [least, most] = network.latency_ms.map(|ms| std::time::Duration::from_secs_f64(ms / 1e3));
    let config = NetworkConfig::new(seed).latency(least, most);
    let config = config.map_err(|error| SimError::bad(&error))?;
    let config = config.loss_per_million((network.loss * 1e6).round() as u32);
    config.map_err(|error| SimError::bad(&error))
}
