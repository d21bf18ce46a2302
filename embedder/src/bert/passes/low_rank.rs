//! A projection's update in two thin factors, worked into its weights and learnt by its gradients.

use crate::kernels::matmul::{self, Panels, Rows};
use crate::kernels::{Level, WIDTH, rows};

/// An update `scale * B A` of a projection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors<'a> {
    pub(crate) rank: usize,
    pub(crate) scale: f32,
    /// `[rank, inputs]`.
    pub(crate) a: &'a [f32],
    /// `[outputs, rank]`.
    pub(crate) b: &'a [f32],
    /// Whether the gradient of `a` is wanted, too.
    pub(crate) learns_a: bool,
}

/// The gradient of a projection's factors.
pub(crate) struct Gradient {
    factor: f32,
    inputs: usize,
    outputs: usize,
    /// `[rank, inputs in whole panels]`, before it is multiplied with the factor; empty where it is not wanted.
    a: Vec<f32>,
    /// `[rank, outputs in whole panels]`, likewise.
    b: Vec<f32>,
}

/// Factors packed for products.
pub(super) struct LowRank {
    rank: usize,
    inputs: usize,
    outputs: usize,
    learns_a: bool,
    /// What `B A` is multiplied with.
    factor: f32,
    /// `A` transposed, `[inputs, rank]`.
    down: Vec<f32>,
    /// The same in panels.
    down_panels: Panels,
    /// `B`, `[outputs, rank]`.
    up: Vec<f32>,
    /// The same in panels.
    up_panels: Panels,
}

/// Thin products of a block of rows.
#[derive(Default)]
pub(super) struct Buffers {
    /// `[rows, rank in whole panels]`.
    thin: Vec<f32>,
    /// `[rank, rows]`.
    turned: Vec<f32>,
    /// `[rows][WIDTH]`.
    panel: Vec<f32>,
}

impl LowRank {
    /// Factors of a projection whose outputs are multiplied with `factor`.
    pub(super) fn new(factors: &Factors<'_>, factor: f32) -> Self {
        let Factors { rank, scale, a, b, learns_a } = *factors;
        let (inputs, outputs) = (a.len() / rank, b.len() / rank);
        let mut down = Vec::with_capacity(a.len());
        for input in 0..inputs {
            down.extend(a.iter().skip(input).step_by(inputs));
        }
        Self {
            rank,
            inputs,
            outputs,
            learns_a,
            factor: scale * factor,
            down_panels: Panels::pack(&down, inputs, rank),
            down,
            up_panels: Panels::pack(b, outputs, rank),
            up: b.to_vec(),
        }
    }

    /// Adds the update to a weight, `[inputs, outputs]`, and to its transpose.
    pub(super) fn add_to(&self, level: Level, forth: &mut Panels, back: &mut Panels) {
        let rank = self.rank;
        let scaled = |all: &[f32]| -> Vec<f32> { all.iter().map(|x| x * self.factor).collect() };
        let right = Panels::pack_transposed(&scaled(&self.up), rank, self.outputs);
        let left = Rows { data: &self.down, stride: rank };
        for (panel, right) in forth.iter_mut().zip(right.iter()) {
            matmul::panel_onto(level, left, self.inputs, right, panel, WIDTH);
        }
        let right = Panels::pack_transposed(&scaled(&self.down), rank, self.inputs);
        let left = Rows { data: &self.up, stride: rank };
        for (panel, right) in back.iter_mut().zip(right.iter()) {
            matmul::panel_onto(level, left, self.outputs, right, panel, WIDTH);
        }
    }

    /// A gradient of zero.
    pub(super) fn nothing(&self) -> Gradient {
        let rows = |length: usize| vec![0.0; self.rank * length.next_multiple_of(WIDTH)];
        let a = if self.learns_a { rows(self.inputs) } else { Vec::new() };
        let (factor, inputs, outputs) = (self.factor, self.inputs, self.outputs);
        Gradient { factor, inputs, outputs, a, b: rows(outputs) }
    }

    /// Adds what `count` rows of inputs and gradients of outputs give.
    pub(super) fn learn(
        &self,
        level: Level,
        inputs: Rows<'_>,
        outputs: Rows<'_>,
        count: usize,
        sum: &mut Gradient,
        buffers: &mut Buffers,
    ) {
        self.thin(level, inputs, &self.down_panels, count, buffers);
        add_products(level, self.rank, outputs, count, &mut sum.b, buffers);
        if self.learns_a {
            self.thin(level, outputs, &self.up_panels, count, buffers);
            add_products(level, self.rank, inputs, count, &mut sum.a, buffers);
        }
    }

    /// Multiplies rows with a factor, and turns what comes out.
    fn thin(
        &self,
        level: Level,
        left: Rows<'_>,
        factor: &Panels,
        count: usize,
        buffers: &mut Buffers,
    ) {
        let stride = self.rank.next_multiple_of(WIDTH);
        let Buffers { thin, turned, .. } = buffers;
        thin.resize(count * stride, 0.0);
        for (number, panel) in factor.iter().enumerate() {
            matmul::panel(level, left, count, panel, &mut thin[number * WIDTH..], stride);
        }
        turned.resize(self.rank * count, 0.0);
        for (at, row) in turned.chunks_exact_mut(count).enumerate() {
            let column = thin.iter().skip(at).step_by(stride);
            row.iter_mut().zip(column).for_each(|(out, x)| *out = *x);
        }
    }
}

/// Adds to `sum`, `[rank, columns in whole panels]`, the products of what was [turned](LowRank::thin) and rows.
fn add_products(
    level: Level,
    rank: usize,
    right: Rows<'_>,
    count: usize,
    sum: &mut [f32],
    buffers: &mut Buffers,
) {
    let stride = sum.len() / rank;
    let Buffers { turned, panel, .. } = buffers;
    let left = Rows { data: turned, stride: count };
    panel.resize(count * WIDTH, 0.0);
    for first in (0..stride).step_by(WIDTH) {
        for (number, out) in panel.chunks_exact_mut(WIDTH).enumerate() {
            out.copy_from_slice(&right.data[number * right.stride + first..][..WIDTH]);
        }
        matmul::panel_onto(level, left, rank, panel, &mut sum[first..], stride);
    }
}

impl Gradient {
    /// Adds another of the same projection.
    pub(super) fn add(&mut self, level: Level, other: &Self) {
        rows::add(level, &mut self.a, &other.a);
        rows::add(level, &mut self.b, &other.b);
    }

    /// Adds it to a gradient of `A`, `[rank, inputs]`, if it was wanted, and to one of `B`, `[outputs, rank]`.
    pub(crate) fn add_to(&self, a: Option<&mut [f32]>, b: &mut [f32]) {
        let stride = self.inputs.next_multiple_of(WIDTH);
        if let Some(a) = a {
            for (out, row) in a.chunks_exact_mut(self.inputs).zip(self.a.chunks_exact(stride)) {
                out.iter_mut().zip(row).for_each(|(out, x)| *out += self.factor * x);
            }
        }
        let stride = self.outputs.next_multiple_of(WIDTH);
        let rank = self.b.len() / stride;
        for (output, out) in b.chunks_exact_mut(rank).enumerate() {
            let column = self.b.iter().skip(output).step_by(stride);
            out.iter_mut().zip(column).for_each(|(out, x)| *out += self.factor * x);
        }
    }
}
