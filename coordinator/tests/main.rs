//! A coordinator with participants that really mask.

mod releases;
mod rounds;
mod world;
