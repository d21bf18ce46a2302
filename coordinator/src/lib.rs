//! A group's coordinator: cohorts, rounds, what becomes of their sums, checkpoints and releases.
//!
//! It sees keys, sealed shares, masked vectors and sums, and never one peer's update in the clear. It opens no socket, reads no clock and
//! starts no thread: whoever hosts it ([`Coordinator`], the type to start from) hands it requests and the time
//! and carries its replies. The messages are docs/spec/round.md's; who coordinates is the group's log's to say.
#![forbid(unsafe_code)]

mod campaign;
mod coordinator;
mod learnt;
mod record;
pub mod rule;
mod run;
mod state;
pub mod store;

pub use campaign::{Campaign, CampaignError};
pub use coordinator::{
    Candidate, Coordinator, CoordinatorError, GroupView, Promote, RECENT, Status,
};
pub use learnt::{Learnt, Unlearnt};
pub use record::{Came, RoundRecord};
