//! The stopping rule: which candidates to recompute next, and when no more.
//!
//! It knows scores and how far off they may be, and nothing of texts or models, so that the tuner can
//! run it on scores it made up.

/// Texts handed to the encoder at once: enough to share the work between threads, few enough to stop
/// soon after the bound is reached.
const BATCH: usize = 8;

/// What a search wants to be sure of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Hits wanted, at least 1.
    pub(crate) k: usize,
    /// How sure, in standard deviations.
    pub(crate) confidence: f32,
    /// Whether every hit's score is recomputed.
    pub(crate) exact: bool,
}

/// A candidate: its score as far as it is known, and the standard deviation, 0 once it is recomputed.
pub(crate) trait Standing {
    fn score(&self) -> f32;
    fn sigma(&self) -> f32;
}

impl Rule {
    /// The candidates to recompute next, by position; none if the answer can change no more. `ranked` is
    /// best first; `recomputed` is how many were so far.
    pub(crate) fn doubtful(&self, ranked: &[impl Standing], recomputed: usize) -> Vec<usize> {
        let z = self.confidence;
        let open = (0..ranked.len()).filter(|&i| ranked[i].sigma() > 0.0);
        if self.exact {
            let exact = ranked.iter().filter(|candidate| candidate.sigma() == 0.0);
            let bar = exact.map(Standing::score).nth(self.k - 1);
            let above = |i: &usize| {
                let candidate = &ranked[*i];
                bar.is_none_or(|bar| candidate.score() + z * candidate.sigma() > bar)
            };
            let most = BATCH.max(self.k.saturating_sub(recomputed));
            return open.filter(above).take(most).collect();
        }
        let Some(next) = ranked.get(self.k) else { return Vec::new() };
        let bar = (ranked[self.k - 1].score() + next.score()) / 2.0;
        let doubts = open.map(|i| ((ranked[i].score() - bar).abs() / ranked[i].sigma(), i));
        let mut open: Vec<(f32, usize)> = doubts.filter(|(doubt, _)| *doubt < z).collect();
        let most = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if open.len() > BATCH / 2 {
            open.select_nth_unstable_by(BATCH / 2 - 1, most);
            open.truncate(BATCH / 2);
        }
        open.sort_unstable_by(most);
        open.into_iter().map(|(_, i)| i).collect()
    }
}
