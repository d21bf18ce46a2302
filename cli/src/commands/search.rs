//! `covey search`.

use std::time::Duration;

use clap::Args;
use covey_node::api::{ApiError, Call, SearchCall};
use covey_protocol::ids::Name;

use crate::session::Session;

/// Search your own files, or a group's
///
/// With --group, the question goes to every member as text; each answers with what it shares, and
/// the last lines say who did and who did not.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: covey search \"how do I descale the kettle\"\n         covey search --group lab --limit 5 \"cooling loop\""
)]
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
    /// Results wanted (10 by default)
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u16).range(1..=100))]
    limit: Option<u16>,
    /// Once somebody has answered, wait no longer than this for the others (1.5 by default, 20 with a transformer)
    #[arg(long, value_name = "SECONDS", value_parser = milliseconds, requires = "group")]
    soft: Option<u32>,
    /// Wait no longer than this for anybody (10 by default, 60 with a transformer)
    #[arg(long, value_name = "SECONDS", value_parser = milliseconds, requires = "group")]
    hard: Option<u32>,
}

impl Search {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let what = if self.group.is_some() { "asking the group" } else { "searching" };
        let call = SearchCall {
            question: self.question.join(" "),
            group: self.group,
            collection: self.collection,
            limit: self.limit,
            soft_ms: self.soft,
            hard_ms: self.hard,
        };
        session.show(Call::Search(call), what)
    }
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
