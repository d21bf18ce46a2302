//! House rules the compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Longest Rust file, in lines.
const MAX_LINES: usize = 500;
/// The places that may hold `unsafe`: docs/ARCHITECTURE.md, invariant 8.
const UNSAFE: [&str; 3] =
    ["index/src/store/map.rs", "index/src/codec/simd.rs", "embedder/src/kernels/"];

/// Prints what is out of order, and fails if anything is.
pub fn report(root: &Path) -> Result<()> {
    let findings = findings(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    ensure!(findings.is_empty(), "{} things to tidy", findings.len());
    println!("tidy");
    Ok(())
}

fn findings(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in rust_files(root)? {
        let text = fs::read_to_string(&file)?;
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let lines = text.lines().count();
        if lines > MAX_LINES {
            findings.push(format!("{name}: {lines} lines, at most {MAX_LINES}"));
        }
        let allowed = UNSAFE.iter().any(|place| name.starts_with(place));
        if !allowed && text.lines().any(|line| line.contains(concat!("unsafe", " {"))) {
            findings.push(format!("{name}: unsafe outside of {}", UNSAFE.join(", ")));
        }
    }
    Ok(findings)
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        assert_eq!(
            findings(&crate::root()).expect("the sources are readable"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn long_files_and_stray_unsafe_are_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("long.rs"), "\n".repeat(MAX_LINES + 1)).expect("writes");
        fs::write(folder.path().join("raw.rs"), concat!("unsafe", " {}\n")).expect("writes");
        let found = findings(folder.path()).expect("readable");
        assert_eq!(found.len(), 2);
        assert!(
            found[0].starts_with("long.rs: 501 lines") && found[1].starts_with("raw.rs: unsafe")
        );
    }
}
