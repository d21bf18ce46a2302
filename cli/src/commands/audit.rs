//! `covey audit`.

use clap::Subcommand;
use covey_node::api::{ApiError, Call};

use crate::session::Session;

/// See who was told what, and check that the record is whole
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List answers given to others, newest last
    List {
        /// At most so many of the newest
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
    },
    /// Check the chain of records from the first to the last
    Verify,
}

impl Audit {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        match self {
            Self::List { limit } => session.show(Call::AuditList { limit: Some(limit) }, "reading"),
            Self::Verify => session.show(Call::AuditVerify, "checking"),
        }
    }
}
