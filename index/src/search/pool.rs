//! What codes alone say of a query, for whoever wants to see all of it.

use super::Plan;
use crate::collection::Snapshot;

/// A chunk and what its code says of its score.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    /// The position of the chunk's part in the snapshot, and its number there.
    pub(crate) key: (usize, u32),
    /// Mean and standard deviation of the exact score.
    pub(crate) mean: f32,
    pub(crate) sigma: f32,
}

impl Snapshot {
    /// The `keep` best chunks by code, best first, and how many were looked at. `probes` are the blocks
    /// scanned of each segment that has blocks, as in a search.
    pub(crate) fn estimates(
        &self,
        query: &[f32],
        keep: usize,
        probes: Option<usize>,
    ) -> (Vec<Estimate>, usize) {
        let plan = Plan {
            budget: 0,
            keep: keep.max(1),
            probes,
            confidence: 0.0,
            exact: false,
            filter: None,
            time_left: None,
        };
        let found = self.candidates(query, plan.keep, &plan);
        let estimate = |candidate: super::candidates::Candidate| Estimate {
            key: candidate.key(),
            mean: candidate.mean,
            sigma: candidate.sigma,
        };
        (found.candidates.into_iter().map(estimate).collect(), found.visited)
    }
}
