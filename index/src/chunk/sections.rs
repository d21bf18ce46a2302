//! Splitting a document at its headings.

use std::ops::Range;

use crate::document::Format;

/// A stretch of text under one heading.
pub(super) struct Section {
    pub(super) range: Range<usize>,
    /// The headings it stands under, joined by [`SEPARATOR`].
    pub(super) title: String,
}

const SEPARATOR: &str = " › ";
/// A title's most bytes: a line that long is no heading a person would read.
const MAX_TITLE: usize = 256;

pub(super) fn split(text: &str, format: Format) -> Vec<Section> {
    match format {
        Format::Markdown => markdown(text),
        Format::Text | Format::Code | Format::Pdf => {
            vec![Section { range: 0..text.len(), title: String::new() }]
        }
    }
}

/// Sections at ATX (`## Title`) and setext (underlined) headings outside of fenced code. The heading
/// itself belongs to its section. YAML front matter stays with the first.
fn markdown(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut fence: Option<&str> = None;
    let mut previous: (usize, &str) = (0, "");
    let mut front_matter = text.starts_with("---\n") || text.starts_with("---\r\n");

    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_end();
        let bare = trimmed.trim_start();
        let inside = front_matter || fence.is_some();
        if front_matter {
            front_matter = at == 0 || (trimmed != "---" && trimmed != "...");
        } else if let Some(mark) = fence {
            if bare.starts_with(mark) {
                fence = None;
            }
        } else if bare.starts_with("```") || bare.starts_with("~~~") {
            fence = Some(&bare[..3]);
        } else if let Some((begin, level, title)) = heading(trimmed, at, previous) {
            push(&mut sections, start..begin, &path);
            start = begin;
            path.retain(|(outer, _)| *outer < level);
            path.push((level, title));
        }
        previous = (at, if inside { "" } else { trimmed });
        at += line.len();
    }
    push(&mut sections, start..text.len(), &path);
    sections
}

fn push(sections: &mut Vec<Section>, range: Range<usize>, path: &[(usize, String)]) {
    if range.is_empty() {
        return;
    }
    let titles: Vec<&str> = path.iter().map(|(_, title)| title.as_str()).collect();
    let mut title = titles.join(SEPARATOR);
    title.truncate(title.floor_char_boundary(MAX_TITLE));
    sections.push(Section { range, title });
}

/// Where a heading's section begins, its level and its title, if this line makes one.
fn heading(line: &str, at: usize, previous: (usize, &str)) -> Option<(usize, usize, String)> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    if indent > 3 {
        return None;
    }
    let line = &line[indent..];
    let level = line.bytes().take_while(|&b| b == b'#').count();
    if (1..=6).contains(&level) {
        let title = line[level..].strip_prefix([' ', '\t'])?;
        let title = title.trim().trim_end_matches('#').trim();
        return (!title.is_empty()).then(|| (at, level, clipped(title)));
    }
    let (level, mark) = match line.bytes().next()? {
        b'=' => (1, '='),
        b'-' => (2, '-'),
        _ => return None,
    };
    let title = previous.1.trim();
    let plain =
        !title.is_empty() && !title.starts_with(['#', '>', '-', '*', '+', '|', '=', '`', '~']);
    (line.len() >= 3 && line.chars().all(|c| c == mark) && plain)
        .then(|| (previous.0, level, clipped(title)))
}

/// A heading as far as a title has room for it: every section below it repeats it.
fn clipped(heading: &str) -> String {
    heading[..heading.floor_char_boundary(MAX_TITLE)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(text: &str) -> Vec<(String, &str)> {
        markdown(text).into_iter().map(|section| (section.title, &text[section.range])).collect()
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
            for section in markdown(text) {
                assert_eq!(section.range.start, at, "{text:?}");
                at = section.range.end;
            }
            assert_eq!(at, text.len(), "{text:?}");
        }
    }
}
