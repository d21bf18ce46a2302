//! What survives a power loss (simulated) and kill -9 (of a real child).

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::append::{FileLog, LogFile};
use super::faulty::FaultyFile;
use super::frame;
use super::kv::SledKv;
use super::{AppendLog, Kv, StoreError, Table, Write};

fn open(file: &FaultyFile) -> FileLog<FaultyFile> {
    let opened = FileLog::open(file.clone(), Path::new("simulated"));
    opened.expect("no crash makes a log unreadable")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Acknowledged records survive, and the one that was being written is there whole or not at all.
    #[test]
    fn a_power_loss_loses_no_acknowledged_record(
        seed: u64,
        lives in prop::collection::vec(prop::collection::vec(0_usize..120, 0..5), 1..5),
    ) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut file = FaultyFile::new();
        let mut expected: Vec<Vec<u8>> = Vec::new();
        for life in lives {
            let mut log = open(&file);
            for length in life {
                let record = vec![rng.next_u32().to_le_bytes()[0]; length];
                log.append(&record).expect("appends");
                expected.push(record);
            }
            // The power goes while one more is being written.
            let unfinished = vec![0xee; rng.next_u32() as usize % 100];
            let end = file.length().expect("has one");
            file.write_at(&frame::encode(end, &unfinished), end).expect("fits");
            file = file.after_power_loss(&mut rng);
            let found = open(&file).read().expect("reads");
            if found.len() > expected.len() {
                expected.push(unfinished);
            }
            prop_assert_eq!(found, &expected[..]);
        }
    }
}

#[test]
fn a_full_disk_refuses_the_record_and_keeps_the_log() {
    let frame_length = frame::HEAD + 16 + frame::TAIL;
    for room in 0..frame_length {
        let file = FaultyFile::new();
        let mut log = open(&file);
        log.append(b"one").expect("fits");
        let length = usize::try_from(file.length().expect("has one")).expect("is small");
        file.limit(length + room);
        let error = log.append(&[7; 16]).expect_err("does not fit");
        assert!(error.is_disk_full(), "{error}");
        assert_eq!(log.read().expect("reads"), [b"one"]);
        file.limit(usize::MAX);
        log.append(b"two").expect("fits again");
        assert_eq!(open(&file).read().expect("reads"), [b"one", b"two"]);
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_reopened() {
    let file = FaultyFile::new();
    let mut log = open(&file);
    log.append(b"one").expect("appends");
    file.fail_sync();
    log.append(b"two").expect_err("is not durable");
    log.append(b"three").expect_err("who knows what is on the disk");
    let mut log = open(&file);
    assert_eq!(log.read().expect("reads"), [b"one"]);
    log.append(b"four").expect("appends");
    assert_eq!(open(&file).read().expect("reads"), [&b"one"[..], b"four"]);
}

/// Set in the environment of a child: the folder in which it writes until it is killed.
const CHILD: &str = "COVEY_CRASH_TEST_CHILD";
const KILLS: usize = 20;

#[test]
fn kill_9_loses_no_acknowledged_append() {
    let name = "store::crash_tests::kill_9_loses_no_acknowledged_append";
    kill_again_and_again(
        name,
        |dir| {
            let mut log = FileLog::open_path(&dir.join("log"))?;
            let mut next = log.read()?.len();
            loop {
                log.append(&record(next))?;
                acknowledge(next);
                next += 1;
            }
        },
        |dir| {
            let log = FileLog::open_path(&dir.join("log")).expect("opens");
            let records = log.read().expect("reads");
            for (number, found) in records.iter().enumerate() {
                assert_eq!(*found, record(number));
            }
            records.len()
        },
    );
}

#[test]
fn kill_9_loses_no_acknowledged_write_and_tears_no_batch() {
    let name = "store::crash_tests::kill_9_loses_no_acknowledged_write_and_tears_no_batch";
    let key = |number: usize| (number as u64).to_be_bytes().to_vec();
    kill_again_and_again(
        name,
        |dir| {
            let kv = SledKv::open(dir)?;
            let mut next = kv.scan(Table::Groups, b"")?.len();
            loop {
                kv.write(vec![
                    Write::Put(Table::Groups, key(next), record(next)),
                    Write::Put(Table::Shares, key(next), record(next)),
                ])?;
                acknowledge(next);
                next += 1;
            }
        },
        |dir| {
            let kv = SledKv::open(dir).expect("opens");
            let pairs = kv.scan(Table::Groups, b"").expect("scans");
            for (number, pair) in pairs.iter().enumerate() {
                assert_eq!(*pair, (key(number), record(number)));
            }
            assert_eq!(kv.scan(Table::Shares, b"").expect("scans"), pairs, "batches are whole");
            pairs.len()
        },
    );
}

/// Runs the test called `name` as a child that only does `work`, kills it after a random number of
/// acknowledgements, and asks `count` for the records found; [`KILLS`] times over the same folder.
fn kill_again_and_again(
    name: &str,
    work: impl FnOnce(&Path) -> Result<(), StoreError>,
    count: impl Fn(&Path) -> usize,
) {
    if let Some(dir) = std::env::var_os(CHILD) {
        work(Path::new(&dir)).expect("writes until it is killed");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("randomness");
    eprintln!("seed {seed:?}");
    let mut rng = ChaCha20Rng::from_seed(seed);
    let mut acknowledged = 0;
    for _ in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args([name, "--exact", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let mut wanted = 1 + rng.next_u32() % 40;
        let mut newest = |line: std::io::Result<String>| {
            let number = line.ok()?.strip_prefix("ack ")?.parse::<usize>().ok()?;
            acknowledged = acknowledged.max(number + 1);
            Some(())
        };
        while wanted > 0 {
            let line = lines.next().expect("the child writes until it is killed");
            wanted -= u32::from(newest(line).is_some());
        }
        child.kill().expect("is there");
        child.wait().expect("ends");
        for line in lines {
            newest(line);
        }
        let found = count(dir.path());
        assert!(found >= acknowledged, "{acknowledged} were acknowledged, {found} are there");
        assert!(found <= acknowledged + 1, "one at most was written but not acknowledged");
    }
    assert!(acknowledged >= KILLS);
}

fn record(number: usize) -> Vec<u8> {
    number.to_le_bytes().repeat(number % 300)
}

/// One whole line in one write, so that a kill cannot cut it.
fn acknowledge(number: usize) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nack {number}\n").as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent reads");
}
