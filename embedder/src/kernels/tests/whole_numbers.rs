//! Products of whole numbers, and what is done before and after them.

use super::super::matmul_int::{Panels, Tile, Weight, most_factor};
use super::super::rows::Activation;
use super::super::whole::{self, Columns, Scale};
use super::super::{Level, TILE, WIDTH};
use super::{assert_close, exact_gelu, numbers, wide};

/// Checks every number of rows of `left`'s entries against `weight`'s, over and over.
fn check<W: Weight + Into<i32>>(left: &[W::Left], weight: &[W]) {
    for level in Level::all() {
        for (rows, inputs) in (0..=TILE).zip((1..30).cycle()) {
            let stride = inputs + W::GROUP * 2 - inputs % W::GROUP;
            let left: Vec<W::Left> = left.iter().copied().cycle().take(rows * stride).collect();
            let outputs = WIDTH + 3;
            let weight: Vec<W> = weight.iter().copied().cycle().take(inputs * outputs).collect();
            let panels = Panels::pack(&weight, inputs, outputs);
            assert_eq!((panels.inputs(), panels.iter().count()), (inputs, 2));
            let mut by_output = Panels::default();
            by_output.clear(inputs, outputs);
            for output in 0..outputs {
                let column: Vec<W> = weight.iter().skip(output).step_by(outputs).copied().collect();
                by_output.set_output(output, &column);
            }
            let product = |panels: &Panels<W>, number| {
                let mut tile: Tile = [[-1; WIDTH]; TILE];
                let panel = panels.iter().nth(number).unwrap();
                panel.multiply(level, &left, stride, tile.as_flattened_mut(), WIDTH);
                tile
            };
            for number in 0..2 {
                let tile = product(&panels, number);
                assert_eq!(tile, product(&by_output, number));
                for (row, column) in (0..TILE).flat_map(|row| (0..WIDTH).map(move |c| (row, c))) {
                    let output = number * WIDTH + column;
                    let term = |input: usize| {
                        left[row * stride + input].into() * weight[input * outputs + output].into()
                    };
                    let expected = match (row < rows, output < outputs) {
                        (true, true) => (0..inputs).map(term).sum(),
                        (true, false) => 0,
                        (false, _) => -1,
                    };
                    assert_eq!(
                        tile[row][column], expected,
                        "{level:?} {rows} rows, {row} {output}"
                    );
                }
            }
        }
    }
}

#[test]
fn products_are_exact_for_every_number_of_rows() {
    // The extremes, where sums of pairs just fit. A row has 35 weights, and neighbours are a row
    // apart: eight weights over and over bring each together with another.
    check::<i8>(&[255, 254, 3, 0, 255], &[64, -64, 5, 61, 64, -63, 0, 7]);
    check::<i8>(&[255], &[64]);
    check::<i8>(&[255], &[-64]);
    check::<i16>(&[8_191, -8_191, 3, 0, 8_191], &[8_191, -8_191, 5, 8_190, 8_191, 77, 0, -9]);
}

#[test]
fn pairs_of_bytes_may_be_as_large_as_they_may() {
    for pair in [[127, 1], [-128, 127], [1, 127], [-1, -127], [127, -128], [0, -128]] {
        // Two inputs and all outputs alike.
        let weight: Vec<i8> = pair.iter().flat_map(|&x| [x; WIDTH]).collect();
        let panels = Panels::pack(&weight, 2, WIDTH);
        for (level, left) in
            Level::all().into_iter().flat_map(|l| [(l, &[255, 255, 0, 0]), (l, &[255, 3, 0, 0])])
        {
            let mut tile: Tile = [[-1; WIDTH]; TILE];
            let out = tile.as_flattened_mut();
            panels.iter().for_each(|panel| panel.multiply(level, left, 4, out, WIDTH));
            let expected = 255 * i32::from(pair[0]) + i32::from(left[1]) * i32::from(pair[1]);
            assert_eq!(tile[0], [expected; WIDTH], "{level:?} {pair:?}");
        }
    }
}

#[test]
fn factors_never_sum_to_more_than_fits() {
    for terms in 1..=65_536_usize {
        let most = most_factor(terms, 8_191) as usize;
        assert!(terms * most * most <= i32::MAX as usize, "{terms}");
    }
    assert_eq!((most_factor(384, 8_191), most_factor(2, 8_191)), (2_364.0, 8_191.0));
}

#[test]
fn products_may_be_written_into_wider_rows() {
    let panels = Panels::<i16>::pack(&[2; 4 * WIDTH], 4, WIDTH);
    for level in Level::all() {
        let mut out = [-1; 3 * (WIDTH + 2)];
        panels.iter().for_each(|panel| panel.multiply(level, &[1_i16; 8], 4, &mut out, WIDTH + 2));
        for row in out.chunks(WIDTH + 2).take(2) {
            assert_eq!((&row[..WIDTH], &row[WIDTH..]), (&[8; WIDTH][..], &[-1; 2][..]));
        }
        assert_eq!(out[2 * (WIDTH + 2)..], [-1; WIDTH + 2], "{level:?}: as many rows as there are");
    }
}

#[test]
fn steps_stand_for_numbers_to_within_half_of_one() {
    let check = |row: &[f32]| {
        let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let assert_steps = |scale: Scale, found: &[i32], most: f32, what: &str| {
            let Scale { step, zero } = scale;
            let back: Vec<f32> = found.iter().map(|&x| step * (x - zero) as f32).collect();
            assert!(step <= largest / most * 1.001, "{what}: {step}");
            let tolerance = f64::from(step * 0.501 + largest * 1e-6);
            assert_close(&back[..row.len()], &wide(row), tolerance, what);
        };
        for level in Level::all() {
            let mut bytes = vec![1; row.len() + 3];
            let scale = whole::bytes(level, row, &mut bytes);
            assert_eq!(bytes[row.len()..], [0; 3]);
            let bytes: Vec<i32> = bytes.into_iter().map(i32::from).collect();
            assert_steps(scale, &bytes, 127.5, &format!("{level:?} bytes"));
            // Twice the row, as two rows of a wider matrix.
            let rows = [row, &[f32::INFINITY], row, &[f32::INFINITY]].concat();
            let mut words = vec![1; 2 * (row.len() + 3)];
            let (stride, length) = (row.len() + 1, row.len() + 3);
            let step = whole::words(level, &rows, stride, row.len(), 8_191.0, &mut words, length);
            for words in words.chunks_exact(length) {
                assert_eq!(words[row.len()..], [0; 3]);
                let words: Vec<i32> = words.iter().copied().map(i32::from).collect();
                assert_steps(Scale { step, zero: 0 }, &words, 8_191.0, &format!("{level:?} words"));
            }
        }
    };
    for length in [1, 16, 50, 384] {
        check(&numbers(length, 5.0, length));
        // One sign only: zero is still representable.
        check(&numbers(length, 1.0, length).iter().map(|x| x + 3.0).collect::<Vec<_>>());
        check(&numbers(length, 1.0, length).iter().map(|x| x - 3.0).collect::<Vec<_>>());
        check(&vec![0.0; length]);
    }
    // What is no number becomes some step, and nothing panics.
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE / 4.0] {
        for level in Level::all() {
            whole::bytes(level, &[bad, 1.0, -bad], &mut [0; 3]);
            whole::words(level, &[bad, 0.0, -bad], 3, 3, 8_191.0, &mut [0; 3], 3);
        }
    }
}

#[test]
fn products_become_the_numbers_they_stand_for() {
    let columns = Columns {
        steps: std::array::from_fn(|i| 0.01 * (i + 1) as f32),
        sums: std::array::from_fn(|i| i as i32 * 100 - 1_000),
        bias: std::array::from_fn(|i| i as f32),
    };
    let tile = std::array::from_fn(|row| std::array::from_fn(|i| (row * 1_000 + i * 37) as i32));
    let scales = [Scale { step: 0.5, zero: 3 }, Scale { step: 0.25, zero: 255 }];
    for level in Level::all() {
        let mut out = [9.0; 3 * (WIDTH + 1)];
        whole::finish(level, &tile, &scales, &columns, Activation::Linear, &mut out, WIDTH + 1);
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
fn what_is_activated_is_near_enough_to_the_exact_gelu() {
    let columns = Columns { steps: [0.01; WIDTH], sums: [0; WIDTH], bias: [0.0; WIDTH] };
    let scales = [Scale { step: 1.0, zero: 0 }; TILE];
    for level in Level::all() {
        for first in (-800..800).step_by(TILE * WIDTH) {
            let tile: Tile = std::array::from_fn(|row| {
                std::array::from_fn(|i| first + (row * WIDTH + i) as i32)
            });
            let mut out = [0.0; TILE * WIDTH];
            whole::finish(level, &tile, &scales, &columns, Activation::Gelu, &mut out, WIDTH);
            let inputs: Vec<f32> = tile.as_flattened().iter().map(|&x| x as f32 * 0.01).collect();
            let expected: Vec<f64> = inputs.iter().map(exact_gelu).collect();
            for ((x, found), expected) in inputs.iter().zip(out).zip(expected) {
                let error = (f64::from(found) - expected).abs();
                let most = if x.abs() < 4.2 { 1e-4 } else { 3e-5 * f64::from(x.abs()) };
                assert!(error <= most, "{level:?}: {found} for {expected} at {x}");
            }
        }
    }
}

#[test]
fn shares_are_a_softmax_that_adds_up() {
    for level in Level::all() {
        for count in [1, 2, 15, 16, 17, 63, 200, 512] {
            for unit in [1e-9_f32, 1e-4, 0.3] {
                let scores: Vec<i32> =
                    numbers(count, 3e4, count).into_iter().map(|x| x as i32).collect();
                let (mut room, mut shares) = (vec![0.0; count], vec![7; count + 2]);
                let sum = whole::shares(level, &scores, unit, &mut room, &mut shares);
                let largest = scores.iter().copied().max().unwrap();
                let power = |&x: &i32| (f64::from(x - largest) * f64::from(unit)).exp();
                let all: f64 = scores.iter().map(power).sum();
                let expected: Vec<f64> =
                    scores.iter().map(|x| power(x) / all * f64::from(whole::WHOLE)).collect();
                let found: Vec<f32> = shares[..count].iter().copied().map(f32::from).collect();
                let what = format!("{level:?} {count} {unit}");
                assert_close(&found, &expected, 1.0, &what);
                assert_eq!(found.iter().sum::<f32>(), sum, "{what}");
                assert_eq!(shares[count..], [0; 2], "{what}");
            }
        }
    }
}
