//! What peers have: a folder's questions and documents or made-up ones, and who gets what.
//!
//! [`Dataset::of`] makes all of a scenario's data, [`deal`] splits it among peers by its [`Labels`].
//! Made-up data is the same on every machine. Of a folder's, topics are of the built-in model's vectors, whose last
//! digits differ between kinds of processors; the same machine gives the same ones.

mod clusters;
mod folder;
mod labels;
mod made_up;
mod meta;
mod partition;

use std::collections::BTreeSet;

use covey_crypto::Digest;
use covey_embedder::eval::{ReadError, RetrieveError, Set};
use covey_embedder::train::Pair;
use covey_embedder::{EmbedError, Embedder};

pub use clusters::clusters;
pub use labels::Labels;
pub use made_up::MadeUp;
pub use meta::MetaError;
pub use partition::{DealError, LEAST, deal};

use crate::scenario::{Data, Partition};

/// Questions and what answers them, to learn from and to be tested by.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What is learnt from.
    pub pairs: Vec<Pair>,
    /// What the pairs are about.
    pub pair_labels: Labels,
    /// Documents, and questions that no pair asks, with what answers them. Made-up ones have documents of their own; those
    /// of a folder are all of it.
    pub test: Set,
    /// What the documents of `test` are about.
    pub document_labels: Labels,
    /// Questions of a folder that are left out of `pairs`, as another split asks them as well.
    pub left_out: usize,
}

/// A model, and among how many documents it has to find an answer.
pub type Found<'a> = (&'a dyn Embedder, usize);

/// Data that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder is no set in BEIR's layout.
    #[error(
        "{0}; data.folder has to have corpus.jsonl, queries.jsonl, qrels/train.tsv and another split, as BEIR's sets do"
    )]
    Folder(#[from] ReadError),
    /// What is known of its documents cannot be read.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// It has nothing to test by.
    #[error("{folder} has no split beside train; add qrels/test.tsv")]
    Untested {
        /// The folder.
        folder: String,
    },
    /// A folder without the split that is to judge.
    #[error("{folder} has no split {named}; it has: {all}")]
    NoSplit {
        /// The folder.
        folder: String,
        /// The split.
        named: String,
        /// Those that there are.
        all: String,
    },
    /// The built-in model cannot embed its documents.
    #[error("topics of the documents cannot be found: {0}")]
    Topics(#[from] EmbedError),
    /// The model cannot look for answers.
    #[error("the model's own answers cannot be found: {0}")]
    Found(#[from] RetrieveError),
}

impl Dataset {
    /// The data of a scenario: its folder's, or made up from `seed`. Of a folder's answers those only that `found` finds among so many, each with a
    /// negative, if there is such a model.
    ///
    /// # Errors
    /// If the folder is no set with splits `train` and another, or a document's vector cannot be had.
    pub fn of(data: &Data, seed: u64, found: Option<Found<'_>>) -> Result<Self, DataError> {
        let mut all = match &data.folder {
            Some(path) => {
                let topics = by_topic(data).then_some(data.topics);
                folder::load(path, data.split.as_deref(), topics, seed, found)?
            }
            None => MadeUp::new(data.topics, seed).dataset(data.examples),
        };
        if data.questions > 0 {
            keep(&mut all.test, data.questions as usize);
        }
        Ok(all)
    }
}

/// The split of a folder whose questions judge; nothing where data is made up.
///
/// # Errors
/// If the folder has none.
pub fn judged_by(data: &Data) -> Result<Option<String>, DataError> {
    let split = data.folder.as_deref().map(|path| folder::test_split(path, data.split.as_deref()));
    split.transpose()
}

/// Whether peers' data depends on how the machine computes models: topics of a folder are clusters of vectors.
pub(crate) fn is_computed(data: &Data) -> bool {
    data.folder.is_some() && by_topic(data)
}

/// Keeps so many questions, always the same ones.
fn keep(test: &mut Set, most: usize) {
    let hash = |id: &str| *Digest::of("covey simulation questions", &[id.as_bytes()]).as_bytes();
    test.queries.sort_by_cached_key(|query| hash(&query.id));
    test.queries.truncate(most);
    test.queries.sort_by(|a, b| a.id.cmp(&b.id));
    let kept: BTreeSet<&str> = test.queries.iter().map(|query| query.id.as_str()).collect();
    test.judgements.retain(|id, _| kept.contains(id.as_str()));
}

/// Whether examples are dealt by what they are about.
fn by_topic(data: &Data) -> bool {
    match data.partition {
        Partition::Dirichlet | Partition::Topics => true,
        Partition::Iid | Partition::Author => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_questions_are_some_of_all_with_what_answers_them() {
        let of = |questions| {
            let data = Data { questions, examples: 200, ..Data::default() };
            Dataset::of(&data, 1, None).expect("made").test
        };
        let ids = |set: &Set| -> BTreeSet<String> {
            set.queries.iter().map(|query| query.id.clone()).collect()
        };
        let (all, some) = (of(0), of(5));
        assert!(ids(&some).len() == 5 && ids(&some).is_subset(&ids(&all)));
        assert_eq!(some.judgements.keys().cloned().collect::<BTreeSet<_>>(), ids(&some));
        assert_eq!(ids(&of(1_000_000)), ids(&all));
        assert_eq!(some.documents.len(), all.documents.len());
    }
}
