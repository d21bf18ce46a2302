//! Peers in groups that ask each other, hour by hour, while members come and go: nodes with all that they have, over the in-memory network.
//!
//! [`search`] is the thing to start from. Groups have nothing to do with each other, so a town is lived through in districts, each a world of its own. What is to be found is known, as passages are made up, so that what is missed shows.

mod district;
mod forger;
mod hour;
mod tally;
mod town;
mod truth;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use covey_node::cancel::CancelFlag;
use covey_node::models::Models;

use crate::metrics::SearchMetric;
use crate::scenario::Scenario;
use crate::surroundings::{cancelled, network};
use crate::world::PANICKED;
use crate::{SimError, World};
use district::District;
use tally::Tally;
use town::Town;

/// Hears of each hour when it is over, and of how long the machine took for it; may end the run.
pub type Tell<'a> = &'a mut dyn FnMut(SearchMetric, Duration) -> Result<(), SimError>;

/// What a group's making hears: groups made, and groups in all.
pub type Made<'a> = &'a mut dyn FnMut(usize, usize);

/// What is heard of districts that nobody has got round to hearing.
const MOST_UNHEARD: usize = 64;

/// What comes of a district.
enum News {
    /// A group is made.
    Made,
    /// It has passed an hour, for which its thread took so long.
    Passed { district: usize, hour: u32, tally: Tally, took: Duration },
    /// It does not go on.
    Failed(SimError),
}

/// Runs a scenario's hours with one seed, with these models at every node: district by district, as many at a time as there are processors. An hour
/// is told when all districts have passed it. `cancel` ends it between two hours or groups.
///
/// # Errors
/// If a node fails where it should not, or `tell` does.
pub fn search(
    scenario: &Scenario,
    seed: u64,
    models: &Arc<dyn Models>,
    cancel: &CancelFlag,
    made: Made<'_>,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let districts = District::all(scenario, seed);
    let next = AtomicUsize::new(0);
    let threads = rayon::current_num_threads().min(districts.len());
    std::thread::scope(|scope| {
        let (send, heard) = sync_channel(MOST_UNHEARD);
        for _ in 0..threads {
            let (send, next, districts) = (send.clone(), &next, &districts);
            scope.spawn(move || {
                while let Some(district) = districts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let lived = catch_unwind(AssertUnwindSafe(|| {
                        live(district, scenario, models, cancel, &send)
                    }));
                    // The others' hours say nothing without it.
                    let lived = lived.unwrap_or_else(|_| Err(SimError::bad(&PANICKED)));
                    if let Err(error) = lived {
                        // Nobody hears of it who has ended for another reason.
                        let _ = send.send(News::Failed(error));
                        return;
                    }
                }
            });
        }
        drop(send);
        hear((&districts, threads), seed, &heard, made, tell)
    })
}

/// A district from its founding to its last hour, on this thread.
fn live(
    district: &District,
    scenario: &Scenario,
    models: &Arc<dyn Models>,
    cancel: &CancelFlag,
    send: &SyncSender<News>,
) -> Result<(), SimError> {
    let say = |news| send.send(news).map_err(|_| SimError::Cancelled);
    let living = async {
        let world = World::with_models(
            district.seed,
            network(scenario, district.seed)?,
            Arc::clone(models),
        );
        let mut town = Town::new(world, district, scenario, models);
        for _ in &district.groups {
            cancelled(cancel)?;
            town.add_group(scenario, district).await?;
            say(News::Made)?;
        }
        for hour in 1..=scenario.search.hours {
            cancelled(cancel)?;
            let begun = Instant::now();
            let tally = hour::pass(&mut town, scenario, hour).await?;
            let took = begun.elapsed();
            say(News::Passed { district: district.number, hour, tally, took })?;
        }
        Ok(())
    };
    crate::run(living).map_err(|error| SimError::bad(&error))?
}

/// Puts together what districts say, until all have ended or one fails.
fn hear(
    (districts, threads): (&[District], usize),
    seed: u64,
    heard: &Receiver<News>,
    made: Made<'_>,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let all: usize = districts.iter().map(|district| district.groups.len()).sum();
    let mut groups = 0;
    // In the order of districts, so that sums do not depend on who was first.
    let mut passing: BTreeMap<u32, BTreeMap<usize, (Tally, Duration)>> = BTreeMap::new();
    made(groups, all);
    for news in heard {
        match news {
            News::Made => {
                groups += 1;
                made(groups, all);
            }
            News::Passed { district, hour, tally, took } => {
                let passed = passing.entry(hour).or_default();
                passed.insert(district, (tally, took));
                if passed.len() == districts.len() {
                    let passed = passing.remove(&hour).unwrap_or_default();
                    let (tally, took) = passed.into_values().fold(
                        (Tally::default(), Duration::ZERO),
                        |(tally, took), (more, longer)| (tally.and(more), took + longer),
                    );
                    // Threads go through districts side by side.
                    tell(tally.told(seed, hour), took / threads.max(1) as u32)?;
                }
            }
            News::Failed(error) => return Err(error),
        }
    }
    Ok(())
}
