//! A participant's part in a group's rounds (docs/spec/round.md): check, train, check in, mask, agree, open.
//!
//! [`follow`] is all of it. Whoever takes part is a [`Party`]: a node, which has files, a person and a group's log, or one of a simulator's many,
//! which has not. What has to outlive a restart is [`Kept`]. Nothing leaves but through [`covey_protocol::round::Participant`], which masks it.

mod ask;
mod attempt;
mod documents;
mod follow;
mod hold;
mod kept;
mod ledger;
mod party;
mod prepare;
mod seen;
mod store;
mod update;

pub(crate) use ask::unexpected_of;
pub use ask::{Tries, Unanswered, ask_over, serve, values};
pub(crate) use follow::latest;
pub use follow::{follow, training_ends};
pub use hold::{Answers, Held};
pub use kept::Kept;
pub use ledger::{PrivacyLedger, Standing};
pub use party::{News, Party, Wait};
pub(crate) use prepare::{Compared, adapter, compare, evaluate, is_as_good};
pub use prepare::{Outcome, Told, Trained, Training, train};
pub use seen::Seen;
pub use store::RoundStore;
pub use update::Update;

use crate::api::{ApiError, ErrorCode};
pub use crate::held_out::never_learnt;

/// A plan or an attempt that no part is taken in.
pub(crate) fn refused(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, why.to_string())
}
