//! Attention in whole numbers of sixteen bits. Each head's queries, keys and values have one
//! step for the whole text; the shares that a query gives to the values add up to
//! [`WHOLE`](whole::WHOLE), so that no sum outgrows an i32.

use super::Attention;
use crate::kernels::matmul_int::{Panels, Tile, Weight, most_factor};
use crate::kernels::{Level, TILE, WIDTH, whole};

/// Most steps either way of zero of queries and keys.
const MOST: u32 = 8_191;
/// The same of values. Shares add up to at most 1.5 [`WHOLE`](whole::WHOLE) with rounding (2^15 of
/// them rounded up), and that times this fits an i32.
const MOST_VALUE: f32 = 16_383.0;

/// One head's queries, keys and values, and a tile of what becomes of them.
#[derive(Default)]
pub(super) struct Buffers {
    /// `[tokens][head in whole groups]`.
    queries: Vec<i16>,
    /// The same for keys, then for values, on their way into panels.
    rows: Vec<i16>,
    /// `[head, tokens]`.
    keys: Panels<i16>,
    /// `[tokens, head]`.
    values: Panels<i16>,
    /// `[TILE][tokens in whole panels]`.
    scores: Vec<i32>,
    /// `[tokens]`.
    room: Vec<f32>,
    /// `[TILE][tokens in whole groups]`.
    shares: Vec<i16>,
    mixed: Tile,
}

/// What one step of a score, and one step of a share times a value, stand for.
struct Units {
    score: f32,
    value: f32,
}

impl Attention {
    pub(super) fn attend_whole(
        &self,
        level: Level,
        qkv: &[f32],
        context: &mut [f32],
        [stride, out_stride]: [usize; 2],
        buffers: &mut Buffers,
    ) {
        let tokens = qkv.len() / stride;
        let length = self.head.next_multiple_of(i16::GROUP);
        for number in 0..self.heads {
            let start = number * self.head;
            let units = self.load(level, &qkv[start..], stride, tokens, buffers);
            for first in (0..tokens).step_by(TILE) {
                let count = TILE.min(tokens - first);
                let queries = first * length..(first + count) * length;
                let sums = self.weigh_whole(level, queries, tokens, units.score, buffers);
                let context = &mut context[first * out_stride + start..];
                let factors = sums.map(|sum| units.value / sum);
                self.mix_whole(level, &factors[..count], context, out_stride, buffers);
            }
        }
    }

    /// Rounds a head's part of the rows and packs its keys and values.
    fn load(
        &self,
        level: Level,
        qkv: &[f32],
        stride: usize,
        tokens: usize,
        buffers: &mut Buffers,
    ) -> Units {
        let Buffers { queries, rows, keys, values, .. } = buffers;
        let (head, length) = (self.head, self.head.next_multiple_of(i16::GROUP));
        let most = most_factor(head, MOST);
        let round = |part: usize, most: f32, out: &mut Vec<i16>| {
            out.resize(tokens * length, 0);
            whole::words(level, &qkv[part * self.width..], stride, head, most, out, length)
        };
        let query = round(0, most, queries);
        let key = round(1, most, rows);
        keys.clear(head, tokens);
        for (token, row) in rows.chunks_exact(length).enumerate() {
            keys.set_output(token, row);
        }
        let value = round(2, MOST_VALUE, rows);
        values.clear(tokens, head);
        values.set_inputs(rows, length, head);
        Units { score: query * key, value }
    }

    /// Fills the shares of a tile of queries and returns their sums.
    fn weigh_whole(
        &self,
        level: Level,
        queries: std::ops::Range<usize>,
        tokens: usize,
        unit: f32,
        buffers: &mut Buffers,
    ) -> [f32; TILE] {
        let Buffers { queries: all, keys, scores, room, shares, .. } = buffers;
        let stride = tokens.next_multiple_of(WIDTH);
        let length = self.head.next_multiple_of(i16::GROUP);
        scores.resize(TILE * stride, 0);
        for (number, keys) in keys.iter().enumerate() {
            let scores = &mut scores[number * WIDTH..];
            keys.multiply(level, &all[queries.clone()], length, scores, stride);
        }
        room.resize(tokens, 0.0);
        let width = tokens.next_multiple_of(i16::GROUP);
        shares.resize(TILE * width, 0);
        let mut sums = [1.0; TILE];
        let rows = scores.chunks_exact(stride).zip(shares.chunks_exact_mut(width));
        for (sum, (scores, shares)) in sums[..queries.len() / length].iter_mut().zip(rows) {
            *sum = whole::shares(level, &scores[..tokens], unit, room, shares);
        }
        sums
    }

    /// Writes each query's mean of the values, weighted by its shares.
    fn mix_whole(
        &self,
        level: Level,
        factors: &[f32],
        context: &mut [f32],
        out_stride: usize,
        buffers: &mut Buffers,
    ) {
        let Buffers { values, shares, mixed, .. } = buffers;
        let stride = shares.len() / TILE;
        for (number, values) in values.iter().enumerate() {
            let shares = &shares[..factors.len() * stride];
            values.multiply(level, shares, stride, mixed.as_flattened_mut(), WIDTH);
            let columns = WIDTH.min(self.head - number * WIDTH);
            let rows = context[number * WIDTH..].chunks_mut(out_stride);
            for ((out, mixed), factor) in rows.zip(mixed.iter()).zip(factors) {
                for (x, &sum) in out[..columns].iter_mut().zip(mixed) {
                    *x = sum as f32 * factor;
                }
            }
        }
    }
}
