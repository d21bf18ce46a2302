//! Where results, notices and errors go: results to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use covey_node::api::{API_VERSION, ApiError, ErrorCode, Event, Reply};

use crate::show::{self, Style};
use crate::text::visible;

/// How this command prints.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether results are for programs.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether the person wants no progress and no notices.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints a command's result.
    pub fn done(&self, reply: Reply) -> Result<(), ApiError> {
        self.one_of_many(reply).map(|_| ())
    }

    /// Prints a result that others follow. Returns whether somebody still reads.
    pub fn one_of_many(&self, reply: Reply) -> Result<bool, ApiError> {
        if self.json {
            return self.line(&json(&Event::Done { version: API_VERSION, reply })?);
        }
        // For `code=$(covey invite lab -q)`.
        if let (Reply::Invite { code, .. }, true) = (&reply, self.quiet) {
            return self.line(code);
        }
        let mut text = Vec::new();
        show::reply(&reply, &mut text, Style::of_stdout()).map_err(|error| unwritten(&error))?;
        self.write(&text)
    }

    /// Prints one line as it is. Returns whether somebody still reads: a reader that has seen
    /// enough (`covey search … | head -1`) is no error.
    pub fn line(&self, line: &str) -> Result<bool, ApiError> {
        self.write(format!("{line}\n").as_bytes())
    }

    fn write(&self, bytes: &[u8]) -> Result<bool, ApiError> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(unwritten(&error)),
        }
    }

    /// Tells the person something that is not the result.
    pub fn notice(&self, notice: &str) {
        if !self.quiet && !self.json {
            let _ = writeln!(io::stderr(), "{notice}");
        }
    }

    /// Prints an error: on stdout as JSON where the caller reads that, else on stderr.
    pub fn failed(&self, error: &ApiError) {
        if self.json {
            let event = Event::Failed { version: API_VERSION, error: error.clone() };
            let _ = json(&event).and_then(|line| self.line(&line));
            return;
        }
        let style = Style::of(io::stderr().is_terminal());
        let mut text = format!("{} {}\n", style.bad("error:"), paragraphs(&error.message));
        if let Some(hint) = &error.hint {
            text.push_str(&format!("{} {}\n", style.bold("hint:"), paragraphs(hint)));
        }
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// An error's text may quote a peer; it keeps its line breaks and spaces and nothing else.
fn paragraphs(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n  ")
}

fn json(event: &Event) -> Result<String, ApiError> {
    serde_json::to_string(event)
        .map_err(|error| ApiError::new(ErrorCode::Internal, format!("cannot print: {error}")))
}

fn unwritten(error: &io::Error) -> ApiError {
    ApiError::new(ErrorCode::Storage, format!("cannot write the result: {error}"))
}
