//! Scaled dot-product attention of one text (Vaswani et al. 2017), head by head, in f32 or
//! in whole numbers.

mod whole;

use crate::kernels::{Level, TILE, WIDTH, matmul, rows};

/// The shape of a layer's attention.
pub(in crate::bert) struct Attention {
    pub(in crate::bert) heads: usize,
    /// Length of one head's vectors.
    pub(in crate::bert) head: usize,
    /// Where keys start in a row of queries, keys and values; values start at twice this.
    pub(in crate::bert) width: usize,
    /// Whether queries, keys, shares and values are rounded to sixteen bits.
    pub(in crate::bert) whole: bool,
}

/// One head's keys and values as panels, and a tile of what becomes of them.
#[derive(Default)]
pub(in crate::bert) struct Buffers {
    /// `[panels of keys][head][WIDTH]`.
    keys: Vec<f32>,
    /// `[panels of the head][tokens][WIDTH]`.
    values: Vec<f32>,
    /// `[TILE][tokens in whole panels]`.
    scores: Vec<f32>,
    /// `[TILE][WIDTH]`.
    mixed: Vec<f32>,
    whole: whole::Buffers,
}

impl Attention {
    /// Fills the first `width` entries of each row of `context` from the rows of `qkv`;
    /// `strides` are those of `qkv` and of `context`. Queries are scaled already.
    pub(in crate::bert) fn attend(
        &self,
        level: Level,
        qkv: &[f32],
        context: &mut [f32],
        strides: [usize; 2],
        buffers: &mut Buffers,
    ) {
        if self.whole {
            return self.attend_whole(level, qkv, context, strides, &mut buffers.whole);
        }
        let [stride, out_stride] = strides;
        let tokens = qkv.len() / stride;
        for number in 0..self.heads {
            let start = number * self.head;
            self.pack_keys(&qkv[self.width + start..], stride, tokens, &mut buffers.keys);
            self.pack_values(&qkv[2 * self.width + start..], stride, tokens, &mut buffers.values);
            for first in (0..tokens).step_by(TILE) {
                let count = TILE.min(tokens - first);
                let queries = matmul::Rows { data: &qkv[first * stride + start..], stride };
                let sums = self.weigh(level, queries, count, tokens, buffers);
                let context = &mut context[first * out_stride + start..];
                self.mix(level, &sums[..count], context, out_stride, buffers);
            }
        }
    }

    /// Fills the scores of a tile of queries with exponentials and returns their sums.
    fn weigh(
        &self,
        level: Level,
        queries: matmul::Rows<'_>,
        count: usize,
        tokens: usize,
        buffers: &mut Buffers,
    ) -> [f32; TILE] {
        let stride = tokens.next_multiple_of(WIDTH);
        buffers.scores.resize(TILE * stride, 0.0);
        for (number, keys) in buffers.keys.chunks_exact(self.head * WIDTH).enumerate() {
            let scores = &mut buffers.scores[number * WIDTH..];
            matmul::panel(level, queries, count, keys, scores, stride);
        }
        let mut sums = [0.0; TILE];
        for (sum, scores) in sums[..count].iter_mut().zip(buffers.scores.chunks_exact_mut(stride)) {
            *sum = rows::exponentials(level, scores, tokens);
        }
        sums
    }

    /// Writes each query's mean of the values, weighted by its scores.
    fn mix(
        &self,
        level: Level,
        sums: &[f32],
        context: &mut [f32],
        out_stride: usize,
        buffers: &mut Buffers,
    ) {
        let Buffers { values, scores, mixed, .. } = buffers;
        mixed.resize(TILE * WIDTH, 0.0);
        let scores = matmul::Rows { data: scores, stride: scores.len() / TILE };
        let panels = self.head.div_ceil(WIDTH);
        for (number, values) in values.chunks_exact(values.len() / panels).enumerate() {
            matmul::panel(level, scores, sums.len(), values, mixed, WIDTH);
            let columns = WIDTH.min(self.head - number * WIDTH);
            let rows = context[number * WIDTH..].chunks_mut(out_stride);
            for ((out, mixed), sum) in rows.zip(mixed.chunks_exact_mut(WIDTH)).zip(sums) {
                rows::scale(level, mixed, 1.0 / sum);
                out[..columns].copy_from_slice(&mixed[..columns]);
            }
        }
    }

    fn pack_keys(&self, keys: &[f32], stride: usize, tokens: usize, out: &mut Vec<f32>) {
        out.clear();
        out.resize(tokens.div_ceil(WIDTH) * self.head * WIDTH, 0.0);
        for (number, panel) in out.chunks_exact_mut(self.head * WIDTH).enumerate() {
            let first = number * WIDTH;
            for column in 0..WIDTH.min(tokens - first) {
                let key = &keys[(first + column) * stride..][..self.head];
                for (row, &x) in panel.chunks_exact_mut(WIDTH).zip(key) {
                    row[column] = x;
                }
            }
        }
    }

    fn pack_values(&self, values: &[f32], stride: usize, tokens: usize, out: &mut Vec<f32>) {
        out.clear();
        out.resize(self.head.div_ceil(WIDTH) * tokens * WIDTH, 0.0);
        for (number, panel) in out.chunks_exact_mut(tokens * WIDTH).enumerate() {
            let first = number * WIDTH;
            let columns = WIDTH.min(self.head - first);
            for (token, row) in panel.chunks_exact_mut(WIDTH).enumerate() {
                row[..columns].copy_from_slice(&values[token * stride + first..][..columns]);
            }
        }
    }
}
