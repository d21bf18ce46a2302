//! Learning together: real nodes train on their own files, one of them coordinates, and only sums are seen.

use covey_tests::learn::{after, history, opt_in, status};
use covey_tests::{Lab, Person, learn, wait_until};

/// A group whose members have notes to learn from; the first coordinates.
fn lab(members: usize) -> Lab {
    let lab = learn::lab(&["ada", "ben", "cleo", "dan", "eve"][..members]);
    learn::first_coordinates(&lab);
    lab
}

const QUICK: [&str; 8] = ["--window", "100s", "--pause", "1s", "--phase", "20s", "--clip", "2"];

fn start(person: &Person, rounds: &str, options: &[&str]) {
    let start = ["train", "start", "lab", "--rounds", rounds];
    person.json(&[&start[..], &QUICK, options].concat());
}

#[test]
fn members_learn_together_and_whoever_did_not_ask_to_takes_no_part() {
    let lab = lab(5);
    let ada = lab.person(0);
    // Nothing is trained by default.
    for person in &lab.people {
        assert!(status(person)["taking_part"].is_null());
    }
    let failure = lab.person(1).fails(&["train", "start", "lab", "--without-noise"]);
    assert_eq!(failure.kind, "forbidden", "{failure:?}");
    // Nor does who coordinates nothing end anything.
    let failure = lab.person(1).fails(&["train", "stop", "lab"]);
    assert_eq!(failure.kind, "forbidden", "{failure:?}");
    for person in &lab.people[..4] {
        opt_in(person, &["--without-noise", "--min-honest", "2", "--adopt", "ask"]);
    }
    start(ada, "2", &["--without-noise", "--max-cohort", "4", "--release", "never"]);
    // Each waits for Eve until the time to check in is over.
    after(ada, 1);
    let history = after(ada, 2);
    for round in &history {
        assert!(round["failed"].is_null(), "{round}");
        assert_eq!(round["participants"], 4, "{round}");
        assert!(round["norm"].as_f64().is_some_and(|norm| norm > 0.0), "{round}");
    }
    for person in &lab.people[..4] {
        wait_until("each to have heard", || status(person)["rounds"] == 2);
    }
    assert_eq!(status(lab.person(4))["rounds"], 0);
    wait_until("the campaign to end", || status(ada)["campaign"]["left"].is_null());
    released(&lab);
}

/// What was learnt becomes a release that some members move to, while everybody goes on finding things.
fn released(lab: &Lab) {
    let (ada, ben, cleo) = (lab.person(0), lab.person(1), lab.person(2));
    for person in &lab.people {
        person.json(&["share", "learn", "--group", "lab", "--reveal", "full"]);
    }
    assert_eq!(ben.fails(&["model", "release", "lab"]).kind, "forbidden");
    assert_eq!(ben.fails(&["model", "adopt", "lab"]).kind, "not_found");
    let releases = ada.json(&["model", "release", "lab"]);
    assert_eq!(releases["releases"][0]["number"], 1, "{releases}");
    wait_until("ben to hear of it", || status(ben)["release"] == 1);
    let adopted = ben.json(&["model", "adopt", "lab", "--force"]);
    assert_eq!(adopted["number"], 1);
    assert!(
        adopted["model"].as_str().is_some_and(|name| name.starts_with("r-lab-1-")),
        "{adopted}"
    );
    let loss = adopted["loss"].as_array().expect("ben has pairs to judge by");
    assert!(loss.iter().all(|loss| loss.as_f64().is_some_and(f64::is_finite)), "{adopted}");
    ada.json(&["model", "adopt", "lab", "--force"]);
    wait_until("the group to be heard of cleo by", || status(cleo)["release"] == 1);
    assert!(cleo.json(&["model", "releases", "lab"])["releases"][0]["model"].is_null());
    // Two have moved and three have not: all find all.
    for person in [ben, cleo] {
        wait_until("everybody to answer", || {
            let found = person.search("lab", "the violin wants attention");
            let full = found["results"].as_array().is_some_and(|results| {
                results.iter().any(|it| it["text"].as_str().is_some_and(|it| it.contains("violin")))
            });
            found["coverage"]["answered"] == 4 && full
        });
    }
    ben.json(&["model", "rollback", "lab"]);
    let releases = ben.json(&["model", "releases", "lab"]);
    assert_eq!(releases["releases"][0]["used"], false, "{releases}");
}

#[test]
fn whoever_coordinated_ends_its_own_rounds() {
    let lab = lab(4);
    let (ada, ben) = (lab.person(0), lab.person(1));
    start(ada, "1", &["--without-noise"]);
    ada.json(&["group", "coordinator", "lab", "ben"]);
    wait_until("ben to hear of it", || status(ben)["coordinates"] == true);
    ada.json(&["train", "stop", "lab"]);
    // Once.
    assert_eq!(ada.fails(&["train", "stop", "lab"]).kind, "forbidden");
    ben.json(&["train", "stop", "lab"]);
}

#[test]
fn a_budget_is_kept_by_the_node_itself() {
    let lab = lab(4);
    let ada = lab.person(0);
    for person in &lab.people {
        opt_in(person, &["--epsilon", "3", "--min-honest", "2"]);
    }
    // Two rounds cost 4; one of them is within everybody's budget.
    start(ada, "2", &["--epsilon", "4"]);
    let first = after(ada, 1);
    assert_eq!(first[0]["participants"], 4, "{first:?}");
    for person in &lab.people {
        wait_until("the ledger to refuse", || {
            let refused = status(person)["refused"].clone();
            refused.as_str().is_some_and(|why| why.contains("budget of 3"))
        });
        let report = person.json(&["privacy", "report"]);
        let peer = &report["accounts"][0];
        let spent = peer["epsilon"].as_f64().expect("a number");
        assert!((2.0..=3.0).contains(&spent), "{report}");
        assert!(peer["replace_one_epsilon"].as_f64().is_some_and(|it| it > spent), "{report}");
    }
    // Nobody sent anything in the second round, in any attempt.
    ada.json(&["train", "stop", "lab"]);
    assert!(history(ada)[1..].iter().all(|attempt| attempt["participants"] == 0));
}

#[test]
fn members_learn_by_document_and_nothing_is_promised_of_all_of_them() {
    let lab = lab(5);
    let (ada, dan, whole) = (lab.person(0), lab.person(3), lab.person(4));
    let by_document = ["--unit", "document", "--epsilon", "4"];
    let terms = [&by_document[..], &["--min-honest", "2", "--adopt", "ask"]].concat();
    for person in &lab.people[..3] {
        opt_in(person, &terms);
    }
    // A mailbox is one document, however many letters it has.
    dan.json(&["add", &mailbox(dan), "--collection", "mail"]);
    dan.json(&[&["train", "opt-in", "lab", "--collections", "mail"], &terms[..]].concat());
    opt_in(whole, &["--epsilon", "4", "--min-honest", "2"]);
    // What no document could be protected with.
    for options in [
        &["--unit", "document", "--without-noise"][..],
        &["--unit", "document", "--epsilon", "4", "--rate", "0.1"],
        &["--epsilon", "4", "--documents", "8"],
    ] {
        let failure = ada.fails(&[&["train", "start", "lab"], options].concat());
        assert_eq!(failure.kind, "usage", "{failure:?}");
    }
    ada.json(&["group", "policy", "lab", "--quorum", "3"]);
    let failure = ada.fails(&[&["train", "start", "lab"], &by_document[..]].concat());
    assert!(failure.message.contains("--quorum 0"), "{failure:?}");
    ada.json(&["group", "policy", "lab", "--quorum", "0"]);
    let four = ["--documents", "8", "--max-cohort", "4", "--server-rate", "0.5"];
    start(ada, "2", &[&by_document[..], &four].concat());
    for round in after(ada, 2) {
        assert_eq!(round["participants"], 4, "{round}");
        assert!(round["norm"].as_f64().is_some_and(|norm| norm > 0.0), "{round}");
        assert!(round["loss"].is_null() && round["clipped"].is_null(), "{round}");
    }
    wait_until("who protects all that it has to refuse", || {
        let refused = status(whole)["refused"].clone();
        refused.as_str().is_some_and(|why| why.contains("R17") && why.contains("--unit document"))
    });
    for person in &lab.people[..4] {
        let trained = &status(person)["trained"];
        let documents = if person.name == "dan" { 1 } else { 8 };
        assert_eq!((&trained["by_document"], &trained["steps"]), (&true.into(), &documents.into()));
        let report = person.json(&["privacy", "report"]);
        let accounts = report["accounts"].as_array().expect("a list");
        let [documents] =
            accounts.iter().filter(|it| it["unit"] == "document").collect::<Vec<_>>()[..]
        else {
            panic!("one collection: {report}")
        };
        let spent = documents["epsilon"].as_f64().expect("a number");
        assert!((3.0..=4.0).contains(&spent) && documents["budget"] == 4.0, "{report}");
        let wholes = accounts.iter().filter(|it| it["unit"] == "peer");
        assert!(wholes.clone().count() == 2, "{report}");
        assert!(wholes.into_iter().all(|it| it["epsilon"].is_null()), "{report}");
        // So no budget holds for all that it has.
        let again = ["train", "opt-in", "lab", "--collections", "learn", "--epsilon", "9"];
        assert_eq!(person.fails(&again).kind, "forbidden");
    }
    for text in [&["train", "status", "lab"][..], &["privacy", "report"]] {
        let said = ada.run(text).stdout;
        assert!(
            said.contains("all of them together, and what they have in common, are not"),
            "{said}"
        );
    }
    let untouched = whole.json(&["privacy", "report"]);
    let peer = &untouched["accounts"][0];
    assert_eq!((peer["epsilon"].as_f64(), &peer["unit"]), (Some(0.0), &"peer".into()));
}

#[test]
fn a_plan_without_noise_is_refused_by_who_wants_noise() {
    let lab = lab(4);
    let ada = lab.person(0);
    let careful = lab.person(3);
    opt_in(careful, &["--epsilon", "8", "--min-honest", "2"]);
    start(ada, "1", &["--without-noise", "--min-cohort", "3", "--max-cohort", "3"]);
    wait_until("the plan to be refused", || {
        let refused = status(careful)["refused"].clone();
        refused.as_str().is_some_and(|why| why.contains("R6"))
    });
    for person in &lab.people[..3] {
        opt_in(person, &["--without-noise", "--min-honest", "2"]);
    }
    let history = after(ada, 1);
    assert_eq!(history[0]["participants"], 3, "{history:?}");
    assert!(careful.json(&["privacy", "report"])["accounts"][0]["epsilon"] == 0.0);
}

#[test]
fn pairs_from_a_file_are_learnt_from_and_have_an_account_of_their_own() {
    let lab = lab(4);
    let (ada, ben, cleo, dan) = (lab.person(0), lab.person(1), lab.person(2), lab.person(3));
    let files: Vec<String> = lab.people[1..].iter().map(mined).collect();
    let terms = ["--epsilon", "12", "--min-honest", "2"];
    let from = |person: &Person, sources: &[&str]| {
        person.json(&[&["train", "opt-in", "lab"], sources, &terms[..]].concat());
    };
    let nothing = ben.fails(&["train", "opt-in", "lab", "--epsilon", "8"]);
    assert_eq!(nothing.kind, "usage", "{nothing:?}");
    let gone = [&["train", "opt-in", "lab", "--pairs", "/nowhere.jsonl"], &terms[..]].concat();
    assert_eq!(ben.fails(&gone).kind, "not_found");
    from(ada, &["--collections", "learn"]);
    from(ben, &["--pairs", &files[0]]);
    from(cleo, &["--collections", "learn", "--pairs", &files[1]]);
    from(dan, &["--pairs", &files[2]]);
    // It is read when it is learnt from, and not before.
    std::fs::write(&files[2], "{\"anchor\":\"a\",\"positive\":\"b\"}\n{\"anchor\":1}\n")
        .expect("writes");
    start(ada, "1", &["--epsilon", "4", "--min-cohort", "3"]);
    wait_until("dan's file to be refused", || {
        let refused = status(dan)["refused"].clone();
        refused.as_str().is_some_and(|why| why.contains("line 2"))
    });
    let history = after(ada, 1);
    assert_eq!(history[0]["participants"], 3, "{history:?}");
    let phases = history[0]["phases"].as_array().expect("a list");
    let names: Vec<&str> = phases.iter().filter_map(|phase| phase[0].as_str()).collect();
    assert_eq!(names, ["gathering", "shares", "uploads", "survivors", "opening"], "{history:?}");

    let trained = status(ben)["trained"].clone();
    assert!(trained["pairs"].as_u64().is_some_and(|pairs| pairs >= 8), "{trained}");
    assert!(trained["steps"].as_u64().is_some_and(|steps| steps > 0), "{trained}");
    assert!(trained["norm"].as_f64().is_some_and(|norm| norm > 0.0), "{trained}");
    // Cleo's collection and her file are charged apart, and both count once as hers.
    for (person, file) in [(ben, &files[0]), (cleo, &files[1])] {
        let report = person.json(&["privacy", "report"]);
        let all = report["accounts"].as_array().expect("a list");
        let pairs = all.iter().find(|account| account["pairs"] == **file).expect("its account");
        assert!(pairs["epsilon"].as_f64().is_some_and(|spent| spent > 0.0), "{report}");
        assert!(pairs["budget"] == 12.0, "{report}");
    }
    assert_eq!(dan.json(&["privacy", "report"])["accounts"][0]["epsilon"], 0.0);
}

/// A folder with a mailbox of a dozen letters.
fn mailbox(person: &Person) -> String {
    let letter = |thing: &&str| {
        format!(
            "From ada@example.org Mon Nov 30 10:00:00 2026\nFrom: ada@example.org\nSubject: About the {thing} again\n\n\
             The {thing} wants attention, done slowly and with dry hands.\n\n"
        )
    };
    let letters: String = learn::THINGS[..12].iter().map(letter).collect();
    let file = person.write("mail/box.mbox", letters);
    file.parent().and_then(|folder| folder.to_str()).expect("a plain path").to_owned()
}

#[test]
fn what_two_collections_have_in_common_is_charged_to_both() {
    let lab = lab(2);
    let ada = lab.person(0);
    let file = mined(ada);
    let note = ada.dir().join("learn/kettle.md");
    ada.json(&["add", note.to_str().expect("a plain path"), "--collection", "kettle"]);
    let opt_in = ["train", "opt-in", "lab", "--unit", "document", "--epsilon", "4"];
    let twice = [&opt_in[..], &["--collections", "learn", "--pairs", &file]].concat();
    assert_eq!(ada.fails(&twice).kind, "usage");
    for collection in ["kettle", "learn"] {
        ada.json(&[&opt_in[..], &["--collections", collection]].concat());
        let report = ada.json(&["privacy", "report"]);
        let accounts = report["accounts"].as_array().expect("a list").iter();
        let budgets: Vec<(&str, f64)> = accounts
            .filter_map(|it| Some((it["collection"].as_str()?, it["budget"].as_f64()?)))
            .collect();
        assert_eq!(budgets.len(), 2, "{report}");
        assert!(budgets.iter().all(|(_, budget)| *budget == 4.0), "{report}");
        for name in ["kettle", "learn"] {
            assert!(budgets.iter().any(|(of, _)| *of == name), "{report}");
        }
    }
}

/// Pairs of somebody's notes, in a file.
fn mined(person: &Person) -> String {
    let file = person.dir().join("pairs.jsonl").to_str().expect("a plain path").to_owned();
    person.json(&["model", "mine", "--collection", "learn", "--out", &file]);
    file
}
