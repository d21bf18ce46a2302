//! The neighbour graph: built on exact embeddings, pruned hard, walked by codes.
//!
//! Building is Vamana (DiskANN, NeurIPS 2019) inserted in doubling batches (ParlayANN, PPoPP 2024),
//! which runs in parallel and still gives the same graph every time. Pruning is LEANN's (arXiv
//! 2506.08276, algorithm 3): the few nodes that many others lead through keep all their links, the
//! rest keep a handful. A last pass makes every node reachable from the entry.

mod beam;
mod build;
mod prune;
mod reach;
mod space;

pub(crate) use beam::{Beam, Walk};
pub(crate) use build::build;

/// Shape of the graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GraphParams {
    /// Most links of a node while building, and of a hub after.
    pub(crate) max_degree: usize,
    /// Links an ordinary node chooses for itself when the graph is pruned.
    pub(crate) low_degree: usize,
    /// Beam width while building.
    pub(crate) beam: usize,
    /// Hubs, in thousandths of all nodes.
    pub(crate) hub_permille: usize,
    /// How much longer a detour may be before a direct link is kept (Vamana's alpha).
    pub(crate) alpha: f32,
}

impl Default for GraphParams {
    fn default() -> Self {
        Self { max_degree: 32, low_degree: 10, beam: 48, hub_permille: 20, alpha: 1.05 }
    }
}

/// Out-links of every node, and where a walk begins. Nodes are numbered as the vectors are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) entry: u32,
    pub(crate) links: Vec<Vec<u32>>,
}

#[cfg(test)]
mod tests;
