//! A group's membership: an append-only, hash-chained log that one owner signs (docs/spec/group.md).
//!
//! Start from [`Log`]: it takes entries from anybody and believes only what it has verified. The
//! owner makes entries with [`Log::sequence`]; everybody else sends it a [`SignedRequest`]. Each
//! entry is one epoch. Two entries signed over one parent are an [`Equivocation`], which freezes
//! the group for everyone who sees it.
//!
//! [`Code`] is an invite as people paste it, [`InviteBook`] what its issuer remembers of it, and
//! [`sync`] decides what two members tell each other.

mod entry;
mod equivocation;
mod invite;
mod rejection;
mod request;

pub use entry::{Change, Entry, EntryBody, Head, Role};
pub use equivocation::Equivocation;
pub use invite::{InviteId, InviteRefusal, InviteSecret};
pub use rejection::Rejection;
pub use request::{Nonce, RequestBody, SignedRequest, Wish};
