//! Sections of source code: one for each symbol, by syntax tree.

mod docs;
mod language;
mod symbols;

use std::ops::{ControlFlow, Range};
use std::path::Path;

use tree_sitter::{ParseOptions, Parser, Tree};

use super::attributes::Attributes;
use super::draft::{Section, whole};
use language::Language;

/// The largest file that is parsed; a larger one is data more often than code.
const MAX_PARSED: usize = 1 << 20;
/// Longer lines than this on average are a program's output.
const MAX_LINE: usize = 400;
/// The parser reports every hundred steps, and good code takes one step a byte, at most one and a half.
/// It may take ten, and some more whatever the size. A bound in steps and not in time makes the same of
/// the same file on every machine.
const BYTES_PER_REPORT: usize = 10;
const MIN_REPORTS: usize = 2_000;

/// Sections titled by the path of their symbol, and the language; one section where the language is
/// not known or the text is no such program.
pub(super) fn sections(path: &Path, text: &str) -> (Vec<Section>, Attributes) {
    let mut facts = Attributes::default();
    let Some(language) = Language::of(path, text) else { return (whole(text), facts) };
    facts.insert("language", language.name());
    let sections = parse(language, text).map(|tree| symbols::sections(language, &tree, text).0);
    (sections.unwrap_or_else(|| whole(text)), facts)
}

/// A symbol with what documents it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Documented {
    /// Its section.
    pub(crate) section: Range<usize>,
    /// Comments or a docstring, within the section and in order.
    pub(crate) docs: Vec<Range<usize>>,
}

/// The symbols of a program that are documented, in order.
pub(crate) fn documented(path: &Path, text: &str) -> Vec<Documented> {
    let Some(language) = Language::of(path, text) else { return Vec::new() };
    let Some(tree) = parse(language, text) else { return Vec::new() };
    let (sections, docs) = symbols::sections(language, &tree, text);
    docs::of_sections(&sections, docs)
}

fn parse(language: Language, text: &str) -> Option<Tree> {
    let lines = text.bytes().filter(|&b| b == b'\n').count() + 1;
    if text.len() > MAX_PARSED || text.len() / lines > MAX_LINE {
        return None;
    }
    let mut parser = Parser::new();
    parser.set_language(&language.grammar()).ok()?;
    let mut left = MIN_REPORTS + text.len() / BYTES_PER_REPORT;
    let mut count = |_: &_| match left.checked_sub(1) {
        Some(fewer) => {
            left = fewer;
            ControlFlow::Continue(())
        }
        None => ControlFlow::Break(()),
    };
    let options = ParseOptions::new().progress_callback(&mut count);
    let bytes = text.as_bytes();
    parser.parse_with_options(&mut |at, _| bytes.get(at..).unwrap_or_default(), None, Some(options))
}

#[cfg(test)]
mod tests;
