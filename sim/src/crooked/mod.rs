//! A coordinator that lies, or that pools what it knows with some of the members. What it does not lie about, an honest coordinator does for it.
//!
//! [`Crooked`] is all of it: a request and the time in, an answer out. It has no socket, clock or runtime, so simulated peers meet the same one as the
//! daemons of the end-to-end tests. Lies are told to cohorts on a complete graph.

mod forged;
mod saw;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_coordinator::{Coordinator, GroupView};
use covey_crypto::{Digest, RoundSecret, SecretKey, Signature};
use covey_privacy::rng::SimulationRng;
use covey_protocol::ids::{NodeId, RequestId, UnixMillis};
use covey_protocol::limits::MAX_PIECE;
use covey_protocol::round::{Phase, SignedPlan, Start, values_to_bytes};
use covey_protocol::secagg::client::Drawn;
use covey_protocol::secagg::{Parameters, Seat, SeatSet};
use covey_protocol::wire::v1::round::{
    Announced, Awaited, ClientMessage, RoundAnswer, RoundAsk, RoundReply, RoundRequest,
    ServerMessage,
};
use covey_protocol::wire::v1::secagg::{Advertisement, Agreements, Roster};

use forged::Forger;
use saw::Pools;
pub use saw::Saw;

/// Milliseconds after which it is worth asking again while others are waited for.
const LATER_MS: u32 = 50;

/// What it lies about.
#[derive(Debug, Clone, PartialEq)]
pub enum Lie {
    /// Nothing.
    None,
    /// Puts keys of its own in the place of a member's.
    SwappedKeys,
    /// Tells some that everybody's vector is in the sum, and others that all but one's are.
    TwoSets,
    /// Has some train another model than the others.
    TwoModels,
    /// Says that there are two of them.
    SmallCohort,
    /// Announces a plan again.
    Replay(Box<Announced>),
}

/// A coordinator that lies.
pub struct Crooked {
    honest: Arc<Coordinator>,
    view: GroupView,
    forger: Forger,
    /// Members that pool what they know with it, and lend it their keys.
    colluders: BTreeMap<NodeId, Arc<SecretKey>>,
    /// The first plan that it announced.
    oldest: Mutex<Option<Announced>>,
    lying: Mutex<Lying>,
}

struct Lying {
    lie: Lie,
    /// How many are to take part.
    cohort: usize,
    saw: Saw,
    pools: Pools,
    /// The keys of those who checked in.
    keys: BTreeMap<NodeId, Advertisement>,
    /// Members in the order in which they were first heard of; who is told what follows from it.
    order: Vec<NodeId>,
    /// The other plan, of [`Lie::TwoModels`].
    other: Option<Other>,
    /// What was told of survivors, by an attempt's terms.
    sets: BTreeMap<Digest, Sets>,
}

/// Another plan than the one that an honest coordinator announces.
struct Other {
    signed: SignedPlan,
    values: Vec<f32>,
}

/// Of two things, the one that a member is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Truth,
    Otherwise,
}

/// Of [`Lie::TwoSets`], in one attempt.
#[derive(Default)]
struct Sets {
    /// The transcript of the cohort, once it was told.
    cohort: Option<Digest>,
    /// And that of the dealers, which survivors are signed for.
    dealers: Option<Digest>,
    told: BTreeMap<Told, SeatSet>,
    agreed: BTreeMap<Told, BTreeMap<Seat, Signature>>,
}

impl Crooked {
    /// Lies with the coordinator's key to those who ask it, and has `honest` do the rest.
    pub fn new(key: Arc<SecretKey>, honest: Arc<Coordinator>, view: GroupView) -> Self {
        let lying = Lying {
            lie: Lie::None,
            cohort: 0,
            saw: Saw::default(),
            pools: Pools::new(view.members.clone()),
            keys: BTreeMap::new(),
            order: Vec::new(),
            other: None,
            sets: BTreeMap::new(),
        };
        let forger = Forger::new(key, view.members.clone());
        let (oldest, lying) = (Mutex::new(None), Mutex::new(lying));
        Self { honest, view, forger, colluders: BTreeMap::new(), oldest, lying }
    }

    /// The same with members that collude with it: they lend it their keys, and tell it what they draw ([`Crooked::drew`]).
    #[must_use]
    pub fn with(mut self, colluders: impl IntoIterator<Item = Arc<SecretKey>>) -> Self {
        let colluders = colluders.into_iter().map(|key| (NodeId::new(key.public()), key));
        self.colluders = colluders.collect();
        self
    }

    /// Begins a round with a lie to so many, and forgets the one before.
    pub fn begin(&self, lie: Lie, cohort: usize) {
        let mut lying = self.lying();
        (lying.lie, lying.cohort) = (lie, cohort);
        lying.saw = Saw::default();
        lying.pools.forget();
        (lying.keys, lying.order, lying.other) = (BTreeMap::new(), Vec::new(), None);
        lying.sets = BTreeMap::new();
    }

    /// Whether it says anything but what an honest coordinator would.
    pub fn lies(&self) -> bool {
        self.lying().lie != Lie::None
    }

    /// What a colluder drew for the attempt with these terms.
    pub fn drew(&self, terms: &Digest, drawn: Drawn, now: UnixMillis) {
        self.keep(terms, now);
        self.lying().pools.colludes(terms, drawn);
    }

    /// What it has seen since the round began.
    pub fn saw(&self) -> Saw {
        self.lying().saw.clone()
    }

    /// How many honest members opened shares in the round.
    pub fn fooled(&self) -> usize {
        let lying = self.lying();
        lying.saw.opened.iter().filter(|id| !self.colluders.contains_key(id)).count()
    }

    /// Honest members whose vectors it can open with all that it and its colluders have seen in the round.
    pub fn exposed(&self) -> BTreeSet<NodeId> {
        let mut open = self.lying().pools.open();
        open.retain(|id| !self.colluders.contains_key(id));
        open
    }

    /// The plan that an honest coordinator would announce now.
    pub fn announced(&self, now: UnixMillis) -> Option<Announced> {
        let request =
            RoundRequest { id: RequestId(1), group: self.view.group, ask: RoundAsk::Status };
        match self.honest.serve(&self.view.coordinator, request, now).answer {
            RoundAnswer::Status(announced) => announced.map(|announced| *announced),
            RoundAnswer::Values { .. }
            | RoundAnswer::Manifest(_)
            | RoundAnswer::Step(_)
            | RoundAnswer::Refused(_) => None,
        }
    }

    /// The first plan that it ever announced, as it was then.
    pub fn oldest(&self) -> Option<Announced> {
        self.oldest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers a member's request. The honest coordinator's `tick` is its shell's to call, as always.
    pub fn answer(&self, from: &NodeId, request: RoundRequest, now: UnixMillis) -> RoundReply {
        let RoundRequest { id, group, ask } = request;
        let RoundAsk::Step { terms, message } = ask else {
            return RoundReply {
                id,
                answer: self.tell(from, RoundRequest { id, group, ask }, now),
            };
        };
        self.look_at(from, &terms, &message, now);
        let answer = self.step(from, terms, *message, now);
        if let RoundAnswer::Step(message) = &answer {
            self.lying().pools.says(&terms, from, message);
        }
        RoundReply { id, answer }
    }

    fn lying(&self) -> MutexGuard<'_, Lying> {
        self.lying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what passes in the attempt with these terms, if there is one.
    fn keep(&self, terms: &Digest, now: UnixMillis) {
        if self.lying().pools.has(terms) {
            return;
        }
        if let Some(parameters) = self.parameters(now) {
            self.lying().pools.begin(*terms, parameters);
        }
    }

    fn parameters(&self, now: UnixMillis) -> Option<Parameters> {
        let plan = self.announced(now)?.plan.verify(&self.view.coordinator).ok()?;
        Some(plan.plan().sum)
    }

    fn look_at(&self, from: &NodeId, terms: &Digest, message: &ClientMessage, now: UnixMillis) {
        if let ClientMessage::Keys(_) = message {
            self.keep(terms, now);
        }
        self.meet(from);
        let mut lying = self.lying();
        lying.saw.look_at(from, message);
        lying.pools.hears(terms, from, message);
        if let ClientMessage::Keys(keys) = message
            && keys.client == *from
            && self.view.members.seat(from).is_some()
        {
            lying.keys.insert(*from, *keys);
        }
    }

    /// Hears of a member, if it does not collude.
    fn meet(&self, who: &NodeId) {
        let mut lying = self.lying();
        if !self.colluders.contains_key(who) && !lying.order.contains(who) {
            lying.order.push(*who);
        }
    }

    /// What this member is told: of all that were heard of, every second one the other thing.
    fn told(&self, who: &NodeId) -> Told {
        match self.lying().order.iter().position(|it| it == who) {
            Some(place) if place % 2 == 1 => Told::Otherwise,
            Some(_) | None => Told::Truth,
        }
    }

    /// The answer to anything but a step.
    fn tell(&self, from: &NodeId, request: RoundRequest, now: UnixMillis) -> RoundAnswer {
        match &request.ask {
            RoundAsk::Status => {
                let lie = {
                    let mut lying = self.lying();
                    *lying.saw.asked.entry(*from).or_default() += 1;
                    lying.lie.clone()
                };
                match lie {
                    Lie::Replay(announced) => return RoundAnswer::Status(Some(announced)),
                    Lie::TwoModels => return self.one_of_two(from, now),
                    Lie::None | Lie::SwappedKeys | Lie::TwoSets | Lie::SmallCohort => {}
                }
            }
            RoundAsk::Values { of, offset } => {
                let lying = self.lying();
                let other = lying.other.as_ref();
                if let Some(other) = other.filter(|other| Start::digest(&other.values) == *of) {
                    return piece(&other.values, *offset);
                }
            }
            RoundAsk::Manifest { .. } | RoundAsk::Step { .. } => {}
        }
        let answer = self.honest.serve(from, request, now).answer;
        if let RoundAnswer::Status(Some(announced)) = &answer {
            let mut oldest = self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
            oldest.get_or_insert_with(|| (**announced).clone());
        }
        answer
    }

    fn honestly(
        &self,
        from: &NodeId,
        terms: Digest,
        message: ClientMessage,
        now: UnixMillis,
    ) -> RoundAnswer {
        let ask = RoundAsk::Step { terms, message: Box::new(message) };
        let request = RoundRequest { id: RequestId(1), group: self.view.group, ask };
        self.honest.serve(from, request, now).answer
    }

    fn step(
        &self,
        from: &NodeId,
        terms: Digest,
        message: ClientMessage,
        now: UnixMillis,
    ) -> RoundAnswer {
        let lie = self.lying().lie.clone();
        match (lie, message) {
            (Lie::TwoModels, _) => self.two_rosters(&terms),
            (Lie::TwoSets, ClientMessage::Agreement(agreement)) => {
                self.agreed(from, &terms, agreement.signature);
                self.agreements(from, terms, now)
            }
            (Lie::TwoSets, ClientMessage::Waits(Awaited::Agreements)) => {
                self.agreements(from, terms, now)
            }
            // Not what an honest coordinator waits for at that time.
            (Lie::TwoSets, ClientMessage::Opening(_)) => {
                self.honestly(from, terms, ClientMessage::Waits(Awaited::End), now)
            }
            (lie, message) => {
                self.bent(from, &lie, &terms, self.honestly(from, terms, message, now))
            }
        }
    }

    /// An honest answer to a step, after the lie.
    fn bent(&self, from: &NodeId, lie: &Lie, terms: &Digest, answer: RoundAnswer) -> RoundAnswer {
        let RoundAnswer::Step(message) = answer else { return answer };
        RoundAnswer::Step(match (lie, message) {
            (Lie::SwappedKeys, ServerMessage::Roster(mut roster)) => {
                let mut rng = SimulationRng::numbered(3, 7);
                let victim = roster.keys.len() / 2;
                let Drawn { seal, mask } = Drawn::draw(&mut rng);
                (roster.keys[victim].seal, roster.keys[victim].mask) =
                    (seal.public(), mask.public());
                self.draws(terms, [seal, mask]);
                ServerMessage::Roster(self.forger.roster(terms, roster.keys))
            }
            (Lie::SmallCohort, ServerMessage::Roster(Roster { keys, .. })) => {
                let own = keys.iter().find(|keys| keys.client == *from);
                let other = keys.iter().find(|keys| keys.client != *from);
                let two = own.into_iter().chain(other).copied().collect();
                ServerMessage::Roster(self.forger.roster(terms, two))
            }
            (Lie::TwoSets, ServerMessage::Roster(roster)) => {
                let cohort = forged::transcript(terms, &roster.head.cohort, &roster.head.root);
                self.lying().sets.entry(*terms).or_default().cohort = Some(cohort);
                ServerMessage::Roster(roster)
            }
            (Lie::TwoSets, ServerMessage::Inbox(inbox)) => {
                let mut lying = self.lying();
                let sets = lying.sets.entry(*terms).or_default();
                sets.dealers = sets.cohort.map(|cohort| forged::dealt(&cohort, &inbox.dealers));
                ServerMessage::Inbox(inbox)
            }
            (Lie::TwoSets, ServerMessage::Survivors(survivors)) => {
                let which = self.told(from);
                let mut lying = self.lying();
                // The first one that was heard of is told the truth, and left out of what others are told.
                let survived = |id: &&NodeId| {
                    self.view.members.seat(id).is_some_and(|seat| survivors.set.contains(seat))
                };
                let first = lying.order.iter().step_by(2).find(survived).copied();
                let sets = lying.sets.entry(*terms).or_default();
                let told = match (which, first, sets.dealers) {
                    (Told::Otherwise, Some(first), Some(dealers)) => {
                        self.forger.survivors_without(&dealers, &survivors.set, &first)
                    }
                    (Told::Truth, ..) | (_, None, _) | (.., None) => survivors,
                };
                sets.told.insert(which, told.set.clone());
                ServerMessage::Survivors(told)
            }
            (_, message) => message,
        })
    }

    fn draws(&self, terms: &Digest, secrets: [RoundSecret; 2]) {
        let mut lying = self.lying();
        secrets.into_iter().for_each(|secret| lying.pools.knows(terms, secret));
    }

    /// Of two plans that differ in what training starts from, the one that this member is to follow.
    fn one_of_two(&self, who: &NodeId, now: UnixMillis) -> RoundAnswer {
        let Some(mut announced) = self.announced(now) else { return RoundAnswer::Status(None) };
        self.meet(who);
        if self.told(who) == Told::Otherwise {
            let mut lying = self.lying();
            if lying.other.is_none() {
                lying.other = self.other(&announced);
            }
            if let Some(other) = &lying.other {
                announced.plan = other.signed.clone();
            }
        }
        RoundAnswer::Status(Some(Box::new(announced)))
    }

    /// A plan like this one that starts from other values.
    fn other(&self, announced: &Announced) -> Option<Other> {
        let mut plan = announced.plan.verify(&self.view.coordinator).ok()?.plan().clone();
        let (_, _, mut values) = self.honest.checkpoint().ok()?;
        *values.first_mut()? += 1.0;
        plan.start = Start::of(&values);
        Some(Other { signed: self.forger.plan(&plan), values })
    }

    /// Once all have checked in, whatever for, or it is too late to: all their keys, signed for the terms that this member knows.
    fn two_rosters(&self, terms: &Digest) -> RoundAnswer {
        let keys: Vec<Advertisement> = self.lying().keys.values().copied().collect();
        let gathers = self
            .honest
            .at()
            .is_some_and(|(_, attempt, phase)| (attempt, phase) == (0, Phase::Gathering));
        RoundAnswer::Step(if keys.len() < self.lying().cohort && gathers {
            ServerMessage::Later { ms: LATER_MS }
        } else {
            ServerMessage::Roster(self.forger.roster(terms, keys))
        })
    }

    fn agreed(&self, from: &NodeId, terms: &Digest, signature: Signature) {
        let which = self.told(from);
        let Some(seat) = self.view.members.seat(from) else { return };
        let mut lying = self.lying();
        let sets = lying.sets.entry(*terms).or_default();
        sets.agreed.entry(which).or_default().insert(seat, signature);
    }

    /// Once all have agreed to what they were told, or it is too late to: the agreements to the set that this member knows. Colluders agree to both.
    fn agreements(&self, from: &NodeId, terms: Digest, now: UnixMillis) -> RoundAnswer {
        let waits = ClientMessage::Waits(Awaited::Agreements);
        let in_time = matches!(
            self.honestly(from, terms, waits, now),
            RoundAnswer::Step(ServerMessage::Later { .. })
        );
        let which = self.told(from);
        let mut lying = self.lying();
        let sets = lying.sets.entry(terms).or_default();
        let all: usize = sets.agreed.values().map(BTreeMap::len).sum();
        let survived = sets.told.values().map(SeatSet::len).max().unwrap_or_default() as usize;
        if in_time && all < survived {
            return RoundAnswer::Step(ServerMessage::Later { ms: LATER_MS });
        }
        let mut signatures = sets.agreed.remove(&which).unwrap_or_default();
        if let (Some(set), Some(dealers)) = (sets.told.get(&which), &sets.dealers) {
            for (id, key) in &self.colluders {
                let seat = self.view.members.seat(id).filter(|seat| set.contains(*seat));
                signatures.extend(seat.map(|seat| (seat, forged::agreement(dealers, set, key))));
            }
        }
        sets.agreed.insert(which, signatures.clone());
        let signatures = signatures.into_iter().collect();
        RoundAnswer::Step(ServerMessage::Agreements(Agreements { signatures }))
    }
}

/// A piece of values, as a coordinator hands them out.
fn piece(values: &[f32], offset: u64) -> RoundAnswer {
    let bytes = values_to_bytes(values);
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let to = bytes.len().min(from + MAX_PIECE);
    RoundAnswer::Values { total: bytes.len() as u64, bytes: bytes[from..to].to_vec() }
}
