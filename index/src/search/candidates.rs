//! Finding candidates by their codes alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::Plan;
use super::mask::Mask;
use crate::codec::Query;
use crate::coded::Coded;
use crate::collection::{Part, Snapshot};
use crate::graph::{Beam, Scored, Walk};

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

/// Blocks scanned where nobody says how many: of `blocks`.
fn default_probes(blocks: usize) -> usize {
    64 + blocks / 8
}

impl Snapshot {
    /// The best chunks by code.
    pub(super) fn candidates(&self, query: &[f32], plan: &Plan<'_>) -> Found {
        let mut found = Found::default();
        for (at, part) in self.parts().iter().enumerate() {
            let coded = &part.segment.coded;
            let codec = coded.codec();
            let prepared = codec.query(query, codec.grid());
            let mask = Mask::new(part, plan.filter);
            let share = mask.share();
            let mut best =
                Best { part, mask, keep: plan.keep, heap: BinaryHeap::new(), scores: Vec::new() };
            match coded.centroid_grid() {
                None => best.scan_all(&prepared),
                // What passes is too scattered to be walked to.
                Some(_) if share < NARROW => {
                    (0..coded.blocks() as u32).for_each(|block| best.scan_block(&prepared, block));
                }
                Some(grid) => {
                    let probes = plan.probes.unwrap_or_else(|| default_probes(coded.blocks()));
                    let probes = (probes as f64 / share) as usize;
                    let walk = ByCentroid { coded, query: codec.query(query, grid) };
                    let mut beam = Beam::new(coded.blocks());
                    let (blocks, _) = beam.search(&walk, coded.entry(), probes.max(1));
                    for block in blocks {
                        best.scan_block(&prepared, block.node);
                    }
                }
            }
            found.visited += best.scores.len();
            found.candidates.extend(best.heap.into_iter().map(|Reverse(scored)| {
                let (mean, sigma) = codec.posterior(prepared.base(), scored.score);
                Candidate { part: at, chunk: scored.node, mean, sigma }
            }));
        }
        found.candidates.sort_unstable_by(|a, b| {
            b.mean.total_cmp(&a.mean).then((a.part, a.chunk).cmp(&(b.part, b.chunk)))
        });
        found.candidates.truncate(plan.keep);
        found
    }
}

/// The best live chunks of one part.
struct Best<'a> {
    part: &'a Part,
    mask: Mask<'a>,
    keep: usize,
    heap: BinaryHeap<Reverse<Scored>>,
    /// Of all rows looked at.
    scores: Vec<f32>,
}

impl Best<'_> {
    fn scan_all(&mut self, query: &Query) {
        let rows = 0..self.part.segment.len() as usize;
        self.scan(query, rows, |i| Some(i as u32));
    }

    fn scan_block(&mut self, query: &Query, block: u32) {
        let part = self.part;
        let coded = &part.segment.coded;
        self.scan(query, coded.block(block), |i| coded.chunk_in(block, i));
    }

    /// Scores rows, and keeps the best of the live chunks behind them.
    fn scan(&mut self, query: &Query, rows: Range<usize>, chunk: impl Fn(usize) -> Option<u32>) {
        let before = self.scores.len();
        self.part.segment.coded.score(query, rows, &mut self.scores);
        let mut worst = self.worst();
        for i in 0..self.scores.len() - before {
            let score = self.scores[before + i];
            if score < worst {
                continue;
            }
            let Some(node) = chunk(i).filter(|&chunk| self.mask.passes(chunk)) else { continue };
            self.heap.push(Reverse(Scored { score, node }));
            if self.heap.len() > self.keep {
                self.heap.pop();
            }
            worst = self.worst();
        }
    }

    /// The score that a chunk must reach to be kept.
    fn worst(&self) -> f32 {
        let full = self.heap.len() >= self.keep;
        let worst = self.heap.peek().filter(|_| full);
        worst.map_or(f32::NEG_INFINITY, |Reverse(scored)| scored.score)
    }
}

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
