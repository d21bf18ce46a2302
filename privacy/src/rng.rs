//! Where noise comes from: one type for real noise, another for simulations.
//!
//! Both are ChaCha20 streams. What differs is who knows the seed, so they're two types: a function
//! that protects somebody takes a [`NoiseRng`], and a seeded [`SimulationRng`] doesn't fit there.
//! Protocol code that runs in both worlds is generic over [`Randomness`], and its results carry the
//! generator's type.

use std::convert::Infallible;
use std::fmt;

use covey_crypto::{Digest, Secret32};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng, TryCryptoRng, TryRng};

mod sealed {
    pub trait Sealed {}
}

/// A generator that noise may be drawn from: [`NoiseRng`] or [`SimulationRng`], and no other.
pub trait Randomness: CryptoRng + sealed::Sealed {
    /// Whether what it draws protects anybody.
    const REAL: bool;
}

macro_rules! generator {
    ($(#[$doc:meta])* $name:ident, $real:literal) => {
        $(#[$doc])*
        pub struct $name(ChaCha20Rng);

        impl sealed::Sealed for $name {}

        impl Randomness for $name {
            const REAL: bool = $real;
        }

        impl TryRng for $name {
            type Error = Infallible;

            #[inline]
            fn try_next_u32(&mut self) -> Result<u32, Infallible> {
                Ok(self.0.next_u32())
            }

            #[inline]
            fn try_next_u64(&mut self) -> Result<u64, Infallible> {
                Ok(self.0.next_u64())
            }

            #[inline]
            fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
                self.0.fill_bytes(out);
                Ok(())
            }
        }

        impl TryCryptoRng for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

generator! {
    /// Real noise. Made only from a secret that the caller drew from the operating system for this
    /// one use, and gives away; there is no `Clone`, so no two vectors share a stream.
    NoiseRng, true
}
generator! {
    /// Noise of a simulation: whoever knows the seed can take it off again, so it protects nobody.
    SimulationRng, false
}

impl NoiseRng {
    /// Takes a secret fresh from the operating system. Its use here is separated from any other by
    /// a hash.
    pub fn from_secret(secret: Secret32) -> Self {
        Self(stream("covey noise generator v1", secret.expose()))
    }
}

impl SimulationRng {
    /// The generator of a seed: the same seed, the same noise.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(stream("covey simulated noise generator v1", seed))
    }

    /// The generator of a small seed and a stream's number (a peer, a round).
    pub fn numbered(seed: u64, stream: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&stream.to_le_bytes());
        Self::from_seed(&bytes)
    }
}

fn stream(domain: &str, seed: &[u8; 32]) -> ChaCha20Rng {
    let mut key = *Digest::of(domain, &[seed]).as_bytes();
    let rng = ChaCha20Rng::from_seed(key);
    zeroize::Zeroize::zeroize(&mut key);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_kinds_never_share_a_stream() {
        let real = NoiseRng::from_secret(Secret32::from_bytes([7; 32])).next_u64();
        let simulated = SimulationRng::from_seed(&[7; 32]).next_u64();
        assert_ne!(real, simulated);
        assert_eq!(simulated, SimulationRng::from_seed(&[7; 32]).next_u64());
        assert_ne!(
            SimulationRng::numbered(1, 2).next_u64(),
            SimulationRng::numbered(2, 1).next_u64()
        );
        assert_eq!(format!("{:?}", SimulationRng::numbered(1, 2)), "SimulationRng(..)");
    }
}
