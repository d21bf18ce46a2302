//! Pairs from descriptions of Debian's packages, as a retrieval set in BEIR's layout: the training
//! split's synopses with the descriptions that they belong to.

use std::path::Path;

use anyhow::Result;
use covey_embedder::TextPair;
use covey_embedder::eval::Set;

use super::pairs::{Draws, Group};

/// Words of a sentence that tells anything.
const SENTENCE: usize = 5;

/// Synopses and descriptions, and one sentence of a description with the rest of it.
pub fn groups(folder: &Path, draws: &mut Draws) -> Result<Vec<Group>> {
    let set = Set::read(folder, "train")?;
    let (mut synopses, mut sentences) = (Vec::new(), Vec::new());
    for (query, document) in set.answers() {
        let text = document.full_text();
        sentences.extend(one_and_rest(&text, draws));
        synopses.push([query.text.clone(), text]);
    }
    Ok(vec![
        Group { name: "package synopses".into(), pairs: synopses },
        Group { name: "package sentences".into(), pairs: sentences },
    ])
}

/// A sentence and the others (Lee, Chang and Toutanova, "Latent retrieval", 2019), of three or more.
fn one_and_rest(text: &str, draws: &mut Draws) -> Option<TextPair> {
    let mut sentences = sentences(text);
    if sentences.len() < 3 {
        return None;
    }
    let one = sentences.remove(draws.below(sentences.len()));
    Some([one.to_owned(), sentences.join(" ")])
}

/// Cuts before a capital letter that follows the end of a sentence, and at empty lines.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut start = 0;
        let ends = paragraph.match_indices(['.', '!', '?']).map(|(at, _)| at + 1);
        for end in ends {
            let rest = &paragraph[end..];
            let next = rest.trim_start();
            if next.len() < rest.len() && next.starts_with(|c: char| c.is_ascii_uppercase()) {
                found.push(&paragraph[start..end]);
                start = paragraph.len() - next.len();
            }
        }
        found.push(&paragraph[start..]);
    }
    found.retain(|sentence| sentence.split_whitespace().count() >= SENTENCE);
    found.into_iter().map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_another_begins() {
        let text = "It reads 3.5 inch disks and more. Short one. It writes them,\nwhat is \
                    more, e.g. the large ones!\n\na list of five or more words";
        assert_eq!(
            sentences(text),
            [
                "It reads 3.5 inch disks and more.",
                "It writes them,\nwhat is more, e.g. the large ones!",
                "a list of five or more words"
            ]
        );
    }
}
