//! A coordinator with participants that really mask: what they learn, what a restart changes (nothing), what a failed
//! attempt leaves (its record).

use std::collections::BTreeMap;
use std::sync::Arc;

use covey_coordinator::store::{MemoryStore, Store};
use covey_coordinator::{Came, Campaign, Coordinator, CoordinatorError, GroupView};
use covey_crypto::{Digest, SecretKey};
use covey_privacy::encode::Encoding;
use covey_privacy::ledger::Unit;
use covey_privacy::rng::SimulationRng;
use covey_privacy::{ClipNorm, Delta};
use covey_protocol::ids::{Epoch, GroupId, ModelId, NodeId, RequestId, UnixMillis};
use covey_protocol::round::{
    Checked, Contribution, Known, Learning, Limits, Measure, Next, Participant, Rule, Start,
    Weighting, values_from_bytes,
};
use covey_protocol::secagg::{Bounds, Demands, Members, Parameters, Topology};
use covey_protocol::wire::v1::round::{
    Announced, ClientMessage, RoundAnswer, RoundAsk, RoundRefusal, RoundReply, RoundRequest,
};
use covey_protocol::wire::{decode, encode};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn key(n: usize) -> SecretKey {
    SecretKey::from_seed(Digest::of("test/key", &[&n.to_le_bytes()]).as_bytes())
}

fn id(n: usize) -> NodeId {
    NodeId::new(key(n).public())
}

fn view(members: usize) -> GroupView {
    GroupView {
        group: GroupId(Digest::sha256(b"group")),
        epoch: Epoch(4),
        coordinator: id(0),
        members: Members::new((0..members).map(id)).expect("few"),
        release: 0,
    }
}

fn model() -> ModelId {
    ModelId { base: Digest::sha256(b"base"), release: Digest::sha256(b"release") }
}

fn campaign(rounds: u32) -> Campaign {
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
    }
}

/// What one participant would like the values to be, and how many pairs it has.
fn target(n: usize) -> (Vec<f32>, usize) {
    ((0..50).map(|i| (n * 50 + i) as f32 / 100.0).collect(), 20 + 40 * n)
}

/// A coordinator that is started again whenever `restarts` says so, and its group.
struct World {
    store: Arc<MemoryStore>,
    coordinator: Coordinator,
    view: GroupView,
    now: UnixMillis,
    restarts: bool,
    rng: SimulationRng,
    /// The most that was ever in the store of one participant's masked vector; and all words that were sent.
    sent: BTreeMap<NodeId, Vec<u32>>,
}

impl World {
    fn new(members: usize, restarts: bool) -> Self {
        let store = Arc::new(MemoryStore::default());
        let coordinator = Coordinator::open(Arc::new(key(0)), store.clone()).expect("opens");
        let rng = SimulationRng::numbered(5, 0);
        let sent = BTreeMap::new();
        Self { store, coordinator, view: view(members), now: NOW, restarts, rng, sent }
    }

    fn begin(&mut self, campaign: Campaign, values: &[f32]) {
        self.coordinator.start(campaign, values, &self.view, self.now).expect("starts");
        self.coordinator.tick(&self.view, self.now).expect("publishes");
    }

    fn restart(&mut self) {
        self.coordinator =
            Coordinator::open(Arc::new(key(0)), self.store.clone()).expect("opens again");
    }

    fn ask(&mut self, n: usize, ask: RoundAsk) -> RoundAnswer {
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

    fn announced(&mut self, n: usize) -> Option<Announced> {
        match self.ask(n, RoundAsk::Status) {
            RoundAnswer::Status(announced) => announced.map(|announced| *announced),
            other => panic!("{other:?}"),
        }
    }

    fn values(&mut self, n: usize, of: Start) -> Vec<f32> {
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

    /// `who` check in and send `update`s; those of `gone` are not heard of again once they have dealt shares.
    fn attempt(&mut self, who: &[usize], gone: &[usize]) {
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
                let message = machine.message();
                if self.exchange(n, &plan, &values, &mut machine, message, &mut masked) {
                    kept.push((n, plan, values, machine, masked));
                }
            }
            machines = kept;
            self.now = self.now.plus(500);
        }
        panic!("it does not end");
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
                let (target, pairs) = target(n);
                let weight = plan.plan().contribution.weight(pairs) as f32;
                let update: Vec<f32> =
                    target.iter().zip(values).map(|(to, from)| (to - from) * weight).collect();
                let encoding = Encoding::new(plan.layout().clone()).expect("a layout");
                let encoded =
                    encoding.encode(&update, &[f64::from(weight), n as f64], &mut self.rng);
                let noised = encoded.expect("encodes").noised(&mut self.rng);
                self.sent.insert(id(n), noised.words().to_vec());
                *masked = machine.mask(&noised, None, &key(n)).expect("masks");
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

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.coordinator.tick(&self.view, self.now).expect("ticks");
        // A phase that has failed, and then what follows it.
        self.coordinator.tick(&self.view, self.now).expect("ticks");
    }
}

fn limits() -> Limits {
    Limits {
        demands: Demands { min_honest: 1, collusion_permille: 0, colluders: 1, security_bits: 20 },
        max_epsilon: None,
        delta: Delta::new(1e-5).expect("a delta"),
        max_steps: 100,
        max_bytes: 1 << 30,
    }
}

/// The weighted mean of what these want, less `from`.
fn mean(who: &[usize], from: &[f32]) -> Vec<f64> {
    let weight = |n: usize| (target(n).1 as f64 / 100.0).min(1.0);
    let all: f64 = who.iter().map(|n| weight(*n)).sum();
    (0..50)
        .map(|i| {
            let sum = |n: &usize| weight(*n) * f64::from(target(*n).0[i] - from[i]);
            who.iter().map(sum).sum::<f64>() / all
        })
        .collect()
}

#[test]
fn rounds_move_the_values_as_the_rule_says_restarted_or_not() {
    let mut checkpoints = Vec::new();
    for restarts in [false, true] {
        let mut world = World::new(5, restarts);
        let start = vec![0.25_f32; 50];
        world.begin(campaign(3), &start);
        assert!(world.announced(1).is_some());
        let (mut values, mut running) = (start, vec![0.0; 50]);
        for round in 1..=3_u64 {
            let who = [0, 1, 2, 3, 4];
            world.attempt(&who, &[]);
            let mean = mean(&who, &values);
            for ((value, running), mean) in values.iter_mut().zip(&mut running).zip(mean) {
                *running = 0.5 * *running + mean;
                *value += (0.5 * *running) as f32;
            }
            let (_, _, found) = world.coordinator.checkpoint().expect("a checkpoint");
            for (found, expected) in found.iter().zip(&values) {
                assert!((found - expected).abs() < 1e-4, "round {round}: {found}, {expected}");
            }
            values = found;
            world.wait(5_000);
        }
        let status = world.coordinator.status();
        assert_eq!((status.rounds, status.participants, status.running), (3, 5, None));
        assert_eq!(status.cost, None, "no noise, no promise");
        world.wait(5_000);
        assert_eq!(world.coordinator.status().left, None, "the campaign is over");
        assert!(world.announced(1).is_none());
        let records = world.coordinator.records().expect("records");
        assert_eq!(records.len(), 3);
        for record in &records {
            let Came::Checkpoint { participants: 5, measured, .. } = &record.came else {
                panic!("{record:?}")
            };
            assert!((measured[0].1 - 2.0).abs() < 1e-4, "the mean of 0 to 4");
        }
        checkpoints.push(values);
    }
    let apart = checkpoints[0].iter().zip(&checkpoints[1]).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) < 1e-4);
}

#[test]
fn a_failed_attempt_leaves_its_record_and_another_follows() {
    let mut world = World::new(5, true);
    let start = vec![0.0_f32; 50];
    world.begin(campaign(1), &start);
    assert_eq!(world.announced(1).expect("a plan").attempt, 0);
    // Three of five are gone where one in three may be: the vectors are too few.
    world.attempt(&[0, 1, 2, 3, 4], &[1, 2, 3]);
    assert_eq!(world.announced(1).expect("the plan again").attempt, 1);
    let (_, _, values) = world.coordinator.checkpoint().expect("as before");
    assert_eq!(values, start);
    world.attempt(&[0, 1, 2, 3], &[]);
    world.wait(11_000);
    let records = world.coordinator.records().expect("records");
    let made: Vec<bool> =
        records.iter().map(|it| matches!(it.came, Came::Checkpoint { .. })).collect();
    assert_eq!(made, [false, true]);
    assert_eq!((records[0].attempt, records[1].attempt), (0, 1));
    let Came::Failed { why } = &records[0].came else { panic!("it failed") };
    assert!(why.contains("A28"), "{why}");
}

#[test]
fn nothing_of_an_update_is_seen_before_the_sum() {
    let mut world = World::new(5, false);
    world.begin(campaign(1), &[0.0_f32; 50]);
    world.announced(1).expect("a plan");
    let store = world.store.clone();
    world.attempt(&[0, 1, 2, 3, 4], &[]);
    let Came::Checkpoint { participants, .. } =
        world.coordinator.records().expect("one")[0].came.clone()
    else {
        panic!("it sums")
    };
    assert_eq!(participants, 5);
    // What lies about, journal and vectors included, has no run of words of any update.
    let everything = format!("{store:?}");
    for words in world.sent.values() {
        let first: Vec<u8> = words[..4].iter().flat_map(|word| word.to_le_bytes()).collect();
        let bytes: Vec<String> = first.iter().map(ToString::to_string).collect();
        assert!(!everything.contains(&bytes.join(", ")));
    }
}

#[test]
fn a_release_says_what_it_is_made_of() {
    let mut world = World::new(4, false);
    let view = world.view.clone();
    let better = ModelId { release: Digest::sha256(b"better"), ..model() };
    let none = Start::digest(&[0.0; 50]);
    let early = world.coordinator.release(better, &none, None, &view, NOW);
    assert!(matches!(early, Err(CoordinatorError::NoCheckpoint)));
    world.begin(campaign(1), &[0.0_f32; 50]);
    let early = world.coordinator.release(better, &none, None, &view, NOW);
    assert!(matches!(early, Err(CoordinatorError::NoCheckpoint)), "nothing was learnt yet");
    world.announced(1).expect("a plan");
    world.attempt(&[0, 1, 2, 3], &[]);
    let stale = world.coordinator.release(better, &none, None, &view, NOW);
    assert!(matches!(stale, Err(CoordinatorError::Moved)));
    let (_, _, values) = world.coordinator.checkpoint().expect("there");
    let now = Start::digest(&values);
    // Also once the campaign was stopped.
    world.coordinator.stop(NOW).expect("stops");
    let release = world.coordinator.release(better, &now, Some(model()), &view, NOW).expect("made");
    assert_eq!(release.number, 1);
    let RoundAnswer::Manifest(signed) = world.ask(2, RoundAsk::Manifest { of: release.manifest })
    else {
        panic!("no manifest")
    };
    assert_eq!(signed.digest(), release.manifest);
    let manifest = signed.verify().expect("signed");
    assert_eq!((manifest.rounds, manifest.cohort, manifest.model), (1, 4, better));
    assert_eq!(manifest.parent, Some(model()));
    world.values(2, manifest.values);
    assert_eq!(world.coordinator.status().released, Some((1, true)));
}

#[test]
fn other_terms_and_values_are_refused() {
    let mut world = World::new(4, false);
    let message = || Box::new(ClientMessage::Piece { offset: 0, bytes: vec![0; 4] });
    let terms = Digest::sha256(b"other");
    let answer = world.ask(1, RoundAsk::Step { terms, message: message() });
    assert!(matches!(answer, RoundAnswer::Refused(RoundRefusal::NoSuchAttempt)));
    let answer = world.ask(1, RoundAsk::Values { of: terms, offset: 0 });
    assert!(matches!(answer, RoundAnswer::Refused(RoundRefusal::NoSuchValues)));
    let _: &dyn Store = &*world.store;
    // Too few members for the smallest cohort.
    let few = view(2);
    let error = world.coordinator.start(campaign(1), &[0.0; 50], &few, NOW).expect_err("too few");
    assert!(matches!(error, CoordinatorError::Campaign(_)), "{error}");
}
