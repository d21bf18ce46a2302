//! Dense layers, in f32 or in whole numbers.

use crate::bert::weights::Linear;
use crate::kernels::matmul_int::{PAIR, Panels, Weight, most_factor};
use crate::kernels::rows::{self, Activation, ROUNDER};
use crate::kernels::whole::{self, Columns, Scale};
use crate::kernels::{Level, Numbers, TILE, WIDTH, matmul};

/// A dense layer with its weights packed.
pub(super) struct Dense {
    outputs: usize,
    weights: Packed,
}

enum Packed {
    F32 {
        panels: matmul::Panels,
        bias: Vec<[f32; WIDTH]>,
    },
    /// Weights symmetric by output, and neighbours within [`PAIR`] where the processor needs it; activations between
    /// their row's extremes.
    Bytes(Whole<i8>),
    /// Weights symmetric by output and activations by row.
    Words(Whole<i16>),
}

/// Rows that go in, `stride` entries apart; their length is a multiple of it.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
}

impl<'a> Input<'a> {
    fn count(self) -> usize {
        self.data.len() / self.stride
    }

    /// The first `inputs` of every row.
    fn rows(self, inputs: usize) -> impl Iterator<Item = &'a [f32]> {
        self.data.chunks_exact(self.stride).map(move |row| &row[..inputs])
    }
}

/// Rows in whole numbers, with what they stand for.
#[derive(Default)]
pub(super) struct Steps {
    bytes: Vec<u8>,
    words: Vec<i16>,
    scales: Vec<Scale>,
}

impl Dense {
    /// Packs a layer to be multiplied in these numbers at this level.
    pub(super) fn new(linear: Linear, numbers: Numbers, level: Level) -> Self {
        let outputs = linear.bias.len();
        let inputs = linear.weight.len() / outputs;
        let weights = match numbers {
            Numbers::F32 => Packed::F32 {
                panels: matmul::Panels::pack(&linear.weight, inputs, outputs),
                bias: panels_of(&linear.bias),
            },
            Numbers::Bytes => {
                let bound = if level.pairs_bytes() { Bound::Pair } else { Bound::Each };
                let steps = byte_steps(&linear.weight, outputs, bound);
                let bytes = bytes_of(&linear.weight, &steps, bound);
                Packed::Bytes(Whole::new(&linear, &steps, bytes))
            }
            Numbers::Words => {
                let steps = word_steps(&linear.weight, outputs);
                Packed::Words(Whole::new(&linear, &steps, words_of(&linear.weight, &steps)))
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
            Packed::Bytes(layer) => {
                steps.fill_bytes(level, input, layer.panels.inputs());
                layer.apply(level, &steps.bytes, &steps.scales, then, out, self.stride());
            }
            Packed::Words(layer) => {
                steps.fill_words(level, input, layer.panels.inputs());
                layer.apply(level, &steps.words, &steps.scales, then, out, self.stride());
            }
        }
    }
}

/// A layer in whole numbers.
struct Whole<W: Weight> {
    panels: Panels<W>,
    columns: Vec<Columns>,
}

impl<W: Weight + Into<i32>> Whole<W> {
    /// Packs `weight`, that of `linear` in `steps`, one for each output.
    fn new(linear: &Linear, steps: &[f32], weight: Vec<W>) -> Self {
        let outputs = steps.len();
        let inputs = weight.len() / outputs;
        let mut columns: Vec<Columns> = panels_of(steps)
            .into_iter()
            .zip(panels_of(&linear.bias))
            .map(|(steps, bias)| Columns { steps, sums: [0; WIDTH], bias })
            .collect();
        for row in weight.chunks_exact(outputs) {
            for (columns, chunk) in columns.iter_mut().zip(row.chunks(WIDTH)) {
                for (sum, &entry) in columns.sums.iter_mut().zip(chunk) {
                    *sum += entry.into();
                }
            }
        }
        Self { panels: Panels::pack(&weight, inputs, outputs), columns }
    }

    fn apply(
        &self,
        level: Level,
        left: &[W::Left],
        scales: &[Scale],
        then: Activation,
        out: &mut [f32],
        stride: usize,
    ) {
        let mut tile = [[0; WIDTH]; TILE];
        let length = self.panels.inputs().next_multiple_of(W::GROUP);
        for (number, (panel, columns)) in self.panels.iter().zip(&self.columns).enumerate() {
            let tiles = left.chunks(TILE * length).zip(scales.chunks(TILE));
            for ((left, scales), out) in tiles.zip(out.chunks_mut(TILE * stride)) {
                panel.multiply(level, left, length, tile.as_flattened_mut(), WIDTH);
                let out = &mut out[number * WIDTH..];
                whole::finish(level, &tile, scales, columns, then, out, stride);
            }
        }
    }
}

impl Steps {
    /// Rounds the first `inputs` of every row to bytes.
    fn fill_bytes(&mut self, level: Level, input: Input<'_>, inputs: usize) {
        let length = inputs.next_multiple_of(i8::GROUP);
        self.bytes.resize(input.count() * length, 0);
        let rows = input.rows(inputs).zip(self.bytes.chunks_exact_mut(length));
        self.scales.clear();
        self.scales.extend(rows.map(|(row, out)| whole::bytes(level, row, out)));
    }

    /// The same to words.
    fn fill_words(&mut self, level: Level, input: Input<'_>, inputs: usize) {
        let length = inputs.next_multiple_of(i16::GROUP);
        self.words.resize(input.count() * length, 0);
        let rows = input.rows(inputs).zip(self.words.chunks_exact_mut(length));
        self.scales.clear();
        self.scales.extend(rows.map(|(row, out)| {
            let step = whole::words(level, row, inputs, inputs, most_word(inputs), out, length);
            Scale { step, zero: 0 }
        }));
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

/// Most steps either way of zero that weights and activations of sixteen bits take.
fn most_word(inputs: usize) -> f32 {
    most_factor(inputs, 8_191)
}

/// The least step of each output by which `weight`, `[inputs, outputs]`, fits sixteen bits.
fn word_steps(weight: &[f32], outputs: usize) -> Vec<f32> {
    let most = most_word(weight.len() / outputs);
    let mut steps = vec![0.0_f32; outputs];
    for row in weight.chunks_exact(outputs) {
        for (step, x) in steps.iter_mut().zip(row) {
            *step = step.max(x.abs() / most);
        }
    }
    steps
}

/// `weight` in `steps` that it fits.
fn words_of(weight: &[f32], steps: &[f32]) -> Vec<i16> {
    let most = most_word(weight.len() / steps.len());
    let entry = |(x, step): (&f32, &f32)| match *step > 0.0 {
        // Rounded as it may be itself where it is next to nothing.
        true => (x / step).round().clamp(-most, most) as i16,
        false => 0,
    };
    weight.chunks_exact(steps.len()).flat_map(|row| row.iter().zip(steps).map(entry)).collect()
}

/// What bounds weights of eight bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// Each is at most [`BYTE`], either way of zero.
    Each,
    /// And neighbours add up to at most [`PAIR`].
    Pair,
}

/// The most that a weight of eight bits is, either way of zero.
const BYTE: i32 = 127;

/// The same as [`byte_pair`]s.
fn bytes_of(weight: &[f32], steps: &[f32], bound: Bound) -> Vec<i8> {
    let mut bytes = vec![0; weight.len()];
    let outputs = steps.len();
    for (rows, out) in weight.chunks(2 * outputs).zip(bytes.chunks_mut(2 * outputs)) {
        for (column, &step) in steps.iter().enumerate() {
            let next = rows.get(outputs + column).copied();
            let [first, second] = byte_pair([rows[column], next.unwrap_or(0.0)], step, bound);
            out[column] = first;
            if next.is_some() {
                out[outputs + column] = second;
            }
        }
    }
    bytes
}

/// The step of each output by which rounding `weight`, `[inputs, outputs]`, to [`byte_pair`]s errs
/// least: a smaller one than all weights fit, where cutting few short spares the others.
fn byte_steps(weight: &[f32], outputs: usize, bound: Bound) -> Vec<f32> {
    const TRIALS: usize = 8;
    const PART: f32 = 0.06;
    let pairs = weight.len().div_ceil(2 * outputs);
    let (mut even, mut odd) = (vec![0.0; pairs], vec![0.0; pairs]);
    let column_step = |column: usize| {
        let rows = weight.chunks(2 * outputs);
        for ((even, odd), rows) in even.iter_mut().zip(&mut odd).zip(rows) {
            *even = rows[column];
            *odd = rows.get(outputs + column).copied().unwrap_or(0.0);
        }
        let most = even.iter().zip(&odd).fold(0.0_f32, |most, (&a, &b)| match bound {
            Bound::Each => most.max(a.abs()).max(b.abs()),
            Bound::Pair => {
                let above = a.max(0.0) + b.max(0.0);
                let below = a.min(0.0) + b.min(0.0);
                most.max(above).max(-below)
            }
        });
        let largest = match bound {
            Bound::Each => most / BYTE as f32,
            Bound::Pair => most / PAIR as f32,
        };
        let trial = |number: usize| {
            let step = largest * (1.0 - PART * number as f32);
            (rounding_error(&even, &odd, step, bound), step)
        };
        let best = (0..TRIALS).map(trial).min_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map_or(0.0, |(_, step)| step)
    };
    (0..outputs).map(column_step).collect()
}

/// The sum of squares by which [`byte_pair`]s of this step miss `even` and `odd` inputs' weights.
fn rounding_error(even: &[f32], odd: &[f32], step: f32, bound: Bound) -> f32 {
    const LANES: usize = 16;
    let per_step = 1.0 / step;
    let one = |a: f32, b: f32| {
        let (a, b) = (a * per_step, b * per_step);
        let (whole_a, whole_b) = ((a + ROUNDER) - ROUNDER, (b + ROUNDER) - ROUNDER);
        let above = |x: f32, most: i32| {
            let over = x - most as f32;
            if over > 0.0 { over * over } else { 0.0 }
        };
        let cut = match bound {
            Bound::Each => above(whole_a.abs(), BYTE) + above(whole_b.abs(), BYTE),
            Bound::Pair if (a > 0.0) == (b > 0.0) => above((whole_a + whole_b).abs(), PAIR) / 2.0,
            Bound::Pair => above(whole_a.abs().max(whole_b.abs()), BYTE) / 2.0,
        };
        (a - whole_a).powi(2) + (b - whole_b).powi(2) + cut
    };
    let ((even, even_rest), (odd, odd_rest)) =
        (even.as_chunks::<LANES>(), odd.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (even, odd) in even.iter().zip(odd) {
        for ((sum, &a), &b) in sums.iter_mut().zip(even).zip(odd) {
            *sum += one(a, b);
        }
    }
    let rest: f32 = even_rest.iter().zip(odd_rest).map(|(&a, &b)| one(a, b)).sum();
    (sums.iter().sum::<f32>() + rest) * step * step
}

/// Two neighbours' weights in steps, cut short to keep to what bounds them.
fn byte_pair(pair: [f32; 2], step: f32, bound: Bound) -> [i8; 2] {
    if step <= 0.0 {
        return [0; 2];
    }
    let mut steps = pair.map(|x| (x / step).round() as i32);
    let signs = if bound == Bound::Pair { &[1, -1][..] } else { &[] };
    for &sign in signs {
        let [a, b] = steps.map(|x| (sign * x).max(0));
        let over = a + b - PAIR;
        if over > 0 {
            // Each by half, or one by all where the other has less.
            let first = (over / 2).clamp((over - b).max(0), a);
            if a > 0 {
                steps[0] -= sign * first;
            }
            if b > 0 {
                steps[1] -= sign * (over - first);
            }
        }
    }
    steps.map(|x| x.clamp(-BYTE, BYTE) as i8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That a column keeps to `bound`.
    fn assert_bound(column: &[i8], bound: Bound, what: &str) {
        assert!(column.iter().all(|x| x.unsigned_abs() <= 127), "{what}: {column:?}");
        for pair in column.chunks(2).filter(|_| bound == Bound::Pair) {
            let above: i32 = pair.iter().map(|&x| i32::from(x.max(0))).sum();
            let below: i32 = pair.iter().map(|&x| i32::from(x.min(0))).sum();
            assert!(above <= PAIR && below >= -PAIR, "{what}: {pair:?}");
        }
    }

    #[test]
    fn bytes_keep_to_what_bounds_them() {
        let (inputs, outputs) = (37, 40);
        let weight: Vec<f32> = (0..inputs * outputs)
            .map(|i| ((i * 7_919) % 1_009) as f32 / 504.5 - 1.0)
            .map(|x| x * x * x)
            .collect();
        for (bound, range) in [(Bound::Pair, 0.5..=2.0), (Bound::Each, 0.5..=1.01)] {
            let steps = byte_steps(&weight, outputs, bound);
            let bytes = bytes_of(&weight, &steps, bound);
            for (column, step) in steps.iter().enumerate() {
                let entries: Vec<i8> =
                    bytes.iter().skip(column).step_by(outputs).copied().collect();
                assert_bound(&entries, bound, &format!("{column}"));
                let most = weight.iter().skip(column).step_by(outputs);
                let most = most.fold(0.0_f32, |most, x| most.max(x.abs()));
                assert!(range.contains(&(step / (most / 128.0))), "{bound:?} {column}");
            }
            // What is no number, or next to nothing, or more than there is, keeps to it as well.
            for odd in
                [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE / 64.0]
            {
                for weight in [vec![odd], vec![odd, 1.0, odd], vec![1.0, odd, odd, -1.0, 0.5]] {
                    let bytes = bytes_of(&weight, &byte_steps(&weight, 1, bound), bound);
                    assert_bound(&bytes, bound, &format!("{weight:?}"));
                    let words = words_of(&weight, &word_steps(&weight, 1));
                    assert!(
                        words.iter().all(|x| x.unsigned_abs() <= 8_191),
                        "{weight:?}: {words:?}"
                    );
                }
            }
            assert_eq!(byte_steps(&[0.0; 6], 3, bound), [0.0; 3]);
        }
        assert_eq!(byte_pair([100.0, 60.0], 1.0, Bound::Pair), [84, 44]);
        assert_eq!(byte_pair([-200.0, 9.0], 1.0, Bound::Pair), [-127, 9]);
        assert_eq!(byte_pair([-2.0, -200.0], 1.0, Bound::Pair), [0, -127]);
        assert_eq!(byte_pair([-100.0, -200.0], 1.0, Bound::Each), [-100, -127]);
    }
}
