//! Rounds with everything that real ones have, over the in-memory network.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use covey_coordinator::{Came, Coordinator, RoundRecord};
use covey_net::Link;
use covey_net::memory::Network;
use covey_node::cancel::CancelFlag;
use covey_node::env::{Compute, Env, TokioClock};
use covey_node::rounds::{Kept, PrivacyLedger, RoundStore};
use covey_node::store::Stores;
use covey_node::together::Together;
use covey_privacy::ledger::{Account, Budget, Unit};
use covey_privacy::{Delta, Epsilon, NoiseMultiplier, Rho};
use covey_protocol::ids::NodeId;
use covey_protocol::round::Phase;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::access::Access;
use super::fate::{Fate, Nature};
use super::host::Host;
use super::party::{Ground, InRound, Peer, Seen, collection};
use super::{ABSENT, GAVE_UP, Note, REFUSED, Tell, campaign, drawn, epsilon, event};
use super::{judge, judges, keys, measured, plot, view};
use crate::SimError;
use crate::learner::Learns;
use crate::metrics::{Event, RoundMetric};
use crate::scenario::{Cut, Scenario};
use crate::seed::{Draw, derive};
use crate::spill::Spill;
use crate::surroundings::{cancelled, network};
use crate::world::PANICKED;

/// Tasks that end with what made them.
struct Background(JoinSet<()>);

impl Background {
    /// Waits for one of them to panic.
    async fn broken(&mut self) -> SimError {
        loop {
            match self.0.join_next().await {
                Some(Ok(())) => {}
                Some(Err(error)) => return panicked(&error),
                None => std::future::pending().await,
            }
        }
    }
}

/// What is measured with a part missing is no result.
fn panicked(error: &JoinError) -> SimError {
    SimError::bad(&format!("{PANICKED}: {error}"))
}

/// A run: its network, coordinator and peers.
struct Run<'a> {
    scenario: &'a Scenario,
    seed: u64,
    ground: Arc<Ground>,
    host: Arc<Host>,
    network: Network,
    peers: Vec<Arc<Peer>>,
    natures: Vec<Nature>,
    begun: Instant,
    spill: Arc<Spill>,
}

pub(super) async fn train(
    scenario: &Scenario,
    seed: u64,
    learner: Arc<dyn Learns>,
    cancel: &CancelFlag,
    note: Note<'_>,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let mut background = Background(JoinSet::new());
    let run = Run::begin(scenario, seed, &learner, &mut background)?;
    let now = run.host_env().now();
    let campaign = campaign::one_round(scenario, &*learner, &run.host.view, now)?;
    let start = learner.start();
    let mut metric = RoundMetric { seed, ..RoundMetric::default() };
    judge(&mut metric, learner.judge(&start)?);
    tell(metric, None)?;
    for round in 1..=scenario.training.rounds {
        cancelled(cancel)?;
        let now = run.host_env().now();
        let fates = drawn(scenario, seed, &run.natures, round, run.hours());
        let coordinator = &run.host.coordinator;
        let before = coordinator.recent().last().map_or(0, |record| record.round);
        coordinator
            .start(campaign.clone(), &start, &run.host.view, now)
            .map_err(|error| SimError::bad(&error))?;
        run.host.wake();
        let numbers: Vec<usize> = fates.iter().map(|(peer, _)| *peer).collect();
        if let Some(crooked) = &run.host.crooked {
            plot::begin(crooked, scenario, round, fates.len());
        }
        let seen = run.round(round, fates, &mut background).await?;
        run.spill.whole().map_err(|error| SimError::bad(&error))?;
        let mut events: Vec<Event> = numbers
            .iter()
            .zip(&seen)
            .flat_map(|(peer, seen)| run.befell(round, *peer, seen))
            .collect();
        events.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        events.into_iter().try_for_each(&mut *note)?;
        let records: Vec<RoundRecord> =
            coordinator.recent().into_iter().filter(|record| record.round > before).collect();
        let mut metric = run.told(round, &records, &numbers, &seen);
        metric.noise = campaign.contribution.noise.map(NoiseMultiplier::get);
        let (_, _, values) = coordinator.checkpoint().map_err(|error| SimError::bad(&error))?;
        if judges(scenario, round) {
            judge(&mut metric, learner.judge(&values)?);
        }
        tell(metric, None)?;
    }
    drop(background);
    Ok(())
}

impl<'a> Run<'a> {
    fn begin(
        scenario: &'a Scenario,
        seed: u64,
        learner: &Arc<dyn Learns>,
        background: &mut Background,
    ) -> Result<Self, SimError> {
        let (coordinator, identities) = keys(seed, learner.peers());
        let view = view(seed, &coordinator, &identities)?;
        let ground = Arc::new(Ground::of(scenario, seed, learner, &view)?);
        let network = Network::new(network(scenario, seed)?);
        let clock = Arc::new(TokioClock::starting_at(crate::world::START));
        let together = Arc::new(Together::new());
        let env = |what: &str, number: usize, compute: Compute| {
            Env::new(clock.clone(), derive(seed, what, number as u64, 0), compute)
        };
        let (link, events) = network.join(view.coordinator);
        link.set_members(view.members.iter().copied().collect());
        let addresses = link.addresses();
        let spill = Spill::new().map_err(|error| SimError::bad(&error))?;
        let stores = spill.stores();
        let store = RoundStore::new(stores.kv(), stores.blobs(), view.group);
        let natures = Nature::of_all(scenario, seed, learner.peers());
        let host = Coordinator::open(Arc::clone(&coordinator), Arc::new(store));
        let host = Arc::new(host.map_err(|error| SimError::bad(&error))?);
        let crooked = plot::crooked(scenario, &coordinator, &host, &view, (&identities, &natures));
        let host_env = env("coordinator", 0, Compute::Together(together.clone()));
        let host = Arc::new(Host::new(host, crooked.clone(), view, host_env));
        let mut peers = Vec::with_capacity(identities.len());
        for (number, key) in identities.into_iter().enumerate() {
            let id = NodeId::new(key.public());
            // Nobody asks a peer anything here, so its events are not looked at.
            let (link, _) = network.join(id);
            link.learn(host.view.coordinator, &addresses);
            let stores: Arc<dyn Stores> = Arc::new(spill.stores());
            let ledger = Arc::new(PrivacyLedger::new(stores.clone(), id));
            let kept = Kept::new(stores.blobs(), ledger, ground.group);
            let env = env("random", number, Compute::Together(together.clone()));
            let nature = natures[number];
            let link = Access::new(link, nature.bandwidth);
            let plot = crooked.clone().filter(|_| nature.colludes());
            let peer = Peer { number, key, env, kept, link, plot };
            budget(scenario, seed, &peer)?;
            peers.push(Arc::new(peer));
        }
        background.0.spawn(async move { together.run().await });
        background.0.spawn(Arc::clone(&host).serve(events));
        background.0.spawn(Arc::clone(&host).run());
        let begun = Instant::now();
        for (number, cut) in scenario.network.cuts.iter().copied().enumerate() {
            let side = side(seed, number, cut, &peers);
            background.0.spawn(cut_off(network.clone(), begun, cut, side));
        }
        Ok(Self { scenario, seed, ground, host, network, peers, natures, begun, spill })
    }

    fn host_env(&self) -> &Env {
        &self.host.env
    }

    fn hours(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() / 3_600.0
    }

    /// Lets a round pass that the coordinator has begun, and gives what was seen of those who took part.
    async fn round(
        &self,
        round: u32,
        fates: Vec<(usize, Fate)>,
        background: &mut Background,
    ) -> Result<Vec<Seen>, SimError> {
        let stop = CancelFlag::new();
        let mut taking_part = JoinSet::new();
        let mut all = Vec::with_capacity(fates.len());
        for (number, fate) in fates {
            let peer = Arc::clone(&self.peers[number]);
            self.network.set_up(NodeId::new(peer.key.public()));
            let (ground, network) = (Arc::clone(&self.ground), self.network.clone());
            let part = Arc::new(InRound::new(ground, network, peer, fate, round, stop.clone()));
            all.push(Arc::clone(&part));
            taking_part.spawn(async move { part.take_part().await });
        }
        tokio::select! {
            biased;
            () = self.host.over() => {}
            error = background.broken() => return Err(error),
        }
        // So that everybody hears how it ended.
        sleep(HEARD).await;
        stop.cancel();
        while let Some(ended) = taking_part.join_next().await {
            ended.map_err(|error| panicked(&error))?;
        }
        Ok(all.iter().map(|part| part.seen()).collect())
    }

    /// That a peer left, or went no further by itself, if it did.
    fn befell(&self, round: u32, peer: usize, seen: &Seen) -> impl Iterator<Item = Event> {
        let when = |at: Instant| (self.seed, round, (at - self.begun).as_secs_f64());
        let left = seen
            .left
            .map(|(at, leaves)| event(when(at), peer, "left", ("phase", leaves.name().to_owned())));
        // One that colludes plays along.
        let gave_up = seen.gave_up.as_ref().filter(|_| !self.natures[peer].colludes());
        let gave_up = gave_up.map(|(at, why)| {
            let check = plot::refusal(seen);
            let what = match (check, seen.checked_in) {
                (Some(_), _) => REFUSED,
                (None, Some(_)) => GAVE_UP,
                (None, None) => ABSENT,
            };
            let mut event = event(when(*at), peer, what, ("why", why.clone()));
            event.more.extend(check.map(|check| ("check".to_owned(), check.into())));
            event
        });
        left.into_iter().chain(gave_up)
    }

    fn told(
        &self,
        round: u32,
        records: &[RoundRecord],
        numbers: &[usize],
        seen: &[Seen],
    ) -> RoundMetric {
        let mut metric = RoundMetric { seed: self.seed, round, ..RoundMetric::default() };
        metric.at_s = self.begun.elapsed().as_secs_f64();
        metric.attempts = records.len() as u32;
        for peer in &self.peers {
            let (up, down) = peer.link.take_traffic();
            metric.up_bytes += up;
            metric.down_bytes += down;
            metric.most_up_bytes = metric.most_up_bytes.max(up);
            metric.most_down_bytes = metric.most_down_bytes.max(down);
        }
        if let Some(last) = records.last() {
            // Of those who leave in one attempt too few may be left to begin another.
            let attempt = seen.iter().filter_map(|seen| seen.checked_in).max();
            let last_in = |seen: &&Seen| seen.checked_in.is_some() && seen.checked_in == attempt;
            metric.cohort = seen.iter().filter(last_in).count() as u32;
            metric.phases_s = phases(last, seen);
            match &last.came {
                Came::Checkpoint { participants, norm, measured: means, .. } => {
                    metric.survivors = *participants;
                    measured(&mut metric, *norm, means);
                }
                // The first attempt's reason, as a later one may fail for want of those who gave what they had to that.
                Came::Failed { .. } => metric.failed = records.iter().find_map(why_failed),
                Came::Evaluated(_) => {}
            }
        }
        let honest = numbers.iter().zip(seen).filter(|(it, _)| !self.natures[**it].colludes());
        for check in honest.filter_map(|(_, seen)| plot::refusal(seen)) {
            *metric.refused.entry(check.to_owned()).or_default() += 1;
        }
        if let Some(crooked) = &self.host.crooked {
            plot::told(&mut metric, crooked);
        }
        metric.epsilon = self.spent();
        metric
    }

    /// The most that a peer has spent, by its own ledger.
    fn spent(&self) -> Option<f64> {
        let privacy = &self.scenario.privacy;
        if !privacy.is_noisy() {
            return None;
        }
        let mut most = Rho::ZERO;
        for peer in &self.peers {
            for standing in peer.kept.ledger.standings().ok()? {
                // What is hidden has an account with a budget, and that alone.
                if standing.budget.is_some() && standing.spent.rho() > most {
                    most = standing.spent.rho();
                }
            }
        }
        epsilon(most, self.ground.limits.delta)
    }
}

fn why_failed(record: &RoundRecord) -> Option<String> {
    match &record.came {
        Came::Failed { why } => Some(why.clone()),
        Came::Checkpoint { .. } | Came::Evaluated(_) => None,
    }
}

/// How long after the end of a round everybody has heard of it.
const HEARD: Duration = Duration::from_secs(10);

/// How long each phase took. Training is what half of those who trained took less for, and what is left of the time until all had checked in is waiting.
fn phases(record: &RoundRecord, seen: &[Seen]) -> BTreeMap<String, f64> {
    let mut phases: BTreeMap<String, f64> = BTreeMap::new();
    for (phase, ms) in &record.phases {
        *phases.entry(phase.name().to_owned()).or_default() += *ms as f64 / 1e3;
    }
    let mut training: Vec<Duration> = seen.iter().filter_map(|seen| seen.training).collect();
    training.sort_unstable();
    // An attempt after the first has nobody train.
    if let Some(half) = training.get(training.len() / 2).filter(|_| record.attempt == 0) {
        let gathering = phases.entry(Phase::Gathering.name().to_owned()).or_default();
        let training = half.as_secs_f64().min(*gathering);
        *gathering -= training;
        phases.insert("training".to_owned(), training);
    }
    phases
}

/// An epsilon that no run comes near: a ledger without a budget lets nothing pass.
const UNBOUNDED: f64 = 1e6;

/// What a peer's ledger is told that all may cost.
fn budget(scenario: &Scenario, seed: u64, peer: &Peer) -> Result<(), SimError> {
    let epsilon = match (scenario.privacy.epsilon, scenario.privacy.noise) {
        (Some(epsilon), _) => epsilon,
        (None, Some(_)) => UNBOUNDED,
        (None, None) => return Ok(()),
    };
    let epsilon = Epsilon::new(epsilon).map_err(|error| SimError::bad(&error))?;
    let delta = Delta::new(scenario.privacy.delta).map_err(|error| SimError::bad(&error))?;
    let collection = collection(seed, peer.number);
    let of = |unit| Account::Collection { unit, collection };
    let accounts = match scenario.privacy.unit {
        Unit::Peer => vec![Account::Peer, of(Unit::Peer)],
        Unit::Document => vec![of(Unit::Document)],
    };
    for account in accounts {
        let budget = Budget::new(epsilon, delta);
        let set = peer.kept.ledger.set_budget(account, budget, peer.env.now());
        set.map_err(|error| SimError::bad(&error))?;
    }
    Ok(())
}

/// Whom a split cuts off.
fn side(seed: u64, number: usize, cut: Cut, peers: &[Arc<Peer>]) -> BTreeSet<NodeId> {
    let count = (cut.share * peers.len() as f64).round() as usize;
    let some = Draw::new(seed, "cut", number as u64, 0).some(count, peers.len());
    some.into_iter().map(|peer| NodeId::new(peers[peer].key.public())).collect()
}

async fn cut_off(network: Network, begun: Instant, cut: Cut, side: BTreeSet<NodeId>) {
    sleep_until(begun + Duration::from_secs_f64(cut.at_s)).await;
    network.partition(&[side]);
    sleep(Duration::from_secs_f64(cut.for_s)).await;
    network.heal();
}
