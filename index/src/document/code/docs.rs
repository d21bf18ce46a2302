//! What documents a symbol: the comments before it that say they do, or its docstring.

use std::ops::Range;

use tree_sitter::Node;

use super::super::draft::Section;
use super::Documented;
use super::language::Language;

/// What documents one symbol.
pub(super) struct Docs {
    /// Where the symbol begins, with what stands before it.
    pub(super) at: usize,
    /// In order, not empty.
    pub(super) ranges: Vec<Range<usize>>,
}

/// Whether a comment before a symbol documents it, by the conventions of rustdoc, JSDoc, Javadoc, Doxygen and
/// `go doc`.
pub(super) fn is_doc(language: Language, comment: &str) -> bool {
    let begins = |marks: &[&str]| marks.iter().any(|mark| comment.starts_with(mark));
    let block = begins(&["/**"]) && !begins(&["/***", "/**/"]);
    match language {
        Language::Rust => block || (begins(&["///"]) && !begins(&["////"])),
        Language::JavaScript | Language::TypeScript | Language::Tsx | Language::Java => block,
        // Directives have no blank after the dashes.
        Language::Go => begins(&["// ", "//\t", "/*"]) || comment.trim_end() == "//",
        Language::C | Language::Cpp => {
            block || begins(&["/*!", "//!"]) || (begins(&["///"]) && !begins(&["////"]))
        }
        // There it is the docstring.
        Language::Python => false,
    }
}

/// The docstring of a function or class of Python.
pub(super) fn docstring(node: Node<'_>) -> Option<Range<usize>> {
    let node = match node.kind() {
        "decorated_definition" => node.child_by_field_name("definition")?,
        _ => node,
    };
    let first = node.child_by_field_name("body")?.named_child(0)?;
    let string = if first.kind() == "string" { first } else { first.named_child(0)? };
    let alone = first.byte_range() == string.byte_range();
    (string.kind() == "string" && alone).then(|| string.byte_range())
}

/// Each section that begins with a documented symbol.
pub(super) fn of_sections(sections: &[Section], docs: Vec<Docs>) -> Vec<Documented> {
    let mut all: Vec<Documented> = Vec::new();
    for Docs { at, ranges } in docs {
        let number = sections.partition_point(|section| section.range.end <= at);
        let Some(section) = sections.get(number).map(|section| section.range.clone()) else {
            continue;
        };
        let inside =
            ranges.iter().all(|range| section.start <= range.start && range.end <= section.end);
        // Where symbols share a section, as in one line, the first one has it.
        if inside && all.last().is_none_or(|last| last.section != section) {
            all.push(Documented { section, docs: ranges });
        }
    }
    all
}
