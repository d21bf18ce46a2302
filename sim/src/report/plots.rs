//! Which plots a run has: those that it has data for.

use std::collections::{BTreeMap, BTreeSet};

use covey_protocol::round::Phase;

use super::chart::{Axis, Chart, Line, Stack, lines, stack};
use super::figure::Figure;
use super::measured::Measured;
use super::numbers::{bytes, millis, number, share};
use crate::metrics::{RoundMetric, SearchMetric};

const ROUND: Axis = Axis::new("round", number);
const HOUR: Axis = Axis::new("hour", number);

/// All plots of a run, in the order of the page.
pub(super) fn plots(measured: &Measured<'_>) -> Vec<Chart> {
    let plots = [
        quality(measured),
        worst_decile(measured),
        loss(measured),
        epsilon(measured),
        attack(measured),
        refused(measured),
        exposed(measured),
        participants(measured),
        phases(measured),
        bytes_per_peer(measured),
        total_bytes(measured),
        update(measured),
        coverage(measured),
        recall(measured),
        latency(measured),
        search_bytes(measured),
        search_attack(measured),
        harvested(measured),
    ];
    plots.into_iter().flatten().collect()
}

fn over_rounds(
    title: &str,
    y: Axis,
    measured: &Measured<'_>,
    value: impl Fn(&RoundMetric) -> Option<f64>,
) -> Option<Chart> {
    lines(title, ROUND, y, &[Line::new(title, measured.by_round(value))], &[])
}

fn quality(measured: &Measured<'_>) -> Option<Chart> {
    let y = Axis::new("quality", number);
    over_rounds("Quality", y, measured, |of| of.quality).map(|chart| chart.note(band(measured)))
}

/// What the band is, said once.
fn band(measured: &Measured<'_>) -> String {
    match measured.seeds().len() {
        0 | 1 => "One seed, so there is no band: repeats would show what is chance.".to_owned(),
        seeds => format!(
            "Mean of {seeds} seeds; bands are 95% confidence intervals of the mean, here and below."
        ),
    }
}

fn worst_decile(measured: &Measured<'_>) -> Option<Chart> {
    let y = Axis::new("quality", number);
    let all = Line::new("all peers", measured.by_round(|of| of.peers_quality.or(of.quality)));
    let worst = Line::new("worst tenth of the peers", measured.by_round(|of| of.worst_decile));
    if worst.points.is_empty() {
        return None;
    }
    lines("The peers it serves worst", ROUND, y, &[worst, all], &[])
}

fn loss(measured: &Measured<'_>) -> Option<Chart> {
    over_rounds("Loss", Axis::new("loss", number), measured, |of| of.loss)
}

fn epsilon(measured: &Measured<'_>) -> Option<Chart> {
    let y = Axis::counted("epsilon", number);
    over_rounds("Privacy spent", y, measured, |of| of.epsilon).map(|chart| {
        chart.note("The most that any peer has spent by its ledger, attempts that failed included.")
    })
}

fn attack(measured: &Measured<'_>) -> Option<Chart> {
    let y = Axis::counted("success", share);
    let within = |share: f64| share.clamp(0.0, 1.0);
    let shown = |(round, of): (f64, Figure)| {
        let (low, high) = (of.low.map(within), of.high.map(within));
        (round, Figure { mean: within(of.mean), low, high, ..of })
    };
    let points = measured.by_round(|of| of.attack).into_iter().map(shown).collect();
    let title = "How far the attack got";
    lines(title, ROUND, y, &[Line::new(title, points)], &[]).map(|chart| {
        chart.note("Of what honest peers alone gain, the share that is undone; what is below nothing or above all is at the edge.")
    })
}

fn refused(measured: &Measured<'_>) -> Option<Chart> {
    let checks: BTreeSet<&str> =
        measured.rounds().flat_map(|of| of.refused.keys().map(String::as_str)).collect();
    let series = checks.iter().map(|check| {
        measured.by_round(|of| {
            let peers = of.refused.get(*check).copied().unwrap_or_default();
            (of.round > 0).then(|| f64::from(peers))
        })
    });
    let columns = stacked(series.collect());
    let names = checks.iter().map(|check| (*check).to_owned()).collect();
    let y = Axis::counted("peers", number);
    stack("Peers that refused, by check", ROUND, y, &Stack { names, columns }).map(|chart| {
        chart.note(
            "Numbers of checks are those of the specifications: A of the secure sum, R of rounds.",
        )
    })
}

fn exposed(measured: &Measured<'_>) -> Option<Chart> {
    let y = Axis::counted("peers", number);
    over_rounds("Updates that the coordinator could open", y, measured, |of| {
        of.exposed.map(f64::from)
    })
    .map(|chart| chart.note("Of honest peers, by all that it and those who collude with it know."))
}

fn participants(measured: &Measured<'_>) -> Option<Chart> {
    let after_first = |value: fn(&RoundMetric) -> u32| {
        move |of: &RoundMetric| (of.cohort > 0).then(|| f64::from(value(of)))
    };
    let all = [
        Line::new("in the sum", measured.by_round(after_first(|of| of.survivors))),
        Line::new("checked in", measured.by_round(after_first(|of| of.cohort))),
    ];
    let failed: BTreeSet<u32> =
        measured.rounds().filter(|of| of.failed.is_some()).map(|of| of.round).collect();
    let marks: Vec<f64> = failed.iter().map(|round| f64::from(*round)).collect();
    let y = Axis::counted("peers", number);
    let chart = lines("Who took part", ROUND, y, &all, &marks)?;
    Some(match failed.len() {
        0 => chart,
        1 => chart.note("The cross is a round that came to nothing in at least one seed."),
        _ => chart.note("Crosses are rounds that came to nothing in at least one seed."),
    })
}

fn phases(measured: &Measured<'_>) -> Option<Chart> {
    let names: BTreeSet<&str> =
        measured.rounds().flat_map(|of| of.phases_s.keys().map(String::as_str)).collect();
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by_key(|name| (place(name), *name));
    let series = names.iter().map(|name| {
        measured.by_round(|of| {
            (!of.phases_s.is_empty()).then(|| of.phases_s.get(*name).copied().unwrap_or_default())
        })
    });
    let columns = stacked(series.collect());
    let names = names.into_iter().map(str::to_owned).collect();
    stack(
        "Virtual time of each phase",
        ROUND,
        Axis::counted("seconds", number),
        &Stack { names, columns },
    )
    .map(|chart| chart.note("Of a round's last attempt."))
}

/// Where a phase comes in a round; phases that are not known come last, by name.
fn place(phase: &str) -> usize {
    let order = [
        "training",
        Phase::Gathering.name(),
        Phase::Neighbours.name(),
        Phase::Shares.name(),
        Phase::Uploads.name(),
        Phase::Survivors.name(),
        Phase::Opening.name(),
    ];
    order.iter().position(|known| *known == phase).unwrap_or(order.len())
}

/// Means of several series as the parts of columns.
fn stacked(series: Vec<Vec<(f64, Figure)>>) -> Vec<(f64, Vec<f64>)> {
    let mut columns: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    let parts = series.len();
    for (part, points) in series.into_iter().enumerate() {
        for (at, figure) in points {
            // Numbers of rounds and hours are whole and positive.
            columns.entry(at as u64).or_insert_with(|| vec![0.0; parts])[part] =
                figure.mean.max(0.0);
        }
    }
    columns.into_iter().map(|(at, parts)| (at as f64, parts)).collect()
}

fn bytes_per_peer(measured: &Measured<'_>) -> Option<Chart> {
    let y = Axis::counted("bytes", bytes);
    let each = |value: fn(&RoundMetric) -> u64| {
        measured.by_round(move |of| {
            (of.cohort > 0 && value(of) > 0).then(|| value(of) as f64 / f64::from(of.cohort))
        })
    };
    let most = |value: fn(&RoundMetric) -> u64| {
        measured.by_round(move |of| (value(of) > 0).then(|| value(of) as f64))
    };
    let all = [
        Line::new("sent", each(|of| of.up_bytes)),
        Line::new("received", each(|of| of.down_bytes)),
        Line::new("most sent by one peer", most(|of| of.most_up_bytes)),
        Line::new("most received by one peer", most(|of| of.most_down_bytes)),
    ];
    lines("Bytes of a peer that takes part", ROUND, y, &all, &[])
        .map(|chart| chart.note("All bytes of a round over those who had checked in."))
}

fn total_bytes(measured: &Measured<'_>) -> Option<Chart> {
    let y = Axis::counted("bytes", bytes);
    let all = |value: fn(&RoundMetric) -> u64| {
        measured.by_round(move |of| (of.up_bytes + of.down_bytes > 0).then(|| value(of) as f64))
    };
    let both =
        [Line::new("sent", all(|of| of.up_bytes)), Line::new("received", all(|of| of.down_bytes))];
    lines("Bytes of all peers", ROUND, y, &both, &[])
}

fn update(measured: &Measured<'_>) -> Option<Chart> {
    let clipped = measured.by_round(|of| of.clipped);
    let note = clipped.last().map(|(_, last)| {
        format!("In the last round {} of the updates were clipped.", share(last.mean))
    });
    over_rounds("Length of the mean update", Axis::new("L2", number), measured, |of| of.norm)
        .map(|chart| chart.note(note.unwrap_or_default()))
}

fn coverage(measured: &Measured<'_>) -> Option<Chart> {
    type Part = fn(&SearchMetric) -> u64;
    let parts: [(&str, Part); 4] = [
        ("answered", |of| of.answered),
        ("refused", |of| of.refused),
        ("timed out", |of| of.timed_out),
        ("offline", |of| of.offline),
    ];
    let of_asked = |value: fn(&SearchMetric) -> u64| {
        measured.by_hour(move |of| (of.asked > 0).then(|| value(of) as f64 / of.asked as f64))
    };
    let columns = stacked(parts.iter().map(|(_, value)| of_asked(*value)).collect());
    let names = parts.iter().map(|(name, _)| (*name).to_owned()).collect();
    let y = Axis::counted("members asked", share);
    stack("What members did with questions", HOUR, y, &Stack { names, columns })
}

fn recall(measured: &Measured<'_>) -> Option<Chart> {
    let line = Line::new("recall", measured.by_hour(|of| of.recall));
    lines("Recall of the best ten passages", HOUR, Axis::new("recall", number), &[line], &[])
}

fn latency(measured: &Measured<'_>) -> Option<Chart> {
    let asked = |value: fn(&SearchMetric) -> f64| {
        measured.by_hour(move |of| (of.questions > 0).then(|| value(of)))
    };
    let both = [
        Line::new("half of the questions", asked(|of| of.p50_ms)),
        Line::new("95 of a hundred", asked(|of| of.p95_ms)),
    ];
    lines("Time until the answer", HOUR, Axis::counted("time", millis), &both, &[])
}

fn search_bytes(measured: &Measured<'_>) -> Option<Chart> {
    let moved = measured.by_hour(|of| (of.questions > 0).then_some(of.bytes as f64));
    lines(
        "Bytes moved in the hour",
        HOUR,
        Axis::counted("bytes", bytes),
        &[Line::new("moved", moved)],
        &[],
    )
}

fn search_attack(measured: &Measured<'_>) -> Option<Chart> {
    let line = Line::new("forged", measured.by_hour(|of| of.attack));
    let y = Axis::counted("questions", share);
    lines("Questions whose best result is forged", HOUR, y, &[line], &[])
}

fn harvested(measured: &Measured<'_>) -> Option<Chart> {
    let line = Line::new("harvested", measured.by_hour(|of| of.harvested));
    let y = Axis::counted("passages of others", share);
    lines("What those who flood have got so far", HOUR, y, &[line], &[])
}
