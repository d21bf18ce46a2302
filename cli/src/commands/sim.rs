//! `covey sim`: many peers on this machine, on virtual time.

mod compare;
mod list;
mod place;
mod run;
mod sweep;

use clap::Subcommand;
use covey_node::api::ApiError;

use crate::output::Output;

/// Simulate what many peers would do: learn together, search, come and go, cheat
///
/// A scenario says what happens; `covey sim list` has some that are ready. Peers run the code of real nodes and
/// coordinators, over a network in memory and on virtual time, so a day passes in seconds and the same seed gives the same results.
#[derive(Debug, Subcommand)]
pub enum Sim {
    List(list::List),
    Run(run::Run),
    Compare(compare::Compare),
    Sweep(sweep::Sweep),
}

impl Sim {
    pub fn run(self, output: &Output) -> Result<(), ApiError> {
        match self {
            Self::List(it) => it.run(output),
            Self::Run(it) => it.run(output),
            Self::Compare(it) => it.run(output),
            Self::Sweep(it) => it.run(output),
        }
    }
}
