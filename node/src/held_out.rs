//! What is learnt from, and what is held out to judge by.

use covey_embedder::train::{Examples, Pair, PairRules};

/// Most pairs of one document.
const PER_DOCUMENT: usize = 16;
/// Share of documents whose pairs are held out: the first of these that gives enough. The documents of a smaller share are among those of a
/// larger one.
const HELD_OUT: [f64; 4] = [0.1, 0.2, 0.3, 0.5];
/// No more are held out than leave so many to learn from.
const LEAST_LEARNT: usize = 8;

/// What is learnt from, and what is held out: always the same pairs, so that none that was learnt from is ever judged by.
/// `enough` says how many held-out pairs are worth holding out a larger share.
pub(crate) fn examples(pairs: &[Pair], enough: usize) -> Examples {
    let split = |held_out| {
        let rules = PairRules { per_document: PER_DOCUMENT, held_out, seed: 0 };
        Examples::new(pairs, &rules)
    };
    let mut all = split(HELD_OUT[0]);
    for held_out in &HELD_OUT[1..] {
        if all.held_out.len() >= enough {
            break;
        }
        let more = split(*held_out);
        if more.train.len() < LEAST_LEARNT {
            break;
        }
        all = more;
    }
    all
}

/// The same by document, where nothing of one may decide about another: always the smallest share is held out, which is a part of any other, so whoever
/// has few documents may judge by some that were learnt from; and negatives, which are of other documents, are left out. At most `most` pairs of each.
pub(crate) fn by_document(pairs: &[Pair], most: usize) -> Examples {
    let bare = |pair: &Pair| Pair { negatives: Vec::new(), ..pair.clone() };
    let pairs: Vec<Pair> = pairs.iter().map(bare).collect();
    let per_document = most.min(PER_DOCUMENT);
    Examples::new(&pairs, &PairRules { per_document, held_out: HELD_OUT[0], seed: 0 })
}

/// The pairs that are held out whatever is learnt, as what is asked and what belongs to it: those of the smallest share, at most `most` of a document.
/// Nobody with a document of these learns from it, so they tell whom what was learnt serves.
pub fn never_learnt(pairs: &[Pair], most: usize) -> Vec<(String, String)> {
    let Examples { texts, held_out, .. } = by_document(pairs, most);
    let text = |number: usize| texts[number].clone();
    held_out.iter().map(|example| (text(example.anchor), text(example.positive))).collect()
}

/// Keeps `most` of `some`, evenly spread.
pub(crate) fn keep_some<T>(some: &mut Vec<T>, most: usize) {
    let count = some.len();
    if count > most {
        let mut place = 0;
        // Of every `count / most`, the first.
        some.retain(|_| {
            let (before, after) = (place * most / count, (place + 1) * most / count);
            place += 1;
            after > before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However large a share is held out, and by whom.
    #[test]
    fn what_is_never_learnt_is_held_out_of_everything() {
        let pair = |number: usize| Pair {
            anchor: format!("question {number}"),
            positive: format!("answer {number}"),
            ..Pair::default()
        };
        let pairs: Vec<Pair> = (0..60).map(pair).collect();
        let never = never_learnt(&pairs, 8);
        assert!((1..20).contains(&never.len()), "{}", never.len());
        for enough in [0, 10, 1_000] {
            let all = examples(&pairs, enough);
            for example in &all.train {
                assert!(never.iter().all(|(asked, _)| *asked != all.texts[example.anchor]));
            }
        }
        // The same ones, whatever else one has.
        let some = never_learnt(&pairs[..30], 8);
        assert!(some.iter().all(|pair| never.contains(pair)));
    }

    #[test]
    fn what_is_kept_is_spread_over_all() {
        for (count, most) in [(0, 3), (3, 3), (10, 3), (1_000, 64), (7, 0)] {
            let mut some: Vec<usize> = (0..count).collect();
            keep_some(&mut some, most);
            assert_eq!(some.len(), count.min(most), "{count} and {most}");
            let gaps = some.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(gaps.into_iter().all(|gap| gap <= count / most.max(1) + 1), "{some:?}");
        }
    }
}
