//! Finding candidates by their codes alone.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use super::Plan;
use super::calibrate::Calibration;
use super::mask::Mask;
use crate::codec::{Query, Sweep};
use crate::coded::Coded;
use crate::collection::{Part, Snapshot};
use crate::graph::{Beam, Walk};
use crate::settings::doublings;

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
pub(super) struct Found {
    /// Largest mean first.
    pub(super) candidates: Vec<Candidate>,
    /// Chunks estimated.
    pub(super) visited: usize,
    /// The largest score that a chunk may have, as sure as was asked for, which there was no room to look at
    /// more closely.
    pub(super) beyond: f32,
}

/// The share of chunks passing a filter below which all blocks are scanned.
const NARROW: f64 = 0.1;

/// How sure a first look is to be at least, in standard deviations: a chunk that it passes over is lost.
const LEAST_CONFIDENCE: f32 = 3.4;
/// How much surer for each doubling of the chunks beyond so many: the best of more are farther from what their
/// codes say.
const SURER: f32 = 0.15;
const SURER_FROM: f64 = 1e6;

/// Blocks scanned where nobody says how many: of `blocks`.
fn default_probes(blocks: usize) -> usize {
    64 + blocks / 8
}

impl Snapshot {
    /// The best chunks by code, for an answer of `k`.
    pub(super) fn candidates(&self, query: &[f32], k: usize, plan: &Plan<'_>) -> Found {
        let mut best = Best::new(k, plan.keep.max(k));
        let mut visited = 0;
        let chunks: usize = self.parts().iter().map(|part| part.segment.len() as usize).sum();
        let surer = SURER * doublings(SURER_FROM, chunks) as f32;
        let confidence = plan.confidence.max(LEAST_CONFIDENCE + surer);
        for (at, part) in self.parts().iter().enumerate() {
            let mask = Mask::new(part, plan.filter);
            let ranges = ranges(part, &mask, query, plan);
            visited += ranges.iter().map(ExactSizeIterator::len).sum::<usize>();
            let coded = &part.segment.coded;
            let (sweep, query) = coded.codec().sweep(query);
            let most = most_read(part.segment.len() as usize, plan);
            let calibration = Calibration::new(coded.codec().first_posterior(0.0, 0.0).1);
            let mut look = Look { at, coded, mask, query, sweep, confidence, most, calibration };
            look.run(ranges, &mut best);
        }
        let mut candidates: Vec<Candidate> =
            best.kept.into_iter().map(|Reverse(ranked)| ranked.0).collect();
        candidates.sort_unstable_by(|a, b| order(b, a));
        Found { candidates, visited, beyond: best.beyond }
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
    beyond: f32,
}

impl Best {
    fn new(k: usize, keep: usize) -> Self {
        let beyond = f32::NEG_INFINITY;
        Self { k, keep, kept: BinaryHeap::new(), answer: BinaryHeap::new(), beyond }
    }

    fn offer(&mut self, candidate: Candidate) {
        for (heap, most) in [(&mut self.kept, self.keep), (&mut self.answer, self.k)] {
            if heap.len() < most {
                heap.push(Reverse(Ranked(candidate)));
            } else if let Some(mut worst) = heap.peek_mut()
                && order(&candidate, &worst.0.0) == Ordering::Greater
            {
                *worst = Reverse(Ranked(candidate));
            }
        }
    }

    /// The mean that the `k`th best has, if there are so many.
    fn bar(&self) -> Option<f32> {
        let full = self.answer.len() >= self.k;
        self.answer.peek().filter(|_| full).map(|Reverse(ranked)| ranked.0.mean)
    }
}

/// Codes read in full at most: of one part a share, those with the highest estimates, but so many of any.
const SHARE_READ: usize = 4;
const LEAST_READ: usize = 8192;
const MOST_READ: usize = 1 << 20;
/// How long reading one takes at most; it may use half of the time there is.
const READ_TIME: Duration = Duration::from_nanos(300);

/// How many codes of a part with this many chunks may be read in full.
fn most_read(chunks: usize, plan: &Plan<'_>) -> usize {
    let most = (chunks / SHARE_READ).clamp(LEAST_READ, MOST_READ);
    let in_time = |left: Duration| (left.as_nanos() / (2 * READ_TIME.as_nanos())) as usize;
    let most = plan.time_left.map_or(most, |left| most.min(in_time(left())).max(LEAST_READ));
    most.max(plan.keep)
}

/// Codes swept before some are read, and how many those are: what the others have to reach is known early.
const FIRST_STOP: usize = 8192;
const HEAD: usize = 128;
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
    /// Of whole codes by their first planes.
    calibration: Calibration,
}

/// A chunk whose first planes are promising.
#[derive(Clone, Copy)]
struct Promising {
    estimate: f32,
    position: u32,
    chunk: u32,
}

impl Look<'_> {
    /// Offers to `best` what these positions hold. The bar rises early, as some codes are read each time
    /// that twice as many have been swept.
    fn run(&mut self, ranges: Vec<Range<usize>>, best: &mut Best) {
        let (mut found, mut seen, mut stop) = (Vec::new(), 0, FIRST_STOP);
        for mut range in ranges {
            while !range.is_empty() {
                let now = range.start..range.end.min(range.start + (stop - seen));
                (seen, range.start) = (seen + now.len(), now.end);
                self.sweep(now, &mut found, best);
                if seen == stop {
                    stop *= 2;
                    self.read_highest(&mut found, best);
                }
            }
        }
        self.read_highest(&mut found, best);
        found.sort_unstable_by_key(|it: &Promising| it.position);
        self.read_all(&found, best);
    }

    /// Finds what is promising at these positions, beyond what `best` holds already.
    fn sweep(&self, positions: Range<usize>, found: &mut Vec<Promising>, best: &mut Best) {
        let (coded, most) = (self.coded, self.most);
        let mut bar = self.bar(best);
        coded.sweep(&self.sweep, positions, bar, &mut |position, estimate| {
            if let Some(chunk) = coded.chunk_at(position).filter(|it| self.mask.passes(*it)) {
                found.push(Promising { estimate, position: position as u32, chunk });
            }
            if found.len() / 2 >= most {
                divide(found, most);
                found.truncate(most);
                let least = found[most - 1].estimate;
                best.beyond = best.beyond.max(self.most_at(least));
                bar = bar.max(least);
            }
            bar
        });
    }

    /// The estimate below which a chunk is passed over.
    fn bar(&self, best: &Best) -> f32 {
        let (codec, base) = (self.coded.codec(), self.query.base());
        let least = |bar: f32| bar - self.calibration.shift() - self.margin();
        best.bar().map_or(f32::NEG_INFINITY, |bar| codec.first_estimate(base, least(bar)))
    }

    /// The largest score that goes with an estimate from first planes.
    fn most_at(&self, estimate: f32) -> f32 {
        let (mean, _) = self.coded.codec().first_posterior(self.query.base(), estimate);
        mean + self.calibration.shift() + self.margin()
    }

    fn margin(&self) -> f32 {
        let (_, sigma) = self.coded.codec().posterior(0.0, 0.0);
        self.confidence * self.calibration.sigma().hypot(sigma)
    }

    /// Reads the codes with the highest estimates, and forgets those that can be passed over then.
    fn read_highest(&mut self, found: &mut Vec<Promising>, best: &mut Best) {
        let highest = if found.len() > HEAD {
            divide(found, HEAD);
            found.drain(..HEAD).collect()
        } else {
            std::mem::take(found)
        };
        self.read_all(&highest, best);
        let bar = self.bar(best);
        found.retain(|it| it.estimate > bar);
    }

    fn read_all(&mut self, found: &[Promising], best: &mut Best) {
        let codec = self.coded.codec();
        for (at, it) in found.iter().enumerate() {
            if let Some(next) = found.get(at + AHEAD) {
                self.coded.prefetch(next.position as usize);
            }
            let position = it.position as usize;
            let estimate = self.coded.estimate(&self.sweep, &self.query, position, it.estimate);
            let (mean, sigma) = codec.posterior(self.query.base(), estimate);
            let (first, _) = codec.first_posterior(self.query.base(), it.estimate);
            self.calibration.note(mean - first);
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
}
