//! Loops of the instructions that [`x86`](super::x86) and [`x86_int`](super::x86_int) multiply with, for [`peak`](super::peak).
//!
//! They are assembly, since a compiler would see that they compute nothing.

#![allow(unsafe_code)]

/// Sums that a round adds to, each in a register of its own: enough that none waits for itself.
pub(super) const SUMS: u64 = 12;

/// Defines `$name` as a loop over the instructions of a step, once for each of twelve sums, in registers of the kind
/// `$kind`. Registers 0 to 2 hold what is multiplied, 3 what lies between.
macro_rules! rounds {
    ($name:ident, $features:literal, $kind:literal, [$($step:literal),*]) => {
        rounds!($name, $features, $kind, [$($step),*], "4" "5" "6" "7" "8" "9" "10" "11" "12" "13" "14" "15");
    };
    ($name:ident, $features:literal, $kind:literal, $step:tt, $($sum:literal)*) => {
        #[target_feature(enable = $features)]
        pub(super) fn $name(rounds: u64) {
            // SAFETY: nothing but the registers named below and the flags is touched.
            unsafe {
                std::arch::asm!(
                    concat!("vpxor xmm0, xmm0, xmm0\nvpxor xmm1, xmm1, xmm1\nvpxor xmm2, xmm2, xmm2\n"),
                    $(concat!("vpxor xmm", $sum, ", xmm", $sum, ", xmm", $sum),)*
                    "2:",
                    $(rounds!(@step $kind, $sum, $step),)*
                    "sub {rounds}, 1",
                    "jnz 2b",
                    "vzeroupper",
                    rounds = inout(reg) rounds => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                    out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nomem, nostack)
                );
            }
        }
    };
    (@step $kind:literal, $sum:literal, [$last:literal]) => {
        concat!($last, " ", $kind, "mm", $sum, ", ", $kind, "mm0, ", $kind, "mm1")
    };
    (@step $kind:literal, $sum:literal, [$multiply:literal, $add:literal]) => {
        concat!($multiply, " ", $kind, "mm3, ", $kind, "mm0, ", $kind, "mm1\n",
                $add, " ", $kind, "mm", $sum, ", ", $kind, "mm", $sum, ", ", $kind, "mm3")
    };
    (@step $kind:literal, $sum:literal, [$multiply:literal, $pairs:literal, $add:literal]) => {
        concat!($multiply, " ", $kind, "mm3, ", $kind, "mm0, ", $kind, "mm1\n",
                $pairs, " ", $kind, "mm3, ", $kind, "mm3, ", $kind, "mm2\n",
                $add, " ", $kind, "mm", $sum, ", ", $kind, "mm", $sum, ", ", $kind, "mm3")
    };
}

rounds!(floats_avx2, "avx2,fma", "y", ["vfmadd231ps"]);
rounds!(words_avx2, "avx2", "y", ["vpmaddwd", "vpaddd"]);
rounds!(bytes_avx2, "avx2", "y", ["vpmaddubsw", "vpmaddwd", "vpaddd"]);
rounds!(floats_avx512, "avx512f", "z", ["vfmadd231ps"]);
rounds!(words_avx512, "avx512f,avx512vnni", "z", ["vpdpwssd"]);
rounds!(bytes_avx512, "avx512f,avx512vnni", "z", ["vpdpbusd"]);
