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
}

impl Format {
    /// The number in the file format.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Markdown => 2,
            Self::Code => 3,
            Self::Pdf => 4,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Text, Self::Markdown, Self::Code, Self::Pdf]
            .into_iter()
            .find(|format| format.number() == number)
    }
}

const MARKDOWN: &[&str] = &["md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"];

const CODE: &[&str] = &[
    "ada", "adb", "ads", "asm", "awk", "bash", "bat", "c", "cc", "clj", "cmake", "coffee", "cpp",
    "cs", "css", "cu", "cxx", "d", "dart", "el", "elm", "erl", "ex", "exs", "f", "f90", "fish",
    "fs", "glsl", "go", "gradle", "groovy", "h", "hh", "hpp", "hs", "hxx", "java", "jl", "js",
    "jsx", "kt", "kts", "less", "lisp", "lua", "m", "mjs", "ml", "mli", "mm", "nim", "nix", "pas",
    "php", "pl", "pm", "proto", "ps1", "py", "pyi", "r", "rb", "rs", "s", "sass", "scala", "scm",
    "scss", "sh", "sol", "sql", "svelte", "swift", "tcl", "tf", "toml", "ts", "tsx", "v", "vb",
    "vhd", "vhdl", "vim", "vue", "wgsl", "yaml", "yml", "zig", "zsh",
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
    "docx",
    "dylib",
    "epub",
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
    let Some(extension) = path.extension() else {
        return Ok(Format::Text);
    };
    let extension = extension.to_string_lossy().to_ascii_lowercase();
    let is = |list: &[&str]| list.contains(&extension.as_str());
    if extension == "pdf" {
        Ok(Format::Pdf)
    } else if is(MARKDOWN) {
        Ok(Format::Markdown)
    } else if is(CODE) {
        Ok(Format::Code)
    } else if is(UNSUPPORTED) {
        Err(SkipReason::Unsupported(extension))
    } else {
        Ok(Format::Text)
    }
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
            ("README", Ok(Format::Text)),
            ("a.unknown", Ok(Format::Text)),
            ("cat.JPG", Err(SkipReason::Unsupported("jpg".into()))),
        ] {
            assert_eq!(guess(Path::new(name)), expected, "{name}");
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
