//! The inner loops of scans: by AVX-512 or AVX2 where the machine has them, else portably.
#![allow(unsafe_code)]

use super::query::QueryBand;
use super::sweep::{self, Sweep};

/// What a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With the instructions for bytes and for dot products of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// What this machine has.
pub(super) fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512bw") && has!("avx512vnni") {
            return Level::Avx512;
        }
        if has!("avx2") {
            return Level::Avx2;
        }
    }
    Level::Portable
}

/// Whether [`sums`] has a vector path on this machine.
pub(super) fn available() -> bool {
    level() != Level::Portable
}

/// Gives `each`, for each whole code of `width` bytes in `codes`, the sum over bands, planes and set
/// bits of the query's value times the plane's weight.
pub(super) fn sums(bands: &[QueryBand], width: usize, codes: &[u8], each: &mut impl FnMut(i32)) {
    match level() {
        Level::Portable => portable(bands, width, codes, each),
        // SAFETY: the level vouches for what the functions are compiled for.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::narrow(bands, width, codes, each) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::wide(bands, width, codes, each) },
    }
}

/// By tables: one lookup a byte of code. What the vector path is tested against.
pub(super) fn portable(
    bands: &[QueryBand],
    width: usize,
    codes: &[u8],
    each: &mut impl FnMut(i32),
) {
    for code in codes.chunks_exact(width) {
        let (mut at, mut total) = (0, 0i32);
        for band in bands {
            let mut sum = 0i32;
            for plane in code[at..at + band.plane * band.planes].chunks_exact(band.plane) {
                let bytes = plane.iter().zip(&band.sums);
                let set: i32 =
                    bytes.map(|(&byte, table)| i32::from(table[usize::from(byte)])).sum();
                sum = 2 * sum + set;
            }
            total += sum;
            at += band.plane * band.planes;
        }
        each(total);
    }
}

/// Fetches bytes into the processor's caches ahead of their use.
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: any address may be prefetched, and this one is within a borrowed slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// A sweep of everything, whatever its estimate.
#[cfg(test)]
pub(super) type Sweeping = fn(&Sweep, &[u8], &[u8], &mut dyn FnMut(usize, f32));

/// All that this machine can do, to compare them.
#[cfg(test)]
pub(super) fn sweeps() -> Vec<Sweeping> {
    const ALL: f32 = f32::NEG_INFINITY;
    let mut sweeps: Vec<Sweeping> = vec![|sweep, planes, scales, visit| {
        let visit = &mut |i, estimate| {
            visit(i, estimate);
            ALL
        };
        sweep.each(planes, scales, ALL, visit, sweep::portable);
    }];
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx2") {
            sweeps.push(|sweep, planes, scales, visit| {
                let visit = &mut |i, estimate| {
                    visit(i, estimate);
                    ALL
                };
                // SAFETY: detected just now.
                unsafe { x86::sweep_avx2(sweep, planes, scales, ALL, visit) }
            });
        }
        if has!("avx512bw") {
            sweeps.push(|sweep, planes, scales, visit| {
                let visit = &mut |i, estimate| {
                    visit(i, estimate);
                    ALL
                };
                // SAFETY: detected just now.
                unsafe { x86::sweep_avx512(sweep, planes, scales, ALL, visit) }
            });
        }
    }
    sweeps
}

/// As [`Sweep::run`].
pub(super) fn sweep(
    sweep: &Sweep,
    planes: &[u8],
    scales: &[u8],
    bar: f32,
    visit: &mut impl FnMut(usize, f32) -> f32,
) {
    match level() {
        Level::Portable => sweep.each(planes, scales, bar, visit, sweep::portable),
        // SAFETY: the level vouches for what the functions are compiled for.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::sweep_avx2(sweep, planes, scales, bar, visit) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::sweep_avx512(sweep, planes, scales, bar, visit) },
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use super::super::query::QueryBand;
    use super::super::sweep::{STRIP, Sums, Sweep, Table};

    /// A plane's 64 bits are a mask of 64 bytes: one masked dot product with ones adds up what is set.
    #[target_feature(enable = "avx512bw,avx512vnni")]
    pub(super) fn wide(
        bands: &[QueryBand],
        width: usize,
        codes: &[u8],
        each: &mut impl FnMut(i32),
    ) {
        let ones = _mm512_set1_epi8(1);
        for row in 0..codes.len() / width {
            let (mut at, mut total) = (row * width, _mm512_setzero_si512());
            for band in bands {
                for (group, values) in band.values.as_chunks::<64>().0.iter().enumerate() {
                    // SAFETY: both are plain numbers of one size.
                    let values: __m512i = unsafe { transmute(*values) };
                    let mut sum = _mm512_setzero_si512();
                    for plane in 0..band.planes {
                        // What lies past a plane's end meets zeros in `values`.
                        let mask = word(codes, at + plane * band.plane + 8 * group);
                        let set = _mm512_maskz_mov_epi8(mask, ones);
                        sum = _mm512_dpbusd_epi32(_mm512_slli_epi32::<1>(sum), set, values);
                    }
                    total = _mm512_add_epi32(total, sum);
                }
                at += band.plane * band.planes;
            }
            each(_mm512_reduce_add_epi32(total));
        }
    }

    /// The same with 32 bits of a plane at a time. Sums of two values times the weights of up to eight
    /// planes outgrow 16 bits, so the highest plane is added last, in 32.
    #[target_feature(enable = "avx2")]
    pub(super) fn narrow(
        bands: &[QueryBand],
        width: usize,
        codes: &[u8],
        each: &mut impl FnMut(i32),
    ) {
        // Byte i of a register looks at bit i mod 8 of byte i div 8.
        let which = _mm256_setr_epi64x(
            0,
            0x0101_0101_0101_0101,
            0x0202_0202_0202_0202,
            0x0303_0303_0303_0303,
        );
        let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201u64.cast_signed());
        let (ones, pairs) = (_mm256_set1_epi8(1), _mm256_set1_epi16(1));
        for row in 0..codes.len() / width {
            let (mut at, mut total) = (row * width, _mm256_setzero_si256());
            for band in bands {
                for (group, values) in band.values.as_chunks::<32>().0.iter().enumerate() {
                    // SAFETY: both are plain numbers of one size.
                    let values: __m256i = unsafe { transmute(*values) };
                    let set = |plane: usize| {
                        // What lies past a plane's end meets zeros in `values`.
                        let bits = word(codes, at + plane * band.plane + 4 * group) as u32;
                        let spread =
                            _mm256_shuffle_epi8(_mm256_set1_epi32(bits.cast_signed()), which);
                        let set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
                        _mm256_maddubs_epi16(_mm256_and_si256(set, ones), values)
                    };
                    let mut sum = _mm256_setzero_si256();
                    for plane in 1..band.planes {
                        sum = _mm256_add_epi16(_mm256_slli_epi16::<1>(sum), set(plane));
                    }
                    total = _mm256_add_epi32(total, _mm256_madd_epi16(sum, pairs));
                    if band.planes > 0 {
                        let weight = _mm256_set1_epi16(1i16 << (band.planes - 1));
                        total = _mm256_add_epi32(total, _mm256_madd_epi16(set(0), weight));
                    }
                }
                at += band.plane * band.planes;
            }
            // SAFETY: as above.
            let lanes: [i32; 8] = unsafe { transmute(total) };
            each(lanes.iter().sum());
        }
    }

    /// Eight bytes from `at`, with zeros past the end.
    #[inline]
    fn word(codes: &[u8], at: usize) -> u64 {
        if let Some(bytes) = codes.get(at..).and_then(<[u8]>::first_chunk) {
            return u64::from_le_bytes(*bytes);
        }
        let rest = codes.get(at..).unwrap_or_default();
        rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    }

    /// As [`Sweep::run`].
    #[target_feature(enable = "avx512bw")]
    pub(super) fn sweep_avx512(
        sweep: &Sweep,
        planes: &[u8],
        scales: &[u8],
        bar: f32,
        visit: &mut impl FnMut(usize, f32) -> f32,
    ) {
        sweep.each(planes, scales, bar, visit, |tables, planes| sums_avx512(tables, planes));
    }

    /// As [`Sweep::run`].
    #[target_feature(enable = "avx2")]
    pub(super) fn sweep_avx2(
        sweep: &Sweep,
        planes: &[u8],
        scales: &[u8],
        bar: f32,
        visit: &mut impl FnMut(usize, f32) -> f32,
    ) {
        sweep.each(planes, scales, bar, visit, |tables, planes| sums_avx2(tables, planes));
    }

    /// Four strips at once.
    #[inline]
    #[target_feature(enable = "avx512bw")]
    fn sums_avx512(tables: &[Table], planes: &[u8]) -> Sums {
        let nibble = _mm512_set1_epi8(15);
        let (mut all, mut odd) = ([_mm512_setzero_si512(); 2], [_mm512_setzero_si512(); 2]);
        let mut add = |table: __m512i, strips: __m512i| {
            let halves = [strips, _mm512_srli_epi16::<4>(strips)];
            for half in 0..2 {
                let entries = _mm512_shuffle_epi8(table, _mm512_and_si512(halves[half], nibble));
                all[half] = _mm512_add_epi16(all[half], entries);
                odd[half] = _mm512_add_epi16(odd[half], _mm512_srli_epi16::<8>(entries));
            }
        };
        let (fours, rest) = tables.as_chunks::<4>();
        let (strips, planes) = planes.as_chunks::<{ 4 * STRIP }>();
        for (tables, strips) in fours.iter().zip(strips) {
            // SAFETY: all are plain numbers of one size.
            add(unsafe { transmute::<[Table; 4], __m512i>(*tables) }, unsafe {
                transmute::<[u8; 4 * STRIP], __m512i>(*strips)
            });
        }
        if !rest.is_empty() {
            let (mut tables, mut strips) = ([[0; 16]; 4], [0; 4 * STRIP]);
            tables[..rest.len()].copy_from_slice(rest);
            strips[..planes.len()].copy_from_slice(planes);
            // SAFETY: as above.
            add(unsafe { transmute::<[Table; 4], __m512i>(tables) }, unsafe {
                transmute::<[u8; 4 * STRIP], __m512i>(strips)
            });
        }
        let folded = |words: __m512i| {
            let high = _mm512_extracti64x4_epi64::<1>(words);
            _mm256_add_epi16(_mm512_castsi512_si256(words), high)
        };
        columns(all.map(folded), odd.map(folded))
    }

    /// Two strips at once, as in [`sums_avx512`]. There is an even number of them.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn sums_avx2(tables: &[Table], planes: &[u8]) -> Sums {
        let nibble = _mm256_set1_epi8(15);
        let (mut all, mut odd) = ([_mm256_setzero_si256(); 2], [_mm256_setzero_si256(); 2]);
        let (twos, _) = tables.as_chunks::<2>();
        for (tables, strips) in twos.iter().zip(planes.as_chunks::<{ 2 * STRIP }>().0) {
            // SAFETY: all are plain numbers of one size.
            let table = unsafe { transmute::<[Table; 2], __m256i>(*tables) };
            // SAFETY: as above.
            let strips = unsafe { transmute::<[u8; 2 * STRIP], __m256i>(*strips) };
            let halves = [strips, _mm256_srli_epi16::<4>(strips)];
            for half in 0..2 {
                let entries = _mm256_shuffle_epi8(table, _mm256_and_si256(halves[half], nibble));
                all[half] = _mm256_add_epi16(all[half], entries);
                odd[half] = _mm256_add_epi16(odd[half], _mm256_srli_epi16::<8>(entries));
            }
        }
        columns(all, odd)
    }

    /// The sums of a group's low and high halves: those of even columns are what `all` has without the
    /// odd ones' share, those of odd columns are `odd`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn columns(all: [__m256i; 2], odd: [__m256i; 2]) -> Sums {
        let mut sums = [0u16; 2 * STRIP];
        for half in 0..2 {
            let even = _mm256_sub_epi16(all[half], _mm256_slli_epi16::<8>(odd[half]));
            let (low, high) =
                (_mm256_unpacklo_epi16(even, odd[half]), _mm256_unpackhi_epi16(even, odd[half]));
            for (part, words) in [low, high].into_iter().enumerate() {
                let one = _mm_add_epi16(
                    _mm256_castsi256_si128(words),
                    _mm256_extracti128_si256::<1>(words),
                );
                // SAFETY: both are plain numbers of one size.
                let one: [u16; 8] = unsafe { transmute(one) };
                sums[half * STRIP + part * 8..][..8].copy_from_slice(&one);
            }
        }
        sums
    }
}
