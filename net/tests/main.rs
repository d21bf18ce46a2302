//! Links over real sockets, and in memory.

mod common;
mod hostile;
mod memory;
mod relay;
mod swarm;
