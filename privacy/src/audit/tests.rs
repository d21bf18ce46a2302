//! An update's way, attacked: `per_entry` sees all of it (encode, share of noise, sum, decode); `one_run` adds its canaries to
//! the decoded sum, so it sees the noise, not clipping and rounding. Seeds are fixed.
//! Each audit of the right mechanism would exceed the claim with a chance of at most 1 in 100 under
//! other seeds; it is far below, since an audit from samples never reaches the true epsilon.

use super::*;
use crate::encode::{Encoding, Layout, Sum};
use crate::noise::NoiseMode;
use crate::rng::SimulationRng;
use crate::sharers::Sharers;
use crate::types::{ClipNorm, NoiseMultiplier};

/// Epsilon at delta 10^-5 of one round with noise multiplier 1: the exact Gaussian.
const CLAIMED: f64 = 4.3772;
const CLIENTS: u32 = 4;

fn delta() -> Delta {
    Delta::new(1e-5).unwrap()
}

fn error() -> ErrorRate {
    ErrorRate::new(1e-2).unwrap()
}

/// Rounds with `dimension` entries. `multiplier` is what is really added; the claim is for 1.
fn encoding(dimension: usize, multiplier: f64) -> Encoding {
    let mode = NoiseMode::Distributed(Sharers::new(CLIENTS, 0).unwrap());
    Encoding::new(Layout {
        dimension,
        clip: ClipNorm::new(1.0).unwrap(),
        clients: CLIENTS,
        noise: Some((NoiseMultiplier::new(multiplier).unwrap(), mode)),
        rotation: None,
        units: 1,
        extras: vec![],
    })
    .unwrap()
}

/// The sum of one round, in which the first client sends `update` and the others nothing but noise.
fn round(encoding: &Encoding, update: &[f32], rng: &mut SimulationRng) -> Vec<f64> {
    let zeros = vec![0.0; update.len()];
    let mut sum = vec![0_u32; update.len()];
    for client in 0..CLIENTS {
        let update = if client == 0 { update } else { &zeros };
        let noised = encoding.encode(update, &[], rng).unwrap().noised(rng);
        for (sum, word) in sum.iter_mut().zip(noised.words()) {
            *sum = sum.wrapping_add(*word);
        }
    }
    let mean = Sum::new(encoding, sum, CLIENTS).unwrap().decode().unwrap().mean;
    mean.iter().map(|&x| f64::from(x) * f64::from(CLIENTS)).collect()
}

/// Canaries are contributions of a whole clip norm, each on an entry of its own: `noise` is drawn
/// for a round without any, and each canary moves its entry by 1.
fn audit_one_run(multiplier: f64) -> f64 {
    let canaries = 20_000;
    let encoding = encoding(canaries, multiplier);
    let mut rng = SimulationRng::numbered(1, 1);
    let run = |coins: &[bool], rng: &mut SimulationRng| {
        let noise = round(&encoding, &vec![0.0; canaries], rng);
        noise.iter().zip(coins).map(|(x, &coin)| x + f64::from(u8::from(coin))).collect()
    };
    one_run(canaries, 4000, delta(), error(), &mut rng, run).get()
}

#[test]
fn one_run_stays_below_the_claim() {
    let bound = audit_one_run(1.0);
    assert!(bound > 1.0 && bound < CLAIMED, "{bound}");
}

#[test]
fn one_run_catches_a_quarter_of_the_noise() {
    let bound = audit_one_run(0.25);
    assert!(bound > CLAIMED, "{bound}");
}

fn audit_entries(multiplier: f64, forgotten: Option<usize>) -> f64 {
    let entries = 4;
    let encoding = encoding(entries, multiplier);
    // A contribution spread over the entries, so that each shows a part of it.
    let contribution = vec![0.5_f32; entries];
    let mut rng = SimulationRng::numbered(2, 1);
    let run = |present: bool, rng: &mut SimulationRng| {
        let update = if present { contribution.clone() } else { vec![0.0; entries] };
        let mut answer = round(&encoding, &update, rng);
        if let Some(entry) = forgotten {
            answer[entry] = f64::from(update[entry]);
        }
        answer
    };
    per_entry(entries, 4000, delta(), error(), &mut rng, run).get()
}

#[test]
fn entries_stay_below_the_claim() {
    let bound = audit_entries(1.0, None);
    assert!(bound > 0.0 && bound < CLAIMED, "{bound}");
}

#[test]
fn noise_forgotten_on_one_entry_is_caught() {
    let bound = audit_entries(1.0, Some(2));
    assert!(bound > CLAIMED, "{bound}");
}

#[test]
fn guesses_bound_epsilon() {
    // All right: error^(1/r) = 1/(1 + e^-epsilon), with delta too small to count.
    let tiny = Delta::new(1e-300).unwrap();
    let half = ErrorRate::new(0.05).unwrap();
    let bound = epsilon_of_guesses(100, 100, 100, tiny, half).get();
    let p = 0.05_f64.powf(0.01);
    assert!((bound - (p / (1.0 - p)).ln()).abs() < 2e-4, "{bound}");
    assert_eq!(epsilon_of_guesses(100, 100, 50, tiny, half).get(), 0.0);
    assert_eq!(epsilon_of_guesses(0, 0, 0, tiny, half).get(), 0.0);
    assert_eq!(epsilon_of_rates([0, 0], [0, 0], tiny, half).get(), 0.0);
    // A larger delta explains more, so less is shown.
    let loose = epsilon_of_guesses(100, 100, 100, Delta::new(1e-3).unwrap(), half).get();
    assert!(loose < bound, "{loose}");
    assert!(ErrorRate::new(0.0).is_err() && ErrorRate::new(f64::NAN).is_err());
}
