//! A peer as one who takes part in rounds: the code that nodes take part with ([`covey_node::rounds`]), with a learner in place of files.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use covey_coordinator::GroupView;
use covey_crypto::{Digest, SecretKey};
use covey_net::memory::Network;
use covey_node::api::{ApiError, ErrorCode};
use covey_node::cancel::CancelFlag;
use covey_node::env::Env;
use covey_node::rounds::{
    Kept, News, Party, Trained, Tries, Unanswered, Wait, ask_over, training_ends, values,
};
use covey_privacy::Delta;
use covey_privacy::encode::Layout;
use covey_privacy::ledger::CollectionKey;
use covey_privacy::rng::SimulationRng;
use covey_protocol::ids::{Epoch, GroupId, NodeId, RequestId};
use covey_protocol::round::{Checked, Company, Limits};
use covey_protocol::secagg::client::Drawn;
use covey_protocol::secagg::{Bounds, Demands, Members};
use covey_protocol::wire::v1::round::{ClientMessage, RoundAnswer, RoundAsk, RoundRequest};
use rand_chacha::ChaCha20Rng;
use tokio::time::{Instant, sleep};

use super::access::Access;
use super::adversary;
use super::fate::{Fate, Leaves};
use crate::SimError;
use crate::crooked::Crooked;
use crate::learner::Learns;
use crate::scenario::Scenario;
use crate::seed::{derive, derive_u64};

/// What all peers share.
pub(super) struct Ground {
    pub(super) seed: u64,
    pub(super) group: GroupId,
    pub(super) coordinator: NodeId,
    pub(super) members: Members,
    pub(super) limits: Limits,
    pub(super) learner: Arc<dyn Learns>,
}

impl Ground {
    /// Of a group as its coordinator sees it.
    pub(super) fn of(
        scenario: &Scenario,
        seed: u64,
        learner: &Arc<dyn Learns>,
        view: &GroupView,
    ) -> Result<Self, SimError> {
        let sum = &scenario.sum;
        let limits = Limits {
            demands: Demands {
                min_honest: 2,
                collusion_permille: (1_000.0 * sum.collusion).round() as u16,
                colluders: 1,
                security_bits: Bounds::default().security_bits,
            },
            unit: scenario.privacy.unit,
            max_epsilon: None,
            delta: Delta::new(scenario.privacy.delta).map_err(|error| SimError::bad(&error))?,
            max_steps: u32::MAX,
            max_bytes: u64::MAX,
        };
        Ok(Self {
            seed,
            group: view.group,
            coordinator: view.coordinator,
            members: view.members.clone(),
            limits,
            learner: Arc::clone(learner),
        })
    }
}

/// One peer, for as long as the run goes.
pub(super) struct Peer {
    pub(super) number: usize,
    pub(super) key: Arc<SecretKey>,
    pub(super) env: Env,
    pub(super) kept: Kept,
    pub(super) link: Access,
    /// The coordinator that it colludes with, if it does.
    pub(super) plot: Option<Arc<Crooked>>,
}

/// A peer in one round.
pub(super) struct InRound {
    ground: Arc<Ground>,
    network: Network,
    pub(super) peer: Arc<Peer>,
    fate: Fate,
    round: u32,
    stop: CancelFlag,
    /// Updates that were masked in it.
    masked: AtomicU64,
    /// Of one that colludes: what draws the keys of the attempt that it is checking in for.
    draws: Mutex<Option<ChaCha20Rng>>,
    seen: Mutex<Seen>,
}

/// What is seen of a peer in a round.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Words of the plan that it follows, and the terms of the attempt at it.
    words: u32,
    terms: Digest,
    attempt: u32,
    /// The attempt that it checked in for, the last if there were several.
    pub(super) checked_in: Option<u32>,
    /// How long it trained, in virtual time.
    pub(super) training: Option<Duration>,
    /// When it left, and in which phase.
    pub(super) left: Option<(Instant, Leaves)>,
    /// When and why it went no further by itself.
    pub(super) gave_up: Option<(Instant, String)>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            words: 0,
            terms: Digest::ZERO,
            attempt: 0,
            checked_in: None,
            training: None,
            left: None,
            gave_up: None,
        }
    }
}

impl InRound {
    pub(super) fn new(
        ground: Arc<Ground>,
        network: Network,
        peer: Arc<Peer>,
        fate: Fate,
        round: u32,
        stop: CancelFlag,
    ) -> Self {
        let (masked, draws, seen) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        Self { ground, network, peer, fate, round, stop, masked, draws, seen }
    }

    /// What was seen of it so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn see(&self, see: impl FnOnce(&mut Seen)) {
        see(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes part, from when it hears of the round on, until it is over or something is in the way.
    pub(super) async fn take_part(&self) {
        sleep(self.fate.begins).await;
        match covey_node::rounds::follow(self).await {
            // As it is when a round ends, or the peer has left.
            Err(error) if error.code == ErrorCode::Cancelled => {}
            Err(error) => {
                self.see(|seen| seen.gave_up = Some((Instant::now(), error.to_string())));
            }
            Ok(()) => {}
        }
    }

    /// Tells the coordinator that it colludes with what it drew for the attempt with these terms.
    fn confide(&self, terms: &Digest) {
        let draws = self.draws.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(plot), Some(mut rng)) = (&self.peer.plot, draws) {
            plot.drew(terms, Drawn::draw(&mut rng), self.peer.env.now());
        }
    }

    /// Is gone for the rest of the round.
    async fn leave(&self, leaves: Leaves) -> ApiError {
        self.see(|seen| seen.left = Some((Instant::now(), leaves)));
        self.network.set_down(NodeId::new(self.peer.key.public()));
        self.stop.cancelled().await;
        ApiError::new(ErrorCode::Cancelled, "the peer left the round")
    }
}

/// How a peer's update is trained, whoever asks for it.
pub(super) fn trained(
    ground: &Ground,
    peer: usize,
    fate: &Fate,
    plan: &Checked,
    values: Vec<f32>,
    most: u32,
    round: u32,
) -> Result<Trained, ApiError> {
    let seed = derive_u64(ground.seed, "train", peer as u64, round.into());
    let learnt = ground.learner.train(peer, plan, values, most, seed);
    let mut trained =
        learnt.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
    trained.collections = vec![collection(ground.seed, peer)];
    adversary::tamper(fate.attack, &mut trained);
    Ok(trained)
}

/// Names what a peer learns from, in its ledger.
pub(super) fn collection(seed: u64, peer: usize) -> CollectionKey {
    CollectionKey(derive(seed, "collection", peer as u64, 0))
}

/// The generator of one update's rounding and noise: the same whether sums are secure or not.
pub(super) fn noise(seed: u64, peer: usize, round: u32, masked: u64) -> SimulationRng {
    let time = u64::from(round) << 32 | masked;
    SimulationRng::from_seed(&derive(seed, "noise", peer as u64, time))
}

/// Why a peer takes no part that is too slow for a single step.
pub(super) const NO_TIME: &str = "the time to train was over before the first step was done";

/// How many steps there is time for.
pub(super) fn time_to_train(fate: &Fate, left: Duration) -> u32 {
    if fate.step.is_zero() {
        return u32::MAX;
    }
    u32::try_from(left.as_nanos() / fate.step.as_nanos()).unwrap_or(u32::MAX)
}

impl Party for InRound {
    type Noise = SimulationRng;

    fn group(&self) -> GroupId {
        self.ground.group
    }

    fn env(&self) -> &Env {
        &self.peer.env
    }

    fn key(&self) -> Arc<SecretKey> {
        Arc::clone(&self.peer.key)
    }

    fn kept(&self) -> &Kept {
        &self.peer.kept
    }

    fn stop(&self) -> &CancelFlag {
        &self.stop
    }

    fn coordinator(&self) -> Option<NodeId> {
        Some(self.ground.coordinator)
    }

    fn members(&self, _: Epoch) -> Result<Members, ApiError> {
        Ok(self.ground.members.clone())
    }

    fn limits(&self) -> &Limits {
        &self.ground.limits
    }

    fn company(&self, _: NodeId, _: &Members) -> Option<Company> {
        None
    }

    fn waits(&self) -> Result<Option<Wait>, ApiError> {
        Ok(None)
    }

    fn still_agrees(&self) -> Result<bool, ApiError> {
        Ok(true)
    }

    fn sources(&self) -> Result<Vec<CollectionKey>, ApiError> {
        Ok(vec![collection(self.ground.seed, self.peer.number)])
    }

    fn keys(&self) -> ChaCha20Rng {
        let rng = self.peer.env.fork_rng();
        if self.peer.plot.is_some() {
            *self.draws.lock().unwrap_or_else(PoisonError::into_inner) = Some(rng.clone());
        }
        rng
    }

    fn noise(&self, _: &Digest) -> SimulationRng {
        let masked = self.masked.fetch_add(1, Ordering::Relaxed);
        noise(self.ground.seed, self.peer.number, self.round, masked)
    }

    fn layout(&self, plan: &Checked) -> Layout {
        adversary::layout(self.fate.attack, plan.layout())
    }

    fn tell(&self, news: News<'_>) {
        match news {
            News::Follows(plan, attempt) => self.see(|seen| {
                (seen.words, seen.terms) = (plan.plan().sum.entries, plan.terms(attempt).digest());
                seen.attempt = attempt;
            }),
            News::Announced(_) | News::Accepts | News::Doing(_) | News::Over(_) | News::Rests => {}
        }
    }

    async fn ask(&self, coordinator: NodeId, ask: RoundAsk) -> Result<RoundAnswer, ApiError> {
        let Seen { words, terms: ours, .. } = self.seen();
        // Of an attempt of an earlier round, which it goes on with, it is told first that it is over.
        if let RoundAsk::Step { terms, message } = &ask
            && *terms == ours
            && let Some(leaves) = self.fate.leaves.filter(|it| it.is_before(message, words))
        {
            return Err(self.leave(leaves).await);
        }
        if let RoundAsk::Step { message, terms } = &ask
            && matches!(**message, ClientMessage::Keys(_))
        {
            self.confide(terms);
            self.see(|seen| seen.checked_in = Some(seen.attempt));
        }
        let id = RequestId(self.peer.env.next_u64());
        let request = RoundRequest { id, group: self.ground.group, ask };
        let asked =
            ask_over((&self.peer.link, &self.peer.env), coordinator, request, Tries::Many, |_| {})
                .await;
        asked.map_err(|unanswered| {
            let why = match unanswered {
                Unanswered::Link(error) => format!("the coordinator cannot be reached: {error}"),
                Unanswered::Busy(_) => "the coordinator is busy".to_owned(),
            };
            ApiError::new(ErrorCode::Unreachable, why)
        })
    }

    async fn train(&self, coordinator: NodeId, plan: &Checked) -> Result<Trained, ApiError> {
        let begun = Instant::now();
        let values = fetch(plan, |ask| self.ask(coordinator, ask)).await?;
        if self.fate.leaves == Some(Leaves::Training) {
            return Err(self.leave(Leaves::Training).await);
        }
        let left = training_ends(plan).saturating_sub(self.peer.env.now().0);
        let most = time_to_train(&self.fate, Duration::from_millis(left));
        if most == 0 {
            return Err(ApiError::new(ErrorCode::Timeout, NO_TIME));
        }
        let (ground, peer, fate) = (Arc::clone(&self.ground), self.peer.number, self.fate);
        let (plan, round) = (plan.clone(), self.round);
        let work = move || trained(&ground, peer, &fate, &plan, values, most, round);
        let trained = self.peer.env.compute(work).await?;
        let steps = u32::try_from(trained.told.steps).unwrap_or(u32::MAX);
        sleep(self.fate.step.saturating_mul(steps)).await;
        self.see(|seen| seen.training = Some(begun.elapsed()));
        Ok(trained)
    }
}

async fn fetch<A: Future<Output = Result<RoundAnswer, ApiError>>>(
    plan: &Checked,
    ask: impl FnMut(RoundAsk) -> A,
) -> Result<Vec<f32>, ApiError> {
    let unexpected = |_: &RoundAnswer| ApiError::new(ErrorCode::Unreachable, "no values in answer");
    values(plan.plan().start, ask, unexpected).await
}
