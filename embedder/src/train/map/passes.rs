//! The same map by passes of our own: what a processor trains with.

use std::borrow::Cow;

use crate::adapter::{AdapterConfig, Layout, Shape, WHOLE};
use crate::kernels::matmul::{self, Panels, Rows};
use crate::kernels::{Level, WIDTH, rows};
use crate::vector::turned;

/// A map that values are, beside the identity.
pub(in crate::train) struct Passes<'a> {
    level: Level,
    dim: usize,
    kind: Kind<'a>,
}

/// What the identity is added to.
enum Kind<'a> {
    Whole(Factor<'a>),
    Low {
        scale: f32,
        rank: usize,
        /// `[rank, dim]`.
        a: Factor<'a>,
        /// `[dim, rank]`.
        b: Factor<'a>,
    },
}

/// A matrix, and where among all values it is, if it learns.
struct Factor<'a> {
    data: Cow<'a, [f32]>,
    start: Option<usize>,
}

/// Vectors that were mapped.
pub(in crate::train) struct Pass {
    /// What they were, `[count, dim]`.
    rows: Vec<f32>,
    /// What they are, `[count, dim]`.
    pub(in crate::train) mapped: Vec<f32>,
    /// What `A` made of them, `[rank, WIDTH]` for each panel of them; empty without it.
    thin: Vec<f32>,
}

impl<'a> Passes<'a> {
    /// The map that `values` are, of a head of `config`.
    pub(in crate::train) fn of(
        level: Level,
        config: &AdapterConfig,
        layout: &Layout,
        shape: &Shape,
        dim: usize,
        values: &'a [f32],
    ) -> Self {
        let factor = |name: &str| {
            let range = layout.get(name)?.range.clone();
            Some(Factor { start: Some(range.start), data: Cow::Borrowed(&values[range]) })
        };
        let kind = match factor(WHOLE) {
            Some(whole) => Kind::Whole(whole),
            None => {
                let low = config.low_rank().expect("a map is full or low-rank");
                let place = &config.places(shape)[0];
                let drawn = || Factor { data: Cow::Owned(low.draw_a(0, place)), start: None };
                let a = factor(&place.a()).unwrap_or_else(drawn);
                let b = factor(&place.b()).expect("laid out");
                Kind::Low { scale: low.scale, rank: low.rank, a, b }
            }
        };
        Self { level, dim, kind }
    }

    /// Maps vectors, `[count, dim]`.
    pub(in crate::train) fn forth(&self, rows: Vec<f32>) -> Pass {
        let &Self { level, dim, .. } = self;
        let count = rows.len() / dim;
        let stride = count.next_multiple_of(WIDTH);
        // The other way round, texts are columns, so that a whole map is read as it lies.
        let (mut columns, mut thin) = (vec![0.0; dim * stride], Vec::new());
        let texts = Panels::pack_transposed(&rows, dim, count);
        for (number, texts) in texts.iter().enumerate() {
            let out = &mut columns[number * WIDTH..];
            match &self.kind {
                Kind::Whole(whole) => {
                    let left = Rows { data: &whole.data, stride: dim };
                    matmul::panel(level, left, dim, texts, out, stride);
                }
                Kind::Low { rank, a, b, .. } => {
                    let start = thin.len();
                    thin.resize(start + rank * WIDTH, 0.0);
                    let thin = &mut thin[start..];
                    let a = Rows { data: &a.data, stride: dim };
                    matmul::panel(level, a, *rank, texts, thin, WIDTH);
                    let b = Rows { data: &b.data, stride: *rank };
                    matmul::panel(level, b, dim, thin, out, stride);
                }
            }
        }
        let mut mapped = turned(&columns, dim, stride);
        mapped.truncate(count * dim);
        rows::scale(level, &mut mapped, self.scale());
        rows::add(level, &mut mapped, &rows);
        Pass { rows, mapped, thin }
    }

    /// Adds what slopes along what a pass has mapped, `[count, dim]`, come to along the map's values.
    pub(in crate::train) fn back(&self, pass: &Pass, slopes: &[f32], gradient: &mut [f32]) {
        let dim = self.dim;
        let count = pass.rows.len() / dim;
        let columns = turned(slopes, count, dim);
        let columns = Rows { data: &columns, stride: count };
        match &self.kind {
            Kind::Whole(whole) => {
                let Some(start) = whole.start else { return };
                self.add(columns, dim, &pass.rows, &mut gradient[start..][..dim * dim], 1.0);
            }
            Kind::Low { scale, rank, a, b } => {
                if let Some(start) = b.start {
                    let thin: Vec<f32> = pass
                        .thin
                        .chunks_exact(rank * WIDTH)
                        .flat_map(|thin| turned(thin, *rank, WIDTH))
                        .take(count * rank)
                        .collect();
                    self.add(columns, dim, &thin, &mut gradient[start..][..dim * rank], *scale);
                }
                if let Some(start) = a.start {
                    let (thin, stride) = self.thin_slopes(columns.data, count, b, *rank);
                    let thin = Rows { data: &thin, stride };
                    let of_a = &mut gradient[start..][..rank * dim];
                    self.add(thin, *rank, &pass.rows, of_a, *scale);
                }
            }
        }
    }

    /// What slopes along mapped vectors, `[count, dim]`, come to along the vectors themselves.
    pub(in crate::train) fn to_rows(&self, slopes: &[f32]) -> Vec<f32> {
        let &Self { level, dim, .. } = self;
        let count = slopes.len() / dim;
        let stride = dim.next_multiple_of(WIDTH);
        let mut out = vec![0.0; count * stride];
        let mut times = |left: Rows<'_>, right: &[f32], depth: usize| {
            for (number, panel) in Panels::pack(right, depth, dim).iter().enumerate() {
                matmul::panel(level, left, count, panel, &mut out[number * WIDTH..], stride);
            }
        };
        match &self.kind {
            Kind::Whole(whole) => times(Rows { data: slopes, stride: dim }, &whole.data, dim),
            Kind::Low { rank, a, b, .. } => {
                let columns = turned(slopes, count, dim);
                let (thin, stride) = self.thin_slopes(&columns, count, b, *rank);
                let thin = turned(&thin, *rank, stride);
                times(Rows { data: &thin, stride: *rank }, &a.data, *rank);
            }
        }
        let mut found = slopes.to_vec();
        for (found, out) in found.chunks_exact_mut(dim).zip(out.chunks_exact(stride)) {
            found.iter_mut().zip(out).for_each(|(sum, x)| *sum += self.scale() * x);
        }
        found
    }

    /// Slopes along what `A` made of `count` vectors, but for the scale, `[rank, count in whole panels]`, from those along what they
    /// were mapped to, `[dim, count]`.
    fn thin_slopes(
        &self,
        columns: &[f32],
        count: usize,
        b: &Factor<'_>,
        rank: usize,
    ) -> (Vec<f32>, usize) {
        let stride = count.next_multiple_of(WIDTH);
        let mut thin = vec![0.0; rank * stride];
        let turned = turned(&b.data, self.dim, rank);
        let left = Rows { data: &turned, stride: self.dim };
        for (number, panel) in Panels::pack(columns, self.dim, count).iter().enumerate() {
            matmul::panel(self.level, left, rank, panel, &mut thin[number * WIDTH..], stride);
        }
        (thin, stride)
    }

    /// Adds `scale` times the products of `count` rows of `left` and `right`, `[depth, width]`, to `sum`, `[count, width]`.
    fn add(&self, left: Rows<'_>, count: usize, right: &[f32], sum: &mut [f32], scale: f32) {
        let level = self.level;
        let width = sum.len() / count;
        let panels = Panels::pack(right, right.len() / width, width);
        if scale == 1.0 && width.is_multiple_of(WIDTH) {
            for (number, panel) in panels.iter().enumerate() {
                matmul::panel_onto(level, left, count, panel, &mut sum[number * WIDTH..], width);
            }
            return;
        }
        let mut out = vec![0.0; count * WIDTH];
        for (number, panel) in panels.iter().enumerate() {
            matmul::panel(level, left, count, panel, &mut out, WIDTH);
            for (sum, out) in sum.chunks_exact_mut(width).zip(out.chunks_exact(WIDTH)) {
                let sum = &mut sum[number * WIDTH..];
                sum.iter_mut().zip(out).for_each(|(sum, x)| *sum += scale * x);
            }
        }
    }

    fn scale(&self) -> f32 {
        match self.kind {
            Kind::Whole(_) => 1.0,
            Kind::Low { scale, .. } => scale,
        }
    }
}
