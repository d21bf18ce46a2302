//! What a run came to, in figures and pictures.
//!
//! Everything here is computed from what was measured and gives the same bytes each time.

mod chart;
mod compare;
mod figure;
mod headline;
mod measured;
mod numbers;
pub(crate) mod page;
mod plots;
mod results;
mod summary;
pub(crate) mod tensorboard;
#[cfg(test)]
mod tests;

pub use compare::{Comparison, compare};
pub use figure::Figure;
pub use measured::Measured;
pub use results::results;
pub use summary::{RoundsSummary, SearchSummary, Summary};
