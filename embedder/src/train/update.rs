//! A peer's update: how far training moved the values, no further than the clip norm.

use crate::vector::sum_of_squares;

/// What training added to `before`.
///
/// # Panics
///
/// When there are not as many values before as after.
#[must_use]
pub fn difference(before: &[f32], after: &[f32]) -> Vec<f32> {
    assert_eq!(before.len(), after.len(), "both are values of one adapter");
    after.iter().zip(before).map(|(after, before)| after - before).collect()
}

/// The L2 norm, summed in f64.
#[must_use]
pub fn norm(update: &[f32]) -> f64 {
    sum_of_squares(update).sqrt()
}

/// Shortens `update` to at most `most` (the clip norm, in L2) and gives the norm it had. Rounding goes down: what is
/// left is never longer. An update with entries that are no numbers becomes zero, and so does any where the clip
/// norm itself is no number from 1e-20 up.
pub fn clip(update: &mut [f32], most: f64) -> f64 {
    let found = norm(update);
    if !(found.is_finite() && most.is_finite() && most >= 1e-20) {
        update.fill(0.0);
        return found;
    }
    let mut target = most;
    while norm(update) > most {
        let factor = target / norm(update);
        update.iter_mut().for_each(|x| *x = (f64::from(*x) * factor) as f32);
        // Rounding to f32 may have lengthened it by a hair.
        target = most * (1.0 - f64::from(f32::EPSILON));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_clipped_is_never_longer() {
        for count in [1, 3, 1000] {
            for most in [1e-3, 0.1, 1.0, 7.7] {
                let mut update: Vec<f32> =
                    (0..count).map(|i| ((i * 7 + 1) as f32 * 0.37).sin() * 100.0).collect();
                let before = norm(&update);
                assert_eq!(clip(&mut update, most), before);
                let after = norm(&update);
                assert!(after <= most && after > most * 0.999_999, "{after} of {most}");
                let kept = update.clone();
                clip(&mut update, most);
                assert_eq!(update, kept, "a second time changes nothing");
            }
        }
    }

    #[test]
    fn a_short_update_stays_and_no_number_becomes_nothing() {
        let mut short = vec![0.3, -0.4];
        assert!((clip(&mut short, 1.0) - 0.5).abs() < 1e-7);
        assert_eq!(short, [0.3, -0.4]);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut update = vec![1.0, bad];
            assert!(!clip(&mut update, 1.0).is_finite());
            assert_eq!(update, [0.0, 0.0]);
        }
        for most in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-45] {
            let mut update = vec![1.0, 2.0];
            clip(&mut update, most);
            assert_eq!(update, [0.0, 0.0], "{most}");
        }
        assert_eq!(difference(&[1.0, 2.0], &[1.5, 1.0]), [0.5, -1.0]);
    }
}
