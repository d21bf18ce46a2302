//! The results that the person opened, and what they had asked: pairs to learn from, kept on this machine alone.
//!
//! [`Latest`] is what the latest search found, so that a result can be named by its number; `Opened` is the log. Neither
//! is part of a backup, of an answer or of anything else that leaves the node.

mod latest;
mod log;

pub use latest::{Latest, LatestError, LatestResult};
pub(crate) use log::Opened;
