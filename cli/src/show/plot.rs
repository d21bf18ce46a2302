//! Epsilon over rounds, for a terminal and as SVG.

use std::fmt::Write;

use covey_privacy::plan::Point;

use crate::text::{count, three_digits_up};

/// Columns and rows of the plot in a terminal.
const COLUMNS: usize = 60;
const ROWS: usize = 12;

/// Lines for a terminal: `*` what the ledger charges, `.` a continuous Gaussian by exact accounting.
pub fn text(curve: &[Point]) -> Vec<String> {
    let Some(last) = curve.last() else { return Vec::new() };
    let (top, width) = (last.epsilon.get().max(f64::MIN_POSITIVE), f64::from(last.rounds.get()));
    let mut cells = [[' '; COLUMNS]; ROWS];
    for column in 1..=COLUMNS {
        let rounds = column as f64 / COLUMNS as f64 * width;
        // The next point that is there: between points the figure is rounded up.
        let Some(point) = curve.iter().find(|point| f64::from(point.rounds.get()) >= rounds) else {
            continue;
        };
        for (epsilon, mark) in [(point.gaussian, '.'), (point.epsilon, '*')] {
            let row = (epsilon.get() / top * ROWS as f64).ceil() as usize;
            cells[ROWS - row.clamp(1, ROWS)][column - 1] = mark;
        }
    }
    let mut lines: Vec<String> = cells
        .iter()
        .enumerate()
        .map(|(row, cells)| {
            let label = top * (ROWS - row) as f64 / ROWS as f64;
            let marks: String = cells.iter().collect();
            format!("{:>10} |{}", three_digits_up(label), marks.trim_end())
        })
        .collect();
    lines.push(format!("{:>10} +{}", "", "-".repeat(COLUMNS)));
    let rounds = count(last.rounds.get().into(), "round");
    lines.push(format!("{:>12}1{rounds:>width$}", "", width = COLUMNS - 1));
    lines.push(format!("{:>12}* charged   . exact for a continuous Gaussian", ""));
    lines
}

/// The same as a drawing.
pub fn svg(curve: &[Point]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 360.0;
    const MARGIN: f64 = 56.0;
    let last = curve.last();
    let top = last.map_or(1.0, |last| last.epsilon.get()).max(f64::MIN_POSITIVE);
    let rounds = last.map_or(1.0, |last| f64::from(last.rounds.get()));
    let path = |value: fn(&Point) -> f64| {
        curve.iter().fold(String::new(), |mut path, point| {
            let x = MARGIN + f64::from(point.rounds.get()) / rounds * (WIDTH - 2.0 * MARGIN);
            let y = HEIGHT - MARGIN - value(point) / top * (HEIGHT - 2.0 * MARGIN);
            let _ = write!(path, "{x:.1},{y:.1} ");
            path
        })
    };
    let (charged, gaussian) = (path(|it| it.epsilon.get()), path(|it| it.gaussian.get()));
    let (right, bottom) = (WIDTH - MARGIN, HEIGHT - MARGIN);
    let (below, middle) = (bottom + 20.0, WIDTH / 2.0);
    let (last, most) = (count(rounds as u64, "round"), three_digits_up(top));
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>
<path d="M{MARGIN},{MARGIN} V{bottom} H{right}" fill="none" stroke="black"/>
<polyline points="{charged}" fill="none" stroke="#0b6e4f" stroke-width="2"/>
<polyline points="{gaussian}" fill="none" stroke="#0b6e4f" stroke-dasharray="4 4"/>
<text x="{MARGIN}" y="{below}">1</text>
<text x="{right}" y="{below}" text-anchor="end">{last}</text>
<text x="{MARGIN}" y="40">epsilon {most}</text>
<text x="{middle}" y="{below}" text-anchor="middle">solid: charged, dashed: exact for a continuous Gaussian</text>
</svg>
"##
    )
}

#[cfg(test)]
mod tests {
    use covey_privacy::accountant::Rounds;
    use covey_privacy::ledger::Unit;
    use covey_privacy::plan::{Goal, plan};
    use covey_privacy::{ClipNorm, Delta, Epsilon, Sharers};

    use super::*;

    fn curve(rounds: u32) -> Vec<Point> {
        let goal = Goal {
            unit: Unit::Peer,
            epsilon: Epsilon::new(8.0).expect("a valid epsilon"),
            delta: Delta::new(1e-5).expect("a valid delta"),
            rounds: Rounds::new(rounds).expect("a valid number"),
            cohort: 10,
            units: 1,
            sharers: Sharers::new(9, 1).expect("somebody"),
            parameters: 100,
            clip: ClipNorm::new(1.0).expect("a valid norm"),
        };
        plan(&goal).expect("a plan").curve
    }

    #[test]
    fn plots_fit_and_end_at_the_top() {
        for rounds in [1, 2, 10, 1000] {
            let lines = text(&curve(rounds));
            assert_eq!(lines.len(), ROWS + 3);
            assert!(lines[0].ends_with('*') && lines[0].starts_with("      8.00"), "{}", lines[0]);
            assert!(lines.iter().all(|line| line.len() <= 80));
            let axis = if rounds == 1 { " 1 round" } else { " rounds" };
            assert!(lines[ROWS + 1].ends_with(axis), "{}", lines[ROWS + 1]);
            assert_eq!(svg(&curve(rounds)).matches("<polyline").count(), 2);
        }
        assert!(text(&[]).is_empty());
    }
}
