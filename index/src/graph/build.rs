//! Construction: insert every vector, then prune, then repair.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::beam::{Beam, Walk};
use super::prune::{keep_hubs, robust_prune};
use super::reach::make_reachable;
use super::space::Space;
use super::{Graph, GraphParams};
use crate::vectors::Rows;

/// The most vectors inserted at once, as a share of all: those of one batch do not see each other.
const BATCH_SHARE: usize = 50;

/// Builds the graph of these vectors. The same vectors, parameters and seed give the same graph.
pub(crate) fn build(rows: Rows<'_>, params: &GraphParams, seed: u64) -> Graph {
    let n = rows.len();
    if n == 0 {
        return Graph::default();
    }
    let space = &Space::new(rows);
    let mut graph = Graph { entry: space.medoid(), links: vec![Vec::new(); n] };
    let order = insertion_order(n, graph.entry, seed);
    for alpha in [1.0, params.alpha] {
        insert_all(&mut graph, space, &order, params, alpha);
    }
    let mut graph = keep_hubs(&graph, space, params);
    make_reachable(&mut graph, space, params);
    graph
}

/// A shuffle of all nodes but the entry.
fn insertion_order(n: usize, entry: u32, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).filter(|&node| node != entry).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for i in (1..order.len()).rev() {
        // The bias of a remainder of 64 bits is below 2^-32 and nothing depends on it.
        let j = (rng.next_u64() % (i as u64 + 1)) as usize;
        order.swap(i, j);
    }
    order
}

fn insert_all(
    graph: &mut Graph,
    space: &Space<'_>,
    order: &[u32],
    params: &GraphParams,
    alpha: f32,
) {
    let cap = (order.len() / BATCH_SHARE).max(64);
    let (mut done, mut batch) = (0, 1);
    while done < order.len() {
        let end = (done + batch).min(order.len());
        insert_batch(graph, space, &order[done..end], params, alpha);
        done = end;
        batch = (batch * 2).min(cap);
    }
}

/// Inserts nodes that do not see each other: finds and prunes each one's neighbours on the graph as
/// it stands, then adds the links back, each target once and in the order of its number. A node that
/// is linked to a lot is pruned only now and then.
fn insert_batch(
    graph: &mut Graph,
    space: &Space<'_>,
    batch: &[u32],
    params: &GraphParams,
    alpha: f32,
) {
    let chosen: Vec<Vec<u32>> = batch
        .par_iter()
        .map_init(
            || Beam::new(space.len()),
            |beam, &node| choose(graph, space, beam, node, params, alpha),
        )
        .collect();

    let mut back: Vec<(u32, u32)> = Vec::new();
    for (&node, links) in batch.iter().zip(&chosen) {
        back.extend(links.iter().map(|&target| (target, node)));
    }
    for (&node, links) in batch.iter().zip(chosen) {
        graph.links[node as usize] = links;
    }
    back.sort_unstable();
    let groups: Vec<&[(u32, u32)]> = back.chunk_by(|a, b| a.0 == b.0).collect();
    let updated: Vec<(u32, Vec<u32>)> = groups
        .par_iter()
        .map(|group| {
            let target = group[0].0;
            let mut links = graph.links[target as usize].clone();
            links.extend(group.iter().map(|&(_, node)| node));
            links.sort_unstable();
            links.dedup();
            if links.len() > params.max_degree + params.max_degree / 2 {
                links = robust_prune(space, target, &links, params.max_degree, alpha);
            }
            (target, links)
        })
        .collect();
    for (target, links) in updated {
        graph.links[target as usize] = links;
    }
}

fn choose(
    graph: &Graph,
    space: &Space<'_>,
    beam: &mut Beam,
    node: u32,
    params: &GraphParams,
    alpha: f32,
) -> Vec<u32> {
    let walk = Exact { graph, space, node };
    let (found, _) = beam.search(&walk, graph.entry, params.beam);
    let mut candidates: Vec<u32> = found.iter().map(|scored| scored.node).collect();
    candidates.extend(&graph.links[node as usize]);
    candidates.sort_unstable();
    candidates.dedup();
    robust_prune(space, node, &candidates, params.max_degree, alpha)
}

/// A walk towards a node, steered by exact vectors.
pub(super) struct Exact<'a> {
    pub(super) graph: &'a Graph,
    pub(super) space: &'a Space<'a>,
    pub(super) node: u32,
}

impl Walk for Exact<'_> {
    fn score(&self, node: u32) -> f32 {
        -self.space.distance(node, self.node)
    }

    fn links(&self, node: u32, visit: &mut dyn FnMut(u32)) {
        for &next in &self.graph.links[node as usize] {
            visit(next);
        }
    }
}
