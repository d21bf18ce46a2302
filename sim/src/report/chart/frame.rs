//! Axes, and where values lie between them.

use super::{Axis, draw, escape};

/// Narrow, so that text is still large enough where a phone shows the whole of it.
pub(super) const WIDTH: f64 = 480.0;
pub(super) const HEIGHT: f64 = 260.0;
pub(super) const LEFT: f64 = 66.0;
pub(super) const RIGHT: f64 = 14.0;
pub(super) const TOP: f64 = 10.0;
pub(super) const BOTTOM: f64 = 40.0;
/// Steps of an axis.
const STEPS: f64 = 5.0;

/// Values of an axis to positions in the picture.
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
    from: f64,
    to: f64,
}

/// Both axes.
pub(super) struct Frame {
    pub across: Scale,
    pub up: Scale,
}

impl Scale {
    /// Covers all values with a little room; none without values. With `whole`, steps are whole numbers.
    fn new(values: impl Iterator<Item = f64>, whole: bool, from: f64, to: f64) -> Option<Self> {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        // A step that vanishes beside the values would not move them.
        let span = (high - low).max(low.abs().max(high.abs()) * 1e-9);
        let step = if whole { step(span).max(1.0).round() } else { step(span) };
        let (low, high) = if whole {
            (low, high.max(low + 1.0))
        } else {
            let low = (low / step).floor() * step;
            (low, ((high / step).ceil() * step).max(low + step))
        };
        Some(Self { low, high, step, from, to })
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Values that get a line.
    fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-9).ceil();
        let count = ((self.high / self.step + 1e-9).floor() - first).max(0.0) as usize;
        // Rounded, so that a step of .1 does not show as .30000000000000004, nor zero as -1e-17.
        let digits = 10f64.powf(2.0 - self.step.log10().floor());
        let ticks = (0..=count).map(|number| (first + number as f64) * self.step);
        ticks.map(|tick| (tick * digits).round() / digits + 0.0).collect()
    }
}

/// A step of 1, 2 or 5 times a power of ten that divides `span` into about [`STEPS`].
fn step(span: f64) -> f64 {
    let rough = (span / STEPS).max(1e-12);
    let ten = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().find(|part| part * ten >= rough * 0.999).unwrap_or(10.0) * ten
}

impl Frame {
    /// Around whole numbers across and values up; none without points.
    pub(super) fn new(
        across: impl Iterator<Item = f64>,
        up: impl Iterator<Item = f64>,
    ) -> Option<Self> {
        let across = Scale::new(across, true, LEFT, WIDTH - RIGHT)?;
        let up = Scale::new(up, false, HEIGHT - BOTTOM, TOP)?;
        Some(Self { across, up })
    }

    /// With room for half a column at both ends.
    pub(super) fn with_room(mut self) -> Self {
        self.across.low -= 0.5;
        self.across.high += 0.5;
        self
    }

    /// The beginning of a picture, with axes.
    pub(super) fn begin(&self, title: &str, x: &Axis, y: &Axis) -> String {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let title = escape(title);
        let mut svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n");
        for value in self.across.ticks() {
            let (at, y, text) = (self.across.at(value), bottom + 15.0, (x.show)(value));
            draw(
                &mut svg,
                format_args!("<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>"),
            );
        }
        for value in self.up.ticks() {
            let (at, x, text) = (self.up.at(value), LEFT - 6.0, (y.show)(value));
            draw(&mut svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>"));
            let y = at + 4.0;
            draw(
                &mut svg,
                format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>"),
            );
        }
        draw(
            &mut svg,
            format_args!("<path class=\"frame\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>"),
        );
        let (middle, below) = ((LEFT + right) / 2.0, HEIGHT - 6.0);
        let label = escape(x.label);
        draw(
            &mut svg,
            format_args!(
                "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>"
            ),
        );
        let (middle, label) = ((TOP + bottom) / 2.0, escape(y.label));
        draw(
            &mut svg,
            format_args!(
                "<text transform=\"translate(11 {middle}) rotate(-90)\" text-anchor=\"middle\">{label}</text>"
            ),
        );
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_divided_evenly() {
        let ticks = |values: &[f64], whole| {
            Scale::new(values.iter().copied(), whole, 0.0, 1.0).expect("there are values").ticks()
        };
        assert_eq!(ticks(&[0.82, 0.99], false), [0.8, 0.85, 0.9, 0.95, 1.0]);
        assert_eq!(ticks(&[0.0, 20.0], true), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(ticks(&[0.0, 2.0], true), [0.0, 1.0, 2.0]);
        assert_eq!(ticks(&[3.0, 3.0], true), [3.0, 4.0]);
        assert_eq!(ticks(&[0.3, 0.3], false).len(), 2);
        assert_eq!(ticks(&[-0.2, 0.2], false), [-0.2, -0.1, 0.0, 0.1, 0.2]);
        assert!(ticks(&[1e17, 1e17], false).len() < 20);
        assert!(Scale::new([f64::NAN].into_iter(), false, 0.0, 1.0).is_none());
    }
}
