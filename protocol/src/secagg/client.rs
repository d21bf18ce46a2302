//! The client: one type a phase, each made from the one before and a message.
//!
//! Two of them are written to disk before anything is sent ([`Masked`] before the masked vector,
//! [`Agreed`] before the agreement), so that a crash leads neither to a second masking under the
//! same keys nor to a second kind of share. A client that crashes earlier drops out of the round.

mod agree;
mod choose;
mod deal;
mod enrol;
mod join;
mod mask;

pub use agree::{Agreed, Masked};
pub use choose::Choosing;
pub use deal::Dealt;
pub use enrol::Enrolled;
pub use join::{Drawn, Joining};
pub use mask::{Masking, VectorLength};

pub(super) use deal::{Held, unseal};
pub(super) use enrol::signed;
pub(super) use mask::{Sign, digest_of};
