//! `--device` and `device` in config.toml with a real process that was built without graphics cards.

use covey_embedder::Compute;
use covey_tests::Person;

#[test]
fn the_processor_is_a_device_and_others_say_how_to_build_them() {
    let ada = Person::without_node("ada");
    let bench = ["model", "bench", "--seconds", "0.05", "--device"];
    assert_eq!(ada.json(&[&bench[..], &["cpu"]].concat())["type"], "model_bench");
    let unknown = ada.run(&[&bench[..], &["gpu"]].concat());
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("write cpu, cuda or wgpu"), "{}", unknown.stderr);
    for (device, named, feature) in
        [(Compute::Wgpu(0), "wgpu", "wgpu"), (Compute::Cuda(1), "cuda:1", "cuda")]
    {
        if device.is_built() {
            continue;
        }
        let failure = ada.fails(&[&bench[..], &[named]].concat());
        assert_eq!(failure.kind, "usage");
        let said = format!("built without {feature}, so it cannot compute on {device}");
        assert!(failure.message.contains(&said), "{}", failure.message);
        let build = format!("cargo build --release --features {feature}");
        assert!(failure.message.contains(&build), "{}", failure.message);
    }
}

#[test]
fn the_configured_device_is_taken_and_the_doctor_looks_at_it() {
    if Compute::Wgpu(0).is_built() {
        return;
    }
    let ada = Person::new("ada");
    let config = ada.home().join("config/config.toml");
    let text = std::fs::read_to_string(&config).expect("it was made");
    assert!(text.contains("device = \"cpu\""), "{text}");
    let text = text.replace("device = \"cpu\"", "device = \"wgpu\"");
    std::fs::write(&config, text).expect("writes");
    let failure = ada.fails(&["model", "train", "--pairs", "none.jsonl", "--name", "new"]);
    assert_eq!(failure.kind, "usage");
    assert!(failure.message.contains("--features wgpu"), "{}", failure.message);
    assert!(failure.hint.is_some_and(|hint| hint.contains("config.toml")), "{}", failure.message);
    let report = ada.run(&["doctor"]);
    assert!(report.stdout.contains("wgpu:0"), "{report:?}");
    // What needs no transformer goes on.
    ada.json(&["status"]);
}
