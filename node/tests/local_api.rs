//! docs/spec/local-api.md and the code say the same.

use std::collections::BTreeSet;

use covey_node::api::{Call, Event};
use serde_json::Value;

/// Every call and every reply, as `the_lists_above_name_what_the_code_knows` makes sure.
const CALLS: [&str; 54] = [
    "add",
    "audit_list",
    "audit_verify",
    "doctor",
    "group_coordinator",
    "group_create",
    "group_leave",
    "group_list",
    "group_members",
    "group_remove",
    "group_policy",
    "group_role",
    "group_transfer",
    "index_compact",
    "index_export",
    "index_info",
    "index_profile",
    "index_recode",
    "index_verify",
    "invite",
    "join",
    "mine",
    "model_adopt",
    "model_follow",
    "model_list",
    "model_release",
    "model_releases",
    "model_rollback",
    "model_use",
    "opened_add",
    "opened_clear",
    "opened_list",
    "peers",
    "personal_remove",
    "personal_show",
    "personal_train",
    "personal_use",
    "privacy_report",
    "refresh",
    "reindex",
    "remove",
    "rounds_start",
    "rounds_stop",
    "search",
    "share",
    "status",
    "stop",
    "train_limits",
    "train_opt_in",
    "train_opt_out",
    "train_status",
    "tune",
    "tune_off",
    "unshare",
];
const REPLIES: [&str; 42] = [
    "added",
    "adopted",
    "audit",
    "audit_verified",
    "backed_up",
    "demo",
    "doctor",
    "evaluated",
    "group",
    "groups",
    "index",
    "index_compacted",
    "index_exported",
    "index_recoded",
    "index_verified",
    "initialised",
    "invite",
    "learning",
    "limits",
    "log",
    "members",
    "mined",
    "model",
    "model_bench",
    "models",
    "near",
    "ok",
    "open",
    "opened",
    "peers",
    "personal",
    "privacy",
    "privacy_plan",
    "reindexed",
    "releases",
    "restored",
    "search",
    "service",
    "status",
    "trained",
    "tuned",
    "watched",
];

/// The examples marked `kind`.
fn examples(kind: &str) -> Vec<Value> {
    let page = include_str!("../../docs/spec/local-api.md");
    let opening = format!("```json {kind}\n");
    page.split(&opening)
        .skip(1)
        .map(|rest| rest.split("\n```").next().expect("split yields something"))
        .map(|example| serde_json::from_str(example).expect(example))
        .collect()
}

#[test]
fn every_example_reads_and_writes_as_it_stands() {
    let calls = examples("call");
    assert!(!calls.is_empty());
    for example in calls {
        let call: Call = serde_json::from_value(example.clone()).expect("a call");
        assert_eq!(serde_json::to_value(&call).expect("serialises"), example);
    }
    for example in examples("event") {
        let event: Event = serde_json::from_value(example.clone()).expect("an event");
        assert_eq!(serde_json::to_value(&event).expect("serialises"), example);
    }
}

#[test]
fn every_call_and_reply_has_an_example() {
    let calls = examples("call");
    let calls: BTreeSet<_> = calls.iter().filter_map(|it| it["call"].as_str()).collect();
    assert_eq!(calls, CALLS.into());
    let events = examples("event");
    let replies: BTreeSet<_> =
        events.iter().filter_map(|it| it["reply"]["type"].as_str()).collect();
    assert_eq!(replies, REPLIES.into());
    let ends: BTreeSet<_> = events.iter().filter_map(|it| it["event"].as_str()).collect();
    assert_eq!(ends, ["done", "failed", "progress"].into());
}

/// serde names the known variants when it meets an unknown one: so this list cannot fall behind.
#[test]
fn the_lists_above_name_what_the_code_knows() {
    for (json, known) in [
        (r#"{"call":"?"}"#, &CALLS[..]),
        (r#"{"event":"done","version":1,"reply":{"type":"?"}}"#, &REPLIES[..]),
    ] {
        let error = if json.contains("call") {
            serde_json::from_str::<Call>(json).expect_err("unknown").to_string()
        } else {
            serde_json::from_str::<Event>(json).expect_err("unknown").to_string()
        };
        let named: BTreeSet<_> =
            error.split('`').skip(1).step_by(2).filter(|it| *it != "?").collect();
        assert_eq!(named, known.iter().copied().collect(), "{error}");
    }
}
