//! An adapter worked into the weights of its model.

use std::borrow::Cow;

use rayon::prelude::*;

use super::layout::{Place, Shape, TOKEN_WEIGHTS, WHOLE};
use super::{Adapter, AdapterConfig};
use crate::distill::quantize;
use crate::kernels::{Level, ordered};
use crate::statics::{Bits, StaticParts};

impl Adapter {
    /// `A` (`[rank, inputs]`) and `B` (`[outputs, rank]`) of the `number`th projection.
    pub(super) fn factors(&self, number: usize, place: &Place) -> (Cow<'_, [f32]>, &[f32]) {
        let low = self.config.low_rank().expect("only low-rank adapters have places");
        let layout = self.layout();
        let values = |name: &str| {
            let placed = layout.get(name).expect("a place's tensors are laid out");
            &self.values[placed.range.clone()]
        };
        let a = if low.freeze_a {
            Cow::Owned(low.draw_a(number, place))
        } else {
            Cow::Borrowed(values(&place.a()))
        };
        (a, values(&place.b()))
    }

    /// Adds the update of projection `module` to its weight, `[inputs, outputs]`. Does nothing where
    /// there is none.
    pub(crate) fn add_to(&self, module: &str, weight: &mut [f32]) {
        let places = self.config.places(&self.shape);
        let Some((number, place)) =
            places.iter().enumerate().find(|(_, place)| place.module == module)
        else {
            return;
        };
        let (a, b) = self.factors(number, place);
        let low = self.config.low_rank().expect("it has places");
        let (rank, scale) = (low.rank, f64::from(low.scale));
        weight.par_chunks_mut(place.outputs).enumerate().for_each(|(input, row)| {
            for (entry, b) in row.iter_mut().zip(b.chunks_exact(rank)) {
                let factor =
                    |(r, b): (usize, &f32)| f64::from(a[r * place.inputs + input]) * f64::from(*b);
                let sum: f64 = b.iter().enumerate().map(factor).sum();
                *entry = (f64::from(*entry) + scale * sum) as f32;
            }
        });
    }

    /// What the head adds to `vector`, `[dim]`.
    pub(super) fn moved(&self, vector: &[f32]) -> Vec<f32> {
        let times = |matrix: &[f32], x: &[f32]| -> Vec<f32> {
            let dot = |row: &[f32]| row.iter().zip(x).map(|(m, x)| m * x).sum();
            matrix.chunks_exact(x.len()).map(dot).collect()
        };
        match (self.config.places(&self.shape).first(), self.config.low_rank()) {
            (Some(place), Some(low)) => {
                let (a, b) = self.factors(0, place);
                let inner: Vec<f32> = times(&a, vector).iter().map(|x| x * low.scale).collect();
                times(b, &inner)
            }
            _ => {
                let layout = self.layout();
                let whole = layout.get(WHOLE).expect("a map is full or low-rank");
                times(&self.values[whole.range.clone()], vector)
            }
        }
    }

    /// The head's map, `[dim, dim]`: row by row what an output takes of each input, the identity included.
    pub(crate) fn map(&self) -> Vec<f32> {
        let Shape::Static { dim, .. } = self.shape else { return Vec::new() };
        let mut map = vec![0.0; dim * dim];
        (0..dim).for_each(|place| map[place * dim + place] = 1.0);
        if let Some(whole) = self.layout().get(WHOLE) {
            map.iter_mut().zip(&self.values[whole.range.clone()]).for_each(|(x, y)| *x += y);
        }
        if let Some(place) = self.config.places(&self.shape).first() {
            // Weights are laid out by input there, and by output here.
            let mut by_input = vec![0.0; dim * dim];
            self.add_to(&place.module, &mut by_input);
            for (place, x) in map.iter_mut().enumerate() {
                *x += by_input[place % dim * dim + place / dim];
            }
        }
        map
    }

    /// The static model that `parts` become: every row mapped, weighted and rounded anew.
    pub(crate) fn merged(&self, parts: &StaticParts, name: &str) -> StaticParts {
        let dim = parts.dim;
        let map = self.map();
        let by_input: Vec<f32> = (0..dim * dim).map(|at| map[at % dim * dim + at / dim]).collect();
        let level = Level::best();
        let weights = self.token_weights();
        let row = |token: usize| {
            let bytes = &parts.rows[token * dim..][..dim];
            let row: Vec<f32> = bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect();
            let mut mapped = vec![0.0; dim];
            ordered::times(level, &row, &by_input, &mut mapped);
            let mut bytes = Vec::with_capacity(dim);
            let mut step = quantize(&mapped, &mut bytes);
            if mapped.iter().any(|x| !x.is_finite()) {
                // The model's own check refuses it and names the token.
                step = f32::NAN;
            }
            let weight = weights.map_or(1.0, |weights| weights[token].exp());
            (parts.scales[token] * step * weight, bytes)
        };
        let rows: Vec<(f32, Vec<u8>)> =
            (0..parts.vocabulary.len()).into_par_iter().map(row).collect();
        let mut about = parts.about.clone();
        name.clone_into(&mut about.name);
        StaticParts {
            about,
            root_weights: parts.root_weights,
            dim,
            max_tokens: parts.max_tokens,
            vocabulary: parts.vocabulary.clone(),
            scales: rows.iter().map(|(scale, _)| *scale).collect(),
            bits: Bits::WHOLE,
            rows: Cow::Owned(rows.into_iter().flat_map(|(_, bytes)| bytes).collect()),
        }
    }

    fn token_weights(&self) -> Option<&[f32]> {
        match &self.config {
            AdapterConfig::Head(head) if head.token_weights => {
                let placed = self.layout().get(TOKEN_WEIGHTS)?.range.clone();
                Some(&self.values[placed])
            }
            AdapterConfig::Head(_) | AdapterConfig::Lora(_) => None,
        }
    }
}
