//! Groups that learn together: people with notes that pairs can be mined from.

use std::fmt::Write;

use serde_json::Value;

use crate::{Lab, Person, wait_for, wait_until};

/// What the notes are about.
pub const THINGS: [&str; 32] = [
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
    "sledge",
    "cider press",
    "chimney",
    "accordion",
    "hammock",
    "dovecote",
    "wheelbarrow",
    "lantern",
    "raft",
    "kiln",
    "orchard",
    "piano",
    "scythe",
    "aquarium",
    "saddle",
    "anvil",
    "windmill",
    "trellis",
    "canoe",
    "barometer",
];
const NOTE: &str = "A note that everybody starts with, about nothing in particular.";

/// Notes about so many things that pairs can be mined from: a title, and what stands under it, which is about the thing that comes `apart`
/// places later in the list.
fn notes(person: &Person, things: usize, apart: usize) -> String {
    let things = &THINGS[..things];
    let mut folder = None;
    for (place, thing) in things.iter().enumerate() {
        let about = things[(place + apart) % things.len()];
        let mut text = format!("# How {} looks after the {thing}\n\n", person.name);
        for day in 0..3 {
            let task = (place * 5 + day * 3) % 11;
            writeln!(
                text,
                "On day {day} the {about} wants attention: step {task} of the list, done slowly, \
                 with dry hands, and written down in the blue book afterwards.\n"
            )
            .expect("writes");
        }
        let file = person.write(&format!("learn/{}.md", thing.replace(' ', "-")), text);
        folder = file.parent().and_then(|it| it.to_str().map(str::to_owned));
    }
    folder.expect("a plain path")
}

/// A group called `lab` whose members have a collection to learn from, called `learn`; the first is its owner. `apart` says of each by
/// how much its notes are mixed up.
pub fn lab_of(names: &[&str], things: usize, apart: impl Fn(usize) -> usize) -> Lab {
    let people: Vec<(&str, &str, &str)> =
        names.iter().map(|name| (*name, NOTE, "nothing")).collect();
    let lab = Lab::found(&people);
    for (number, person) in lab.people.iter().enumerate() {
        person.json(&["add", &notes(person, things, apart(number)), "--collection", "learn"]);
    }
    lab
}

/// The same with a dozen notes in order.
pub fn lab(names: &[&str]) -> Lab {
    lab_of(names, 12, |_| 0)
}

/// The first coordinates from now on, and all have heard of it.
pub fn first_coordinates(lab: &Lab) {
    let first = lab.person(0);
    first.json(&["group", "coordinator", "lab", &first.name]);
    for person in &lab.people {
        wait_until("all to hear who coordinates", || !status(person)["coordinator"].is_null());
    }
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
