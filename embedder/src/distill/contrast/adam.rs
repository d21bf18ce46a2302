//! Adam (Kingma and Ba 2015) on the vectors that a batch touches: those of other tokens and what is
//! remembered of their gradients stay as they are.

use rayon::prelude::*;

use super::step::Gradient;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
/// Gradients are means over a batch and so small that the usual 1e-8 would count.
const EPSILON: f32 = 1e-11;

pub(super) struct Adam {
    means: Vec<f32>,
    squares: Vec<f32>,
    steps: i32,
}

impl Adam {
    pub(super) fn new(values: usize) -> Self {
        Self { means: vec![0.0; values], squares: vec![0.0; values], steps: 0 }
    }

    /// Moves the vectors of the gradient's tokens.
    pub(super) fn step(&mut self, vectors: &mut [f32], dim: usize, found: &Gradient, rate: f32) {
        self.steps += 1;
        let mean_rate = 1.0 / (1.0 - BETA1.powi(self.steps));
        let square_rate = 1.0 / (1.0 - BETA2.powi(self.steps));
        let mut touched: Vec<&[(u32, u32)]> = vec![&[]; vectors.len() / dim];
        for (token, texts) in found.tokens() {
            touched[token] = texts;
        }
        let rows = vectors
            .par_chunks_mut(dim)
            .zip(self.means.par_chunks_mut(dim))
            .zip(self.squares.par_chunks_mut(dim))
            .zip(touched);
        rows.filter(|(_, texts)| !texts.is_empty()).for_each_init(
            || vec![0.0_f32; dim],
            |gradient, (((row, means), squares), texts)| {
                gradient.fill(0.0);
                for &(_, text) in texts {
                    gradient.iter_mut().zip(found.sum(text, dim)).for_each(|(g, d)| *g += d);
                }
                for (((x, mean), square), g) in
                    row.iter_mut().zip(means).zip(squares).zip(&*gradient)
                {
                    *mean = BETA1 * *mean + (1.0 - BETA1) * g;
                    *square = BETA2 * *square + (1.0 - BETA2) * g * g;
                    let size = (*square * square_rate).sqrt() + EPSILON;
                    *x -= rate * (*mean * mean_rate) / size;
                }
            },
        );
    }
}
