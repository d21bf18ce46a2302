//! A coordinator and a group whose members really mask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use covey_coordinator::store::MemoryStore;
use covey_coordinator::{Campaign, Coordinator, GroupView};
use covey_crypto::{Digest, SecretKey};
use covey_privacy::encode::Encoding;
use covey_privacy::ledger::{
    Account, Budget, Charge, CollectionKey, GroupKey, Ledger, Request, Spent, Time, Unit,
};
use covey_privacy::rng::SimulationRng;
use covey_privacy::{ClipNorm, Delta, Epsilon};
use covey_protocol::ids::{Epoch, GroupId, ModelId, NodeId, RequestId, UnixMillis};
use covey_protocol::round::{
    Checked, Contribution, Known, Learning, Limits, Measure, Next, Participant, Rule, Start, Task,
    Weighting, values_from_bytes,
};
use covey_protocol::secagg::{Bounds, Demands, Members, Parameters, Topology};
use covey_protocol::wire::v1::round::{
    Announced, ClientMessage, RoundAnswer, RoundAsk, RoundRefusal, RoundReply, RoundRequest,
};
use covey_protocol::wire::{decode, encode};

pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

pub fn key(n: usize) -> SecretKey {
    SecretKey::from_seed(Digest::of("test/key", &[&n.to_le_bytes()]).as_bytes())
}

pub fn id(n: usize) -> NodeId {
    NodeId::new(key(n).public())
}

pub fn view(members: usize) -> GroupView {
    GroupView {
        group: GroupId(Digest::sha256(b"group")),
        epoch: Epoch(4),
        coordinator: id(0),
        members: Members::new((0..members).map(id)).expect("few"),
        release: None,
        quorum: 0,
    }
}

pub fn model() -> ModelId {
    ModelId { base: Digest::sha256(b"base"), release: Digest::sha256(b"release") }
}

pub fn campaign(rounds: u32) -> Campaign {
    Campaign {
        rounds,
        attempts: 2,
        model: model(),
        adapter: b"{}".to_vec(),
        learning: Learning {
            epochs: 1,
            batch: 16,
            max_steps: 10,
            rate: 1e-3,
            proximal: 0.0,
            max_tokens: 64,
            min_pairs: 2,
            documents: 0,
        },
        contribution: Contribution {
            clip: ClipNorm::new(100.0).expect("above 0"),
            noise: None,
            unit: Unit::Peer,
            delta: Delta::new(1e-5).expect("a delta"),
            rotate: false,
            weighting: Weighting::Pairs { cap: 100 },
            measures: vec![Measure::LossAfter],
        },
        sum: Parameters {
            topology: Topology::Complete,
            entries: 1,
            min_cohort: 3,
            max_cohort: 100,
            bounds: Bounds { collusion_permille: 0, dropout_permille: 300, ..Bounds::default() },
        },
        rule: Rule::Momentum { rate: 0.5, beta: 0.5 },
        window_ms: 60_000,
        phase_ms: 10_000,
        upload_ms: 20_000,
        pause_ms: 5_000,
        release_every_ms: None,
    }
}

/// What one participant would like the values to be, and how many pairs it has.
pub fn target(n: usize) -> (Vec<f32>, usize) {
    ((0..50).map(|i| (n * 50 + i) as f32 / 100.0).collect(), 20 + 40 * n)
}

/// A coordinator that is started again whenever `restarts` says so, and its group.
pub struct World {
    pub store: Arc<MemoryStore>,
    pub coordinator: Coordinator,
    pub view: GroupView,
    pub now: UnixMillis,
    restarts: bool,
    rng: SimulationRng,
    /// The most that was ever in the store of one participant's masked vector; and all words that were sent.
    pub sent: BTreeMap<NodeId, Vec<u32>>,
    /// Whose pairs do worse with every candidate.
    pub worse: BTreeSet<usize>,
    /// Whose dealt shares nobody can open.
    pub unopened: Option<usize>,
}

impl World {
    pub fn new(members: usize, restarts: bool) -> Self {
        let store = Arc::new(MemoryStore::default());
        let coordinator = Coordinator::open(Arc::new(key(0)), store.clone()).expect("opens");
        let rng = SimulationRng::numbered(5, 0);
        let (sent, worse) = (BTreeMap::new(), BTreeSet::new());
        let (view, now, unopened) = (view(members), NOW, None);
        Self { store, coordinator, view, now, restarts, rng, sent, worse, unopened }
    }

    pub fn begin(&mut self, campaign: Campaign, values: &[f32]) {
        self.coordinator.start(campaign, values, &self.view, self.now).expect("starts");
        self.coordinator.tick(&self.view, self.now).expect("publishes");
    }

    pub fn restart(&mut self) {
        self.coordinator =
            Coordinator::open(Arc::new(key(0)), self.store.clone()).expect("opens again");
    }

    pub fn ask(&mut self, n: usize, ask: RoundAsk) -> RoundAnswer {
        if self.restarts {
            self.restart();
        }
        self.now = self.now.plus(1);
        let request = RoundRequest { id: RequestId(7), group: self.view.group, ask };
        let request: RoundRequest = decode(&encode(&request), 1 << 20).expect("a request");
        let reply = encode(&self.coordinator.serve(&id(n), request, self.now));
        if self.restarts {
            self.restart();
        }
        self.coordinator.tick(&self.view, self.now).expect("ticks");
        let reply: RoundReply = decode(&reply, 4 << 20).expect("a reply");
        assert_eq!(reply.id, RequestId(7));
        reply.answer
    }

    pub fn announced(&mut self, n: usize) -> Option<Announced> {
        match self.ask(n, RoundAsk::Status) {
            RoundAnswer::Status(announced) => announced.map(|announced| *announced),
            other => panic!("{other:?}"),
        }
    }

    pub fn values(&mut self, n: usize, of: Start) -> Vec<f32> {
        let mut bytes = Vec::new();
        loop {
            let offset = bytes.len() as u64;
            let RoundAnswer::Values { total, bytes: next } =
                self.ask(n, RoundAsk::Values { of: of.digest, offset })
            else {
                panic!("no values")
            };
            bytes.extend(next);
            if bytes.len() as u64 == total {
                break;
            }
        }
        let values = values_from_bytes(&bytes);
        assert_eq!(Start::of(&values), of);
        values
    }

    /// `who` check in, and are not heard of again.
    pub fn check_in(&mut self, who: &[usize]) {
        for &n in who {
            let announced = self.announced(n).expect("a plan");
            let plan = announced.plan.verify(&id(0)).expect("sound");
            let members = self.view.members.clone();
            let (rng, attempt) = (&mut self.rng, announced.attempt);
            let machine = Participant::check_in(&plan, attempt, &members, &limits(), &key(n), rng);
            let machine = machine.expect("checks in");
            let message = Box::new(machine.message());
            self.ask(n, RoundAsk::Step { terms: machine.terms(), message });
        }
    }

    /// `who` check in and send `update`s; those of `gone` are not heard of again once they have dealt shares.
    pub fn attempt(&mut self, who: &[usize], gone: &[usize]) {
        let mut machines = Vec::new();
        for &n in who {
            let announced = self.announced(n).expect("a plan");
            let members = self.view.members.clone();
            let known =
                Known { group: self.view.group, members: &members, last: None, now: self.now };
            let plan = announced.plan.verify(&id(0)).expect("sound");
            limits().check(&plan, &known).expect("let pass");
            let values = self.values(n, plan.plan().start);
            let machine = Participant::check_in(
                &plan,
                announced.attempt,
                &members,
                &limits(),
                &key(n),
                &mut self.rng,
            );
            machines.push((n, plan, values, machine.expect("checks in"), Vec::new()));
        }
        for turn in 0..200 {
            if machines.is_empty() {
                return;
            }
            let mut kept = Vec::new();
            for (n, plan, values, mut machine, mut masked) in std::mem::take(&mut machines) {
                if turn > 2 && gone.contains(&n) {
                    continue;
                }
                let mut message = machine.message();
                let dealer = self.unopened.filter(|dealer| *dealer != n);
                let dealer = dealer.and_then(|dealer| self.view.members.seat(&id(dealer)));
                if let (Some(dealer), ClientMessage::Opening(opening)) = (dealer, &mut message) {
                    opening.shares.retain(|share| share.dealer != dealer);
                }
                if self.exchange(n, &plan, &values, &mut machine, message, &mut masked) {
                    kept.push((n, plan, values, machine, masked));
                }
            }
            machines = kept;
            self.now = self.now.plus(500);
        }
        panic!("it does not end");
    }

    /// `who` check in to an attempt that is too small for a cohort.
    pub fn attempt_until_over(&mut self, who: &[usize]) {
        self.attempt(who, &[]);
        self.wait(1);
    }

    fn exchange(
        &mut self,
        n: usize,
        plan: &Checked,
        values: &[f32],
        machine: &mut Participant,
        message: ClientMessage,
        masked: &mut Vec<u8>,
    ) -> bool {
        let step = RoundAsk::Step { terms: machine.terms(), message: Box::new(message) };
        let answer = match self.ask(n, step) {
            RoundAnswer::Step(answer) => answer,
            // It was over before this one heard of it.
            RoundAnswer::Refused(RoundRefusal::NoSuchAttempt) => return false,
            other => panic!("{other:?}"),
        };
        let (next, _) = machine.answer(answer, &key(n), &mut self.rng).expect("honest");
        match next {
            Next::Send | Next::Later(_) | Next::Keep => true,
            Next::Mask => {
                let (update, extras) = match plan.plan().task {
                    Task::Train => {
                        let (target, pairs) = target(n);
                        let weight = plan.plan().contribution.weight(pairs) as f32;
                        let moved =
                            target.iter().zip(values).map(|(to, from)| (to - from) * weight);
                        // Without noise a weight and a measure; with it neither.
                        let extras = match plan.cost() {
                            None => vec![f64::from(weight), n as f64],
                            Some(_) => vec![],
                        };
                        (moved.collect(), extras)
                    }
                    Task::Evaluate { of } => {
                        let candidate = self.values(n, of);
                        assert_ne!(candidate, values, "something was learnt");
                        let worse = self.worse.contains(&n);
                        let after = if worse { 3.0 } else { 1.0 };
                        (vec![], vec![2.0, after, f64::from(u8::from(!worse))])
                    }
                };
                let encoding = Encoding::new(plan.layout().clone()).expect("a layout");
                let encoded = encoding.encode(&update, &extras, &mut self.rng);
                let noised = encoded.expect("encodes").noised(&mut self.rng);
                self.sent.insert(id(n), noised.words().to_vec());
                let paid = plan.cost().map(|rho| pay(plan, machine, Charge::of(rho)));
                *masked = machine.mask(&noised, paid, &key(n)).expect("masks");
                true
            }
            Next::Piece(offset) => {
                let at = usize::try_from(offset).expect("small");
                let piece = Participant::piece(offset, &masked[at..masked.len().min(at + 100)]);
                self.exchange(n, plan, values, machine, piece, masked)
            }
            Next::Over(_) => false,
        }
    }

    pub fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.coordinator.tick(&self.view, self.now).expect("ticks");
        // A phase that has failed, and then what follows it.
        self.coordinator.tick(&self.view, self.now).expect("ticks");
    }
}

fn pay(plan: &Checked, machine: &Participant, charge: Charge) -> Spent {
    let mut ledger = Ledger::new(&[1; 32]);
    let collection = CollectionKey([2; 32]);
    let time = Time::from_millis(NOW.0);
    let budget = Budget::new(Epsilon::new(1e6).expect("large"), plan.plan().contribution.delta);
    for account in [Account::Peer, Account::Collection { unit: Unit::Peer, collection }] {
        ledger.set_budget(account, budget, time).expect("a budget").recorded();
    }
    let group = GroupKey(*plan.plan().group.0.as_bytes());
    let terms = machine.terms();
    let request = Request::new(group, terms, charge, Unit::Peer, vec![collection]).expect("one");
    let receipt = ledger.reserve(&request, time).expect("within the budget").recorded();
    receipt.release(&terms, charge).expect("paid for this")
}

pub fn limits() -> Limits {
    Limits {
        demands: Demands { min_honest: 1, collusion_permille: 0, colluders: 1, security_bits: 20 },
        unit: Unit::Peer,
        max_epsilon: None,
        delta: Delta::new(1e-5).expect("a delta"),
        max_steps: 100,
        max_bytes: 1 << 30,
    }
}
