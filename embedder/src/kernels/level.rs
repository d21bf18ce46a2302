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

/// Kinds of numbers that can be multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Floating point of 32 bits.
    F32,
    /// Whole numbers of sixteen bits.
    Words,
    /// Whole numbers of eight bits.
    Bytes,
}

impl Level {
    /// The numbers to multiply where nobody says which: bytes where there are instructions for them,
    /// words where they are faster than floats and next to as good.
    pub(crate) fn fastest(self) -> Numbers {
        match self.0 {
            Kind::Portable => Numbers::F32,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Numbers::Words,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Numbers::Bytes,
        }
    }

    /// Whether products of bytes are added in pairs of sixteen bits, which bounds the weights of neighbours.
    pub(crate) fn pairs_bytes(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => true,
            _ => false,
        }
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
