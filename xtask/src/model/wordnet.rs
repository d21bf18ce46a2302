//! Pairs from WordNet's data files: wndb(5WN) has the format.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use covey_embedder::TextPair;

use super::pairs::{Draws, Group};

const FILES: [(&str, char); 4] = [("noun", 'n'), ("verb", 'v'), ("adj", 'a'), ("adv", 'r')];

/// Relations whose target holds a family together: what is more general, the whole that something
/// is a part or member of, what is similar or of the same root, and parts and members.
const FAMILY: [&str; 11] = ["@", "@i", "#p", "#m", "#s", "&", "\\", "+", "%p", "%m", "%s"];

/// Relatives in one text, at most; fewer than three make none.
const RELATIVES: usize = 8;

/// A set of synonyms.
#[derive(Debug, PartialEq)]
struct Synset {
    words: Vec<String>,
    gloss: String,
    /// Relation and the other's part of speech and offset.
    pointers: Vec<(String, Key)>,
}

type Key = (char, u32);

impl Synset {
    fn text(&self) -> String {
        format!("{}: {}", self.words.first().map_or("", String::as_str), self.gloss)
    }
}

/// Words and their gloss; and families of meanings, one beside the others.
pub fn groups(folder: &Path, draws: &mut Draws) -> Result<Vec<Group>> {
    let mut synsets = BTreeMap::new();
    for (name, part) in FILES {
        let path = folder.join(format!("data.{name}"));
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // The files are in Latin-1, whose characters have the numbers that Unicode has.
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        // The licence at the start is indented.
        for line in text.lines().filter(|line| !line.starts_with("  ")) {
            let (offset, synset) =
                parse(line).with_context(|| format!("{} has {line:?}", path.display()))?;
            synsets.insert((part, offset), synset);
        }
    }
    let glosses =
        synsets.values().map(|synset| [synset.words.join(", "), synset.gloss.clone()]).collect();
    Ok(vec![
        Group { name: "wordnet glosses".into(), pairs: glosses },
        Group { name: "wordnet families".into(), pairs: families(&synsets, draws) },
    ])
}

fn families(synsets: &BTreeMap<Key, Synset>, draws: &mut Draws) -> Vec<TextPair> {
    let mut members: BTreeMap<Key, Vec<&Synset>> = BTreeMap::new();
    for synset in synsets.values() {
        for (relation, target) in &synset.pointers {
            if FAMILY.contains(&relation.as_str()) && synsets.contains_key(target) {
                members.entry(*target).or_default().push(synset);
            }
        }
    }
    let mut pairs = Vec::new();
    for (head, mut members) in members {
        draws.shuffle(&mut members);
        for part in members.chunks(RELATIVES).filter(|part| part.len() > 2) {
            let rest: Vec<String> = part[1..].iter().map(|synset| synset.text()).collect();
            let head = synsets[&head].text();
            pairs.push([part[0].text(), format!("{head}. {}", rest.join(". "))]);
        }
    }
    pairs
}

/// Offset and what is there; `None` where a field is missing.
fn parse(line: &str) -> Option<(u32, Synset)> {
    let (head, gloss) = line.split_once('|')?;
    let fields: Vec<&str> = head.split_ascii_whitespace().collect();
    let offset = fields.first()?.parse().ok()?;
    let words = usize::from_str_radix(fields.get(3)?, 16).ok()?;
    let rest = fields.get(4 + 2 * words..)?;
    let words = fields[4..4 + 2 * words].iter().step_by(2).map(|word| plain(word)).collect();
    let count: usize = rest.first()?.parse().ok()?;
    let pointers = rest.get(1..=4 * count)?.chunks_exact(4).map(|pointer| {
        // Satellites of adjectives are adjectives.
        let part = pointer[2].chars().next().map(|part| if part == 's' { 'a' } else { part })?;
        Some((pointer[0].to_owned(), (part, pointer[1].parse().ok()?)))
    });
    let pointers = pointers.collect::<Option<_>>()?;
    Some((offset, Synset { words, gloss: gloss.trim().to_owned(), pointers }))
}

/// A word without its syntactic marker, `galore(ip)`, and with spaces.
fn plain(word: &str) -> String {
    word.split('(').next().unwrap_or_default().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_data_files_is_understood() {
        let line = "00001930 03 n 02 physical_entity 0 galore(ip) 0 002 @ 00001740 n 0000 \
                    & 00002452 s 0000 | an entity; \"a | b\"  ";
        let (offset, synset) = parse(line).expect("is whole");
        assert_eq!(offset, 1930);
        assert_eq!(synset.words, ["physical entity", "galore"]);
        assert_eq!(synset.gloss, "an entity; \"a | b\"");
        let pointers = [("@".to_owned(), ('n', 1740)), ("&".to_owned(), ('a', 2452))];
        assert_eq!(synset.pointers, pointers);
        assert_eq!(parse("00001930 03 n 02 short 0 | gloss"), None);
    }
}
