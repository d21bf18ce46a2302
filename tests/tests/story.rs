//! The whole story, as a person would type it.

use covey_tests::{Lab, Person, wait_until};
use serde_json::json;

const PEAR: &str = "Prune the pear tree in late winter. Shorten last year's leaders by a third, and thin the spurs.";
const CHAIN: &str = "A bicycle chain that skips under load is worn. Measure it with the gauge, then replace the cassette.";
const METEOR: &str =
    "The Perseids peak in August. We counted meteors from the hill until the moon rose.";

#[test]
fn alone_on_a_fresh_machine() {
    let ada = Person::without_node("ada");
    assert_eq!(ada.fails(&["status"]).code, 10, "nothing there yet");
    let made = ada.json(&["init", "--name", "ada"]);
    assert_eq!(made["name"], "ada");
    assert_eq!(ada.fails(&["init"]).kind, "exists");

    ada.write("notes/pear.md", format!("# Pears\n\n{PEAR}"));
    ada.write("notes/deep/chain.txt", CHAIN);
    let folder = ada.dir().join("notes");
    let folder = folder.to_str().expect("a plain path");
    let added = ada.json(&["add", folder]);
    assert_eq!((&added["collection"], &added["added"]), (&json!("notes"), &json!(2)));
    assert_eq!(added["skipped"], json!([]));

    // A second time only what changed is touched.
    ada.write("notes/meteors.txt", METEOR);
    let again = ada.json(&["add", folder]);
    assert_eq!((&again["added"], &again["unchanged"]), (&json!(1), &json!(2)));
    assert_eq!(again["embedded"], again["added"], "one short file is one passage");

    let found = ada.json(&["search", "when", "do", "I", "cut", "the", "pear", "tree"]);
    let best = &found["results"][0];
    assert_eq!(best["path"], json!(ada.dir().join("notes/pear.md")));
    assert_eq!((&best["from"][0]["member"], &best["verified"]), (&json!("you"), &json!(true)));
    assert_eq!(found["coverage"]["asked"], 0);

    let text = ada.run(&["search", "counting meteors in August"]);
    assert!(
        text.stdout.contains("meteors.txt") && text.stdout.contains("from your own files"),
        "{text:?}"
    );

    ada.json(&["remove", "notes"]);
    assert_eq!(ada.json(&["status"])["collections"], json!([]));
    assert!(ada.dir().join("notes/pear.md").exists(), "the files stay");
}

#[test]
fn three_people_search_each_others_files() {
    let mut lab =
        Lab::found(&[("ada", PEAR, "full"), ("ben", CHAIN, "snippet"), ("cleo", METEOR, "score")]);
    let (ada, ben, cleo) = (lab.person(0), lab.person(1), lab.person(2));

    // Ben asks Ada: she reveals all, so his node has checked the score.
    let found = ben.search("lab", "how to prune pear trees");
    let best = &found["results"][0];
    assert_eq!(
        best["from"],
        json!([{ "node": ada.node(), "member": "ada", "collection": "notes" }])
    );
    assert_eq!((&best["text"], &best["verified"]), (&json!(PEAR), &json!(true)));
    assert_eq!(best["path"], json!(null), "no paths of others");
    assert_eq!(
        (&found["coverage"]["asked"], &found["coverage"]["answered"]),
        (&json!(2), &json!(2))
    );

    // Ada asks Ben: a snippet, whose score is his claim; and Cléo reveals that something matches.
    let best = &ada.search("lab", "the chain of my bicycle jumps")["results"][0];
    assert_eq!((&best["from"][0]["member"], &best["verified"]), (&json!("ben"), &json!(false)));
    assert!(best["text"].as_str().is_some_and(|it| it.contains("skips under load")), "{best}");
    let best = &ada.search("lab", "Perseids meteors counted in August")["results"][0];
    assert_eq!(best["from"][0]["member"], "cleo");
    assert_eq!((&best["title"], &best["text"]), (&json!(null), &json!(null)));

    // Everybody sees everybody.
    let status = ada.json(&["status"]);
    assert_eq!((&status["daemon"], &status["groups"][0]["members"]), (&json!(true), &json!(3)));
    assert_eq!(status["collections"][0]["shares"], json!([{ "group": "lab", "reveal": "full" }]));
    let peers = cleo.json(&["peers"]);
    let names: Vec<_> =
        peers["peers"].as_array().expect("a list").iter().map(|it| &it["members_of"]).collect();
    assert!(
        names.contains(&&json!(["lab/ada"])) && names.contains(&&json!(["lab/ben"])),
        "{peers}"
    );
    let members = cleo.json(&["group", "members", "lab"]);
    assert_eq!(members["members"][0]["role"], "owner");
    let doctor = ada.json(&["doctor"]);
    let checks = doctor["checks"].as_array().expect("a list");
    assert!(checks.len() > 5 && checks.iter().all(|it| it["ok"] == true), "{doctor}");

    // What Ada's node told is on record, and the record is whole.
    let record = &ada.json(&["audit", "list"])["records"][0];
    assert_eq!(
        (&record["asker"], &record["question"]),
        (&json!(ben.node()), &json!("how to prune pear trees"))
    );
    assert_eq!(
        (&record["revealed"][0]["collection"], &record["revealed"][0]["reveal"]),
        (&json!("notes"), &json!("full"))
    );
    let records = ada.json(&["audit", "list"])["records"].as_array().expect("a list").len();
    assert_eq!(ada.json(&["audit", "verify"])["records"], json!(records));

    // Roles, and a share that is taken back.
    ada.json(&["group", "role", "lab", "ben", "admin"]);
    wait_until("ben to hear that he is an admin", || {
        ben.json(&["group", "list"])["groups"][0]["role"] == "admin"
    });
    ada.json(&["unshare", "notes", "--group", "lab"]);
    let after = ben.search("lab", "how to prune pear trees");
    let members: Vec<_> = after["results"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["from"][0]["member"])
        .collect();
    assert!(!members.contains(&&json!("ada")), "{after}");

    // Cléo leaves; the others notice, and ask her no more.
    cleo.json(&["group", "leave", "lab"]);
    assert_eq!(cleo.json(&["group", "list"])["groups"], json!([]));
    wait_until("ben to hear that cleo left", || {
        ben.json(&["group", "list"])["groups"][0]["members"] == 2
    });
    assert_eq!(ben.search("lab", "meteors")["coverage"]["asked"], 1);

    // The owner hands the group over, and ends.
    assert_eq!(ada.fails(&["group", "leave", "lab"]).code, 12);
    ada.json(&["group", "transfer", "lab", "ben"]);
    wait_until("ben to own the group", || {
        ben.json(&["group", "list"])["groups"][0]["role"] == "owner"
    });
    let daemon = lab.take_daemon(0);
    lab.person(0).json(&["stop"]);
    assert_eq!(daemon.ended(), Some(0));
    assert!(!lab.person(0).socket().exists());
}

#[test]
fn the_demo_in_json() {
    let somebody = Person::without_node("nobody");
    let report = somebody.json(&["demo"]);
    let questions = report["questions"].as_array().expect("a list");
    let best = |n: usize| questions[n]["report"]["results"][0]["from"][0]["member"].clone();
    assert_eq!([best(0), best(1), best(3)], [json!("Ada"), json!("Ben"), json!("Chloé")]);
    let both = &questions[2]["report"]["results"][0]["from"];
    assert_eq!(both.as_array().map(Vec::len), Some(2), "two hold the sourdough note: {both}");
    let last = &questions.last().expect("five questions")["report"]["coverage"];
    // A node killed a moment ago is offline once its connection is known to be gone, timed out before.
    let missing = ["offline", "timed_out"].map(|outcome| last[outcome].as_u64());
    assert_eq!(last["answered"], 1, "{last}");
    assert!([[Some(1), Some(0)], [Some(0), Some(1)]].contains(&missing), "one is gone: {last}");
    assert!(!somebody.home().exists(), "the demo touches no home");
}
