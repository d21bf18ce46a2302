//! `covey model bench` with a real process.

use covey_tests::Person;

#[test]
fn the_builtin_model_is_measured_without_a_node_and_nothing_is_left_behind() {
    let ada = Person::without_node("ada");
    let reply = ada.json(&["model", "bench", "--seconds", "0.05"]);
    assert_eq!(reply["type"], "model_bench");
    assert_eq!((&reply["chunk_tokens"], &reply["query_tokens"]), (&256.into(), &12.into()));
    assert!(reply["threads"].as_u64().is_some_and(|threads| threads > 0), "{reply}");
    let [model] = reply["models"].as_array().expect("a list").as_slice() else {
        panic!("one model: {reply}")
    };
    assert_eq!(
        (&model["name"], &model["family"]),
        (&"covey-static-en-512".into(), &"static".into())
    );
    assert!(model["tokens_per_s"].as_f64().is_some_and(|rate| rate > 1e3), "{model}");
    let [path] = model["paths"].as_array().expect("a list").as_slice() else {
        panic!("one path: {model}")
    };
    for rate in ["chunks_per_s", "chunks_per_s_all_threads", "chunk_us", "query_us"] {
        assert!(path[rate].as_f64().is_some_and(|value| value > 0.0), "{rate} in {path}");
    }
    let none = serde_json::Value::Null;
    assert_eq!([&model["in_use"], &model["pick"], &model["faster"]], [&none; 3]);
    assert!(!ada.home().join("data").exists(), "a home was begun");
}

#[test]
fn a_report_for_people_names_the_machine_and_the_model() {
    let ada = Person::new("ada");
    let run = ada.run(&["model", "bench", "--model", "covey-static-en-512", "--seconds", "0.05"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for part in ["this machine", "chunks/s", "million tokens/s", "static"] {
        assert!(run.stdout.contains(part), "no {part:?} in {}", run.stdout);
    }
}

#[test]
fn what_cannot_be_measured_or_set_is_refused_before_anything_is_measured() {
    let ada = Person::new("ada");
    // A minute for each path: these answer at once or the test takes long.
    assert_eq!(
        ada.fails(&["model", "bench", "--model", "none", "--seconds", "60"]).kind,
        "not_found"
    );
    let failure = ada.fails(&["model", "bench", "--set", "int8", "--seconds", "60"]);
    assert_eq!(failure.kind, "usage");
    assert!(failure.hint.is_some_and(|hint| hint.contains("model pull")), "{}", failure.message);
    for bad in [&["--seconds", "0"][..], &["--set", "int4"]] {
        let run = ada.run(&[&["model", "bench"], bad].concat());
        assert_eq!(run.code, Some(2), "{run:?}");
    }
}

/// With the real transformer, where it can be had: every path, and a choice that lasts.
#[test]
fn a_path_is_remembered_for_a_transformer() {
    let Some(_) = covey_embedder::testing::minilm() else { return };
    let ada = Person::new("ada");
    let name = covey_embedder::testing::MINILM_NAME;
    let cache = covey_embedder::default_cache().expect("it has just been used");
    ada.json(&["model", "pull", "--dir", cache.join(name).to_str().expect("a plain path")]);
    let bench = |set: &[&str]| {
        let reply =
            ada.json(&[&["model", "bench", "--model", name, "--seconds", "0.05"], set].concat());
        reply["models"][0].clone()
    };
    let chosen = bench(&["--set", "int8"]);
    let paths: Vec<_> = chosen["paths"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|path| path["path"].clone())
        .collect();
    assert_eq!(paths, ["f32", "int16", "int8", "reference"]);
    assert_eq!((&chosen["in_use"], &chosen["chosen"]), (&"int8".into(), &true.into()));
    let back = bench(&["--set", "auto"]);
    assert_eq!(back["chosen"], false);
    let own = covey_embedder::Precision::Auto.here().name();
    assert_eq!(back["in_use"], own);
}
