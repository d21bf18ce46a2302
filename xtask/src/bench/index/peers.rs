//! Other engines' rows, from xtask/peers/peers.py in an environment of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::rows::Row;
use super::sets::Set;
use crate::venv::{self, Venv};

/// Name of an environment, its requirements, and the peers measured in it.
type Group = (&'static str, &'static str, &'static [&'static str]);

/// LEANN brings PyTorch, so it lives apart.
const GROUPS: [Group; 2] = [
    (
        "vectors",
        "requirements.txt",
        &[
            "numpy",
            "hnswlib",
            "usearch-f32",
            "usearch-i8",
            "faiss-hnsw",
            "faiss-ivfpq8",
            "faiss-ivfpq16",
            "sqlite-vec",
            "sqlite-vec-bits",
        ],
    ),
    (
        "leann",
        "requirements-leann.txt",
        &["leann-hnsw", "leann-hnsw-norecompute", "leann-diskann", "leann-diskann-norecompute"],
    ),
];

/// How the peers are measured.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Only these; all without.
    pub only: Vec<String>,
    /// At most so many questions.
    pub limit: Option<usize>,
    /// So many questions where each costs minutes.
    pub few: Option<usize>,
    /// Measure again what is there from an earlier run.
    pub fresh: bool,
}

/// Why a peer has no row.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Skipped {
    pub peer: String,
    pub reason: String,
}

/// A line the script prints.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Row(Box<Row>),
    Skipped(Skipped),
}

/// Measures every peer on `set`, or takes its row from an earlier run. Whatever is missing (Python, pip, the
/// network, a package) ends in a reason beside a peer's name, not in an error: our own rows need none of it.
pub fn measure(root: &Path, set: &Set, settings: &Settings) -> (Vec<Row>, Vec<Skipped>) {
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for (name, requirements, peers) in GROUPS {
        let wanted = wanted(peers, &settings.only);
        if wanted.is_empty() || (name == "leann" && set.text.is_none()) {
            continue;
        }
        if let Err(problem) =
            group(root, (name, requirements), &wanted, set, settings, |line| match line {
                Line::Row(row) => rows.push(Row { text_bytes: set.text_bytes, ..*row }),
                Line::Skipped(one) => skipped.push(one),
            })
        {
            skipped.push(Skipped { peer: wanted.join(", "), reason: format!("{problem:#}") });
        }
    }
    (rows, skipped)
}

/// Refuses names that no peer has, but for `none`.
pub fn check(only: &[String]) -> Result<()> {
    let known = || GROUPS.iter().flat_map(|(_, _, peers)| *peers).copied();
    for name in only {
        let list = known().collect::<Vec<_>>().join(", ");
        ensure!(
            name == "none" || known().any(|peer| peer == name),
            "there is no peer {name}; there are {list}, and none for none of them"
        );
    }
    Ok(())
}

fn wanted(peers: &[&'static str], only: &[String]) -> Vec<&'static str> {
    let all = peers.iter().copied();
    all.filter(|peer| only.is_empty() || only.iter().any(|name| name == peer)).collect()
}

fn group(
    root: &Path,
    (name, requirements): (&str, &str),
    peers: &[&str],
    set: &Set,
    settings: &Settings,
    mut each: impl FnMut(Line),
) -> Result<()> {
    let scripts = root.join("xtask/peers");
    let Venv { python, missing } = venv::prepare(root, name, &scripts.join(requirements))?;
    for (requirement, reason) in missing {
        each(Line::Skipped(Skipped { peer: requirement, reason }));
    }
    let mut command = script(&python, &scripts);
    command.arg("run").args(["--peers", &peers.join(",")]);
    command.arg("--cache").arg(root.join("target/bench-peers"));
    command.arg("--data").arg(&set.data).arg("--truth").arg(&set.truth);
    vectors(&mut command, set);
    if let Some((chunks, questions)) = &set.text {
        command.arg("--chunks").arg(chunks).arg("--questions").arg(questions);
    }
    for (option, value) in [("--limit", settings.limit), ("--few", settings.few)] {
        if let Some(value) = value {
            command.args([option, &value.to_string()]);
        }
    }
    if settings.fresh {
        command.arg("--fresh");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the script")?;
    let output = child.stdout.take().expect("it was asked for a pipe");
    let read = BufReader::new(output).lines().try_for_each(|line| {
        each(parse(&line?)?);
        anyhow::Ok(())
    });
    let status = child.wait()?;
    ensure!(status.success(), "peers.py ended with {status}, see above");
    read
}

fn parse(line: &str) -> Result<Line> {
    let shown: String = line.chars().take(200).collect();
    serde_json::from_str(line).with_context(|| format!("peers.py printed no row: {shown}"))
}

fn script(python: &Path, scripts: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(scripts.join("peers.py"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}

fn vectors(command: &mut Command, set: &Set) {
    command.arg("--vectors").arg(&set.vectors).arg("--queries").arg(&set.queries);
    if let Some(dim) = set.dim {
        command.args(["--dim", &dim.to_string()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_script_are_rows_or_reasons() {
        let row = super::super::rows::tests::row("hnswlib", "M=16", 5000, 1684);
        let line = format!("{{\"row\": {}}}", serde_json::to_string(&row).expect("it is plain"));
        let Line::Row(read) = parse(&line).expect("a row") else { panic!("no row") };
        assert_eq!((read.engine.as_str(), read.index_bytes), ("hnswlib", 5000 * 1684));

        let line = r#"{"skipped": {"peer": "faiss", "reason": "not installed"}}"#;
        let Line::Skipped(read) = parse(line).expect("a reason") else { panic!("no reason") };
        assert_eq!(read.reason, "not installed");

        assert!(parse("Traceback (most recent call last):").is_err());
    }

    #[test]
    fn peers_can_be_picked() {
        let only = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(wanted(GROUPS[0].2, &only(&["hnswlib", "leann-hnsw"])), ["hnswlib"]);
        assert_eq!(wanted(GROUPS[1].2, &only(&["hnswlib"])), [""; 0]);
        assert_eq!(wanted(GROUPS[1].2, &[]).len(), 4);
        assert!(
            check(&only(&["hnswlib", "leann-hnsw"])).is_ok() && check(&only(&["none"])).is_ok()
        );
        assert!(check(&only(&["hnswlob"])).is_err());
    }
}
