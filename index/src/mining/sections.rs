//! Titles and headings with the text under them.

use std::ops::Range;

use super::limits::{MAX_PASSAGE, heading};
use super::{Found, PairKind};
use crate::document::{Extracted, Format, SEPARATOR, front_matter};

/// Headings, front matter and blanks may come before what is kept of a section, up to so many bytes with it.
const MOST_READ: usize = 8 * MAX_PASSAGE;
/// Between the parts of a path of headings in an anchor: a person types no arrows.
const BETWEEN: &str = ": ";

/// Each record's title with its text.
pub(super) fn of_records(extracted: &Extracted, found: &mut Found) {
    let titled = extracted.sections.iter().enumerate();
    for (number, section) in titled.filter(|(_, section)| !section.title.is_empty()) {
        let text = without(text(extracted, section.range.clone()), &[&section.title]);
        found.add(PairKind::Title, heading(&section.title), &text, Some(number));
    }
}

/// The title of a document with how its text begins, and the headings of each section with what stands there.
pub(super) fn of_document(extracted: &Extracted, format: Format, found: &mut Found) {
    let first = extracted.sections.iter().find(|section| !section.title.is_empty());
    let of_first = first.and_then(|section| section.title.split(SEPARATOR).next());
    let title = extracted.attributes.get("title").next().or(of_first);
    // What is under each heading.
    let matter = match format {
        Format::Markdown => front_matter(&extracted.text).map_or(0, |matter| matter.end),
        _ => 0,
    };
    let mut bodies = extracted.sections.iter().map(|section| {
        let range = &section.range;
        let whole = text(extracted, range.start.max(matter)..range.end.max(matter));
        let path = section.title.split(SEPARATOR).filter(|part| !part.is_empty());
        let headings: Vec<&str> = path.chain(title).collect();
        (section, without(whole, &headings))
    });
    let mut untold = Vec::new();
    if let Some(title) = title {
        // Text before it may be a line for a navigation bar, or nothing.
        let begins = loop {
            match bodies.next() {
                Some((section, body)) => {
                    let says = super::passage(&body).is_ok();
                    untold.push((section, body));
                    if says {
                        break untold.last().map(|(_, body)| body.clone());
                    }
                }
                None => break None,
            }
        };
        found.add(PairKind::Title, heading(title), &begins.unwrap_or_default(), None);
    }
    for (section, body) in untold.into_iter().chain(bodies) {
        if !section.title.is_empty() {
            // A path that was cut short is as long as paths get.
            let anchor = heading(&section.title).map(|_| title_anchor(&section.title));
            found.add(PairKind::Heading, anchor, &body, None);
        }
    }
}

/// As much of a section as can matter.
fn text(extracted: &Extracted, range: Range<usize>) -> &str {
    let text = extracted.text.get(range).unwrap_or_default();
    &text[..text.floor_char_boundary(MOST_READ)]
}

/// The headings over a section, as a search shows them, as an anchor has them.
#[must_use]
pub fn title_anchor(title: &str) -> String {
    title.replace(SEPARATOR, BETWEEN)
}

/// Text without its heading, which would give the answer away: neither at the start, however it is broken into
/// lines, nor as a line of its own anywhere.
fn without(text: &str, headings: &[&str]) -> String {
    let mut rest = text;
    for heading in headings.iter().rev() {
        rest = after(rest, heading);
    }
    let is_heading = |line: &str| {
        let bare = line.trim().trim_matches('#').trim();
        headings.iter().any(|heading| same(bare, heading)) || is_underline(line)
    };
    rest.split_inclusive('\n').filter(|line| !is_heading(line)).collect()
}

/// What comes after a heading where the text begins with it, line breaks or not.
fn after<'a>(text: &'a str, heading: &str) -> &'a str {
    let mut rest = text.trim_start().trim_start_matches('#');
    for word in heading.split_whitespace() {
        match rest.trim_start().strip_prefix(word) {
            Some(more) if more.is_empty() || more.starts_with([' ', '\n', '\t', '\r', '#']) => {
                rest = more;
            }
            Some(_) | None => return text,
        }
    }
    let (line, more) = rest.split_once('\n').unwrap_or((rest, ""));
    // A sentence may begin so, too.
    if line.trim().trim_matches('#').is_empty() { more } else { text }
}

/// Whether two lines have the same words.
fn same(a: &str, b: &str) -> bool {
    !a.is_empty() && a.split_whitespace().eq(b.split_whitespace())
}

/// Whether it is what Markdown puts under a heading, or between parts.
fn is_underline(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 3 && (line.bytes().all(|b| b == b'=') || line.bytes().all(|b| b == b'-'))
}
