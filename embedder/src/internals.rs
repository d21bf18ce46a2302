//! What micro-benches reach of this crate's inside; behind the feature `internals`, and no part of its interface.

use crate::EmbedError;
use crate::kernels::matmul_int::{Panels, Weight};
use crate::kernels::{Level, TILE, WIDTH, matmul};
use crate::tokens::ContentTokenizer;

/// A product of f32 matrices: rows of a text's length by a layer's weight.
pub struct Product {
    left: Vec<f32>,
    right: matmul::Panels,
    out: Vec<f32>,
    shape: [usize; 3],
}

impl Product {
    /// `rows` by `inputs` times `inputs` by `outputs`, a multiple of 32.
    pub fn new(rows: usize, inputs: usize, outputs: usize) -> Self {
        assert!(outputs.is_multiple_of(WIDTH), "whole panels");
        let number = |i: usize| (i % 17) as f32 / 17.0 - 0.5;
        let weight: Vec<f32> = (0..inputs * outputs).map(number).collect();
        Self {
            left: (0..rows * inputs).map(number).collect(),
            right: matmul::Panels::pack(&weight, inputs, outputs),
            out: vec![0.0; rows * outputs],
            shape: [rows, inputs, outputs],
        }
    }

    /// Multiplies; gives one entry.
    pub fn run(&mut self) -> f32 {
        let [rows, inputs, outputs] = self.shape;
        let left = matmul::Rows { data: &self.left, stride: inputs };
        for (i, panel) in self.right.iter().enumerate() {
            matmul::panel(Level::best(), left, rows, panel, &mut self.out[i * WIDTH..], outputs);
        }
        self.out[0]
    }
}

/// The same of whole numbers.
#[allow(private_bounds)]
pub struct WholeProduct<W: Weight> {
    left: Vec<W::Left>,
    right: Panels<W>,
    stride: usize,
}

/// Of eight bits.
pub type ByteProduct = WholeProduct<i8>;
/// Of sixteen bits.
pub type WordProduct = WholeProduct<i16>;

#[allow(private_bounds)]
impl<W: Weight + From<i8>> WholeProduct<W>
where
    W::Left: From<u8>,
{
    /// `rows` by `inputs` times `inputs` by `outputs`.
    pub fn new(rows: usize, inputs: usize, outputs: usize) -> Self {
        let weight: Vec<W> = (0..inputs * outputs).map(|i| W::from((i % 128) as i8 - 64)).collect();
        let stride = inputs.next_multiple_of(W::GROUP);
        let left = (0..rows * stride).map(|i| W::Left::from((i % 256) as u8)).collect();
        Self { left, right: Panels::pack(&weight, inputs, outputs), stride }
    }

    /// Multiplies; gives one entry.
    pub fn run(&self) -> i32 {
        let level = Level::best();
        let mut sum = 0;
        let mut out = [[0; WIDTH]; TILE];
        for panel in self.right.iter() {
            for rows in self.left.chunks(TILE * self.stride) {
                panel.multiply(level, rows, self.stride, out.as_flattened_mut(), WIDTH);
                sum ^= out[0][0];
            }
        }
        sum
    }
}

/// The built-in model's WordPiece.
pub struct Pieces(ContentTokenizer);

impl Pieces {
    /// # Errors
    /// If the built-in model is damaged.
    pub fn builtin() -> Result<Self, EmbedError> {
        let model = crate::StaticModel::from_bytes(crate::builtin::BYTES)?;
        let vocabulary = model.parts().vocabulary.iter().map(String::as_str);
        ContentTokenizer::word_piece(vocabulary).map(Self)
    }

    /// How many tokens a text has.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn count(&self, text: &str) -> Result<usize, EmbedError> {
        self.0.ids(text, usize::MAX).map(|ids| ids.len())
    }
}
