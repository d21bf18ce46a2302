//! A coordinator and its participants over a network that loses messages, with machines that are killed.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::SecretKey;
use covey_privacy::encode::Encoding;
use covey_privacy::ledger::{
    Account, Budget, Charge, CollectionKey, GroupKey, Ledger, Request, Spent, Time, Unit,
};
use covey_privacy::rng::SimulationRng;
use covey_privacy::{ClipNorm, Delta, Epsilon, NoiseMultiplier};
use covey_protocol::ids::{Epoch, GroupId, NodeId, UnixMillis};
use covey_protocol::round::{
    Answer, Attempt, Check, Checked, Contribution, Effect, Ended, Known, Learning, Limits, Measure,
    Next, Participant, Phase, Plan, Record, Rule, SignedPlan, Start, Task, Timing, Weighting,
};
use covey_protocol::secagg::{Bounds, Demands, Members, Parameters, Topology};
use covey_protocol::wire::v1::round::{ClientMessage, Over, RoundAsk, RoundRequest};
use covey_protocol::wire::{decode, encode};
use rand_chacha::rand_core::Rng;

use crate::common::model;
use crate::secagg_round::{coordinator, identity, members};

pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub const VALUES: u32 = 300;

pub fn plan(topology: Topology, cohort: u32, bounds: Bounds) -> Plan {
    let min_cohort = match topology {
        Topology::Complete => 3,
        Topology::Sparse => cohort * 2 / 3,
    };
    let parameters =
        Parameters { topology, entries: VALUES, min_cohort, max_cohort: cohort, bounds };
    Plan {
        version: covey_protocol::round::PLAN_VERSION,
        group: GroupId(covey_crypto::Digest::sha256(b"group")),
        epoch: Epoch(3),
        members: members(cohort as usize).digest(),
        coordinator: NodeId::new(coordinator().public()),
        round: 1,
        attempts: 3,
        model: model("release"),
        adapter: b"{}".to_vec(),
        task: Task::Train,
        start: Start { values: VALUES, digest: Start::digest(&[0.5; VALUES as usize]) },
        learning: Learning {
            epochs: 1,
            batch: 16,
            max_steps: 100,
            rate: 1e-3,
            proximal: 0.0,
            max_tokens: 128,
            min_pairs: 2,
            documents: 0,
        },
        contribution: Contribution {
            clip: ClipNorm::new(1.0).expect("above 0"),
            noise: None,
            unit: Unit::Peer,
            delta: Delta::new(1e-5).expect("a delta"),
            rotate: false,
            weighting: Weighting::Uniform,
            measures: vec![],
        },
        sum: parameters,
        rule: Rule::Average { rate: 1.0 },
        timing: Timing {
            opens: NOW,
            check_in_by: NOW.plus(60_000),
            phase_ms: 10_000,
            upload_ms: 30_000,
        },
    }
}

/// Makes an evaluation of a plan.
pub fn evaluating(plan: &mut Plan) {
    let of = Start { values: VALUES, digest: Start::digest(&[0.75; VALUES as usize]) };
    plan.task = Task::Evaluate { of };
    plan.learning = Learning { epochs: 0, max_steps: 0, rate: 0.0, proximal: 0.0, ..plan.learning };
    plan.contribution.measures = Measure::OF_EVALUATION.to_vec();
    plan.sum.entries = 3;
}

/// Has a plan protect documents.
pub fn by_document(plan: &mut Plan) {
    plan.contribution.unit = Unit::Document;
    plan.learning = Learning::by_document(8, 16, 128);
}

pub fn noisy(plan: &mut Plan, multiplier: f64) {
    plan.contribution.noise = Some(NoiseMultiplier::new(multiplier).expect("above 0"));
}

pub fn limits() -> Limits {
    Limits {
        demands: Demands { min_honest: 1, collusion_permille: 0, colluders: 1, security_bits: 20 },
        unit: Unit::Peer,
        max_epsilon: None,
        delta: Delta::new(1e-5).expect("a delta"),
        max_steps: 1_000,
        max_bytes: 1 << 30,
    }
}

pub fn known(members: &Members) -> Known<'_> {
    Known { group: GroupId(covey_crypto::Digest::sha256(b"group")), members, last: None, now: NOW }
}

/// The plan, if the coordinator that the group names signed it.
pub fn verified(signed: &SignedPlan) -> Result<Checked, Check> {
    signed.verify(&NodeId::new(coordinator().public()))
}

pub fn signed(plan: &Plan) -> SignedPlan {
    SignedPlan::sign(plan, &coordinator()).expect("a sound plan")
}

/// What becomes of one participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Stays to the end.
    Stays,
    /// Is killed for good before its n-th message.
    Leaves(u32),
    /// Is killed before its n-th message and started again.
    Restarts(u32),
}

/// A thing that is kept on disk: what a participant has when it is started again.
#[derive(Default)]
struct Disk {
    record: Option<Vec<u8>>,
    masked: Vec<u8>,
}

struct Peer {
    key: SecretKey,
    machine: Option<Participant>,
    disk: Disk,
    words: Vec<u32>,
    fate: Fate,
    sent: u32,
    next: Option<ClientMessage>,
    at: UnixMillis,
    paid: u32,
    over: Option<Over>,
}

/// What the coordinator writes down.
enum Entry {
    Step(NodeId, Vec<u8>, UnixMillis),
    Added(NodeId, UnixMillis),
    Tick(UnixMillis),
}

pub struct World {
    pub plan: Checked,
    members: Members,
    encoding: Encoding,
    attempt: Attempt,
    journal: Vec<Entry>,
    spools: BTreeMap<NodeId, Vec<u8>>,
    peers: BTreeMap<NodeId, Peer>,
    rng: SimulationRng,
    /// Of a hundred messages and answers so many are lost.
    pub loses: u32,
    /// Of a hundred messages so many kill the coordinator once they are taken.
    pub kills: u32,
    pub phases: Vec<Phase>,
    now: UnixMillis,
}

/// What came of an attempt.
pub struct Outcome {
    pub ended: Ended,
    /// The plain sum of the words of those who survived, if there is a sum.
    pub plain: Vec<u32>,
    /// How each participant was told that it ended.
    pub told: BTreeMap<NodeId, Option<Over>>,
    /// How many times each paid.
    pub paid: BTreeMap<NodeId, u32>,
    pub phases: Vec<Phase>,
    /// Who was silent in the phase that failed.
    pub silent: Vec<NodeId>,
}

impl World {
    pub fn new(plan: &Plan, fates: &[Fate], seed: u64) -> Self {
        let members = members(plan.sum.max_cohort as usize);
        let signed = signed(plan);
        let mut rng = SimulationRng::numbered(seed, 1);
        let checked = verified(&signed).expect("sound");
        limits().check(&checked, &known(&members)).expect("let pass");
        let attempt = Attempt::open(&checked, &members, 0, NOW).expect("opens");
        let encoding = Encoding::new(checked.layout().clone()).expect("a layout");
        let mut peers = BTreeMap::new();
        for (n, fate) in fates.iter().enumerate() {
            let key = identity(n);
            let machine = Participant::check_in(&checked, 0, &members, &limits(), &key, &mut rng)
                .expect("checks in");
            let peer = Peer {
                next: Some(machine.message()),
                machine: Some(machine),
                disk: Disk::default(),
                words: vec![],
                fate: *fate,
                sent: 0,
                at: NOW.plus(u64::from(rng.next_u32() % 2_000)),
                paid: 0,
                over: None,
                key,
            };
            peers.insert(NodeId::new(peer.key.public()), peer);
        }
        Self {
            plan: checked,
            members,
            encoding,
            attempt,
            journal: vec![],
            spools: BTreeMap::new(),
            peers,
            rng,
            loses: 0,
            kills: 0,
            phases: vec![],
            now: NOW,
        }
    }

    /// Runs until the attempt is over and everybody has heard of it, or has left.
    pub fn run(mut self) -> Outcome {
        let mut ended = None;
        for _ in 0..200_000 {
            let next = self.peers.iter().filter(|(_, peer)| peer.next.is_some());
            let next = next.min_by_key(|(_, peer)| peer.at).map(|(id, peer)| (*id, peer.at));
            let wake = self.attempt.wake_at().filter(|_| ended.is_none());
            let effects = match (next, wake) {
                (None, None) => break,
                (Some((id, at)), wake) if wake.is_none_or(|wake| at < wake) => {
                    self.now = at.max(self.now);
                    self.send(id)
                }
                (_, Some(wake)) => {
                    self.now = wake.max(self.now);
                    assert!(self.attempt.is_due(self.now));
                    self.journal.push(Entry::Tick(self.now));
                    self.attempt.tick(&coordinator(), self.now)
                }
                (Some(_), None) => unreachable!("taken above"),
            };
            for effect in effects {
                match effect {
                    Effect::Ended(how) => {
                        assert!(ended.replace(how).is_none(), "it ends once");
                    }
                    Effect::Entered(phase) => self.phases.push(phase),
                    Effect::Fault(fault) => panic!("nobody does anything wrong: {fault}"),
                    Effect::Store { .. } | Effect::Add(_) => unreachable!("done before"),
                }
            }
        }
        let ended = ended.expect("it ends");
        let survivors: BTreeSet<NodeId> =
            ended.iter().flat_map(|summed| summed.survivors.iter().copied()).collect();
        let mut plain = vec![0_u32; self.plan.plan().sum.entries as usize];
        for id in &survivors {
            let words = &self.peers[id].words;
            plain.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        }
        Outcome {
            ended,
            plain,
            told: self.peers.iter().map(|(id, peer)| (*id, peer.over)).collect(),
            paid: self.peers.iter().map(|(id, peer)| (*id, peer.paid)).collect(),
            phases: self.phases,
            silent: self.attempt.silent().to_vec(),
        }
    }

    fn percent(&mut self, of: u32) -> bool {
        self.rng.next_u32() % 100 < of
    }

    /// One exchange of a participant's, and what it does then.
    fn send(&mut self, id: NodeId) -> Vec<Effect> {
        let peer = self.peers.get_mut(&id).expect("a peer");
        peer.sent += 1;
        match peer.fate {
            Fate::Leaves(at) if peer.sent > at => {
                (peer.machine, peer.next) = (None, None);
                return vec![];
            }
            Fate::Restarts(at) if peer.sent == at + 1 => {
                peer.machine = peer.disk.record.as_ref().map(|record| {
                    let record = Record::decode(record).expect("as it was written");
                    assert_eq!(record.terms, self.plan.terms(0).digest());
                    Participant::resume(record, &peer.key)
                });
                peer.next = peer.machine.as_ref().map(Participant::message);
                if peer.machine.is_none() {
                    return vec![];
                }
            }
            Fate::Stays | Fate::Leaves(_) | Fate::Restarts(_) => {}
        }
        let message = peer.next.take().expect("has something to say");
        let terms = self.plan.terms(0).digest();
        let ask = RoundAsk::Step { terms, message: Box::new(message) };
        let request = RoundRequest {
            id: covey_protocol::ids::RequestId(1),
            group: self.plan.plan().group,
            ask,
        };
        let bytes = encode(&request);
        let again = |bytes: &[u8]| {
            let RoundRequest { ask: RoundAsk::Step { message, .. }, .. } =
                decode(bytes, 1 << 20).expect("as sent")
            else {
                unreachable!("a step")
            };
            *message
        };
        let loses = self.loses;
        if self.percent(loses) {
            self.retry(&id, again(&bytes));
            return vec![];
        }
        let Answer { mut reply, keep, mut effects } =
            self.attempt.step(&id, again(&bytes), &coordinator(), self.now);
        if keep {
            self.journal.push(Entry::Step(id, bytes.clone(), self.now));
        }
        let mut rest = Vec::new();
        for effect in effects.drain(..) {
            match effect {
                Effect::Store { from, offset, bytes } => {
                    let spool = self.spools.entry(from).or_default();
                    spool.truncate(usize::try_from(offset).expect("small"));
                    assert_eq!(spool.len() as u64, offset);
                    spool.extend(bytes);
                }
                Effect::Add(from) => {
                    let spool = &self.spools[&from];
                    let added = self.attempt.added(&from, spool, &coordinator(), self.now);
                    if added.keep {
                        self.journal.push(Entry::Added(from, self.now));
                    }
                    reply = added.reply;
                    rest.extend(added.effects);
                }
                other @ (Effect::Fault(_) | Effect::Entered(_) | Effect::Ended(_)) => {
                    rest.push(other);
                }
            }
        }
        let kills = self.kills;
        if self.percent(kills) {
            self.restart();
        }
        if self.percent(loses) {
            self.retry(&id, again(&bytes));
            return rest;
        }
        self.deliver(id, reply);
        rest
    }

    fn retry(&mut self, id: &NodeId, message: ClientMessage) {
        let peer = self.peers.get_mut(id).expect("a peer");
        peer.next = Some(message);
        peer.at = self.now.plus(50);
    }

    fn deliver(&mut self, id: NodeId, reply: covey_protocol::wire::v1::round::ServerMessage) {
        let reply = decode(&encode(&reply), 2 << 20).expect("as sent");
        let peer = self.peers.get_mut(&id).expect("a peer");
        let machine = peer.machine.as_mut().expect("runs");
        let (next, faults) =
            machine.answer(reply, &peer.key, &mut self.rng).expect("the coordinator is honest");
        assert!(faults.is_empty(), "{faults:?}");
        let mut pause = 1;
        let message = match next {
            Next::Send => machine.message(),
            Next::Later(ms) => {
                assert!(ms > 0, "nobody asks without a pause");
                pause = ms.into();
                machine.message()
            }
            Next::Mask => {
                let update: Vec<f32> =
                    (0..VALUES).map(|i| ((i * 7 + peer.sent) % 11) as f32 / 50.0).collect();
                let noised = self
                    .encoding
                    .encode(&update, &vec![0.5; self.plan.layout().extras.len()], &mut self.rng)
                    .expect("encodes")
                    .noised(&mut self.rng);
                peer.words = noised.words().to_vec();
                let paid = self.plan.cost().map(|rho| pay(&self.plan, Charge::of(rho)));
                peer.paid += 1;
                peer.disk.masked = machine.mask(&noised, paid, &peer.key).expect("masks");
                peer.disk.record = machine.record().map(|record| record.to_vec());
                machine.message()
            }
            Next::Keep => {
                peer.disk.record = machine.record().map(|record| record.to_vec());
                machine.message()
            }
            Next::Piece(offset) => {
                let from = usize::try_from(offset).expect("small");
                // Small pieces, so that there are several.
                let bytes = &peer.disk.masked[from..peer.disk.masked.len().min(from + 400)];
                Participant::piece(offset, bytes)
            }
            Next::Over(over) => {
                peer.over = Some(over);
                return;
            }
        };
        peer.next = Some(message);
        peer.at = self.now.plus(pause);
    }

    /// The coordinator is killed: what it has is its journal and whole vectors.
    fn restart(&mut self) {
        let mut attempt =
            Attempt::open(&self.plan, &self.members, 0, NOW).expect("opens as before");
        for entry in &self.journal {
            match entry {
                Entry::Step(from, bytes, now) => {
                    let RoundRequest { ask: RoundAsk::Step { message, .. }, .. } =
                        decode(bytes, 1 << 20).expect("as journaled")
                    else {
                        unreachable!("a step")
                    };
                    let answer = attempt.step(from, *message, &coordinator(), *now);
                    assert!(answer.keep, "the same messages change the same things");
                }
                Entry::Added(from, now) => {
                    let spool = &self.spools[from];
                    assert!(attempt.added(from, spool, &coordinator(), *now).keep);
                }
                Entry::Tick(now) => {
                    let _ = attempt.tick(&coordinator(), *now);
                }
            }
        }
        assert_eq!(attempt.phase(), self.attempt.phase());
        assert_eq!(attempt.progress(), self.attempt.progress());
        assert_eq!(attempt.wake_at(), self.attempt.wake_at());
        self.attempt = attempt;
    }
}

/// Reserves and spends what an attempt costs.
pub fn pay(plan: &Checked, charge: Charge) -> Spent {
    let mut ledger = Ledger::new(&[1; 32]);
    let collection = CollectionKey([2; 32]);
    let (epsilon, delta) = (Epsilon::new(1e6).expect("large"), Delta::new(1e-5).expect("small"));
    let time = Time::from_millis(NOW.0);
    let budget = Budget::new(epsilon, delta);
    let account = Account::Collection { unit: Unit::Peer, collection };
    ledger.set_budget(account, budget, time).expect("a budget").recorded();
    let terms = plan.terms(0).digest();
    let group = GroupKey(*plan.plan().group.0.as_bytes());
    let request = Request::new(group, terms, charge, Unit::Peer, vec![collection]).expect("one");
    let receipt = ledger.reserve(&request, time).expect("within the budget").recorded();
    receipt.release(&terms, charge).expect("paid for this")
}
