//! From a syntax tree to sections: where symbols begin, and their paths.

use tree_sitter::{Node, Tree};

use super::super::attributes::{Attributes, tidy};
use super::super::draft::{MAX_TITLE, Section, join_titles};
use super::docs::{self, Docs};
use super::language::Language;

/// Deepest symbol within symbols that gets a section of its own.
const MAX_DEPTH: usize = 16;
/// A symbol's name as far as it is part of a path.
const MAX_NAME: usize = 80;
/// Most sections of one file.
const MAX_SYMBOLS: usize = 1 << 16;

/// A section per symbol, in order, with the comments and attributes before it. What stands between
/// symbols belongs to what is around them. Also what documents symbols, in the order of these.
pub(super) fn sections(language: Language, tree: &Tree, text: &str) -> (Vec<Section>, Vec<Docs>) {
    let (path, marks, docs) = (Vec::new(), vec![(0, String::new())], Vec::new());
    let mut walk = Walk { language, text, path, marks, docs };
    walk.children(tree.root_node());
    (cut(walk.marks, text), walk.docs)
}

/// The sections that begin at these marks.
fn cut(marks: Vec<(usize, String)>, text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let ends = marks.iter().skip(1).map(|mark| mark.0).chain([text.len()]);
    let ends: Vec<usize> = ends.collect();
    for ((start, title), end) in marks.into_iter().zip(ends) {
        let piece = &text[start..end];
        match sections.last_mut() {
            // Blanks alone stay with what is before them.
            Some(last) if piece.trim().is_empty() => last.range.end = end,
            _ if start == end => {}
            _ => {
                let attributes = Attributes::default();
                sections.push(Section { range: start..end, title, attributes });
            }
        }
    }
    sections
}

/// A definition found in the tree.
struct Symbol<'t> {
    name: String,
    /// Where its own symbols are, if it can have any.
    body: Option<Node<'t>>,
}

struct Walk<'a> {
    language: Language,
    text: &'a str,
    /// Names of the symbols around.
    path: Vec<String>,
    /// Where sections begin, ascending, and their titles.
    marks: Vec<(usize, String)>,
    docs: Vec<Docs>,
}

impl<'a> Walk<'a> {
    /// Marks the symbols among a node's children.
    fn children(&mut self, parent: Node<'_>) {
        let mut cursor = parent.walk();
        // Whether the last section begun is that of a child.
        let mut in_symbol = false;
        // Comments and attributes that may belong to what follows: start of the first, end of the last.
        let mut before: Option<(usize, usize)> = None;
        // Those of them that document it.
        let mut docs = Vec::new();
        for child in parent.named_children(&mut cursor) {
            let (start, end) = (child.start_byte(), child.end_byte());
            before = before.filter(|before| !self.blank_line(before.1, start));
            if before.is_none() {
                docs.clear();
            }
            if is_comment(child) {
                // One at the end of a line belongs to that line.
                if self.starts_line(start) {
                    before = Some((before.map_or(start, |before| before.0), end));
                    if docs::is_doc(self.language, self.of(child)) {
                        docs.push(start..end);
                    }
                }
                continue;
            }
            let first = before.take().map_or(start, |before| before.0);
            let mut docs = std::mem::take(&mut docs);
            if is_transparent(child) && self.path.len() < MAX_DEPTH {
                self.children(child);
                in_symbol = true;
            } else if let Some(symbol) = self.symbol(child) {
                if self.language == Language::Python {
                    docs.extend(docs::docstring(child));
                }
                if !docs.is_empty() {
                    self.docs.push(Docs { at: first, ranges: docs });
                }
                self.path.push(tidy(&symbol.name, MAX_NAME));
                self.mark(first);
                if let Some(body) = symbol.body.filter(|_| self.path.len() < MAX_DEPTH) {
                    self.children(body);
                }
                self.path.pop();
                in_symbol = true;
            } else if in_symbol {
                self.mark(first);
                in_symbol = false;
            }
        }
    }

    /// Begins a section at the line of this byte, under the path as it is.
    fn mark(&mut self, at: usize) {
        let line = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let at = if self.text[line..at].trim().is_empty() { line } else { at };
        let title = join_titles(self.path.iter().map(String::as_str));
        let room = self.marks.len() < MAX_SYMBOLS;
        match self.marks.last_mut() {
            Some(last) if last.0 == at => last.1 = title,
            Some(last) if last.0 < at && room => {
                self.marks.push((at, title));
            }
            _ => {}
        }
    }

    fn starts_line(&self, at: usize) -> bool {
        self.text[..at].trim_end_matches([' ', '\t']).ends_with('\n') || at == 0
    }

    fn blank_line(&self, from: usize, to: usize) -> bool {
        let gap = self.text.get(from..to).unwrap_or_default();
        gap.bytes().filter(|&b| b == b'\n').count() > 1
    }

    fn of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn field(&self, node: Node<'_>, field: &str) -> Option<String> {
        node.child_by_field_name(field).map(|node| self.of(node).to_owned())
    }

    /// The symbol that a node defines, looking into what wraps a definition.
    fn symbol<'t>(&self, node: Node<'t>) -> Option<Symbol<'t>> {
        let mut node = node;
        // Wrappers nest a little: an exported decorated class.
        for _ in 0..4 {
            match unwrapped(node) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        let named = |body: Option<Node<'t>>| Some(Symbol { name: self.field(node, "name")?, body });
        let body = node.child_by_field_name("body");
        match node.kind() {
            "impl_item" => {
                let of = self.field(node, "type")?;
                let name = match self.field(node, "trait") {
                    Some(interface) => format!("{interface} for {of}"),
                    None => of,
                };
                Some(Symbol { name, body })
            }
            // With symbols of their own.
            "mod_item" => body.and_then(|body| named(Some(body))),
            "trait_item"
            | "class_definition"
            | "class_declaration"
            | "abstract_class_declaration"
            | "internal_module"
            | "module"
            | "namespace_definition"
            | "interface_declaration"
            | "enum_declaration"
            | "record_declaration"
            | "annotation_type_declaration" => named(body),
            "class_specifier" | "struct_specifier" | "union_specifier" | "enum_specifier" => {
                body.and_then(|body| named(Some(body)))
            }
            // Without.
            "struct_item"
            | "enum_item"
            | "union_item"
            | "macro_definition"
            | "function_signature_item"
            | "function_item"
            | "function_declaration"
            | "generator_function_declaration"
            | "constructor_declaration"
            | "type_alias_declaration"
            | "type_spec"
            | "method_definition" => named(None),
            "method_declaration" if self.language == Language::Go => {
                let receiver = self.field(node, "receiver").unwrap_or_default();
                let receiver = receiver.trim_matches(['(', ')']).split_whitespace().next_back();
                let receiver = receiver.unwrap_or_default().trim_start_matches('*');
                let name = join_titles([receiver, &self.field(node, "name")?].into_iter());
                Some(Symbol { name, body: None })
            }
            "method_declaration" => named(None),
            // Of Python, where its parameters are no part of the name, or of C, where they are.
            "function_definition" => match self.field(node, "name") {
                Some(name) => Some(Symbol { name, body: None }),
                None => Some(Symbol { name: self.declared(node)?, body: None }),
            },
            // A variable that holds a function.
            "variable_declarator" => {
                let value = node.child_by_field_name("value")?.kind();
                let function = matches!(
                    value,
                    "arrow_function" | "function_expression" | "class" | "function"
                );
                if function { named(None) } else { None }
            }
            _ => None,
        }
    }

    /// The name in a declarator of C, which pointers and parameters surround.
    fn declared(&self, node: Node<'_>) -> Option<String> {
        let mut node = node.child_by_field_name("declarator")?;
        for _ in 0..MAX_DEPTH {
            match node.child_by_field_name("declarator") {
                Some(inner) => node = inner,
                None => break,
            }
        }
        // A reference's declarator has no field.
        if node.kind() == "reference_declarator" {
            node = node.named_child(0)?.child_by_field_name("declarator")?;
        }
        let name = self.of(node);
        (name.len() <= MAX_TITLE).then(|| name.to_owned())
    }
}

/// What a node that only wraps a definition wraps.
fn unwrapped(node: Node<'_>) -> Option<Node<'_>> {
    let last =
        || node.named_child_count().checked_sub(1).and_then(|at| node.named_child(at as u32));
    match node.kind() {
        "decorated_definition" => node.child_by_field_name("definition"),
        "export_statement" => {
            node.child_by_field_name("declaration").or_else(|| node.child_by_field_name("value"))
        }
        "template_declaration" | "ambient_declaration" => last(),
        // `namespace` in TypeScript is an expression; so is an immediately used function, which is none.
        "expression_statement" => node.named_child(0).filter(|n| n.kind() == "internal_module"),
        "lexical_declaration" | "variable_declaration" | "type_declaration" => node.named_child(0),
        "declaration" | "type_definition" | "field_declaration" => {
            node.child_by_field_name("type").filter(|of| of.child_by_field_name("body").is_some())
        }
        _ => None,
    }
}

/// Whether a node stands around symbols without being one, as a header's guard does.
fn is_transparent(node: Node<'_>) -> bool {
    matches!(
        node.kind(),
        "preproc_ifdef"
            | "preproc_if"
            | "preproc_else"
            | "preproc_elif"
            | "linkage_specification"
            | "declaration_list"
            | "enum_body_declarations"
            | "foreign_mod_item"
    )
}

fn is_comment(node: Node<'_>) -> bool {
    let kind = node.kind();
    kind.ends_with("comment") || matches!(kind, "attribute_item" | "decorator")
}
