//! Best-first search with a beam: the one traversal that building and answering share.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A node and how close it is; greater is closer, ties go to the lower number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored {
    pub(crate) score: f32,
    pub(crate) node: u32,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scored {}

/// What a traversal walks over.
pub(crate) trait Walk {
    /// How close a node is to what is looked for.
    fn score(&self, node: u32) -> f32;
    /// Calls `visit` with each node linked from this one.
    fn links(&self, node: u32, visit: &mut dyn FnMut(u32));
}

/// Reusable memory of traversals over one graph.
pub(crate) struct Beam {
    seen: Vec<u64>,
    frontier: BinaryHeap<Scored>,
    /// The best so far, worst on top.
    kept: BinaryHeap<std::cmp::Reverse<Scored>>,
}

impl Beam {
    /// For a graph of `nodes` nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            seen: vec![0; nodes.div_ceil(64)],
            frontier: BinaryHeap::new(),
            kept: BinaryHeap::new(),
        }
    }

    /// Walks from `entry`, keeping the `width` closest nodes. Returns them closest first,
    /// and how many nodes were scored.
    pub(crate) fn search(
        &mut self,
        walk: &impl Walk,
        entry: u32,
        width: usize,
    ) -> (Vec<Scored>, usize) {
        self.seen.fill(0);
        self.frontier.clear();
        self.kept.clear();
        let mut visited = 0;
        self.meet(walk, entry, width, &mut visited);
        while let Some(closest) = self.frontier.pop() {
            if self.kept.len() >= width && self.worst().is_some_and(|worst| closest < worst) {
                break;
            }
            walk.links(closest.node, &mut |node| {
                self.meet(walk, node, width, &mut visited);
            });
        }
        let mut best: Vec<Scored> = self.kept.drain().map(|reversed| reversed.0).collect();
        best.sort_unstable_by(|a, b| b.cmp(a));
        (best, visited)
    }

    /// Scores a node seen for the first time, and keeps it if it is among the best.
    fn meet(&mut self, walk: &impl Walk, node: u32, width: usize, visited: &mut usize) {
        let Some(word) = self.seen.get_mut(node as usize / 64) else {
            return;
        };
        let bit = 1u64 << (node % 64);
        if *word & bit != 0 {
            return;
        }
        *word |= bit;
        *visited += 1;
        let scored = Scored { score: walk.score(node), node };
        let full = self.kept.len() >= width;
        if full && self.worst().is_some_and(|worst| scored < worst) {
            return;
        }
        self.frontier.push(scored);
        self.kept.push(std::cmp::Reverse(scored));
        if full {
            self.kept.pop();
        }
    }

    fn worst(&self) -> Option<Scored> {
        self.kept.peek().map(|reversed| reversed.0)
    }
}
