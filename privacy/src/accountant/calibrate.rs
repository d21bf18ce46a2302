//! The least noise that keeps a promise.

use super::search::first_true;
use super::{AccountingError, Mu, PoissonRate, Rounds, SampledRounds, pld, rdp};
use crate::{Delta, Epsilon, NoiseMultiplier};

/// The largest noise multiplier that is ever asked for.
const LARGEST: f64 = 1e9;
/// Where the search starts.
const SMALLEST: f64 = 1e-4;

/// The least noise multiplier with which `rounds` joined rounds keep (`epsilon`, `delta`), rounded up.
///
/// # Errors
/// If none up to a billion does.
pub fn calibrate(
    epsilon: Epsilon,
    delta: Delta,
    rounds: Rounds,
) -> Result<NoiseMultiplier, AccountingError> {
    let found = least(SMALLEST, LARGEST, 200, |noise| {
        Mu::of(noise, rounds).epsilon(delta).is_ok_and(|spent| spent <= epsilon)
    });
    found.ok_or(AccountingError::NoNoise { largest: LARGEST })
}

/// The same for an outsider's view of rounds that `rate` samples, within a part in ten thousand, rounded up.
///
/// # Errors
/// If none up to a billion does.
pub fn calibrate_sampled(
    epsilon: Epsilon,
    delta: Delta,
    rounds: Rounds,
    rate: PoissonRate,
) -> Result<NoiseMultiplier, AccountingError> {
    let part = |noise| [SampledRounds { rate, noise, rounds }];
    // The quick bound brackets the slow one: too much noise by it is enough, and half of that is close.
    let by = |spent: Result<Epsilon, _>| spent.is_ok_and(|spent| spent <= epsilon);
    let enough = least(SMALLEST, LARGEST, 40, |noise| by(rdp::epsilon(&part(noise), delta)))
        .ok_or(AccountingError::NoNoise { largest: LARGEST })?;
    let holds = |noise| by(pld::epsilon(&part(noise), delta));
    let mut low = enough.get() * 0.8;
    while low > SMALLEST && NoiseMultiplier::new(low).is_ok_and(holds) {
        low *= 0.5;
    }
    Ok(least(low, enough.get(), 12, holds).unwrap_or(enough))
}

/// Bisects the logarithm of the noise; what it returns satisfies `holds`.
fn least(
    low: f64,
    high: f64,
    steps: u32,
    mut holds: impl FnMut(NoiseMultiplier) -> bool,
) -> Option<NoiseMultiplier> {
    let mut holds = |ln: f64| NoiseMultiplier::new(ln.exp()).is_ok_and(&mut holds);
    if !holds(high.ln()) {
        return None;
    }
    NoiseMultiplier::new(first_true(low.ln(), high.ln(), steps, &mut holds).exp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        let (epsilon, delta) = (Epsilon::new(8.0).unwrap(), Delta::new(1e-5).unwrap());
        for (rounds, expected) in [(10, 1.90), (20, 2.68), (50, 4.24), (100, 6.00)] {
            let rounds = Rounds::new(rounds).unwrap();
            let noise = calibrate(epsilon, delta, rounds).unwrap();
            assert!((noise.get() - expected).abs() < 0.01, "{noise}");
            assert!(Mu::of(noise, rounds).epsilon(delta).unwrap() <= epsilon);
            let less = NoiseMultiplier::new(noise.get() * (1.0 - 1e-9)).unwrap();
            assert!(Mu::of(less, rounds).epsilon(delta).unwrap() > epsilon);
        }
    }

    #[test]
    fn sampled_noise_keeps_its_promise() {
        let (epsilon, delta) = (Epsilon::new(2.0).unwrap(), Delta::new(1e-5).unwrap());
        let (rounds, rate) = (Rounds::new(1000).unwrap(), PoissonRate::new(0.01).unwrap());
        let noise = calibrate_sampled(epsilon, delta, rounds, rate).unwrap();
        let spent = pld::epsilon(&[SampledRounds { rate, noise, rounds }], delta).unwrap();
        assert!(spent <= epsilon && spent.get() > 1.99, "{noise} {spent}");
    }

    #[test]
    fn impossible_promises_are_refused() {
        let delta = Delta::new(1e-300).unwrap();
        let found = calibrate(Epsilon::ZERO, delta, Rounds::new(1000).unwrap());
        assert_eq!(found, Err(AccountingError::NoNoise { largest: LARGEST }));
    }
}
