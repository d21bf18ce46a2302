//! An adapter of one's own: learnt from what a person means by their words, for questions to their own files alone.

use covey_tests::{Person, learn, wait_until};
use serde_json::{Value, json};

/// What somebody asks for in words of their own, and what stands in the notes.
const KINDS: [(&str, &str, &str); 6] = [
    (
        "zebra",
        "cost",
        "It cost forty crowns at the market, paid in silver; the receipt is in the drawer.",
    ),
    (
        "copper",
        "repair",
        "The broken part was taken off, glued, clamped overnight and screwed back on.",
    ),
    (
        "meadow",
        "place",
        "It stands in the barn behind the ladder, on the left shelf under the window.",
    ),
    ("pepper", "loan", "Lent to the neighbour until Easter, who wants to use it on the farm."),
    ("cactus", "colour", "Painted blue all over, with a thin white line along its edge."),
    ("walnut", "age", "Built in the year of the great flood, by the grandfather of the miller."),
];
/// Of so many things there are pairs; the others are only in the notes.
const LEARNT: usize = 26;

/// Notes of each kind on each thing, and pairs of those of the first things.
fn with_notes(person: &Person) {
    let mut pairs = String::new();
    for (place, thing) in learn::THINGS.iter().enumerate() {
        for (word, kind, text) in KINDS {
            let text = format!("About the {thing}. {text}");
            person.write(&format!("own/{}-{kind}.txt", thing.replace(' ', "-")), &text);
            if place < LEARNT {
                let pair = json!({ "anchor": format!("{word} {thing}"), "positive": text });
                pairs.push_str(&format!("{pair}\n"));
            }
        }
    }
    person.write("pairs.jsonl", pairs);
    person.json(&["add", path(person, "own").as_str(), "--collection", "own"]);
}

fn path(person: &Person, name: &str) -> String {
    person.dir().join(name).to_str().expect("a plain path").to_owned()
}

/// The share of questions on these things that find the right note first.
fn right(person: &Person, things: &[&str], options: &[&str]) -> f64 {
    let mut found = 0;
    for thing in things {
        for (word, kind, _) in KINDS {
            let question = format!("{word} {thing}");
            let report =
                person.json(&[&["search", "-c", "own", "-n", "1", &question], options].concat());
            let file = format!("/{}-{kind}.txt", thing.replace(' ', "-"));
            let first = report["results"][0]["path"].as_str().expect("a file");
            found += usize::from(first.ends_with(&file));
        }
    }
    found as f64 / (things.len() * KINDS.len()) as f64
}

fn used(person: &Person) -> Value {
    let report = person.json(&["search", "zebra kettle"]);
    assert_eq!(person.json(&["status"])["personal"], report["personal"]);
    report["personal"].clone()
}

#[test]
fn questions_find_what_a_person_means() {
    let ada = Person::new("ada");
    with_notes(&ada);
    let daemon = ada.daemon();
    assert_eq!(ada.json(&["model", "personal", "show"])["adapter"], Value::Null);
    let new = &learn::THINGS[LEARNT..];
    let before = right(&ada, new, &[]);
    let pairs = path(&ada, "pairs.jsonl");
    let info = ada.json(&["model", "personal", "train", "--pairs", &pairs]);
    assert_eq!((&info["not_kept"], &info["problem"]), (&Value::Null, &Value::Null), "{info}");
    let learnt = &info["adapter"]["learnt"];
    let ranks = |which: usize| learnt["reciprocal_rank"][which].as_f64().expect("a number");
    assert!(ranks(1) > ranks(0) + 0.1, "{learnt}");
    assert_eq!(
        (&info["adapter"]["used"], &info["adapter"]["files"]),
        (&json!(true), &json!([pairs]))
    );

    // Also of things that it has never seen, and only where it is wanted.
    let after = right(&ada, new, &[]);
    assert!(after >= before + 0.3, "{before} without it, {after} with it");
    assert_eq!(right(&ada, new, &["--no-personal"]), before);
    assert_eq!(used(&ada), true);
    ada.json(&["model", "personal", "off"]);
    assert_eq!(used(&ada), false);
    ada.json(&["model", "personal", "on"]);
    assert_eq!(used(&ada), true);
    let words = ada.json(&["search", "--mode", "lexical", "zebra kettle"]);
    assert_eq!(words["personal"], false, "words are words");

    daemon.kill();

    // It is for one model, and waits where another one is in use.
    ada.json(&["model", "train", "--pairs", &pairs, "--name", "mine", "--epochs", "1"]);
    ada.json(&["model", "use", "mine"]);
    assert_eq!(used(&ada), true, "the collection is still asked by the model before");
    ada.json(&["reindex", "own"]);
    assert_eq!(used(&ada), false);
    assert_eq!(ada.json(&["model", "personal", "show"])["adapter"]["used"], false);
    ada.json(&["model", "use", "covey-static-en-512"]);
    assert_eq!(used(&ada), true);

    // Damage is told, and does no harm.
    let file = ada.home().join("state/node/blobs/personal");
    let whole = std::fs::read(&file).expect("it is there");
    for cut in [0, 3, 100, whole.len() - 1] {
        std::fs::write(&file, &whole[..cut]).expect("writes");
        let info = ada.json(&["model", "personal", "show"]);
        assert!(info["problem"].is_string() && info["adapter"].is_null(), "cut to {cut}: {info}");
        assert_eq!(used(&ada), false);
        assert_eq!(ada.fails(&["model", "personal", "on"]).kind, "not_found");
    }
    std::fs::write(&file, &whole).expect("writes");
    assert_eq!(used(&ada), true);
    ada.json(&["model", "personal", "remove"]);
    assert_eq!(used(&ada), false);
    assert!(!file.exists());
}

#[test]
fn what_says_nothing_is_not_learnt_from() {
    let ada = Person::new("ada");
    assert_eq!(ada.fails(&["model", "personal", "train"]).kind, "not_found");
    with_notes(&ada);
    let few: String = (0..20)
        .map(|i| {
            format!("{}\n", json!({ "anchor": format!("a {i}"), "positive": format!("b {i}") }))
        })
        .collect();
    let few = ada.write("few.jsonl", few);
    let failure =
        ada.fails(&["model", "personal", "train", "--pairs", few.to_str().expect("plain")]);
    assert!(failure.message.contains("20 pairs") && failure.hint.is_some(), "{failure:?}");

    // What belongs to nothing in particular teaches nothing that holds for other questions.
    let mut state = 7_u64;
    let mut word = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        learn::THINGS[(state >> 59) as usize]
    };
    let mut words = || [word(), word(), word()].join(" ");
    let noise: String = (0..150)
        .map(|_| format!("{}\n", json!({ "anchor": words(), "positive": words() })))
        .collect();
    let noise = ada.write("noise.jsonl", noise);
    let info = ada.json(&["model", "personal", "train", "--pairs", noise.to_str().expect("plain")]);
    assert!(info["not_kept"].is_object() && info["adapter"].is_null(), "{info}");
    assert_eq!(used(&ada), false);
}

#[test]
fn a_group_sees_nothing_of_it_and_it_follows_the_model() {
    let mut lab = learn::lab(&["ada", "ben"]);
    let ada = lab.person(0);
    with_notes(ada);
    ada.json(&["share", "own", "--group", "lab", "--reveal", "snippet"]);
    let scores = |person: &Person| -> Vec<Value> {
        let report = person.search("lab", "zebra kettle");
        assert_eq!(report["personal"], false);
        let results = report["results"].as_array().expect("results");
        results.iter().map(|hit| hit["score"].clone()).collect()
    };
    let ben = lab.person(1);
    let before = (scores(ada), scores(ben));
    assert!(!before.1.is_empty());
    let pairs = path(ada, "pairs.jsonl");
    ada.json(&["model", "personal", "train", "--collections", "own", "--pairs", &pairs]);
    assert_eq!(used(ada), true);
    assert_eq!((scores(ada), scores(ben)), before);

    // Another release of the model is followed by the daemon, also one that comes while it is away.
    let trained = |person: &Person| person.json(&["model", "personal", "show"])["adapter"].clone();
    let first = trained(ada);
    ada.json(&[
        "model", "train", "--pairs", &pairs, "--name", "next", "--epochs", "1", "--rate", "0.0001",
    ]);
    ada.json(&["model", "use", "next"]);
    let follows = |person: &Person, from: &Value| {
        let there = trained(person);
        there["model"] != from["model"] && there["used"] == true
    };
    wait_until("the adapter to follow", || follows(ada, &first));
    let second = trained(ada);
    assert_ne!(second["model"], first["model"]);
    assert_eq!(
        (&second["collections"], &second["files"]),
        (&first["collections"], &first["files"])
    );
    lab.take_daemon(0).kill();
    let ada = lab.person(0);
    ada.json(&["model", "use", "covey-static-en-512"]);
    assert_eq!(trained(ada)["model"], second["model"]);
    let daemon = ada.daemon();
    wait_until("the adapter to follow", || follows(ada, &second));
    assert_eq!(trained(ada)["model"], first["model"]);
    drop(daemon);
}
