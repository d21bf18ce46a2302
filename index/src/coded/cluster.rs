//! Grouping chunks into blocks of neighbours, and putting the blocks in an order in which neighbours
//! are near: k-means, from the top down, sixteen ways at a time.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use crate::vectors::{Rows, dot};

/// Chunks of a block: aimed at, and at most.
const TARGET: usize = 64;
pub(crate) const MAX_BLOCK: usize = 128;
/// Parts of one split, rounds of k-means, and points each part is learnt from.
const FANOUT: usize = 16;
const ROUNDS: usize = 5;
const SAMPLE: usize = 64;

/// Points that can be looked at one by one.
pub(crate) trait Points: Sync {
    fn dim(&self) -> usize;
    /// Writes the point's coordinates.
    fn read(&self, point: u32, out: &mut [f32]);
}

/// Blocks of points, each sorted, in an order in which neighbours are near. The same points and seed
/// give the same blocks.
pub(crate) fn cluster(points: &dyn Points, count: usize, seed: u64) -> Vec<Vec<u32>> {
    split(points, (0..count as u32).collect(), seed)
}

/// The mean of some points.
pub(crate) fn mean(points: &dyn Points, of: &[u32]) -> Vec<f32> {
    Rows::new(&load(points, of), points.dim()).mean()
}

fn split(points: &dyn Points, mut of: Vec<u32>, seed: u64) -> Vec<Vec<u32>> {
    if of.len() <= MAX_BLOCK {
        of.sort_unstable();
        return vec![of];
    }
    let parts = of.len().div_ceil(TARGET).clamp(2, FANOUT);
    let centres = centres(points, &of, parts, seed);
    let mut children = assign(points, &of, &centres);
    if children.iter().any(|child| child.len() == of.len()) {
        // Points that are all alike: any halves will do.
        let half = of.len() / 2;
        children = vec![of[..half].to_vec(), of[half..].to_vec()];
    }
    let seeds = (1u64..).map(|child| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(child));
    let children: Vec<(Vec<u32>, u64)> =
        children.into_iter().zip(seeds).filter(|(child, _)| !child.is_empty()).collect();
    let blocks = children.into_par_iter().map(|(child, seed)| split(points, child, seed));
    blocks.collect::<Vec<_>>().into_iter().flatten().collect()
}

/// Centres of `parts` parts, ordered along the direction in which they differ most, roughly.
fn centres(points: &dyn Points, of: &[u32], parts: usize, seed: u64) -> Vec<f32> {
    let dim = points.dim();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let wanted = (parts * SAMPLE).min(of.len());
    let mut chosen = of.to_vec();
    for i in 0..wanted {
        // The bias of a remainder of 64 bits is below 2^-32 and nothing depends on it.
        let j = i + (rng.next_u64() % (chosen.len() - i) as u64) as usize;
        chosen.swap(i, j);
    }
    let sample = load(points, &chosen[..wanted]);
    let rows = Rows::new(&sample, dim);
    let mut centres = sample[..parts * dim].to_vec();
    for _ in 0..ROUNDS {
        let halves = half_squares(&centres, dim);
        let (mut sums, mut counts) = (vec![0f64; parts * dim], vec![0u32; parts]);
        for row in rows.iter() {
            let part = nearest(row, &centres, &halves);
            counts[part] += 1;
            sums[part * dim..][..dim]
                .iter_mut()
                .zip(row)
                .for_each(|(sum, x)| *sum += f64::from(*x));
        }
        for part in (0..parts).filter(|&part| counts[part] > 0) {
            let mean =
                sums[part * dim..][..dim].iter().map(|sum| (sum / f64::from(counts[part])) as f32);
            centres[part * dim..][..dim].iter_mut().zip(mean).for_each(|(centre, x)| *centre = x);
        }
    }
    in_order(&centres, dim)
}

/// Each centre after the one it is nearest to, beginning with the first.
fn in_order(centres: &[f32], dim: usize) -> Vec<f32> {
    let rows = Rows::new(centres, dim);
    let mut left: Vec<usize> = (1..rows.len()).collect();
    let (mut at, mut ordered) = (0, rows.row(0).to_vec());
    while !left.is_empty() {
        let far = |i: usize| {
            rows.row(at).iter().zip(rows.row(i)).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
        };
        let next = (0..left.len()).min_by(|&a, &b| far(left[a]).total_cmp(&far(left[b])));
        at = left.remove(next.unwrap_or(0));
        ordered.extend_from_slice(rows.row(at));
    }
    ordered
}

/// The points of each centre, in their order.
fn assign(points: &dyn Points, of: &[u32], centres: &[f32]) -> Vec<Vec<u32>> {
    let dim = points.dim();
    let halves = half_squares(centres, dim);
    let parts: Vec<u8> = of
        .par_iter()
        .with_min_len(256)
        .map_init(
            || vec![0f32; dim],
            |row, &point| {
                points.read(point, row);
                nearest(row, centres, &halves) as u8
            },
        )
        .collect();
    let mut children = vec![Vec::new(); halves.len()];
    for (&point, part) in of.iter().zip(parts) {
        children[usize::from(part)].push(point);
    }
    children
}

fn half_squares(centres: &[f32], dim: usize) -> Vec<f32> {
    centres.chunks_exact(dim).map(|centre| dot(centre, centre) / 2.0).collect()
}

/// The centre at the least distance; ties go to the first.
fn nearest(row: &[f32], centres: &[f32], halves: &[f32]) -> usize {
    let mut best = (f32::NEG_INFINITY, 0);
    for (part, (centre, half)) in centres.chunks_exact(row.len()).zip(halves).enumerate() {
        let near = dot(row, centre) - half;
        if near > best.0 {
            best = (near, part);
        }
    }
    best.1
}

fn load(points: &dyn Points, of: &[u32]) -> Vec<f32> {
    let dim = points.dim();
    let mut data = vec![0f32; of.len() * dim];
    for (row, &point) in data.chunks_exact_mut(dim).zip(of) {
        points.read(point, row);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table(Vec<f32>, usize);

    impl Points for Table {
        fn dim(&self) -> usize {
            self.1
        }

        fn read(&self, point: u32, out: &mut [f32]) {
            out.copy_from_slice(&self.0[point as usize * self.1..][..self.1]);
        }
    }

    fn check(table: &Table, count: usize) -> Vec<Vec<u32>> {
        let blocks = cluster(table, count, 5);
        assert_eq!(blocks, cluster(table, count, 5));
        let mut all: Vec<u32> = blocks.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..count as u32).collect::<Vec<_>>());
        assert!(blocks.iter().all(|block| block.len() <= MAX_BLOCK && block.is_sorted()));
        blocks
    }

    #[test]
    fn points_of_a_place_share_blocks_and_all_points_have_one() {
        // Twenty places on a line, far apart.
        let data: Vec<f32> =
            (0..2000).flat_map(|i| [(i % 20) as f32 * 10.0, (i % 7) as f32 * 0.01]).collect();
        let blocks = check(&Table(data, 2), 2000);
        let mixed =
            blocks.iter().filter(|block| block.iter().any(|i| i % 20 != block[0] % 20)).count();
        assert!(mixed * 5 < blocks.len(), "{mixed} of {}", blocks.len());
    }

    #[test]
    fn points_all_alike_and_few_points_are_fine() {
        for count in [1, 2, 128, 129, 1000] {
            check(&Table(vec![0.5; 4 * count], 4), count);
        }
    }
}
