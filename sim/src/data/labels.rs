//! What examples are about and who wrote them.

/// What examples are about and who wrote them, by number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    topics: Vec<u32>,
    authors: Option<Vec<u32>>,
}

impl Labels {
    /// A topic for each example, and an author where that is known.
    ///
    /// # Panics
    /// If there are not as many authors as topics, or more examples than 2^32.
    pub fn new(topics: Vec<u32>, authors: Option<Vec<u32>>) -> Self {
        assert!(authors.as_ref().is_none_or(|authors| authors.len() == topics.len()));
        assert!(u32::try_from(topics.len()).is_ok(), "examples are numbered in 32 bits");
        Self { topics, authors }
    }

    /// Those of made-up examples: topics in turn, no authors.
    pub fn made_up(examples: u32, topics: u32) -> Self {
        Self::new((0..examples).map(|example| example % topics.max(1)).collect(), None)
    }

    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The topic of each example.
    pub fn topics(&self) -> &[u32] {
        &self.topics
    }

    /// The author of each, where that is known.
    pub fn authors(&self) -> Option<&[u32]> {
        self.authors.as_deref()
    }

    /// Those of some examples.
    pub(super) fn of(&self, examples: &[u32]) -> Self {
        let pick = |all: &[u32]| examples.iter().map(|example| all[*example as usize]).collect();
        Self { topics: pick(&self.topics), authors: self.authors.as_deref().map(pick) }
    }

    pub(super) fn numbers(&self) -> Vec<u32> {
        (0..).take(self.len()).collect()
    }

    pub(super) fn by_topic(&self) -> Vec<Vec<u32>> {
        grouped(&self.topics)
    }

    pub(super) fn by_author(&self) -> Option<Vec<Vec<u32>>> {
        let mut authors = grouped(self.authors.as_deref()?);
        authors.retain(|examples| !examples.is_empty());
        Some(authors)
    }
}

/// The numbers of the entries with each label, labels from 0 on.
fn grouped(labels: &[u32]) -> Vec<Vec<u32>> {
    let many = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let mut groups = vec![Vec::new(); many];
    for (number, label) in (0..).zip(labels) {
        groups[*label as usize].push(number);
    }
    groups
}
