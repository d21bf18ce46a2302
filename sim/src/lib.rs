//! Many Covey nodes in one process, on virtual time.
//!
//! A [`Federation`] builds real [`Node`](covey_node::node::Node)s over an in-memory network: the same code as the daemon
//! runs, handed in-memory stores and files, a clock that follows tokio's, and generators seeded from
//! one number. On a single-threaded runtime with its clock paused, hours pass in seconds and the
//! same seed gives the same messages.
//!
//! It holds no copy of any node logic: what a peer does, it does through [`Call`](covey_node::api::Call)s.
#![forbid(unsafe_code)]

mod federation;
mod peer;
mod runtime;

pub use federation::{Federation, FederationConfig};
pub use peer::{Peer, PeerIndex};
pub use runtime::virtual_time;
