//! The most that a processor could multiply: the very instructions of the products, on registers
//! alone, so that neither memory nor anything around them can hold them up.

#![allow(unsafe_code)]

use super::{Level, Numbers};

/// Runs `rounds` rounds of the instructions that products of `numbers` are made of at `level`, and
/// returns how many pairs of numbers were multiplied and added up; `None` where the portable code
/// decides on instructions.
#[cfg(target_arch = "x86_64")]
pub(crate) fn multiply(level: Level, numbers: Numbers, rounds: u64) -> Option<u64> {
    use super::level::Kind;
    use super::x86_peak::*;
    let run: unsafe fn(u64) = match (level.0, numbers) {
        (Kind::Portable, _) => return None,
        (Kind::Avx2, Numbers::F32) => floats_avx2,
        (Kind::Avx2, Numbers::Words) => words_avx2,
        (Kind::Avx2, Numbers::Bytes) => bytes_avx2,
        (Kind::Avx512, Numbers::F32) => floats_avx512,
        (Kind::Avx512, Numbers::Words) => words_avx512,
        (Kind::Avx512, Numbers::Bytes) => bytes_avx512,
    };
    let rounds = rounds.max(1);
    // SAFETY: the level vouches for the processor.
    unsafe { run(rounds) };
    let register = if level.0 == Kind::Avx512 { 64 } else { 32 };
    let bytes = match numbers {
        Numbers::F32 => 4,
        Numbers::Words => 2,
        Numbers::Bytes => 1,
    };
    Some(rounds * SUMS * register / bytes)
}

/// The same where there is only portable code.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn multiply(_: Level, _: Numbers, _: u64) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_counts_what_it_multiplies() {
        for level in Level::all() {
            let count = |numbers, rounds| multiply(level, numbers, rounds);
            let Some(floats) = count(Numbers::F32, 100) else { continue };
            assert_eq!(count(Numbers::F32, 200), Some(2 * floats));
            assert_eq!(count(Numbers::Words, 100), Some(2 * floats));
            assert_eq!(count(Numbers::Bytes, 100), Some(4 * floats));
            assert!(floats >= 100 * 12 * 8);
        }
    }
}
