//! What made a run, beside its scenario.

use serde::{Deserialize, Serialize};

/// Version of the folder's layout.
pub const FORMAT: u32 = 1;

/// What a run depends on beside its scenario: with the same of these, it gives the same again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of Covey.
    pub covey: String,
    /// Kind of processor, and what it has that decides how models compute.
    pub cpu: Vec<String>,
    /// The first seed.
    pub seed: u64,
}

impl Versions {
    /// What there is here.
    pub fn here(covey: &str, seed: u64) -> Self {
        Self { format: FORMAT, covey: covey.to_owned(), cpu: cpu(), seed }
    }
}

fn cpu() -> Vec<String> {
    let mut cpu = vec![std::env::consts::ARCH.to_owned()];
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let features = [
            ("avx2", has!("avx2")),
            ("fma", has!("fma")),
            ("avx512f", has!("avx512f")),
            ("avx512bw", has!("avx512bw")),
            ("avx512vnni", has!("avx512vnni")),
        ];
        cpu.extend(features.iter().filter(|(_, has)| *has).map(|(name, _)| (*name).to_owned()));
    }
    cpu
}
