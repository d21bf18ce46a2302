//! Making every node reachable from the entry.

use super::beam::Beam;
use super::build::Exact;
use super::space::Space;
use super::{Graph, GraphParams};

/// Links each node that no walk can reach from a close one that it can. A walk only meets reachable
/// nodes, so searching for the lost node finds where to hang it.
pub(super) fn make_reachable(graph: &mut Graph, space: &Space<'_>, params: &GraphParams) {
    let mut reached = reachable(graph);
    let mut beam = Beam::new(space.len());
    let cap = params.max_degree;
    // Where the close ones are all full, the youngest node hung this way still has room.
    let mut spare = graph.entry;
    for node in 0..space.len() as u32 {
        if reached[node as usize] {
            continue;
        }
        let walk = Exact { graph, space, node };
        let (close, _) = beam.search(&walk, graph.entry, params.beam);
        let host = close
            .iter()
            .map(|scored| scored.node)
            .find(|&host| graph.links[host as usize].len() < cap)
            .unwrap_or(spare);
        graph.links[host as usize].push(node);
        spread(graph, node, &mut reached);
        spare = node;
    }
}

/// Which nodes a walk from the entry can meet.
pub(super) fn reachable(graph: &Graph) -> Vec<bool> {
    let mut reached = vec![false; graph.links.len()];
    if !reached.is_empty() {
        spread(graph, graph.entry, &mut reached);
    }
    reached
}

fn spread(graph: &Graph, from: u32, reached: &mut [bool]) {
    let mut stack = vec![from];
    reached[from as usize] = true;
    while let Some(node) = stack.pop() {
        for &next in &graph.links[node as usize] {
            if !reached[next as usize] {
                reached[next as usize] = true;
                stack.push(next);
            }
        }
    }
}
