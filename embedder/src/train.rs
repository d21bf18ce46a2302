//! Fine-tuning an adapter on pairs of texts that belong together.
//!
//! Start from [`Examples`] (pairs, without repeats and with a part held out), a [`Learner`]
//! ([`BertLearner`] or [`StaticLearner`]: a model whose weights stay, and how the loss falls as its adapter
//! moves; or [`QueryLearner`], where passages stay as they are, too), and a [`Trainer`], which steps until it is done, stopped or no longer learns. The loss is
//! InfoNCE over the other texts of a batch ([`Objective`]).
//!
//! In a federation the peer's update is what [`update`] makes of the trained values, or, where each
//! document is to be protected, the gradients of its [`Documents`], each by itself. Who learns alone has training itself clip and add noise by document ([`private`]).
//! Nothing here draws from the system's randomness: order comes from a seed, and whatever privacy
//! rests on is handed in.

pub mod private;
pub mod update;

mod batch;
mod bert;
mod checkpoint;
mod documents;
mod examples;
mod learner;
mod map;
mod objective;
mod optimizer;
mod public;
mod query;
mod statics;
mod trainer;

pub use batch::Batch;
pub use bert::BertLearner;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use documents::Documents;
pub use examples::{Dropped, Example, Examples, ImportError, MAX_NEGATIVES, Pair, PairRules};
pub use learner::{Learner, TrainError};
pub use objective::{Objective, ObjectiveError};
pub use optimizer::{Optimizer, Schedule};
pub use public::PUBLIC;
pub use query::QueryLearner;
pub use statics::StaticLearner;
pub use trainer::{Outcome, Step, Stopped, TrainOptions, Trainer};

#[cfg(test)]
mod tests;
