//! Rounds with noise in which a process is killed, in each phase by name. Puppets take part beside real nodes and hold each phase
//! open until the test goes on: they are so many that no phase ends without them.

use std::process::Command;
use std::sync::Arc;

use covey_protocol::ids::NodeId;
use covey_tests::learn::{opt_in, status};
use covey_tests::{Before, Facts, Lab, Part, Person, Puppet, learn, until, wait_for, wait_until};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Six processes, of which Ada's coordinates and the others learn; and five puppets.
const NAMES: [&str; 11] =
    ["ada", "ben", "cleo", "dan", "eve", "fay", "gus", "hal", "ida", "joe", "kay"];
const REAL: usize = 5;
const PUPPETS: usize = 5;

/// Where somebody is killed, once the real nodes have done what the phase asks for.
const PHASES: [&str; 5] = ["gathering", "shares", "uploads", "survivors", "opening"];

struct Stage {
    lab: Lab,
    puppets: Vec<Puppet>,
    facts: Facts,
    coordinator: NodeId,
    last: (u64, u32),
}

impl Stage {
    fn set() -> Self {
        let mut lab = learn::lab(&NAMES);
        learn::first_coordinates(&lab);
        let facts = Facts::of(lab.person(0), "lab");
        for person in &lab.people[1..=REAL] {
            opt_in(person, &["--epsilon", "100", "--min-honest", "2"]);
        }
        let runtime = Arc::new(Runtime::new().expect("threads"));
        let mut puppets = Vec::new();
        for place in 1 + REAL..NAMES.len() {
            lab.take_daemon(place).kill();
            puppets.push(Puppet::of(lab.person(place), &runtime));
        }
        let coordinator = puppets[0].meet(lab.person(0));
        let stage = Self { lab, puppets, facts, coordinator, last: (0, 0) };
        stage.meet();
        stage
    }

    /// The puppets learn where Ada's daemon is.
    fn meet(&self) {
        for puppet in &self.puppets {
            puppet.meet(self.ada());
        }
    }

    fn ada(&self) -> &Person {
        self.lab.person(0)
    }

    fn begin(&self, phase: &str) {
        let start = ["train", "start", "lab", "--rounds", "20", "--epsilon", "60", "--clip", "2"];
        let time = ["--window", "5m", "--pause", "1s", "--phase", phase, "--upload", phase];
        let sum = ["--min-cohort", "8", "--max-cohort", "10", "--dropout", "0.2"];
        self.ada().json(&[&start[..], &time, &sum].concat());
    }

    /// One round. In `phase`, once the real nodes have done their part of it, `strike` is called.
    fn round(&mut self, phase: &str, strike: impl FnOnce(&mut Self)) -> Value {
        let mut strike = Some(strike);
        let last = self.last;
        // The struck may be the coordinator, and the puppets are borrowed meanwhile.
        let puppets = std::mem::take(&mut self.puppets);
        let (coordinator, facts) = (self.coordinator, self.facts.clone());
        let check_in = |puppet| {
            let part = Part::check_in(puppet, coordinator, &facts, last, |i| (i % 97) as f32 / 1e4);
            part.say();
            part
        };
        let (first, late) = puppets.split_at(PUPPETS - 1);
        let mut parts: Vec<Part<'_>> = first.iter().map(check_in).collect();
        for (now, then) in PHASES.into_iter().zip([
            None,
            Some(Before::Upload),
            Some(Before::Agreement),
            Some(Before::Opening),
            Some(Before::End),
        ]) {
            if let Some(strike) = strike.take_if(|_| now == phase) {
                let done = if now == "gathering" { REAL + PUPPETS - 1 } else { REAL };
                wait_until(&format!("the real nodes to do their part in {phase}"), || {
                    let round = &status(self.ada())["campaign"]["round"];
                    round["phase"] == now && round["done"] == done
                });
                strike(self);
                for puppet in &puppets {
                    puppet.meet(self.ada());
                }
            }
            match then {
                None => parts.extend(late.iter().map(check_in)),
                Some(then) => until(&mut parts, then),
            }
        }
        self.last = parts[0].attempt;
        drop(parts);
        self.puppets = puppets;
        self.record()
    }

    /// What became of the last attempt.
    fn record(&self) -> Value {
        wait_for("the attempt to end", || {
            let history = learn::history(self.ada());
            history
                .into_iter()
                .find(|it| it["round"] == self.last.0 && it["attempt"] == self.last.1)
        })
    }

    /// Kills somebody's daemon, and starts another one.
    fn kill(&mut self, place: usize) {
        self.lab.take_daemon(place).kill();
        self.lab.daemons[place] = Some(self.lab.person(place).daemon());
    }

    /// Kills somebody's daemon, and starts a copy of all that it had on disk; the original is gone.
    fn move_house(&mut self, place: usize) {
        self.lab.take_daemon(place).kill();
        let person = self.lab.person(place);
        let (home, copy) = (person.home(), person.dir().join("copy"));
        let copied = Command::new("cp").arg("-a").arg(&home).arg(&copy).status();
        assert!(copied.is_ok_and(|status| status.success()));
        std::fs::remove_dir_all(&home).expect("is there to be removed");
        std::fs::rename(copy, home).expect("takes its place");
        self.lab.daemons[place] = Some(self.lab.person(place).daemon());
    }
}

#[test]
fn a_member_is_killed_in_each_phase() {
    let mut stage = Stage::set();
    stage.begin("20s");
    for (place, phase) in PHASES.into_iter().enumerate() {
        let victim = 1 + place;
        let record = stage.round(phase, |stage| stage.kill(victim));
        assert!(record["failed"].is_null(), "killed in {phase}: {record}");
        // Whoever is killed before it has masked is not in the sum; whoever is killed later is, and hears of its end.
        let masked = place >= 2;
        let participants = if masked { REAL + PUPPETS } else { REAL + PUPPETS - 1 };
        assert_eq!(record["participants"], participants, "killed in {phase}: {record}");
        let heard = if masked { place + 1 } else { place };
        wait_until("the victim to hear of it", || {
            status(stage.lab.person(victim))["rounds"] == heard
        });
    }
    stage.ada().json(&["train", "stop", "lab"]);
    // Ben was killed before he had paid, and Fay after.
    let spent = |person: &Person| {
        let report = person.json(&["privacy", "report"]);
        report["accounts"][0]["epsilon"].as_f64().expect("a number")
    };
    let (ben, fay) = (spent(stage.lab.person(1)), spent(stage.lab.person(5)));
    assert!(0.0 < ben && ben < fay, "{ben}, {fay}");
}

#[test]
fn the_coordinator_is_killed_in_each_phase() {
    let mut stage = Stage::set();
    stage.begin("60s");
    for (before, phase) in PHASES.into_iter().enumerate() {
        // It can be moved as well.
        let record = stage.round(phase, |stage| match phase {
            "uploads" => stage.move_house(0),
            _ => stage.kill(0),
        });
        assert!(record["failed"].is_null(), "killed in {phase}: {record}");
        assert_eq!(record["participants"], REAL + PUPPETS, "killed in {phase}: {record}");
        assert_eq!(record["attempt"], 0, "{record}");
        for person in &stage.lab.people[1..=REAL] {
            wait_until("each to hear of it", || status(person)["rounds"] == before + 1);
        }
    }
}
