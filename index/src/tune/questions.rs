//! Questions made of pieces of chunks, short as what people type.

/// Words of a question.
const LEAST: usize = 3;
const MOST: usize = 12;

/// A piece of a text: its first sentence where that is short enough, else some words from inside it;
/// `None` of a text that has too few words.
pub(super) fn piece(text: &str, number: usize) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() < LEAST {
        return None;
    }
    let ends = |word: &&str| word.ends_with(['.', '?', '!']);
    let sentence = words.iter().position(ends).map(|at| at + 1);
    if let Some(end) = sentence.filter(|end| (LEAST..=MOST).contains(end)) {
        return Some(words[..end].join(" "));
    }
    let length = (4 + number % (MOST - 3)).min(words.len());
    let start = (words.len() - length) * (number % 7) / 7;
    Some(words[start..start + length].join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_short_piece() {
        assert_eq!(
            piece("Pears are pruned late. Then wait.", 5).as_deref(),
            Some("Pears are pruned late.")
        );
        assert_eq!(piece("two words", 0), None);
        let long: Vec<String> = (0..200).map(|i| format!("w{i}")).collect();
        for number in 0..40 {
            let piece = piece(&long.join(" "), number).expect("long enough");
            assert!((4..=MOST).contains(&piece.split(' ').count()), "{piece}");
            assert!(long.join(" ").contains(&piece));
        }
    }
}
