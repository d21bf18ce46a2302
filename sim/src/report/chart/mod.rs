//! Plots as SVG within a page: lines with bands, and stacked columns. Text takes its colour from the page, so that both light and dark ones show it.

mod frame;
mod lines;
mod stack;

use std::fmt::Write;

pub(super) use lines::{Line, lines};
pub(super) use stack::{Stack, stack};

/// Colours that stand out on white and on black alike.
const COLOURS: [&str; 10] = [
    "#e6550d", "#3182bd", "#31a354", "#756bb1", "#c2962a", "#d6619a", "#17a2a2", "#8c8c8c",
    "#a0694b", "#6f8f2f",
];
/// Most points along a line, and columns of a stack, that are drawn; of more, some are left out evenly.
const MAX_POINTS: usize = 240;

/// A plot with its title and legend, as HTML.
#[derive(Debug)]
pub(super) struct Chart {
    pub title: String,
    pub svg: String,
    /// Names with their colours, in the order in which they are drawn.
    pub legend: Vec<(String, &'static str)>,
    /// A sentence below.
    pub note: String,
}

/// What an axis shows, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub label: &'static str,
    pub show: fn(f64) -> String,
    /// Whether it begins at zero, as where something is counted.
    pub zero: bool,
}

impl Axis {
    /// From where values begin.
    pub(super) const fn new(label: &'static str, show: fn(f64) -> String) -> Self {
        Self { label, show, zero: false }
    }

    /// From zero.
    pub(super) const fn counted(label: &'static str, show: fn(f64) -> String) -> Self {
        Self { label, show, zero: true }
    }
}

impl Chart {
    /// Adds a sentence.
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// As a figure of a page.
    pub(super) fn html(&self) -> String {
        let mut html =
            format!("<figure>\n<figcaption>{}</figcaption>\n{}", escape(&self.title), self.svg);
        if self.legend.len() > 1 {
            html += "<ul class=\"legend\">";
            for (name, colour) in &self.legend {
                let name = escape(name);
                draw(
                    &mut html,
                    format_args!("<li><i style=\"background:{colour}\"></i>{name}</li>"),
                );
            }
            html += "</ul>\n";
        }
        if !self.note.is_empty() {
            draw(&mut html, format_args!("<p class=\"note\">{}</p>", escape(&self.note)));
        }
        html + "</figure>\n"
    }
}

fn colour(number: usize) -> &'static str {
    COLOURS[number % COLOURS.len()]
}

/// At most [`MAX_POINTS`] of all, evenly, the last one always among them.
fn thin<T: Clone>(all: &[T]) -> Vec<T> {
    let every = all.len().div_ceil(MAX_POINTS).max(1);
    all.iter().rev().step_by(every).rev().cloned().collect()
}

fn draw(out: &mut String, what: std::fmt::Arguments<'_>) {
    writeln!(out, "{what}").expect("writing to a string does not fail");
}

/// Text that means nothing to HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_last() {
        let all: Vec<usize> = (0..1000).collect();
        let kept = thin(&all);
        assert!(kept.len() <= MAX_POINTS && kept.last() == Some(&999), "{}", kept.len());
        assert_eq!(thin(&[1, 2, 3]), [1, 2, 3]);
    }
}
