//! `covey tune`: settings from what a person wants to reach.

use clap::Args;
use covey_node::api::{ApiError, Call, ErrorCode, Reply, TuneCall, TuneDisk};
use covey_protocol::ids::Name;

use crate::session::Session;
use crate::text::parse_latency;

const EXAMPLES: &str = "\
Example: covey tune notes --latency 5ms --recall 0.95 --disk 8%
         covey tune notes --disk 60B --dry-run
         covey tune notes --off";

/// Find settings for a collection that reach what you want with the least disk
///
/// Measures this machine and a sample of the collection, predicts what settings would take and reach, and
/// puts those in force that fit; where passages have to be coded anew for it, the progress says how long
/// that takes. Interrupted before the end of that, everything stays as it was. From then on the collection is tuned again when it has doubled or halved, or its model changed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Tune {
    /// The collection
    collection: Name,
    /// Time that nine of ten questions may take, such as 5ms, 800us or 1.5s (any by default)
    #[arg(long, value_name = "TIME", value_parser = latency)]
    latency: Option<u64>,
    /// Share of the ten best results that an answer has to have (0.95 by default)
    #[arg(long, value_name = "SHARE", value_parser = recall)]
    recall: Option<f64>,
    /// What the index may take, the index of words apart: 1% of the text, or 60B a passage (8% by default)
    #[arg(long, value_name = "SIZE", value_parser = disk)]
    disk: Option<TuneDisk>,
    /// Only show what there is to choose from
    #[arg(long)]
    dry_run: bool,
    /// Where nothing reaches all goals, take what misses them least
    #[arg(long)]
    nearest: bool,
    /// Forget the collection's goals; its settings stay as they are
    #[arg(long, conflicts_with_all = ["latency", "recall", "disk", "dry_run", "nearest"])]
    off: bool,
}

impl Tune {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let Self { collection, latency, recall, disk, dry_run, nearest, off } = self;
        if off {
            let reply =
                session.call(Call::TuneOff { collection: collection.clone() }, "changing")?;
            session.output.notice(&format!(
                "{collection} has no goals any more; its settings stay as they are."
            ));
            return session.output.done(reply);
        }
        let name = collection.clone();
        let call = TuneCall { collection, recall, latency_us: latency, disk, dry_run, nearest };
        let unsure = |error: ApiError| match error.code {
            ErrorCode::Cancelled if !dry_run => {
                error.hint(format!("`covey index info {name}` shows the settings in force"))
            }
            _ => error,
        };
        let reply = session.call(Call::Tune(call), "measuring").map_err(unsure)?;
        if let Reply::Tuned(info) = &reply
            && info.chosen.is_none()
            && !info.applied
        {
            session.output.notice(
                "Nothing was changed. Give up some of a goal, or take the nearest with --nearest.",
            );
        }
        session.output.done(reply)
    }
}

/// A time as microseconds.
fn latency(text: &str) -> Result<u64, String> {
    u64::try_from(parse_latency(text)?.as_micros()).map_err(|error| error.to_string())
}

fn recall(text: &str) -> Result<f64, String> {
    let share = number(text)?;
    let hint = "expected a share between 0 and 1, such as 0.95";
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(hint.to_owned()) }
}

/// Reads `1%` as a share of the text, `60B` as bytes a passage.
fn disk(text: &str) -> Result<TuneDisk, String> {
    let found = match (text.strip_suffix('%'), text.strip_suffix('B')) {
        (Some(percent), _) => TuneDisk::Share(number(percent)? / 100.0),
        (None, Some(bytes)) => TuneDisk::BytesPerChunk(number(bytes)?),
        (None, None) => return Err("expected a size such as 1% or 60B".to_owned()),
    };
    match found {
        TuneDisk::Share(share) if share > 0.0 && share <= 1.0 => Ok(found),
        TuneDisk::BytesPerChunk(bytes) if (1.0..=65_536.0).contains(&bytes) => Ok(found),
        _ => Err("expected up to 100%, or 1B to 65536B".to_owned()),
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_have_units_and_bounds() {
        assert_eq!(latency("800us"), Ok(800));
        assert_eq!(disk("1%"), Ok(TuneDisk::Share(0.01)));
        assert_eq!(disk("60B"), Ok(TuneDisk::BytesPerChunk(60.0)));
        for bad in ["", "1", "0%", "101%", "-1B", "NaN%", "%", "60KB"] {
            assert!(disk(bad).is_err(), "{bad}");
        }
        assert_eq!(recall("0.95"), Ok(0.95));
        for bad in ["95%", "1.01", "-0.1", "NaN", ""] {
            assert!(recall(bad).is_err(), "{bad}");
        }
    }
}
