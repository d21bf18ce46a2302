use proptest::prelude::*;

use super::build::Exact;
use super::reach::reachable;
use super::space::Space;
use super::*;
use crate::fixture::{WordEncoder, topics};
use crate::vectors::Rows;

fn vectors(texts: &[String], dim: usize) -> Vec<f32> {
    let encoder = WordEncoder::new(dim);
    texts.iter().flat_map(|text| encoder.one(text)).collect()
}

#[test]
fn a_walk_finds_the_nearest() {
    let texts = topics(3000, 30, 11);
    let data = vectors(&texts, 64);
    let rows = Rows::new(&data, 64);
    let graph = build(rows, &GraphParams::default(), 5);
    let space = Space::new(rows);
    let mut beam = Beam::new(rows.len());
    let (mut found, mut wanted, mut visited) = (0, 0, 0);
    for node in (0..3000).step_by(60) {
        let walk = Exact { graph: &graph, space: &space, node };
        let (near, looked_at) = beam.search(&walk, graph.entry, 96);
        let mut all: Vec<u32> = (0..3000).collect();
        let far = |other: u32| space.distance(node, other);
        all.sort_by(|&a, &b| far(a).total_cmp(&far(b)));
        found += all[..10].iter().filter(|n| near.iter().any(|s| s.node == **n)).count();
        wanted += 10;
        visited += looked_at;
    }
    assert!(found * 100 >= wanted * 95, "{found} of {wanted}");
    assert!(visited / 50 < rows.len() / 2, "{} visited a query", visited / 50);
}

#[test]
fn hubs_keep_many_links_and_the_others_few() {
    let texts = topics(2000, 30, 3);
    let data = vectors(&texts, 64);
    let params = GraphParams::default();
    let graph = build(Rows::new(&data, 64), &params, 0);
    let degrees: Vec<usize> = graph.links.iter().map(Vec::len).collect();
    let high = degrees.iter().filter(|&&d| d > 2 * params.low_degree).count();
    let hubs = (2000 * params.hub_permille).div_ceil(1000) + 1;
    assert!(high > 0 && high <= hubs, "{high} of at most {hubs}");
    assert!(degrees.iter().all(|&d| d <= params.max_degree));
    let mean = degrees.iter().sum::<usize>() as f64 / 2000.0;
    assert!(mean < 1.8 * params.low_degree as f64, "{mean} links a node");
}

#[test]
fn every_node_is_reachable_whatever_the_vectors() {
    let same = [0.5f32; 8].repeat(500);
    let zeros = vec![0f32; 8 * 500];
    let mut half = same.clone();
    half[..8 * 250].fill(-0.5);
    for (name, data) in [("same", same), ("zeros", zeros), ("two points", half)] {
        let graph = build(Rows::new(&data, 8), &GraphParams::default(), 1);
        assert!(reachable(&graph).iter().all(|&reached| reached), "{name}");
        let longest = graph.links.iter().map(Vec::len).max();
        assert!(longest <= Some(GraphParams::default().max_degree + 1), "{name}: {longest:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_same_input_gives_the_same_sound_graph(n in 1usize..200, words in 1usize..6, seed: u64) {
        let data = vectors(&topics(n, words, seed), 16);
        let rows = Rows::new(&data, 16);
        let graph = build(rows, &GraphParams::default(), seed);
        prop_assert_eq!(&graph, &build(rows, &GraphParams::default(), seed));
        prop_assert!(reachable(&graph).iter().all(|&reached| reached));
        for (node, links) in graph.links.iter().enumerate() {
            let mut sorted = links.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), links.len());
            prop_assert!(links.iter().all(|&to| (to as usize) < n && to as usize != node));
        }
        let space = Space::new(rows);
        let walk = Exact { graph: &graph, space: &space, node: 0 };
        let (found, _) = Beam::new(n).search(&walk, graph.entry, n);
        prop_assert_eq!(found.len(), n);
    }
}
