//! The few lines of a passage that speak most to a question.

use std::collections::BTreeSet;

use covey_protocol::limits::MAX_SNIPPET;

/// An extract of at most [`MAX_SNIPPET`] bytes: consecutive whole lines or sentences holding the
/// most different words of `question`, the earliest where several do.
pub(super) fn snippet(text: &str, question: &str) -> String {
    let wanted = words(question);
    let pieces = pieces(text);
    let mut best: (usize, String) = (0, String::new());
    for start in 0..pieces.len() {
        let window = window(&pieces[start..]);
        let found = words(&window).intersection(&wanted).count();
        if best.1.is_empty() || found > best.0 {
            best = (found, window);
        }
    }
    best.1
}

/// Lines and sentences, trimmed, none empty.
fn pieces(text: &str) -> Vec<&str> {
    let sentences = text.lines().flat_map(sentences);
    sentences.map(str::trim).filter(|piece| !piece.is_empty()).collect()
}

/// `line` cut where a sentence ends. Marks inside a word (`0.75`, `v1.2`, `a.rs`) end none.
fn sentences(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let mut ends = rest.match_indices(['.', '!', '?']).map(|(at, mark)| at + mark.len());
        let end = ends.find(|end| rest[*end..].starts_with(char::is_whitespace));
        let (sentence, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        (!sentence.is_empty()).then_some(sentence)
    })
}

/// As many of the first pieces as fit, joined; a first piece that is too long is cut.
fn window(pieces: &[&str]) -> String {
    let mut window = String::new();
    for piece in pieces {
        if window.is_empty() {
            window.push_str(&piece[..piece.floor_char_boundary(MAX_SNIPPET)]);
        } else if window.len() + 1 + piece.len() <= MAX_SNIPPET {
            window.push(' ');
            window.push_str(piece);
        } else {
            break;
        }
    }
    window
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 2)
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_about_the_question_are_chosen() {
        let filler = "Nothing of interest stands here, line after line.\n".repeat(12);
        let text = format!("{filler}Prune apple trees in late winter.\nUse a sharp saw.\n{filler}");
        let found = snippet(&text, "When do I prune an apple tree?");
        assert!(found.contains("Prune apple trees in late winter."), "{found}");
        assert!(found.len() <= MAX_SNIPPET);
    }

    #[test]
    fn a_text_of_one_line_keeps_its_numbers_and_names_as_written() {
        let cases = [
            "Over 0.75 replace the chain. Over 1.0 the cassette, too!",
            "See src/main.rs (v3.1.4), e.g. the end... or not?",
            "Wait... what?! Nothing.",
            "No end",
        ];
        for text in cases {
            assert_eq!(snippet(text, "chain"), text);
        }
        assert_eq!(pieces(cases[0]).len(), 2);
    }

    #[test]
    fn edges() {
        assert_eq!(snippet("", "anything"), "");
        assert_eq!(snippet("short", ""), "short");
        let long = "ä".repeat(MAX_SNIPPET);
        let cut = snippet(&long, "x");
        assert!(cut.len() <= MAX_SNIPPET && long.starts_with(&cut));
    }
}
