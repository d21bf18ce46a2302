//! What the processor has, and the most it could do.

use super::{Threads, least};
use crate::kernels::{Level, Numbers, peak as loops};
use crate::{EmbedError, Precision};

use std::time::Duration;

/// Rounds of the loop at a time: some hundred microseconds.
const ROUNDS: u64 = 20_000;

/// The sets of instructions that matter to models, and whether this processor has them.
#[must_use]
pub fn instructions() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
        vec![
            ("avx2", has!("avx2") && has!("fma")),
            ("avx512", avx512),
            ("vnni", avx512 && has!("avx512vnni")),
        ]
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

/// Operations a second, a multiplication and an addition being two, of the instructions that `precision` multiplies with
/// here, by `threads` of one, within about `time`. No product can be faster. `None` where the compiler chose them.
///
/// # Errors
///
/// As [`least`]; the loop itself has none.
pub fn peak(
    precision: Precision,
    threads: &Threads,
    time: Duration,
) -> Result<Option<f64>, EmbedError> {
    let numbers = match precision.here() {
        Precision::Int8 => Numbers::Bytes,
        Precision::Int16 => Numbers::Words,
        Precision::F32 | Precision::Reference | Precision::Auto => Numbers::F32,
    };
    let level = Level::best();
    let Some(count) = loops::multiply(level, numbers, ROUNDS) else { return Ok(None) };
    let seconds = least(threads, time, || {
        loops::multiply(level, numbers, ROUNDS);
        Ok(())
    })?;
    Ok(Some(2.0 * count as f64 / seconds))
}
