//! Made-up questions and passages, of which it is known what answers what.
//!
//! There are topics, and eight subjects in each. A topic has a few words that its questions and passages share; a subject has words
//! for questions and others for passages. A model that has never seen them finds the topic at most; that
//! the two vocabularies of a subject belong together can only be learnt, from pairs.

use covey_embedder::eval::{Document, Gaps, Grades, Judgements, Query, Set};
use covey_embedder::train::Pair;
use rand_chacha::ChaCha20Rng;

use super::{Dataset, Labels};
use crate::draw;

/// Subjects of a topic.
const SUBJECTS: u32 = 8;
/// Words of a topic, and of a subject for questions and for passages.
const OF_TOPIC: u32 = 4;
const OF_QUESTIONS: u32 = 3;
const OF_PASSAGES: u32 = 6;
const WORDS: u32 = OF_TOPIC + SUBJECTS * (OF_QUESTIONS + OF_PASSAGES);
/// Sentences of a passage.
const SENTENCES: usize = 3;
/// Most questions that a model is tested by, one a subject, and passages of each subject to find.
const TESTED: u32 = 500;
const TO_FIND: usize = 4;
const CONSONANTS: &[u8; 20] = b"bcdfghjklmnpqrstvwxz";
const VOWELS: &[u8; 5] = b"aeiou";
/// Words of three syllables: more than all topics have.
const VOCABULARY: u64 = 1_000_000;
const ASKS: [&str; 4] = ["what is", "how does one", "why do", "where are"];
const LINKS: [&str; 8] = ["with", "and", "of", "for the", "in the", "after", "near", "without"];

/// A world of topics with words of their own.
#[derive(Debug, Clone)]
pub struct MadeUp {
    topics: u32,
    seed: u64,
    step: u64,
    first: u64,
}

impl MadeUp {
    /// One of so many topics, at least one. Its words follow from `seed`.
    pub fn new(topics: u32, seed: u64) -> Self {
        let rng = &mut draw::stream(seed, "words", 0);
        // A step without a divisor in common with the vocabulary's size meets every word once.
        let step = loop {
            let step = draw::below(rng, VOCABULARY as usize) as u64;
            if !step.is_multiple_of(2) && !step.is_multiple_of(5) {
                break step;
            }
        };
        let first = draw::below(rng, VOCABULARY as usize) as u64;
        Self { topics: topics.max(1), seed, step, first }
    }

    /// How many subjects there are, numbered from 0.
    pub fn subjects(&self) -> u32 {
        self.topics * SUBJECTS
    }

    /// The topic that a subject belongs to.
    pub fn topic_of(&self, subject: u32) -> u32 {
        subject / SUBJECTS
    }

    /// The subject of an example: topics take turns, and of each its subjects.
    pub fn subject_of(&self, example: u32) -> u32 {
        let (round, topic) = (example / self.topics, example % self.topics);
        topic * SUBJECTS + round % SUBJECTS
    }

    /// A question on a subject: two words of its own and one of its topic.
    pub fn question(&self, subject: u32, rng: &mut ChaCha20Rng) -> String {
        let first = draw::below(rng, OF_QUESTIONS as usize) as u32;
        let other = (first + 1 + draw::below(rng, OF_QUESTIONS as usize - 1) as u32) % OF_QUESTIONS;
        let [ask, link] = [pick(&ASKS, rng), pick(&LINKS, rng)];
        let (a, b) = (self.asked(subject, first), self.asked(subject, other));
        format!("{ask} {a} {b} {link} {}?", self.shared(subject, rng))
    }

    /// A passage on a subject, which answers all questions on it and no others.
    pub fn passage(&self, subject: u32, rng: &mut ChaCha20Rng) -> String {
        let sentences = (0..SENTENCES).map(|_| {
            let [a, b] = [self.told(subject, rng), self.told(subject, rng)];
            let [link, other] = [pick(&LINKS, rng), pick(&LINKS, rng)];
            format!("{a} {link} {b} {other} {}.", self.shared(subject, rng))
        });
        sentences.collect::<Vec<_>>().join(" ")
    }

    /// So many pairs, and a test set with documents of its own.
    pub fn dataset(&self, examples: u32) -> Dataset {
        let test = self.test();
        let topic = |document: &Document| {
            let subject = document.id.split('-').nth(1).and_then(|subject| subject.parse().ok());
            self.topic_of(subject.unwrap_or_default())
        };
        Dataset {
            pairs: (0..examples).map(|example| self.pair(example)).collect(),
            pair_labels: Labels::made_up(examples, self.topics),
            document_labels: Labels::new(test.documents.iter().map(topic).collect(), None),
            test,
            left_out: 0,
        }
    }

    fn pair(&self, example: u32) -> Pair {
        let rng = &mut draw::stream(self.seed, "example", u64::from(example));
        let subject = self.subject_of(example);
        Pair {
            anchor: self.question(subject, rng),
            positive: self.passage(subject, rng),
            document: format!("example-{example}"),
            ..Pair::default()
        }
    }

    /// A question on each subject, or on some of many, and passages on it.
    fn test(&self) -> Set {
        let mut set = Set {
            documents: Vec::new(),
            queries: Vec::new(),
            judgements: Judgements::new(),
            gaps: Gaps::default(),
        };
        // The first example of each subject is of that subject, topics in turn.
        for example in 0..self.subjects().min(TESTED) {
            let subject = self.subject_of(example);
            let rng = &mut draw::stream(self.seed, "test", u64::from(subject));
            let query =
                Query { id: format!("question-{subject}"), text: self.question(subject, rng) };
            let mut grades = Grades::new();
            for number in 0..TO_FIND {
                let id = format!("passage-{subject}-{number}");
                grades.insert(id.clone(), 1);
                let text = self.passage(subject, rng);
                set.documents.push(Document { id, title: String::new(), text });
            }
            set.judgements.insert(query.id.clone(), grades);
            set.queries.push(query);
        }
        set
    }

    fn asked(&self, subject: u32, number: u32) -> String {
        self.word(subject, OF_TOPIC + subject % SUBJECTS * (OF_QUESTIONS + OF_PASSAGES) + number)
    }

    fn told(&self, subject: u32, rng: &mut ChaCha20Rng) -> String {
        let number = OF_QUESTIONS + draw::below(rng, OF_PASSAGES as usize) as u32;
        self.asked(subject, number)
    }

    fn shared(&self, subject: u32, rng: &mut ChaCha20Rng) -> String {
        self.word(subject, draw::below(rng, OF_TOPIC as usize) as u32)
    }

    /// A word of the subject's topic, by its number there.
    fn word(&self, subject: u32, number: u32) -> String {
        let number = u64::from(self.topic_of(subject)) * u64::from(WORDS) + u64::from(number);
        let mut rest = ((self.first + self.step * number) % VOCABULARY) as usize;
        let mut word = String::with_capacity(6);
        for _ in 0..3 {
            let (consonant, vowel) =
                (rest % CONSONANTS.len(), rest / CONSONANTS.len() % VOWELS.len());
            word.push(char::from(CONSONANTS[consonant]));
            word.push(char::from(VOWELS[vowel]));
            rest /= CONSONANTS.len() * VOWELS.len();
        }
        word
    }
}

fn pick<'a>(words: &[&'a str], rng: &mut ChaCha20Rng) -> &'a str {
    words[draw::below(rng, words.len())]
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::ops::ControlFlow;

    use covey_embedder::adapter::HeadConfig;
    use covey_embedder::builtin;
    use covey_embedder::train::{Examples, PairRules, QueryLearner, TrainOptions, Trainer};

    use super::*;

    #[test]
    fn no_word_is_of_two_topics_or_subjects() {
        let world = MadeUp::new(1_000, 3);
        let mut words = BTreeSet::new();
        for topic in 0..1_000 {
            for number in 0..WORDS {
                assert!(words.insert(world.word(topic * SUBJECTS, number)), "topic {topic}");
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_texts_and_another_gives_others() {
        let (a, b, other) = (MadeUp::new(5, 1), MadeUp::new(5, 1), MadeUp::new(5, 2));
        assert_eq!(a.pair(7), b.pair(7));
        assert_ne!(a.pair(7), other.pair(7));
        assert_ne!(a.pair(7).positive, a.pair(7 + 40).positive);
    }

    #[test]
    fn examples_are_labelled_as_they_are_made() {
        let data = MadeUp::new(6, 1).dataset(500);
        let world = MadeUp::new(6, 1);
        assert_eq!((data.pairs.len(), data.pair_labels.len()), (500, 500));
        for (example, topic) in (0..).zip(data.pair_labels.topics()) {
            assert_eq!(world.topic_of(world.subject_of(example)), *topic);
        }
        assert_eq!(data.test.queries.len(), 48);
        assert_eq!(data.document_labels.len(), 48 * TO_FIND);
        let counts =
            data.document_labels.topics().iter().fold(BTreeMap::new(), |mut counts, topic| {
                *counts.entry(*topic).or_insert(0) += 1;
                counts
            });
        assert!(
            counts.len() == 6 && counts.values().all(|count| *count == 8 * TO_FIND),
            "{counts:?}"
        );
    }

    /// A word of a question is linked to those of passages by how often pairs have both.
    #[test]
    fn pairs_tell_what_answers_test_questions_and_texts_alone_do_not() {
        let data = MadeUp::new(4, 9).dataset(1_000);
        let words = |text: &str| -> BTreeSet<String> {
            let plain = |word: &str| word.trim_matches(['.', '?']).to_owned();
            text.split_whitespace().map(plain).filter(|word| word.len() == 6).collect()
        };
        let mut linked: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
        for pair in &data.pairs {
            for asked in words(&pair.anchor) {
                let links = linked.entry(asked).or_default();
                words(&pair.positive)
                    .into_iter()
                    .for_each(|told| *links.entry(told).or_insert(0) += 1);
            }
        }
        let recall = |score: &dyn Fn(&BTreeSet<String>, &BTreeSet<String>) -> u32| {
            let mut found = 0;
            for query in &data.test.queries {
                let asked = words(&query.text);
                let mut ranked: Vec<_> = data
                    .test
                    .documents
                    .iter()
                    .map(|document| (score(&asked, &words(&document.text)), &document.id))
                    .collect();
                ranked.sort_by(|a, b| b.cmp(a));
                let grades = &data.test.judgements[&query.id];
                found +=
                    ranked[..TO_FIND].iter().filter(|(_, id)| grades.contains_key(*id)).count();
            }
            found as f64 / (TO_FIND * data.test.queries.len()) as f64
        };
        let learnt = recall(&|asked, told| {
            let links = asked.iter().filter_map(|word| linked.get(word));
            links.map(|links| told.iter().filter_map(|word| links.get(word)).sum::<u32>()).sum()
        });
        let alone = recall(&|asked, told| asked.intersection(told).count() as u32);
        assert!(learnt > 0.8 && alone < 0.2, "{learnt} {alone}");
    }
    /// The built-in embedder behind a map of questions' vectors, which training moves.
    #[test]
    fn the_embedder_learns_made_up_pairs() {
        let model = builtin().expect("it loads");
        let embed = |texts: Vec<&str>| model.embed(&texts).expect("embeds");
        let data = MadeUp::new(4, 9).dataset(400);
        let rules = PairRules { held_out: 0.0, ..PairRules::default() };
        let examples = Examples::new(&data.pairs, &rules);
        let vectors = embed(examples.texts.iter().map(String::as_str).collect());
        let (head, dim) = (HeadConfig::default(), model.dim());
        let learner = QueryLearner::new(model.id(), head, dim, vectors).expect("fits");
        let options =
            TrainOptions { batch: 32, rate: 1e-2, max_steps: Some(12), ..TrainOptions::default() };
        let mut trainer = Trainer::new(&learner, &examples, options, None).expect("begins");
        let outcome = trainer.run(&mut |_, _| ControlFlow::Continue(())).expect("trains");
        let map = learner.query_adapter(&outcome.values).expect("fits");
        let asked = embed(data.test.queries.iter().map(|query| query.text.as_str()).collect());
        let told = embed(data.test.documents.iter().map(|it| it.text.as_str()).collect());
        let recall = |mapped: bool| {
            let mut found = 0;
            for (query, row) in data.test.queries.iter().zip(asked.chunks_exact(dim)) {
                let mut row = row.to_vec();
                if mapped {
                    map.apply(&mut row);
                }
                let dot = |told: &[f32]| row.iter().zip(told).map(|(a, b)| a * b).sum::<f32>();
                let mut ranked: Vec<(f32, &Document)> =
                    told.chunks_exact(dim).map(dot).zip(&data.test.documents).collect();
                ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
                let grades = &data.test.judgements[&query.id];
                found +=
                    ranked[..TO_FIND].iter().filter(|it| grades.contains_key(&it.1.id)).count();
            }
            found as f64 / (TO_FIND * data.test.queries.len()) as f64
        };
        let (before, after) = (recall(false), recall(true));
        assert!(before < 0.3 && after > 0.6, "{before} {after}");
    }
}
