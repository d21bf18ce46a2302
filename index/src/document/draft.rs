//! Text being put together from a format that is not plain text, and its sections.

use std::ops::Range;

use super::attributes::{Attributes, tidy};
use super::{MAX_TEXT, SkipReason};

/// Between the parts of a title.
pub(crate) const SEPARATOR: &str = " › ";
/// A title's most bytes: a line that long is no heading a person would read.
pub(super) const MAX_TITLE: usize = 256;
/// Most sections of one file; what comes after belongs to the last.
pub(super) const MAX_SECTIONS: usize = 1 << 20;
/// Most memory the facts about all sections of a file may take, about; what comes after has none.
const MAX_FACTS: usize = 32 << 20;

/// A stretch of the text that stands for itself: what is under one heading, a mail, a record, a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Where it lies in the text, in bytes.
    pub(crate) range: Range<usize>,
    /// The headings or symbols it stands under, outermost first; empty outside of any.
    pub(crate) title: String,
    /// Facts about this part alone.
    pub(crate) attributes: Attributes,
}

/// The headings in force, outermost first.
#[derive(Default)]
pub(super) struct Headings(Vec<(usize, String)>);

impl Headings {
    /// Enters a heading; those of its level and below end.
    pub(super) fn enter(&mut self, level: usize, title: &str) {
        self.0.retain(|(outer, _)| *outer < level);
        self.0.push((level, tidy(title, MAX_TITLE)));
    }

    /// All of them in one line.
    pub(super) fn title(&self) -> String {
        join_titles(self.0.iter().map(|(_, title)| title.as_str()))
    }
}

/// Titles in one line, as far as there is room.
pub(super) fn join_titles<'a>(titles: impl Iterator<Item = &'a str>) -> String {
    let mut all = String::new();
    for title in titles.filter(|title| !title.is_empty()) {
        if !all.is_empty() {
            all.push_str(SEPARATOR);
        }
        all.push_str(title);
        if all.len() > MAX_TITLE {
            all.truncate(all.floor_char_boundary(MAX_TITLE));
            break;
        }
    }
    all
}

/// Text and sections, both bounded.
pub(super) struct Draft {
    text: String,
    /// Sections by their start; the last one is open.
    sections: Vec<Section>,
    headings: Headings,
    /// Memory the sections' facts take; none where only the text is wanted.
    facts: Option<usize>,
}

impl Draft {
    /// A draft of everything.
    pub(super) fn new() -> Self {
        Self {
            text: String::new(),
            sections: Vec::new(),
            headings: Headings::default(),
            facts: Some(0),
        }
    }

    /// A draft of the text, for which facts about sections would be gathered in vain.
    pub(super) fn of_text() -> Self {
        Self { facts: None, ..Self::new() }
    }

    /// Whether facts about sections are of any use.
    pub(super) fn wants_facts(&self) -> bool {
        self.facts.is_some()
    }

    /// Adds text as it is.
    pub(super) fn push(&mut self, text: &str) -> Result<(), SkipReason> {
        if self.text.len() + text.len() > MAX_TEXT {
            return Err(too_long(self.text.len() + text.len()));
        }
        self.text.push_str(text);
        Ok(())
    }

    /// Ends the line, if one has begun.
    pub(super) fn line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// Ends the paragraph, if one has begun.
    pub(super) fn paragraph(&mut self) {
        self.line();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Whether a blank here would add nothing.
    pub(super) fn at_blank(&self) -> bool {
        self.text.is_empty() || self.text.ends_with([' ', '\n', '\t'])
    }

    /// What was added since there were `at` bytes.
    pub(super) fn since(&self, at: usize) -> &str {
        self.text.get(at..).unwrap_or_default()
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Begins a section at byte `at`, which is not before the last section's, under a heading.
    pub(super) fn heading_at(&mut self, at: usize, level: usize, title: &str) {
        self.headings.enter(level, title);
        let title = self.headings.title();
        self.begin(at, title, Attributes::default());
    }

    /// Leaves every heading of this level or below, and begins a section under what stays.
    pub(super) fn leave(&mut self, level: usize) {
        self.headings.enter(level, "");
        let title = self.headings.title();
        self.begin(self.text.len(), title, Attributes::default());
    }

    /// Begins a section here with a title of its own.
    pub(super) fn section(&mut self, title: &str, attributes: Attributes) {
        self.begin(self.text.len(), tidy(title, MAX_TITLE), attributes);
    }

    fn begin(&mut self, at: usize, title: String, mut attributes: Attributes) {
        if self.sections.len() >= MAX_SECTIONS {
            return;
        }
        let pair = |(key, value): (&str, &str)| key.len() + value.len() + 2 * size_of::<String>();
        match &mut self.facts {
            Some(_) if attributes.is_empty() => {}
            Some(facts) => {
                *facts += attributes.iter().map(pair).sum::<usize>();
                if *facts > MAX_FACTS {
                    attributes = Attributes::default();
                }
            }
            None => return,
        }
        let at = self.text.floor_char_boundary(at);
        self.sections.push(Section { range: at..at, title, attributes });
    }

    /// The text and sections that cover it: none is empty.
    pub(super) fn finish(self) -> (String, Vec<Section>) {
        let Self { text, mut sections, .. } = self;
        let mut end = text.len();
        for section in sections.iter_mut().rev() {
            section.range.end = end;
            section.range.start = section.range.start.min(end);
            end = section.range.start;
        }
        if end > 0 {
            let untitled =
                Section { range: 0..end, title: String::new(), attributes: Attributes::default() };
            sections.insert(0, untitled);
        }
        sections.retain(|section| !section.range.is_empty());
        (text, sections)
    }
}

pub(super) fn too_long(size: usize) -> SkipReason {
    SkipReason::TooLarge { size: size as u64, limit: MAX_TEXT as u64 }
}

/// One section for all of a text.
pub(super) fn whole(text: &str) -> Vec<Section> {
    if text.is_empty() {
        return Vec::new();
    }
    vec![Section { range: 0..text.len(), title: String::new(), attributes: Attributes::default() }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_cover_the_text_and_carry_their_headings() {
        let mut draft = Draft::new();
        draft.push("before").expect("fits");
        draft.paragraph();
        for (level, title, body) in [(1, "A", "a"), (2, "B", ""), (2, " C\n c", "c"), (1, "D", "d")]
        {
            draft.heading_at(draft.len(), level, title);
            draft.push(body).expect("fits");
            draft.line();
        }
        let (text, sections) = draft.finish();
        let got: Vec<(&str, &str)> =
            sections.iter().map(|s| (s.title.as_str(), &text[s.range.clone()])).collect();
        assert_eq!(got, [("", "before\n\n"), ("A", "a\n"), ("A › C c", "c\n"), ("D", "d\n")]);
    }

    #[test]
    fn facts_and_titles_are_bounded() {
        let mut draft = Draft::new();
        let mut facts = Attributes::default();
        for i in 0..64 {
            facts.insert(&format!("key{i}"), &"v".repeat(256));
        }
        for _ in 0..2000 {
            draft.section(&"t".repeat(1000), facts.clone());
            draft.push("x").expect("fits");
        }
        let (_, sections) = draft.finish();
        assert_eq!(sections.len(), 2000);
        assert!(!sections[0].attributes.is_empty() && sections[1999].attributes.is_empty());
        assert_eq!(sections[0].title.len(), MAX_TITLE);
    }
}
