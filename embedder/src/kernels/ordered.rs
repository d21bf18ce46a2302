//! Products whose sums are taken in the order of their terms, so that every level and every machine gives the same bits:
//! what becomes part of a model's id. All in plain Rust, as [`rows`](super::rows); nothing is fused.

#![allow(unsafe_code)]

use super::versions::versions;

/// Sums that are under way at a time.
const SUMS: usize = 64;

versions! {
    /// Writes `vector` times `matrix`, `[vector.len(), out.len()]` row by row.
    times = times_body(vector: &[f32], matrix: &[f32], out: &mut [f32])
}

#[inline(always)]
fn times_body<const FUSED: bool>(vector: &[f32], matrix: &[f32], out: &mut [f32]) {
    let outputs = out.len();
    let (wide, rest) = out.as_chunks_mut::<SUMS>();
    for (tile, out) in wide.iter_mut().enumerate() {
        let mut sums = [0.0; SUMS];
        for (row, x) in matrix.chunks_exact(outputs).zip(vector) {
            let Some(row) = row[tile * SUMS..].first_chunk::<SUMS>() else { continue };
            sums.iter_mut().zip(row).for_each(|(sum, m)| *sum += m * x);
        }
        *out = sums;
    }
    let first = outputs - rest.len();
    rest.fill(0.0);
    for (row, x) in matrix.chunks_exact(outputs.max(1)).zip(vector) {
        rest.iter_mut().zip(&row[first..]).for_each(|(sum, m)| *sum += m * x);
    }
}
