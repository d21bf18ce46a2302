//! Invites that must not work, and members that are none any more.

use std::fs::File;

use covey_protocol::group::{Code, InviteSecret};
use covey_tests::{Lab, Person, wait_until};
use serde_json::json;

const NOTE: &str =
    "The kettle is descaled with citric acid, twenty minutes, and rinsed three times.";

fn owner() -> (Person, covey_tests::Daemon) {
    let ada = Person::new("ada");
    let daemon = ada.daemon();
    ada.json(&["group", "create", "lab"]);
    (ada, daemon)
}

fn code(ada: &Person, options: &[&str]) -> String {
    let reply = ada.json(&[&["invite", "lab"], options].concat());
    reply["code"].as_str().expect("a code").to_owned()
}

#[test]
fn an_invite_works_once() {
    let (ada, _daemon) = owner();
    let code = code(&ada, &[]);
    let ben = Person::without_node("ben");
    let file = File::open(ben.write("code.txt", format!("{code}\n"))).expect("opens");
    let output = ben.command().args(["--json", "join", "-", "--as", "ben"]).stdin(file).output();
    let joined: serde_json::Value =
        serde_json::from_slice(&output.expect("starts").stdout).expect("JSON");
    let joined = &joined["reply"];
    assert_eq!((&joined["name"], &joined["members"]), (&json!("lab"), &json!(2)));
    let failure = Person::new("eve").fails(&["join", &code]);
    assert_eq!((failure.code, failure.kind.as_str()), (13, "bad_invite"), "{failure:?}");
    assert!(failure.message.contains("used"), "{failure:?}");
    assert_eq!(ada.json(&["group", "list"])["groups"][0]["members"], 2);
}

#[test]
fn an_expired_invite_is_refused() {
    let (ada, _daemon) = owner();
    let reply = ada.json(&["invite", "lab", "--expires", "1s"]);
    let eve = Person::new("eve");
    let expires = reply["expires"].as_u64().expect("a time");
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    wait_until("the invite to expire", || now().as_millis() > u128::from(expires));
    let failure = eve.fails(&["join", reply["code"].as_str().expect("a code")]);
    assert_eq!(failure.kind, "bad_invite");
    assert!(failure.message.contains("expired"), "{failure:?}");
}

#[test]
fn a_forged_or_mistyped_invite_is_refused() {
    let (ada, _daemon) = owner();
    let code = code(&ada, &[]);
    let eve = Person::new("eve");
    let mut typo = code.clone().into_bytes();
    typo[20] = if typo[20] == b'a' { b'b' } else { b'a' };
    let typo = String::from_utf8(typo).expect("ASCII");
    for (bad, what) in
        [(typo.as_str(), "mistyped"), ("hello", "covey1"), (&code[..40], "incomplete")]
    {
        let failure = eve.fails(&["join", bad]);
        assert_eq!(failure.kind, "bad_invite", "{failure:?}");
        assert!(failure.message.contains(what), "{failure:?}");
    }
    // A secret that Ada never gave out, in a code that is otherwise perfect.
    let mut forged = Code::parse(&code).expect("a code");
    forged.secret = InviteSecret::draw(&mut Fixed(7));
    let failure = eve.fails(&["join", &forged.to_text()]);
    assert_eq!(failure.kind, "bad_invite", "{failure:?}");
    // None of it has spent the invite.
    assert_eq!(eve.json(&["join", &code])["members"], 2);
}

#[test]
fn joining_needs_the_inviter_and_says_so() {
    let (ada, daemon) = owner();
    let code = code(&ada, &[]);
    daemon.kill();
    let failure = Person::new("ben").fails(&["join", &code, "--wait", "1s"]);
    assert_eq!((failure.code, failure.kind.as_str()), (14, "unreachable"), "{failure:?}");
    assert!(failure.hint.is_some(), "{failure:?}");
}

#[test]
fn a_removed_member_is_refused_by_everyone() {
    let lab = Lab::found(&[("ada", NOTE, "full"), ("ben", NOTE, "full"), ("cleo", NOTE, "full")]);
    let (ada, ben, cleo) = (lab.person(0), lab.person(1), lab.person(2));
    assert_eq!(ben.search("lab", "descaling the kettle")["coverage"]["answered"], 2);
    let failure = cleo.fails(&["group", "remove", "lab", "ben"]);
    assert_eq!(failure.code, 12, "a plain member removes nobody: {failure:?}");

    ada.json(&["group", "remove", "lab", "ben"]);
    wait_until("cleo to hear of it", || cleo.json(&["group", "list"])["groups"][0]["members"] == 2);
    let told =
        |person: &Person| person.json(&["audit", "list"])["records"].as_array().map(Vec::len);
    let before = (told(ada), told(cleo));
    // Whether Ben's node knows yet or not, it gets nothing.
    let run = ben.run(&["--json", "search", "--group", "lab", "descaling the kettle"]);
    match run.code {
        Some(0) => {
            let event: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
            assert_eq!(event["reply"]["coverage"]["answered"], 0, "{event}");
        }
        _ => assert_eq!(run.failure().kind, "forbidden"),
    }
    assert_eq!((told(ada), told(cleo)), before);
    wait_until("ben's node to know", || {
        ben.json(&["group", "list"])["groups"][0]["role"] == "removed"
    });
    assert_eq!(ben.fails(&["search", "--group", "lab", "kettle"]).kind, "forbidden");
    assert_eq!(ada.search("lab", "descaling the kettle")["coverage"]["asked"], 1);
}

/// A generator that is none.
struct Fixed(u8);

impl rand_core::TryRng for Fixed {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from(self.0))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from(self.0))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(self.0);
        Ok(())
    }
}
