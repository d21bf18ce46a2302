//! `covey tune` with a real process.

use covey_tests::Person;

#[test]
fn a_collection_is_tuned_by_what_a_person_wants_and_says_so() {
    let ada = Person::new("ada");
    for n in 0..350 {
        let (a, b) = (n * 7 % 31, n * 13 % 37);
        ada.write(&format!("notes/{n}.txt"), format!("Shelf {n} holds jar {a} and crate {b}."));
    }
    let notes = ada.dir().join("notes");
    ada.json(&["add", notes.to_str().expect("a plain path")]);

    let goals = ["tune", "notes", "--latency", "10s", "--recall", "0.9", "--disk", "4000B"];
    let dry = ada.json(&[&goals[..], &["--dry-run"]].concat());
    assert_eq!((&dry["type"], &dry["applied"]), (&"tuned".into(), &false.into()));
    let run = ada.run(&goals);
    assert_eq!(run.code, Some(0), "{run:?}");
    for part in
        ["predicted", "→", "in force and measured: recall", "goals    recall 0.9, latency 10.0 s"]
    {
        assert!(run.stdout.contains(part), "no {part:?} in {}", run.stdout);
    }
    let status = ada.run(&["status"]);
    assert!(status.stdout.contains("goals: recall 0.9, latency 10.0 s, 4000 bytes"), "{status:?}");

    let tight = ada.run(&["tune", "notes", "--disk", "1B", "--latency", "1us"]);
    assert_eq!(tight.code, Some(0), "{tight:?}");
    assert!(tight.stdout.contains("in the way"), "{}", tight.stdout);
    assert!(tight.stderr.contains("--nearest"), "{}", tight.stderr);
    let off = ada.run(&["tune", "notes", "--off"]);
    assert_eq!(off.code, Some(0), "{off:?}");
    assert!(!ada.run(&["status"]).stdout.contains("goals:"));
    assert_eq!(ada.fails(&["tune", "notes", "--off"]).kind, "not_found");
    assert_eq!(ada.fails(&["tune", "nothing"]).kind, "not_found");
    assert_eq!(ada.run(&["tune", "notes", "--latency", "5"]).code, Some(2));
}
