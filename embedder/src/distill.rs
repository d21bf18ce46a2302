//! Makes a static model from a transformer, without any text to train on unless it is given.
//!
//! The Model2Vec idea (Minish Lab, 2024), with choices measured on the development
//! splits of scifact and nfcorpus:
//!
//! 1. Every word piece passes through the teacher alone, between its markers. Its vector
//!    holds side by side its centred, normalised states as it leaves the embedding layer and
//!    as it leaves the last layer: the first keeps what is particular to a rare word,
//!    the last what the teacher learnt about meaning.
//! 2. Principal components reduce the dimensions; each is scaled to unit variance, so
//!    that the few directions that all words share do not drown the rest.
//! 3. Weights `a / (a + p)` (Arora, Liang and Ma, ICLR 2017) make frequent words count
//!    less; `p` follows Zipf's law over the vocabulary's order, which in BERT's
//!    vocabularies is nearly that of frequency.
//! 4. Where there are pairs of texts that belong together, the vectors are trained on them
//!    ([`distill_and_train`]).
//! 5. Rows are rounded to whole numbers, with the weight folded into the row's scale.

mod contrast;
mod pca;
mod round;

use std::borrow::Cow;

pub use contrast::{ContrastOptions, ContrastProgress, TextPair};
pub(crate) use round::quantize;

use crate::statics::{Bits, StaticAbout};
use crate::tokens::ContentTokenizer;
use crate::vector::normalise;
use crate::{BertModel, EmbedError, Embedder, FormatError, StaticModel, StaticParts};

/// Word pieces that pass through the teacher at once.
const BATCH: usize = 512;

/// What [`distill()`] makes.
#[derive(Clone, Debug, PartialEq)]
pub struct DistillOptions {
    /// Name of the new model.
    pub name: String,
    /// Licence of the new model, which the teacher's must allow.
    pub licence: String,
    /// Dimensions to keep, at most twice the teacher's.
    pub dim: usize,
    /// The frequency weight's `a`: smaller lets frequent words count less.
    pub sif: f64,
    /// Tokens of a text that count.
    pub max_tokens: usize,
    /// Bits that an entry of a vector takes in the model's file.
    pub bits: Bits,
}

impl Default for DistillOptions {
    fn default() -> Self {
        Self {
            name: "static".to_owned(),
            licence: "Apache-2.0".to_owned(),
            dim: 256,
            sif: 3e-5,
            max_tokens: 512,
            bits: Bits::WHOLE,
        }
    }
}

/// Why a model could not be distilled.
#[derive(Debug, thiserror::Error)]
pub enum DistillError {
    /// More dimensions than the teacher's two states have, or none.
    #[error("cannot keep {asked} of the {available} dimensions of the teacher's two states")]
    Dimensions {
        /// Dimensions asked for.
        asked: usize,
        /// Dimensions of the teacher's first and last states together.
        available: usize,
    },
    /// The frequency weight is not a positive number.
    #[error("the frequency weight {0} must be a positive number")]
    Sif(f64),
    /// The teacher's tokenizer is not BERT's uncased WordPiece, which static models use.
    #[error(
        "the teacher cuts {text:?} into other pieces than BERT's uncased WordPiece; \
         a static model cannot be made from it"
    )]
    Tokenizer {
        /// A text that is cut differently.
        text: &'static str,
    },
    /// The teacher failed.
    #[error(transparent)]
    Teacher(#[from] EmbedError),
    /// The result would not be a valid model.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Distills `teacher` into a static model over the teacher's own vocabulary.
///
/// `progress` is told how many word pieces of how many are done. The result depends on
/// nothing but the teacher and the options.
///
/// # Errors
///
/// When the options do not fit the teacher, its tokenizer is of another kind, or it fails.
pub fn distill(
    teacher: &BertModel,
    options: &DistillOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<StaticModel, DistillError> {
    let drafted = Draft::new(teacher, options, progress)?;
    drafted.finish(teacher, options)
}

/// The same, with the vectors trained on pairs of texts that belong together, in groups of one kind
/// and field each.
///
/// The result depends on nothing but what is handed in and, as rounding differs, the kind of processor.
///
/// # Errors
///
/// As for [`distill()`].
pub fn distill_and_train(
    teacher: &BertModel,
    options: &DistillOptions,
    groups: &[Vec<TextPair>],
    training: &ContrastOptions,
    progress: &mut dyn FnMut(DistillProgress),
) -> Result<StaticModel, DistillError> {
    let mut draft = Draft::new(teacher, options, &mut |done, all| {
        progress(DistillProgress::Tokens { done, all });
    })?;
    let tokenizer = ContentTokenizer::word_piece(draft.vocabulary.iter().map(String::as_str))?;
    contrast::train(&mut draft.vectors, options.dim, &tokenizer, groups, training, &mut |step| {
        progress(DistillProgress::Training(step))
    })?;
    draft.finish(teacher, options)
}

/// How far [`distill_and_train`] has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DistillProgress {
    /// Word pieces that have passed through the teacher.
    Tokens {
        /// So many,
        done: usize,
        /// of so many.
        all: usize,
    },
    /// Batches of pairs.
    Training(ContrastProgress),
}

/// Word pieces and their vectors, weights included, before they are rounded.
struct Draft {
    vocabulary: Vec<String>,
    /// `[vocabulary, dim]`.
    vectors: Vec<f32>,
}

impl Draft {
    fn new(
        teacher: &BertModel,
        options: &DistillOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, DistillError> {
        let width = 2 * teacher.dim();
        if !(1..=width).contains(&options.dim) {
            return Err(DistillError::Dimensions { asked: options.dim, available: width });
        }
        if !(options.sif.is_finite() && options.sif > 0.0) {
            return Err(DistillError::Sif(options.sif));
        }
        let (ids, vocabulary): (Vec<u32>, Vec<String>) =
            teacher.vocabulary().filter(|(_, token)| is_word(token)).unzip();
        let states = word_vectors(teacher, &ids, progress)?;
        let mut vectors = pca::whitened(&states, width, options.dim);
        let weights = weights(ids.len(), options.sif);
        for (row, weight) in vectors.chunks_exact_mut(options.dim).zip(weights) {
            row.iter_mut().for_each(|x| *x = (f64::from(*x) * weight) as f32);
        }
        Ok(Self { vocabulary, vectors })
    }

    fn finish(
        self,
        teacher: &BertModel,
        options: &DistillOptions,
    ) -> Result<StaticModel, DistillError> {
        let mut rows = Vec::with_capacity(self.vectors.len());
        let round = |row: &[f32]| round::quantize_to(options.bits, row, &mut rows);
        let scales = self.vectors.chunks_exact(options.dim).map(round).collect();
        let model = StaticModel::new(StaticParts {
            about: StaticAbout {
                name: options.name.clone(),
                licence: options.licence.clone(),
                teacher: teacher.name().to_owned(),
            },
            root_weights: teacher.weights_hash(),
            dim: options.dim,
            max_tokens: options.max_tokens,
            vocabulary: self.vocabulary,
            scales,
            bits: options.bits,
            rows: Cow::Owned(rows),
        })?;
        expect_same_pieces(teacher, &model)?;
        Ok(model)
    }
}

/// Whether text can contain the piece; markers and reserved places are left out.
fn is_word(token: &str) -> bool {
    let marker = token.starts_with('[') && token.ends_with(']') && token.len() > 2;
    !marker && !token.is_empty() && !token.contains('\n')
}

fn word_vectors(
    teacher: &BertModel,
    ids: &[u32],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<f32>, EmbedError> {
    let width = teacher.dim();
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for batch in ids.chunks(BATCH) {
        let [embedded, encoded] = teacher.token_states(batch)?;
        first.extend(embedded);
        last.extend(encoded);
        progress(first.len() / width, ids.len());
    }
    for states in [&mut first, &mut last] {
        pca::centre(states, width);
        states.chunks_exact_mut(width).for_each(normalise);
    }
    let rows = first.chunks_exact(width).zip(last.chunks_exact(width));
    Ok(rows.flat_map(|(first, last)| [first, last]).flatten().copied().collect())
}

/// SIF weights under Zipf's law for ranks 1 to `count`.
fn weights(count: usize, a: f64) -> impl Iterator<Item = f64> {
    let harmonic: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
    (1..=count).map(move |rank| a / (a + 1.0 / (rank as f64 * harmonic)))
}

fn expect_same_pieces(teacher: &BertModel, model: &StaticModel) -> Result<(), DistillError> {
    const PROBES: [&str; 3] =
        ["Tokenization of naïve, UPPER-CASE words.", "don't embed 3.14 €!", "機械 学習 été"];
    for text in PROBES {
        if teacher.token_spans(text)? != model.token_spans(text)? {
            return Err(DistillError::Tokenizer { text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_weigh_less() {
        let weights: Vec<f64> = weights(1_000, 1e-3).collect();
        assert!(weights.is_sorted_by(|a, b| a < b));
        // H(1000) is 7.485, so the most frequent word has p = .1336.
        assert!((weights[0] - 1e-3 / (1e-3 + 0.1336)).abs() < 1e-6, "{}", weights[0]);
    }

    #[test]
    fn markers_are_no_words() {
        for (token, expected) in
            [("[CLS]", false), ("[unused7]", false), ("", false), ("[", true), ("##ing", true)]
        {
            assert_eq!(is_word(token), expected, "{token}");
        }
    }

    #[test]
    fn a_teacher_becomes_a_static_model_of_its_lineage() {
        let teacher = crate::bert::tests::toy();
        let options = DistillOptions { dim: 4, ..DistillOptions::default() };
        let mut steps = Vec::new();
        let model = distill(&teacher, &options, &mut |done, all| steps.push((done, all))).unwrap();
        assert_eq!(steps, [(8, 8)]);
        assert_eq!(model.parts().vocabulary, ["a", "b", "c", "d", "e", "f", "##a", "##b"]);
        assert_eq!(model.parts().root_weights, teacher.weights_hash());
        let row = model.embed(&["a b cab"]).unwrap();
        assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        let again = distill(&teacher, &options, &mut |_, _| ()).unwrap();
        assert_eq!(again.to_bytes().unwrap(), model.to_bytes().unwrap());
    }

    #[test]
    fn training_makes_another_release_and_the_same_one_again() {
        let teacher = crate::bert::tests::toy();
        let bits = Bits::new(5).unwrap();
        let options = DistillOptions { dim: 4, bits, ..DistillOptions::default() };
        let pairs = [["a b", "c"], ["d", "e f"]].map(|pair| pair.map(str::to_owned)).to_vec();
        let training = ContrastOptions { batch: 2, passes: 5, ..ContrastOptions::default() };
        let trained = || {
            let mut steps = 0;
            let groups = [pairs.clone()];
            let model = distill_and_train(&teacher, &options, &groups, &training, &mut |step| {
                steps += usize::from(matches!(step, DistillProgress::Training(_)));
            });
            assert_eq!(steps, 5);
            model.unwrap()
        };
        let (model, plain) = (trained(), distill(&teacher, &options, &mut |_, _| ()).unwrap());
        assert_eq!(model.id().base, plain.id().base);
        assert_ne!(model.id().release, plain.id().release);
        assert_eq!(trained().to_bytes().unwrap(), model.to_bytes().unwrap());
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        let teacher = crate::bert::tests::toy();
        let distilled = |dim, sif| {
            let options = DistillOptions { dim, sif, ..DistillOptions::default() };
            distill(&teacher, &options, &mut |_, _| ()).map(|_| ())
        };
        for dim in [0, 17] {
            assert!(matches!(distilled(dim, 1e-4), Err(DistillError::Dimensions { .. })));
        }
        for sif in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(distilled(4, sif), Err(DistillError::Sif(_))));
        }
    }
}
