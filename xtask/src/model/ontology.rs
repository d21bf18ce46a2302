//! Pairs from ontologies in OBO's flat file format, versions 1.2 and 1.4: terms of the life sciences
//! with their synonyms, definitions and kinds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::pairs::Group;

/// Those that are read, if they are there: genes and cells, chemistry, sequences, pathways and diseases.
const FILES: [&str; 4] = ["go", "chebi", "so", "pathway"];

/// Kinds of synonyms that are no words.
const NOTATIONS: [&str; 4] = ["FORMULA", "SMILES", "InChI", "InChIKey"];

/// Bytes of a synonym from which on it is left out: names of molecules.
const LONG: usize = 120;

/// Synonyms in one text.
const SYNONYMS: usize = 4;

/// More general terms in one text.
const PARENTS: usize = 3;

#[derive(Default)]
struct Term {
    name: String,
    definition: Option<String>,
    comment: Option<String>,
    synonyms: Vec<String>,
    parents: Vec<String>,
    obsolete: bool,
}

impl Term {
    /// Name, definition and comment, of a term that is defined.
    fn text(&self) -> Option<String> {
        let comment = self.comment.as_ref().map_or(String::new(), |text| format!(" {text}"));
        Some(format!("{}: {}{comment}", self.name, self.definition.as_ref()?))
    }

    /// Synonyms other than the name in another case.
    fn others(&self) -> impl Iterator<Item = &str> {
        let name = self.name.to_lowercase();
        let other = move |text: &&str| text.len() < LONG && text.to_lowercase() != name;
        self.synonyms.iter().map(String::as_str).filter(other)
    }
}

/// Three groups for each ontology: names with definitions, names with synonyms, and names with
/// definitions of their own and of what they are kinds of.
pub fn groups(folder: &Path) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for name in FILES {
        let path = folder.join(format!("{name}.obo"));
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        groups.extend(pairs(name, &terms(&String::from_utf8_lossy(&bytes))));
    }
    Ok(groups)
}

fn pairs(ontology: &str, terms: &BTreeMap<String, Term>) -> [Group; 3] {
    let group = |kind: &str| Group { name: format!("{ontology} {kind}"), pairs: Vec::new() };
    let (mut defined, mut synonyms, mut kinds) =
        (group("definitions"), group("synonyms"), group("kinds"));
    for term in terms.values().filter(|term| !term.obsolete && !term.name.is_empty()) {
        let others: Vec<&str> = term.others().take(SYNONYMS).collect();
        if !others.is_empty() {
            synonyms.pairs.push([term.name.clone(), others.join("; ")]);
        }
        let (Some(definition), Some(text)) = (&term.definition, term.text()) else { continue };
        defined.pairs.push([term.name.clone(), definition.clone()]);
        let parents = term.parents.iter().filter_map(|id| terms.get(id)).filter_map(Term::text);
        let parents: Vec<String> = parents.take(PARENTS).collect();
        if !parents.is_empty() {
            let names = term.synonyms.first().filter(|text| text.len() < LONG);
            let names = names.map_or(term.name.clone(), |other| format!("{}; {other}", term.name));
            kinds.pairs.push([names, format!("{text} {}", parents.join(" "))]);
        }
    }
    [defined, synonyms, kinds]
}

/// Terms by id; other stanzas and tags are passed over.
fn terms(text: &str) -> BTreeMap<String, Term> {
    let mut found = BTreeMap::new();
    for stanza in text.split("\n[").filter_map(|stanza| stanza.strip_prefix("Term]")) {
        let (mut id, mut term) = (String::new(), Term::default());
        for (tag, value) in stanza.lines().filter_map(|line| line.split_once(": ")) {
            match tag {
                "id" => value.clone_into(&mut id),
                "name" => value.clone_into(&mut term.name),
                "comment" => term.comment = Some(value.to_owned()),
                "def" => term.definition = quoted(value).map(|(text, _)| text),
                "synonym" => term.synonyms.extend(words(value)),
                "is_a" => term.parents.extend(value.split(' ').next().map(str::to_owned)),
                "is_obsolete" => term.obsolete = value == "true",
                _ => {}
            }
        }
        found.insert(id, term);
    }
    found
}

/// A synonym's text: `"text" SCOPE KIND [SOURCES]`, where the kind is optional.
fn words(value: &str) -> Option<String> {
    let (text, rest) = quoted(value)?;
    let notation = rest.split(' ').any(|part| NOTATIONS.contains(&part));
    (!notation).then_some(text)
}

/// What stands between quotation marks, and what follows.
fn quoted(value: &str) -> Option<(String, &str)> {
    let value = value.strip_prefix('"')?;
    let mut text = String::new();
    let mut characters = value.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &value[at + 1..])),
            '\\' => text.push(match characters.next()?.1 {
                'n' | 't' | 'W' => ' ',
                other => other,
            }),
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "format-version: 1.2\n\n[Term]\nid: A:1\nname: motion\n\
        def: \"A change of place, \\\"moving\\\".\" [A:me]\nsynonym: \"movement\" EXACT []\n\
        synonym: \"Motion\" EXACT []\nsynonym: \"CH4\" RELATED FORMULA [A:it]\n\n\
        [Term]\nid: A:2\nname: flight\ndef: \"Motion in air.\" []\ncomment: Also of aircraft.\n\
        is_a: A:1 ! motion\nis_a: A:9 ! nothing\n\n[Term]\nid: A:3\nname: old\n\
        def: \"Gone.\" []\nis_obsolete: true\n\n[Typedef]\nid: part_of\nname: part of\n";

    #[test]
    fn terms_give_pairs() {
        let [defined, synonyms, kinds] = pairs("a", &terms(SAMPLE));
        let strings = |pairs: &[[&str; 2]]| -> Vec<[String; 2]> {
            pairs.iter().map(|pair| pair.map(str::to_owned)).collect()
        };
        assert_eq!(defined.name, "a definitions");
        let moving = "A change of place, \"moving\".";
        assert_eq!(defined.pairs, strings(&[["motion", moving], ["flight", "Motion in air."]]));
        assert_eq!(synonyms.pairs, strings(&[["motion", "movement"]]));
        let all = format!("flight: Motion in air. Also of aircraft. motion: {moving}");
        assert_eq!(kinds.pairs, strings(&[["flight", &all]]));
    }
}
