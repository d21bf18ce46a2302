//! `covey model personal`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use covey_node::api::{ApiError, Call, PersonalTrain, Reply};
use covey_protocol::ids::Name;

use crate::commands::collections::existing;
use crate::session::Session;

const EXAMPLES: &str = "\
Examples: covey model personal train
          covey model personal train --collections notes,papers
          covey model personal train --pairs ~/pairs.jsonl
          covey search \"cooling loop\" --no-personal     (the shared model alone)
          covey model personal off";

/// An adapter of your own on top of the model: what your questions mean to you
///
/// It changes what questions to your own files find, with whatever model is in use, a group's release too. Indexes stay as they are,
/// and so do questions to a group and answers to its members: nobody else can tell that there is one, and it never leaves this node.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Personal {
    Train(TrainArgs),
    /// Show what there is, what it was learnt from and how much better it does
    Show,
    /// Use it again
    On,
    /// Do not use it, and keep it
    Off,
    /// Delete it
    Remove,
}

/// Train it, and use it if it does better
///
/// It is learnt from pairs of your own texts (see `covey model mine`), of which some are held out: it is kept only if it finds what
/// belongs to these better than the model alone does, beyond chance. When the model in use gives way to another release, it is trained anew by the
/// daemon.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The collections to learn from, with commas (all by default)
    #[arg(long, value_delimiter = ',', value_name = "COLLECTION")]
    collections: Vec<Name>,
    /// A file of pairs to learn from, as `covey model mine` writes it, instead of collections or beside those named; may be given several times
    #[arg(long, value_name = "FILE")]
    pairs: Vec<PathBuf>,
}

impl Personal {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        match self {
            Self::Train(TrainArgs { collections, pairs }) => {
                let pairs = pairs.iter().map(|file| existing(file)).collect::<Result<_, _>>()?;
                let call = Call::PersonalTrain(PersonalTrain { collections, pairs });
                let reply = session.call(call, "learning")?;
                let kept = matches!(&reply, Reply::Personal(it) if it.not_kept.is_none());
                session.output.done(reply)?;
                if kept {
                    session.output.notice(
                        "Searches of your own files use it from now on: compare with `covey search --no-personal`",
                    );
                }
                Ok(())
            }
            Self::Show => session.show(Call::PersonalShow, "looking"),
            Self::On => session.show(Call::PersonalUse { on: true }, "turning it on"),
            Self::Off => session.show(Call::PersonalUse { on: false }, "turning it off"),
            Self::Remove => session.show(Call::PersonalRemove, "deleting"),
        }
    }
}
