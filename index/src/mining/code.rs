//! What documents a symbol, with its code.

use std::ops::Range;
use std::path::Path;

use super::limits::anchor;
use super::{Found, PairKind};
use crate::document::{Documented, documented};

/// Pairs of a program. Of a comment its first paragraph counts, as in CodeSearchNet (Husain et al. 2019); what is said
/// of parameters is not what somebody asks for.
pub(super) fn pairs(text: &str, path: &Path, found: &mut Found) {
    for Documented { section, docs } in documented(path, text) {
        let said: Vec<&str> = docs.iter().filter_map(|range| text.get(range.clone())).collect();
        let code = without(text, section, &docs);
        found.add(PairKind::Code, anchor(&first_paragraph(&said)), &code, None);
    }
}

/// The code of a section without some ranges, and without the lines that only these were on.
fn without(text: &str, section: Range<usize>, docs: &[Range<usize>]) -> String {
    let mut code = String::new();
    let mut at = section.start;
    for range in docs {
        let before = text[at..range.start.max(at)].trim_end_matches([' ', '\t']);
        let after = &text[range.end..section.end];
        let line = after.len() - after.trim_start_matches([' ', '\t', '\r']).len();
        let alone = before.is_empty() || before.ends_with('\n');
        let ends = after[line..].starts_with('\n') || range_ends_line(text, range);
        if alone && ends {
            code.push_str(before);
            let newline = usize::from(after[line..].starts_with('\n'));
            at = range.end + if range_ends_line(text, range) { 0 } else { line + newline };
        } else {
            code.push_str(&text[at..range.start.max(at)]);
            at = range.end;
        }
    }
    code.push_str(&text[at..section.end]);
    code
}

/// Whether the newline is part of it, as in some grammars.
fn range_ends_line(text: &str, range: &Range<usize>) -> bool {
    text[range.clone()].ends_with('\n')
}

/// The first paragraph of what documents a symbol, without the marks of comments.
fn first_paragraph(docs: &[&str]) -> String {
    let mut paragraph = String::new();
    for line in docs.iter().flat_map(|doc| stripped(doc).lines()).map(bare) {
        let line = ["@brief", "\\brief", "@summary"]
            .iter()
            .find_map(|tag| line.strip_prefix(tag))
            .unwrap_or(line)
            .trim();
        let ends = if line.is_empty() { !paragraph.is_empty() } else { is_apart(line) };
        if ends {
            break;
        }
        if !paragraph.is_empty() {
            paragraph.push(' ');
        }
        paragraph.push_str(line);
    }
    paragraph
}

/// What is between the marks of a block comment or the quotes of a docstring.
fn stripped(doc: &str) -> &str {
    let doc = doc.trim();
    if let Some(block) = doc.strip_prefix("/*") {
        return block.strip_suffix("*/").unwrap_or(block).trim_matches(['*', '!']);
    }
    let string = doc.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    for quotes in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(inside) = string.strip_prefix(quotes) {
            return inside.strip_suffix(quotes).unwrap_or(inside);
        }
    }
    doc
}

/// A line without what marks it as part of a comment.
fn bare(line: &str) -> &str {
    let line = line.trim();
    let marks = ["///", "//!", "//", "*"];
    marks.iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line).trim()
}

/// Whether a line begins something else than prose: tags, examples, lists of parameters.
fn is_apart(line: &str) -> bool {
    let names = ["Args:", "Arguments:", "Parameters", "Returns:", "Raises:", "Example", "Usage:"];
    line.starts_with(['@', '\\', '#', '|'])
        || line.starts_with(":param")
        || ["```", "~~~", ">>>", "---", "==="].iter().any(|mark| line.starts_with(mark))
        || names.iter().any(|name| line.starts_with(name))
}
