//! Groups that learn together: people with notes that pairs can be mined from.

use std::fmt::Write;

use serde_json::Value;

use crate::{Lab, Person, wait_for};

const THINGS: [&str; 12] = [
    "kettle",
    "bicycle",
    "pear tree",
    "beehive",
    "violin",
    "greenhouse",
    "rain barrel",
    "sourdough",
    "telescope",
    "woodstove",
    "compost heap",
    "loom",
];
const NOTE: &str = "A note that everybody starts with, about nothing in particular.";

/// Notes that pairs can be mined from: a title, and what stands under it.
fn notes(person: &Person, number: usize) -> String {
    let mut folder = None;
    for (place, thing) in THINGS.iter().enumerate() {
        let mut text = format!("# How to look after the {thing} in season {number}\n\n");
        for day in 0..3 {
            let task = (place * 5 + day * 3 + number) % 11;
            writeln!(
                text,
                "On day {day} the {thing} wants attention: step {task} of the list that {} keeps, \
                 done slowly, with dry hands, and written down in the blue book afterwards.\n",
                person.name
            )
            .expect("writes");
        }
        folder = person
            .write(&format!("learn/{}.md", thing.replace(' ', "-")), text)
            .parent()
            .and_then(|it| it.to_str().map(str::to_owned));
    }
    folder.expect("a plain path")
}

/// A group called `lab` whose members have a collection to learn from, called `learn`; the first is its owner.
pub fn lab(names: &[&str]) -> Lab {
    let people: Vec<(&str, &str, &str)> =
        names.iter().map(|name| (*name, NOTE, "nothing")).collect();
    let lab = Lab::found(&people);
    for (number, person) in lab.people.iter().enumerate() {
        person.json(&["add", &notes(person, number), "--collection", "learn"]);
    }
    lab
}

/// What a node says of the group's rounds.
pub fn status(person: &Person) -> Value {
    person.json(&["train", "status", "lab"])["groups"][0].clone()
}

/// Takes part in the group's rounds.
pub fn opt_in(person: &Person, options: &[&str]) {
    person.json(&[&["train", "opt-in", "lab", "--collections", "learn"], options].concat());
}

/// The attempts that are over, by the coordinator's word.
pub fn history(coordinator: &Person) -> Vec<Value> {
    status(coordinator)["campaign"]["history"].as_array().cloned().unwrap_or_default()
}

/// The same, once there are so many.
pub fn after(coordinator: &Person, attempts: usize) -> Vec<Value> {
    wait_for("a round to end", || {
        Some(history(coordinator)).filter(|history| history.len() >= attempts)
    })
}
