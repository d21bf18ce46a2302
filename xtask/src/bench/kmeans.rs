//! Lloyd's k-means on unit vectors with a seeded start: splits documents by topic.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const ROUNDS: usize = 25;

/// The cluster (below `k`) of each row of `vectors` (row-major, `dim` wide).
pub fn clusters(vectors: &[f32], dim: usize, k: usize, seed: u64) -> Vec<usize> {
    let rows: Vec<&[f32]> = vectors.chunks_exact(dim).collect();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut centres: Vec<Vec<f32>> =
        (0..k).map(|_| rows[(rng.next_u64() % rows.len() as u64) as usize].to_vec()).collect();
    let mut assigned = vec![0; rows.len()];
    for _ in 0..ROUNDS {
        for (row, cluster) in rows.iter().zip(&mut assigned) {
            *cluster = nearest(row, &centres);
        }
        for (cluster, centre) in centres.iter_mut().enumerate() {
            let members = rows.iter().zip(&assigned).filter(|(_, of)| **of == cluster);
            let mut sum = vec![0.0; dim];
            for (row, _) in members {
                sum.iter_mut().zip(*row).for_each(|(sum, value)| *sum += value);
            }
            let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
            if norm > 0.0 {
                sum.iter_mut().for_each(|value| *value /= norm);
                *centre = sum;
            }
        }
    }
    assigned
}

fn nearest(row: &[f32], centres: &[Vec<f32>]) -> usize {
    let dot = |centre: &[f32]| -> f32 { row.iter().zip(centre).map(|(a, b)| a * b).sum() };
    let scores = centres.iter().map(|centre| dot(centre)).enumerate();
    scores.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(cluster, _)| cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_directions_make_two_clusters() {
        let vectors = [1.0, 0.0, 0.99, 0.14, 0.0, 1.0, 0.14, 0.99];
        let found = clusters(&vectors, 2, 2, 3);
        assert_eq!(found[0], found[1]);
        assert_eq!(found[2], found[3]);
        assert_ne!(found[0], found[2]);
    }
}
