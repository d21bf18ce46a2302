//! What the processor can do.

/// A set of instructions that this processor has: the proof that calling code compiled
/// for them is sound, as only detection makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level(pub(super) Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whatever the program was compiled for.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with F, BW, DQ, VL and VNNI, and all of [`Kind::Avx2`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Whether it multiplies more whole numbers at a time than floating-point ones.
    pub(crate) fn prefers_whole(self) -> bool {
        self.0 != Kind::Portable
    }

    /// The most that this processor can do.
    pub(crate) fn best() -> Self {
        let levels = Self::all();
        levels.last().copied().unwrap_or(Self(Kind::Portable))
    }

    /// All that this processor can do, the portable level first, the best last.
    pub(crate) fn all() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 =
                has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            if avx2 {
                levels.push(Self(Kind::Avx2));
            }
            if avx2 && avx512 && has!("avx512vnni") {
                levels.push(Self(Kind::Avx512));
            }
        }
        levels
    }
}
