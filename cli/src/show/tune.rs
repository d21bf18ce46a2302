//! What tuning found and did.

use std::io::{self, Write};
use std::time::Duration;

use covey_node::api::{
    TuneChoice, TuneDisk, TuneGoal, TuneGoals, TuneInfo, TuneMeasured, TunedInfo,
};

use super::Style;
use crate::text::{clean, count, duration, time};

/// The table of choices, what was chosen, and what the real search then did.
pub fn tuned(it: &TuneInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    writeln!(
        out,
        "{}  {}, {} embedded again, {} played",
        style.bold(it.collection.as_str()),
        count(it.chunks, "passage"),
        it.sampled,
        count(it.questions, "question"),
    )?;
    let costs = &it.costs;
    writeln!(
        out,
        "here     question {}, passage {} + {} to read, scan {} now",
        micros(costs.embed_us),
        micros(costs.encode_us),
        micros(costs.read_us),
        micros(costs.scan_us),
    )?;
    writeln!(out, "goals    {}\n", goals(&it.goals))?;
    writeln!(
        out,
        "  {:>9} {:>8} {:>10} {:>11} {:>9} {:>11}  predicted",
        "bytes", "of text", "recall@10", "recomputed", "9 of 10", "latency"
    )?;
    let marked = it.chosen.or(it.nearest);
    for (at, choice) in it.choices.iter().enumerate() {
        let is_marked = marked == Some(at as u64);
        let line = row(choice, is_marked);
        writeln!(out, "{}", if is_marked { style.bold(&line) } else { line })?;
    }
    writeln!(out)?;
    let Some(choice) = marked.and_then(|at| it.choices.get(usize::try_from(at).ok()?)) else {
        return Ok(());
    };
    if it.chosen.is_none() {
        let names: Vec<&str> = it.in_the_way.iter().map(|goal| name(*goal)).collect();
        writeln!(
            out,
            "nothing reaches all goals; {} in the way: the nearest is predicted to reach a recall of {:.3} in {} with {:.1} bytes a passage",
            match names.as_slice() {
                [one] => format!("{one} is"),
                many => format!("{} are", many.join(" and ")),
            },
            choice.recall,
            micros(choice.latency_us),
            choice.bytes_per_chunk,
        )?;
    }
    let settings = &choice.settings;
    writeln!(
        out,
        "settings {} bytes a passage, at most {} recomputed, confidence {}, {} scores",
        settings.bytes_per_chunk,
        settings.recompute,
        settings.confidence,
        if settings.exact { "exact" } else { "some estimated" },
    )?;
    if let Some(ms) = it.recode_ms.filter(|_| !it.applied) {
        let about = duration(Duration::from_millis(ms));
        writeln!(out, "         every passage has to be coded anew for them: about {about}")?;
    }
    for assumed in &it.assumed {
        writeln!(out, "assumed  {}", clean(assumed))?;
    }
    let Some(measured) = &it.measured else {
        let applied = match it.applied {
            true => "in force; how they do was not measured to the end, as that was interrupted",
            false => "not in force",
        };
        return writeln!(out, "{applied}");
    };
    writeln!(
        out,
        "in force and measured: recall {:.3} (predicted {:.3}), {:.1} recomputed (predicted {:.1}), latency p50 {}, 9 of 10 {} (predicted {}), p95 {}",
        measured.recall,
        choice.recall,
        measured.recomputed,
        choice.recomputed,
        micros(measured.p50_us),
        micros(measured.p90_us),
        micros(choice.latency_us),
        micros(measured.p95_us),
    )?;
    writeln!(
        out,
        "         over {}, against a search that may recompute {} and is {} standard deviations sure",
        count(measured.questions, "question"),
        measured.against_recompute,
        measured.against_confidence,
    )?;
    match missed(&it.goals, measured).as_slice() {
        [] => Ok(()),
        missed => {
            let line = format!("         which misses what was asked for: {}", missed.join(", "));
            writeln!(out, "{}", style.bold(&line))
        }
    }
}

/// What was measured and falls short of the goals.
fn missed(goals: &TuneGoals, measured: &TuneMeasured) -> Vec<String> {
    let recall = (measured.recall < goals.recall)
        .then(|| format!("recall {}, not {}", trimmed(measured.recall), trimmed(goals.recall)));
    let most = goals.latency_us.map(|us| us as f64).filter(|most| measured.p90_us > *most);
    let latency =
        most.map(|most| format!("9 of 10 take {}, not {}", micros(measured.p90_us), micros(most)));
    recall.into_iter().chain(latency).collect()
}

/// That a collection has goals, on one line.
pub fn kept(it: &TunedInfo) -> String {
    let fits = if it.fits { "" } else { ", not reached" };
    format!(
        "{}{fits}; tuned {} at {}",
        goals(&it.goals),
        time(it.at.0),
        count(it.chunks, "passage")
    )
}

fn row(it: &TuneChoice, marked: bool) -> String {
    format!(
        "{} {:>9.1} {:>7.2}% {:>10} {:>11.1} {:>9.0} {:>11}",
        if marked { "→" } else { " " },
        it.bytes_per_chunk,
        it.share * 100.0,
        format!("{:.3}±{:.3}", it.recall, it.recall_error),
        it.recomputed,
        it.recomputed_p90,
        micros(it.latency_us),
    )
}

fn goals(it: &TuneGoals) -> String {
    let disk = match it.disk {
        TuneDisk::Share(share) => format!("{}% of the text", trimmed(share * 100.0)),
        TuneDisk::BytesPerChunk(bytes) => format!("{} bytes a passage", trimmed(bytes)),
    };
    let latency = it
        .latency_us
        .map_or_else(|| "any latency".to_owned(), |us| format!("latency {}", micros(us as f64)));
    format!("recall {}, {latency}, {disk}", trimmed(it.recall))
}

fn name(goal: TuneGoal) -> &'static str {
    match goal {
        TuneGoal::Recall => "recall",
        TuneGoal::Latency => "latency",
        TuneGoal::Disk => "disk",
    }
}

/// A number without zeros at its end.
fn trimmed(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Microseconds, with a digit after the point where there is only one before it.
fn micros(us: f64) -> String {
    match us {
        us if (1_000.0..10_000.0).contains(&us) => format!("{:.1} ms", us / 1_000.0),
        us if us < 10.0 => format!("{us:.1} µs"),
        us => duration(Duration::from_secs_f64(us.max(0.0) / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_held_against_the_goals() {
        let measured = TuneMeasured {
            questions: 100,
            p50_us: 4_000.0,
            p90_us: 8_000.0,
            p95_us: 9_000.0,
            recomputed: 20.0,
            recall: 0.94,
            against_recompute: 1_000,
            against_confidence: 6.0,
        };
        let missed = |recall, latency_us| {
            let goals = TuneGoals { recall, latency_us, disk: TuneDisk::Share(0.08) };
            missed(&goals, &measured)
        };
        assert!(missed(0.94, Some(8_000)).is_empty() && missed(0.9, None).is_empty());
        assert_eq!(
            missed(0.95, Some(4_000)),
            ["recall 0.94, not 0.95", "9 of 10 take 8.0 ms, not 4.0 ms"]
        );
    }

    #[test]
    fn numbers_are_as_long_as_they_need_to_be() {
        assert_eq!(
            (trimmed(0.95), trimmed(1.0), trimmed(60.0)),
            ("0.95".into(), "1".into(), "60".into())
        );
        let times = [(1.5, "1.5 µs"), (800.0, "800 µs"), (5_000.0, "5.0 ms"), (42_000.0, "42 ms")];
        for (us, text) in times {
            assert_eq!(micros(us), text);
        }
    }
}
