//! `covey search`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use covey_node::api::{ApiError, Call, Reply, SearchCall, SearchMode};
use covey_node::directory::Ask;
use covey_protocol::ids::Name;

use super::open::keep_latest;
use crate::session::Session;
use crate::show;
use crate::text::parse_latency;

const EXAMPLES: &str = "\
Example: covey search \"how do I descale the kettle\"
         covey search --mode hybrid --filter \"type == pdf and time > now-30d\" \"cooling loop\"
         covey search --mode grep \"TODO|FIXME\"
         covey search --index ./papers.index \"cooling loop\"
         covey search --group lab --limit 5 \"cooling loop\"";

/// Search your own files, or a group's
///
/// With --group, the question goes to every member as text; each answers with what it shares, and
/// the last lines say who did and who did not.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Search {
    /// The question, in your own words
    #[arg(required = true, num_args = 1..)]
    question: Vec<String>,
    /// Ask the members of this group, too
    #[arg(long, short)]
    group: Option<Name>,
    /// Only this collection of your own
    #[arg(long, short, conflicts_with = "group")]
    collection: Option<Name>,
    /// Only the index in this directory, which `covey index build` made
    #[arg(long, short, value_name = "DIR", conflicts_with_all = ["group", "collection"])]
    index: Option<PathBuf>,
    /// How to search: by meaning, by words, by both, or for lines that match a regular expression
    #[arg(long, short, value_enum, default_value_t)]
    mode: Mode,
    /// Only files and sections that pass, such as "type == pdf and path contains notes"
    #[arg(long, short, value_name = "EXPRESSION", conflicts_with = "group")]
    filter: Option<String>,
    /// Have the answer within this time, such as 200ms or 1.5s; it says if that cut it short
    #[arg(long, value_name = "TIME", value_parser = latency, conflicts_with = "group")]
    latency: Option<u32>,
    /// Ask with the shared model alone, not with your own adapter (`covey model personal`)
    #[arg(long)]
    no_personal: bool,
    /// Say what the search did: passages recomputed and looked at, and why it stopped
    #[arg(long)]
    explain: bool,
    /// Results wanted (10 by default, 100 lines)
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Once somebody has answered, wait no longer than this for the others (1.5 by default, 20 with a transformer)
    #[arg(long, value_name = "SECONDS", value_parser = milliseconds, requires = "group")]
    soft: Option<u32>,
    /// Wait no longer than this for anybody (10 by default, 60 with a transformer)
    #[arg(long, value_name = "SECONDS", value_parser = milliseconds, requires = "group")]
    hard: Option<u32>,
}

/// How to search.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Mode {
    /// By meaning
    #[default]
    Vector,
    /// By words (BM25)
    Lexical,
    /// By both, their scores joined
    Hybrid,
    /// Lines that match a regular expression
    Grep,
}

impl Search {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let question = self.question.join(" ");
        let what = if self.group.is_some() { "asking the group" } else { "searching" };
        let call = SearchCall {
            question: question.clone(),
            group: self.group,
            collection: self.collection,
            mode: match self.mode {
                Mode::Vector => SearchMode::Vector,
                Mode::Lexical => SearchMode::Lexical,
                Mode::Hybrid => SearchMode::Hybrid,
                Mode::Grep => SearchMode::Grep,
            },
            filter: self.filter,
            latency_ms: self.latency,
            no_personal: self.no_personal,
            limit: self.limit,
            soft_ms: self.soft,
            hard_ms: self.hard,
        };
        let reply = match self.index {
            Some(dir) => session.ask(&dir, Ask::Search(call), what)?,
            None => session.call(Call::Search(call), what)?,
        };
        let explained = match &reply {
            Reply::Search(report) if self.explain => Some(show::explain(report)),
            _ => None,
        };
        if let Reply::Search(report) = &reply {
            keep_latest(&question, report, session);
        }
        session.output.done(reply)?;
        // `--json` has all of it anyway.
        if let Some(explained) = explained.filter(|_| !session.output.is_json()) {
            session.output.line(&explained)?;
        }
        Ok(())
    }
}

/// A time as whole milliseconds, rounded up.
fn latency(text: &str) -> Result<u32, String> {
    let ms = parse_latency(text)?.as_micros().div_ceil(1_000);
    u32::try_from(ms).map_err(|error| error.to_string())
}

/// Reads seconds, fractions allowed, as milliseconds.
fn milliseconds(text: &str) -> Result<u32, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    let most = Duration::from_secs(60);
    if duration.is_zero() || duration > most {
        return Err("expected more than 0 and at most 60 seconds".to_owned());
    }
    u32::try_from(duration.as_millis()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::latency;

    #[test]
    fn a_latency_is_rounded_up() {
        let good = [("200ms", 200), ("1.5s", 1_500), ("0.2ms", 1), ("60s", 60_000)];
        for (text, expected) in good {
            assert_eq!(latency(text), Ok(expected), "{text}");
        }
    }
}
