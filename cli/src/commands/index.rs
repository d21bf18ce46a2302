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
            Self::Profile(Choose { collection, profile }) => {
                let next = format!(
                    "From now on passages are coded so; `covey index recode {collection}` codes all anew."
                );
                let call = Call::IndexProfile { collection, profile: profile.into() };
                let reply = session.call(call, "changing")?;
                session.output.notice(&next);
                session.output.done(reply)
            }
        }
    }
}
