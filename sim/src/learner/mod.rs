//! What peers learn: the place to plug in another task.

mod apart;
mod embedder;
mod of;
mod surrogate;

use covey_node::rounds::Trained;
use covey_protocol::ids::ModelId;
use covey_protocol::round::{Checked, Learning};

pub use embedder::{Base, EmbedderTask, Part};
pub use of::of;
pub use surrogate::Surrogate;

use crate::SimError;

/// A task that peers learn together, each from what it has. Whatever comes of it follows from its arguments.
pub trait Learns: Send + Sync {
    /// The model whose weights stay.
    fn model(&self) -> ModelId;

    /// The adapter's configuration, as a plan holds it.
    fn adapter(&self) -> Vec<u8>;

    /// The values that training starts from.
    fn start(&self) -> Vec<f32>;

    /// How many peers there are.
    fn peers(&self) -> usize;

    /// How many examples a peer has.
    fn examples(&self, peer: usize) -> usize;

    /// The same with all examples at one peer.
    fn pooled(&self) -> Box<dyn Learns>;

    /// Trains for a plan on what a peer has, from `values` on, at most `most` steps.
    ///
    /// # Errors
    /// If it has too little, or nothing comes of it.
    fn train(
        &self,
        peer: usize,
        plan: &Checked,
        values: Vec<f32>,
        most: u32,
        seed: u64,
    ) -> Result<Trained, SimError>;

    /// How good values are. It takes all processors by itself, so it is asked once at a time.
    ///
    /// # Errors
    /// If that cannot be told.
    fn judge(&self, values: &[f32]) -> Result<Judged, SimError>;

    /// How good values are for one peer, by the same measure; nothing where peers are not told apart.
    fn quality_for(&self, _peer: usize, _values: &[f32]) -> Option<f64> {
        None
    }
}

/// How good values are.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Judged {
    /// By what the task measures itself by; larger is better.
    pub quality: f64,
    /// The mean of that for the tenth of the peers that are served worst, where it differs by peer.
    pub worst_decile: Option<f64>,
    /// The mean of that for all peers, where each is judged by its own and `quality` is not.
    pub peers_quality: Option<f64>,
    /// The mean loss.
    pub loss: Option<f64>,
}

/// The mean of the tenth of the peers with the least, of what each has; nothing where there is nobody.
pub(crate) fn worst_decile(mut each: Vec<f64>) -> Option<f64> {
    each.sort_by(f64::total_cmp);
    each.truncate(each.len().div_ceil(10));
    (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
}

/// The most steps of a participant: documents, where each counts by itself.
pub(crate) const fn most_steps(learning: &Learning) -> u32 {
    if learning.documents > 0 { learning.documents } else { learning.max_steps }
}

/// How many steps it takes to look at so many examples as a plan wants.
pub fn steps(examples: usize, learning: &Learning) -> u32 {
    if learning.documents > 0 {
        return u32::try_from(examples).unwrap_or(u32::MAX).min(learning.documents);
    }
    let batches = examples.div_ceil(usize::from(learning.batch).max(1)).max(1);
    let all = batches.saturating_mul(learning.epochs.into());
    u32::try_from(all).unwrap_or(u32::MAX).min(learning.max_steps)
}
