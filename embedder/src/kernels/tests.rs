//! Every level against the portable one or a computation in f64.

mod back;
mod ordered;
mod whole_numbers;

use super::rows::Activation;
use super::*;

/// Numbers between -`size` and `size` from a fixed formula.
fn numbers(count: usize, size: f32, seed: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 7_919 + seed * 104_729) % 100_003) as f32 / 50_001.5 - 1.0;
    (0..count).map(|i| size * number(i)).collect()
}

fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let apart = (f64::from(found) - expected).abs();
        assert!(apart <= tolerance, "{what}: {found} for {expected} at {at}");
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn products_of_floats_are_right_for_every_number_of_rows() {
    for level in Level::all() {
        for (rows, depth) in (1..=2 * TILE + 1).zip((0..40).cycle()) {
            let (left_stride, stride) = (depth + 3, WIDTH + 5);
            let left = numbers(rows * left_stride, 1.0, rows);
            let panel = numbers(depth * WIDTH, 1.0, rows + 1);
            let mut out = vec![7.0; rows * stride];
            let view = matmul::Rows { data: &left, stride: left_stride };
            matmul::panel(level, view, rows, &panel, &mut out, stride);
            for (row, out) in out.chunks_exact(stride).enumerate() {
                let expected = |column: usize| -> f64 {
                    let left = &left[row * left_stride..][..depth];
                    let terms = left.iter().zip(panel.iter().skip(column).step_by(WIDTH));
                    terms.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                };
                let expected: Vec<f64> = (0..WIDTH).map(expected).collect();
                let what = format!("{level:?} {rows} rows of {depth}");
                assert_close(&out[..WIDTH], &expected, 1e-5, &what);
                assert_eq!(out[WIDTH..], [7.0; 5], "{level:?} writes beyond the panel");
            }
            let once = out.clone();
            matmul::panel_onto(level, view, rows, &panel, &mut out, stride);
            for (twice, once) in out.chunks_exact(stride).zip(once.chunks_exact(stride)) {
                let expected: Vec<f64> =
                    once[..WIDTH].iter().map(|x| 2.0 * f64::from(*x)).collect();
                assert_close(&twice[..WIDTH], &expected, 1e-5, &format!("{level:?}, added"));
                assert_eq!(twice[WIDTH..], [7.0; 5], "{level:?} writes beyond the panel");
            }
        }
    }
}

/// The error function by its series, exact enough for |z| up to 6.
fn erf(z: f64) -> f64 {
    let mut term = z;
    let mut sum = z;
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

fn exact_gelu(x: &f32) -> f64 {
    match f64::from(*x) {
        x if x < -6.0 => 0.0,
        x if x > 6.0 => x,
        x => 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())),
    }
}

#[test]
fn the_activation_is_the_exact_gelu() {
    let bias: [f32; WIDTH] = std::array::from_fn(|i| i as f32 / 64.0);
    let inputs: Vec<f32> = (0..WIDTH * 100).map(|i| i as f32 / 200.0 - 8.0).collect();
    for level in Level::all() {
        let mut found = inputs.clone();
        rows::finish(level, &mut found, WIDTH, &bias, Activation::Linear);
        let linear = found.clone();
        let mut found = inputs.clone();
        rows::finish(level, &mut found, WIDTH, &bias, Activation::Gelu);
        let expected: Vec<f64> = linear.iter().map(exact_gelu).collect();
        assert_close(&found, &expected, 2e-6, &format!("{level:?}"));
        assert_eq!(linear[33], inputs[33] + bias[1]);
    }
}

#[test]
fn exponentials_sum_to_what_they_are() {
    for level in Level::all() {
        for count in [1, 2, 15, 16, 17, 63, 200] {
            let inputs = numbers(count, 100.0, count);
            let mut row = inputs.clone();
            row.extend([f32::NAN; 9]);
            let sum = rows::exponentials(level, &mut row, count);
            let largest = inputs.iter().copied().fold(f32::MIN, f32::max);
            let exponential = |&x: &f32| f64::from(x - largest).max(-87.0).exp();
            let expected: Vec<f64> = inputs.iter().map(exponential).collect();
            let what = format!("{level:?} {count}");
            assert_close(&row[..count], &expected, 3e-7, &what);
            assert_close(&[sum], &[expected.iter().sum()], 1e-5, &what);
            assert_eq!(row[count..], [0.0; 9]);
        }
    }
}

#[test]
fn norms_have_mean_zero_and_variance_one_before_gamma_and_beta() {
    for level in Level::all() {
        for length in [1, 8, 16, 33, 384] {
            let mut row = numbers(length, 3.0, 1);
            let residual = numbers(length, 2.0, 2);
            let [gamma, beta] = [3, 4].map(|seed| numbers(length, 1.0, seed));
            let sums: Vec<f64> =
                wide(&row).iter().zip(wide(&residual)).map(|(a, b)| a + b).collect();
            let mean = sums.iter().sum::<f64>() / length as f64;
            let variance = sums.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / length as f64;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            let terms = sums.iter().zip(gamma.iter().zip(&beta));
            let expected: Vec<f64> = terms
                .map(|(x, (&g, &b))| (x - mean) * scale * f64::from(g) + f64::from(b))
                .collect();
            rows::add_norm(level, &mut row, &residual, &gamma, &beta, 1e-5);
            assert_close(&row, &expected, 2e-5, &format!("{level:?} {length}"));
        }
    }
}

#[test]
fn sums_of_rows_agree() {
    for level in Level::all() {
        for length in [1, 16, 33, 256] {
            let mut sum = vec![1.0; length];
            rows::add(level, &mut sum, &numbers(length, 2.0, 5));
            rows::scale(level, &mut sum, 0.5);
            let bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
            rows::add_bytes(level, &mut sum, 0.25, &bytes);
            let expected = numbers(length, 2.0, 5).into_iter().zip(&bytes).map(|(x, &byte)| {
                (1.0 + f64::from(x)) * 0.5 + 0.25 * f64::from(byte.cast_signed())
            });
            assert_close(&sum, &expected.collect::<Vec<_>>(), 1e-5, &format!("{level:?}"));
        }
    }
}
