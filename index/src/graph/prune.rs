//! Choosing which links a node keeps.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::space::Space;
use super::{Graph, GraphParams};

/// Vamana's robust prune: takes candidates closest first, and skips one that an already chosen
/// neighbour leads to by a detour no more than `alpha` times as long.
pub(super) fn robust_prune(
    space: &Space<'_>,
    node: u32,
    candidates: &[u32],
    max: usize,
    alpha: f32,
) -> Vec<u32> {
    let mut sorted: Vec<(f32, u32)> = candidates
        .iter()
        .filter(|&&candidate| candidate != node)
        .map(|&candidate| (space.distance(node, candidate), candidate))
        .collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<u32> = Vec::with_capacity(max);
    for (far, candidate) in sorted {
        if chosen.len() == max {
            break;
        }
        // Distances are squared, so alpha is too.
        let covered =
            chosen.iter().any(|&near| alpha * alpha * space.distance(near, candidate) <= far);
        if !covered {
            chosen.push(candidate);
        }
    }
    chosen
}

/// LEANN's pruning: hubs, the nodes most others link to, keep their links; every other node keeps
/// its `low_degree` best. Links then go both ways wherever the other end has room.
pub(super) fn keep_hubs(graph: &Graph, space: &Space<'_>, params: &GraphParams) -> Graph {
    let hub = hubs(graph, params);
    let mut links: Vec<Vec<u32>> = graph
        .links
        .par_iter()
        .enumerate()
        .map(|(node, links)| {
            let max = if hub[node] { params.max_degree } else { params.low_degree };
            if links.len() <= max {
                return links.clone();
            }
            robust_prune(space, node as u32, links, max, params.alpha)
        })
        .collect();
    let back: Vec<(u32, u32)> = links
        .iter()
        .enumerate()
        .flat_map(|(node, links)| links.iter().map(move |&target| (target, node as u32)))
        .collect();
    for (target, node) in back {
        let room = if hub[target as usize] { params.max_degree } else { 2 * params.low_degree };
        let links = &mut links[target as usize];
        if links.len() < room && !links.contains(&node) {
            links.push(node);
        }
    }
    Graph { entry: graph.entry, links }
}

/// Which nodes are hubs: the given share with the most links in and out, ties to the lower number.
fn hubs(graph: &Graph, params: &GraphParams) -> Vec<bool> {
    let n = graph.links.len();
    let mut degree: Vec<usize> = graph.links.iter().map(Vec::len).collect();
    for &target in graph.links.iter().flatten() {
        degree[target as usize] += 1;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_unstable_by_key(|&node| (Reverse(degree[node]), node));
    let mut hub = vec![false; n];
    for &node in order.iter().take((n * params.hub_permille).div_ceil(1000)) {
        hub[node] = true;
    }
    hub[graph.entry as usize] = true;
    hub
}
