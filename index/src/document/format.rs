//! What kind of document a file is, by its name.

use std::path::Path;

use super::SkipReason;

/// How a file's text is extracted and cut into chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Markdown,
    Code,
    Pdf,
    Html,
    Docx,
    Epub,
    /// One e-mail.
    Mail,
    /// Many e-mails in one file.
    Mbox,
    /// A Jupyter notebook.
    Notebook,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
    /// One JSON value a line.
    JsonLines,
}

/// Every format, its number in the index and its name in filters.
const ALL: [(Format, u8, &str); 13] = [
    (Format::Text, 1, "text"),
    (Format::Markdown, 2, "markdown"),
    (Format::Code, 3, "code"),
    (Format::Pdf, 4, "pdf"),
    (Format::Html, 5, "html"),
    (Format::Docx, 6, "docx"),
    (Format::Epub, 7, "epub"),
    (Format::Mail, 8, "mail"),
    (Format::Mbox, 9, "mbox"),
    (Format::Notebook, 10, "notebook"),
    (Format::Csv, 11, "csv"),
    (Format::Tsv, 12, "tsv"),
    (Format::JsonLines, 13, "jsonl"),
];

impl Format {
    fn row(self) -> (Format, u8, &'static str) {
        *ALL.iter().find(|(format, ..)| *format == self).expect("every format has its row")
    }

    /// The number in the file format.
    pub(crate) fn number(self) -> u8 {
        self.row().1
    }

    /// The format of a number, if it is one.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        ALL.iter().find(|(_, known, _)| *known == number).map(|(format, ..)| *format)
    }

    /// What a person calls it.
    pub(crate) fn name(self) -> &'static str {
        self.row().2
    }

    /// Whether its text is costly to extract, so that an index does better to keep it than to extract
    /// it again for every question.
    pub(crate) fn keeps_text(self) -> bool {
        matches!(self, Self::Pdf | Self::Docx | Self::Epub)
    }

    /// Whether a file of this format is its text, byte for byte, where it is UTF-8.
    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Self::Text | Self::Markdown | Self::Code)
    }

    /// Whether each section is a record of its own, never to share a chunk with another.
    pub(crate) fn has_records(self) -> bool {
        matches!(self, Self::Mail | Self::Mbox | Self::Csv | Self::Tsv | Self::JsonLines)
    }
}

const MARKDOWN: &[&str] = &["md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"];

const CODE: &[&str] = &[
    "ada", "adb", "ads", "asm", "awk", "bash", "bat", "c", "cc", "cjs", "clj", "cmake", "coffee",
    "cpp", "cs", "css", "cts", "cu", "cxx", "d", "dart", "el", "elm", "erl", "ex", "exs", "f",
    "f90", "fish", "fs", "glsl", "go", "gradle", "groovy", "h", "hh", "hpp", "hs", "hxx", "java",
    "jl", "js", "jsx", "kt", "kts", "less", "lisp", "lua", "m", "mjs", "ml", "mli", "mm", "mts",
    "nim", "nix", "pas", "php", "pl", "pm", "proto", "ps1", "py", "pyi", "r", "rb", "rs", "s",
    "sass", "scala", "scm", "scss", "sh", "sol", "sql", "svelte", "swift", "tcl", "tf", "toml",
    "ts", "tsx", "v", "vb", "vhd", "vhdl", "vim", "vue", "wgsl", "yaml", "yml", "zig", "zsh",
];

const UNSUPPORTED: &[&str] = &[
    "7z",
    "a",
    "aac",
    "apk",
    "avi",
    "avif",
    "bin",
    "bmp",
    "bz2",
    "class",
    "db",
    "deb",
    "dll",
    "dmg",
    "doc",
    "dylib",
    "exe",
    "flac",
    "gguf",
    "gif",
    "gz",
    "heic",
    "ico",
    "iso",
    "jar",
    "jpeg",
    "jpg",
    "lz4",
    "m4a",
    "m4v",
    "mkv",
    "mov",
    "mp3",
    "mp4",
    "mpeg",
    "mpg",
    "npy",
    "npz",
    "o",
    "obj",
    "odp",
    "ods",
    "odt",
    "ogg",
    "onnx",
    "opus",
    "otf",
    "parquet",
    "pickle",
    "pkl",
    "png",
    "ppt",
    "pptx",
    "psd",
    "pt",
    "pth",
    "pyc",
    "rar",
    "rlib",
    "rpm",
    "safetensors",
    "so",
    "sqlite",
    "tar",
    "tgz",
    "tif",
    "tiff",
    "ttf",
    "wasm",
    "wav",
    "webm",
    "webp",
    "whl",
    "woff",
    "woff2",
    "xls",
    "xlsx",
    "xz",
    "zip",
    "zst",
];

/// A name that says nothing is taken for plain text; its bytes decide whether that holds.
pub(crate) fn guess(path: &Path) -> Result<Format, SkipReason> {
    if in_maildir(path) {
        return Ok(Format::Mail);
    }
    let Some(extension) = path.extension() else {
        return Ok(Format::Text);
    };
    let extension = extension.to_string_lossy().to_ascii_lowercase();
    let is = |list: &[&str]| list.contains(&extension.as_str());
    Ok(match extension.as_str() {
        "pdf" => Format::Pdf,
        "html" | "htm" | "xhtml" | "xht" | "shtml" => Format::Html,
        "docx" | "docm" => Format::Docx,
        "epub" => Format::Epub,
        "eml" => Format::Mail,
        "mbox" | "mbx" => Format::Mbox,
        "ipynb" => Format::Notebook,
        "csv" => Format::Csv,
        "tsv" | "tab" => Format::Tsv,
        "jsonl" | "ndjson" => Format::JsonLines,
        _ if is(MARKDOWN) => Format::Markdown,
        _ if is(CODE) => Format::Code,
        _ if is(UNSUPPORTED) => return Err(SkipReason::Unsupported(extension)),
        _ => Format::Text,
    })
}

/// Whether a file lies where a Maildir keeps its mails and is named like one of them: seconds since
/// 1970, a dot and more.
fn in_maildir(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let Some((time, rest)) =
        path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('.'))
    else {
        return false;
    };
    matches!(folder, Some("cur" | "new" | "tmp"))
        && (9..=12).contains(&time.len())
        && time.bytes().all(|b| b.is_ascii_digit())
        && !rest.is_empty()
}

/// Format of a file from its name and its bytes, or why there is none.
pub(crate) fn classify(path: &Path, head: &[u8]) -> Result<Format, SkipReason> {
    if head.starts_with(b"%PDF-") {
        return Ok(Format::Pdf);
    }
    let by_name = guess(path)?;
    if by_name != Format::Text || path.extension().is_some() {
        return Ok(by_name);
    }
    let head = &head[..head.len().min(512)];
    let lower = head.trim_ascii_start().to_ascii_lowercase();
    if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") {
        return Ok(Format::Html);
    }
    // Mail programs name a folder's file after the folder.
    let second = head.split(|&b| b == b'\n').nth(1).unwrap_or_default();
    let header = second.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'-');
    if head.starts_with(b"From ") && header.is_some_and(|at| at > 0 && second[at] == b':') {
        return Ok(Format::Mbox);
    }
    Ok(Format::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide() {
        for (name, expected) in [
            ("notes.MD", Ok(Format::Markdown)),
            ("main.rs", Ok(Format::Code)),
            ("paper.pdf", Ok(Format::Pdf)),
            ("mail/cur/1204680122.27c448.host:2,S", Ok(Format::Mail)),
            ("mail/cur/notes.txt", Ok(Format::Text)),
            ("log.jsonl", Ok(Format::JsonLines)),
            ("book.EPUB", Ok(Format::Epub)),
            ("README", Ok(Format::Text)),
            ("a.unknown", Ok(Format::Text)),
            ("cat.JPG", Err(SkipReason::Unsupported("jpg".into()))),
        ] {
            assert_eq!(guess(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn bytes_decide_where_names_do_not() {
        for (name, head, expected) in [
            ("a.txt", "%PDF-1.7", Format::Pdf),
            ("Inbox", "From ada@example.org Mon May  6\nReturn-Path: <x>\n", Format::Mbox),
            ("letter", "From here on, it is prose.\nAnd so on: yes", Format::Text),
            ("index", "\n<!DOCTYPE HTML>\n<p>x", Format::Html),
            ("notes.txt", "<html>", Format::Text),
        ] {
            assert_eq!(classify(Path::new(name), head.as_bytes()), Ok(expected), "{name}");
        }
    }

    #[test]
    fn numbers_go_there_and_back() {
        for number in 0..=255 {
            if let Some(format) = Format::from_number(number) {
                assert_eq!(format.number(), number);
            }
        }
        assert_eq!(Format::from_number(0), None);
    }
}
