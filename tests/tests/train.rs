//! `covey model train` with a real process.

use std::path::Path;

use covey_tests::Person;
use serde_json::{Value, json};

/// Words that mean the same here, though no model knows.
const WORDS: [(&str, &str); 8] = [
    ("zebra", "umbrella"),
    ("copper", "holiday"),
    ("violin", "gravel"),
    ("harbour", "lettuce"),
    ("candle", "engine"),
    ("meadow", "printer"),
    ("saddle", "oxygen"),
    ("pepper", "novel"),
];

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Somebody with pairs in the file `pairs.jsonl`.
fn person() -> Person {
    let ada = Person::new("ada");
    let number = |i: usize| ["one", "two", "three", "four", "five", "six", "seven"][i % 7];
    let pair = |i: usize| {
        let (anchor, positive) = WORDS[i % WORDS.len()];
        json!({
            "anchor": format!("{anchor} {}", number(i)),
            "positive": format!("{positive} {} {i}", number(i * 3 + 1)),
        })
    };
    let lines: String = (0..200).map(|i| format!("{}\n", pair(i))).collect();
    ada.write("pairs.jsonl", lines);
    ada
}

fn train(ada: &Person, more: &[&str]) -> Value {
    let pairs = ada.dir().join("pairs.jsonl");
    ada.json(&[&["model", "train", "--pairs", text(&pairs), "--batch", "16"], more].concat())
}

fn loss(reply: &Value, name: &str) -> f64 {
    reply[name].as_f64().expect("a number")
}

#[test]
fn a_model_learns_what_belongs_together_and_is_used() {
    let ada = person();
    let adapter = ada.dir().join("learnt.safetensors");
    let reply = train(&ada, &["--name", "learnt", "--adapter-out", text(&adapter)]);
    assert_eq!((&reply["type"], &reply["adapter"]), (&json!("trained"), &json!("head")));
    assert_eq!(reply["parameters"], 512 * 512);
    assert!(reply["held_out_pairs"].as_u64().is_some_and(|count| count > 5), "{reply}");
    let (before, after) = (loss(&reply, "held_out_before"), loss(&reply, "held_out"));
    assert!(after < before, "{before} to {after}");
    assert!(adapter.is_file());
    let builtin = ada.json(&["model", "list"])["models"][0].clone();
    assert_eq!(reply["model"]["id"]["base"], builtin["id"]["base"], "of the same lineage");
    assert_ne!(reply["model"]["id"]["release"], builtin["id"]["release"]);

    // The same again is the same model.
    let again = train(&ada, &["--name", "again"]);
    assert_eq!(again["model"]["id"], reply["model"]["id"]);

    ada.write("notes/a.txt", "An umbrella stood by the door.");
    ada.write("notes/b.txt", "The printer is out of paper again.");
    ada.json(&["model", "use", "learnt"]);
    ada.json(&["add", text(&ada.dir().join("notes"))]);
    let found = ada.json(&["search", "zebra", "--mode", "vector"]);
    let first = found["results"][0]["path"].as_str().expect("a result").to_owned();
    assert!(first.ends_with("a.txt"), "{found}");
}

#[test]
fn training_goes_on_from_a_checkpoint() {
    let ada = person();
    let kept = ada.dir().join("kept.safetensors");
    let whole = train(&ada, &["--name", "whole", "--rank", "4", "--token-weights"]);
    let with = |name: &str| {
        train(
            &ada,
            &["--name", name, "--rank", "4", "--token-weights", "--checkpoint", text(&kept)],
        )
    };
    assert_eq!(with("first")["model"]["id"], whole["model"]["id"]);
    // The file holds the last step, so there is none left to take.
    assert_eq!(with("second")["model"]["id"], whole["model"]["id"]);
    let pairs = ada.dir().join("pairs.jsonl");
    let other =
        ["model", "train", "--pairs", text(&pairs), "--name", "third", "--checkpoint", text(&kept)];
    let failure = ada.fails(&other);
    assert_eq!(failure.kind, "usage", "{}", failure.message);
    ada.write("kept.safetensors", "nonsense");
    let failure = ada.fails(&other);
    assert_eq!(failure.kind, "corrupt", "{}", failure.message);
}

#[test]
fn what_cannot_be_trained_is_refused_before_it_is() {
    let ada = person();
    let pairs = ada.dir().join("pairs.jsonl");
    let fails = |more: &[&str]| {
        let failure = ada
            .fails(&[&["model", "train", "--pairs", text(&pairs), "--name", "new"], more].concat());
        (failure.kind, failure.message)
    };
    assert_eq!(fails(&["--model", "none"]).0, "not_found");
    assert_eq!(fails(&["--peft", "folder"]).0, "usage");
    assert_eq!(fails(&["--rank", "0"]).0, "usage");
    assert_eq!(fails(&["--rank", "1000"]).0, "usage");
    assert_eq!(fails(&["--batch", "1"]).0, "usage");
    assert_eq!(fails(&["--temperature", "0"]).0, "usage");
    ada.write("pairs.jsonl", "{\"anchor\": \"a\", \"positive\": \"b\"}\nnonsense\n");
    let (kind, message) = fails(&[]);
    assert_eq!(kind, "usage");
    assert!(message.contains("line 2"), "{message}");
    ada.write("pairs.jsonl", "{\"anchor\": \"a\", \"positive\": \"b\"}\n");
    assert!(fails(&[]).1.contains("pairs"), "one pair teaches nothing");
}
