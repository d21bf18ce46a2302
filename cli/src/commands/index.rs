//! `covey index`: what an index takes, whether it is whole, making it smaller.

use clap::{Args, Subcommand, ValueEnum};
use covey_node::api::{ApiError, Call, Profile};
use covey_protocol::ids::Name;

use crate::session::Session;

/// See, check, shrink and tune the index of a collection
#[derive(Debug, Subcommand)]
pub enum Index {
    /// Show what an index holds, what it takes on disk, and its settings
    Info(One),
    /// Read all of an index and check it; fails with exit code 18 where it is damaged
    Verify(One),
    /// Make an index as small as it gets, without embedding anything again
    Compact(One),
    /// Embed and code every passage anew: after another profile was chosen, or for a new model release
    Recode(One),
    /// Choose how much disk an index may take, and how hard searches look
    Profile(Choose),
}

// Without a description of its own, so that each command keeps its own.
#[derive(Debug, Args)]
pub struct One {
    /// The collection
    collection: Name,
}

/// Choose how much disk an index may take, and how hard searches look
#[derive(Debug, Args)]
#[command(after_help = "Example: covey index profile notes small && covey index recode notes")]
pub struct Choose {
    /// The collection
    collection: Name,
    /// The profile
    profile: Chosen,
    /// Most bytes on disk for embeddings kept from earlier questions, such as 8MB; 0 for none (by
    /// default what suits profile and model)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    cache: Option<u64>,
}

/// Settings for three kinds of need.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Chosen {
    /// About 17 bytes a passage; no search by words
    Small,
    /// About 60 bytes a passage
    Balanced,
    /// About 200 bytes a passage, for the fastest answers
    Fast,
}

impl From<Chosen> for Profile {
    fn from(chosen: Chosen) -> Self {
        match chosen {
            Chosen::Small => Self::Small,
            Chosen::Balanced => Self::Balanced,
            Chosen::Fast => Self::Fast,
        }
    }
}

impl Index {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        match self {
            Self::Info(One { collection }) => {
                session.show(Call::IndexInfo { collection }, "looking")
            }
            Self::Verify(One { collection }) => {
                session.show(Call::IndexVerify { collection }, "checking")
            }
            Self::Compact(One { collection }) => {
                session.show(Call::IndexCompact { collection }, "compacting")
            }
            Self::Recode(One { collection }) => {
                session.show(Call::IndexRecode { collection }, "coding anew")
            }
            Self::Profile(Choose { collection, profile, cache }) => {
                let next = format!(
                    "From now on passages are coded so; `covey index recode {collection}` codes all anew."
                );
                let (profile, cache_bytes) = (profile.into(), cache);
                let call = Call::IndexProfile { collection, profile, cache_bytes };
                let reply = session.call(call, "changing")?;
                session.output.notice(&next);
                session.output.done(reply)
            }
        }
    }
}

/// Reads `8MB`, `512kB`, `1GB` or a number of bytes.
fn size(text: &str) -> Result<u64, String> {
    let units = [("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    let unit = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    let number = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(bytes));
    number.ok_or_else(|| "expected a size such as 8MB or 512kB, or 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_is_whole_and_may_have_a_unit() {
        for (text, bytes) in [("0", 0), ("64", 64), ("512kB", 512_000), ("8 MB", 8_000_000)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "MB", "-1", "1.5MB", "8XB", "99999999999GB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
