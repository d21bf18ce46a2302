//! Finding candidates by their codes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{SearchOptions, Traversal};
use crate::codes::Estimator;
use crate::collection::{Part, Snapshot};
use crate::graph::{Beam, Scored, Walk};

/// Up to this many chunks, estimating them all costs less than a walk.
const SCAN_LIMIT: usize = 1024;

/// A chunk that may be close to the query.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    /// Position of its part in the snapshot.
    pub(super) part: usize,
    pub(super) chunk: u32,
    estimate: f32,
}

impl Snapshot {
    /// Live chunks, most promising first, and how many were looked at. There are more than `wanted`
    /// where possible, to make up for stale ones.
    pub(super) fn candidates(
        &self,
        query: &[f32],
        wanted: usize,
        options: &SearchOptions,
    ) -> (Vec<Candidate>, usize) {
        let width = options.beam.max(wanted);
        let (mut candidates, mut visited) = (Vec::new(), 0);
        for (at, part) in self.parts().iter().enumerate() {
            let walk = ByCode { part, estimator: Estimator::new(query, part.segment.mean()) };
            let scan = match options.traversal {
                Traversal::Auto => part.segment.len() as usize <= SCAN_LIMIT.max(width),
                Traversal::Graph => false,
                Traversal::Scan => true,
            };
            let (found, looked_at) = if scan {
                scan_all(&walk, width)
            } else {
                let mut beam = Beam::new(part.segment.len() as usize);
                beam.search(&walk, part.segment.entry(), width)
            };
            visited += looked_at;
            candidates.extend(found.into_iter().map(|scored| Candidate {
                part: at,
                chunk: scored.node,
                estimate: scored.score,
            }));
        }
        candidates.sort_by(|a, b| b.estimate.total_cmp(&a.estimate));
        (candidates, visited)
    }
}

/// A walk over one part, steered by codes; dead chunks lead on but do not count.
struct ByCode<'a> {
    part: &'a Part,
    estimator: Estimator,
}

impl Walk for ByCode<'_> {
    fn score(&self, node: u32) -> f32 {
        let (code, scale) = self.part.segment.code(node);
        self.estimator.estimate(code, scale)
    }

    fn links(&self, node: u32, visit: &mut dyn FnMut(u32)) {
        self.part.segment.links(node, visit);
    }

    fn counts(&self, node: u32) -> bool {
        self.part.alive.get(node as usize) == Some(&true)
    }
}

/// The `width` best of all live chunks.
fn scan_all(walk: &ByCode<'_>, width: usize) -> (Vec<Scored>, usize) {
    let mut best: BinaryHeap<Reverse<Scored>> = BinaryHeap::new();
    let mut visited = 0;
    for node in (0..walk.part.segment.len()).filter(|&node| walk.counts(node)) {
        visited += 1;
        let score = walk.score(node);
        best.push(Reverse(Scored { score, node }));
        if best.len() > width {
            best.pop();
        }
    }
    let mut best: Vec<Scored> = best.into_iter().map(|reversed| reversed.0).collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    (best, visited)
}
