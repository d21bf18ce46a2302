//! Search results, and the honest account of who answered.

use std::io::{self, Write};
use std::time::Duration;

use covey_node::api::{
    Coverage, LineHit, MemberOutcome, SearchHit, SearchMode, SearchReport, Source, Stopped,
};

use super::Style;
use crate::text::{clean, count, duration, visible, wrap};

/// Columns a line of a snippet takes.
const WIDTH: usize = 88;
/// Lines shown of a passage.
const LINES: usize = 3;

/// Prints a report.
pub fn report(report: &SearchReport, out: &mut dyn Write, style: Style) -> io::Result<()> {
    for (rank, found) in report.results.iter().enumerate() {
        hit(rank + 1, found, report, out, style)?;
    }
    for found in &report.lines {
        line(found, out, style)?;
    }
    if report.results.is_empty() && report.lines.is_empty() {
        writeln!(out, "Nothing found.")?;
    }
    writeln!(out, "{}", style.dim(&summary(report)))?;
    for member in &report.coverage.members {
        if member.outcome != "answered" {
            writeln!(out, "  {}", style.dim(&absent(member)))?;
        }
    }
    for note in &report.notes {
        writeln!(out, "note: {}", clean(note))?;
    }
    Ok(())
}

/// What the search of own files did, in one line.
pub fn explain(report: &SearchReport) -> String {
    let SearchReport { recomputed, cached, visited, stale, .. } = report;
    let took = duration(Duration::from_micros(report.elapsed_us));
    let why = match (report.mode, report.stopped) {
        (_, Some(Stopped::Time)) => "it ran out of time",
        (SearchMode::Grep, Some(Stopped::Budget)) => "as many lines were found as asked for",
        (_, Some(Stopped::Budget)) => "as many were recomputed as the settings allow",
        (_, Some(Stopped::Bound)) => "nothing left out could be better",
        (_, None) => "everything was looked at",
    };
    if report.mode == SearchMode::Grep {
        return format!("looked into {visited} files, {stale} passed over; {why}; {took}");
    }
    let bound = match report.bound {
        Some(bound) => format!("; what is not shown scores at most {bound:.3}"),
        None => String::new(),
    };
    let asked = if report.personal { "asked with an adapter of your own; " } else { "" };
    let kept = match cached {
        0 => String::new(),
        _ => format!(" ({cached} more were in the cache)"),
    };
    format!(
        "{asked}recomputed {recomputed} of {visited} passages looked at{kept}, {stale} passed over; \
         stopped as {why}{bound}; {took}"
    )
}

/// `path:line: text`, as grep prints it.
fn line(hit: &LineHit, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let place = format!("{}:{}:", clean(&hit.path.to_string_lossy()), hit.line);
    writeln!(out, "{} {}", style.dim(&place), visible(&hit.text))
}

fn hit(
    rank: usize,
    hit: &SearchHit,
    report: &SearchReport,
    out: &mut dyn Write,
    style: Style,
) -> io::Result<()> {
    let mut holders = hit.from.iter().map(source);
    let best = holders.next().unwrap_or_default();
    let title = hit.title.as_deref().map(clean).filter(|title| !title.is_empty());
    let title = title.unwrap_or_else(|| "(title not shared)".to_owned());
    let score = score(hit, report.mode);
    writeln!(out, "{rank:>2}. {score}  {}  {}", style.bold(&title), style.dim(&best))?;
    for line in wrap(body(hit.text.as_deref().unwrap_or_default()), WIDTH, LINES) {
        writeln!(out, "    {line}")?;
    }
    if let Some(path) = &hit.path {
        writeln!(out, "    {}", style.dim(&clean(&path.to_string_lossy())))?;
    }
    let others: Vec<_> = holders.collect();
    if !others.is_empty() {
        writeln!(out, "    {}", style.dim(&format!("also: {}", others.join(", "))))?;
    }
    if !hit.verified && hit.margin == 0.0 {
        writeln!(out, "    {}", style.dim("score as claimed by its owner"))?;
    }
    Ok(())
}

/// A score, with what it is where it is not the usual one.
fn score(hit: &SearchHit, mode: SearchMode) -> String {
    match mode {
        SearchMode::Lexical => format!("words {:.2}", hit.score),
        SearchMode::Hybrid => format!("hybrid {:.3}", hit.score),
        SearchMode::Vector | SearchMode::Grep if hit.margin > 0.0 => {
            format!("{:.3} ±{:.3}", hit.score, hit.margin)
        }
        SearchMode::Vector | SearchMode::Grep => format!("{:.3}", hit.score),
    }
}

/// A passage without its Markdown heading, which the title shows already.
fn body(text: &str) -> &str {
    match text.trim_start().split_once('\n') {
        Some((heading, rest)) if heading.starts_with('#') && !rest.trim().is_empty() => rest,
        _ => text,
    }
}

fn source(source: &Source) -> String {
    format!("{} · {}", clean(&source.member), clean(&source.collection))
}

/// One line: how much was found, who answered, how long it took.
fn summary(report: &SearchReport) -> String {
    let mut line = match report.mode {
        SearchMode::Grep => count(report.lines.len() as u64, "line"),
        SearchMode::Vector | SearchMode::Lexical | SearchMode::Hybrid => {
            count(report.results.len() as u64, "result")
        }
    };
    if report.mode == SearchMode::Grep && report.stopped == Some(Stopped::Budget) {
        line.push_str(" (there are more: `--limit`)");
    }
    line.push_str(&match &report.group {
        Some(group) => format!(" from {}: {}", clean(group.as_str()), coverage(&report.coverage)),
        None => " from your own files".to_owned(),
    });
    line.push_str(&format!(" · {}", duration(Duration::from_micros(report.elapsed_us))));
    if report.stale > 0 {
        let noun = if report.mode == SearchMode::Grep { "file" } else { "match" };
        let files = count(report.stale, noun);
        line.push_str(&format!(
            " · {files} passed over as the file has changed or is gone (`covey add` its folder again)"
        ));
    }
    line
}

/// `asked 3: 2 answered, 1 offline`; what is zero is left out.
fn coverage(coverage: &Coverage) -> String {
    let counts = [
        (coverage.answered, "answered"),
        (coverage.refused, "refused"),
        (coverage.timed_out, "timed out"),
        (coverage.offline, "offline"),
    ];
    let parts: Vec<_> = counts
        .iter()
        .filter(|(n, what)| *n > 0 || *what == "answered")
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    format!("asked {}: {}", coverage.asked, parts.join(", "))
}

fn absent(member: &MemberOutcome) -> String {
    let outcome = member.outcome.replace('_', " ");
    let why =
        member.reason.as_deref().map(clean).map_or_else(String::new, |why| format!(": {why}"));
    format!("{} {outcome}{why}", clean(&member.member))
}

#[cfg(test)]
mod tests {
    use covey_protocol::ids::NodeId;

    use super::*;

    fn node() -> NodeId {
        let base_point: Vec<u8> = std::iter::once(0x58).chain([0x66; 31]).collect();
        covey_protocol::ids::base32().encode(&base_point).parse().expect("a point of the curve")
    }

    fn outcome(outcome: &str, reason: Option<&str>) -> MemberOutcome {
        MemberOutcome {
            node: node(),
            member: "ben\u{1b}[31m".into(),
            outcome: outcome.into(),
            reason: reason.map(Into::into),
            results: 0,
            elapsed_us: 5,
        }
    }

    #[test]
    fn a_report_says_who_is_missing_and_lets_no_escape_through() {
        let from = vec![
            Source { node: node(), member: "ada".into(), collection: "notes".into() },
            Source { node: node(), member: "you".into(), collection: "copy".into() },
        ];
        let text = Some("# Heading\nfirst line\nsecond \u{1b}]0;title\u{7} line".into());
        let hit = SearchHit {
            score: 0.5,
            margin: 0.0,
            from,
            title: None,
            text,
            path: None,
            verified: false,
        };
        let coverage = Coverage {
            asked: 2,
            answered: 1,
            timed_out: 1,
            members: vec![outcome("answered", None), outcome("timed_out", Some("too slow"))],
            ..Coverage::default()
        };
        let found = SearchReport {
            results: vec![hit],
            group: Some("lab".parse().expect("a name")),
            coverage,
            elapsed_us: 1_500,
            recomputed: 0,
            cached: 0,
            stale: 0,
            notes: vec![],
            mode: SearchMode::Vector,
            visited: 0,
            stopped: None,
            bound: None,
            lines: vec![],
            personal: false,
        };
        let mut out = Vec::new();
        report(&found, &mut out, Style::of(false)).expect("writes to memory");
        let out = String::from_utf8(out).expect("UTF-8");
        assert!(!out.contains('\u{1b}') && !out.contains('\u{7}'), "{out}");
        let expected = [
            " 1. 0.500  (title not shared)  ada · notes",
            "also: you · copy",
            "score as claimed",
            "1 result from lab: asked 2: 1 answered, 1 timed out · 1 ms",
            "[31m timed out: too slow",
        ];
        assert!(!out.contains("Heading"), "the title says it: {out}");
        for line in expected {
            assert!(out.contains(line), "{line} in {out}");
        }
    }
}
