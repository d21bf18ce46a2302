//! Secure aggregation of what is really sent: updates that were clipped, rounded and noised
//! (docs/spec/noise.md) go through masks and dropouts, and come out as their plain sum and a mean.

use covey_privacy::clip::{factor, l2_norm};
use covey_privacy::encode::{Encoding, Extra, Layout, Sum};
use covey_privacy::noise::NoiseError;
use covey_privacy::noise::NoiseMode;
use covey_privacy::rng::SimulationRng;
use covey_privacy::{ClipNorm, NoiseMultiplier, Sharers};
use covey_protocol::limits::MAX_COHORT;
use covey_protocol::secagg::{Bounds, Parameters, Topology};
use rand_chacha::rand_core::Rng;

use crate::secagg_round::{LOOSE, Leaves, run_with, terms};

fn layout(dimension: usize, clients: u32) -> Layout {
    let clip = ClipNorm::new(1.0).expect("above 0");
    Layout { dimension, clip, clients, units: 1, noise: None, rotation: None, extras: vec![] }
}

/// With noise of `multiplier` times the clip norm, made for these survivors and colluders.
fn noisy(layout: Layout, multiplier: f64, survivors: u32, colluders: u32) -> Encoding {
    let multiplier = NoiseMultiplier::new(multiplier).expect("above 0");
    let sharers = Sharers::new(survivors, colluders).expect("somebody is honest");
    let mode = NoiseMode::Distributed(sharers);
    Encoding::new(Layout { noise: Some((multiplier, mode)), ..layout }).expect("a layout")
}

fn plain(vectors: &[Vec<u32>]) -> Vec<u32> {
    let mut sum = vec![0_u32; vectors[0].len()];
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
    }
    sum
}

/// Seven clients send noised updates and a loss, on a rotated grid; one drops out with its vector
/// masked but not sent, one after agreeing. Bit for bit the sum is the plain one. The mean's
/// distance from the exact one is noise: its squares are within 5 deviations of what they should
/// be, and no entry or loss is off by more than 6 of its own. With another seed, a right round
/// fails once in 300,000 runs.
#[test]
fn a_private_round_gives_the_mean_within_its_noise() {
    let (clients, dimension) = (7, 1_000);
    let extras = vec![Extra::new(4.0, 0.1).expect("an extra")];
    let quiet = Layout { rotation: Some([3; 32]), extras, ..layout(dimension, clients) };
    let encoding = noisy(quiet, 1.0, 6, 1);
    let mut rng = SimulationRng::numbered(51, 0);
    let mut updates: Vec<Vec<f32>> = Vec::new();
    let mut vectors = Vec::new();
    for n in 0..clients {
        // Some are shorter than the clip norm, some longer.
        let length = 0.02 * (n + 1) as f32;
        let entry = |_| length * (rng.next_u32() as f32 / u32::MAX as f32 - 0.3);
        let update: Vec<f32> = (0..dimension).map(entry).collect();
        let encoded = encoding.encode(&update, &[f64::from(n) / 2.0], &mut rng).expect("encodes");
        vectors.push(encoded.noised(&mut rng).into_words());
        updates.push(update);
    }
    let bounds = Bounds { collusion_permille: 150, dropout_permille: 150, ..Bounds::default() };
    let terms = terms(Topology::Complete, clients, encoding.words() as u32, bounds);
    let mut leaves = [Leaves::Never; 7];
    leaves[2] = Leaves::BeforeUpload;
    leaves[4] = Leaves::BeforeOpening;
    let summed = run_with(&terms, &leaves, vectors.clone(), 52).expect("sums");
    vectors.remove(2);
    assert_eq!(summed.sum, plain(&vectors));

    let survivors = summed.survivors.len() as u32;
    assert_eq!(survivors, 6);
    let decoded = Sum::new(&encoding, summed.sum, survivors).expect("fits").decode().expect("mean");
    updates.remove(2);
    let mut residual: Vec<f64> = decoded.mean.iter().map(|&x| f64::from(x)).collect();
    for update in &updates {
        let factor = factor(l2_norm(update), encoding.layout().clip) / f64::from(survivors);
        residual.iter_mut().zip(update).for_each(|(sum, x)| *sum -= f64::from(*x) * factor);
    }
    let units: Vec<f64> = residual.iter().map(|x| x / decoded.deviation).collect();
    let ratio = units.iter().map(|x| x * x).sum::<f64>() / dimension as f64;
    assert!((ratio - 1.0).abs() < 5.0 * (2.0 / dimension as f64).sqrt(), "{ratio}");
    assert!(units.iter().all(|x| x.abs() < 6.0));
    // The loss weighs a tenth of the clip norm, so a bound of 4 is a tenth of a unit.
    let loss = [0.0, 0.5, 1.5, 2.0, 2.5, 3.0].iter().sum::<f64>() / 6.0;
    assert!((decoded.extras[0] - loss).abs() < 6.0 * decoded.deviation * 4.0 / 0.1);
}

/// Everybody at the clip norm in one direction, where the clients' largest entries come to all that
/// 32 bits hold: 64 times 2^25 - 1 on the one side, less on the other.
#[test]
fn everybody_at_the_limit_does_not_wrap() {
    let clients = 64;
    let clip = ClipNorm::new(8.0 - 2_f64.powi(-22)).expect("above 0");
    let encoding = Encoding::new(Layout { clip, ..layout(3, clients) }).expect("a layout");
    assert_eq!(encoding.largest_entry(), (1 << 25) - 1);
    let bounds = Bounds { collusion_permille: 100, dropout_permille: 0, ..Bounds::default() };
    let terms = terms(Topology::Complete, clients, 3, bounds);
    let largest = f64::from(f32::MAX);
    for sign in [1.0, -1.0] {
        let mut rng = SimulationRng::numbered(53, 0);
        let update = [0.0, (sign * largest) as f32, 0.0];
        let words = encoding.encode(&update, &[], &mut rng).expect("encodes").noised(&mut rng);
        let vectors = vec![words.into_words(); clients as usize];
        let summed = run_with(&terms, &[Leaves::Never; 64], vectors, 54).expect("sums");
        let exact = sign as i64 * i64::from(clients) * ((1 << 25) - 1);
        assert_eq!(i64::from(summed.sum[1] as i32), exact);
        let decoded = Sum::new(&encoding, summed.sum, clients).expect("fits").decode();
        assert_eq!(decoded.expect("a mean").mean, [0.0, (sign * clip.get()) as f32, 0.0]);
    }
}

/// The largest cohort that a round takes, everybody at the clip norm and with noise: 16,384 times
/// one client's words, in wide integers and modulo 2^32.
#[test]
fn the_largest_cohort_does_not_wrap() {
    for multiplier in [0.5, 2.0, 100.0] {
        let encoding = noisy(layout(2, MAX_COHORT), multiplier, MAX_COHORT, 0);
        let mut rng = SimulationRng::numbered(55, 0);
        let largest = i64::from(encoding.largest_entry());
        let noise = encoding.noise().expect("noisy").deviation(MAX_COHORT);
        assert!(largest * i64::from(MAX_COHORT) + (8.0 * noise) as i64 <= 1 << 31);
        let (mut wide, mut words) = ([0_i64; 2], [0_u32; 2]);
        for _ in 0..MAX_COHORT {
            let encoded = encoding.encode(&[f32::MAX, 0.0], &[], &mut rng).expect("encodes");
            for (at, word) in encoded.noised(&mut rng).words().iter().enumerate() {
                wide[at] += i64::from(*word as i32);
                words[at] = words[at].wrapping_add(*word);
            }
        }
        assert_eq!(words.map(|word| i64::from(word as i32)), wide);
        let sum = Sum::new(&encoding, words.to_vec(), MAX_COHORT).expect("fits");
        let decoded = sum.decode().expect("a mean");
        // 6 deviations: once in 10^8 runs.
        assert!((f64::from(decoded.mean[0]) - 1.0).abs() < 6.0 * decoded.deviation);
    }
}

/// N14: a plan's noise is made for those whom the secure sum makes certain, and a plan that counts on one more
/// is refused. In every cohort that the round may have, the honest ones that are summed add up to the promise.
#[test]
fn noise_counts_on_those_whom_the_sum_makes_certain() {
    let multiplier = NoiseMultiplier::new(2.0).expect("above 0");
    for (topology, bounds) in [
        (Topology::Complete, Bounds::default()),
        (Topology::Complete, LOOSE),
        (Topology::Sparse, Bounds::default()),
        (Topology::Sparse, LOOSE),
    ] {
        let (min_cohort, max_cohort) = (40, 90);
        let parameters = Parameters { topology, entries: 2, min_cohort, max_cohort, bounds };
        let honest = parameters.fewest_honest().expect("reachable");
        let sum = parameters.sharers().expect("somebody");
        assert_eq!((sum.survivors(), sum.honest()), (parameters.fewest_survivors(), honest));
        let mode = NoiseMode::Distributed(sum);
        let noise = Some((multiplier, mode));
        let encoding = Encoding::new(Layout { noise, ..layout(2, max_cohort) }).expect("a layout");
        let (share, promised) = {
            let noise = encoding.noise().expect("noisy");
            (noise.client_share().expect("shared").to_f64(), noise.promised().to_f64())
        };
        for n in min_cohort..=max_cohort {
            let thresholds = parameters.thresholds(n).expect("reachable");
            assert!(f64::from(thresholds.honest) * share >= promised * (1.0 - 1e-12), "{n}");
            assert!(Sum::new(&encoding, vec![0; 2], thresholds.survivors).is_ok(), "{n}");
        }
        assert_eq!(sum.within(sum), Ok(()));
        let more = Sharers::of_sum(sum.survivors(), honest + 1).expect("somebody");
        let refused = Err(NoiseError::CountsOnMore { counted: honest + 1, certain: honest });
        assert_eq!(more.within(sum), refused);
    }
}
