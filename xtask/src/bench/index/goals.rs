//! The numbers aimed at, computed from the rows that are there.

use super::rows::{OWN, Point, Row};
use crate::bench::report::Goal;

/// What a profile promises.
struct Profile {
    name: &'static str,
    bytes_per_chunk: f64,
    recall: f64,
    /// Most chunks recomputed a question, where the collection is small.
    recomputed: Option<f64>,
    /// Largest share of the raw text that the folder may take.
    share_of_text: Option<f64>,
}

const PROFILES: [Profile; 3] = [
    Profile {
        name: "small",
        bytes_per_chunk: 17.0,
        recall: 0.90,
        recomputed: None,
        share_of_text: Some(0.03),
    },
    Profile {
        name: "balanced",
        bytes_per_chunk: 60.0,
        recall: 0.99,
        recomputed: Some(64.0),
        share_of_text: Some(0.08),
    },
    Profile {
        name: "fast",
        bytes_per_chunk: 200.0,
        recall: 0.99,
        recomputed: Some(8.0),
        share_of_text: None,
    },
];
/// Up to so many chunks the caps on recomputation hold.
const SMALL_COLLECTION: u64 = 10_000;
/// The dimension the bytes a chunk are promised for.
const DIM: u32 = 384;
/// `small` against hnswlib's file on the same vectors.
const OF_HNSWLIB: f64 = 0.01;
/// Against LEANN with recomputation at equal recall: times less time, CPU and chunks.
const LEANN_TIME: f64 = 100.0;
const LEANN_CHUNKS: f64 = 10.0;
/// What processor time is counted in, in milliseconds.
const TICK_MS: f64 = 10.0;
/// Against hnswlib's build: times its CPU time.
const BUILD: f64 = 1.5;
/// End to end in `fast` at about a million chunks, milliseconds.
const LARGE: u64 = 1_000_000;
const P50_MS: f64 = 5.0;
const P95_MS: f64 = 10.0;
/// Of a limit on a question's time, what 19 of 20 take.
const LIMIT: f64 = 1.1;

/// Every goal that the rows have numbers for.
pub fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for ours in rows.iter().filter(|row| row.is_ours()) {
        let peers = || rows.iter().filter(|row| !row.is_ours() && row.comparable(ours));
        if let Some(profile) = PROFILES.iter().find(|profile| profile.name == ours.variant) {
            promised(&mut goals, ours, profile);
        }
        for peer in peers().filter(|row| row.engine == "hnswlib") {
            hnswlib(&mut goals, ours, peer);
        }
        let beside_leann = ["balanced", "fast"].contains(&ours.variant.as_str());
        for peer in peers().filter(|row| row.engine == "leann" && beside_leann) {
            leann(&mut goals, ours, peer);
        }
        latency(&mut goals, ours);
        limits(&mut goals, ours);
    }
    goals
}

fn promised(goals: &mut Vec<Goal>, ours: &Row, profile: &Profile) {
    let at = format!("{}, {} chunks", profile.name, ours.n);
    if ours.dim == DIM {
        let most = profile.bytes_per_chunk;
        goals.push(Goal::at_most(format!("{at}: bytes a chunk"), ours.index_per_chunk(), most));
    }
    let cap = profile.recomputed.filter(|_| ours.n <= SMALL_COLLECTION);
    let with = cap.map_or(String::new(), |cap| format!(" with at most {cap} recomputed"));
    // What a person gets who changes nothing, if it was measured.
    let own = ours.full().find(|point| point.setting == OWN);
    let recall = match (own, cap) {
        (Some(own), None) => Some(own.recall),
        (Some(own), Some(cap)) => {
            Some(own.recall).filter(|_| own.recomputed.is_some_and(|n| n <= cap))
        }
        (None, Some(cap)) => ours.recall_within(cap),
        (None, None) => ours.full().map(|one| one.recall).max_by(f64::total_cmp),
    };
    let name = format!("{at}: recall@10{with}");
    // No setting within the cap is a miss too.
    goals.push(Goal::at_least(name, recall.unwrap_or(0.0), profile.recall));
    if let (Some(most), Some(share)) = (profile.share_of_text, ours.share_of_text()) {
        goals.push(Goal::at_most(
            format!("{at}: folder without lexical search, of the text"),
            share,
            most,
        ));
    }
}

fn hnswlib(goals: &mut Vec<Goal>, ours: &Row, peer: &Row) {
    let at = format!("{}, {} chunks", ours.variant, ours.n);
    if ours.variant == "small" && ours.dim == DIM {
        let share = ours.index_per_chunk() / peer.index_per_chunk();
        goals.push(Goal::at_most(format!("{at}: bytes beside hnswlib's file"), share, OF_HNSWLIB));
    }
    for build in &ours.builds {
        if let Some(theirs) = peer.build(build.threads).filter(|theirs| theirs.cpu_s > 0.0) {
            let name =
                format!("{at}: CPU time to build beside hnswlib, {} thread(s)", build.threads);
            goals.push(Goal::at_most(name, build.cpu_s / theirs.cpu_s, BUILD));
        }
    }
}

fn leann(goals: &mut Vec<Goal>, ours: &Row, peer: &Row) {
    // Its rows without recomputation keep every vector: another kind of index.
    for theirs in peer.points.iter().filter(|point| point.recomputed.is_some_and(|n| n > 0.0)) {
        let equal = end_to_end(ours).filter(|one| one.recall >= theirs.recall);
        let at = format!(
            "LEANN ({}) beside {} at recall {:.3}",
            theirs.setting, ours.variant, theirs.recall
        );
        let Some(point) = equal.min_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms)) else {
            // A goal that cannot be judged is not left out.
            if let Some(best) = end_to_end(ours).map(|one| one.recall).max_by(f64::total_cmp) {
                goals.push(Goal::at_least(
                    format!("{at}: recall that is reached"),
                    best,
                    theirs.recall,
                ));
            }
            continue;
        };
        let ratio = |what: &str, theirs: f64, own: f64, times: f64| {
            Goal::at_least(format!("{at}: times the {what}"), theirs / own, times)
        };
        goals.push(ratio("time a question (p50)", theirs.p50_ms, point.p50_ms, LEANN_TIME));
        // Processor time is told in ticks: less than one may be any part of it.
        let own = point.cpu_ms.max(TICK_MS / f64::from(point.queries.max(1)));
        goals.push(ratio("CPU a question", theirs.cpu_ms, own, LEANN_TIME));
        if let (Some(theirs), Some(own)) = (theirs.recomputed, point.recomputed) {
            goals.push(ratio("recomputed chunks", theirs, own.max(1.0), LEANN_CHUNKS));
        }
    }
}

fn latency(goals: &mut Vec<Goal>, ours: &Row) {
    let enough = end_to_end(ours).filter(|point| point.recall >= 0.99);
    let point = enough.min_by(|a, b| a.p50_ms.total_cmp(&b.p50_ms));
    let large = LARGE..2 * LARGE;
    let Some(point) = point.filter(|_| ours.variant == "fast" && large.contains(&ours.n)) else {
        return;
    };
    let at = format!("fast, {} chunks, end to end at recall {:.3}", ours.n, point.recall);
    goals.push(Goal::at_most(format!("{at}: p50, ms"), point.p50_ms, P50_MS));
    goals.push(Goal::at_most(format!("{at}: p95, ms"), point.p95_ms, P95_MS));
}

/// Points whose times include embedding the question, and are as long as it takes.
fn end_to_end(row: &Row) -> impl Iterator<Item = &Point> {
    row.points.iter().filter(|point| point.end_to_end && point.limit_ms.is_none())
}

/// Whether the time given for each question is kept to.
fn limits(goals: &mut Vec<Goal>, ours: &Row) {
    for point in &ours.points {
        let Some(limit) = point.limit_ms else { continue };
        let name = format!(
            "{}, {} chunks, {}: p95 as a share of that",
            ours.variant, ours.n, point.setting
        );
        goals.push(Goal::at_most(name, point.p95_ms / limit, LIMIT));
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{OURS, tests::row};
    use super::*;

    fn find<'a>(goals: &'a [Goal], part: &str) -> &'a Goal {
        let named = goals.iter().find(|goal| goal.name.contains(part));
        named.unwrap_or_else(|| panic!("no goal about {part} in {goals:#?}"))
    }

    #[test]
    fn bytes_recall_and_builds_are_judged() {
        let rows = [
            row(OURS, "small", 5000, 18),
            row(OURS, "balanced", 5000, 50),
            row("hnswlib", "M=16", 5000, 1684),
        ];
        let goals = goals(&rows);
        let small = find(&goals, "small, 5000 chunks: bytes a chunk");
        assert!(!small.met && small.value == 18.0);
        assert!(!find(&goals, "small, 5000 chunks: bytes beside hnswlib").met);
        assert!(find(&goals, "balanced, 5000 chunks: bytes a chunk").met);
        let recall = find(&goals, "balanced, 5000 chunks: recall@10 with at most 64");
        assert!(recall.met && recall.value == 0.99);
        let build = find(&goals, "small, 5000 chunks: CPU time to build beside hnswlib, 1");
        assert!(build.met && build.value == 1.0);
    }

    #[test]
    fn a_profile_is_judged_as_it_is() {
        let mut ours = row(OURS, "balanced", 5000, 50);
        ours.points[0].setting = OWN.into();
        let goals = goals(&[ours]);
        let recall = find(&goals, "recall@10 with at most 64");
        assert!(!recall.met && recall.value == 0.9, "another setting reaches .99");
    }

    #[test]
    fn a_setting_over_the_cap_does_not_count() {
        let mut ours = row(OURS, "balanced", 5000, 50);
        ours.points.remove(0);
        ours.points[0].recomputed = Some(65.0);
        let goals = goals(&[ours.clone()]);
        assert!(!find(&goals, "recall@10 with at most 64").met);
        ours.n = 100_000;
        assert!(find(&super::goals(&[ours]), "recall@10").met, "the cap is for small collections");
    }

    #[test]
    fn leann_is_compared_at_equal_recall_end_to_end() {
        let mut ours = row(OURS, "balanced", 5000, 50);
        let mut leann = row("leann", "hnsw, compact + recompute", 5000, 124);
        leann.points.remove(0);
        leann.points[0].cpu_ms = 120_000.0;
        leann.points[0].recomputed = Some(900.0);
        assert!(
            !goals(&[ours.clone(), leann.clone()]).iter().any(|goal| goal.name.contains("LEANN"))
        );

        ours.points.iter_mut().for_each(|point| point.end_to_end = true);
        let goals = goals(&[ours, leann]);
        let cpu = find(&goals, "times the CPU");
        assert!(cpu.met && cpu.value == 30_000.0);
        assert_eq!(find(&goals, "times the recomputed").value, 900.0 / 64.0);
    }

    #[test]
    fn a_recall_that_is_not_reached_is_a_goal_missed() {
        let mut ours = row(OURS, "balanced", 5000, 50);
        let mut leann = row("leann", "hnsw, compact + recompute", 5000, 124);
        ours.points.iter_mut().for_each(|point| point.end_to_end = true);
        leann.points.iter_mut().for_each(|point| {
            point.recall = 1.0;
            point.recomputed = Some(900.0);
        });
        let goals = goals(&[ours, leann]);
        assert!(!find(&goals, "recall that is reached").met);
        assert!(!goals.iter().any(|goal| goal.name.contains("times the CPU")));
    }

    #[test]
    fn limits_of_time_are_judged() {
        let mut ours = row(OURS, "balanced", 5000, 50);
        ours.points[0].limit_ms = Some(1.9);
        ours.points[1].limit_ms = Some(7.0);
        let goals = goals(&[ours]);
        let kept: Vec<bool> = goals
            .iter()
            .filter(|goal| goal.name.contains("a share of that"))
            .map(|goal| goal.met)
            .collect();
        assert_eq!(kept, [true, false], "2 ms of 1.9, and 8 of 7");
    }

    #[test]
    fn latency_is_judged_at_a_million() {
        let mut ours = row(OURS, "fast", LARGE, 150);
        assert!(!goals(&[ours.clone()]).iter().any(|goal| goal.name.contains("p50")));
        ours.points.iter_mut().for_each(|point| point.end_to_end = true);
        assert!(find(&goals(&[ours.clone()]), "p95, ms").met);
        ours.n = 10 * LARGE;
        assert!(!goals(&[ours]).iter().any(|goal| goal.name.contains("p50")));
    }
}
