//! How Covey's nodes reach each other: one request and one reply, with limits and a deadline.
//!
//! [`Link`] is the one thing the layers above see. [`swarm::SwarmLink`] carries it over libp2p (TCP and
//! QUIC, authenticated and encrypted); [`memory::MemoryLink`] carries it inside one process, with
//! seeded latency, loss and partitions on tokio's (pausable) clock.
//!
//! This crate holds no policy. It authenticates who is at the other end; whether that node is a
//! member, and what it may ask, is checked by whoever receives [`LinkEvent::Request`].
//! The bytes are specified in docs/spec/transport.md.
#![forbid(unsafe_code)]

mod addr;
mod book;
mod error;
pub mod limits;
mod link;
pub mod memory;
mod slots;
pub mod swarm;

pub use addr::{Addr, ParseAddrError};
pub use error::LinkError;
pub use link::{Events, Inbound, Link, LinkEvent, Peer, Protocol, Reply};
pub use swarm::{NetError, SwarmConfig, SwarmLink};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`; a panic elsewhere leaves our small states usable, so poisoning is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
