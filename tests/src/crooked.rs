//! A coordinator that lies: it has the key of a member that the group's log names, and serves the members' real daemons over the
//! network. What it does not lie about, an honest coordinator does for it.

mod forged;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use covey_coordinator::store::MemoryStore;
use covey_coordinator::{Campaign, Coordinator, GroupView};
use covey_crypto::{Digest, RoundSecret, SecretKey, Signature};
use covey_net::{Inbound, LinkEvent};
use covey_privacy::rng::SimulationRng;
use covey_protocol::ids::{NodeId, UnixMillis};
use covey_protocol::limits::{MAX_PIECE, MAX_ROUND_REQUEST};
use covey_protocol::round::{Checked, Plan, SignedPlan, Start, values_to_bytes};
use covey_protocol::secagg::Seat;
use covey_protocol::wire::v1::round::{
    Announced, Awaited, ClientMessage, RoundAnswer, RoundAsk, RoundReply, RoundRequest,
    ServerMessage,
};
use covey_protocol::wire::v1::secagg::{Advertisement, Agreements, Roster};
use covey_protocol::wire::{decode, encode};

use crate::{Facts, Puppet};
use forged::Forger;

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

/// What came from the members since the lie began.
#[derive(Debug, Clone, Default)]
pub struct Saw {
    /// Times that each asked what is going on.
    pub asked: BTreeMap<NodeId, u32>,
    /// Who checked in.
    pub keys: BTreeSet<NodeId>,
    /// Who dealt shares.
    pub dealt: BTreeSet<NodeId>,
    /// Who sent something of a masked vector.
    pub sent: BTreeSet<NodeId>,
    /// Who agreed to survivors.
    pub agreed: BTreeSet<NodeId>,
    /// Who opened shares.
    pub opened: BTreeSet<NodeId>,
}

/// A running coordinator that lies.
pub struct Crooked {
    puppet: Arc<Puppet>,
    state: Arc<State>,
}

struct State {
    honest: Coordinator,
    view: GroupView,
    campaign: Campaign,
    values: Vec<f32>,
    forger: Forger,
    /// How many are to take part.
    cohort: usize,
    lying: Mutex<Lying>,
}

struct Lying {
    lie: Lie,
    saw: Saw,
    /// The keys of those who checked in.
    keys: BTreeMap<NodeId, Advertisement>,
    /// Members in the order in which they were first heard of; who is told what follows from it.
    order: Vec<NodeId>,
    /// The other plan, of [`Lie::TwoModels`].
    other: Option<(Checked, SignedPlan, Vec<f32>)>,
    /// Each one's agreement, with the set that it is to.
    agreements: BTreeMap<bool, Vec<(Seat, Signature)>>,
}

impl Crooked {
    /// Takes the place of the coordinator with `puppet`'s key. Plans are like `plan`, for a cohort of `cohort`; they start from `values`.
    pub fn start(
        mut puppet: Puppet,
        facts: &Facts,
        plan: &Plan,
        values: Vec<f32>,
        cohort: u32,
    ) -> Self {
        let key = Arc::new(again(&puppet.key));
        let honest = Coordinator::open(key, Arc::new(MemoryStore::default())).expect("opens");
        let mut sum = plan.sum;
        sum.max_cohort = cohort;
        let campaign = Campaign {
            rounds: 1,
            attempts: 2,
            model: plan.model,
            adapter: plan.adapter.clone(),
            learning: plan.learning,
            contribution: plan.contribution.clone(),
            sum,
            rule: plan.rule,
            window_ms: 60_000,
            phase_ms: 20_000,
            upload_ms: 20_000,
            pause_ms: 1_000,
            release_every_ms: None,
        };
        let view = GroupView {
            group: facts.group,
            epoch: facts.epoch,
            coordinator: puppet.id,
            members: facts.members.clone(),
            release: None,
            quorum: 0,
        };
        let lying = Lying {
            lie: Lie::None,
            saw: Saw::default(),
            keys: BTreeMap::new(),
            order: Vec::new(),
            other: None,
            agreements: BTreeMap::new(),
        };
        let forger = Forger::new(again(&puppet.key), facts.members.clone());
        let cohort = cohort as usize;
        let lying = Mutex::new(lying);
        let state = Arc::new(State { honest, view, campaign, values, forger, cohort, lying });
        let (_, nothing) = tokio::sync::mpsc::channel(1);
        let mut events = std::mem::replace(&mut puppet.events, nothing);
        let serving = Arc::clone(&state);
        puppet.runtime.spawn(async move {
            loop {
                let tick = tokio::time::sleep(Duration::from_millis(100));
                tokio::select! {
                    event = events.recv() => match event {
                        Some(LinkEvent::Request(inbound)) => serving.serve(inbound),
                        Some(_) => {}
                        None => return,
                    },
                    () = tick => {}
                }
                serving.honest.tick(&serving.view, now()).expect("ticks");
            }
        });
        Self { puppet: Arc::new(puppet), state }
    }

    /// Connects to a member, so that it knows where to ask.
    pub fn call(&self, member: NodeId) {
        let group = self.state.view.group;
        drop(self.puppet.ask(member, group, RoundAsk::Status));
    }

    /// Begins a round with a lie.
    pub fn begin(&self, lie: Lie) {
        let State { honest, view, campaign, values, .. } = &*self.state;
        honest.stop(now()).expect("stops");
        let replays = matches!(lie, Lie::Replay(_));
        {
            let mut lying = self.state.lying();
            lying.lie = lie;
            lying.saw = Saw::default();
            (lying.keys, lying.order, lying.other) = (BTreeMap::new(), Vec::new(), None);
            lying.agreements = BTreeMap::new();
        }
        if !replays {
            honest.start(campaign.clone(), values, view, now()).expect("starts");
        }
    }

    /// What it has seen since.
    pub fn saw(&self) -> Saw {
        self.state.lying().saw.clone()
    }

    /// The plan that an honest coordinator would announce now.
    pub fn announced(&self) -> Option<Announced> {
        self.state.honest_announced()
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    UnixMillis(u64::try_from(since.as_millis()).expect("before the end of time"))
}

impl State {
    fn lying(&self) -> MutexGuard<'_, Lying> {
        self.lying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, inbound: Inbound) {
        let Ok(request) = decode::<RoundRequest>(&inbound.body, MAX_ROUND_REQUEST) else { return };
        let id = request.id;
        let answer = self.answer(inbound.from, request);
        inbound.reply.send(encode(&RoundReply { id, answer }));
    }

    fn honestly(&self, from: &NodeId, request: RoundRequest) -> RoundAnswer {
        let answer = self.honest.serve(from, request, now()).answer;
        self.honest.tick(&self.view, now()).expect("ticks");
        answer
    }

    fn honest_announced(&self) -> Option<Announced> {
        let id = covey_protocol::ids::RequestId(1);
        let request = RoundRequest { id, group: self.view.group, ask: RoundAsk::Status };
        match self.honestly(&self.view.coordinator, request) {
            RoundAnswer::Status(announced) => announced.map(|announced| *announced),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&self, from: NodeId, request: RoundRequest) -> RoundAnswer {
        let lie = self.lying().lie.clone();
        match &request.ask {
            RoundAsk::Status => {
                *self.lying().saw.asked.entry(from).or_default() += 1;
                match lie {
                    Lie::Replay(announced) => RoundAnswer::Status(Some(announced)),
                    Lie::TwoModels => self.one_of_two(&from),
                    Lie::None | Lie::SwappedKeys | Lie::TwoSets | Lie::SmallCohort => {
                        self.honestly(&from, request)
                    }
                }
            }
            RoundAsk::Values { of, offset } => {
                let other = self.lying().other.as_ref().map(|(_, _, values)| values.clone());
                match other.filter(|values| Start::digest(values) == *of) {
                    Some(values) => {
                        let bytes = values_to_bytes(&values);
                        let from = bytes.len().min(usize::try_from(*offset).expect("small"));
                        let to = bytes.len().min(from + MAX_PIECE);
                        let total = bytes.len() as u64;
                        RoundAnswer::Values { total, bytes: bytes[from..to].to_vec() }
                    }
                    None => self.honestly(&from, request),
                }
            }
            RoundAsk::Manifest { .. } => self.honestly(&from, request),
            RoundAsk::Step { message, terms } => {
                self.look_at(&from, message);
                let terms = *terms;
                match (&lie, &**message) {
                    (Lie::TwoModels, _) => self.two_rosters(&terms),
                    (Lie::TwoSets, ClientMessage::Agreement(agreement)) => {
                        self.agreed(&from, agreement.signature)
                    }
                    (Lie::TwoSets, ClientMessage::Waits(Awaited::Agreements)) => {
                        self.agreements(&from)
                    }
                    _ => self.bent(&from, &lie, terms, self.honestly(&from, request)),
                }
            }
        }
    }

    fn look_at(&self, from: &NodeId, message: &ClientMessage) {
        let mut lying = self.lying();
        if !lying.order.contains(from) {
            lying.order.push(*from);
        }
        let Lying { saw, keys: known, .. } = &mut *lying;
        match message {
            ClientMessage::Keys(keys) => {
                saw.keys.insert(*from);
                known.insert(*from, *keys);
            }
            ClientMessage::Dealing(_) => {
                saw.dealt.insert(*from);
            }
            ClientMessage::Upload(_) | ClientMessage::Piece { .. } => {
                saw.sent.insert(*from);
            }
            ClientMessage::Agreement(_) => {
                saw.agreed.insert(*from);
            }
            ClientMessage::Opening(_) => {
                saw.opened.insert(*from);
            }
            ClientMessage::Choice(_) | ClientMessage::Waits(_) => {}
        }
    }

    /// Whether this member is told the other thing: of all that were heard of, every second one.
    fn is_told_otherwise(&self, who: &NodeId) -> bool {
        let mut lying = self.lying();
        if !lying.order.contains(who) {
            lying.order.push(*who);
        }
        lying.order.iter().position(|it| it == who).expect("there by now") % 2 == 1
    }

    /// An honest answer to a step, after the lie.
    fn bent(&self, from: &NodeId, lie: &Lie, terms: Digest, answer: RoundAnswer) -> RoundAnswer {
        let RoundAnswer::Step(message) = answer else { return answer };
        RoundAnswer::Step(match (lie, message) {
            (Lie::SwappedKeys, ServerMessage::Roster(mut roster)) => {
                let mut rng = SimulationRng::numbered(3, 7);
                let victim = roster.keys.len() / 2;
                roster.keys[victim].seal = RoundSecret::draw(&mut rng).public();
                roster.keys[victim].mask = RoundSecret::draw(&mut rng).public();
                ServerMessage::Roster(self.forger.roster(&terms, roster.keys))
            }
            (Lie::SmallCohort, ServerMessage::Roster(Roster { keys, .. })) => {
                let own = keys.iter().find(|keys| keys.client == *from).expect("in it");
                let other = keys.iter().find(|keys| keys.client != *from).expect("not alone");
                ServerMessage::Roster(self.forger.roster(&terms, vec![*own, *other]))
            }
            (Lie::TwoSets, ServerMessage::Roster(roster)) => {
                self.forger.note_roster(&terms, &roster);
                ServerMessage::Roster(roster)
            }
            (Lie::TwoSets, ServerMessage::Inbox(inbox)) => {
                self.forger.note_dealers(&inbox.dealers);
                ServerMessage::Inbox(inbox)
            }
            (Lie::TwoSets, ServerMessage::Survivors(survivors)) if self.is_told_otherwise(from) => {
                // The first one that was heard of is told the truth, and left out of what others are told.
                let first = self.lying().order[0];
                ServerMessage::Survivors(self.forger.survivors_without(&survivors.set, &first))
            }
            (_, message) => message,
        })
    }

    /// Of two plans that differ in what training starts from, the one that this member is to follow.
    fn one_of_two(&self, who: &NodeId) -> RoundAnswer {
        let Some(mut announced) = self.honest_announced() else {
            return RoundAnswer::Status(None);
        };
        if self.is_told_otherwise(who) {
            let mut lying = self.lying();
            let (_, signed, _) = lying.other.get_or_insert_with(|| {
                let honest = announced.plan.verify(&self.view.coordinator).expect("sound");
                let mut values = self.values.clone();
                values[0] += 1.0;
                let mut plan = honest.plan().clone();
                plan.start = Start::of(&values);
                let signed = self.forger.plan(&plan);
                let checked = signed.verify(&self.view.coordinator).expect("sound");
                (checked, signed, values)
            });
            announced.plan = signed.clone();
        }
        RoundAnswer::Status(Some(Box::new(announced)))
    }

    /// Once all have checked in, whatever for: all their keys, signed for the terms that this member knows.
    fn two_rosters(&self, terms: &Digest) -> RoundAnswer {
        let keys: Vec<Advertisement> = self.lying().keys.values().copied().collect();
        RoundAnswer::Step(if keys.len() < self.cohort {
            ServerMessage::Later { ms: 50 }
        } else {
            ServerMessage::Roster(self.forger.roster(terms, keys))
        })
    }

    fn agreed(&self, from: &NodeId, signature: Signature) -> RoundAnswer {
        let otherwise = self.is_told_otherwise(from);
        let seat = self.view.members.seat(from).expect("a member");
        let mut lying = self.lying();
        let to = lying.agreements.entry(otherwise).or_default();
        if !to.iter().any(|(of, _)| *of == seat) {
            to.push((seat, signature));
            to.sort_by_key(|(seat, _)| *seat);
        }
        drop(lying);
        self.agreements(from)
    }

    /// Once all have agreed to what they were told: the agreements to the set that this member knows.
    fn agreements(&self, from: &NodeId) -> RoundAnswer {
        let otherwise = self.is_told_otherwise(from);
        let lying = self.lying();
        let all: usize = lying.agreements.values().map(Vec::len).sum();
        RoundAnswer::Step(if all < self.cohort {
            ServerMessage::Later { ms: 50 }
        } else {
            let signatures = lying.agreements[&otherwise].clone();
            ServerMessage::Agreements(Agreements { signatures })
        })
    }
}

/// A key is no `Clone`, for good reasons that do not hold for a test's.
fn again(key: &SecretKey) -> SecretKey {
    SecretKey::from_seed(&key.seed())
}
