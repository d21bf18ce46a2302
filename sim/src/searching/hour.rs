//! One hour of questions.

use std::time::Duration;

use covey_node::api::SearchReport;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::time::{Instant, sleep_until};

use super::tally::Tally;
use super::town::{Role, Town};
use crate::SimError;
use crate::scenario::Scenario;
use crate::seed::{Draw, derive};
use crate::surroundings::is_away;

/// One question: when, in which group, by whom.
struct Asked {
    at: Duration,
    group: usize,
    peer: usize,
    text: String,
}

/// What came of it.
pub(super) struct Came {
    pub(super) group: usize,
    pub(super) peer: usize,
    pub(super) text: String,
    pub(super) took: Duration,
    /// Nothing where the question failed.
    pub(super) report: Option<SearchReport>,
}

/// Replaces who goes, lets people be away, and asks.
pub(super) async fn pass(
    town: &mut Town,
    scenario: &Scenario,
    hour: u32,
) -> Result<Tally, SimError> {
    town.churn(scenario, hour).await?;
    be_away(town, scenario, hour);
    let before = town.world.transcript().bytes;
    let begun = Instant::now();
    // What was harvested stays from hour to hour.
    let mut harvest = std::mem::take(&mut town.harvest);
    let here = &*town;
    let mut tally = Tally::default();
    let mut running = FuturesUnordered::new();
    for asked in questions(here, scenario, hour) {
        let at = begun + asked.at;
        // What comes back meanwhile is counted in the order of its coming.
        loop {
            tokio::select! {
                biased;
                Some(came) = running.next() => tally.count(here, &came, &mut harvest)?,
                () = sleep_until(at) => break,
            }
        }
        running.push(ask(here, asked));
    }
    while let Some(came) = running.next().await {
        tally.count(here, &came, &mut harvest)?;
    }
    drop(running);
    sleep_until(begun + Duration::from_secs(3_600)).await;
    tally.end(here, &harvest, here.world.transcript().bytes - before);
    town.harvest = harvest;
    Ok(tally)
}

/// Takes down who is away in that hour, and brings others up. A group's owner is always there: nobody could come or go without it.
fn be_away(town: &Town, scenario: &Scenario, hour: u32) {
    let share = scenario.availability.away;
    if share <= 0.0 {
        return;
    }
    for peer in town.groups.iter().flat_map(|group| group.peers.iter().skip(1)) {
        if is_away(town.seed, *peer, share, f64::from(hour)) {
            town.world.take_down(*peer);
        } else {
            town.world.bring_up(*peer);
        }
    }
}

/// The hour's questions in the order of their times. Who is away asks nothing.
fn questions(town: &Town, scenario: &Scenario, hour: u32) -> Vec<Asked> {
    let mut all = Vec::new();
    for (number, group) in town.groups.iter().enumerate() {
        for peer in &group.peers {
            let away = scenario.availability.away;
            let stays_away =
                group.peers[0] != *peer && is_away(town.seed, *peer, away, f64::from(hour));
            let more = match town.roles.get(peer) {
                _ if stays_away => continue,
                Some(Role::Forger(_)) => continue,
                Some(Role::Flooder(more)) => *more,
                None => 1.0,
            };
            let mut draw = Draw::new(town.seed, "questions", *peer as u64, hour.into());
            let count = draw.about(scenario.search.per_hour * more);
            let words = derive(town.seed, "words", *peer as u64, hour.into());
            let mut words = ChaCha20Rng::from_seed(words);
            for _ in 0..count {
                let at = Duration::from_secs_f64(3_600.0 * draw.share());
                let subject = draw.below(town.made_up.subjects().max(1) as usize) as u32;
                let text = town.made_up.question(subject, &mut words);
                all.push(Asked { at, group: number, peer: *peer, text });
            }
        }
    }
    all.sort_by_key(|asked| (asked.at, asked.peer));
    all
}

async fn ask(town: &Town, asked: Asked) -> Came {
    let Asked { group, peer, text, .. } = asked;
    let begun = Instant::now();
    let report = town.world.ask(peer, &town.groups[group].name, &text).await;
    let report =
        report.inspect_err(|error| tracing::debug!(%error, "a question gets no answer")).ok();
    Came { group, peer, text, took: begun.elapsed(), report }
}
