//! What was measured as tables, for whoever has their own tools.

use std::collections::BTreeSet;

use crate::metrics::{RoundMetric, SearchMetric};
use crate::report::Measured;

/// A line for each round of each seed; none where there are no rounds. Phases have columns of their own.
pub(super) fn rounds(measured: &Measured<'_>) -> Option<Vec<u8>> {
    let rounds: Vec<&RoundMetric> = measured.rounds().collect();
    let phases: BTreeSet<&str> =
        rounds.iter().flat_map(|of| of.phases_s.keys().map(String::as_str)).collect();
    let head = [
        "seed",
        "round",
        "at_s",
        "attempts",
        "failed",
        "cohort",
        "survivors",
        "quality",
        "worst_decile",
        "peers_quality",
        "loss",
        "norm",
        "clipped",
        "epsilon",
        "up_bytes",
        "down_bytes",
        "most_up_bytes",
        "most_down_bytes",
        "attack",
        "refused",
        "opened",
        "exposed",
    ];
    let head = head.map(str::to_owned).into_iter();
    let head = head.chain(phases.iter().map(|phase| format!("{phase}_s")));
    let lines = rounds.iter().map(|of| {
        let fields = [
            of.seed.to_string(),
            of.round.to_string(),
            of.at_s.to_string(),
            of.attempts.to_string(),
            of.failed.clone().unwrap_or_default(),
            of.cohort.to_string(),
            of.survivors.to_string(),
            or_empty(of.quality),
            or_empty(of.worst_decile),
            or_empty(of.peers_quality),
            or_empty(of.loss),
            or_empty(of.norm),
            or_empty(of.clipped),
            or_empty(of.epsilon),
            of.up_bytes.to_string(),
            of.down_bytes.to_string(),
            of.most_up_bytes.to_string(),
            of.most_down_bytes.to_string(),
            or_empty(of.attack),
            of.refused_text().unwrap_or_default(),
            of.opened.map(|many| many.to_string()).unwrap_or_default(),
            of.exposed.map(|many| many.to_string()).unwrap_or_default(),
        ];
        let took = phases.iter().map(|phase| or_empty(of.phases_s.get(*phase).copied()));
        fields.into_iter().chain(took).collect()
    });
    (!rounds.is_empty()).then(|| table(head.collect(), lines))
}

/// A line for each hour of each seed; none where nobody asked.
pub(super) fn searches(measured: &Measured<'_>) -> Option<Vec<u8>> {
    let hours: Vec<&SearchMetric> = measured.searches().collect();
    let head = [
        "seed",
        "hour",
        "at_s",
        "questions",
        "asked",
        "answered",
        "refused",
        "timed_out",
        "offline",
        "recall",
        "p50_ms",
        "p95_ms",
        "bytes",
        "attack",
        "harvested",
    ];
    let lines = hours.iter().map(|of| {
        vec![
            of.seed.to_string(),
            of.hour.to_string(),
            of.at_s.to_string(),
            of.questions.to_string(),
            of.asked.to_string(),
            of.answered.to_string(),
            of.refused.to_string(),
            of.timed_out.to_string(),
            of.offline.to_string(),
            or_empty(of.recall),
            of.p50_ms.to_string(),
            of.p95_ms.to_string(),
            of.bytes.to_string(),
            or_empty(of.attack),
            or_empty(of.harvested),
        ]
    });
    (!hours.is_empty()).then(|| table(head.map(str::to_owned).to_vec(), lines))
}

fn or_empty(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A table as CSV.
pub(crate) fn table(head: Vec<String>, lines: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut table = csv::Writer::from_writer(Vec::new());
    for line in std::iter::once(head).chain(lines) {
        table.write_record(line).expect("lines are as long as the head, and memory takes them");
    }
    table.into_inner().expect("memory takes what is written")
}
