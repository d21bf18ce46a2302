//! What a coordinator gets to see: exact sums, and no update. The members are puppets whose updates are known.

use std::collections::BTreeMap;
use std::sync::Arc;

use covey_protocol::ids::NodeId;
use covey_protocol::round::{Start, values_to_bytes};
use covey_protocol::wire::v1::round::Over;
use covey_tests::{
    Before, Daemon, Facts, Lab, Needles, Part, Person, Puppet, oracle, until, wait_for,
};
use serde_json::Value;
use tokio::runtime::Runtime;

const NOTE: &str = "A note that everybody starts with, about nothing in particular.";
const NAMES: [&str; 7] = ["ada", "ben", "cleo", "dan", "eve", "fay", "gus"];

/// Ada's daemon coordinates; the others' hands are moved by the test.
struct Stage {
    lab: Lab,
    daemon: Daemon,
    puppets: Vec<Puppet>,
    coordinator: NodeId,
    facts: Facts,
}

impl Stage {
    fn set() -> Self {
        let mut lab = Lab::found(&NAMES.map(|name| (name, NOTE, "nothing")));
        let ada = lab.person(0);
        ada.json(&["group", "coordinator", "lab", "ada"]);
        let facts = Facts::of(ada, "lab");
        let daemon = lab.take_daemon(0);
        let runtime = Arc::new(Runtime::new().expect("threads"));
        let mut puppets = Vec::new();
        let mut coordinator = None;
        for place in 1..NAMES.len() {
            lab.take_daemon(place).kill();
            let puppet = Puppet::of(lab.person(place), &runtime);
            coordinator = Some(puppet.meet(lab.person(0)));
            puppets.push(puppet);
        }
        Self { lab, daemon, puppets, coordinator: coordinator.expect("met"), facts }
    }

    fn ada(&self) -> &Person {
        self.lab.person(0)
    }

    fn begin(&self, options: &[&str]) {
        let start = ["train", "start", "lab", "--rounds", "20", "--window", "5s", "--clip", "2"];
        let sum = ["--pause", "1s", "--min-cohort", "4", "--dropout", "0.34"];
        self.ada().json(&[&start[..], &sum, options].concat());
    }

    /// All check in to the attempt after `after`.
    fn check_in(&self, after: (u64, u32)) -> Vec<Part<'_>> {
        let update = |who: usize| {
            move |i: usize| ((i * 7_919 + who * 1_548_587) % 4_001) as f32 / 1e5 - 0.02
        };
        let part = |(who, puppet)| {
            Part::check_in(puppet, self.coordinator, &self.facts, after, update(who))
        };
        self.puppets.iter().enumerate().map(part).collect()
    }

    /// What became of an attempt, once it is over.
    fn ended(&self, attempt: (u64, u32)) -> Value {
        wait_for("the attempt to end", || {
            let status = self.ada().json(&["train", "status", "lab"]);
            let history = status["groups"][0]["campaign"]["history"].as_array()?.clone();
            history.into_iter().find(|it| {
                (it["round"].as_u64(), it["attempt"].as_u64())
                    == (Some(attempt.0), Some(attempt.1.into()))
            })
        })
    }

    fn values(&self, of: Start) -> Vec<f32> {
        self.puppets[0].values(self.coordinator, self.facts.group, of)
    }

    /// Of what is looked for, how much the coordinator has.
    fn held(&self, needles: &Needles) -> BTreeMap<String, usize> {
        needles.held_by(self.daemon.id(), &self.ada().home())
    }
}

/// What each of `parts` keeps to itself, and what it has sent.
fn needles(parts: &[Part<'_>]) -> Needles {
    let mut needles = Needles::default();
    for (place, part) in parts.iter().enumerate() {
        let words: Vec<u8> = part.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        needles.add(&format!("update {place}"), &values_to_bytes(&part.update));
        needles.add(&format!("words {place}"), &words);
        needles.add(&format!("masked {place}"), &part.masked);
    }
    needles
}

fn kept_secret(held: &BTreeMap<String, usize>) {
    let leaked: Vec<_> = held.keys().filter(|name| !name.starts_with("masked")).collect();
    assert!(leaked.is_empty(), "the coordinator has {held:?}");
}

#[test]
fn a_coordinator_holds_masked_vectors_and_their_sum_and_no_update() {
    let stage = Stage::set();
    stage.begin(&["--epsilon", "50", "--phase", "60s"]);
    let mut parts = stage.check_in((0, 0));
    let start = stage.values(parts[0].plan.plan().start);
    until(&mut parts, Before::Upload);
    // One of them is cut short, so that its shares of masks are opened; the rest of its vector never comes.
    let needles = needles(&parts);
    let (all, last) = parts.split_at_mut(5);
    last[0].piece = last[0].masked.len() / 2;
    last[0].step();
    last[0].step();
    for part in all.iter_mut() {
        part.step();
        part.step();
    }
    let held = stage.held(&needles);
    kept_secret(&held);
    // The search finds what is there.
    for place in 0..6 {
        assert!(held.contains_key(&format!("masked {place}")), "{held:?}");
    }
    stage.ada().json(&["train", "stop", "lab"]);
    drop(parts);

    stage.begin(&["--epsilon", "50", "--phase", "4s"]);
    let mut parts = stage.check_in((1, 0));
    until(&mut parts, Before::Upload);
    let needles = self::needles(&parts);
    let last = &mut parts[5];
    last.piece = last.masked.len() / 2;
    last.step();
    last.step();
    for before in [Before::Agreement, Before::Opening, Before::End] {
        until(&mut parts[..5], before);
        kept_secret(&stage.held(&needles));
    }
    let record = stage.ended(parts[0].attempt);
    assert_eq!((&record["participants"], &record["failed"]), (&5.into(), &Value::Null), "{record}");
    let expected = oracle(&start, &parts[..5].iter().collect::<Vec<_>>());
    let mut sum = Needles::default();
    sum.add("sum", &values_to_bytes(&expected));
    assert!(stage.held(&sum).contains_key("sum"), "the sum is no secret");
    let next = stage.check_in(parts[0].attempt);
    assert_eq!(next[0].plan.plan().start.digest, Start::digest(&expected), "to the bit");
}

#[test]
fn sums_are_exact_whoever_leaves_and_whatever_is_sent() {
    let stage = Stage::set();
    stage.begin(&["--epsilon", "50", "--phase", "3s"]);
    let mut after = (0, 0);
    let mut expected = None;
    // Gone before dealing, with nothing sent, before agreeing and before opening; and one that sends something else than it announced.
    let faults = [
        (Before::Dealing, 5),
        (Before::Upload, 5),
        (Before::Agreement, 6),
        (Before::Opening, 6),
        (Before::End, 5),
    ];
    for (fault, counted) in faults {
        let mut parts = stage.check_in(after);
        after = parts[0].attempt;
        let start = parts[0].plan.plan().start;
        if let Some(expected) = expected {
            assert_eq!(start.digest, expected, "to the bit, before {fault:?}");
        }
        let start = stage.values(start);
        let (until_then, lies) = match fault {
            Before::End => (Before::Upload, true),
            before => (before, false),
        };
        until(&mut parts, until_then);
        let mut last = parts.pop().expect("six");
        if lies {
            last.masked.reverse();
            last.until(Before::End);
            assert_eq!(last.over, Some(Over::Without), "it is told");
        }
        until(&mut parts, Before::End);
        assert!(parts.iter().all(|part| part.over == Some(Over::Done)), "{fault:?}");
        let record = stage.ended(after);
        assert_eq!(record["participants"], counted, "{fault:?}: {record}");
        let mut summed: Vec<&Part<'_>> = parts.iter().collect();
        if counted == 6 {
            summed.push(&last);
        }
        expected = Some(Start::digest(&oracle(&start, &summed)));
    }
    // One update that is too long spoils the sum, and is noticed; nobody knows whose it was. The next attempt counts.
    let mut parts = stage.check_in(after);
    assert_eq!(Some(parts[0].plan.plan().start.digest), expected);
    parts[5].liberty = 1_000.0;
    until(&mut parts, Before::End);
    let record = stage.ended(parts[0].attempt);
    let failed = record["failed"].as_str().expect("it failed");
    assert!(failed.contains("above the cap"), "{failed}");
    let mut again = stage.check_in(parts[0].attempt);
    assert_eq!(again[0].attempt, (parts[0].attempt.0, 1));
    let start = stage.values(again[0].plan.plan().start);
    until(&mut again, Before::End);
    let expected = oracle(&start, &again.iter().collect::<Vec<_>>());
    let next = stage.check_in(again[0].attempt);
    assert_eq!(next[0].plan.plan().start.digest, Start::digest(&expected));
}
