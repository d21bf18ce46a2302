use std::collections::BTreeSet;

use super::private::{Mechanism, PrivateOptions, PrivateTrainer};
use super::*;

/// Draws those it is told to, and keeps the sums before it adds nothing to them.
struct Open {
    drawn: BTreeSet<usize>,
    sums: Vec<Vec<i64>>,
}

impl Mechanism for Open {
    fn sample(&mut self, _documents: usize) -> Result<BTreeSet<usize>, String> {
        if self.sums.is_empty() { Ok(self.drawn.clone()) } else { Err("spent".to_owned()) }
    }

    fn add_noise(&mut self, sum: &mut [i64], _sensitivity: f64) {
        self.sums.push(sum.to_vec());
    }
}

const OPTIONS: PrivateOptions = PrivateOptions {
    clip: 0.05,
    grid: 1.0 / (1 << 20) as f64,
    expected: 4.0,
    negatives: 3,
    rate: 0.05,
    optimizer: Optimizer::Sgd { momentum: 0.0 },
};

fn objective() -> Objective {
    Objective { symmetric: false, ..Objective::default() }
}

fn public() -> Vec<String> {
    ["a a b", "c c d", "e e f", "f a c", "b d"].map(str::to_owned).into()
}

#[test]
fn one_document_moves_the_sum_by_the_clip_norm_at_most() {
    let mut examples = all_of(&pairs(), 0.0);
    let public = examples.add_texts(&public());
    for learner in learners(&examples) {
        let start = learner.start();
        let documents: Vec<usize> = (0..examples.train.len()).collect();
        let sum_of = |drawn: &[usize]| {
            let mut trainer = PrivateTrainer::new(
                learner.as_ref(),
                &examples,
                &public,
                objective(),
                OPTIONS,
                start.clone(),
            )
            .unwrap();
            let mut open = Open { drawn: drawn.iter().copied().collect(), sums: Vec::new() };
            assert_eq!(trainer.step(&mut open).unwrap(), drawn.len());
            (open.sums.remove(0), trainer.sensitivity())
        };
        let (all, sensitivity) = sum_of(&documents);
        for left_out in 0..documents.len() {
            let others: Vec<usize> =
                documents.iter().copied().filter(|&number| number != left_out).collect();
            let (without, _) = sum_of(&others);
            let (alone, _) = sum_of(&[left_out]);
            let apart: Vec<i64> = all.iter().zip(&without).map(|(a, b)| a - b).collect();
            assert_eq!(apart, alone, "what a document gives depends on it alone");
            let squares: i128 = apart.iter().map(|x| i128::from(*x).pow(2)).sum();
            assert!((squares as f64).sqrt() <= sensitivity);
        }
        assert!(all.iter().any(|x| *x != 0));
    }
}

#[test]
fn what_couples_documents_is_refused() {
    let mut examples = all_of(&pairs(), 0.0);
    let public = examples.add_texts(&public());
    let learner = head(None, false, &examples);
    let trainer = |examples: &Examples, objective, options| {
        PrivateTrainer::new(&learner, examples, &public, objective, options, learner.start())
            .map(|_| ())
    };
    trainer(&examples, objective(), OPTIONS).unwrap();
    let error = trainer(&examples, Objective::default(), OPTIONS).unwrap_err();
    assert!(matches!(error, TrainError::Coupled(_)), "{error}");
    let mut mined = examples.clone();
    mined.train[0].negatives.push(0);
    let error = trainer(&mined, objective(), OPTIONS).unwrap_err();
    assert!(matches!(error, TrainError::Coupled(_)), "{error}");
    let wrong = [
        PrivateOptions { clip: 0.0, ..OPTIONS },
        PrivateOptions { clip: f64::INFINITY, ..OPTIONS },
        PrivateOptions { grid: 0.0, ..OPTIONS },
        PrivateOptions { grid: 1.0, ..OPTIONS },
        PrivateOptions { grid: 1e-30, ..OPTIONS },
        PrivateOptions { expected: 0.0, ..OPTIONS },
        PrivateOptions { negatives: 0, ..OPTIONS },
        PrivateOptions { negatives: 99, ..OPTIONS },
        PrivateOptions { rate: f32::NAN, ..OPTIONS },
    ];
    for options in wrong {
        assert!(trainer(&examples, objective(), options).is_err(), "{options:?}");
    }
}

#[test]
fn another_documents_answer_to_the_same_question_plays_no_part() {
    // Both documents have the question, and the answers of the one are known only through the other.
    let document = |name: &str, anchor: &str, positive: &str| Pair {
        document: name.into(),
        ..pair(anchor, positive)
    };
    let own = [document("1", "a b", "c d"), document("1", "e f", "a a")];
    let other = [document("2", "a b", "a a"), document("2", "d d", "f f")];
    let gradient = |pairs: &[Pair]| {
        let mut examples = all_of(pairs, 0.0);
        let public = examples.add_texts(&public());
        let learner = head(None, false, &examples);
        let mut trainer = PrivateTrainer::new(
            &learner,
            &examples,
            &public,
            objective(),
            OPTIONS,
            learner.start(),
        )
        .unwrap();
        let mut open = Open { drawn: [0].into(), sums: Vec::new() };
        trainer.step(&mut open).unwrap();
        open.sums.remove(0)
    };
    assert_eq!(gradient(&own), gradient(&[own, other].concat()));
}

#[test]
fn what_one_document_has_decides_nothing_of_what_another_gives() {
    let named = |name: &str, anchor: &str, positive: &str| Pair {
        document: name.into(),
        ..pair(anchor, positive)
    };
    // The first repeats a pair of each of the others.
    let others = [named("2", "a b", "c d"), named("3", "e f", "a a"), named("3", "b b", "d e")];
    let first = [named("1", "a b", "c d"), named("1", "e f", "a a"), named("1", "c", "f")];
    let gives = |pairs: &[Pair]| {
        let mut examples = all_of(pairs, 0.0);
        let public = examples.add_texts(&public());
        let learner = head(None, false, &examples);
        let count = examples.train.iter().map(|example| example.document).max().unwrap() + 1;
        let of = |document: usize| {
            let start = learner.start();
            let mut trainer =
                PrivateTrainer::new(&learner, &examples, &public, objective(), OPTIONS, start)
                    .unwrap();
            let mut open = Open { drawn: [document].into(), sums: Vec::new() };
            trainer.step(&mut open).unwrap();
            open.sums.remove(0)
        };
        (0..count).map(of).collect::<Vec<_>>()
    };
    let with = gives(&[&first[..], &others].concat());
    let without = gives(&others);
    assert_eq!((with.len(), without.len()), (3, 2));
    assert_eq!(with[1..], without, "documents are in the order of their names");
}

#[test]
fn a_mechanism_that_refuses_ends_training_and_private_texts_are_not_public() {
    let mut examples = all_of(&pairs(), 0.0);
    let public = examples.add_texts(&public());
    let learner = head(None, false, &examples);
    let start = || learner.start();
    let mut going =
        PrivateTrainer::new(&learner, &examples, &public, objective(), OPTIONS, start()).unwrap();
    let mut open = Open { drawn: [0].into(), sums: Vec::new() };
    going.step(&mut open).unwrap();
    let before = going.values().to_vec();
    assert!(matches!(going.step(&mut open), Err(TrainError::Refused(reason)) if reason == "spent"));
    assert_eq!(going.values(), before);
    let mut beyond = Open { drawn: [10_000].into(), sums: Vec::new() };
    assert!(matches!(going.step(&mut beyond), Err(TrainError::Refused(_))));
    for wrong in [[0, public[0], public[1]], [public[0], public[1], 10_000]] {
        let refused =
            PrivateTrainer::new(&learner, &examples, &wrong, objective(), OPTIONS, start());
        assert!(matches!(refused, Err(TrainError::Coupled(_))));
    }
}
