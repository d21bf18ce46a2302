//! Which forward pass a model uses, and the choice of its numbers.

use super::config::BertConfig;
use super::encoder::Encoder;
use super::fast::FastEncoder;
use super::passes::Passes;
use super::weights::Weights;
use crate::EmbedError;
use crate::compute::Backend;
use crate::kernels::{Level, Numbers};

/// Most rows of a batch on the processor: passes that fit its cache are faster than larger ones.
pub(super) const BATCH_ROWS: usize = 512;

/// The numbers that a model of the `bert` family computes with on the processor. Vectors of all of them
/// belong to the same model and may be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// [`Int8`](Self::Int8) with AVX-512 and VNNI, [`Int16`](Self::Int16) with AVX2, else [`F32`](Self::F32).
    #[default]
    Auto,
    /// Everything in f32: within 1e-5 of the reference implementation in cosine.
    F32,
    /// Products of whole numbers of sixteen bits with exact sums, the rest in f32: cosine with f32 is
    /// .9999 on average, also of single words.
    Int16,
    /// Of eight bits, but where activations enter attention and within it: a fifth faster with AVX2, and
    /// more with VNNI. Cosine with f32 is .9994 on average (MiniLM on abstracts and questions),
    /// scores move by .0035 (root mean square) and retrieval stays as good, though the last of ten
    /// may be another that is next to as near.
    Int8,
    /// The tensor library's pass in f32, which the others are checked against: slower,
    /// and what distillation uses.
    Reference,
}

impl Precision {
    /// Every way of computing there is; [`Auto`](Self::Auto) picks one of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::Int16, Self::Int8, Self::Reference];

    /// What it stands for on this processor: [`Auto`](Self::Auto) resolved, anything else as it is.
    #[must_use]
    pub fn here(self) -> Self {
        match self {
            Self::Auto => match Level::best().fastest() {
                Numbers::F32 => Self::F32,
                Numbers::Words => Self::Int16,
                Numbers::Bytes => Self::Int8,
            },
            other => other,
        }
    }

    /// Its name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Int16 => "int16",
            Self::Int8 => "int8",
            Self::Reference => "reference",
        }
    }

    /// The one with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Auto]).find(|one| one.name() == name)
    }
}

pub(super) enum Runner {
    Reference(Box<Encoder>),
    Fast(Box<FastEncoder>),
    Training(Box<Passes>),
}

impl Runner {
    /// A pass with these numbers on the processor; a graphics card computes in f32 whatever they are.
    pub(super) fn new(
        config: &BertConfig,
        weights: Weights,
        precision: Precision,
        backend: Backend,
    ) -> Self {
        if precision == Precision::Reference || !backend.is_cpu() {
            return Self::Reference(Box::new(Encoder::new(config, weights, backend)));
        }
        Self::with_level(config, weights, precision, Level::best())
    }

    pub(super) fn with_level(
        config: &BertConfig,
        weights: Weights,
        precision: Precision,
        level: Level,
    ) -> Self {
        let numbers = match precision {
            Precision::Reference => {
                return Self::Reference(Box::new(Encoder::new(config, weights, Backend::cpu())));
            }
            Precision::Auto => level.fastest(),
            Precision::F32 => Numbers::F32,
            Precision::Int16 => Numbers::Words,
            Precision::Int8 => Numbers::Bytes,
        };
        Self::Fast(Box::new(FastEncoder::new(config, weights, numbers, level)))
    }

    /// The same for training: on the processor the tensor library's pass becomes passes of our own that know the way back.
    pub(super) fn for_training(self) -> Result<Self, EmbedError> {
        match self {
            Self::Reference(encoder) if encoder.backend().is_cpu() => {
                let (heads, epsilon, weights) = encoder.unpack()?;
                let passes = Passes::new(heads, epsilon, weights, Level::best());
                Ok(Self::Training(Box::new(passes)))
            }
            other @ (Self::Reference(_) | Self::Fast(_) | Self::Training(_)) => Ok(other),
        }
    }

    pub(super) fn width(&self) -> usize {
        match self {
            Self::Reference(encoder) => encoder.width(),
            Self::Fast(encoder) => encoder.width(),
            Self::Training(passes) => passes.width(),
        }
    }

    pub(super) fn vocab_size(&self) -> usize {
        match self {
            Self::Reference(encoder) => encoder.vocab_size(),
            Self::Fast(encoder) => encoder.vocab_size(),
            Self::Training(passes) => passes.vocab_size(),
        }
    }

    /// The rows that a batch costs if it has `texts` texts of up to `longest` tokens, `tokens` in all.
    pub(super) fn rows(&self, texts: usize, longest: usize, tokens: usize) -> usize {
        match self {
            Self::Reference(encoder) => encoder.positions(texts, longest),
            Self::Fast(_) | Self::Training(_) => tokens,
        }
    }

    /// Most rows of a batch, unless a single text has more.
    pub(super) fn most_rows(&self) -> usize {
        match self {
            Self::Reference(encoder) => encoder.backend().positions(),
            Self::Fast(_) | Self::Training(_) => BATCH_ROWS,
        }
    }

    /// Whether batches should run beside one another; a graphics card takes one after the other.
    pub(super) fn is_parallel(&self) -> bool {
        match self {
            Self::Reference(encoder) => encoder.backend().is_cpu(),
            Self::Fast(_) | Self::Training(_) => true,
        }
    }

    /// The mean of the last layer over each text's positions, `[texts, width]`, of any length.
    pub(super) fn pooled(&self, texts: &[&[u32]]) -> Result<Vec<f32>, EmbedError> {
        match self {
            Self::Reference(encoder) => encoder.pooled(texts),
            Self::Fast(encoder) => encoder.pooled(texts),
            Self::Training(passes) => passes.with(&Vec::new()).means(texts),
        }
    }

    /// The embedding layer's output and the last layer's for texts of one length,
    /// `[texts, length, width]` each.
    pub(super) fn outer_states(&self, texts: &[&[u32]]) -> Result<[Vec<f32>; 2], EmbedError> {
        match self {
            Self::Reference(encoder) => encoder.outer_states(texts),
            Self::Fast(encoder) => encoder.outer_states(texts),
            Self::Training(passes) => passes.with(&Vec::new()).outer_states(texts),
        }
    }
}
