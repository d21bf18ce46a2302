//! Where each tensor of an adapter lies in the vector of all parameters that move.

use std::ops::Range;

use super::{AdapterConfig, AdapterError, HeadConfig, LoraConfig, MAX_RANK, Target, seeded};

/// Name of a full map.
pub(crate) const WHOLE: &str = "head.weight";
/// Name of the logarithms of tokens' factors.
pub(crate) const TOKEN_WEIGHTS: &str = "token_weights";
const HEAD: &str = "head";

/// What an adapter needs to know of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A transformer.
    Bert {
        /// Entries of a position's state.
        width: usize,
        /// Entries inside the feed-forward part.
        inner: usize,
        /// Layers.
        layers: usize,
    },
    /// A table of tokens.
    Static {
        /// Entries of a token's vector.
        dim: usize,
        /// Tokens.
        tokens: usize,
    },
}

/// One tensor of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its name, such as `encoder.layer.0.attention.self.query.lora_B`.
    pub name: String,
    /// Rows and columns; one number for a vector.
    pub shape: Vec<usize>,
    /// Its place in the vector, row-major.
    pub range: Range<usize>,
}

/// The tensors of an adapter that move, in order and without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Placed>,
}

impl Layout {
    /// The tensors, in order.
    #[must_use]
    pub fn tensors(&self) -> &[Placed] {
        &self.tensors
    }

    /// How many parameters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |tensor| tensor.range.end)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Placed> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    fn push(&mut self, name: String, shape: Vec<usize>) {
        let start = self.len();
        let range = start..start + shape.iter().product::<usize>();
        self.tensors.push(Placed { name, shape, range });
    }
}

/// A projection that a low-rank update belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Name of the module, to which `lora_A` and `lora_B` are appended.
    pub(crate) module: String,
    /// The transformer's layer, by number; 0 for a head.
    pub(crate) layer: usize,
    /// The projection within the layer; none for a head.
    pub(crate) target: Option<Target>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Place {
    pub(crate) fn a(&self) -> String {
        format!("{}.lora_A", self.module)
    }

    pub(crate) fn b(&self) -> String {
        format!("{}.lora_B", self.module)
    }
}

/// Rank, scale and whether `A` is frozen, of whatever is low-rank in an adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LowRank {
    pub(crate) rank: usize,
    pub(crate) scale: f32,
    pub(crate) freeze_a: bool,
    pub(crate) seed: u64,
}

impl AdapterConfig {
    /// Where each tensor lies that moves, for a model of this shape.
    ///
    /// # Errors
    ///
    /// When the configuration does not fit the model.
    pub fn layout(&self, shape: &Shape) -> Result<Layout, AdapterError> {
        self.check(shape)?;
        let mut layout = Layout::default();
        if let Some(low) = self.low_rank() {
            for place in self.places(shape) {
                if !low.freeze_a {
                    layout.push(place.a(), vec![low.rank, place.inputs]);
                }
                layout.push(place.b(), vec![place.outputs, low.rank]);
            }
        }
        if let (Self::Head(head), Shape::Static { dim, tokens }) = (self, shape) {
            if head.rank.is_none() {
                layout.push(WHOLE.to_owned(), vec![*dim, *dim]);
            }
            if head.token_weights {
                layout.push(TOKEN_WEIGHTS.to_owned(), vec![*tokens]);
            }
        }
        Ok(layout)
    }

    /// Parameters with which the model stays as it is: every `A` drawn, all else zero.
    pub(super) fn start(&self, shape: &Shape) -> Result<Vec<f32>, AdapterError> {
        let layout = self.layout(shape)?;
        let mut values = vec![0.0; layout.len()];
        if let Some(low) = self.low_rank().filter(|low| !low.freeze_a) {
            for (number, place) in self.places(shape).iter().enumerate() {
                let placed = layout.get(&place.a()).expect("laid out above");
                values[placed.range.clone()].copy_from_slice(&low.draw_a(number, place));
            }
        }
        Ok(values)
    }

    pub(crate) fn low_rank(&self) -> Option<LowRank> {
        match self {
            Self::Lora(LoraConfig { rank, alpha, freeze_a, seed, .. }) => Some(LowRank {
                rank: *rank,
                scale: alpha / *rank as f32,
                freeze_a: *freeze_a,
                seed: *seed,
            }),
            Self::Head(HeadConfig { rank, freeze_a, seed, .. }) => rank.map(|rank| LowRank {
                rank,
                scale: 1.0 / rank as f32,
                freeze_a: *freeze_a,
                seed: *seed,
            }),
        }
    }

    /// The projections with low-rank updates, layer by layer.
    pub(crate) fn places(&self, shape: &Shape) -> Vec<Place> {
        match (self, shape) {
            (Self::Lora(lora), Shape::Bert { width, inner, layers }) => {
                let place = |layer: usize, target: Target| {
                    let (inputs, outputs) = match target {
                        Target::Up => (*width, *inner),
                        Target::Down => (*inner, *width),
                        Target::Query | Target::Key | Target::Value | Target::AttentionOutput => {
                            (*width, *width)
                        }
                    };
                    let module = format!("encoder.layer.{layer}.{}", target.module());
                    Place { module, layer, target: Some(target), inputs, outputs }
                };
                let chosen = Target::ALL.into_iter().filter(|target| lora.targets.contains(target));
                let chosen: Vec<Target> = chosen.collect();
                let layer = |layer| chosen.iter().map(move |target| place(layer, *target));
                (0..*layers).flat_map(layer).collect()
            }
            (Self::Head(HeadConfig { rank: Some(_), .. }), Shape::Static { dim, .. }) => {
                let (inputs, outputs) = (*dim, *dim);
                vec![Place { module: HEAD.to_owned(), layer: 0, target: None, inputs, outputs }]
            }
            (Self::Head(_) | Self::Lora(_), _) => Vec::new(),
        }
    }

    fn check(&self, shape: &Shape) -> Result<(), AdapterError> {
        let (rank, widest) = match (self, shape) {
            (Self::Lora(lora), Shape::Bert { width, .. }) => {
                lora.check()?;
                (lora.rank, *width)
            }
            (Self::Head(head), Shape::Static { dim, .. }) => (head.rank.unwrap_or(1), *dim),
            (Self::Lora(_), Shape::Static { .. }) => {
                let (adapter, wanted, found) = ("LoRA", "bert", "static");
                return Err(AdapterError::Family { adapter, wanted, found });
            }
            (Self::Head(_), Shape::Bert { .. }) => {
                let (adapter, wanted, found) = ("head", "static", "bert");
                return Err(AdapterError::Family { adapter, wanted, found });
            }
        };
        let most = widest.min(MAX_RANK);
        if (1..=most).contains(&rank) { Ok(()) } else { Err(AdapterError::Rank { rank, most }) }
    }
}

impl LoraConfig {
    fn check(&self) -> Result<(), AdapterError> {
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(AdapterError::Alpha);
        }
        // In order, so that equal adapters have equal files.
        if self.targets.is_empty() || !self.targets.is_sorted_by(|a, b| a < b) {
            return Err(AdapterError::Targets);
        }
        Ok(())
    }
}

impl LowRank {
    /// `A` of the `number`th projection, `[rank, inputs]`: even between `-1 / sqrt(inputs)` and that, the same on
    /// every machine.
    pub(crate) fn draw_a(&self, number: usize, place: &Place) -> Vec<f32> {
        let bound = 1.0 / (place.inputs as f32).sqrt();
        seeded(self.seed, number as u64).even(bound).take(self.rank * place.inputs).collect()
    }
}
