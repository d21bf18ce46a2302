//! Spherical k-means (Dhillon and Modha 2001) with the start of k-means++ (Arthur and Vassilvitskii 2007): splits documents into topics.

use crate::draw;

/// Most rounds.
const ROUNDS: usize = 25;
/// Most rows that centres are found from; all rows then go to the nearest.
const SAMPLE: usize = 4_096;

/// The cluster, below `count`, of each row of `vectors` (row-major, `dim` wide, of unit length or all zeros). Some may be empty.
///
/// # Panics
/// If `dim` or `count` is 0.
pub fn clusters(vectors: &[f32], dim: usize, count: usize, seed: u64) -> Vec<u32> {
    assert!(dim > 0 && count > 0, "there is no width or no cluster");
    let rows: Vec<&[f32]> = vectors.chunks_exact(dim).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let mut sample: Vec<usize> = (0..rows.len()).collect();
    draw::shuffle(&mut draw::stream(seed, "sample", 0), &mut sample);
    let sample: Vec<&[f32]> = sample.into_iter().take(SAMPLE).map(|row| rows[row]).collect();
    let mut centres = start(&sample, count, seed);
    let mut assigned = Vec::new();
    for _ in 0..ROUNDS {
        let now: Vec<usize> = sample.iter().map(|row| nearest(row, &centres)).collect();
        if now == assigned {
            break;
        }
        assigned = now;
        move_to_means(&mut centres, &sample, &assigned);
    }
    rows.iter().map(|row| nearest(row, &centres) as u32).collect()
}

/// Rows as centres: the first at random, each further one as likely as it is far from those there are.
fn start(rows: &[&[f32]], count: usize, seed: u64) -> Vec<Vec<f32>> {
    let rng = &mut draw::stream(seed, "centres", 0);
    let mut centres = vec![rows[draw::below(rng, rows.len())].to_vec()];
    let mut far = vec![f64::INFINITY; rows.len()];
    while centres.len() < count {
        let last = &centres[centres.len() - 1];
        for (far, row) in far.iter_mut().zip(rows) {
            *far = far.min(f64::from(1.0 - dot(row, last)).max(0.0));
        }
        let mut drawn = draw::unit(rng) * far.iter().sum::<f64>();
        let beyond = far.iter().position(|far| {
            drawn -= far;
            drawn < 0.0
        });
        // Without a distance left, all rows are centres already.
        centres.push(rows[beyond.unwrap_or(rows.len() - 1)].to_vec());
    }
    centres
}

fn move_to_means(centres: &mut [Vec<f32>], rows: &[&[f32]], assigned: &[usize]) {
    let mut sums = vec![vec![0.0_f32; centres[0].len()]; centres.len()];
    for (row, cluster) in rows.iter().zip(assigned) {
        sums[*cluster].iter_mut().zip(*row).for_each(|(sum, value)| *sum += value);
    }
    for (centre, mut sum) in centres.iter_mut().zip(sums) {
        let norm = dot(&sum, &sum).sqrt();
        // One without rows stays where it is.
        if norm > 0.0 {
            sum.iter_mut().for_each(|value| *value /= norm);
            *centre = sum;
        }
    }
}

fn nearest(row: &[f32], centres: &[Vec<f32>]) -> usize {
    let mut best = (f32::NEG_INFINITY, 0);
    for (cluster, centre) in centres.iter().enumerate() {
        let score = dot(row, centre);
        if score > best.0 {
            best = (score, cluster);
        }
    }
    best.1
}

/// In eight sums that do not wait for each other, always in this order.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_that_are_far_apart_become_clusters() {
        // Twenty rows around each of five axes, in a space with more.
        let (dim, many) = (11, 5);
        let mut vectors = Vec::new();
        for row in 0..100 {
            let rng = &mut draw::stream(1, "row", row);
            let mut values: Vec<f32> = (0..dim).map(|_| 0.1 * draw::normal(rng) as f32).collect();
            values[row as usize % many] += 1.0;
            let norm = dot(&values, &values).sqrt();
            vectors.extend(values.iter().map(|value| value / norm));
        }
        let found = clusters(&vectors, dim, many, 3);
        for row in 0..100 {
            for other in 0..100 {
                assert_eq!(found[row] == found[other], row % many == other % many, "{row} {other}");
            }
        }
        assert_eq!(found, clusters(&vectors, dim, many, 3));
    }

    #[test]
    fn fewer_rows_than_clusters_and_rows_of_zeros_are_no_trouble() {
        assert_eq!(clusters(&[], 4, 3, 1), Vec::<u32>::new());
        assert_eq!(clusters(&[1.0, 0.0, 0.0, 0.0], 2, 3, 1).len(), 2);
        assert!(clusters(&[1.0, 0.0, 1.0, 0.0], 2, 3, 1).iter().all(|cluster| *cluster < 3));
    }
}
