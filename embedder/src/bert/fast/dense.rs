//! Dense layers, in f32 or in whole numbers.

use crate::bert::weights::Linear;
use crate::kernels::matmul_int::{self, Factor};
use crate::kernels::rows::{self, Activation};
use crate::kernels::whole::{self, Columns, Scale};
use crate::kernels::{Level, TILE, WIDTH, matmul};

/// The numbers that layers multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bert) enum Arithmetic {
    F32,
    /// Weights `i8`, symmetric by output; activations `u8` between their row's extremes.
    Int8,
    /// The same weights; activations `i16`, symmetric by row.
    Int16,
}

/// Most steps either way of zero that activations of sixteen bits take; fewer where sums could
/// not hold the products.
const MOST: f32 = 8_191.0;

/// Most steps either way of zero that weights take.
const MOST_WEIGHT: f32 = 127.0;

/// A dense layer with its weights packed.
pub(super) struct Dense {
    outputs: usize,
    weights: Packed,
}

enum Packed {
    F32 { panels: matmul::Panels, bias: Vec<[f32; WIDTH]> },
    Whole { panels: matmul_int::Panels<i8>, columns: Vec<Columns>, bytes: bool },
}

/// Rows that go in, `stride` entries apart; their length is a multiple of it.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
}

/// Rows in whole numbers, with what they stand for.
#[derive(Default)]
pub(super) struct Steps {
    bytes: Vec<u8>,
    words: Vec<i16>,
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
            Arithmetic::Int8 | Arithmetic::Int16 => {
                let (weight, steps) = quantise(&linear.weight, outputs);
                let columns = columns(&weight, &panels_of(&steps), &bias, outputs);
                let panels = matmul_int::Panels::pack(&weight, inputs, outputs);
                Packed::Whole { panels, columns, bytes: arithmetic == Arithmetic::Int8 }
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
        steps: &mut Steps,
    ) {
        match &self.weights {
            Packed::F32 { panels, bias } => {
                let stride = self.stride();
                for (number, (panel, bias)) in panels.iter().zip(bias).enumerate() {
                    let tiles = input.data.chunks(TILE * input.stride);
                    for (left, out) in tiles.zip(out.chunks_mut(TILE * stride)) {
                        let (count, out) = (left.len() / input.stride, &mut out[number * WIDTH..]);
                        let left = matmul::Rows { data: left, stride: input.stride };
                        matmul::panel(level, left, count, panel, out, stride);
                        rows::finish(level, out, stride, bias, then);
                    }
                }
            }
            Packed::Whole { panels, columns, bytes } => {
                let length = steps.fill(level, input, panels.inputs(), *bytes);
                let whole = Whole { panels, columns, then, stride: self.stride() };
                match bytes {
                    true => whole.apply(level, &steps.bytes, length, &steps.scales, out),
                    false => whole.apply(level, &steps.words, length, &steps.scales, out),
                }
            }
        }
    }
}

/// A layer in whole numbers.
struct Whole<'a> {
    panels: &'a matmul_int::Panels<i8>,
    columns: &'a [Columns],
    then: Activation,
    stride: usize,
}

impl Whole<'_> {
    fn apply<L: Factor<i8>>(
        &self,
        level: Level,
        left: &[L],
        length: usize,
        scales: &[Scale],
        out: &mut [f32],
    ) {
        let mut tile = [[0; WIDTH]; TILE];
        for (number, (panel, columns)) in self.panels.iter().zip(self.columns).enumerate() {
            let tiles = left.chunks(TILE * length).zip(scales.chunks(TILE));
            for ((left, scales), out) in tiles.zip(out.chunks_mut(TILE * self.stride)) {
                panel.multiply(level, left, length, tile.as_flattened_mut(), WIDTH);
                let out = &mut out[number * WIDTH..];
                whole::finish(level, &tile, scales, columns, self.then, out, self.stride);
            }
        }
    }
}

impl Steps {
    /// Rounds the first `inputs` of every row; returns how far apart rows then are.
    fn fill(&mut self, level: Level, input: Input<'_>, inputs: usize, bytes: bool) -> usize {
        let length = inputs.next_multiple_of(matmul_int::GROUP);
        let count = input.data.len() / input.stride;
        let rows = input.data.chunks_exact(input.stride).map(|row| &row[..inputs]);
        self.scales.clear();
        if bytes {
            self.bytes.resize(count * length, 0);
            let rows = rows.zip(self.bytes.chunks_exact_mut(length));
            self.scales.extend(rows.map(|(row, out)| whole::bytes(level, row, out)));
        } else {
            self.words.resize(count * length, 0);
            let most = (i32::MAX as f32 / (MOST_WEIGHT * inputs as f32)).floor().min(MOST);
            let rows = rows.zip(self.words.chunks_exact_mut(length));
            self.scales.extend(rows.map(|(row, out)| Scale {
                step: whole::words(level, row, inputs, inputs, most, out, length),
                zero: 0,
            }));
        }
        length
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

/// Rounds `weight`, `[inputs, outputs]`, to [`MOST_WEIGHT`] steps either way of zero for each output.
fn quantise(weight: &[f32], outputs: usize) -> (Vec<i8>, Vec<f32>) {
    let mut steps = vec![0.0_f32; outputs];
    for row in weight.chunks_exact(outputs) {
        for (step, x) in steps.iter_mut().zip(row) {
            *step = step.max(x.abs() / MOST_WEIGHT);
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
