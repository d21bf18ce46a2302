//! What training adds, against computations in f64.

use super::super::matmul::Panels;
use super::super::{back, rows};
use super::*;

/// The density of the normal distribution.
fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[test]
fn the_activations_way_back_is_its_derivative() {
    let inputs: Vec<f32> = (0..3205).map(|i| i as f32 / 200.0 - 8.0).collect();
    let wide = inputs.iter().map(|x| f64::from(*x));
    let expected: Vec<f64> = inputs.iter().map(exact_gelu).collect();
    let slopes: Vec<f64> = wide
        .map(|x| 2.0 * (0.5 * (1.0 + erf((x / 2.0_f64.sqrt()).clamp(-4.3, 4.3))) + x * density(x)))
        .collect();
    for level in Level::all() {
        let mut found = vec![7.0; inputs.len()];
        back::activate(level, &inputs, &mut found);
        assert_close(&found, &expected, 2e-6, &format!("{level:?}"));
        let mut found = vec![2.0; inputs.len()];
        back::activate_back(level, &inputs, &mut found);
        assert_close(&found, &slopes, 2e-6, &format!("{level:?}"));
    }
}

#[test]
fn norms_in_two_parts_are_norms() {
    for level in Level::all() {
        for length in [1, 8, 16, 33, 384] {
            let (row, residual) = (numbers(length, 3.0, 1), numbers(length, 2.0, 2));
            let [gamma, beta] = [3, 4].map(|seed| numbers(length, 1.0, seed));
            let mut expected = row.clone();
            rows::add_norm(level, &mut expected, &residual, &gamma, &beta, 1e-5);
            let (mut kept, mut found) = (vec![7.0; length], vec![7.0; length]);
            back::standardise(level, &row, &residual, 1e-5, &mut kept);
            back::affine(level, &kept, &gamma, &beta, &mut found);
            assert_close(&found, &wide(&expected), 2e-5, &format!("{level:?} {length}"));
        }
    }
}

/// Standardised entries, in f64.
fn standardised(row: &[f64], epsilon: f64) -> Vec<f64> {
    let count = row.len() as f64;
    let mean = row.iter().sum::<f64>() / count;
    let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    row.iter().map(|x| (x - mean) / (variance + epsilon).sqrt()).collect()
}

#[test]
fn a_norms_way_back_is_its_derivative() {
    const STEP: f64 = 1e-5;
    for level in Level::all() {
        for length in [2, 16, 33, 100] {
            let (row, residual) = (numbers(length, 3.0, 1), numbers(length, 2.0, 2));
            let [gamma, slopes] = [3, 4].map(|seed| numbers(length, 1.0, seed));
            let mut kept = vec![0.0; length];
            let scale = back::standardise(level, &row, &residual, 0.1, &mut kept);
            let mut found = slopes.clone();
            back::norm_back(level, &kept, scale, &gamma, &mut found);
            let sums: Vec<f64> =
                wide(&row).iter().zip(wide(&residual)).map(|(a, b)| a + b).collect();
            let loss = |sums: &[f64]| -> f64 {
                let terms = standardised(sums, 0.1).into_iter().zip(gamma.iter().zip(&slopes));
                terms.map(|(x, (&gamma, &slope))| x * f64::from(gamma) * f64::from(slope)).sum()
            };
            let slope = |at: usize| {
                let moved = |step: f64| {
                    let mut sums = sums.clone();
                    sums[at] += step;
                    loss(&sums)
                };
                (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
            };
            let expected: Vec<f64> = (0..length).map(slope).collect();
            assert_close(&found, &expected, 1e-5, &format!("{level:?} {length}"));
        }
    }
}

#[test]
fn softmax_down_columns_and_back() {
    for level in Level::all() {
        for count in [1, 2, 17, 200] {
            let panel = |size, seed| -> Vec<[f32; WIDTH]> {
                numbers(count * WIDTH, size, seed).as_chunks().0.to_vec()
            };
            let (scores, slopes) = (panel(20.0, 1), panel(1.0, 2));
            let (mut shares, mut found) = (scores.clone(), slopes.clone());
            back::softmax_down(level, &mut shares);
            back::softmax_down_back(level, &shares, &mut found);
            for column in 0..WIDTH {
                let of = |panel: &[[f32; WIDTH]]| -> Vec<f64> {
                    panel.iter().map(|row| f64::from(row[column])).collect()
                };
                let (scores, slopes) = (of(&scores), of(&slopes));
                let largest = scores.iter().copied().fold(f64::MIN, f64::max);
                let powers: Vec<f64> = scores.iter().map(|x| (x - largest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                let expected: Vec<f64> = powers.iter().map(|x| x / sum).collect();
                let mean: f64 = expected.iter().zip(&slopes).map(|(a, b)| a * b).sum();
                let back: Vec<f64> =
                    expected.iter().zip(&slopes).map(|(share, x)| share * (x - mean)).collect();
                let narrow = |panel: &[[f32; WIDTH]]| -> Vec<f32> {
                    panel.iter().map(|row| row[column]).collect()
                };
                let what = format!("{level:?} {count}");
                assert_close(&narrow(&shares), &expected, 1e-6, &what);
                assert_close(&narrow(&found), &back, 2e-6, &what);
            }
        }
    }
}

#[test]
fn what_is_no_number_goes_through() {
    for level in Level::all() {
        let mut panel = vec![[1.0; WIDTH]; 3];
        panel[1][4] = f32::NAN;
        panel[2][5] = f32::INFINITY;
        back::softmax_down(level, &mut panel);
        for column in 0..WIDTH {
            let none = panel.iter().any(|row| row[column].is_nan());
            assert_eq!(none, column == 4 || column == 5, "{level:?} {column}");
        }
        let mut slopes = [1.0];
        back::activate_back(level, &[f32::NAN], &mut slopes);
        assert!(slopes[0].is_nan());
        let mut row = [1.0, f32::NAN, 2.0];
        assert!(rows::exponentials(level, &mut row, 3).is_nan());
    }
}

#[test]
fn a_transpose_is_packed_like_its_matrix() {
    for (inputs, outputs) in [(1, 1), (3, 40), (33, 64), (5, 31)] {
        let weight = numbers(inputs * outputs, 1.0, 7);
        let turned: Vec<f32> = (0..outputs)
            .flat_map(|output| weight.iter().skip(output).step_by(outputs).copied())
            .collect();
        let expected = Panels::pack(&weight, inputs, outputs);
        let found = Panels::pack_transposed(&turned, inputs, outputs);
        assert!(found.iter().eq(expected.iter()), "{inputs} by {outputs}");
    }
}
