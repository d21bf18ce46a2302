//! Python environments with other engines in them, below target/bench-venv.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};

/// Characters of pip's complaint that are kept.
const COMPLAINT: usize = 300;

/// An environment, and which of its packages could not be had.
pub struct Venv {
    pub python: PathBuf,
    /// Requirement and reason.
    pub missing: Vec<(String, String)>,
}

impl Venv {
    /// Its python, if nothing is missing.
    pub fn whole(self) -> Result<PathBuf> {
        match self.missing.into_iter().next() {
            None => Ok(self.python),
            Some((requirement, reason)) => Err(anyhow!("{requirement}: {reason}")),
        }
    }
}

/// Makes the environment `name` with what `requirements` (a pip file) names, each on its own, so that one that
/// does not install leaves the others. What is there already is left alone.
pub fn prepare(root: &Path, name: &str, requirements: &Path) -> Result<Venv> {
    let folder = root.join("target/bench-venv").join(name);
    let python = folder.join("bin/python");
    if !python.exists() {
        create(&folder)?;
    }
    let text = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let missing = parse(&text)
        .into_iter()
        .filter_map(|requirement| {
            let problem = install(&python, &folder, requirement).err()?;
            Some((requirement.to_owned(), problem.to_string()))
        })
        .collect();
    Ok(Venv { python, missing })
}

fn create(folder: &Path) -> Result<()> {
    let output = Command::new("python3")
        .args(["-m", "venv"])
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            anyhow!("python3 cannot be started ({error}); install Python 3.9 or newer")
        })?;
    if output.status.success() {
        return Ok(());
    }
    // What is half made would pass for an environment the next time.
    let _ = fs::remove_dir_all(folder);
    let said = complaint(&output.stderr, &output.stdout);
    Err(anyhow!(
        "python3 -m venv failed: {said}. Where Python came without it, install python3-venv"
    ))
}

/// The requirements a pip file names, without comments.
fn parse(text: &str) -> Vec<&str> {
    let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(before, _)| before));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect()
}

fn install(python: &Path, folder: &Path, requirement: &str) -> Result<()> {
    let mark: String =
        requirement.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mark = folder.join(format!("installed-{mark}"));
    if mark.exists() {
        return Ok(());
    }
    eprintln!("installing {requirement}");
    let output = Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement])
        .stdin(Stdio::null())
        .output()
        .context("the environment's python cannot be started")?;
    ensure!(
        output.status.success(),
        "pip could not: {}",
        complaint(&output.stderr, &output.stdout)
    );
    fs::write(mark, "")?;
    Ok(())
}

/// The last line that says something, of the first stream that has one.
fn complaint(first: &[u8], second: &[u8]) -> String {
    let last = |stream: &[u8]| {
        let text = String::from_utf8_lossy(stream).into_owned();
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        Some(line.chars().take(COMPLAINT).collect())
    };
    last(first).or_else(|| last(second)).unwrap_or_else(|| "it said nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_no_requirements() {
        let text = "# what for\nnumpy==1.0\n\n  faiss-cpu==2.0  # and why\n";
        assert_eq!(parse(text), ["numpy==1.0", "faiss-cpu==2.0"]);
    }

    #[test]
    fn the_last_line_of_a_complaint_is_kept() {
        assert_eq!(complaint(b"first\nERROR: no such package\n\n", b""), "ERROR: no such package");
        assert_eq!(complaint(b"\n", b"on the other\n"), "on the other");
        assert_eq!(complaint(b"", b""), "it said nothing");
    }

    #[test]
    fn the_committed_requirements_are_pinned() {
        for file in [
            "peers/requirements.txt",
            "peers/requirements-leann.txt",
            "peers/requirements-embedder.txt",
            "peers/requirements-privacy.txt",
            "peers/requirements-secagg.txt",
            "peers/requirements-rounds.txt",
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let text = fs::read_to_string(path).expect("it is committed");
            let named = parse(&text);
            assert!(!named.is_empty());
            assert!(named.iter().all(|one| one.contains("==") || one.contains('<')), "{named:?}");
        }
    }
}
