//! Results as text for people. Whatever a peer may have written goes through [`crate::text::clean`].

mod bench;
mod eval;
mod group;
mod home;
mod index;
pub mod learn;
mod mine;
mod personal;
mod plan;
pub mod plot;
mod search;
mod status;
mod train;
mod tune;

use std::io::{self, IsTerminal, Write};

use covey_node::api::{ApiError, Reply};

pub use search::{explain, report as search_report};

use crate::text::clean;

/// Bold and colour, where the reader is a terminal that wants them.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// For text on stdout.
    pub fn of_stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    /// For a stream that is a terminal or not.
    pub fn of(terminal: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let able = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { coloured: terminal && wanted && able }
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// An error and what to do about it, in one line.
pub fn error_line(error: &ApiError) -> String {
    match &error.hint {
        Some(hint) => format!("{} ({})", clean(&error.message), clean(hint)),
        None => clean(&error.message),
    }
}

/// Prints any result.
pub fn reply(reply: &Reply, out: &mut dyn Write, style: Style) -> io::Result<()> {
    match reply {
        Reply::Ok => Ok(()),
        Reply::Status(it) => status::status(it, out, style),
        Reply::Added(it) => status::added(it, out),
        Reply::Reindexed { collections } => {
            collections.iter().try_for_each(|it| status::added(it, out))
        }
        Reply::Index(it) => index::info(it, out, style),
        Reply::IndexVerified(it) => index::verified(it, out),
        Reply::IndexCompacted(it) => index::compacted(it, out),
        Reply::IndexRecoded(it) => index::recoded(it, out),
        Reply::Tuned(it) => tune::tuned(it, out, style),
        Reply::IndexExported(it) => index::exported(it, out),
        Reply::Search(it) => search::report(it, out, style),
        Reply::Group(it) => group::group(it, out, style),
        Reply::Groups { groups } => group::groups(groups, out, style),
        Reply::Members { group, members } => group::members(group, members, out, style),
        Reply::Invite { code, expires } => group::invite(code, *expires, out),
        Reply::Peers { peers } => group::peers(peers, out, style),
        Reply::Audit { records } => status::audit(records, out, style),
        Reply::AuditVerified { records, head } => status::audit_verified(*records, head, out),
        Reply::Models { models } => status::models(models, out, style),
        Reply::Doctor { checks } => status::doctor(checks, out, style),
        Reply::Initialised(it) => home::initialised(it, out),
        Reply::BackedUp(it) => home::backed_up(it, out),
        Reply::Restored(it) => home::restored(it, out),
        Reply::Model(it) => status::models(std::slice::from_ref(it), out, style),
        Reply::ModelBench(it) => bench::models(it, out, style),
        Reply::Evaluated(it) => eval::report(it, out, style),
        Reply::Trained(it) => train::trained(it, out, style),
        Reply::Personal(it) => personal::personal(it, out, style),
        Reply::Mined(it) => mine::mined(it, out, style),
        Reply::Near(it) => mine::near(it, out, style),
        Reply::Opened { results } => mine::opened(results, out, style),
        Reply::Open(it) => mine::open(it, out, style),
        Reply::Learning { groups } => learn::groups(groups, out, style),
        Reply::Limits(it) => learn::limits(it, out, style),
        Reply::Watched(it) => learn::watched(it, out, style),
        Reply::Releases(it) => learn::releases(it, out, style),
        Reply::Adopted(it) => learn::adopted(it, out, style),
        Reply::Privacy { accounts } => learn::privacy(accounts, out, style),
        Reply::PrivacyPlan(it) => plan::plan(it, out),
        Reply::Service(it) => home::service(it, out),
        Reply::Log(it) => home::log(it, out),
        // The demo tells its story while it happens.
        Reply::Demo(_) => Ok(()),
    }
}
