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
            visited += ranges.iter().map(ExactSizeIterator::len).sum::<usize>();
            let coded = &part.segment.coded;
            let (sweep, query) = coded.codec().sweep(query);
            let confidence = plan.confidence.max(LEAST_CONFIDENCE);
            let most = MOST_READ.max(plan.keep);
            let look = Look { at, coded, mask, query, sweep, confidence, most };
            let found = look.sweep(ranges, &best);
            look.read(found, &mut best);
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

/// Codes read in full at most, of one part: those with the highest estimates.
const MOST_READ: usize = 8192;
/// Codes read first, to know early what the others have to reach.
const HEAD: usize = 256;
/// How far ahead codes are fetched.
const AHEAD: usize = 8;

/// The look at one part: a sweep over first planes, and codes read in full where these leave it open
/// whether the chunk belongs to the answer.
struct Look<'a> {
    at: usize,
    coded: &'a Coded,
    mask: Mask<'a>,
    query: Query,
    sweep: Sweep,
    confidence: f32,
    most: usize,
}

/// A chunk whose first planes are promising.
#[derive(Clone, Copy)]
struct Promising {
    estimate: f32,
    position: u32,
    chunk: u32,
}

impl Look<'_> {
    /// Finds what is promising at these positions, beyond what `best` holds already.
    fn sweep(&self, ranges: Vec<Range<usize>>, best: &Best) -> Vec<Promising> {
        let (coded, most) = (self.coded, self.most);
        let (mut bar, mut found) = (self.bar(best), Vec::new());
        for range in ranges {
            coded.sweep(&self.sweep, range, bar, &mut |position, estimate| {
                if let Some(chunk) = coded.chunk_at(position).filter(|it| self.mask.passes(*it)) {
                    found.push(Promising { estimate, position: position as u32, chunk });
                }
                if found.len() >= 2 * most {
                    bar = higher(&mut found, most).max(bar);
                }
                bar
            });
        }
        if found.len() > most {
            higher(&mut found, most);
        }
        found
    }

    /// The estimate below which a chunk is passed over.
    fn bar(&self, best: &Best) -> f32 {
        let (codec, base) = (self.coded.codec(), self.query.base());
        best.bar().map_or(f32::NEG_INFINITY, |bar| codec.first_bar(base, bar, self.confidence))
    }

    /// Reads codes in full, the most promising first.
    fn read(&self, mut found: Vec<Promising>, best: &mut Best) {
        let rest = if found.len() > HEAD {
            divide(&mut found, HEAD);
            found.split_off(HEAD)
        } else {
            Vec::new()
        };
        self.read_all(found, best);
        let bar = self.bar(best);
        let mut rest: Vec<Promising> = rest.into_iter().filter(|it| it.estimate > bar).collect();
        rest.sort_unstable_by_key(|it| it.position);
        self.read_all(rest, best);
    }

    fn read_all(&self, found: Vec<Promising>, best: &mut Best) {
        let codec = self.coded.codec();
        for (at, it) in found.iter().enumerate() {
            if let Some(next) = found.get(at + AHEAD) {
                self.coded.prefetch(next.position as usize);
            }
            let position = it.position as usize;
            let estimate = self.coded.estimate(&self.sweep, &self.query, position, it.estimate);
            let (mean, sigma) = codec.posterior(self.query.base(), estimate);
            best.offer(Candidate { part: self.at, chunk: it.chunk, mean, sigma });
        }
    }
}

/// Puts the `most` highest estimates first; ties go to lower positions.
fn divide(found: &mut [Promising], most: usize) {
    let order = |a: &Promising, b: &Promising| {
        b.estimate.total_cmp(&a.estimate).then(a.position.cmp(&b.position))
    };
    found.select_nth_unstable_by(most - 1, order);
}

/// Keeps the `most` highest estimates, and gives the least of them.
fn higher(found: &mut Vec<Promising>, most: usize) -> f32 {
    divide(found, most);
    found.truncate(most);
    found[most - 1].estimate
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
