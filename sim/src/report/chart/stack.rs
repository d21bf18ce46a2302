//! Columns of parts on top of each other.

use super::frame::Frame;
use super::{Axis, Chart, colour, draw, escape, thin};

/// A stack of columns.
#[derive(Debug, Clone, Default)]
pub(in crate::report) struct Stack {
    /// What the parts are, from below.
    pub names: Vec<String>,
    /// Where each column is, and its parts in the order of the names.
    pub columns: Vec<(f64, Vec<f64>)>,
}

/// A plot of columns; none where all parts are zero.
pub(in crate::report) fn stack(title: &str, x: Axis, y: Axis, stack: &Stack) -> Option<Chart> {
    let columns = thin(&stack.columns);
    let heights = columns.iter().map(|(_, parts)| parts.iter().sum::<f64>());
    if !heights.clone().any(|height| height > 0.0) {
        return None;
    }
    let frame = Frame::new(columns.iter().map(|(at, _)| *at), heights.chain([0.0]))?.with_room();
    let mut svg = frame.begin(title, &x, &y);
    // As wide as what lies between two columns allows.
    let gap = columns.windows(2).map(|two| two[1].0 - two[0].0).fold(f64::INFINITY, f64::min);
    let gap = if gap.is_finite() { gap } else { 1.0 };
    let wide = ((frame.across.at(gap) - frame.across.at(0.0)) * 0.8).clamp(1.0, 40.0);
    for (at, parts) in &columns {
        let left = frame.across.at(*at) - wide / 2.0;
        let mut from = 0.0;
        for (number, part) in parts.iter().enumerate().filter(|(_, part)| **part > 0.0) {
            let (top, bottom) = (frame.up.at(from + part), frame.up.at(from));
            let (name, high, colour) = (escape(&stack.names[number]), bottom - top, colour(number));
            let (at, value) = ((x.show)(*at), (y.show)(*part));
            draw(
                &mut svg,
                format_args!(
                    "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"{colour}\"><title>{name}, {} {at}: {value}</title></rect>",
                    escape(x.label)
                ),
            );
            from += part;
        }
    }
    svg += "</svg>\n";
    let legend =
        stack.names.iter().enumerate().map(|(number, name)| (name.clone(), colour(number)));
    Some(Chart { title: title.to_owned(), svg, legend: legend.collect(), note: String::new() })
}
