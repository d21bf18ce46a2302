//! The federated query: this node's side of `/covey/search/1`, around the pure machines in
//! [`covey_protocol::search`].
//!
//! `ask` sends a question and merges what comes back, `verify` checks the scores of revealed texts,
//! `answer` serves others through one gate ([`covey_protocol::search::Plan`]) and the audit [`Ledger`].

mod answer;
mod ask;
mod ledger;
mod local;
mod meter;
mod rates;
mod snippet;
mod verify;

pub(crate) use ledger::Ledger;
pub(crate) use local::search_alone;
pub(crate) use meter::Meter;
pub(crate) use rates::Rates;
