//! Members that vanish, processes that are killed, ports and disks that are not there.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use covey_tests::{Lab, Person, Run, covey, wait_for, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

const PEAR: &str = "Prune the pear tree in late winter, when the buds are still tight.";
const CHAIN: &str = "A bicycle chain that skips under load is worn out.";

#[test]
fn a_member_killed_in_the_middle_of_a_query() {
    let mut lab =
        Lab::found(&[("ada", PEAR, "full"), ("ben", CHAIN, "full"), ("cleo", CHAIN, "full")]);
    // All connections stand, then Cléo's node stops in its tracks.
    assert_eq!(lab.person(0).search("lab", "worn bicycle chain")["coverage"]["answered"], 2);
    let cleo = lab.take_daemon(2);
    cleo.freeze();
    let ada = lab.person(0);
    let answered_before = answers(lab.person(1));
    let search =
        ["--json", "search", "--group", "lab", "--soft", "8", "--hard", "30", "worn bicycle chain"];
    let found = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ada.run(&search));
        // Ben has answered, so Cléo's node was asked as well: now it dies.
        wait_until("ben to be asked", || answers(lab.person(1)) > answered_before);
        cleo.kill();
        asking.join().expect("no panic")
    });
    let event: serde_json::Value = serde_json::from_str(&found.stdout).expect("JSON");
    let reply = &event["reply"];
    assert_eq!(
        (&reply["coverage"]["asked"], &reply["coverage"]["answered"]),
        (&json!(2), &json!(1)),
        "{event}"
    );
    assert_eq!(reply["results"][0]["from"][0]["member"], "ben");
    let outcome = Lab::outcome(reply, "cleo");
    assert!(outcome["outcome"] == "timed_out" || outcome["outcome"] == "offline", "{outcome}");
    assert!(outcome["reason"].is_string(), "{outcome}");
    // Next time she is offline, and the command says so in words.
    let text = ada.run(&["search", "--group", "lab", "worn bicycle chain"]);
    assert!(text.stdout.contains("asked 2: 1 answered, 1 offline"), "{text:?}");
    assert!(text.stdout.contains("cleo offline"), "{text:?}");
}

fn answers(person: &Person) -> usize {
    person.json(&["audit", "list"])["records"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_daemon_killed_while_it_indexes_loses_nothing() {
    let ada = Person::new("ada");
    for n in 0..1_500 {
        ada.write(
            &format!("notes/{n}.txt"),
            format!("Note number {n} is about subject {n}. {}", CHAIN.repeat(20)),
        );
    }
    let meteors =
        ada.write("notes/meteors.txt", "We counted the Perseids from the hill in August.");
    let before = ada.write("first/pear.txt", PEAR);
    ada.json(&["add", parent(&before), "--collection", "first"]);
    let daemon = ada.daemon();
    let notes = ada.dir().join("notes");
    std::thread::scope(|scope| {
        let adding =
            scope.spawn(|| ada.run(&["--json", "add", notes.to_str().expect("a plain path")]));
        wait_until("the collection to be begun", || {
            ada.json(&["status"])["collections"].as_array().is_some_and(|all| all.len() == 2)
        });
        daemon.kill();
        let run = adding.join().expect("no panic");
        if run.code != Some(0) {
            assert_eq!(run.failure().kind, "unreachable");
        }
    });
    let _daemon = ada.daemon();
    let best = &ada.json(&["search", "pruning pear trees"])["results"][0];
    assert_eq!(best["path"], json!(before));
    let added = ada.json(&["add", notes.to_str().expect("a plain path")]);
    let files = added["added"].as_u64().zip(added["unchanged"].as_u64());
    assert_eq!(files.map(|(added, kept)| added + kept), Some(1_501), "{added}");
    let found = ada.json(&["search", "counting meteors in August"]);
    assert_eq!(found["results"][0]["path"], json!(meteors), "{added}: {found}");
    assert_eq!(ada.json(&["audit", "verify"])["records"], 0);
}

#[test]
fn ctrl_c_while_indexing_keeps_what_is_done() {
    let ada = Person::new("ada");
    for n in 0..3_000 {
        ada.write(&format!("notes/{n}.txt"), format!("Note number {n}. {}", CHAIN.repeat(20)));
    }
    let notes = ada.dir().join("notes");
    let mut adding = ada.command().arg("add").arg(&notes).spawn().expect("covey starts");
    wait_until("the index to be begun", || !files_below(&ada.home().join("data")).is_empty());
    kill_process(Pid::from_child(&adding), Signal::INT).expect("is running");
    assert_eq!(adding.wait().expect("ends").code(), Some(130));
    let added = ada.json(&["add", notes.to_str().expect("a plain path")]);
    let files = added["added"].as_u64().zip(added["unchanged"].as_u64());
    assert_eq!(files.map(|(added, kept)| added + kept), Some(3_000), "{added}");
}

#[test]
fn a_port_in_use_is_named() {
    let ada = Person::new("ada");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().expect("an address").port());
    let failure = ada.fails(&["daemon", "--no-mdns", "--listen", &address]);
    assert_eq!((failure.code, failure.kind.as_str()), (19, "busy"));
    assert!(failure.message.contains(&address), "{failure:?}");
    assert!(!ada.socket().exists());
    // The home is free again, and another port will do.
    let _daemon = ada.daemon();
}

#[test]
fn one_home_one_daemon_and_a_killed_ones_socket_is_replaced() {
    let ada = Person::new("ada");
    let daemon = ada.daemon();
    let failure = ada.fails(&["daemon"]);
    assert_eq!(failure.kind, "busy");
    assert!(failure.message.contains("process"), "{failure:?}");
    let backup = ada.dir().join("backup");
    assert_eq!(ada.fails(&["backup", backup.to_str().expect("a plain path")]).kind, "busy");
    daemon.kill();
    assert!(ada.socket().exists(), "nobody cleaned up");
    assert_eq!(ada.json(&["status"])["daemon"], false, "the command does without");
    let daemon = ada.daemon();
    assert_eq!(daemon.terminate(), Some(0));
    assert!(!ada.socket().exists());
    assert_eq!(ada.fails(&["stop"]).code, 10);
}

#[test]
fn a_corrupt_index_is_kept_out_and_rebuilt() {
    let ada = Person::new("ada");
    let pear = ada.write("pears/pear.txt", PEAR);
    let chain = ada.write("chains/chain.txt", CHAIN);
    ada.json(&["add", parent(&pear)]);
    ada.json(&["add", parent(&chain)]);
    let segments = files_below(&ada.home().join("data/indexes"));
    let mut damaged = 0;
    for file in segments.iter().filter(|it| holds(it, "pears", &ada)) {
        let mut bytes = std::fs::read(file).expect("reads");
        bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
        std::fs::write(file, bytes).expect("writes");
        damaged += 1;
    }
    assert!(damaged > 0, "{segments:?}");
    let status = ada.json(&["status"]);
    let problems = || status["collections"].as_array().expect("a list").iter();
    assert_eq!(problems().filter(|it| it["problem"].is_string()).count(), 1, "{status}");
    assert_eq!(ada.run(&["doctor"]).code, Some(1), "the doctor finds it");
    let found = ada.json(&["search", "worn bicycle chain"]);
    assert_eq!(found["results"][0]["path"], json!(chain), "the other collection is searched");
    assert!(found["notes"].to_string().contains("pears"), "{found}");
    ada.json(&["reindex", "pears"]);
    assert_eq!(ada.json(&["search", "pruning pear trees"])["results"][0]["path"], json!(pear));
    assert_eq!(ada.run(&["doctor"]).code, Some(1), "only the daemon is missing now");
}

#[test]
fn damaged_state_is_an_error_that_says_what_to_do() {
    let ada = Person::new("ada");
    let identity = ada.home().join("state/node/identity");
    let good = std::fs::read(&identity).expect("reads");
    std::fs::write(&identity, &good[..good.len() - 1]).expect("writes");
    let failure = ada.fails(&["status"]);
    assert_eq!((failure.code, failure.kind.as_str()), (18, "corrupt"), "{failure:?}");
    assert!(failure.message.contains("identity") && failure.hint.is_some(), "{failure:?}");
    let checks = ada.run(&["doctor"]);
    assert_eq!(checks.code, Some(1));
    assert!(checks.stdout.contains("FAIL  identity"), "{checks:?}");
    std::fs::write(&identity, &good).expect("writes");
    ada.write("home/config/config.toml", "name = 'ada'\nmdsn = false\n");
    let failure = ada.fails(&["daemon"]);
    assert_eq!(failure.kind, "usage");
    assert!(
        failure.message.contains("mdsn") && failure.message.contains("config.toml"),
        "{failure:?}"
    );
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    std::fs::write(&file, "no folder").expect("writes");
    for home in [file.join("home"), PathBuf::from("/proc/covey")] {
        let run = Run::from(
            Command::new(covey())
                .arg("--json")
                .arg("--home")
                .arg(&home)
                .arg("init")
                .output()
                .expect("starts"),
        );
        let failure = run.failure();
        assert_eq!((failure.code, failure.kind.as_str()), (17, "storage"), "{failure:?}");
        assert!(failure.message.contains(home.to_str().expect("plain")), "{failure:?}");
    }
}

/// Runs a script where it may mount: as root, or in a user namespace of its own. `None` where neither works.
fn with_mounts(script: &str, arguments: &[&Path]) -> Option<Run> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--mount", "--map-root-user"]];
    let run = |way: &[&str], script: &str| {
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-ec", script, "sh"]).args(arguments);
        Run::from(command.output().expect("unshare is there"))
    };
    let way = ways.iter().find(|way| run(way, "mount -t tmpfs none /mnt").code == Some(0))?;
    Some(run(way, script))
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_lost() {
    let ada = Person::without_node("ada");
    let small = ada.write("small/pear.txt", PEAR);
    for n in 0..40 {
        ada.write(&format!("large/{n}.txt"), format!("Note number {n}. {CHAIN} {PEAR}"));
    }
    std::fs::create_dir_all(ada.home()).expect("makes it");
    // A home on a disk of its own, which fills up while the daemon runs.
    let script = r#"mount -t tmpfs -o size=8m none "$2"
        "$1" --home "$2" init --name ada >/dev/null
        "$1" --home "$2" add "$3" --collection small >/dev/null
        "$1" --home "$2" --quiet daemon --no-mdns --listen /ip4/127.0.0.1/tcp/0 &
        until [ -S "$2"/run/covey.sock ]; do sleep 0.02; done
        dd if=/dev/zero of="$2"/ballast bs=4k 2>/dev/null || true
        "$1" --home "$2" --json add "$4" --collection large || echo "exit $?"
        "$1" --home "$2" --json search 'pruning pear trees' --collection small
        rm "$2"/ballast
        "$1" --home "$2" --json add "$4" --collection large
        "$1" --home "$2" --quiet stop
        "$1" --home "$2" --json search 'a note on worn chains' --collection large"#;
    let small = small.parent().expect("a folder").to_owned();
    let Some(run) = with_mounts(script, &[covey(), &ada.home(), &small, &ada.dir().join("large")])
    else {
        println!("SKIPPED (a full disk cannot be made here: mounting is not permitted)");
        return;
    };
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!((run.code, lines.len()), (Some(0), 5), "{run:?}");
    assert_eq!(lines[1], "exit 17", "{run:?}");
    let failure: serde_json::Value = serde_json::from_str(lines[0]).expect("JSON");
    assert_eq!(failure["error"]["code"], "storage", "{run:?}");
    let message = failure["error"]["message"].as_str().expect("a message");
    assert!(message.contains("no space left") && message.contains("nothing was lost"), "{message}");
    let found: serde_json::Value = serde_json::from_str(lines[2]).expect("JSON");
    assert_eq!(found["reply"]["results"][0]["path"], json!(small.join("pear.txt")), "{run:?}");
    let added: serde_json::Value = serde_json::from_str(lines[3]).expect("JSON");
    let files = added["reply"]["added"].as_u64().zip(added["reply"]["unchanged"].as_u64());
    assert_eq!(files.map(|(added, kept)| added + kept), Some(40), "{run:?}");
    let found: serde_json::Value = serde_json::from_str(lines[4]).expect("JSON");
    assert_eq!(found["reply"]["results"].as_array().map(Vec::len), Some(10), "{run:?}");
}

fn parent(file: &Path) -> &str {
    file.parent().and_then(Path::to_str).expect("a plain path")
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("lists").flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(files_below(&path)),
            path => files.push(path),
        }
    }
    files
}

/// Whether an index file belongs to `collection`: its folder was made when that was added.
fn holds(file: &Path, collection: &str, person: &Person) -> bool {
    let root = person.dir().join(collection);
    let root = root.to_str().expect("a plain path").as_bytes();
    let manifest = wait_for("a manifest", || file.parent().map(files_below));
    manifest.iter().any(|it| {
        std::fs::read(it).is_ok_and(|bytes| bytes.windows(root.len()).any(|window| window == root))
    })
}
