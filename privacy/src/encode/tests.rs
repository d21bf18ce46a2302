use proptest::prelude::*;
use rand_core::Rng;

use super::*;
use crate::rng::SimulationRng;
use crate::sharers::Sharers;
use crate::testing::pinned;

fn layout(dimension: usize, clients: u32) -> Layout {
    Layout {
        dimension,
        clip: ClipNorm::new(1.0).unwrap(),
        clients,
        units: 1,
        noise: None,
        rotation: None,
        extras: vec![],
    }
}

fn noisy(layout: Layout, survivors: u32, colluders: u32) -> Layout {
    let mode = NoiseMode::Distributed(Sharers::new(survivors, colluders).unwrap());
    Layout { noise: Some((NoiseMultiplier::new(2.0).unwrap(), mode)), ..layout }
}

fn rng(n: u64) -> SimulationRng {
    SimulationRng::numbered(n, 0)
}

fn add(sum: &mut [u32], words: &[u32]) {
    for (sum, word) in sum.iter_mut().zip(words) {
        *sum = sum.wrapping_add(*word);
    }
}

/// N2, N4, N5.
#[test]
fn layouts_that_cannot_be_kept_are_refused() {
    let check = |layout: Layout, expected: LayoutError| {
        assert_eq!(Encoding::new(layout).unwrap_err(), expected);
    };
    check(layout(3, 0), LayoutError::Clients(0));
    check(layout(3, MAX_CLIENTS + 1), LayoutError::Clients(MAX_CLIENTS + 1));
    check(layout(0, 3), LayoutError::Dimension(0));
    check(layout(usize::MAX, 3), LayoutError::Dimension(usize::MAX));
    // 2^24 + 1 entries are 2^25 words where they are rotated.
    let (dimension, words) = ((1 << 24) + 1, 1 << 25);
    let rotated = Layout { rotation: Some([1; 32]), ..layout(dimension, 3) };
    check(rotated, LayoutError::Words { dimension, words });
    assert!(Encoding::new(layout(dimension, 3)).is_ok());
    let extras = vec![Extra::new(1.0, 1.0).unwrap()];
    let full = Layout { extras, ..layout(MAX_WORDS, 3) };
    check(full, LayoutError::Words { dimension: MAX_WORDS, words: MAX_WORDS + 1 });
    let extras = vec![Extra::new(1.0, 1.0).unwrap(); 17];
    check(Layout { extras, ..layout(3, 3) }, LayoutError::Extras(17));
    let extras = vec![Extra::new(1.0, 1e-9).unwrap()];
    check(Layout { extras, ..layout(3, 3) }, LayoutError::ExtraTooFine(0));
    check(noisy(layout(3, 3), 4, 0), LayoutError::Survivors { survivors: 4, clients: 3 });
    assert!(Extra::new(f64::INFINITY, 0.5).is_err() && Extra::new(1.0, 1.5).is_err());
    assert!(serde_json::from_str::<Extra>("[1.0, 0.0]").is_err());
}

/// N8.
#[test]
fn numbers_that_are_none_are_named() {
    let extras = vec![Extra::new(1.0, 0.1).unwrap()];
    let encoding = Encoding::new(Layout { extras, ..layout(3, 10) }).unwrap();
    let check = |update: &[f32], extras: &[f64], expected: &str| {
        let error = encoding.encode(update, extras, &mut rng(0)).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    };
    check(&[0.0; 2], &[0.0], "the update has 2 entries");
    check(&[0.0; 3], &[], "0 extra entries");
    check(&[0.0, f32::NAN, f32::INFINITY], &[0.0], "entry 1 of the update is NaN");
    check(&[0.0; 3], &[f64::NEG_INFINITY], "extra entry 0 is -inf");
}

/// N7.
#[test]
fn a_sum_of_thousands_at_the_limit_does_not_wrap() {
    for clients in [1_000, 10_000] {
        let encoding = Encoding::new(noisy(layout(2, clients), clients, 0)).unwrap();
        let one = encoding.encode(&[3e38, 0.0], &[], &mut rng(1)).unwrap();
        assert_eq!(one.words()[0], encoding.largest_entry());
        let sum = vec![one.words()[0].wrapping_mul(clients), 0];
        let decoded = Sum::new(&encoding, sum, clients).unwrap().decode().unwrap();
        assert_eq!(decoded.mean, [1.0, 0.0]);
    }
}

/// N9: nothing longer than the bound comes out, even where every entry lies half way between two grid
/// points, where rounding lengthens most.
#[test]
fn coarse_rounding_stays_within_the_bound() {
    let dimension = 10_000;
    let clip = ClipNorm::new(1e-3).unwrap();
    let mode = NoiseMode::Central;
    let noise = Some((NoiseMultiplier::new(4e4).unwrap(), mode));
    let encoding = Encoding::new(Layout { clip, noise, ..layout(dimension, MAX_CLIENTS) }).unwrap();
    let update = vec![1e-5_f32; dimension];
    for seed in 0..20 {
        let encoded = encoding.encode(&update, &[], &mut rng(seed)).unwrap();
        let squared: u64 =
            encoded.words().iter().map(|&w| u64::from((w as i32).unsigned_abs()).pow(2)).sum();
        assert!(u128::from(squared) <= encoding.sensitivity().squared_l2);
        assert!(squared > 0);
    }
}

/// Means of 20,000 roundings against the value: a right rounding fails once in 10^6 runs (4.9
/// deviations).
#[test]
fn rounding_moves_no_mean() {
    let encoding = Encoding::new(layout(2, 1 << 20)).unwrap();
    let (value, tries) = (0.3_f32 / encoding.scale().get() as f32, 20_000);
    let mut rng = rng(3);
    let up = (0..tries)
        .filter(|_| encoding.encode(&[value, 0.0], &[], &mut rng).unwrap().words()[0] == 1)
        .count();
    let deviation = (0.3 * 0.7 / f64::from(tries)).sqrt();
    assert!((up as f64 / f64::from(tries) - 0.3).abs() < 4.9 * deviation, "{up}");
}

/// The variance of the sum's noise against the promise, fewest survivors and colluders away:
/// chi-square with 40,000 degrees of freedom, 5 deviations (once in 10^6 runs).
#[test]
fn the_fewest_survivors_carry_what_was_promised() {
    let encoding = Encoding::new(noisy(layout(40_000, 10), 7, 2)).unwrap();
    let mut sum = vec![0; 40_000];
    for client in 0..5 {
        let mut rng = rng(client);
        let zeros = encoding.encode(&[0.0; 40_000], &[], &mut rng).unwrap();
        add(&mut sum, zeros.noised(&mut rng).words());
    }
    let squared: f64 = sum.iter().map(|&word| f64::from(word as i32).powi(2)).sum();
    let ratio = squared / 40_000.0 / encoding.noise().unwrap().promised().to_f64();
    assert!((ratio - 1.0).abs() < 5.0 * (2.0 / 40_000_f64).sqrt(), "{ratio}");
}

/// N12.
#[test]
fn central_noise_cannot_be_forgotten() {
    let noise = Some((NoiseMultiplier::new(2.0).unwrap(), NoiseMode::Central));
    let encoding = Encoding::new(Layout { noise, ..layout(8, 3) }).unwrap();
    let mut rng = rng(1);
    let encoded = encoding.encode(&[0.1; 8], &[], &mut rng).unwrap();
    let before = encoded.words().to_vec();
    let words = encoded.noised(&mut rng).into_words();
    assert_eq!(words, before, "clients add nothing");
    let sum = || Sum::new(&encoding, words.clone(), 1).unwrap();
    assert_eq!(sum().decode().unwrap_err(), DecodeError::NoNoise);
    let decoded = sum().noised(&mut rng).decode().unwrap();
    assert!(decoded.mean.iter().any(|x| (x - 0.1).abs() > 0.1));
}

/// N11, N13.
#[test]
fn too_long_a_sum_is_rejected() {
    let encoding = Encoding::new(noisy(layout(100, 4), 3, 0)).unwrap();
    let error = Sum::new(&encoding, vec![1 << 30; 100], 4).unwrap().decode().unwrap_err();
    assert!(matches!(error, DecodeError::AboveCap { .. }), "{error}");
    assert!(error.to_string().contains("more than the clip norm allows"));
    let survivors = Sum::new(&encoding, vec![0; 100], 2).unwrap_err();
    assert_eq!(survivors, DecodeError::Survivors { least: 3, most: 4, found: 2 });
    let length = Sum::new(&encoding, vec![0; 99], 3).unwrap_err();
    assert_eq!(length, DecodeError::Length { expected: 100, found: 99 });
}

proptest! {
    /// Whatever is encoded is within its bounds; and the sum, masked and unmasked, decodes to the
    /// mean of the clipped.
    #[test]
    fn mask_then_unmask_equals_the_mean(
        updates in (1_usize..40).prop_flat_map(|length| {
            prop::collection::vec(prop::collection::vec(-1e3_f32..1e3, length), 1..8)
        }),
        exponent in -8_i32..8,
        seed in any::<u64>(),
        rotated in any::<bool>(),
        losses in prop::collection::vec(-3.0_f64..3.0, 8),
    ) {
        let (length, clients) = (updates[0].len(), updates.len() as u32);
        let clip = ClipNorm::new(2_f64.powi(exponent)).unwrap();
        let rotation = rotated.then_some([9; 32]);
        let extras = vec![Extra::new(2.0, 0.25).unwrap()];
        let layout = Layout { clip, rotation, extras, ..layout(length, clients) };
        let encoding = Encoding::new(layout).unwrap();
        let mut rng = rng(seed);
        let mut sum = vec![0; encoding.words()];
        let (mut expected, mut loss) = (vec![0.0; length], 0.0);
        for (update, &value) in updates.iter().zip(&losses) {
            let encoded = encoding.encode(update, &[value], &mut rng).unwrap();
            let squared: u128 =
                encoded.words().iter().map(|&w| u128::from((w as i32).unsigned_abs()).pow(2)).sum();
            prop_assert!(squared <= encoding.sensitivity().squared_l2);
            prop_assert!(encoded.norm() <= clip.get() * 1.001);
            let mask: Vec<u32> = sum.iter().map(|_| rng.next_u32()).collect();
            add(&mut sum, encoded.noised(&mut rng).words());
            add(&mut sum, &mask);
            add(&mut sum, &mask.iter().map(|m| m.wrapping_neg()).collect::<Vec<_>>());
            let factor = crate::clip::factor(crate::clip::l2_norm(update), clip);
            for (mean, x) in expected.iter_mut().zip(update) {
                *mean += f64::from(*x) * factor / f64::from(clients);
            }
            loss += value.clamp(-2.0, 2.0) / f64::from(clients);
        }
        let decoded = Sum::new(&encoding, sum, clients).unwrap().decode().unwrap();
        let tolerance = 8.0 / encoding.scale().get() + 1e-6 * clip.get();
        for (mean, exact) in decoded.mean.iter().zip(&expected) {
            prop_assert!((f64::from(*mean) - exact).abs() < tolerance, "{} {}", mean, exact);
        }
        prop_assert!((decoded.extras[0] - loss).abs() < 2.01 / f64::from(encoding.caps[0]));
    }

    #[test]
    fn no_layout_and_no_update_panics(
        dimension in 0_usize..9,
        clip in 1e-300_f64..1e300,
        clients in any::<u32>(),
        multiplier in 1e-6_f64..1e12,
        (survivors, colluders) in any::<(u32, u32)>(),
        update in prop::collection::vec(any::<f32>(), 0..9),
        central in any::<bool>(),
    ) {
        let clients = clients >> (clients % 32);
        let survivors = survivors % clients.saturating_add(2);
        let sharers = Sharers::new(survivors, colluders >> 16).map(NoiseMode::Distributed);
        let mode = sharers.ok().filter(|_| !central).unwrap_or(NoiseMode::Central);
        let noise = Some((NoiseMultiplier::new(multiplier).unwrap(), mode));
        let clip = ClipNorm::new(clip.log2().exp2()).unwrap();
        if let Ok(encoding) = Encoding::new(Layout { clip, noise, ..layout(dimension, clients) })
            && let Ok(encoded) = encoding.encode(&update, &[], &mut rng(1))
        {
            encoded.noised(&mut rng(2));
        }
    }
}

/// What moves, and what is paid for, is then the extra entries alone.
#[test]
fn extra_entries_without_an_update() {
    let extras = vec![Extra::new(16.0, 0.5).unwrap(), Extra::new(1.0, 0.7).unwrap()];
    for rotation in [None, Some([5; 32])] {
        let plain = Layout { rotation, extras: extras.clone(), ..layout(0, 10) };
        let encoding = Encoding::new(plain.clone()).unwrap();
        assert_eq!(encoding.words(), 2);
        let clip = encoding.scale().get();
        let caps = [(0.5 * clip) as u128, (0.7 * clip) as u128];
        assert_eq!(encoding.sensitivity().squared_l2, caps[0].pow(2) + caps[1].pow(2));
        let mut sum = vec![0; 2];
        for n in 0..4 {
            let given = [f64::from(n), f64::from(n % 2)];
            let encoded = encoding.encode(&[], &given, &mut rng(u64::from(n as u8))).unwrap();
            add(&mut sum, encoded.noised(&mut rng(9)).words());
        }
        let decoded = Sum::new(&encoding, sum, 4).unwrap().decode().unwrap();
        assert!(decoded.mean.is_empty());
        assert!((decoded.extras[0] - 1.5).abs() < 1e-4, "{decoded:?}");
        assert!((decoded.extras[1] - 0.5).abs() < 1e-4, "{decoded:?}");
        // .5^2 + .7^2 over 2 z^2, with what rounding takes.
        let noisy = Encoding::new(noisy(plain, 8, 1)).unwrap();
        let rho = noisy.cost().unwrap().get();
        assert!((0.0924..0.0926).contains(&rho), "{rho}");
    }
}

/// `privacy/vectors/encoding.json`: one update, rounded, rotated and noised.
#[test]
fn pinned_encoding() {
    let extras =
        vec![Extra::new(4.0, 0.1).unwrap(), crate::clip::AdaptiveClip::extra(0.05).unwrap()];
    let layout = Layout { rotation: Some([5; 32]), extras, ..noisy(layout(6, 50), 40, 10) };
    let encoding = Encoding::new(layout).unwrap();
    let update = [0.5, -0.25, 1.5, 0.0, -2.0, 0.125];
    let mut rng = SimulationRng::from_seed(&[7; 32]);
    let encoded = encoding.encode(&update, &[1.0, -0.5], &mut rng).unwrap();
    let rounded: Vec<i32> = encoded.words().iter().map(|&word| word as i32).collect();
    let noised = encoded.noised(&mut rng).into_words();
    let (share, under) = encoding.noise().unwrap().client_share().unwrap().fraction();
    pinned(
        "encoding.json",
        &serde_json::json!({
            "layout": encoding.layout(),
            "seed": "07 repeated 32 times, to SimulationRng::from_seed",
            "update": update,
            "extras": [1.0, -0.5],
            "scale": encoding.scale().exponent(),
            "squared_sensitivity": encoding.sensitivity().squared_l2.to_string(),
            "share": [share.to_string(), under.to_string()],
            "rounded": rounded,
            "noised": noised,
            "rho": encoding.cost().unwrap().to_string(),
        }),
    );
}

/// The words of documents, with and without one of them, differ by no more than what is paid for; and NaN of one leaves the others as they are.
#[test]
fn a_unit_moves_the_words_by_the_sensitivity_at_most() {
    for (dimension, rotation) in [(1, None), (70, None), (70, Some([3; 32]))] {
        let agreed = Layout { units: 9, rotation, ..noisy(layout(dimension, 50), 40, 10) };
        let encoding = Encoding::new(agreed.clone()).unwrap();
        let mut draw = rng(4);
        let mut units: Vec<Vec<f32>> = (0..9)
            .map(|unit| {
                let entry = |_| (draw.next_u32() as i32) as f32 / 1e9 * (unit as f32 - 2.0);
                (0..dimension).map(entry).collect()
            })
            .collect();
        let words = |units: &[Vec<f32>], seed| {
            encoding.encode_units(units, &mut rng(seed)).unwrap().words().to_vec()
        };
        // The last one is rounded last, so that the others are rounded alike without it.
        let (with, without) = (words(&units, 1), words(&units[..8], 1));
        let squared: u128 = with
            .iter()
            .zip(&without)
            .map(|(a, b)| u128::from((a.wrapping_sub(*b) as i32).unsigned_abs()).pow(2))
            .sum();
        assert!(squared > 0 && squared <= encoding.sensitivity().squared_l2);
        // It is that of one, whatever there may be of them at a client.
        let one = Encoding::new(Layout { units: 1, ..agreed.clone() }).unwrap();
        let clip = |encoding: &Encoding| {
            (encoding.sensitivity().squared_l2 as f64).sqrt() / encoding.scale().get()
        };
        assert!((clip(&encoding) - clip(&one)).abs() < 1e-4);
        units[8][0] = f32::NAN;
        assert_eq!(words(&units, 1), without);
        assert_eq!(words(&[], 1), vec![0; encoding.words()]);
        units.push(vec![0.0; dimension]);
        let error = encoding.encode_units(&units, &mut rng(1)).unwrap_err();
        assert_eq!(error, EncodeError::Units { most: 9, found: 10 });
    }
    let extras = vec![Extra::new(1.0, 0.5).unwrap()];
    let both = Encoding::new(Layout { units: 2, extras, ..layout(3, 3) });
    assert_eq!(both.unwrap_err(), LayoutError::Units(2));
    for units in [0, MAX_UNITS + 1] {
        let none = Encoding::new(Layout { units, ..layout(3, 3) });
        assert_eq!(none.unwrap_err(), LayoutError::Units(units));
    }
}

/// As many units at full length as there may be, all the same way, are within the cap and do not wrap; beyond them the sum is refused.
#[test]
fn sums_of_units_fit_and_are_divided_by_as_many_as_there_may_be() {
    let (clients, most) = (20, 16);
    let encoding = Encoding::new(Layout { units: most, ..layout(1, clients) }).unwrap();
    let of = |units: usize, seed| {
        let all = vec![vec![7.0_f32]; units];
        encoding.encode_units(&all, &mut rng(seed)).unwrap().words().to_vec()
    };
    let mut sum = vec![0; 1];
    (0..clients).for_each(|client| add(&mut sum, &of(most as usize, client.into())));
    let decoded = Sum::new(&encoding, sum, clients).unwrap().decode().unwrap();
    assert!((decoded.mean[0] - 1.0).abs() < 1e-6, "{decoded:?}");
    // Half of them have none.
    let mut sum = vec![0; 1];
    (0..10).for_each(|client| add(&mut sum, &of(16, client)));
    let decoded = Sum::new(&encoding, sum.clone(), clients).unwrap().decode().unwrap();
    assert!((decoded.mean[0] - 0.5).abs() < 1e-6, "{decoded:?}");
    let refused = Sum::new(&encoding, sum, 9).unwrap().decode();
    assert!(matches!(refused, Err(DecodeError::AboveCap { .. })));
}
