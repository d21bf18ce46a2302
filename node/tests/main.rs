//! A node through its public interface.

mod attacks;
mod collections;
mod directory;
mod local_api;
