//! Principal components of a few hundred columns: covariance, then cyclic Jacobi.

use rayon::prelude::*;

/// Sweeps after which rotation stops even if something remains; about ten suffice.
const SWEEPS: usize = 60;

/// Subtracts the mean row from every row of `matrix`, in place.
pub(super) fn centre(matrix: &mut [f32], width: usize) {
    let mut mean = vec![0.0_f64; width];
    for row in matrix.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let count = (matrix.len() / width).max(1) as f64;
    for row in matrix.chunks_exact_mut(width) {
        row.iter_mut().zip(&mean).for_each(|(x, sum)| *x -= (sum / count) as f32);
    }
}

/// Projects the centred rows of `matrix` (each `width` long) on their first `keep`
/// principal components, each scaled to unit variance.
pub(super) fn whitened(matrix: &[f32], width: usize, keep: usize) -> Vec<f32> {
    let mut matrix = matrix.to_vec();
    centre(&mut matrix, width);
    let components = components(covariance(&matrix, width), width);
    let mut out = vec![0.0; matrix.len() / width * keep];
    out.par_chunks_mut(keep).zip(matrix.par_chunks_exact(width)).for_each(|(out, row)| {
        for (out, (variance, direction)) in out.iter_mut().zip(&components) {
            let dot: f64 = direction.iter().zip(row).map(|(d, &x)| d * f64::from(x)).sum();
            // A direction without variance holds nothing but rounding.
            *out = if *variance > 1e-12 { (dot / variance.sqrt()) as f32 } else { 0.0 };
        }
    });
    out
}

fn covariance(centred: &[f32], width: usize) -> Vec<f64> {
    let mut sums = vec![0.0_f64; width * width];
    sums.par_chunks_exact_mut(width).enumerate().for_each(|(at, sums)| {
        for row in centred.chunks_exact(width) {
            let x = f64::from(row[at]);
            sums.iter_mut().zip(row).for_each(|(sum, &y)| *sum += x * f64::from(y));
        }
    });
    let count = (centred.len() / width).max(1) as f64;
    sums.iter().map(|sum| sum / count).collect()
}

/// Eigenvalues and unit eigenvectors of a symmetric matrix, largest value first. Signs
/// are fixed by making each vector's largest entry positive.
fn components(mut matrix: Vec<f64>, n: usize) -> Vec<(f64, Vec<f64>)> {
    // Row i of `vectors` becomes the i-th eigenvector.
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let total: f64 = matrix.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| i * n + j)).map(|at| matrix[at].powi(2)).sum();
        if off <= total * 1e-24 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut matrix, &mut vectors, n, p, q);
            }
        }
    }
    let mut out: Vec<(f64, Vec<f64>)> =
        (0..n).map(|i| (matrix[i * n + i], signed(vectors[i * n..(i + 1) * n].to_vec()))).collect();
    out.sort_by(|a, b| b.0.total_cmp(&a.0));
    out
}

/// One Jacobi rotation that makes entry (p, q) zero; Golub and Van Loan, section 8.5.
fn rotate(matrix: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = matrix[p * n + q];
    if apq == 0.0 {
        return;
    }
    let theta = (matrix[q * n + q] - matrix[p * n + p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..n {
        let (kp, kq) = (matrix[k * n + p], matrix[k * n + q]);
        matrix[k * n + p] = c * kp - s * kq;
        matrix[k * n + q] = s * kp + c * kq;
    }
    rotate_rows(matrix, n, p, q, c, s);
    rotate_rows(vectors, n, p, q, c, s);
}

fn rotate_rows(matrix: &mut [f64], n: usize, p: usize, q: usize, c: f64, s: f64) {
    let (upper, lower) = matrix.split_at_mut(q * n);
    for (x, y) in upper[p * n..(p + 1) * n].iter_mut().zip(&mut lower[..n]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}

fn signed(mut vector: Vec<f64>) -> Vec<f64> {
    let largest =
        vector.iter().copied().fold(0.0_f64, |a, b| if b.abs() > a.abs() { b } else { a });
    if largest < 0.0 {
        vector.iter_mut().for_each(|x| *x = -*x);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_satisfy_their_equation() {
        let n = 6;
        let value =
            |i: usize, j: usize| 1.0 / (1.0 + i as f64 + j as f64) + f64::from(u8::from(i == j));
        let matrix: Vec<f64> = (0..n * n).map(|at| value(at / n, at % n)).collect();
        let found = components(matrix.clone(), n);
        assert!(found.is_sorted_by(|a, b| a.0 >= b.0));
        for (eigenvalue, vector) in &found {
            for i in 0..n {
                let product: f64 = (0..n).map(|j| matrix[i * n + j] * vector[j]).sum();
                assert!((product - eigenvalue * vector[i]).abs() < 1e-10);
            }
            assert!((vector.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn whitened_rows_have_unit_covariance() {
        let rows: Vec<f32> = (0..300)
            .flat_map(|i| {
                let (a, b) = ((i as f32 * 0.7).sin(), (i as f32 * 1.3).cos());
                [10.0 * a + b + 5.0, b - 2.0, a + 3.0 * b, 1.0]
            })
            .collect();
        let white = whitened(&rows, 4, 2);
        let covariance = covariance(&white, 2);
        for (found, expected) in covariance.iter().zip([1.0, 0.0, 0.0, 1.0]) {
            assert!((found - expected).abs() < 1e-4, "{covariance:?}");
        }
        // The rows span two directions; a third holds nothing.
        assert!(whitened(&rows, 4, 3).chunks(3).all(|row| row[2] == 0.0));
    }
}
