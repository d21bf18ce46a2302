//! A script in a process of its own that answers line by line, in JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The process, which ends with this.
pub struct Talk {
    name: &'static str,
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Talk {
    /// Starts it, and gives the first thing that it says.
    pub fn start(name: &'static str, command: &mut Command) -> Result<(Self, Value)> {
        let mut child = command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let asked = child.stdin.take().expect("it was asked for a pipe");
        let answers = BufReader::new(child.stdout.take().expect("it was asked for a pipe"));
        let mut talk = Self { name, child, asked, answers };
        let first = talk.answer()?;
        Ok((talk, first))
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.asked, "{question}")
            .with_context(|| format!("{} has ended, see above", self.name))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            bail!("{} ended with {}, see above", self.name, self.child.wait()?);
        }
        let shown: String = line.chars().take(200).collect();
        serde_json::from_str(&line).with_context(|| format!("{} printed {shown}", self.name))
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It may not have been asked for anything yet, or be in the middle of something.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
