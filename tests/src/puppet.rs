//! Members whose hands a test moves: they have the keys of people whose daemons do not run, and take part in rounds over the
//! network with updates that the test knows.

use std::sync::Arc;
use std::time::Duration;

use covey_crypto::{Digest, SecretKey};
use covey_net::{Addr, Events, Link, LinkError, Protocol, SwarmConfig, SwarmLink};
use covey_node::home::Home;
use covey_privacy::encode::{Encoding, Sum};
use covey_privacy::ledger::{
    Account, Budget, Charge, CollectionKey, GroupKey, Ledger, Request, Spent, Time, Unit,
};
use covey_privacy::rng::SimulationRng;
use covey_privacy::{ClipNorm, Delta, Epsilon};
use covey_protocol::ids::{Epoch, GroupId, NodeId, RequestId, UnixMillis};
use covey_protocol::limits::{MAX_PIECE, MAX_ROUND_REPLY};
use covey_protocol::round::{Checked, Limits, Next, Participant, Start, values_from_bytes};
use covey_protocol::secagg::{Demands, Members};
use covey_protocol::wire::v1::round::{
    Announced, Awaited, ClientMessage, Over, RoundAnswer, RoundAsk, RoundRefusal, RoundReply,
    RoundRequest,
};
use covey_protocol::wire::{decode, encode};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{PATIENCE, Person, wait_for};

/// What a member knows of a group and of who coordinates it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The group.
    pub group: GroupId,
    /// Its last entry.
    pub epoch: Epoch,
    /// Its members.
    pub members: Members,
}

impl Facts {
    /// As `person`'s node has them.
    pub fn of(person: &Person, group: &str) -> Self {
        let list = person.json(&["group", "list"]);
        let groups = list["groups"].as_array().expect("a list");
        let info = groups.iter().find(|it| it["name"] == group).expect("the group");
        let members = person.json(&["group", "members", group]);
        let members = members["members"].as_array().expect("a list").iter();
        let members: Vec<NodeId> = members.map(|it| node(&it["node"])).collect();
        Self {
            group: serde_json::from_value(info["id"].clone()).expect("an id"),
            epoch: Epoch(info["epoch"].as_u64().expect("a number")),
            members: Members::new(members).expect("few"),
        }
    }
}

fn node(id: &Value) -> NodeId {
    id.as_str().expect("an id").parse().expect("an id")
}

/// A member whose daemon does not run.
pub struct Puppet {
    /// Its key.
    pub key: SecretKey,
    /// Its node.
    pub id: NodeId,
    pub(crate) link: SwarmLink,
    pub(crate) events: Events,
    pub(crate) runtime: Arc<Runtime>,
}

impl Puppet {
    /// Takes the place of `person`'s daemon.
    pub fn of(person: &Person, runtime: &Arc<Runtime>) -> Self {
        let home = Home::below(&person.home()).expect("a home");
        let key = covey_node::identity::load(&home.identity_path()).expect("a key");
        let started = runtime.block_on(SwarmLink::start(SwarmConfig::new(key.seed())));
        let (link, events) = started.expect("a link");
        let id = NodeId::new(key.public());
        Self { key, id, link, events, runtime: Arc::clone(runtime) }
    }

    /// Learns where `person`'s daemon is; returns its node.
    pub fn meet(&self, person: &Person) -> NodeId {
        let status = person.json(&["status"]);
        let addresses = status["addresses"].as_array().expect("a list").iter();
        let addresses: Vec<Addr> = addresses
            .map(|it| it.as_str().expect("an address").parse().expect("an address"))
            .collect();
        let id = node(&status["node"]);
        self.link.learn(id, &addresses);
        id
    }

    /// Asks a coordinator.
    pub fn ask(&self, coordinator: NodeId, group: GroupId, ask: RoundAsk) -> RoundAnswer {
        let id = RequestId(7);
        let body = encode(&RoundRequest { id, group, ask });
        let sent = self.link.request(coordinator, Protocol::Round, body, Duration::from_secs(30));
        let reply = self.runtime.block_on(sent).expect("a reply");
        let reply: RoundReply = decode(&reply, MAX_ROUND_REPLY).expect("a round's reply");
        assert_eq!(reply.id, id);
        reply.answer
    }

    /// The plan that the coordinator announces, if there is one.
    pub fn announced(&self, coordinator: NodeId, group: GroupId) -> Option<Announced> {
        match self.ask(coordinator, group, RoundAsk::Status) {
            RoundAnswer::Status(announced) => announced.map(|announced| *announced),
            other => panic!("{other:?}"),
        }
    }

    /// The values that a plan starts from.
    pub fn values(&self, coordinator: NodeId, group: GroupId, of: Start) -> Vec<f32> {
        let mut bytes = Vec::new();
        while bytes.len() < 4 * of.values as usize {
            let ask = RoundAsk::Values { of: of.digest, offset: bytes.len() as u64 };
            match self.ask(coordinator, group, ask) {
                RoundAnswer::Values { bytes: next, .. } => bytes.extend(next),
                other => panic!("{other:?}"),
            }
        }
        let values = values_from_bytes(&bytes);
        assert_eq!(Start::of(&values), of);
        values
    }
}

/// How far a participant has come: it is about to send this for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Before {
    /// Its shares.
    Dealing,
    /// The announcement of its masked vector.
    Upload,
    /// Its agreement to the survivors.
    Agreement,
    /// The shares that it opens.
    Opening,
    /// Nothing any more: it is over.
    End,
}

/// A puppet's part in one attempt.
pub struct Part<'a> {
    /// Whose.
    pub puppet: &'a Puppet,
    /// The plan.
    pub plan: Checked,
    /// The round, and which attempt at it.
    pub attempt: (u64, u32),
    /// The update, before it is encoded.
    pub update: Vec<f32>,
    /// The words that were masked; nothing before.
    pub words: Vec<u32>,
    /// And as they were sent.
    pub masked: Vec<u8>,
    /// How it ended.
    pub over: Option<Over>,
    /// Bytes that are sent at a time.
    pub piece: usize,
    /// How many times the clip norm its update may be long.
    pub liberty: f64,
    coordinator: NodeId,
    machine: Participant,
    next: Option<ClientMessage>,
    rng: SimulationRng,
}

impl<'a> Part<'a> {
    /// Checks in to the next attempt that is open after `after`, a round and an attempt at it. `update` gives each entry.
    pub fn check_in(
        puppet: &'a Puppet,
        coordinator: NodeId,
        facts: &Facts,
        after: (u64, u32),
        update: impl Fn(usize) -> f32,
    ) -> Self {
        let announced = wait_for("an open attempt", || {
            let it = puppet.announced(coordinator, facts.group)?;
            let round = it.plan.verify(&coordinator).expect("sound").plan().round;
            (it.open && (round, it.attempt) > after).then_some(it)
        });
        let plan = announced.plan.verify(&coordinator).expect("sound");
        let start = plan.plan().start;
        let mut rng =
            SimulationRng::from_seed(Digest::of("puppet", &[puppet.id.as_bytes()]).as_bytes());
        let machine = Participant::check_in(
            &plan,
            announced.attempt,
            &facts.members,
            &limits(),
            &puppet.key,
            &mut rng,
        );
        Self {
            puppet,
            update: (0..start.values as usize).map(update).collect(),
            words: Vec::new(),
            masked: Vec::new(),
            over: None,
            piece: MAX_PIECE,
            liberty: 1.0,
            coordinator,
            machine: machine.expect("checks in"),
            next: None,
            rng,
            attempt: (plan.plan().round, announced.attempt),
            plan,
        }
    }

    /// Says what it has to say, without waiting for more than to be heard.
    pub fn say(&self) {
        let message = Box::new(self.machine.message());
        let ask = RoundAsk::Step { terms: self.machine.terms(), message };
        let request = RoundRequest { id: RequestId(8), group: self.plan.plan().group, ask };
        let Puppet { link, runtime, .. } = self.puppet;
        let heard = Duration::from_secs(1);
        let sent = link.request(self.coordinator, Protocol::Round, encode(&request), heard);
        match runtime.block_on(sent) {
            Ok(_) | Err(LinkError::Timeout) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// One message, and what it is answered.
    pub fn step(&mut self) {
        let message = self.next.take().unwrap_or_else(|| self.machine.message());
        let ask = RoundAsk::Step { terms: self.machine.terms(), message: Box::new(message) };
        let group = self.plan.plan().group;
        let answer = match self.puppet.ask(self.coordinator, group, ask) {
            RoundAnswer::Step(answer) => answer,
            RoundAnswer::Refused(RoundRefusal::NoSuchAttempt) => {
                self.over = Some(Over::Failed);
                return;
            }
            other => panic!("{other:?}"),
        };
        let (next, _) =
            self.machine.answer(answer, &self.puppet.key, &mut self.rng).expect("honest");
        match next {
            Next::Send | Next::Keep => {}
            Next::Later(ms) => std::thread::sleep(Duration::from_millis(u64::from(ms.min(50)))),
            Next::Mask => self.mask(),
            Next::Piece(offset) => {
                let from = usize::try_from(offset).expect("small");
                let to = self.masked.len().min(from + self.piece);
                self.next = Some(Participant::piece(offset, &self.masked[from..to]));
            }
            Next::Over(over) => self.over = Some(over),
        }
    }

    /// Goes on until it is about to send `before`.
    pub fn until(&mut self, before: Before) {
        let started = std::time::Instant::now();
        while !self.has_come_to(before) {
            assert!(started.elapsed() < PATIENCE, "waited in vain to come to {before:?}");
            self.step();
        }
    }

    /// Whether it is about to send `before`, or something later.
    pub fn has_come_to(&self, before: Before) -> bool {
        let at = match self.machine.message() {
            _ if self.over.is_some() => Some(Before::End),
            ClientMessage::Keys(_)
            | ClientMessage::Choice(_)
            | ClientMessage::Waits(Awaited::Cohort | Awaited::Neighbours) => None,
            ClientMessage::Dealing(_) | ClientMessage::Waits(Awaited::Inbox) => {
                Some(Before::Dealing)
            }
            ClientMessage::Upload(_)
            | ClientMessage::Piece { .. }
            | ClientMessage::Waits(Awaited::Survivors) => Some(Before::Upload),
            ClientMessage::Agreement(_) | ClientMessage::Waits(Awaited::Agreements) => {
                Some(Before::Agreement)
            }
            ClientMessage::Opening(_) | ClientMessage::Waits(Awaited::End) => Some(Before::Opening),
        };
        at.is_some_and(|at| at >= before)
    }

    fn mask(&mut self) {
        let mut layout = self.plan.layout().clone();
        let clip = ClipNorm::new(layout.clip.get() * self.liberty);
        layout.clip = clip.expect("above 0");
        let encoding = Encoding::new(layout).expect("a layout");
        let extras = vec![0.5; self.plan.layout().extras.len()];
        let encoded = encoding.encode(&self.update, &extras, &mut self.rng).expect("encodes");
        let noised = encoded.noised(&mut self.rng);
        self.words = noised.words().to_vec();
        let terms = self.machine.terms();
        let paid = self.plan.cost().map(|rho| pay(&self.plan, &terms, Charge::of(rho)));
        self.masked = self.machine.mask(&noised, paid, &self.puppet.key).expect("masks");
    }
}

/// Everybody goes on until all are about to send `before`; at once, as a coordinator may keep one waiting for the others.
pub fn until(parts: &mut [Part<'_>], before: Before) {
    std::thread::scope(|scope| {
        for part in parts {
            scope.spawn(move || part.until(before));
        }
    });
}

/// What a coordinator that adds the mean makes of `start` and these updates, from their plain sum.
pub fn oracle(start: &[f32], parts: &[&Part<'_>]) -> Vec<f32> {
    let plan = &parts[0].plan;
    let mut sum = vec![0_u32; plan.layout().words()];
    for part in parts {
        sum.iter_mut().zip(&part.words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
    }
    let encoding = Encoding::new(plan.layout().clone()).expect("a layout");
    let sum = Sum::new(&encoding, sum, parts.len() as u32).expect("enough");
    let mean = sum.decode().expect("below the cap").mean;
    start.iter().zip(&mean).map(|(value, mean)| value + mean).collect()
}

fn limits() -> Limits {
    Limits {
        unit: Unit::Peer,
        demands: Demands {
            min_honest: 2,
            collusion_permille: 100,
            colluders: 1,
            security_bits: 40,
        },
        max_epsilon: None,
        delta: Delta::new(1e-5).expect("a delta"),
        max_steps: u32::MAX,
        max_bytes: u64::MAX,
    }
}

/// Reserves and spends what an attempt costs, in a ledger of its own.
fn pay(plan: &Checked, terms: &Digest, charge: Charge) -> Spent {
    let mut ledger = Ledger::new(&[1; 32]);
    let collection = CollectionKey([2; 32]);
    let budget = Budget::new(Epsilon::new(1e6).expect("large"), Delta::new(1e-5).expect("small"));
    let time = Time::from_millis(UnixMillis(1_800_000_000_000).0);
    let account = Account::Collection { unit: Unit::Peer, collection };
    ledger.set_budget(account, budget, time).expect("a budget").recorded();
    let group = GroupKey(*plan.plan().group.0.as_bytes());
    let request = Request::new(group, *terms, charge, Unit::Peer, vec![collection]).expect("one");
    let receipt = ledger.reserve(&request, time).expect("within the budget").recorded();
    receipt.release(terms, charge).expect("paid for this")
}
