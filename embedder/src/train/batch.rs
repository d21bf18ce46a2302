//! What a step looks at: anchors against candidates.

use std::collections::{BTreeMap, BTreeSet};

use super::Example;

/// Rows of anchors against columns of candidates, all by number in a learner's texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The text of each row.
    pub anchors: Vec<usize>,
    /// The text of each column, each once.
    pub columns: Vec<usize>,
    /// The column that belongs to each row.
    pub targets: Vec<usize>,
    /// `[rows, columns]`: whether a column is known to belong to a row. Such a column is no negative.
    pub known: Vec<bool>,
}

impl Batch {
    /// Rows for `examples`, whose positives and negatives are candidates of all of them, and so are
    /// `others`. `positives` are all texts known to belong to an anchor.
    #[must_use]
    pub fn new(
        examples: &[&Example],
        others: &[usize],
        positives: &BTreeMap<usize, BTreeSet<usize>>,
    ) -> Self {
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        let mut columns = Vec::new();
        let mut place = |text: usize| {
            *places.entry(text).or_insert_with(|| {
                columns.push(text);
                columns.len() - 1
            })
        };
        let targets: Vec<usize> = examples.iter().map(|example| place(example.positive)).collect();
        examples.iter().flat_map(|example| &example.negatives).chain(others).for_each(|&text| {
            place(text);
        });
        let anchors: Vec<usize> = examples.iter().map(|example| example.anchor).collect();
        let mut known = vec![false; anchors.len() * columns.len()];
        for (anchor, known) in anchors.iter().zip(known.chunks_mut(columns.len().max(1))) {
            let belonging = positives.get(anchor).into_iter().flatten().chain([anchor]);
            for place in belonging.filter_map(|text| places.get(text)) {
                known[*place] = true;
            }
        }
        Self { anchors, columns, targets, known }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.anchors.len()
    }

    /// The text of each row, and then of each column.
    pub(super) fn texts(&self) -> Vec<usize> {
        self.anchors.iter().chain(&self.columns).copied().collect()
    }

    /// Whether any row has a column that it must be told from.
    #[must_use]
    pub fn teaches(&self) -> bool {
        self.known
            .chunks(self.columns.len().max(1))
            .zip(&self.targets)
            .any(|(known, &target)| (0..known.len()).any(|c| c != target && !known[c]))
    }
}
