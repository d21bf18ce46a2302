//! Random draws that are the same on every machine: streams of a seed by name, whole numbers without
//! bias, and the distributions that scenarios name, computed with `libm` alone.

use covey_crypto::Digest;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// The stream of `seed` that is for `what`, of a peer or the like by its number.
pub fn stream(seed: u64, what: &str, number: u64) -> ChaCha20Rng {
    let parts: [&[u8]; 3] = [&seed.to_le_bytes(), what.as_bytes(), &number.to_le_bytes()];
    ChaCha20Rng::from_seed(*Digest::of("covey simulation draws", &parts).as_bytes())
}

/// A whole number below `bound`, all equally likely.
///
/// # Panics
/// If `bound` is 0.
pub fn below(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    assert!(bound > 0, "there is no number below 0");
    let bound = bound as u64;
    // Numbers below what is left over of the last whole stretch would come up once more than others.
    let uneven = bound.wrapping_neg() % bound;
    loop {
        let drawn = rng.next_u64();
        if drawn >= uneven {
            return usize::try_from(drawn % bound).expect("it is below a usize");
        }
    }
}

/// A number from 0 to below 1, a multiple of 2^-53.
pub fn unit(rng: &mut ChaCha20Rng) -> f64 {
    // Both factors are exact.
    (rng.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// A number from `low` to `high`.
pub fn between(rng: &mut ChaCha20Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * unit(rng)
}

/// Puts `items` in an order of which all are equally likely (Fisher and Yates).
pub fn shuffle<T>(rng: &mut ChaCha20Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last + 1));
    }
}

/// A draw of the standard normal distribution (Box and Muller).
pub fn normal(rng: &mut ChaCha20Rng) -> f64 {
    let length = libm::sqrt(-2.0 * libm::log(1.0 - unit(rng)));
    length * libm::cos(std::f64::consts::TAU * unit(rng))
}

/// The logarithm of a draw of the gamma distribution of this shape and scale 1 (Marsaglia and Tsang
/// 2000). The draw itself is 0 as a float for small shapes.
fn ln_gamma_draw(rng: &mut ChaCha20Rng, shape: f64) -> f64 {
    if shape < 1.0 {
        return ln_gamma_draw(rng, shape + 1.0) + libm::log(1.0 - unit(rng)) / shape;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let x = normal(rng);
        let v = 1.0 + c * x;
        if v <= 0.0 {
            continue;
        }
        let ln_v = 3.0 * libm::log(v);
        let v = v * v * v;
        if libm::log(1.0 - unit(rng)) < 0.5 * x * x + d - d * v + d * ln_v {
            return libm::log(d) + ln_v;
        }
    }
}

/// Logarithms of shares drawn from the Dirichlet distribution of these parameters, all above 0, up to a
/// number that is the same for all: the shares of some alone are drawn from the distribution of theirs.
pub fn ln_dirichlet(rng: &mut ChaCha20Rng, parameters: &[f64]) -> Vec<f64> {
    parameters.iter().map(|&shape| ln_gamma_draw(rng, shape)).collect()
}

/// Shares that sum to 1, of their logarithms up to a number that is the same for all.
pub fn shares(logs: &[f64]) -> Vec<f64> {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = logs.iter().map(|log| libm::exp(log - most)).collect();
    let sum: f64 = shares.iter().sum();
    shares.into_iter().map(|share| share / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_number() {
        let first = |seed, what, number| stream(seed, what, number).next_u64();
        let drawn = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        assert_eq!(drawn.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(first(1, "a", 0), drawn[0]);
    }

    /// Means of 20,000 draws are within five standard errors: a false alarm in three million.
    #[test]
    fn draws_have_the_means_and_variances_of_their_distributions() {
        const DRAWS: usize = 20_000;
        let rng = &mut stream(7, "test", 0);
        let mut check =
            |mean: f64, variance: f64, draw: &mut dyn FnMut(&mut ChaCha20Rng) -> f64| {
                let sum: f64 = (0..DRAWS).map(|_| draw(rng)).sum();
                let found = sum / DRAWS as f64;
                let error = (variance / DRAWS as f64).sqrt();
                assert!((found - mean).abs() < 5.0 * error, "{found} instead of {mean} ± {error}");
            };
        check(0.5, 1.0 / 12.0, &mut unit);
        check(4.5, 99.0 / 12.0, &mut |rng| below(rng, 10) as f64);
        check(0.0, 1.0, &mut normal);
        check(1.0, 2.0, &mut |rng| normal(rng).powi(2));
        for shape in [0.3, 1.0, 4.5] {
            check(shape, shape, &mut |rng| ln_gamma_draw(rng, shape).exp());
        }
        // A share's mean is its part a/s of the parameters, its variance a(s-a)/(s²(s+1)).
        check(0.25, 0.25 * 0.75 / 3.0, &mut |rng| shares(&ln_dirichlet(rng, &[0.5, 1.0, 0.5]))[0]);
    }

    #[test]
    fn shares_of_tiny_parameters_still_sum_to_one() {
        for number in 0..100 {
            let shares = shares(&ln_dirichlet(&mut stream(1, "tiny", number), &[0.001; 50]));
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn an_order_loses_nothing() {
        let mut items: Vec<usize> = (0..100).collect();
        shuffle(&mut stream(3, "order", 0), &mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
