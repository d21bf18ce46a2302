//! Sums in the order of their terms, against adding one after the other.

use super::super::ordered;
use super::*;

#[test]
fn every_level_adds_in_order_to_the_bit() {
    for (inputs, outputs) in [(0, 3), (5, 0), (1, 1), (33, 64), (512, 512), (100, 203)] {
        let (vector, matrix) = (numbers(inputs, 3.0, 1), numbers(inputs * outputs, 1.0, 2));
        let expected: Vec<u32> = (0..outputs)
            .map(|output| {
                let terms = vector.iter().zip(matrix.iter().skip(output).step_by(outputs));
                terms.fold(0.0_f32, |sum, (x, m)| sum + m * x).to_bits()
            })
            .collect();
        for level in Level::all() {
            let mut found = vec![7.0; outputs];
            ordered::times(level, &vector, &matrix, &mut found);
            let found: Vec<u32> = found.iter().map(|x| x.to_bits()).collect();
            assert_eq!(found, expected, "{level:?} {inputs} {outputs}");
        }
    }
}
