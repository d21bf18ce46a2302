//! Languages with a grammar.

use std::path::Path;

use tree_sitter::Language as Grammar;

/// A language whose symbols are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Python,
    JavaScript,
    TypeScript,
    /// TypeScript with markup in it.
    Tsx,
    Go,
    Java,
    C,
    Cpp,
}

impl Language {
    /// The language of a file by its name, and where that leaves it open by its text.
    pub(super) fn of(path: &Path, text: &str) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy().to_ascii_lowercase();
        Some(match extension.as_str() {
            "rs" => Self::Rust,
            "py" | "pyi" => Self::Python,
            "js" | "mjs" | "cjs" | "jsx" => Self::JavaScript,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "tsx" => Self::Tsx,
            "go" => Self::Go,
            "java" => Self::Java,
            "c" => Self::C,
            "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" | "cu" => Self::Cpp,
            "h" if is_cpp(text) => Self::Cpp,
            "h" => Self::C,
            _ => return None,
        })
    }

    /// What filters call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::JavaScript => "javascript",
            Self::TypeScript | Self::Tsx => "typescript",
            Self::Go => "go",
            Self::Java => "java",
            Self::C => "c",
            Self::Cpp => "c++",
        }
    }

    pub(super) fn grammar(self) -> Grammar {
        match self {
            Self::Rust => tree_sitter_rust::LANGUAGE.into(),
            Self::Python => tree_sitter_python::LANGUAGE.into(),
            Self::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Self::Go => tree_sitter_go::LANGUAGE.into(),
            Self::Java => tree_sitter_java::LANGUAGE.into(),
            Self::C => tree_sitter_c::LANGUAGE.into(),
            Self::Cpp => tree_sitter_cpp::LANGUAGE.into(),
        }
    }
}

/// Whether a header has what only C++ has.
fn is_cpp(text: &str) -> bool {
    text.lines().map(str::trim_start).any(|line| {
        ["class ", "namespace ", "template<", "template <", "public:", "private:", "using "]
            .iter()
            .any(|word| line.starts_with(word))
    })
}
