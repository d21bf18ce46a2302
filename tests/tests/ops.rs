//! Day to day with rounds: limits, schedules, watching, metrics, a coordinator alone, and logs for programs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use covey_tests::learn::{lab, opt_in, status};
use covey_tests::{Lab, Person, wait_for, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Where a daemon tells metrics.
fn metrics_of(person: &Person) -> String {
    wait_for("the daemon to say where its metrics are", || {
        let said = person.daemon_said();
        let at = said.split("http://").nth(1)?;
        Some(at.split("/metrics").next()?.to_owned())
    })
}

/// Sends one request as it stands; gives the status and the body.
fn send(at: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    stream.write_all(request.as_bytes()).expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers and closes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

fn scrape(at: &str) -> String {
    let (status, body) = send(at, &format!("GET /metrics HTTP/1.1\r\nHost: {at}\r\n\r\n"));
    assert_eq!(status, 200, "{body}");
    body
}

/// A sample by its name and labels as they are written.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split(' ').next() == Some(name))?;
    line.split(' ').nth(1)?.parse().ok()
}

/// Every line of the text is one that OpenMetrics has, and no sample stands twice.
fn is_sound(text: &str) {
    let mut seen = std::collections::BTreeSet::new();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let kind = comment.split(' ').next();
            assert!(matches!(kind, Some("HELP" | "TYPE" | "UNIT" | "EOF")), "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(name.starts_with("covey_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(name.to_owned()), "{line} stands twice");
    }
}

#[test]
fn limits_are_shown_and_changed_one_by_one() {
    let lab = lab(&["ada"]);
    let ada = lab.person(0);
    let failure = ada.fails(&["train", "limits", "lab"]);
    assert_eq!((failure.kind.as_str(), failure.code), ("not_found", 10));
    ada.json(&["train", "opt-in", "lab", "--collections", "learn", "--epsilon", "3"]);
    let limits = ada.json(&["train", "limits", "lab"]);
    assert_eq!((&limits["epsilon"], &limits["max_bytes"]), (&3.0.into(), &(512 << 20).into()));
    let budget = || ada.json(&["privacy", "report"])["accounts"][0]["budget"].clone();
    assert_eq!(budget(), 3.0);

    let change = ["train", "limits", "lab", "--epsilon", "5", "--max-bytes", "64MiB"];
    let schedule = ["--when", "idle,mains", "--hours", "22:00-06:00", "--cpu-share", "0.5"];
    let limits = ada.json(&[&change[..], &schedule].concat());
    assert_eq!((&limits["epsilon"], &limits["max_bytes"]), (&5.0.into(), &(64 << 20).into()));
    let expected = serde_json::json!({
        "when": ["idle", "mains"], "hours": ["22:00-06:00"], "cpu_share": 0.5,
    });
    assert_eq!(limits["schedule"], expected);
    assert_eq!(budget(), 5.0, "the ledger has heard of it");
    // What was not named stays, also beyond the daemon.
    let limits = ada.json(&["train", "limits", "lab", "--when", "any"]);
    assert_eq!((&limits["epsilon"], &limits["schedule"]["cpu_share"]), (&5.0.into(), &0.5.into()));
    assert_eq!(status(ada)["taking_part"], {
        let mut limits = limits;
        limits.as_object_mut().expect("an object").remove("type");
        limits
    });
    for bad in [
        ["--hours", "22-6"],
        ["--when", "night"],
        ["--cpu-share", "0"],
        ["--cpu-share", "2"],
        ["--epsilon", "-1"],
        ["--min-honest", "1"],
        ["--max-bytes", "0"],
    ] {
        let failure = ada.fails(&[&["train", "limits", "lab"][..], &bad].concat());
        assert_eq!(failure.kind, "usage", "{bad:?}");
    }
    assert_eq!(budget(), 5.0);
    let text = ada.run(&["train", "limits", "lab"]).stdout;
    assert!(text.contains("22:00-06:00") && text.contains("50% of the time"), "{text}");
    // A budget outlives the terms it came with: it is neither raised by new ones nor passed by without noise.
    ada.json(&["train", "opt-out", "lab"]);
    let opt_in = |terms: &[&'static str]| {
        [&["train", "opt-in", "lab", "--collections", "learn"][..], terms].concat()
    };
    for terms in [&["--epsilon", "6"][..], &["--without-noise"]] {
        assert_eq!(ada.fails(&opt_in(terms)).kind, "forbidden", "{terms:?}");
    }
    assert_eq!((budget(), &status(ada)["taking_part"]), (5.0.into(), &serde_json::Value::Null));
    ada.json(&opt_in(&["--epsilon", "4"]));
    assert_eq!(budget(), 4.0);
    ada.json(&["train", "limits", "lab", "--epsilon", "6"]);
    assert_eq!(budget(), 6.0);
}

#[test]
fn noise_that_drowns_the_signal_is_told_before_anybody_trains() {
    let people = ["ada", "ben", "cleo", "dan"].map(|name| (name, "A note.", "nothing"));
    let lab = Lab::found(&people);
    let ada = lab.person(0);
    ada.json(&["group", "coordinator", "lab", "ada"]);
    let start = ["train", "start", "lab", "--rounds", "10", "--epsilon", "8"];
    let started = ada.json(&start);
    let noise = started["groups"][0]["campaign"]["noise"].clone();
    assert_eq!(noise["cohort"], 4, "{started}");
    let number = |field: &str| noise[field].as_f64().expect("a number");
    let ratio = number("total") * number("values").sqrt() / 4.0;
    assert!((number("over_signal") / ratio - 1.0).abs() < 1e-9 && ratio > 1.0, "{noise}");
    assert!(number("total") >= number("multiplier"), "{noise}");
    let text = ada.run(&["train", "status", "lab"]).stdout;
    assert!(text.contains("The noise drowns the signal"), "{text}");
    assert!(text.contains("at best") && text.contains("a lower rank"), "{text}");
    ada.json(&["train", "stop", "lab"]);
    assert!(status(ada)["campaign"]["noise"].is_null());
    ada.json(&["train", "start", "lab", "--without-noise"]);
    assert!(status(ada)["campaign"]["noise"].is_null());
}

/// `covey train watch`, whose lines can be read as they come.
struct Watching {
    process: Child,
    lines: mpsc::Receiver<Value>,
}

impl Watching {
    fn start(person: &Person) -> Self {
        let mut command = person.command();
        command.args(["--json", "train", "watch", "lab"]).stdout(Stdio::piped());
        let mut process = command.spawn().expect("covey starts");
        let output = process.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).expect("one event a line");
                assert_eq!((&event["event"], &event["version"]), (&"done".into(), &1.into()));
                assert_eq!(event["reply"]["type"], "watched", "{event}");
                if sender.send(event["reply"].clone()).is_err() {
                    return;
                }
            }
        });
        Self { process, lines }
    }

    /// Reads until a change passes; gives all that were read.
    fn until(&self, what: &str, passes: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        loop {
            let next = self.lines.recv_timeout(covey_tests::PATIENCE);
            seen.push(next.unwrap_or_else(|_| panic!("waited for {what} in vain: {seen:?}")));
            if seen.last().is_some_and(&passes) {
                return seen;
            }
        }
    }

    /// Ctrl-C.
    fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.process), Signal::INT).expect("is there");
        self.process.wait().expect("ends").code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A minute of the day that is not now, nor soon, wherever this runs: time zones are whole quarters of an hour apart.
fn not_now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let minute = (since.as_secs() / 60 + 8) % 15;
    format!("03:{minute:02}-03:{:02}", minute + 1)
}

#[test]
fn a_coordinator_alone_on_a_server_finishes_a_round() {
    let mut lab = lab(&["ada", "ben", "cleo", "dan"]);
    let server = Person::new("server");
    let nowhere = server.run(&["coordinator", "--no-mdns"]);
    assert_eq!(nowhere.code, Some(10), "it has to be in a group: {nowhere:?}");
    let code = lab.person(0).json(&["invite", "lab"]);
    server.json(&["join", code["code"].as_str().expect("a code")]);
    let coordinator = server.daemon_as("coordinator", &["--metrics", "127.0.0.1:0"]);
    let metrics = metrics_of(&server);
    assert!(server.daemon_said().contains("covey group coordinator lab server"));
    lab.take_daemon(0).terminate();
    let ada = lab.person(0);
    let _ada = ada.daemon_with(&["--metrics", "127.0.0.1:0"]);
    ada.json(&["group", "coordinator", "lab", "server"]);
    wait_until("the server to hear of it", || status(&server)["coordinates"] == true);

    for call in [
        &["search", "cooling"][..],
        &["search", "--group", "lab", "cooling"],
        &["index", "info", "notes"],
    ] {
        assert_eq!(server.fails(call).kind, "forbidden", "{call:?}");
    }
    wait_until("the server to refuse a question", || {
        let found = ada.search("lab", "cooling");
        let outcome = Lab::outcome(&found, "server");
        let reason = outcome["reason"].as_str().unwrap_or_default();
        outcome["outcome"] == "refused" && reason.contains("coordinates rounds")
    });

    let dan = lab.person(3);
    for person in &lab.people {
        let mut options = vec!["--without-noise", "--min-honest", "2"];
        let (share, hours) = (["--cpu-share", "0.2"], not_now());
        match person.name.as_str() {
            // Slow enough to be seen.
            "ada" => options.extend(share),
            "dan" => options.extend(["--hours", &hours]),
            _ => {}
        }
        opt_in(person, &options);
    }
    let (there, here) = (Watching::start(&server), Watching::start(ada));
    let quick =
        ["--window", "45s", "--pause", "1s", "--phase", "20s", "--clip", "2", "--epochs", "100"];
    let start = ["train", "start", "lab", "--rounds", "1", "--without-noise", "--min-cohort", "3"];
    server.json(&[&start[..], &quick].concat());

    wait_until("dan to wait for his hours", || {
        status(dan)["doing"].as_str().is_some_and(|doing| doing.starts_with("waiting for 03:"))
    });
    let glance = dan.run(&["status"]).stdout;
    assert!(glance.contains("lab: waiting for 03:"), "{glance}");
    let seen = there.until("the attempt to end", |it| it["change"] == "over");
    let ended = &seen.last().expect("it ended")["ended"];
    assert_eq!((&ended["participants"], &ended["failed"]), (&3.into(), &Value::Null), "{ended}");
    let gathering = |it: &&Value| it["change"] == "phase" && it["phase"] == "gathering";
    let done = seen.iter().filter(gathering).filter_map(|it| it["done"].as_u64()).max();
    assert_eq!(done, Some(3), "{seen:?}");
    assert!(seen.iter().filter(gathering).all(|it| it["ends"].is_u64()), "{seen:?}");
    let seen = here.until("ada to be summed", |it| it["change"] == "summed");
    let trained = |it: &Value| it["training"]["done"].is_u64() && it["training"]["total"].is_u64();
    assert!(seen.iter().any(trained), "{seen:?}");
    assert!(seen.iter().any(|it| it["change"] == "plan" && it["round"] == 1), "{seen:?}");
    assert_eq!((there.interrupt(), here.interrupt()), (Some(0), Some(0)));
    wait_until("dan to have left the round out", || {
        status(dan)["refused"].as_str().is_some_and(|why| why.contains("schedule"))
    });
    assert_eq!(status(dan)["rounds"], 0);

    counted(&scrape(&metrics), &scrape(&metrics_of(ada)));
    assert_eq!(coordinator.terminate(), Some(0));
}

/// What the coordinator and a participant have counted of one round of three.
fn counted(coordinator: &str, participant: &str) {
    is_sound(coordinator);
    is_sound(participant);
    let of =
        |text: &str, name: &str| sample(text, name).unwrap_or_else(|| panic!("{name}: {text}"));
    for (name, expected) in [
        ("covey_coordinator_rounds_total{outcome=\"checkpoint\"}", 1.0),
        ("covey_coordinator_rounds_total{outcome=\"failed\"}", 0.0),
        ("covey_coordinator_attempts_total{outcome=\"checkpoint\"}", 1.0),
        ("covey_coordinator_checkpoint_rounds", 1.0),
        ("covey_coordinator_checkpoint_epsilon", f64::INFINITY),
        ("covey_coordinator_participants", 0.0),
        ("covey_collections", 0.0),
    ] {
        assert_eq!(of(coordinator, name), expected, "{name}: {coordinator}");
    }
    let masked = of(coordinator, "covey_coordinator_masked_bytes_total");
    assert!(masked > 0.0 && masked % 12.0 == 0.0, "of three, in words of four bytes: {masked}");
    let gathering = of(coordinator, "covey_coordinator_phase_seconds_total{phase=\"gathering\"}");
    assert!(gathering > 1.0, "{gathering}");
    assert!(of(coordinator, "covey_answers_total{outcome=\"coordinates\"}") >= 1.0);
    for (name, expected) in [
        ("covey_rounds_total{outcome=\"summed\"}", 1.0),
        ("covey_collections", 2.0),
        // Without noise there is no bound.
        ("covey_privacy_epsilon{unit=\"peer\"}", f64::INFINITY),
    ] {
        assert_eq!(of(participant, name), expected, "{name}: {participant}");
    }
    assert!(of(participant, "covey_training_steps_total") >= 1.0);
    assert!(of(participant, "covey_questions_total{of=\"group\"}") >= 1.0);
    assert!(of(participant, "covey_members_asked_total{outcome=\"refused\"}") >= 1.0);
    for name in ["lab", "learn", "cooling", "ada", "server"] {
        let labels = participant.lines().chain(coordinator.lines());
        let mut labels = labels.filter(|line| !line.starts_with('#'));
        assert!(!labels.any(|line| line.contains(&format!("\"{name}\""))), "{name}");
    }
}

#[test]
fn metrics_are_told_to_this_machine_and_nobody_is_held_up() {
    let ada = Person::new("ada");
    let failure = ada.fails(&["daemon", "--no-mdns", "--metrics", "0.0.0.0:0"]);
    assert_eq!(failure.kind, "usage");
    let _daemon = ada.daemon_with(&["--metrics", "127.0.0.1:0"]);
    let at = metrics_of(&ada);
    // One sends half a request, others nothing at all.
    let mut half = TcpStream::connect(&at).expect("connects");
    half.write_all(b"GET /metrics HTTP/1.1\r\nHos").expect("sends");
    let _silent: Vec<TcpStream> =
        (0..8).map(|_| TcpStream::connect(&at).expect("connects")).collect();
    is_sound(&scrape(&at));
    let cases = [
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET /metrics HTTP/1.1\r\nHost: 192.0.2.7\r\n\r\n", 403),
        ("GET /metrics HTTP/1.0\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET /metrics/more HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
        ("nonsense\r\n\r\n", 400),
    ];
    for (request, expected) in cases {
        assert_eq!(send(&at, request).0, expected, "{request}");
    }
    let long =
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1 << 16));
    let mut stream = TcpStream::connect(&at).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    // It may be cut off before all of it is sent.
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "too long a request is answered");
    // Whoever is too slow is cut off.
    half.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    let mut rest = Vec::new();
    half.read_to_end(&mut rest).expect("is closed in time");
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
    is_sound(&scrape(&at));
    ada.json(&["search", "anything"]);
    let text = scrape(&at);
    assert_eq!(sample(&text, "covey_questions_total{of=\"own\"}"), Some(1.0), "{text}");
}

#[test]
fn logs_can_be_had_as_json() {
    let ada = Person::new("ada");
    let daemon = ada.daemon_with(&["--log-format", "json"]);
    let node = ada.node();
    let log = ada.json(&["logs"]);
    let lines = log["lines"].as_array().expect("lines");
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line.as_str().expect("text")).expect("one object a line"))
        .collect();
    let up = lines.iter().find(|line| line["message"] == "the daemon is up");
    let up = up.unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!((&up["level"], &up["node"]), (&"INFO".into(), &node.into()));
    assert_eq!(daemon.terminate(), Some(0));
}
