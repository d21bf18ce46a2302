//! The passes against the tensor library's, which differentiates by itself, and against what the loss does.

use burn::tensor::{Device, Tensor, TensorData};

use super::*;
use crate::bert::config::BertConfig;
use crate::bert::tests::{VOCAB, odd_weights};
use crate::bert::weights::Linear;
use crate::bert::{Encoder, Update, Updates};
use crate::compute::Backend;

/// Lengths of texts: one of a token, one of markers only, and too many for one group.
const LENGTHS: [usize; 9] = [1, 2, 80, 31, 32, 33, 80, 80, 80];
const RANK: usize = 3;
const SCALE: f32 = 1.7;

/// What learns: every projection alone, those of the default, and all.
fn target_sets() -> Vec<Vec<Target>> {
    let mut sets: Vec<Vec<Target>> = Target::ALL.map(|target| vec![target]).into();
    sets.push(vec![Target::Query, Target::Value]);
    sets.push(Target::ALL.into());
    sets
}

/// Factors of some projections of every layer.
struct Case {
    targets: Vec<Target>,
    learns_a: bool,
    /// `A` and `B` by layer and target.
    values: Vec<[Vec<f32>; 2]>,
}

/// Numbers between -`size` and `size`, far from any pattern.
fn numbers(count: usize, size: f32, seed: usize) -> Vec<f32> {
    let number = |i: usize| {
        let mixed = ((i * 131 + seed) as u32).wrapping_mul(0x9e37_79b1);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca77);
        ((mixed >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
    };
    (0..count).map(number).collect()
}

/// Weights far from any pattern, so that attention tells positions apart.
fn drawn_weights() -> (BertConfig, Weights) {
    let (config, mut weights) = odd_weights();
    let mut seed = 1_000;
    let mut fill = |values: &mut [f32], middle: f32, size: f32| {
        seed += 1;
        let drawn = numbers(values.len(), size, seed);
        values.iter_mut().zip(drawn).for_each(|(value, x)| *value = middle + x);
    };
    fill(&mut weights.words, 0.0, 1.0);
    fill(&mut weights.positions, 0.0, 1.0);
    for layer in &mut weights.layers {
        for target in Target::ALL {
            let Linear { weight, bias } = layer.projection(target);
            let inputs = weight.len() / bias.len();
            fill(weight, 0.0, 2.0 / (inputs as f32).sqrt());
            fill(bias, 0.0, 0.2);
        }
        for norm in [&mut layer.attention_norm, &mut layer.output_norm] {
            fill(&mut norm.gamma, 1.0, 0.3);
            fill(&mut norm.beta, 0.0, 0.2);
        }
    }
    (config, weights)
}

fn passes(level: Level) -> Passes {
    let (config, weights) = drawn_weights();
    Passes::new(config.num_attention_heads, config.layer_norm_eps, weights, level)
}

fn texts() -> Vec<Vec<u32>> {
    let text = |length: usize| (0..length).map(|i| ((i * i + length) % VOCAB) as u32).collect();
    LENGTHS.map(text).into()
}

/// What the means are multiplied with to make a loss.
fn slopes(width: usize) -> Vec<f32> {
    numbers(LENGTHS.len() * width, 1.0, 5)
}

impl Case {
    fn new(targets: &[Target], learns_a: bool) -> Self {
        let (config, _) = odd_weights();
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let factors = |(seed, target): (usize, &Target)| {
            let (inputs, outputs) = match target {
                Target::Up => (width, inner),
                Target::Down => (inner, width),
                _ => (width, width),
            };
            [numbers(RANK * inputs, 0.3, seed), numbers(RANK * outputs, 0.3, seed + 50)]
        };
        let all = targets.iter().cycle().take(config.num_hidden_layers * targets.len());
        let values = all.enumerate().map(factors).collect();
        Self { targets: targets.to_vec(), learns_a, values }
    }

    fn updates(&self) -> Updated<Factors<'_>> {
        let layer = |values| self.of_layer(values);
        self.values.chunks(self.targets.len()).map(layer).collect()
    }

    fn of_layer<'a>(&'a self, values: &'a [[Vec<f32>; 2]]) -> Each<Option<Factors<'a>>> {
        Target::ALL.map(|target| {
            let at = self.targets.iter().position(|one| *one == target)?;
            let [a, b] = &values[at];
            Some(Factors { rank: RANK, scale: SCALE, a, b, learns_a: self.learns_a })
        })
    }

    /// The loss.
    fn loss(&self, passes: &Passes) -> f64 {
        let texts = texts();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let means = passes.with(&self.updates()).means(&texts).unwrap();
        let terms = means.iter().zip(slopes(passes.width));
        terms.map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
    }

    /// Its gradient, in the order of the values; zeros for an `A` that does not learn.
    fn gradient(&self, passes: &Passes) -> Vec<[Vec<f32>; 2]> {
        let texts = texts();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let adapted = passes.with(&self.updates());
        let (means, traces) = adapted.traced(&texts).unwrap();
        let plain = adapted.means(&texts).unwrap();
        assert!(means.iter().zip(&plain).all(|(a, b)| a.to_bits() == b.to_bits()));
        let found = adapted.gradient(traces, &slopes(passes.width));
        let found = found.iter().flatten().flatten().zip(&self.values);
        let gradients = found.map(|(gradient, [a, b])| {
            let (mut to_a, mut to_b) = (vec![0.0; a.len()], vec![0.0; b.len()]);
            gradient.add_to(self.learns_a.then_some(&mut to_a[..]), &mut to_b);
            [to_a, to_b]
        });
        gradients.collect()
    }

    /// The same by the tensor library.
    fn expected(&self) -> Vec<[Vec<f32>; 2]> {
        let (config, weights) = drawn_weights();
        let encoder = Encoder::new(&config, weights, Backend::cpu());
        let device = Device::flex().autodiff();
        let matrix = |values: &[f32], shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
        };
        let leaves: Vec<[Tensor<2>; 2]> = self
            .values
            .iter()
            .map(|[a, b]| {
                let a = matrix(a, [RANK, a.len() / RANK]);
                let a = if self.learns_a { a.require_grad() } else { a };
                [a, matrix(b, [b.len() / RANK, RANK]).require_grad()]
            })
            .collect();
        let mut updates = vec![Updates::default(); config.num_hidden_layers];
        for (number, [a, b]) in leaves.iter().enumerate() {
            let layer = &mut updates[number / self.targets.len()];
            let target = self.targets[number % self.targets.len()];
            let update = Update { down: a.clone().transpose(), up: b.clone().transpose() * SCALE };
            layer[target as usize] = Some(update);
        }
        let texts = texts();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let means = encoder.means(&texts, &updates).unwrap();
        let slopes = matrix(&slopes(config.hidden_size), [LENGTHS.len(), config.hidden_size]);
        let mut gradients = (means * slopes).sum().backward();
        let mut read = |leaf: Tensor<2>| {
            let length = leaf.dims().iter().product();
            let found = leaf.grad_remove(&mut gradients);
            found.map_or(vec![0.0; length], |found| found.try_into_vec_as().unwrap())
        };
        leaves.into_iter().map(|factors| factors.map(&mut read)).collect()
    }
}

fn length(values: impl IntoIterator<Item = f32>) -> f64 {
    values.into_iter().map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn gradients_are_those_of_the_tensor_library() {
    for targets in target_sets() {
        for learns_a in [true, false] {
            let case = Case::new(&targets, learns_a);
            let expected = case.expected();
            for level in Level::all() {
                let found = case.gradient(&passes(level));
                assert_eq!(found.len(), expected.len());
                for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    for (found, expected) in found.iter().zip(expected) {
                        let apart = length(found.iter().zip(expected).map(|(a, b)| a - b));
                        let whole = length(expected.iter().copied());
                        assert!(whole == 0.0 || whole > 1e-3, "{targets:?} says nothing");
                        assert!(
                            apart <= 1e-5 * whole,
                            "{level:?} {targets:?} {learns_a}, {at}: {apart} of {whole}"
                        );
                    }
                }
                let learnt = found.iter().map(|[a, b]| (length(a.clone()), length(b.clone())));
                for (a, b) in learnt {
                    assert!((a > 0.0) == learns_a && b > 0.0, "{targets:?}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn a_value_moves_the_loss_as_its_gradient_says() {
    const STEP: f32 = 0.01;
    let passes = passes(Level::best());
    let mut case = Case::new(&Target::ALL, true);
    let gradient = case.gradient(&passes);
    let all = gradient.iter().flatten().flatten();
    let scale = f64::from(all.fold(0.0_f32, |most, x| most.max(x.abs())));
    for (at, factors) in gradient.iter().enumerate() {
        for (factor, gradient) in factors.iter().enumerate() {
            // The steepest of each.
            let steepest = (0..gradient.len())
                .max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()));
            let place = steepest.unwrap();
            let before = case.values[at][factor][place];
            let mut at_step = |step: f32| {
                case.values[at][factor][place] = before + step;
                case.loss(&passes)
            };
            let found = (at_step(STEP) - at_step(-STEP)) / f64::from(2.0 * STEP);
            at_step(0.0);
            let expected = f64::from(gradient[place]);
            assert!(
                (found - expected).abs() < 0.01 * expected.abs() + 1e-3 * scale,
                "factor {factor} of {at}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn gradients_are_the_same_bits_whatever_the_threads_and_what_came_before() {
    let case = Case::new(&Target::ALL, true);
    let with = |threads: usize, passes: &Passes| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| case.gradient(passes))
    };
    let used = passes(Level::best());
    let first = with(1, &used);
    // Traces are used again, in whatever order they were given back.
    let longer = [&[1_u32, 2, 3][..]; 40];
    let adapted = used.with(&case.updates());
    let (_, traces) = adapted.traced(&longer).unwrap();
    adapted.gradient(traces, &vec![1.0; 40 * used.width]);
    for threads in [1, 2, 5] {
        assert_eq!(with(threads, &used), first, "{threads} threads");
    }
    assert_eq!(with(3, &passes(Level::best())), first);
}

#[test]
fn without_updates_the_states_are_those_of_the_tensor_library() {
    let (config, weights) = drawn_weights();
    let reference = Encoder::new(&config, weights, Backend::cpu());
    let passes = passes(Level::best());
    let text: Vec<u32> = (0..7).collect();
    let adapted = passes.with(&Vec::new());
    let found = adapted.outer_states(&[&text, &text]).unwrap();
    let expected = reference.outer_states(&[&text, &text]).unwrap();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4));
    }
    let (_, traces) = adapted.traced(&[&text]).unwrap();
    let gradient = adapted.gradient(traces, &vec![1.0; passes.width]);
    assert!(gradient.iter().flatten().all(Option::is_none));
    let beyond = adapted.means(&[&[VOCAB as u32]]);
    assert!(matches!(beyond, Err(EmbedError::TokenOutOfRange { .. })));
    // What the tensor library was given comes out of it again.
    let (heads, epsilon, weights) = reference.unpack().unwrap();
    let unpacked = Passes::new(heads, epsilon, weights, Level::best());
    assert_eq!(unpacked.with(&Vec::new()).outer_states(&[&text, &text]).unwrap(), found);
}

#[test]
fn what_is_no_number_shows() {
    for target in Target::ALL {
        let mut case = Case::new(&[target], true);
        case.values[0][1][4] = f32::NAN;
        let passes = passes(Level::best());
        assert!(case.loss(&passes).is_nan(), "{target:?}");
        assert!(case.gradient(&passes).iter().flatten().flatten().any(|x| x.is_nan()));
    }
}
