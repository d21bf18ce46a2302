//! Attention's way back (Vaswani et al. 2017), head by head and some queries at a time, so that scores stay in
//! the cache whatever the length of a text (Dao et al., `FlashAttention`, 2022).
//!
//! Scores are computed again, with keys as rows and [`WIDTH`] queries as columns. That is a panel, so what
//! is wanted of them are products as they are.

use crate::bert::fast::Attention;
use crate::kernels::matmul::{self, Rows};
use crate::kernels::{Level, WIDTH, back};

#[derive(Default)]
pub(super) struct Buffers {
    /// `[head][tokens]`.
    keys: Vec<f32>,
    /// Of some queries, or of their gradients: `[head][WIDTH]`.
    columns: Vec<f32>,
    /// The same as `[panels of the head][queries][WIDTH]`.
    panels: Vec<f32>,
    /// The shares that some queries give to keys.
    shares: Vec<[f32; WIDTH]>,
    /// Their gradients.
    slopes: Vec<[f32; WIDTH]>,
    /// Gradients of keys, `[tokens][head in whole panels]`.
    key_slopes: Vec<f32>,
    /// Gradients of values, likewise.
    value_slopes: Vec<f32>,
}

/// Fills the rows of `out` with gradients of queries, keys and values, from the rows of `qkv` and the gradients
/// of what [`Attention::attend`] made of them; `strides` are those of `qkv` and `out`, and of `context`.
pub(super) fn back(
    attention: &Attention,
    level: Level,
    qkv: &[f32],
    context: &[f32],
    out: &mut [f32],
    strides: [usize; 2],
    buffers: &mut Buffers,
) {
    let [stride, context_stride] = strides;
    let &Attention { heads, head, width, .. } = attention;
    let (tokens, padded) = (qkv.len() / stride, head.next_multiple_of(WIDTH));
    let Buffers { keys, columns, panels, shares, slopes, key_slopes, value_slopes } = buffers;
    shares.resize(tokens, [0.0; WIDTH]);
    slopes.resize(tokens, [0.0; WIDTH]);
    for start in (0..heads).map(|number| number * head) {
        let rows = |part: usize| Rows { data: &qkv[part * width + start..], stride };
        let [query, key, value] = [0, 1, 2].map(rows);
        keys.resize(head * tokens, 0.0);
        turn(key, tokens, keys, tokens);
        for sum in [&mut *key_slopes, &mut *value_slopes] {
            sum.clear();
            sum.resize(tokens * padded, 0.0);
        }
        for first in (0..tokens).step_by(WIDTH) {
            let count = WIDTH.min(tokens - first);
            let queries = Rows { data: &query.data[first * stride..], stride };
            let data = &context[first * context_stride + start..];
            let given = Rows { data, stride: context_stride };
            columns.clear();
            columns.resize(head * WIDTH, 0.0);
            turn(queries, count, columns, WIDTH);
            matmul::panel(level, key, tokens, columns, shares.as_flattened_mut(), WIDTH);
            back::softmax_down(level, shares);
            turn(given, count, columns, WIDTH);
            matmul::panel(level, value, tokens, columns, slopes.as_flattened_mut(), WIDTH);
            back::softmax_down_back(level, shares, slopes);
            for (weights, rows, sum) in
                [(&*shares, given, &mut *value_slopes), (&*slopes, queries, &mut *key_slopes)]
            {
                pack(rows, count, head, panels);
                let weights = Rows { data: weights.as_flattened(), stride: WIDTH };
                for (number, panel) in panels.chunks_exact(count * WIDTH).enumerate() {
                    let sum = &mut sum[number * WIDTH..];
                    matmul::panel_onto(level, weights, tokens, panel, sum, padded);
                }
            }
            let keys = Rows { data: keys, stride: tokens };
            matmul::panel(level, keys, head, slopes.as_flattened(), columns, WIDTH);
            for (column, out) in out[first * stride..].chunks_mut(stride).take(count).enumerate() {
                let column = columns.iter().skip(column).step_by(WIDTH);
                out[start..start + head].iter_mut().zip(column).for_each(|(out, x)| *out = *x);
            }
        }
        for (part, slopes) in [(1, &*key_slopes), (2, &*value_slopes)] {
            let rows = out.chunks_exact_mut(stride).zip(slopes.chunks_exact(padded));
            for (out, slopes) in rows {
                out[part * width + start..][..head].copy_from_slice(&slopes[..head]);
            }
        }
    }
}

/// Writes `count` rows as columns of `out`, whose rows are `stride` apart and as many as entries are wanted.
fn turn(rows: Rows<'_>, count: usize, out: &mut [f32], stride: usize) {
    for (entry, out) in out.chunks_exact_mut(stride).enumerate() {
        let column = rows.data.iter().skip(entry).step_by(rows.stride);
        out[..count].iter_mut().zip(column).for_each(|(out, x)| *out = *x);
    }
}

/// The first `head` entries of `count` rows as panels.
fn pack(rows: Rows<'_>, count: usize, head: usize, out: &mut Vec<f32>) {
    out.clear();
    out.resize(head.div_ceil(WIDTH) * count * WIDTH, 0.0);
    for (number, panel) in out.chunks_exact_mut(count * WIDTH).enumerate() {
        let first = number * WIDTH;
        let columns = WIDTH.min(head - first);
        for (row, out) in panel.chunks_exact_mut(WIDTH).enumerate() {
            out[..columns].copy_from_slice(&rows.data[row * rows.stride + first..][..columns]);
        }
    }
}
