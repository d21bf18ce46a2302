//! `covey open` and `covey opened`: results of the latest search, and which of them were opened.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;
use covey_node::api::{ApiError, Call, ErrorCode, OpenInfo, OpenedCall, Reply, SearchReport};
use covey_node::opened::{Latest, LatestError, LatestResult};

use crate::session::Session;

/// What opens a file in the program that the person has chosen for it.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Open a result of your latest search
///
/// This node remembers the question and which passage you opened, so that `covey model mine` can learn from it.
/// It stays on this machine: `covey opened` shows it, `covey opened --clear` forgets it, `--private` leaves it out.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: covey search \"cooling loop\" && covey open 2\n         covey open 2 --print"
)]
pub struct Open {
    /// The result's number in the latest search
    #[arg(default_value_t = 1)]
    number: usize,
    /// Only say where it is
    #[arg(long, short)]
    print: bool,
    /// Do not remember that it was opened
    #[arg(long)]
    private: bool,
}

impl Open {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        session.require_node()?;
        let latest = Latest::load(&session.home.latest_path()).map_err(unknown)?;
        let (result, path) = self.choose(&latest)?;
        let path = Path::new(path);
        if !path.exists() {
            let message = format!("{} is no longer there", path.display());
            return Err(ApiError::new(ErrorCode::NotFound, message)
                .hint("bring the index up to date with `covey add` of its folder"));
        }
        let remembered = self.remember(&latest, result, path, session);
        session.output.done(Reply::Open(OpenInfo {
            number: self.number as u64,
            question: latest.question.clone(),
            path: path.to_owned(),
            title: result.title.clone(),
            line: result.line,
            remembered,
        }))?;
        if self.print { Ok(()) } else { start(path, session) }
    }

    fn choose<'a>(&self, latest: &'a Latest) -> Result<(&'a LatestResult, &'a str), ApiError> {
        let not_found = |message: String| ApiError::new(ErrorCode::NotFound, message);
        let result = latest.result(self.number).ok_or_else(|| {
            let (number, all) = (self.number, latest.results.len());
            not_found(format!("there is no result {number}: the latest search found {all}"))
        })?;
        let path = result.path.as_deref().ok_or_else(|| {
            let member = result.member.as_deref().unwrap_or("another member");
            not_found(format!("result {} is on the machine of {member}", self.number))
                .hint("ask for the file, or search your own files without --group")
        })?;
        Ok((result, path))
    }

    /// Has the node remember it. Where that fails, the file can be opened all the same.
    fn remember(
        &self,
        latest: &Latest,
        result: &LatestResult,
        path: &Path,
        session: &Session<'_>,
    ) -> bool {
        let Some(chunk) = result.chunk.filter(|_| !self.private) else { return false };
        let call = OpenedCall { question: latest.question.clone(), path: path.to_owned(), chunk };
        let added = session.call(Call::OpenedAdd(call), "opening");
        if let Err(error) = &added {
            session.output.notice(&format!("That it was opened is not remembered: {error}"));
        }
        added.is_ok()
    }
}

/// Keeps what a search found for `covey open`, where there is a node.
pub fn keep_latest(question: &str, report: &SearchReport, session: &Session<'_>) {
    if !session.home.is_initialised() {
        return;
    }
    if let Err(error) = Latest::of(question, report).save(&session.home.latest_path()) {
        session.output.notice(&format!("`covey open` will not know these results: {error}"));
    }
}

/// Show which results you opened, or forget them
#[derive(Debug, Args)]
#[command(after_help = "Example: covey opened\n         covey opened --clear")]
pub struct Opened {
    /// Forget all of them, and the latest search
    #[arg(long)]
    clear: bool,
}

impl Opened {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        if !self.clear {
            return session.show(Call::OpenedList, "looking");
        }
        let reply = session.call(Call::OpenedClear, "forgetting")?;
        Latest::forget(&session.home.latest_path())?;
        session.output.notice("Forgot which results were opened.");
        session.output.done(reply)
    }
}

fn start(path: &Path, session: &Session<'_>) -> Result<(), ApiError> {
    let mut command = Command::new(OPENER);
    command.arg(path);
    if session.output.is_json() {
        command.stdout(Stdio::null());
    }
    let failed = |why: String| {
        ApiError::new(
            ErrorCode::NotFound,
            format!("{OPENER} cannot open {}: {why}", path.display()),
        )
        .hint("`--print` only says where the file is")
    };
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(status.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn unknown(error: LatestError) -> ApiError {
    match error {
        LatestError::None | LatestError::Damaged => {
            ApiError::new(ErrorCode::NotFound, error.to_string()).hint("search first: covey search")
        }
        LatestError::Store(error) => error.into(),
    }
}
