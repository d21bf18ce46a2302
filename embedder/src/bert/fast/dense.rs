//! Dense layers, in f32 or with weights and activations of eight bits.

use crate::bert::weights::Linear;
use crate::kernels::rows::{self, Activation, Columns, Scale};
use crate::kernels::{Level, TILE, WIDTH, matmul, matmul_u8};

/// The numbers that dense layers multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bert) enum Arithmetic {
    F32,
    /// Weights `i8`, symmetric by output; activations `u8` between their row's extremes.
    Int8,
    /// The same with activations of twelve bits, as two products, where the sums allow it.
    Int12,
}

/// Most inputs whose products of twelve and eight bits cannot outgrow an i32.
const MOST_FINE: usize = 4_096;

/// A dense layer with its weights packed.
pub(super) struct Dense {
    outputs: usize,
    weights: Packed,
}

enum Packed {
    F32 { panels: matmul::Panels, bias: Vec<[f32; WIDTH]> },
    Int8 { panels: matmul_u8::Panels, columns: Vec<Columns>, fine: bool },
}

/// Rows that go in, `stride` entries apart; their length is a multiple of it.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
}

/// Rows in bytes, with what they stand for.
#[derive(Default)]
pub(super) struct Bytes {
    low: Vec<u8>,
    /// What is above the lowest eight bits; empty if there are no more.
    high: Vec<u8>,
    scales: Vec<Scale>,
}

impl Dense {
    pub(super) fn new(linear: Linear, arithmetic: Arithmetic) -> Self {
        let outputs = linear.bias.len();
        let inputs = linear.weight.len() / outputs;
        let bias = panels_of(&linear.bias);
        let weights = match arithmetic {
            Arithmetic::F32 => {
                Packed::F32 { panels: matmul::Panels::pack(&linear.weight, inputs, outputs), bias }
            }
            Arithmetic::Int8 | Arithmetic::Int12 => {
                let (weight, steps) = quantise(&linear.weight, outputs);
                let columns = columns(&weight, &panels_of(&steps), &bias, outputs);
                let panels = matmul_u8::Panels::pack(&weight, inputs, outputs);
                let fine = arithmetic == Arithmetic::Int12 && inputs <= MOST_FINE;
                Packed::Int8 { panels, columns, fine }
            }
        };
        Self { outputs, weights }
    }

    /// Entries from one row of output to the next.
    pub(super) fn stride(&self) -> usize {
        self.outputs.next_multiple_of(WIDTH)
    }

    /// Fills `out`, whose rows are [`stride`](Self::stride) apart.
    pub(super) fn apply(
        &self,
        level: Level,
        input: Input<'_>,
        then: Activation,
        out: &mut [f32],
        bytes: &mut Bytes,
    ) {
        match &self.weights {
            Packed::F32 { panels, bias } => {
                for (number, (panel, bias)) in panels.iter().zip(bias).enumerate() {
                    self.tiles(input, out, number, |left, out, stride| {
                        let count = left.len() / input.stride;
                        let left = matmul::Rows { data: left, stride: input.stride };
                        matmul::panel(level, left, count, panel, out, stride);
                        rows::finish(level, out, stride, bias, then);
                    });
                }
            }
            Packed::Int8 { panels, columns, fine } => {
                let length = panels.inputs().next_multiple_of(matmul_u8::GROUP);
                bytes.fill(level, input, panels.inputs(), length, *fine);
                let (mut tile, mut upper) = ([[0; WIDTH]; TILE], [[0; WIDTH]; TILE]);
                for (number, (panel, columns)) in panels.iter().zip(columns).enumerate() {
                    let mut low = bytes.low.chunks(TILE * length);
                    let mut high = bytes.high.chunks(TILE * length);
                    let mut scales = bytes.scales.chunks(TILE);
                    self.tiles(input, out, number, |_, out, stride| {
                        let (Some(low), Some(scales)) = (low.next(), scales.next()) else {
                            return;
                        };
                        panel.multiply(level, low, length, &mut tile);
                        if let Some(high) = high.next() {
                            panel.multiply(level, high, length, &mut upper);
                            let sums = tile.as_flattened_mut().iter_mut();
                            for (sum, upper) in sums.zip(upper.as_flattened()) {
                                *sum = sum.wrapping_add(upper.wrapping_mul(256));
                            }
                        }
                        rows::finish_u8(level, &tile, scales, columns, then, out, stride);
                    });
                }
            }
        }
    }

    /// Calls `each` for every tile of rows with its input, its output from the panel's first
    /// column on, and the output's stride.
    fn tiles(
        &self,
        input: Input<'_>,
        out: &mut [f32],
        panel: usize,
        mut each: impl FnMut(&[f32], &mut [f32], usize),
    ) {
        let stride = self.stride();
        let tiles = input.data.chunks(TILE * input.stride).zip(out.chunks_mut(TILE * stride));
        for (left, out) in tiles {
            each(left, &mut out[panel * WIDTH..], stride);
        }
    }
}

impl Bytes {
    fn fill(&mut self, level: Level, input: Input<'_>, inputs: usize, length: usize, fine: bool) {
        let count = input.data.len() / input.stride;
        self.low.clear();
        self.low.resize(count * length, 0);
        self.high.clear();
        self.high.resize(if fine { count * length } else { 0 }, 0);
        self.scales.clear();
        let most = if fine { rows::TWELVE_BITS } else { rows::BYTE };
        let mut high = self.high.chunks_exact_mut(length);
        let rows = input.data.chunks_exact(input.stride).zip(self.low.chunks_exact_mut(length));
        for (row, low) in rows {
            let high = high.next().unwrap_or_default();
            self.scales.push(rows::quantise(level, &row[..inputs], most, low, high));
        }
    }
}

fn panels_of(values: &[f32]) -> Vec<[f32; WIDTH]> {
    let panel = |chunk: &[f32]| {
        let mut panel = [0.0; WIDTH];
        panel[..chunk.len()].copy_from_slice(chunk);
        panel
    };
    values.chunks(WIDTH).map(panel).collect()
}

/// Rounds `weight`, `[inputs, outputs]`, to 127 steps either way of each output.
fn quantise(weight: &[f32], outputs: usize) -> (Vec<i8>, Vec<f32>) {
    let mut steps = vec![0.0_f32; outputs];
    for row in weight.chunks_exact(outputs) {
        for (step, x) in steps.iter_mut().zip(row) {
            *step = step.max(x.abs() / 127.0);
        }
    }
    let entry = |(x, step): (&f32, &f32)| if *step > 0.0 { (x / step).round() as i8 } else { 0 };
    let rows = weight.chunks_exact(outputs);
    (rows.flat_map(|row| row.iter().zip(&steps).map(entry)).collect(), steps)
}

fn columns(
    weight: &[i8],
    steps: &[[f32; WIDTH]],
    bias: &[[f32; WIDTH]],
    outputs: usize,
) -> Vec<Columns> {
    let mut columns: Vec<Columns> = steps
        .iter()
        .zip(bias)
        .map(|(&steps, &bias)| Columns { steps, sums: [0; WIDTH], bias })
        .collect();
    for row in weight.chunks_exact(outputs) {
        for (columns, chunk) in columns.iter_mut().zip(row.chunks(WIDTH)) {
            for (sum, &entry) in columns.sums.iter_mut().zip(chunk) {
                *sum += i32::from(entry);
            }
        }
    }
    columns
}
