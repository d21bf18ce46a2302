//! What a round is made of, each on its own, so that one can see where its time goes.

use covey_crypto::{Digest, MaskStream, RoundSecret, Secret32, SecretKey, derive_key, shamir};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::rows::{Primitive, Row};
use crate::bench::index::meter::cpu;

/// Entries of the vector that is masked.
const ENTRIES: usize = 75_000;
/// Every operation is timed this often; the least counts.
const ROUNDS: usize = 9;

/// Measures them.
pub fn measure() -> Vec<Row> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let identity = SecretKey::from_seed(&[1; 32]);
    let [own, other] = [RoundSecret::draw(&mut rng), RoundSecret::draw(&mut rng)];
    let public = other.public();
    let signature = identity.sign("bench", b"message");
    let places: Vec<u32> = (1..=100).collect();
    let mut vector = vec![0_u32; ENTRIES];
    let mask_us = least(4, || MaskStream::new(&Secret32::from_bytes([3; 32])).add_to(&mut vector));
    let row = |name: &str, us: f64| Primitive { name: name.to_owned(), us, giga_bytes: None };
    let rows = vec![
        row("agreement (ristretto255)", least(50, || own.agree(&public))),
        row("public key", least(50, || own.public())),
        row("signature (Ed25519)", least(50, || identity.sign("bench", b"message"))),
        row(
            "its verification",
            least(50, || {
                identity.public().verify("bench", b"message", &signature).expect("it is right");
            }),
        ),
        row("a derived key", least(200, || derive_key(&[1; 32], &Digest::ZERO, "bench", &[b"a"]))),
        row(
            "100 shares, threshold 67",
            least(2, || shamir::deal(&own, 67, &places, &mut rng).expect("it fits")),
        ),
        Primitive {
            name: format!("a mask of {ENTRIES} entries"),
            us: mask_us,
            giga_bytes: Some(4.0 * ENTRIES as f64 / mask_us / 1e3),
        },
    ];
    rows.into_iter().map(Row::Primitive).collect()
}

/// CPU microseconds of one call: the least of several means.
fn least<T>(calls: u32, mut work: impl FnMut() -> T) -> f64 {
    let means = (0..ROUNDS).map(|_| {
        let before = cpu();
        (0..calls).for_each(|_| drop(std::hint::black_box(work())));
        cpu().saturating_sub(before).as_secs_f64() * 1e6 / f64::from(calls)
    });
    means.fold(f64::INFINITY, f64::min)
}
