//! Releases of a group's model by themselves: made when they are due, evaluated where the group wants that, and used by whoever does no
//! worse with them, wherever they come from.

use covey_tests::learn::status;
use covey_tests::{Lab, Person, learn, wait_for, wait_until};
use serde_json::Value;

/// A group whose members have notes to learn from, enough of them that some are held out; the first owns it and coordinates.
fn lab(members: usize) -> Lab {
    lab_where(members, |_| 0)
}

fn lab_where(members: usize, apart: impl Fn(usize) -> usize) -> Lab {
    let names = ["ada", "ben", "cleo", "dan", "eve"];
    let lab = learn::lab_of(&names[..members], learn::THINGS.len(), apart);
    learn::first_coordinates(&lab);
    lab
}

fn releases(person: &Person) -> Value {
    person.json(&["model", "releases", "lab"])
}

fn opt_in(person: &Person, options: &[&str]) {
    learn::opt_in(person, &[&["--without-noise", "--min-honest", "2"], options].concat());
}

/// One round of `members`, which hardly moves the values unless `options` say so: nobody does worse with them.
fn learn_once(coordinator: &Person, members: &str, options: &[&str]) {
    let start =
        ["train", "start", "lab", "--rounds", "1", "--without-noise", "--max-cohort", members];
    let gentle = if options.contains(&"--rate") { &[][..] } else { &["--rate", "0.000001"] };
    let times = ["--window", "100s", "--pause", "1s", "--phase", "20s"];
    coordinator.json(&[&start[..], &times, gentle, options].concat());
    wait_for("the round to end", || {
        let campaign = &status(coordinator)["campaign"];
        campaign["left"].is_null().then_some(())
    });
    let history = status(coordinator)["campaign"]["history"].clone();
    assert!(history[0]["failed"].is_null(), "{history}");
}

fn wait_for_release(person: &Person, number: u64) {
    wait_until("a release to be heard of", || status(person)["release"] == number);
}

fn uses(person: &Person, number: u64) -> bool {
    let current = releases(person)["releases"][0].clone();
    current["number"] == number && current["used"] == true
}

#[test]
fn a_release_is_made_and_adopted_by_itself() {
    let lab = lab(5);
    let (ada, ben, eve) = (lab.person(0), lab.person(1), lab.person(4));
    for person in &lab.people[..3] {
        opt_in(person, &[]);
    }
    opt_in(lab.person(3), &["--adopt", "ask"]);
    // Eve takes no part in the rounds.
    let follows = eve.json(&["model", "follow", "lab"]);
    assert_eq!((&follows["adopt"], &follows["keep"]), (&"auto".into(), &2.into()));
    learn_once(ada, "4", &[]);
    for person in [ada, ben, lab.person(2), eve] {
        wait_until("each to use the release", || uses(person, 1));
        wait_until("it to be noted", || status(person)["not_adopted"].is_null());
    }
    // Dan is asked.
    wait_for_release(lab.person(3), 1);
    let asked = releases(lab.person(3));
    assert_eq!((&asked["adopt"], &asked["releases"][0]["used"]), (&"ask".into(), &false.into()));
    assert!(asked["not_adopted"].is_string(), "{asked}");
    // What was gone back from is not adopted by itself again.
    ben.json(&["model", "rollback", "lab"]);
    let back = releases(ben);
    assert_eq!(back["releases"][0]["used"], false, "{back}");
    assert_eq!(back["not_adopted"], "you went back from it");
    // There was a release this week: the next round's makes none.
    learn_once(ada, "4", &[]);
    let campaign = status(ada)["campaign"].clone();
    assert_eq!((&campaign["rounds"], &campaign["next_release"]), (&2.into(), &Value::Null));
    assert_eq!(campaign["release_every_s"], 7 * 86_400);
    // By hand there is no limit, and Ben is offered the new one. One a day is tried by itself, more by command.
    ada.json(&["model", "release", "lab"]);
    for person in [ada, ben, lab.person(2), eve] {
        wait_until("each to leave the next release for today", || {
            let why = status(person)["not_adopted"].clone();
            why.as_str().is_some_and(|why| why.contains("tried within a day"))
        });
        person.json(&["model", "adopt", "lab"]);
        wait_until("each to use the next release", || uses(person, 2));
    }
    let kept = eve.json(&["model", "releases", "lab", "--keep", "0"]);
    assert_eq!(kept["keep"], 0);
    wait_until("the old release to go once no collection needs it", || {
        let kept = eve.json(&["model", "releases", "lab", "--keep", "0"]);
        kept["releases"][1]["model"].is_null()
    });
    assert!(uses(eve, 2));
}

#[test]
fn whoever_left_and_comes_back_takes_no_part_until_it_opts_in() {
    let lab = lab(4);
    let (ada, ben) = (lab.person(0), lab.person(1));
    for person in &lab.people {
        opt_in(person, &["--adopt", "ask"]);
    }
    learn_once(ada, "4", &["--release", "never"]);
    ada.json(&["model", "release", "lab"]);
    wait_for_release(ben, 1);
    let adopted = ben.json(&["model", "adopt", "lab"]);
    wait_until("ben to have heard of the end", || status(ben)["rounds"] == 1);
    assert!(!kept(ben).is_empty());
    ben.json(&["group", "leave", "lab"]);
    assert_eq!(kept(ben), Vec::<String>::new());
    // It is in use.
    let models = ben.json(&["model", "list"])["models"].clone();
    let used = models.as_array().and_then(|all| all.iter().find(|it| it["current"] == true));
    assert_eq!(used.map(|it| &it["name"]), Some(&adopted["model"]), "{models}");

    ben.json(&["join", ada.json(&["invite", "lab"])["code"].as_str().expect("a code")]);
    let back = status(ben);
    assert!(back["taking_part"].is_null() && back["trained"].is_null(), "{back}");
    // What was seen of plans is not forgotten.
    assert_eq!(back["rounds"], 1, "{back}");
    assert_eq!(releases(ben)["adopt"], "ask");
    assert_eq!(ben.fails(&["model", "rollback", "lab"]).kind, "not_found");
    learn_once(ada, "3", &["--min-cohort", "3", "--release", "never"]);
    assert_eq!(status(ben)["rounds"], 1);
    opt_in(ben, &[]);
    learn_once(ada, "4", &["--release", "never"]);
    wait_until("ben to be summed again", || status(ben)["rounds"] == 2);
}

/// Names of the files that are kept of a group's rounds and releases.
fn kept(person: &Person) -> Vec<String> {
    let folder = std::fs::read_dir(person.home().join("state/node/blobs")).expect("a folder");
    let names = folder.map(|it| it.expect("reads").file_name().to_string_lossy().into_owned());
    let kinds = ["-record", "-masked"];
    let kept = |name: &String| name.starts_with('h') || kinds.iter().any(|it| name.ends_with(it));
    names.filter(kept).collect()
}

#[test]
fn a_release_that_does_worse_is_declined_once_and_for_all() {
    // Three learn from notes that are mixed up; Ada coordinates and learns from nothing; Eve's notes are in order.
    let lab = lab_where(5, |number| if (1..=3).contains(&number) { 5 } else { 0 });
    let (ada, eve) = (lab.person(0), lab.person(4));
    for person in &lab.people[1..=3] {
        opt_in(person, &[]);
    }
    eve.json(&["model", "follow", "lab"]);
    // So far along one direction that hardly anything is left of the others.
    let hard = ["--epochs", "20", "--rate", "0.01", "--rank", "1", "--server-rate", "100000"];
    learn_once(ada, "3", &[&hard[..], &["--min-cohort", "3"]].concat());
    wait_until("eve to decline", || {
        let declined = releases(eve)["releases"][0]["declined"].clone();
        declined.as_str().is_some_and(|why| why.contains("does worse"))
    });
    let why = status(eve)["not_adopted"].clone();
    assert!(why.as_str().is_some_and(|why| why.contains("does worse")), "{why}");
    assert!(!uses(eve, 1));
    assert_eq!(eve.fails(&["model", "adopt", "lab"]).kind, "forbidden");
    let adopted = eve.json(&["model", "adopt", "lab", "--force"]);
    let loss = adopted["loss"].as_array().expect("eve has pairs to judge by");
    assert!(loss[1].as_f64() > loss[0].as_f64(), "{adopted}");
    assert!(uses(eve, 1));
    assert!(releases(eve)["releases"][0]["declined"].is_null());
}

#[test]
fn members_evaluate_a_release_before_it_becomes_one() {
    let lab = lab(5);
    let ada = lab.person(0);
    assert_eq!(lab.person(1).fails(&["group", "policy", "lab", "--quorum", "4"]).kind, "forbidden");
    ada.json(&["group", "policy", "lab", "--quorum", "4"]);
    for person in &lab.people {
        opt_in(person, &[]);
    }
    learn_once(ada, "5", &[]);
    for person in &lab.people {
        wait_until("each to use the release", || uses(person, 1));
        let evaluation = releases(person)["releases"][0]["evaluation"].clone();
        assert!(evaluation["members"].as_u64().is_some_and(|it| it >= 4), "{evaluation}");
        assert!(evaluation["no_worse"].as_f64().is_some_and(|it| it > 0.9), "{evaluation}");
        let loss = evaluation["loss"].as_array().expect("two");
        assert!(loss.iter().all(|it| it.as_f64().is_some_and(|it| it > 0.0)), "{evaluation}");
    }
    let history = status(ada)["campaign"]["history"].clone();
    assert!(history[1]["no_worse"].is_number(), "{history}");
    assert_eq!(status(ada)["campaign"]["rounds"], 1, "nothing was trained in it");
}

#[test]
fn without_its_quorum_nothing_is_released() {
    let lab = lab(4);
    let ada = lab.person(0);
    ada.json(&["group", "policy", "lab", "--quorum", "5"]);
    for person in &lab.people {
        opt_in(person, &[]);
    }
    learn_once(ada, "4", &[]);
    let held_back = || {
        let next = status(ada)["campaign"]["next_release"].clone();
        next.as_str().filter(|next| next.starts_with("is held back")).map(str::to_owned)
    };
    let why = wait_for("what was learnt to be held back", held_back);
    assert!(why.contains("the group has 4 members"), "{why}");
    // By hand members are asked all the same.
    ada.json(&["model", "release", "lab"]);
    wait_for("it to be held back again", held_back);
    assert_eq!(status(ada)["release"], 0);
    // Nobody is asked any more.
    ada.json(&["group", "policy", "lab", "--quorum", "0"]);
    ada.json(&["model", "release", "lab"]);
    assert_eq!(status(ada)["release"], 1);
}

#[test]
fn a_member_gives_a_release_whose_coordinator_is_gone() {
    let mut lab = lab(4);
    for person in &lab.people[..3] {
        opt_in(person, &[]);
    }
    opt_in(lab.person(3), &["--adopt", "ask"]);
    learn_once(lab.person(0), "4", &[]);
    wait_until("ben to use the release", || uses(lab.person(1), 1));
    wait_for_release(lab.person(3), 1);
    lab.take_daemon(0).kill();
    let dan = lab.person(3);
    let adopted = dan.json(&["model", "adopt", "lab"]);
    assert_eq!(adopted["number"], 1, "{adopted}");
    assert!(uses(dan, 1));
}
