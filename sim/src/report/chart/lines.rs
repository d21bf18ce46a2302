//! Lines over rounds or hours, each with the band of its interval.

use super::frame::{BOTTOM, Frame, HEIGHT, TOP};
use super::{Axis, Chart, colour, draw, escape, thin};
use crate::report::figure::Figure;

/// Lines with no more points have dots, which say their value where a pointer rests.
const MAX_DOTS: usize = 60;

/// A line.
#[derive(Debug, Clone)]
pub(in crate::report) struct Line {
    pub name: String,
    pub points: Vec<(f64, Figure)>,
}

impl Line {
    pub(in crate::report) fn new(name: impl Into<String>, points: Vec<(f64, Figure)>) -> Self {
        Self { name: name.into(), points }
    }
}

/// A plot of lines; none where no line has a point. Whole numbers in `marks` get a line down and a cross, and lines that have no point are left out.
pub(in crate::report) fn lines(
    title: &str,
    x: Axis,
    y: Axis,
    lines: &[Line],
    marks: &[f64],
) -> Option<Chart> {
    let drawn: Vec<Line> = lines
        .iter()
        .filter(|line| !line.points.is_empty())
        .map(|line| Line::new(line.name.clone(), thin(&line.points)))
        .collect();
    let points = || drawn.iter().flat_map(|line| &line.points);
    let ends = points().flat_map(|(_, of)| [Some(of.mean), of.low, of.high]).flatten();
    let ends = ends.chain(y.zero.then_some(0.0).filter(|_| !drawn.is_empty()));
    let frame = Frame::new(points().map(|(at, _)| *at).chain(thin(marks)), ends)?;
    let mut svg = frame.begin(title, &x, &y);
    for mark in thin(marks) {
        let (at, top, bottom) = (frame.across.at(mark), TOP, HEIGHT - BOTTOM);
        let text = (x.show)(mark);
        draw(
            &mut svg,
            format_args!(
                "<g class=\"mark\"><title>{text}</title><path d=\"M{at:.1} {top}V{bottom}\" stroke-dasharray=\"3 3\"/><path d=\"M{:.1} {top}l8 8m0 -8l-8 8\"/></g>",
                at - 4.0
            ),
        );
    }
    for (number, line) in drawn.iter().enumerate() {
        band(&mut svg, &frame, line, colour(number));
    }
    for (number, line) in drawn.iter().enumerate() {
        draw_line(&mut svg, &frame, line, number, (x, y));
    }
    svg += "</svg>\n";
    let legend = drawn.iter().enumerate().map(|(number, line)| (line.name.clone(), colour(number)));
    Some(Chart { title: title.to_owned(), svg, legend: legend.collect(), note: String::new() })
}

fn band(svg: &mut String, frame: &Frame, line: &Line, colour: &str) {
    let ends = line.points.iter().filter_map(|(at, of)| Some((*at, of.low?, of.high?)));
    let ends: Vec<_> = ends.collect();
    if ends.len() < 2 {
        return;
    }
    let place =
        |at: f64, value: f64| format!("{:.1} {:.1}", frame.across.at(at), frame.up.at(value));
    let there = ends.iter().map(|(at, low, _)| place(*at, *low));
    let back = ends.iter().rev().map(|(at, _, high)| place(*at, *high));
    let path: Vec<String> = there.chain(back).collect();
    let path = path.join("L");
    draw(svg, format_args!("<path d=\"M{path}Z\" fill=\"{colour}\" fill-opacity=\".18\"/>"));
}

fn draw_line(svg: &mut String, frame: &Frame, line: &Line, number: usize, (x, y): (Axis, Axis)) {
    let colour = colour(number);
    let place = |(at, of): &(f64, Figure)| {
        format!("{:.1} {:.1}", frame.across.at(*at), frame.up.at(of.mean))
    };
    let path: Vec<String> = line.points.iter().map(place).collect();
    let path = path.join("L");
    // Where colours come round again, lines are dashed.
    let dashes = if number >= super::COLOURS.len() { " stroke-dasharray=\"5 3\"" } else { "" };
    draw(
        svg,
        format_args!(
            "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>"
        ),
    );
    if line.points.len() > MAX_DOTS {
        return;
    }
    for (at, of) in &line.points {
        let (cx, cy) = (frame.across.at(*at), frame.up.at(of.mean));
        let name = escape(&line.name);
        let (at, value) = ((x.show)(*at), crate::report::numbers::figure(of, y.show));
        draw(
            svg,
            format_args!(
                "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.5\" fill=\"{colour}\"><title>{name}, {} {at}: {value}</title></circle>",
                escape(x.label)
            ),
        );
    }
}
