//! The beginning that most tests share: people with notes, daemons and a group.

use serde_json::Value;

use crate::{Daemon, Person};

/// A group called `lab`: the first person owns it, the others have joined.
pub struct Lab {
    /// Everybody, the owner first.
    pub people: Vec<Person>,
    /// Their daemons, in the same order.
    pub daemons: Vec<Option<Daemon>>,
}

impl Lab {
    /// Founds the group. Each person comes with one note, indexed as `notes`, and shares it so far.
    pub fn found(people: &[(&str, &str, &str)]) -> Self {
        let mut lab = Self { people: Vec::new(), daemons: Vec::new() };
        for (name, note, reveal) in people {
            let person = Person::new(name);
            let file = person.write("notes/note.txt", note);
            let folder = file.parent().and_then(|it| it.to_str()).expect("a plain path");
            person.json(&["add", folder, "--collection", "notes"]);
            lab.daemons.push(Some(person.daemon()));
            match lab.people.first() {
                None => drop(person.json(&["group", "create", "lab"])),
                Some(owner) => {
                    person.json(&["join", &invite(owner)]);
                }
            }
            if *reveal != "nothing" {
                person.json(&["share", "notes", "--group", "lab", "--reveal", reveal]);
            }
            lab.people.push(person);
        }
        lab
    }

    /// The person at `index`.
    pub fn person(&self, index: usize) -> &Person {
        &self.people[index]
    }

    /// Takes the daemon at `index` out, to be frozen or killed.
    pub fn take_daemon(&mut self, index: usize) -> Daemon {
        self.daemons[index].take().expect("it has not been taken yet")
    }

    /// The outcome of asking `member`, out of a search's reply.
    pub fn outcome<'a>(search: &'a Value, member: &str) -> &'a Value {
        let members = search["coverage"]["members"].as_array().expect("a list");
        members.iter().find(|it| it["member"] == member).unwrap_or_else(|| panic!("{search}"))
    }
}

/// A fresh invite to `lab`.
fn invite(owner: &Person) -> String {
    owner.json(&["invite", "lab"])["code"].as_str().expect("a code").to_owned()
}
