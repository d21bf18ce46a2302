//! Finding candidates by their codes alone.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::Range;

use super::Plan;
use super::mask::Mask;
use crate::codec::{Query, Sweep};
use crate::coded::Coded;
use crate::collection::{Part, Snapshot};
use crate::graph::{Beam, Walk};

/// A chunk, and what its code says of its score.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Position of its part in the snapshot.
    pub(super) part: usize,
    pub(super) chunk: u32,
    /// Mean and standard deviation of the exact score, given the estimate.
    pub(super) mean: f32,
    pub(super) sigma: f32,
}

/// What codes found.
#[derive(Default)]
pub(super) struct Found {
    /// Largest mean first.
    pub(super) candidates: Vec<Candidate>,
    /// Chunks estimated.
    pub(super) visited: usize,
}

/// The share of chunks passing a filter below which all blocks are scanned.
const NARROW: f64 = 0.1;

/// How sure a first look is to be at least, in standard deviations: a chunk that it passes over is lost.
const LEAST_CONFIDENCE: f32 = 3.0;

/// Blocks scanned where nobody says how many: of `blocks`.
fn default_probes(blocks: usize) -> usize {
    64 + blocks / 8
}

impl Snapshot {
    /// The best chunks by code, for an answer of `k`.
    pub(super) fn candidates(&self, query: &[f32], k: usize, plan: &Plan<'_>) -> Found {
        let mut best =
            Best { k, keep: plan.keep, kept: BinaryHeap::new(), answer: BinaryHeap::new() };
        let mut visited = 0;
        for (at, part) in self.parts().iter().enumerate() {
            let mask = Mask::new(part, plan.filter);
            let ranges = ranges(part, &mask, query, plan);
            let (sweep, query) = part.segment.coded.codec().sweep(query);
            let mut look = Look::new(at, part, mask, query, plan.confidence);
            for range in ranges {
                visited += range.len();
                look.sweep(&sweep, range, &mut best);
            }
            look.read(&mut best);
        }
        let mut candidates: Vec<Candidate> =
            best.kept.into_iter().map(|Reverse(ranked)| ranked.0).collect();
        candidates.sort_unstable_by(|a, b| order(b, a));
        Found { candidates, visited }
    }
}

/// The positions of a part to look at.
fn ranges(part: &Part, mask: &Mask<'_>, query: &[f32], plan: &Plan<'_>) -> Vec<Range<usize>> {
    let coded = &part.segment.coded;
    let whole = 0..part.segment.len() as usize;
    let Some(grid) = coded.centroid_grid() else { return vec![whole] };
    let share = mask.share();
    let probes = plan.probes.unwrap_or_else(|| default_probes(coded.blocks()));
    let probes = (probes as f64 / share) as usize;
    // What passes may be too scattered to be walked to.
    if share < NARROW || probes >= coded.blocks() {
        return vec![whole];
    }
    let walk = ByCentroid { coded, query: coded.codec().query(query, grid) };
    let (blocks, _) = Beam::new(coded.blocks()).search(&walk, coded.entry(), probes.max(1));
    let mut numbers: Vec<u32> = blocks.into_iter().map(|block| block.node).collect();
    numbers.sort_unstable();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for range in numbers.into_iter().map(|block| coded.block(block)) {
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    ranges
}

/// The best candidates so far.
struct Best {
    k: usize,
    keep: usize,
    /// At most `keep`, the worst on top.
    kept: BinaryHeap<Reverse<Ranked>>,
    /// The `k` best of them, the worst on top.
    answer: BinaryHeap<Reverse<Ranked>>,
}

impl Best {
    fn offer(&mut self, candidate: Candidate) {
        for (heap, most) in [(&mut self.kept, self.keep), (&mut self.answer, self.k)] {
            heap.push(Reverse(Ranked(candidate)));
            if heap.len() > most {
                heap.pop();
            }
        }
    }

    /// The mean that the `k`th best has, if there are so many.
    fn bar(&self) -> Option<f32> {
        let full = self.answer.len() >= self.k;
        self.answer.peek().filter(|_| full).map(|Reverse(ranked)| ranked.0.mean)
    }
}

/// Candidates that wait until it pays to read their codes in full.
const PENDING: usize = 256;

/// The look at one part: a sweep over first planes, and codes read in full where these leave it open
/// whether the chunk belongs to the answer.
struct Look<'a> {
    at: usize,
    coded: &'a Coded,
    mask: Mask<'a>,
    query: Query,
    confidence: f32,
    /// Estimate from first planes, position and chunk.
    pending: Vec<(f32, u32, u32)>,
    code: Vec<u8>,
}

impl<'a> Look<'a> {
    fn new(at: usize, part: &'a Part, mask: Mask<'a>, query: Query, confidence: f32) -> Self {
        let coded = &part.segment.coded;
        let code = vec![0; coded.codec().width()];
        let confidence = confidence.max(LEAST_CONFIDENCE);
        Self { at, coded, mask, query, confidence, pending: Vec::new(), code }
    }

    fn sweep(&mut self, sweep: &Sweep, positions: Range<usize>, best: &mut Best) {
        let coded = self.coded;
        coded.sweep(sweep, positions, self.bar(best), &mut |position, estimate| {
            let chunk = coded.chunk_at(position).filter(|&chunk| self.mask.passes(chunk));
            if let Some(chunk) = chunk {
                self.pending.push((estimate, position as u32, chunk));
            }
            if self.pending.len() >= PENDING {
                self.read(best);
            }
            self.bar(best)
        });
    }

    /// The estimate below which a chunk is passed over.
    fn bar(&self, best: &Best) -> f32 {
        let (codec, base) = (self.coded.codec(), self.query.base());
        best.bar().map_or(f32::NEG_INFINITY, |bar| codec.first_bar(base, bar, self.confidence))
    }

    /// Reads codes in full, most promising first.
    fn read(&mut self, best: &mut Best) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for &(estimate, position, chunk) in &pending {
            if estimate <= self.bar(best) {
                break;
            }
            self.coded.copy_code(position as usize, &mut self.code);
            let estimate = self.query.one(&self.code);
            let (mean, sigma) = self.coded.codec().posterior(self.query.base(), estimate);
            best.offer(Candidate { part: self.at, chunk, mean, sigma });
        }
        pending.clear();
        self.pending = pending;
    }
}

/// The better of two is the greater: by mean, ties to the lower part and chunk.
fn order(a: &Candidate, b: &Candidate) -> Ordering {
    a.mean.total_cmp(&b.mean).then((b.part, b.chunk).cmp(&(a.part, a.chunk)))
}

/// A candidate as heaps order it.
struct Ranked(Candidate);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&self.0, &other.0)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// A walk over blocks, steered by their centroids.
struct ByCentroid<'a> {
    coded: &'a Coded,
    query: Query,
}

impl Walk for ByCentroid<'_> {
    fn score(&self, node: u32) -> f32 {
        self.query.one(self.coded.centroid(node))
    }

    fn links(&self, node: u32, visit: &mut dyn FnMut(u32)) {
        self.coded.links(node, visit);
    }

    fn counts(&self, _node: u32) -> bool {
        true
    }
}
