//! Measures of rankings, and whether two differ.

use std::io::{self, Write};

use covey_node::api::{EvalCompared, EvalMeasures, EvalQuery, EvalReport, EvalRun};

use super::Style;
use crate::text::{clean, count};

/// A measure's name in the API, its name for people, and its value.
type Measure = (&'static str, &'static str, fn(&EvalMeasures) -> f64);

const MEASURES: [Measure; 3] = [
    ("ndcg", "nDCG", |it| it.ndcg),
    ("recall", "recall", |it| it.recall),
    ("mrr", "MRR", |it| it.mrr),
];

/// The table of means or of differences, then each query if there are any, then the notes.
pub fn report(it: &EvalReport, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let name =
        it.set.file_name().map_or_else(|| it.set.to_string_lossy(), |it| it.to_string_lossy());
    write!(
        out,
        "{}  {}, {}",
        style.bold(&clean(&name)),
        clean(&it.split),
        count(it.queries, "query")
    )?;
    match it.documents {
        Some(documents) => writeln!(out, ", {}", count(documents, "document"))?,
        None => writeln!(out)?,
    }
    match &it.compared {
        None => means(&it.run, out)?,
        Some(compared) => differences(&it.run, compared, out, style)?,
    }
    if !it.per_query.is_empty() {
        writeln!(out)?;
        queries(&it.per_query, out, style)?;
    }
    it.notes.iter().try_for_each(|note| writeln!(out, "note: {}", clean(note)))
}

fn means(run: &EvalRun, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}\n", clean(&run.name))?;
    for (_, name, measure) in MEASURES {
        for at in &run.measures {
            writeln!(out, "  {:<12} {:.4}", format!("{name}@{}", at.k), measure(at))?;
        }
    }
    Ok(())
}

fn differences(
    run: &EvalRun,
    compared: &EvalCompared,
    out: &mut dyn Write,
    style: Style,
) -> io::Result<()> {
    writeln!(out, "A {}\nB {}\n", clean(&run.name), clean(&compared.run.name))?;
    writeln!(
        out,
        "  {:<12} {:>7} {:>7} {:>8}  {:<18} {:<8} {:>6} {:>6} {:>6}",
        "", "A", "B", "A - B", "95% interval", "p", "better", "equal", "worse"
    )?;
    for (key, name, measure) in MEASURES {
        for (a, b) in run.measures.iter().zip(&compared.run.measures) {
            let found = compared.differences.iter().find(|it| it.measure == key && it.k == a.k);
            let Some(it) = found else { continue };
            let line = format!(
                "  {:<12} {:>7.4} {:>7.4} {:>+8.4}  {:<18} {:<8} {:>6} {:>6} {:>6}",
                format!("{name}@{}", a.k),
                measure(a),
                measure(b),
                it.difference,
                format!("{:+.4} to {:+.4}", it.low, it.high),
                chance(it.p, compared.permutations),
                it.better,
                it.equal,
                it.worse,
            );
            writeln!(out, "{}", if it.p < 0.05 { style.bold(&line) } else { line })?;
        }
    }
    writeln!(
        out,
        "\np: two-sided paired randomisation test over queries, {} assignments; intervals: bootstrap, {} samples",
        compared.permutations, compared.resamples
    )
}

/// A probability to as many digits as the test can tell.
pub(super) fn chance(p: f64, permutations: u64) -> String {
    let least = 1.0 / (permutations + 1) as f64;
    match p {
        p if p <= least * 1.5 => format!("≤{least:.5}"),
        p if p < 0.001 => format!("{p:.5}"),
        p => format!("{p:.4}"),
    }
}

fn queries(of: &[EvalQuery], out: &mut dyn Write, style: Style) -> io::Result<()> {
    let width = of.iter().map(|it| clean(&it.query).chars().count()).max().unwrap_or(0).max(5);
    let Some(first) = of.first() else { return Ok(()) };
    let mut head = format!("{:<width$}", "query");
    for (_, name, _) in MEASURES {
        for at in &first.measures {
            head.push_str(&format!("  {:>10}", format!("{name}@{}", at.k)));
            if !first.compared.is_empty() {
                head.push_str(&format!(" {:>7}", "A - B"));
            }
        }
    }
    writeln!(out, "{}", style.bold(&head))?;
    for it in of {
        write!(out, "{:<width$}", clean(&it.query))?;
        for (_, _, measure) in MEASURES {
            for (at, a) in it.measures.iter().enumerate() {
                write!(out, "  {:>10.4}", measure(a))?;
                if let Some(b) = it.compared.get(at) {
                    write!(out, " {:>+7.4}", measure(a) - measure(b))?;
                }
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_is_no_surer_than_the_test() {
        let cases = [(1e-5, "≤0.00001"), (2e-5, "0.00002"), (0.0123456, "0.0123"), (1.0, "1.0000")];
        for (p, text) in cases {
            assert_eq!(chance(p, 99_999), text);
        }
    }
}
