//! Codes: the sign of each centred coordinate, one bit per dimension, and one scale per vector.
//!
//! A vector `x` is read back as `mean + scale * signs`. The query stays exact, so the estimate of
//! `q . x` is asymmetric: `q . mean + scale * sum(q_i * sign_i)`. The scale is the one that makes
//! the estimate right along the vector's own direction (RaBitQ, arXiv 2405.12497):
//! `|x - mean|^2 / sum(|x_i - mean_i|)`.

use half::f16;

use crate::vectors::{Rows, dot};

/// Bytes of sign bits for `dim` dimensions.
pub(crate) fn code_bytes(dim: usize) -> usize {
    dim.div_ceil(8)
}

/// Codes of many vectors: sign bits (bit `i % 8` of byte `i / 8` is set for a coordinate above the
/// mean; bits past the dimension are zero) and scales.
pub(crate) struct Codes {
    pub(crate) mean: Vec<f32>,
    pub(crate) bits: Vec<u8>,
    pub(crate) scales: Vec<f16>,
}

impl Codes {
    pub(crate) fn of(rows: Rows<'_>) -> Self {
        let mean = rows.mean();
        let width = code_bytes(rows.dim());
        let mut bits = vec![0u8; rows.len() * width];
        let mut scales = Vec::with_capacity(rows.len());
        for (row, code) in rows.iter().zip(bits.chunks_exact_mut(width)) {
            scales.push(encode_row(row, &mean, code));
        }
        Self { mean, bits, scales }
    }
}

fn encode_row(row: &[f32], mean: &[f32], code: &mut [u8]) -> f16 {
    let (mut square, mut absolute) = (0f64, 0f64);
    for (i, (x, m)) in row.iter().zip(mean).enumerate() {
        let centred = f64::from(x - m);
        square += centred * centred;
        absolute += centred.abs();
        code[i / 8] |= u8::from(centred > 0.0) << (i % 8);
    }
    let scale = if absolute > 0.0 { square / absolute } else { 0.0 };
    f16::from_f64(scale.min(f16::MAX.to_f64()))
}

/// One query against the codes of one segment: a table per byte of code turns an estimate into
/// `code_bytes` additions.
pub(crate) struct Estimator {
    base: f32,
    tables: Vec<[f32; 256]>,
}

impl Estimator {
    pub(crate) fn new(query: &[f32], mean: &[f32]) -> Self {
        let tables = query.chunks(8).map(byte_table).collect();
        Self { base: dot(query, mean), tables }
    }

    /// Estimated inner product of the query with the vector behind this code.
    pub(crate) fn estimate(&self, code: &[u8], scale: f32) -> f32 {
        let signed: f32 =
            self.tables.iter().zip(code).map(|(table, &byte)| table[usize::from(byte)]).sum();
        self.base + scale * signed
    }
}

/// For each value of a byte of code, the sum of the query's coordinates with those signs.
fn byte_table(query: &[f32]) -> [f32; 256] {
    let mut table = [0f32; 256];
    table[0] = -query.iter().sum::<f32>();
    for byte in 1usize..256 {
        let low = byte.trailing_zeros() as usize;
        let gain = query.get(low).map_or(0.0, |x| 2.0 * x);
        table[byte] = table[byte & (byte - 1)] + gain;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate_plainly(query: &[f32], codes: &Codes, i: usize) -> f32 {
        let width = code_bytes(query.len());
        let code = &codes.bits[i * width..(i + 1) * width];
        let scale = codes.scales[i].to_f32();
        (0..query.len())
            .map(|d| {
                let sign = if code[d / 8] >> (d % 8) & 1 == 1 { 1.0 } else { -1.0 };
                query[d] * (codes.mean[d] + sign * scale)
            })
            .sum()
    }

    #[test]
    fn tables_agree_with_the_plain_estimate() {
        for dim in [1, 7, 8, 9, 24, 50] {
            let data: Vec<f32> =
                (0..dim * 5).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
            let rows = Rows::new(&data, dim);
            let codes = Codes::of(rows);
            let query: Vec<f32> = (0..dim).map(|i| ((i * 13 % 17) as f32 - 8.0) / 8.0).collect();
            let estimator = Estimator::new(&query, &codes.mean);
            let width = code_bytes(dim);
            for i in 0..5 {
                let code = &codes.bits[i * width..(i + 1) * width];
                let fast = estimator.estimate(code, codes.scales[i].to_f32());
                let plain = estimate_plainly(&query, &codes, i);
                assert!((fast - plain).abs() < 1e-3, "dim {dim}: {fast} against {plain}");
            }
        }
    }

    #[test]
    fn the_estimate_is_right_along_the_vector_itself() {
        let data: Vec<f32> = (0..64 * 8).map(|i| ((i * 31 % 97) as f32 - 48.0) / 97.0).collect();
        let rows = Rows::new(&data, 64);
        let codes = Codes::of(rows);
        for i in 0..rows.len() {
            let centred: Vec<f32> =
                rows.row(i).iter().zip(&codes.mean).map(|(x, m)| x - m).collect();
            let estimator = Estimator::new(&centred, &codes.mean);
            let estimate =
                estimator.estimate(&codes.bits[i * 8..(i + 1) * 8], codes.scales[i].to_f32());
            let exact = dot(&centred, rows.row(i));
            assert!(
                (estimate - exact).abs() < 0.01 * exact.abs().max(1.0),
                "{estimate} against {exact}"
            );
        }
    }

    #[test]
    fn identical_vectors_have_no_direction_and_a_zero_scale() {
        let data = [0.25f32; 16].repeat(3);
        let codes = Codes::of(Rows::new(&data, 16));
        assert!(codes.scales.iter().all(|scale| scale.to_f32() == 0.0));
    }
}
