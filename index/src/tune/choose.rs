//! Choosing among what was tried.

use std::cmp::Ordering;

use super::{DiskGoal, TuneGoal, TuneGoals, TuneRow};

/// What is kept of all rows, and which of them is the one.
pub(super) struct Choice {
    /// The best at each width, from the smallest on.
    pub(super) frontier: Vec<TuneRow>,
    pub(super) chosen: Option<usize>,
    pub(super) nearest: Option<usize>,
    pub(super) in_the_way: Vec<TuneGoal>,
}

/// The row that fits with the least disk; of those that take as much one whose scores are all exact, then
/// the fastest. Where none fits, the nearest is one that misses the fewest goals.
pub(super) fn choose(rows: &[TuneRow], goals: &TuneGoals) -> Choice {
    let mut frontier: Vec<TuneRow> = Vec::new();
    for group in rows.chunk_by(|a, b| a.settings.bytes_per_chunk == b.settings.bytes_per_chunk) {
        frontier.extend(group.iter().min_by(|a, b| better(a, b, goals)).copied());
    }
    let fits = |row: &&TuneRow| misses(row, goals).is_empty();
    let least = |a: &&TuneRow, b: &&TuneRow| a.bytes_per_chunk.total_cmp(&b.bytes_per_chunk);
    let place = |row: &TuneRow| frontier.iter().position(|it| it == row);
    if let Some(row) = frontier.iter().filter(fits).min_by(least) {
        let chosen = place(row);
        return Choice { chosen, nearest: None, in_the_way: Vec::new(), frontier };
    }
    let nearest = frontier.iter().min_by(|a, b| {
        let (first, second) = (misses(a, goals), misses(b, goals));
        let far = |misses: &[(TuneGoal, f64)]| misses.iter().map(|(_, by)| by).sum::<f64>();
        let fewer = first.len().cmp(&second.len());
        fewer.then(far(&first).total_cmp(&far(&second))).then(least(a, b))
    });
    let in_the_way = nearest.map(|row| misses(row, goals)).unwrap_or_default();
    let in_the_way = in_the_way.into_iter().map(|(goal, _)| goal).collect();
    let nearest = nearest.and_then(place);
    Choice { chosen: None, nearest, in_the_way, frontier }
}

/// Which of two rows of one width is the better, `Less` for the first.
fn better(a: &TuneRow, b: &TuneRow, goals: &TuneGoals) -> Ordering {
    // What misses disk does so at any confidence. A goal out of reach is no reason to miss another.
    let far = |row: &TuneRow| -> (usize, f64) {
        let misses = misses(row, goals).into_iter().filter(|(goal, _)| *goal != TuneGoal::Disk);
        misses.fold((0, 0.0), |(count, sum), (_, by)| (count + 1, sum + by))
    };
    let ((fewest, least), (count, sum)) = (far(a), far(b));
    fewest
        .cmp(&count)
        .then(least.total_cmp(&sum))
        .then(b.settings.exact.cmp(&a.settings.exact))
        .then(a.latency.cmp(&b.latency))
        .then(a.recomputed.total_cmp(&b.recomputed))
        .then(b.recall.total_cmp(&a.recall))
        .then(a.settings.recompute.cmp(&b.settings.recompute))
}

/// The goals that a row misses, and by how much: as a share of what was asked for.
fn misses(row: &TuneRow, goals: &TuneGoals) -> Vec<(TuneGoal, f64)> {
    let mut misses = Vec::new();
    // So few questions say little about the last thousandth: the goal has to hold with one standard
    // error to spare.
    let recall = row.recall - row.recall_error;
    if recall < goals.recall {
        let lost = (1.0 - recall) / (1.0 - goals.recall).max(0.001);
        misses.push((TuneGoal::Recall, lost - 1.0));
    }
    if let Some(latency) = goals.latency.filter(|latency| row.latency > *latency) {
        let over = row.latency.as_secs_f64() / latency.as_secs_f64().max(1e-6);
        misses.push((TuneGoal::Latency, over - 1.0));
    }
    let (taken, allowed) = match goals.disk {
        DiskGoal::Share(share) => (row.share, share),
        DiskGoal::PerChunk(bytes) => (row.bytes_per_chunk, bytes),
    };
    if taken > allowed {
        misses.push((TuneGoal::Disk, taken / allowed - 1.0));
    }
    misses
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::Settings;

    fn row(bytes: u32, exact: bool, recall: f64, ms: u64) -> TuneRow {
        TuneRow {
            settings: Settings { bytes_per_chunk: bytes, exact, ..Settings::default() },
            code_bytes: bytes as usize,
            bytes_per_chunk: f64::from(bytes),
            share: f64::from(bytes) / 1000.0,
            recall,
            recall_error: 0.01,
            recomputed: ms as f64,
            recomputed_p90: ms as f64,
            latency: Duration::from_millis(ms),
        }
    }

    fn rows() -> Vec<TuneRow> {
        vec![
            row(20, true, 0.80, 5),
            row(20, true, 0.93, 40),
            row(20, false, 0.90, 20),
            row(60, true, 0.95, 6),
            row(60, true, 0.99, 20),
            row(60, false, 0.97, 4),
            row(200, true, 0.999, 12),
            row(200, false, 0.998, 2),
        ]
    }

    #[test]
    fn the_least_disk_that_fits_is_chosen_then_exact_scores_then_the_fastest() {
        let goals = |recall, ms: Option<u64>, share| TuneGoals {
            recall,
            latency: ms.map(Duration::from_millis),
            disk: DiskGoal::Share(share),
        };
        let cases = [
            (goals(0.9, None, 1.0), (20, true, 40)),
            (goals(0.9, Some(30), 1.0), (60, true, 6)),
            (goals(0.9, Some(5), 1.0), (60, false, 4)),
            (goals(0.95, None, 0.1), (60, true, 20)),
            (goals(0.985, Some(5), 0.2), (200, false, 2)),
            (goals(0.985, Some(15), 0.2), (200, true, 12)),
        ];
        for (goals, expected) in cases {
            let choice = choose(&rows(), &goals);
            let row = choice.frontier[choice.chosen.expect("fits")];
            let found = (row.settings.bytes_per_chunk, row.settings.exact, row.latency.as_millis());
            assert_eq!(found, expected, "{goals:?}");
            assert_eq!((choice.frontier.len(), choice.nearest), (3, None));
        }
    }

    #[test]
    fn what_is_in_the_way_is_named_and_the_nearest_misses_it_least() {
        let cases = [
            (0.95, None, DiskGoal::Share(0.05), vec![TuneGoal::Disk], 60),
            (0.985, Some(1), DiskGoal::Share(0.3), vec![TuneGoal::Latency], 200),
            (0.90, Some(30), DiskGoal::PerChunk(30.0), vec![TuneGoal::Recall], 20),
            (1.0, None, DiskGoal::Share(0.3), vec![TuneGoal::Recall], 200),
        ];
        for (recall, ms, disk, expected, bytes) in cases {
            let goals = TuneGoals { recall, latency: ms.map(Duration::from_millis), disk };
            let choice = choose(&rows(), &goals);
            assert_eq!((choice.chosen, &choice.in_the_way), (None, &expected), "{goals:?}");
            let row = choice.frontier[choice.nearest.expect("there is one")];
            assert_eq!(row.settings.bytes_per_chunk, bytes, "{goals:?}");
        }
    }

    #[test]
    fn a_latency_out_of_reach_costs_no_recall() {
        let goals = TuneGoals {
            recall: 0.95,
            latency: Some(Duration::from_micros(1)),
            disk: DiskGoal::Share(1.0),
        };
        let choice = choose(&[row(60, true, 0.3, 1), row(60, true, 0.99, 9)], &goals);
        assert_eq!(choice.in_the_way, [TuneGoal::Latency]);
        assert!(choice.frontier[choice.nearest.expect("there is one")].recall > 0.9);
    }

    #[test]
    fn recall_has_to_hold_with_a_standard_error_to_spare() {
        let goals = TuneGoals { recall: 0.98, latency: None, disk: DiskGoal::Share(1.0) };
        let choice = choose(&[row(60, true, 0.985, 1), row(200, true, 0.995, 1)], &goals);
        assert_eq!(choice.chosen, Some(1));
    }
}
