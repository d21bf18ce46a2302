//! Plots as plain SVG: points and lines on linear or logarithmic axes, readable on light and dark pages.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// Room for the axis to the left and below, and for the legend to the right.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 270.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 52.0;
/// Text and axes: as far from white as from the dark of a page, whichever the reader has.
const GREY: &str = "#7d7d7d";
/// Steps of a linear axis.
const STEPS: usize = 5;
/// Colours that stand out on white and on black alike.
const COLOURS: [&str; 10] = [
    "#e6550d", "#3182bd", "#31a354", "#756bb1", "#c2962a", "#d6619a", "#17a2a2", "#8c8c8c",
    "#a0694b", "#6f8f2f",
];

/// An axis: what it shows, and how.
pub struct Axis {
    pub label: &'static str,
    pub log: bool,
}

/// Points of one kind, joined by a line in their order.
pub struct Series {
    pub name: String,
    /// Drawn bold.
    pub strong: bool,
    pub points: Vec<(f64, f64)>,
}

/// A plot as an SVG document; none where there is no point that its axes can show.
pub fn plot(title: &str, x: &Axis, y: &Axis, series: &[Series]) -> Option<String> {
    let shown = |(px, py): &(f64, f64)| x.shows(*px) && y.shows(*py);
    let points: Vec<(f64, f64)> =
        series.iter().flat_map(|one| &one.points).copied().filter(shown).collect();
    let across = Scale::new(x, points.iter().map(|point| point.0), LEFT, WIDTH - RIGHT)?;
    let up = Scale::new(y, points.iter().map(|point| point.1), HEIGHT - BOTTOM, TOP)?;
    let mut svg = head(title);
    axes(&mut svg, x, y, &across, &up);
    let drawn = series.iter().filter(|one| one.points.iter().any(shown));
    for (number, one) in drawn.enumerate() {
        let style = Style::new(number, one.strong);
        let at = one.points.iter().filter(|point| shown(point));
        let at: Vec<(f64, f64)> = at.map(|(px, py)| (across.at(*px), up.at(*py))).collect();
        line(&mut svg, &at, &style);
        legend(&mut svg, number, &one.name, &style);
    }
    svg += "</svg>\n";
    Some(svg)
}

impl Axis {
    fn shows(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }
}

/// Values of an axis to positions on the page.
struct Scale {
    log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Covers all values with whole decades, or with a little room; none without values.
    fn new(axis: &Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let along = |value: f64| if axis.log { value.log10() } else { value };
        let (low, high) = values
            .map(along)
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        let (low, high) = if axis.log {
            (low.floor(), high.ceil().max(low.floor() + 1.0))
        } else {
            let step = step(high - low);
            ((low / step).floor() * step, ((high / step).ceil() * step).max(low + step))
        };
        Some(Self { log: axis.log, low, high, from, to })
    }

    fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Values that get a line, with their text.
    fn ticks(&self) -> Vec<(f64, String)> {
        let step = if self.log { 1.0 } else { step(self.high - self.low) };
        let count = ((self.high - self.low) / step).round() as usize;
        let values = (0..=count).map(|number| self.low + number as f64 * step);
        let ticks = values.map(|value| if self.log { 10f64.powf(value) } else { value });
        ticks.map(|value| (value, number(value))).collect()
    }
}

/// A step of 1, 2 or 5 times a power of ten that divides `span` into about [`STEPS`].
fn step(span: f64) -> f64 {
    let rough = (span / STEPS as f64).max(1e-6);
    let ten = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().find(|part| part * ten >= rough * 0.999).unwrap_or(10.0) * ten
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", value / 1e6),
        size if size >= 1e4 => format!("{}k", value / 1e3),
        _ => format!("{}", (value * 1e6).round() / 1e6),
    }
}

fn head(title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <style>text{{fill:{GREY}}}.grid{{stroke:{GREY};stroke-opacity:.3}}.frame{{stroke:{GREY};fill:none}}</style>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{title}</text>\n",
        title = escape(title)
    )
}

fn axes(svg: &mut String, x: &Axis, y: &Axis, across: &Scale, up: &Scale) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for (value, text) in across.ticks() {
        let at = across.at(value);
        draw(svg, format_args!("<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/>"));
        let y = bottom + 18.0;
        draw(
            svg,
            format_args!("<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>"),
        );
    }
    for (value, text) in up.ticks() {
        let (at, x) = (up.at(value), LEFT - 8.0);
        draw(svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>"));
        let y = at + 4.0;
        draw(svg, format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>"));
    }
    draw(svg, format_args!("<path class=\"frame\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>"));
    let (middle, below) = ((LEFT + right) / 2.0, HEIGHT - 12.0);
    let label = escape(x.label);
    draw(
        svg,
        format_args!("<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>"),
    );
    let (middle, label) = ((TOP + bottom) / 2.0, escape(y.label));
    draw(
        svg,
        format_args!(
            "<text transform=\"translate(16 {middle}) rotate(-90)\" text-anchor=\"middle\">{label}</text>"
        ),
    );
}

/// The colour of a series. Where colours come round again, its line is dashed and its dots are rings.
struct Style {
    colour: &'static str,
    again: bool,
    strong: bool,
}

impl Style {
    fn new(number: usize, strong: bool) -> Self {
        let colour = COLOURS[number % COLOURS.len()];
        Self { colour, again: number >= COLOURS.len(), strong }
    }

    fn dot(&self, svg: &mut String, (x, y): (f64, f64)) {
        let (radius, colour) = (if self.strong { 4.5 } else { 3.0 }, self.colour);
        let fill = if self.again { "none" } else { colour };
        draw(
            svg,
            format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{colour}\"/>"
            ),
        );
    }
}

fn line(svg: &mut String, at: &[(f64, f64)], style: &Style) {
    let path: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let (path, colour) = (path.join("L"), style.colour);
    let wide = if style.strong { 3.0 } else { 1.5 };
    let dashes = if style.again { " stroke-dasharray=\"5 3\"" } else { "" };
    draw(
        svg,
        format_args!(
            "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{wide}\"{dashes}/>"
        ),
    );
    at.iter().for_each(|point| style.dot(svg, *point));
}

fn legend(svg: &mut String, number: usize, name: &str, style: &Style) {
    let (x, y) = (WIDTH - RIGHT + 14.0, TOP + 10.0 + 18.0 * number as f64);
    style.dot(svg, (x, y - 4.0));
    let weight = if style.strong { " font-weight=\"bold\"" } else { "" };
    let (x, name) = (x + 10.0, escape(name));
    draw(svg, format_args!("<text x=\"{x}\" y=\"{y}\" font-size=\"11\"{weight}>{name}</text>"));
}

fn draw(svg: &mut String, what: std::fmt::Arguments<'_>) {
    writeln!(svg, "{what}").expect("writing to a string does not fail");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: Axis = Axis { label: "a < b", log: false };
    const LOG: Axis = Axis { label: "bytes", log: true };

    fn series(points: &[(f64, f64)]) -> Series {
        Series { name: "x & y".into(), strong: true, points: points.to_vec() }
    }

    #[test]
    fn points_lie_within_the_frame_and_names_are_escaped() {
        let svg =
            plot("t", &LOG, &LINEAR, &[series(&[(17.0, 0.9), (1684.0, 0.99)])]).expect("a plot");
        assert!(svg.contains("x &amp; y") && svg.contains("a &lt; b"));
        assert_eq!(svg.matches("<circle").count(), 3);
        let positions = svg.split("cx=\"").skip(1).take(2);
        for x in positions.map(|rest| rest.split('"').next().expect("a value")) {
            let x: f64 = x.parse().expect("a number");
            assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{x}");
        }
    }

    #[test]
    fn what_an_axis_cannot_show_is_left_out() {
        let unshowable = series(&[(0.0, 0.5), (f64::NAN, 0.5)]);
        assert_eq!(plot("t", &LOG, &LINEAR, &[unshowable]), None);
        assert_eq!(plot("t", &LOG, &LINEAR, &[]), None);
        let svg = plot("t", &LOG, &LINEAR, &[series(&[(0.0, 0.5), (10.0, 0.5)])]).expect("a plot");
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn axes_are_divided_evenly() {
        let scale = |axis: &Axis, values: [f64; 2]| {
            let scale = Scale::new(axis, values.into_iter(), 0.0, 100.0).expect("there are values");
            scale.ticks().into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(scale(&LOG, [17.0, 20_000.0]), ["10", "100", "1000", "10k", "100k"]);
        assert_eq!(scale(&LINEAR, [0.82, 0.99]), ["0.8", "0.85", "0.9", "0.95", "1"]);
        assert_eq!(scale(&LOG, [5000.0, 5000.0]), ["1000", "10k"]);
    }
}
