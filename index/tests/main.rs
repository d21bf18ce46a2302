//! An index through its public interface.

mod cache;
mod common;
mod disk;
mod growth;
mod hostile;
mod kill;
mod latency;
mod modes;
mod search;
mod updates;
