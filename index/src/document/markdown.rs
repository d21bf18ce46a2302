//! Splitting Markdown at its headings, and what its front matter says.

use std::ops::Range;

use super::attributes::Attributes;
use super::draft::{Headings, MAX_SECTIONS, Section};

/// A heading.
pub(super) struct Heading<'a> {
    /// Where its section begins: at the heading itself.
    pub(super) at: usize,
    pub(super) level: usize,
    pub(super) title: &'a str,
}

/// Sections at the headings. YAML front matter stays with the first.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut path = Headings::default();
    let mut start = 0;
    for heading in headings(text).into_iter().take(MAX_SECTIONS) {
        push(&mut sections, start..heading.at, &path);
        start = heading.at;
        path.enter(heading.level, heading.title);
    }
    push(&mut sections, start..text.len(), &path);
    sections
}

fn push(sections: &mut Vec<Section>, range: Range<usize>, path: &Headings) {
    if !range.is_empty() {
        sections.push(Section { range, title: path.title(), attributes: Attributes::default() });
    }
}

/// ATX (`## Title`) and setext (underlined) headings outside of fenced code and front matter.
pub(super) fn headings(text: &str) -> Vec<Heading<'_>> {
    let mut headings = Vec::new();
    let mut at = front_matter(text).map_or(0, |matter| matter.end);
    let mut fence: Option<&str> = None;
    let mut previous: (usize, &str) = (at, "");
    for line in text[at..].split_inclusive('\n') {
        let trimmed = line.trim_end();
        let bare = trimmed.trim_start();
        let inside = fence.is_some();
        if let Some(mark) = fence {
            if bare.starts_with(mark) {
                fence = None;
            }
        } else if bare.starts_with("```") || bare.starts_with("~~~") {
            fence = Some(&bare[..3]);
        } else if let Some(found) = heading(trimmed, at, previous) {
            headings.push(found);
        }
        previous = (at, if inside { "" } else { trimmed });
        at += line.len();
    }
    headings
}

/// Where YAML front matter lies, its fences included; one that never ends is none.
pub(crate) fn front_matter(text: &str) -> Option<Range<usize>> {
    if !text.starts_with("---\n") && !text.starts_with("---\r\n") {
        return None;
    }
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let first = at == 0;
        at += line.len();
        if !first && matches!(line.trim_end(), "---" | "...") {
            return Some(0..at);
        }
    }
    None
}

/// The heading that this line makes, perhaps of the line before.
fn heading<'a>(line: &'a str, at: usize, previous: (usize, &'a str)) -> Option<Heading<'a>> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    if indent > 3 {
        return None;
    }
    let line = &line[indent..];
    let level = line.bytes().take_while(|&b| b == b'#').count();
    if (1..=6).contains(&level) {
        let title = line[level..].strip_prefix([' ', '\t'])?;
        let title = title.trim().trim_end_matches('#').trim();
        return (!title.is_empty()).then_some(Heading { at, level, title });
    }
    let (level, mark) = match line.bytes().next()? {
        b'=' => (1, '='),
        b'-' => (2, '-'),
        _ => return None,
    };
    let title = previous.1.trim();
    let plain =
        !title.is_empty() && !title.starts_with(['#', '>', '-', '*', '+', '|', '=', '`', '~']);
    (line.len() >= 3 && line.chars().all(|c| c == mark) && plain).then_some(Heading {
        at: previous.0,
        level,
        title,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(text: &str) -> Vec<(String, &str)> {
        sections(text).into_iter().map(|section| (section.title, &text[section.range])).collect()
    }

    #[test]
    fn headings_nest() {
        let got = titles("intro\n# A\na\n## B\nb\n# C\nc\n");
        let expected =
            [("", "intro\n"), ("A", "# A\na\n"), ("A › B", "## B\nb\n"), ("C", "# C\nc\n")];
        assert_eq!(got, expected.map(|(title, body)| (title.to_owned(), body)));
    }

    #[test]
    fn underlined_headings_count_and_fences_and_front_matter_do_not() {
        let text = "---\n# no: 1\n---\nTitle\n=====\nx\n```\n# no\n```\nSub\n---\ny\n#nospace\n";
        let got: Vec<String> = titles(text).into_iter().map(|(title, _)| title).collect();
        assert_eq!(got, ["", "Title", "Title › Sub"]);
    }

    #[test]
    fn sections_cover_the_text_in_order() {
        for text in ["", "# A", "\n\n# A\n\n\n## B", "===\n---\n", "# é\n## ü\nx\n---\n"] {
            let mut at = 0;
            for section in sections(text) {
                assert_eq!(section.range.start, at, "{text:?}");
                at = section.range.end;
            }
            assert_eq!(at, text.len(), "{text:?}");
        }
    }
}
