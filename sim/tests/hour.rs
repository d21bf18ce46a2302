//! Fifty nodes, an hour of their time, twice the same.

use std::time::{Duration, Instant};

use covey_sim::{Hour, HourReport, run};

fn live(hour: Hour, seed: u64) -> HourReport {
    run(async move { hour.live(seed).await }).expect("a runtime").expect("the hour passes")
}

#[test]
fn an_hour_of_fifty_nodes_passes_in_seconds_and_ends_in_agreement() {
    let began = Instant::now();
    let report = live(Hour::default(), 1);
    println!("{report:?} in {:?}", began.elapsed());
    assert_eq!((report.heads, report.members), (1, 49), "one log, without the removed member");
    assert_eq!(
        report.asked,
        report.answered + report.refused + report.timed_out + report.offline,
        "everybody asked is counted once"
    );
    assert!(report.answered * 10 > report.asked * 7, "most are there most of the time");
    assert!(report.timed_out + report.offline > 0, "the mishaps show");
    assert!(report.on_topic * 10 >= 60 * 9, "the right collections come first");
}

#[test]
fn the_same_seed_gives_the_same_transcript_and_another_gives_another() {
    let hour = Hour { nodes: 12, questions: 20, length: Duration::from_secs(3_600) };
    let (first, second, other) = (live(hour, 7), live(hour, 7), live(hour, 8));
    assert_eq!(first, second);
    assert!(first.messages > 1_000);
    assert_ne!(first.transcript, other.transcript);
}
