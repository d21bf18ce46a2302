//! A small deterministic encoder for tests: hashed bags of words.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use covey_index::{EncodeError, Encoder, EncoderId};

/// Each word gives every dimension a pseudo-random number; a text is the normalised sum of its words.
/// Texts with words in common are close, and all is reproducible.
pub struct WordEncoder {
    id: EncoderId,
    dim: usize,
    max_tokens: usize,
    encoded: AtomicUsize,
}

#[allow(dead_code, reason = "each test binary uses a part of it")]
impl WordEncoder {
    /// An encoder of vectors of this length.
    pub fn new(dim: usize) -> Self {
        let id = EncoderId { base: [7; 32], release: [1; 32] };
        Self { id, dim, max_tokens: 66, encoded: AtomicUsize::new(0) }
    }

    /// The same with another bound on tokens.
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// The same under another name.
    pub fn with_id(mut self, base: u8, release: u8) -> Self {
        self.id = EncoderId { base: [base; 32], release: [release; 32] };
        self
    }

    /// How many texts have been encoded so far.
    pub fn encoded(&self) -> usize {
        self.encoded.load(Ordering::Relaxed)
    }

    /// The exact score of one text for another, up to rounding.
    pub fn dot(&self, a: &str, b: &str) -> f32 {
        let (a, b) = (self.one(a), self.one(b));
        a.iter().zip(&b).map(|(x, y)| x * y).sum()
    }

    /// The vector of one text.
    pub fn one(&self, text: &str) -> Vec<f32> {
        let mut row = vec![0f32; self.dim];
        for span in words(text) {
            let mut state =
                text[span].to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
                    (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
                });
            for x in &mut row {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                *x += ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
            }
        }
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x /= norm);
        }
        row
    }
}

impl Encoder for WordEncoder {
    fn id(&self) -> EncoderId {
        self.id
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        self.encoded.fetch_add(texts.len(), Ordering::Relaxed);
        Ok(texts.iter().flat_map(|text| self.one(text)).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        Ok(words(text).collect())
    }
}

fn words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.split_whitespace().map(move |word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        start..start + word.len()
    })
}

/// Texts that share words the way texts of a few subjects do: each takes most of its words from one
/// of twenty vocabularies.
#[allow(dead_code, reason = "each test binary uses a part of it")]
pub fn topics(texts: usize, words: usize, seed: u64) -> Vec<String> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % below
    };
    let mut text = || {
        let topic = draw(20);
        let mut word = |_| match draw(4) {
            0 => format!("common{}", draw(300)),
            _ => format!("t{topic}w{}", draw(60)),
        };
        (0..words).map(&mut word).collect::<Vec<_>>().join(" ")
    };
    (0..texts).map(|_| text()).collect()
}
