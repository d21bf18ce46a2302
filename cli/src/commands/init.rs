//! `covey init`.

use clap::Args;
use covey_node::api::{ApiError, Reply};
use covey_protocol::ids::Name;

use crate::session::Session;

/// Create this node's identity, configuration and folders
///
/// Nothing is sent anywhere. `covey add`, `covey join` and `covey group create` do this by
/// themselves where no node is yet.
#[derive(Debug, Args)]
pub struct Init {
    /// The name that members of your groups see (by default your user name)
    #[arg(long)]
    name: Option<Name>,
}

impl Init {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        session.output.done(Reply::Initialised(session.init(self.name)?))
    }
}
