//! Pairs of texts that belong together, made ready: without repeats, capped by document, and with a part
//! held out before anything is learnt.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Batch;

/// Longest line of imported pairs, in bytes.
const MAX_LINE: u64 = 4 << 20;
/// Most negatives of a pair.
pub const MAX_NEGATIVES: usize = 64;
/// Most pairs of an imported file.
const MAX_PAIRS: usize = 10_000_000;

/// Two texts that belong together, such as a question and what answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// What is asked.
    #[serde(alias = "query")]
    pub anchor: String,
    /// What belongs to it.
    pub positive: String,
    /// Texts that seem to, and do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub negatives: Vec<String>,
    /// The document that both come from; without a name, the positive text itself stands for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub document: String,
    /// What decides in its document's place whether that is held out, such as where it is in a folder that may move.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
}

/// Why pairs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("line {line} cannot be read: {source}")]
    Read {
        /// Number of the line, from 1.
        line: usize,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A line is no pair.
    #[error(
        "line {line} is no pair of texts ({reason}); each line is {{\"anchor\": …, \"positive\": …}}"
    )]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Pair {
    /// Reads JSON lines, each an object with `anchor` (or `query`) and `positive`, and optionally `negatives`
    /// (a list) and `document`. Empty lines are skipped.
    ///
    /// # Errors
    ///
    /// When a line cannot be read, is no such object, or is longer than 4 MiB.
    pub fn read_lines(mut input: impl BufRead) -> Result<Vec<Self>, ImportError> {
        let mut pairs = Vec::new();
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            let read = std::io::Read::take(&mut input, MAX_LINE + 1).read_until(b'\n', &mut text);
            if read.map_err(|source| ImportError::Read { line, source })? == 0 {
                break;
            }
            if text.len() as u64 > MAX_LINE {
                let reason = format!("longer than {MAX_LINE} bytes");
                return Err(ImportError::Line { line, reason });
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            let pair: Self = serde_json::from_slice(&text)
                .map_err(|error| ImportError::Line { line, reason: error.to_string() })?;
            if pair.negatives.len() > MAX_NEGATIVES {
                let reason = format!("more than {MAX_NEGATIVES} negatives");
                return Err(ImportError::Line { line, reason });
            }
            if pairs.len() == MAX_PAIRS {
                let reason = format!("there are more than {MAX_PAIRS} pairs");
                return Err(ImportError::Line { line, reason });
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// How pairs are made ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairRules {
    /// Most pairs of one document; of more, those are kept that a hash puts first.
    pub per_document: usize,
    /// Share of documents whose pairs are held out, from 0 to .5.
    pub held_out: f64,
    /// What decides which; a document stays on its side whatever others there are.
    pub seed: u64,
}

impl Default for PairRules {
    /// Four of a document, a tenth held out.
    fn default() -> Self {
        Self { per_document: 4, held_out: 0.1, seed: 0 }
    }
}

/// A pair, its texts by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What is asked.
    pub anchor: usize,
    /// What belongs to it.
    pub positive: usize,
    /// What does not.
    pub negatives: Vec<usize>,
    /// The document, by number.
    pub document: usize,
}

/// Pairs that were left out, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// A side has no text, or both are one.
    pub empty: usize,
    /// The document had the same pair already.
    pub repeated: usize,
    /// Beyond what one document may give.
    pub beyond_cap: usize,
}

/// Pairs made ready.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// Every text once.
    pub texts: Vec<String>,
    /// What is learnt from.
    pub train: Vec<Example>,
    /// What is only looked at to see how it goes.
    pub held_out: Vec<Example>,
    /// What was left out.
    pub dropped: Dropped,
    /// Texts known to belong to an anchor, of both parts.
    positives: BTreeMap<usize, BTreeSet<usize>>,
}

impl Examples {
    /// Makes `pairs` ready.
    #[must_use]
    pub fn new(pairs: &[Pair], rules: &PairRules) -> Self {
        let mut all = Self::default();
        let mut numbers = BTreeMap::new();
        // A text that stands for itself is no document of that name.
        let mut documents: BTreeMap<(bool, &str), Vec<&Pair>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for pair in pairs {
            let (anchor, positive) = (pair.anchor.trim(), pair.positive.trim());
            let named = !pair.document.is_empty();
            let document = (named, if named { pair.document.as_str() } else { positive });
            if anchor.is_empty() || positive.is_empty() || anchor == positive {
                all.dropped.empty += 1;
            } else if seen.insert((document, anchor, positive)) {
                // By document, or what one has would decide what another gives.
                documents.entry(document).or_default().push(pair);
            } else {
                all.dropped.repeated += 1;
            }
        }
        for (number, ((_, name), mut pairs)) in documents.into_iter().enumerate() {
            let placed = pairs.iter().map(|pair| pair.place.as_str()).find(|it| !it.is_empty());
            pairs.sort_by_cached_key(|pair| {
                hash(rules.seed, &[pair.anchor.trim(), pair.positive.trim()])
            });
            all.dropped.beyond_cap += pairs.len().saturating_sub(rules.per_document);
            pairs.truncate(rules.per_document);
            let held_out = share(hash(rules.seed, &[placed.unwrap_or(name)])) < rules.held_out;
            for pair in pairs {
                let example = all.example(pair, number, &mut numbers);
                if held_out { &mut all.held_out } else { &mut all.train }.push(example);
            }
        }
        all
    }

    /// Adds texts that are not of any pair, such as public ones, and gives their numbers.
    pub fn add_texts(&mut self, texts: &[String]) -> Vec<usize> {
        let first = self.texts.len();
        self.texts.extend_from_slice(texts);
        (first..self.texts.len()).collect()
    }

    /// Whether a pair says that `text` belongs to `anchor`.
    #[must_use]
    pub fn belongs(&self, anchor: usize, text: usize) -> bool {
        self.positives.get(&anchor).is_some_and(|all| all.contains(&text))
    }

    /// A batch of some examples, with further candidates.
    #[must_use]
    pub fn batch(&self, examples: &[&Example], others: &[usize]) -> Batch {
        Batch::new(examples, others, &self.positives)
    }

    fn example<'a>(
        &mut self,
        pair: &'a Pair,
        document: usize,
        numbers: &mut BTreeMap<&'a str, usize>,
    ) -> Example {
        let mut number = |text: &'a str| {
            *numbers.entry(text.trim()).or_insert_with_key(|text| {
                self.texts.push((*text).to_owned());
                self.texts.len() - 1
            })
        };
        let (anchor, positive) = (number(&pair.anchor), number(&pair.positive));
        let negatives = pair.negatives.iter().filter(|text| !text.trim().is_empty());
        let negatives = negatives.map(|text| number(text)).collect();
        self.positives.entry(anchor).or_default().insert(positive);
        Example { anchor, positive, negatives, document }
    }
}

fn hash(seed: u64, fields: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    for field in fields {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().into()
}

/// A hash as a number from 0 to below 1.
fn share(hash: [u8; 32]) -> f64 {
    let (first, _) = hash.split_first_chunk::<4>().expect("a hash has 32 bytes");
    f64::from(u32::from_le_bytes(*first)) / (f64::from(u32::MAX) + 1.0)
}
