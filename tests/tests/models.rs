//! Two members with different models.

use std::borrow::Cow;

use covey_embedder::{Bits, StaticAbout, StaticModel, StaticParts};
use covey_tests::{Lab, Person};
use serde_json::json;

const NOTE: &str = "Descale the kettle with citric acid and rinse it three times.";

/// A model of eight words that is no relative of the built-in one.
fn tiny_model(person: &Person) -> String {
    let vocabulary = ["[UNK]", "kettle", "acid", "rinse", "the", "with", "pear", "tree"];
    let dim = 4;
    let rows: Vec<u8> = (0..vocabulary.len() * dim).map(|n| (n * 37 % 100) as u8 + 1).collect();
    let model = StaticModel::new(StaticParts {
        about: StaticAbout { name: "tiny".into(), licence: "MIT".into(), teacher: "nobody".into() },
        root_weights: [9; 32],
        dim,
        max_tokens: 64,
        vocabulary: vocabulary.map(str::to_owned).to_vec(),
        scales: vec![0.01; vocabulary.len()],
        bits: Bits::WHOLE,
        rows: Cow::Owned(rows),
    });
    let bytes = model.expect("a valid model").to_bytes().expect("encodes");
    person.write("tiny.cvst", bytes).to_str().expect("a plain path").to_owned()
}

#[test]
fn a_mixed_model_is_named_and_says_what_to_do() {
    let lab = Lab::found(&[("ada", NOTE, "full"), ("ben", NOTE, "full"), ("cleo", NOTE, "full")]);
    let (ada, ben) = (lab.person(0), lab.person(1));
    let pulled = ben.json(&["model", "pull", "--dir", &tiny_model(ben)]);
    assert_eq!((&pulled["name"], &pulled["family"]), (&json!("tiny"), &json!("static")));
    ben.json(&["model", "use", "tiny"]);
    let models = ben.json(&["model", "list"]);
    let current: Vec<_> = models["models"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|it| it["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["name"], "tiny");

    // His collection was made with the other model, and still answers in that.
    assert_eq!(Lab::outcome(&ada.search("lab", "kettle"), "ben")["outcome"], "answered");
    ben.json(&["reindex", "notes"]);
    let found = ada.search("lab", "kettle");
    let outcome = Lab::outcome(&found, "ben");
    assert_eq!(outcome["outcome"], "refused", "{found}");
    assert!(outcome["reason"].as_str().is_some_and(|it| it.contains("model")), "{outcome}");
    assert_eq!(Lab::outcome(&found, "cleo")["outcome"], "answered", "the others answer");
    // Ben himself finds his own, with the model they have.
    assert_eq!(ben.json(&["search", "kettle"])["results"][0]["from"][0]["member"], "you");

    ben.json(&["model", "use", "covey-static-en-512"]);
    ben.json(&["reindex"]);
    assert_eq!(Lab::outcome(&ada.search("lab", "kettle"), "ben")["outcome"], "answered");
}

#[test]
fn a_damaged_model_file_is_refused() {
    let ada = Person::new("ada");
    let path = tiny_model(&ada);
    let mut bytes = std::fs::read(&path).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    let failure = ada.fails(&["model", "pull", "--dir", &path]);
    assert!(["corrupt", "usage"].contains(&failure.kind.as_str()), "{failure:?}");
    assert_eq!(ada.fails(&["model", "use", "tiny"]).kind, "not_found");
}
