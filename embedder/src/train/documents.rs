//! Gradients of single documents, in which nothing of another document plays a part.

use std::collections::{BTreeMap, BTreeSet};

use super::{Batch, Example, Examples, Learner, Objective, TrainError, TrainOptions};

/// Documents whose gradients are taken one by one. A document's candidates are its own texts and public ones: with other documents'
/// texts as negatives its gradient would depend on them, and no clipping could undo that.
pub struct Documents<'a> {
    learner: &'a dyn Learner,
    /// Each document's examples.
    documents: Vec<Vec<&'a Example>>,
    /// Texts that are public.
    public: &'a [usize],
    objective: Objective,
    /// Public texts that each document's anchors are told from.
    negatives: usize,
}

impl<'a> Documents<'a> {
    /// Those that `examples` are to be learnt from. `public` are the numbers of texts that anybody may know, of which `negatives` serve as such.
    ///
    /// # Errors
    ///
    /// When there are no documents, there are too few public texts, or the examples or the objective would couple documents: by negatives of their
    /// own, or by candidates that must find their anchors.
    pub fn new(
        learner: &'a dyn Learner,
        examples: &'a Examples,
        public: &'a [usize],
        objective: Objective,
        negatives: usize,
    ) -> Result<Self, TrainError> {
        objective.check(learner.dim())?;
        if objective.symmetric {
            return Err(TrainError::Coupled(
                "a symmetric objective tells anchors apart, and a document has only its own",
            ));
        }
        if examples.train.iter().any(|example| !example.negatives.is_empty()) {
            return Err(TrainError::Coupled("pairs bring negatives from other documents"));
        }
        if public.len() < negatives {
            return Err(TrainError::TooFew(public.len(), negatives));
        }
        if learner.texts() < examples.texts.len() {
            let (found, expected) = (learner.texts(), examples.texts.len());
            return Err(TrainError::Texts { found, expected });
        }
        let own = |example: &Example| [example.anchor, example.positive];
        let private: BTreeSet<usize> =
            examples.train.iter().chain(&examples.held_out).flat_map(own).collect();
        if public.iter().any(|text| private.contains(text) || *text >= learner.texts()) {
            return Err(TrainError::Coupled(
                "a text that is to be public belongs to a pair, or is none",
            ));
        }
        let mut documents: BTreeMap<usize, Vec<&Example>> = BTreeMap::new();
        for example in &examples.train {
            documents.entry(example.document).or_default().push(example);
        }
        if documents.is_empty() {
            return Err(TrainError::TooFew(0, 1));
        }
        let documents = documents.into_values().collect();
        Ok(Self { learner, documents, public, objective, negatives })
    }

    /// How many there are; one at least.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "without any there are none of this type")]
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// The gradient of a document's loss at `values`, of any length. Of pairs that would need more memory than a batch of training may by default, the last are
    /// left out, by nothing but the document's own texts. `step` turns the public texts: the same ones for all documents of a step, so
    /// that they tell nothing of which took part.
    ///
    /// # Errors
    ///
    /// When a single pair needs too much memory, or the tensor backend fails.
    pub fn gradient(
        &self,
        values: &[f32],
        number: usize,
        step: usize,
    ) -> Result<Vec<f32>, TrainError> {
        let first = step * self.negatives % self.public.len().max(1);
        let others = self.public.iter().cycle().skip(first).take(self.negatives);
        let others: Vec<usize> = others.copied().collect();
        let batch = self.fitting(&self.documents[number], &others)?;
        let mut gradient = vec![0.0; values.len()];
        self.learner.gradient(values, &batch, &self.objective, &mut gradient)?;
        Ok(gradient)
    }

    fn fitting(&self, examples: &[&Example], others: &[usize]) -> Result<Batch, TrainError> {
        let budget = TrainOptions::default().memory;
        let mut count = examples.len();
        loop {
            let batch = alone(&examples[..count], others);
            let needed = self.learner.bytes(&batch);
            if needed <= budget {
                return Ok(batch);
            }
            if count <= 1 {
                return Err(TrainError::TooLarge { needed, budget });
            }
            count /= 2;
        }
    }
}

/// A batch of one document's examples. What other documents know to belong together plays no part.
fn alone(examples: &[&Example], others: &[usize]) -> Batch {
    let mut positives: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for example in examples {
        positives.entry(example.anchor).or_default().insert(example.positive);
    }
    Batch::new(examples, others, &positives)
}
