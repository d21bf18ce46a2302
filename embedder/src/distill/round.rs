//! Vectors as whole numbers times a step.

use crate::statics::Bits;

/// Share of the largest entry's step by which steps are tried, from the smallest on.
const TRIED: [f32; 13] = [0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0];

/// Appends `row` as int8 to `out` and returns the step.
pub(crate) fn quantize(row: &[f32], out: &mut Vec<u8>) -> f32 {
    let step = widest(Bits::WHOLE, row);
    out.extend(row.iter().map(|x| entry(*x, step, Bits::WHOLE).cast_unsigned()));
    step
}

/// The same in entries of `bits`. With few of them a step that cuts the largest entries short errs
/// less than one that reaches them, so the one with the least squared error is taken.
pub(super) fn quantize_to(bits: Bits, row: &[f32], out: &mut Vec<u8>) -> f32 {
    if bits == Bits::WHOLE {
        return quantize(row, out);
    }
    let widest = widest(bits, row);
    let error = |step: f32| -> f32 {
        row.iter().map(|x| (x - f32::from(entry(*x, step, bits)) * step).powi(2)).sum()
    };
    let steps = TRIED.iter().map(|share| widest * share);
    let step = steps.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(widest);
    out.extend(row.iter().map(|x| entry(*x, step, bits).cast_unsigned()));
    step
}

/// The step that reaches the largest entry.
fn widest(bits: Bits, row: &[f32]) -> f32 {
    let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    largest / f32::from(bits.largest())
}

fn entry(x: f32, step: f32, bits: Bits) -> i8 {
    let most = f32::from(bits.largest());
    if step > 0.0 { (x / step).round().clamp(-most, most) as i8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Vec<f32> {
        (0..100).map(|i| (i as f32 * 0.37).sin().powi(3) * 3.0).collect()
    }

    fn squared_error(row: &[f32], bytes: &[u8], step: f32) -> f32 {
        row.iter().zip(bytes).map(|(x, b)| (x - f32::from(b.cast_signed()) * step).powi(2)).sum()
    }

    #[test]
    fn whole_bytes_err_by_half_a_step_at_most() {
        let row = row();
        let mut bytes = Vec::new();
        let step = quantize(&row, &mut bytes);
        for (x, byte) in row.iter().zip(&bytes) {
            let restored = f32::from(byte.cast_signed()) * step;
            assert!((x - restored).abs() <= step * 0.501, "{x} {restored}");
        }
        let mut zeros = Vec::new();
        assert_eq!(quantize(&[0.0; 4], &mut zeros), 0.0);
        assert_eq!(zeros, [0; 4]);
    }

    #[test]
    fn fewer_bits_err_more_but_no_more_than_with_the_widest_step() {
        let row = row();
        let mut last = 0.0;
        for bits in [8, 6, 5, 4, 3, 2].map(|bits| Bits::new(bits).unwrap()) {
            let mut bytes = Vec::new();
            let step = quantize_to(bits, &row, &mut bytes);
            assert!(bytes.iter().all(|byte| byte.cast_signed().abs() <= bits.largest()));
            let error = squared_error(&row, &bytes, step);
            let wide = widest(bits, &row);
            let plain: Vec<u8> =
                row.iter().map(|x| entry(*x, wide, bits).cast_unsigned()).collect();
            assert!(error <= squared_error(&row, &plain, wide), "{bits:?}");
            assert!(error > last, "{bits:?}");
            last = error;
        }
        let mut zeros = Vec::new();
        assert_eq!(quantize_to(Bits::new(5).unwrap(), &[0.0; 4], &mut zeros), 0.0);
    }
}
