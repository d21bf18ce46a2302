//! Every level against the portable one or a computation in f64.

use super::rows::{Activation, Columns, Scale};
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
        }
    }
}

#[test]
fn products_of_bytes_are_exact_for_every_number_of_rows() {
    for level in Level::all() {
        for (rows, inputs) in (0..=TILE).zip((1..30).cycle()) {
            let stride = inputs + matmul_u8::GROUP * 2 - inputs % matmul_u8::GROUP;
            // The extremes, where sums of pairs would not fit sixteen bits.
            let left: Vec<u8> = (0..rows * stride).map(|i| [255, 254, 3, 0][i % 4]).collect();
            let outputs = WIDTH + 3;
            let entry = |i: usize| [127, -127, 5, -128, 127, 127, 0][i % 7] as i8;
            let weight: Vec<i8> = (0..inputs * outputs).map(entry).collect();
            let panels = matmul_u8::Panels::pack(&weight, inputs, outputs);
            assert_eq!((panels.inputs(), panels.iter().count()), (inputs, 2));
            for (number, panel) in panels.iter().enumerate() {
                let mut tile = [[-1; WIDTH]; TILE];
                panel.multiply(level, &left, stride, &mut tile);
                for (row, sums) in tile.iter().enumerate() {
                    for (column, &sum) in sums.iter().enumerate() {
                        let output = number * WIDTH + column;
                        let term = |input: usize| match output < outputs {
                            true => {
                                i32::from(left[row * stride + input])
                                    * i32::from(weight[input * outputs + output])
                            }
                            false => 0,
                        };
                        let expected = if row < rows { (0..inputs).map(term).sum() } else { -1 };
                        assert_eq!(sum, expected, "{level:?} {rows} rows, {row} {output}");
                    }
                }
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
        let gelu = |&x: &f32| match f64::from(x) {
            x if x < -6.0 => 0.0,
            x if x > 6.0 => x,
            x => 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())),
        };
        let expected: Vec<f64> = linear.iter().map(gelu).collect();
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
fn steps_stand_for_numbers_to_within_half_of_one() {
    let check = |row: &[f32]| {
        for (level, fine) in Level::all().into_iter().flat_map(|l| [(l, false), (l, true)]) {
            let most = if fine { rows::TWELVE_BITS } else { rows::BYTE };
            let mut low = vec![1; row.len() + 3];
            let mut high = vec![1; if fine { row.len() } else { 0 }];
            let Scale { step, zero } = rows::quantise(level, row, most, &mut low, &mut high);
            high.resize(row.len(), 0);
            let back = |(&low, &high): (&u8, &u8)| {
                step * (i32::from(low) + 256 * i32::from(high) - zero) as f32
            };
            let back: Vec<f32> = low[..row.len()].iter().zip(&high).map(back).collect();
            let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            assert!(step <= 2.0 * largest / most * 1.001, "{level:?}: {step}");
            let tolerance = f64::from(step * 0.501 + largest * 1e-6);
            assert_close(&back, &wide(row), tolerance, &format!("{level:?}"));
        }
    };
    for length in [1, 16, 50, 384] {
        check(&numbers(length, 5.0, length));
        // One sign only: zero is still representable.
        check(&numbers(length, 1.0, length).iter().map(|x| x + 3.0).collect::<Vec<_>>());
        check(&numbers(length, 1.0, length).iter().map(|x| x - 3.0).collect::<Vec<_>>());
        check(&vec![0.0; length]);
    }
    // What is no number becomes some byte, and nothing panics.
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        for level in Level::all() {
            rows::quantise(level, &[bad, 1.0, -bad], rows::BYTE, &mut [0; 3], &mut []);
        }
    }
}

#[test]
fn products_of_bytes_become_the_numbers_they_stand_for() {
    let columns = Columns {
        steps: std::array::from_fn(|i| 0.01 * (i + 1) as f32),
        sums: std::array::from_fn(|i| i as i32 * 100 - 1_000),
        bias: std::array::from_fn(|i| i as f32),
    };
    let tile = std::array::from_fn(|row| std::array::from_fn(|i| (row * 1_000 + i * 37) as i32));
    let scales = [Scale { step: 0.5, zero: 3 }, Scale { step: 0.25, zero: 255 }];
    for level in Level::all() {
        let mut out = [9.0; 3 * (WIDTH + 1)];
        rows::finish_u8(level, &tile, &scales, &columns, Activation::Linear, &mut out, WIDTH + 1);
        for (row, (out, scale)) in out.chunks(WIDTH + 1).zip(scales).enumerate() {
            let expected = |i: usize| {
                let product = f64::from(tile[row][i] - scale.zero * columns.sums[i]);
                product * f64::from(scale.step) * f64::from(columns.steps[i])
                    + f64::from(columns.bias[i])
            };
            let expected: Vec<f64> = (0..WIDTH).map(expected).collect();
            assert_close(&out[..WIDTH], &expected, 2e-3, &format!("{level:?}"));
            assert_eq!(out[WIDTH], 9.0);
        }
        assert_eq!(out[2 * (WIDTH + 1)..], [9.0; WIDTH + 1], "{level:?}: only as many as scales");
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
