//! A group's membership: an append-only, hash-chained log that one owner signs (docs/spec/group.md).
//!
//! Start from [`Log`]: it takes entries from anybody and believes only what it has verified. The
//! owner makes entries with [`Log::sequence`]; everybody else sends it a [`SignedRequest`]. Each
//! entry is one epoch. Two entries signed over one parent are an [`Equivocation`], which freezes
//! the group for everyone who sees it.
//!
//! [`Code`] is an invite as people paste it, [`InviteBook`] what its issuer remembers of it,
//! [`admit`] decides about whoever redeems one, and [`sync`] what two members tell each other.

mod admit;
mod book;
mod code;
mod entry;
mod equivocation;
mod invite;
mod log;
mod rejection;
mod request;
mod sequence;
mod state;
pub mod sync;

pub use admit::{Admission, admit};
pub use book::{InviteBook, InviteState, InviteSummary, IssueError};
pub use code::{Code, CodeError};
pub use entry::{
    Change, CurrentRelease, Decoded, ENTRY_VERSION, Entry, EntryBody, Head, Release, Role,
};
pub use equivocation::{Equivocation, NotProof};
pub use invite::{InviteId, InviteRefusal, InviteSecret};
pub use log::{InvalidLog, Log, Outcome, Standing};
pub use rejection::Rejection;
pub use request::{Nonce, RequestBody, SignedRequest, Wish};
pub use state::Member;
