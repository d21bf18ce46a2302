//! A coordinator that lies to real nodes, over the network: none of them gives anything away.

use std::sync::Arc;

use covey_protocol::round::Plan;
use covey_tests::{Crooked, Facts, Lab, Lie, Person, Puppet, learn, wait_for, wait_until};
use serde_json::Value;
use tokio::runtime::Runtime;

fn status(person: &Person) -> Value {
    person.json(&["train", "status", "lab"])["groups"][0].clone()
}

/// Has Ada's node coordinate and begin a round.
fn ada_begins(ada: &Person) {
    ada.json(&["group", "coordinator", "lab", "ada"]);
    let options = ["--without-noise", "--min-cohort", "4", "--dropout", "0.2", "--clip", "2"];
    ada.json(
        &[&["train", "start", "lab", "--rounds", "1", "--window", "1h"][..], &options].concat(),
    );
}

/// Ends that, and has Gus coordinate.
fn gus_follows(lab: &Lab) {
    let ada = lab.person(0);
    ada.json(&["train", "stop", "lab"]);
    ada.json(&["group", "coordinator", "lab", "gus"]);
    for person in &lab.people[..5] {
        wait_until("all to hear who coordinates", || status(person)["coordinator"] == "gus");
    }
}

/// Five people with something to learn from, and Gus, whose node is to coordinate and lies. Plans are made as Ada's node would.
fn stage() -> (Lab, Crooked) {
    let mut lab = learn::lab(&["ada", "ben", "cleo", "dan", "eve", "gus"]);
    lab.take_daemon(5).kill();
    let ada = lab.person(0);
    ada_begins(ada);
    let runtime = Arc::new(Runtime::new().expect("threads"));
    let gus = Puppet::of(lab.person(5), &runtime);
    let nodes: Vec<_> = lab.people[..5].iter().map(|person| gus.meet(person)).collect();
    let facts = Facts::of(ada, "lab");
    let announced = wait_for("a plan", || gus.announced(nodes[0], facts.group));
    let plan: Plan = announced.plan.verify(&nodes[0]).expect("sound").plan().clone();
    let values = gus.values(nodes[0], facts.group, plan.start);
    gus_follows(&lab);
    let facts = Facts::of(lab.person(0), "lab");
    let crooked = Crooked::start(gus, &facts, &plan, values, 5);
    for node in nodes {
        crooked.call(node);
    }
    (lab, crooked)
}

#[test]
fn nobody_gives_anything_to_a_coordinator_that_lies() {
    let (lab, crooked) = stage();
    let members = &lab.people[..5];
    for person in members {
        learn::opt_in(person, &["--without-noise", "--min-honest", "2"]);
    }
    let lies = [
        (Lie::SwappedKeys, &["A6", "A7"][..], false),
        (Lie::SmallCohort, &["A2", "A3"], false),
        (Lie::TwoModels, &["A7"], false),
        (Lie::TwoSets, &["A19"], true),
    ];
    let mut old = None;
    for (lie, checks, masked) in lies {
        crooked.begin(lie.clone());
        old = old.or_else(|| Some(wait_for("a plan", || crooked.announced())));
        for person in members {
            wait_until(&format!("each to find out {lie:?}"), || {
                let refused = status(person)["refused"].clone();
                refused.as_str().is_some_and(|why| checks.iter().any(|check| why.contains(check)))
            });
        }
        let saw = crooked.saw();
        assert_eq!(saw.keys.len(), 5, "{lie:?}: {saw:?}");
        assert_eq!(saw.dealt.len(), if masked { 5 } else { 0 }, "{lie:?}: {saw:?}");
        assert_eq!(saw.sent.len(), if masked { 5 } else { 0 }, "{lie:?}: {saw:?}");
        assert!(saw.opened.is_empty(), "{lie:?}: {saw:?}");
        assert!(crooked.exposed().is_empty(), "{lie:?}");
    }
    // The same members give their part to the same coordinator once it does not lie.
    crooked.begin(Lie::None);
    let plan = wait_for("a plan", || crooked.announced());
    for person in members {
        wait_until("an honest round to end", || status(person)["rounds"] == 1);
    }
    let saw = crooked.saw();
    assert_eq!(saw.sent.len(), 5, "{saw:?}");
    // These phases end with the last that is needed: who is later than that is not waited for.
    assert!(saw.agreed.len() >= 4 && saw.opened.len() >= 3, "{saw:?}");
    assert!(crooked.exposed().is_empty());

    // Whatever others have planned meanwhile, nothing of its plans is forgotten.
    ada_begins(&members[0]);
    for person in members {
        wait_until("all to follow the plan of another one", || {
            let status = status(person);
            status["coordinator"] == "ada" && status["plan"]["round"] == 2
        });
    }
    gus_follows(&lab);

    // A plan of a round that is long over, the last one again, and another attempt at it that nobody needs.
    let again = |attempt| {
        let mut plan = plan.clone();
        (plan.attempt, plan.open) = (attempt, true);
        plan
    };
    let old = old.expect("the first plan");
    for replayed in [old, again(0), again(1)] {
        crooked.begin(Lie::Replay(Box::new(replayed)));
        wait_until("each to have looked at it", || {
            let saw = crooked.saw();
            saw.asked.len() == 5 && saw.asked.values().all(|times| *times >= 2)
        });
        let saw = crooked.saw();
        assert!(saw.keys.is_empty() && saw.sent.is_empty(), "{saw:?}");
    }
}
