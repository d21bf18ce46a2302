//! Runs: what a system found for each query, in memory and as TREC's files have it.
//!
//! A line of a file is `QUERY Q0 DOCUMENT RANK SCORE TAG`. As trec_eval does, a reader orders documents by
//! score and ignores the ranks; equal scores are ordered by id, the greater first, and scores are compared in f32.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

use super::lines::{ReadError, each_line, quoted};

/// A document that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its id.
    pub document: String,
    /// How well it fits; more is better.
    pub score: f32,
}

/// What was found for each query, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    hits: BTreeMap<String, Vec<Hit>>,
}

/// Why something cannot be in a run or in its file.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Fields are separated by white space, so none can have any.
    #[error(
        "the {what} {id:?} cannot be in a TREC run, whose fields end at white space; rename it first"
    )]
    Id {
        /// `query`, `document` or `tag`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Infinite, or no number.
    #[error(
        "the score of document {document:?} for query {query:?} is {score}, which has no place in an order"
    )]
    Score {
        /// The query.
        query: String,
        /// The document.
        document: String,
        /// Its score.
        score: f32,
    },
    /// The file could not be written.
    #[error("cannot write the run: {0}")]
    Io(#[from] io::Error),
}

impl Run {
    /// Puts in what was found for `query`, each document once and in any order; replaces what was there.
    ///
    /// # Errors
    /// If a score is not finite.
    pub fn insert(&mut self, query: &str, mut hits: Vec<Hit>) -> Result<(), RunError> {
        if let Some(hit) = hits.iter().find(|hit| !hit.score.is_finite()) {
            let (query, document) = (query.to_owned(), hit.document.clone());
            return Err(RunError::Score { query, document, score: hit.score });
        }
        for hit in &mut hits {
            // -0 and 0 are equal scores.
            hit.score += 0.0;
        }
        hits.sort_unstable_by(|a, b| {
            b.score.total_cmp(&a.score).then_with(|| b.document.cmp(&a.document))
        });
        self.hits.insert(query.to_owned(), hits);
        Ok(())
    }

    /// What was found for `query`, best first; nothing if it was not asked.
    #[must_use]
    pub fn hits(&self, query: &str) -> &[Hit] {
        self.hits.get(query).map_or(&[], Vec::as_slice)
    }

    /// The queries, by id.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        self.hits.keys().map(String::as_str)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, has no lines, or a line has not six fields, has a score that is no finite number in
    /// f32, or names a document that its query had before.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let mut found: BTreeMap<String, HashMap<String, (f32, usize)>> = BTreeMap::new();
        each_line(path, &mut |line, text| {
            let fields: Vec<&str> = text.split_ascii_whitespace().collect();
            let [query, _, document, _, score, _] = fields[..] else {
                return Err(format!(
                    "expected `query Q0 document rank score tag`, found {} fields",
                    fields.len()
                ));
            };
            let score = number(score)?;
            let hits = found.entry(query.to_owned()).or_default();
            match hits.entry(document.to_owned()) {
                Entry::Vacant(place) => {
                    place.insert((score, line));
                    Ok(())
                }
                Entry::Occupied(place) => Err(format!(
                    "query {} has document {} on line {} already",
                    quoted(query),
                    quoted(document),
                    place.get().1
                )),
            }
        })?;
        if found.is_empty() {
            return Err(ReadError::Empty { path: path.to_owned(), what: "results" });
        }
        let mut run = Self::default();
        for (query, hits) in found {
            let hits = hits.into_iter().map(|(document, (score, _))| Hit { document, score });
            run.insert(&query, hits.collect()).expect("scores were checked");
        }
        Ok(run)
    }

    /// Writes all of it to `out`, queries by id, ranks from 1. Scores are written so that reading gives the same.
    ///
    /// # Errors
    /// If an id or `tag` cannot be in a run (see [`check_id`](Self::check_id)), or writing fails.
    pub fn write(&self, out: &mut dyn Write, tag: &str) -> Result<(), RunError> {
        Self::check_id("tag", tag)?;
        for (query, hits) in &self.hits {
            Self::check_id("query", query)?;
            for (at, hit) in hits.iter().enumerate() {
                Self::check_id("document", &hit.document)?;
                writeln!(out, "{query} Q0 {} {} {} {tag}", hit.document, at + 1, hit.score)?;
            }
        }
        Ok(())
    }

    /// Whether `id` can be in a run's file; `what` is what it names, for the error.
    ///
    /// # Errors
    /// If it is empty or has white space.
    pub fn check_id(what: &'static str, id: &str) -> Result<(), RunError> {
        if id.is_empty() || id.contains(char::is_whitespace) {
            return Err(RunError::Id { what, id: id.chars().take(80).collect() });
        }
        Ok(())
    }
}

/// A score as trec_eval keeps it.
fn number(text: &str) -> Result<f32, String> {
    let score = text.parse::<f64>().map(|score| score as f32);
    let score = score.ok().filter(|score| score.is_finite());
    score.ok_or_else(|| format!("the score {} is no finite number", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Run, ReadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.run");
        std::fs::write(&path, content).unwrap();
        Run::read(&path)
    }

    fn ids<'a>(run: &'a Run, query: &str) -> Vec<&'a str> {
        run.hits(query).iter().map(|hit| hit.document.as_str()).collect()
    }

    fn hit(document: &str, score: f32) -> Hit {
        Hit { document: document.to_owned(), score }
    }

    #[test]
    fn documents_are_ordered_as_trec_eval_orders_them() {
        let run = read(
            "q Q0 a 1 0.5 t\nq Q0 ab 2 0.5 t\nq Q0 Z 3 0.5 t\nq\tQ0\té 4 0.5 t\nq Q0 best 5 1e0 t\n\
             q Q0 near 6 0.12345678901 t\nq Q0 nearer 7 0.12345678899 t\nq Q0 at 8 0 t\nq Q0 below 9 -0.0 t\n",
        );
        let expected = ["best", "é", "ab", "a", "Z", "nearer", "near", "below", "at"];
        assert_eq!(ids(&run.unwrap(), "q"), expected);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let mut run = Run::default();
        run.insert("q1", vec![hit("b", 0.1), hit("a", 1.0 / 3.0), hit("c", -1e-12)]).unwrap();
        run.insert("q2", vec![hit("a", f32::MAX)]).unwrap();
        let mut out = Vec::new();
        run.write(&mut out, "tag").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().next(), Some("q1 Q0 a 1 0.33333334 tag"));
        assert_eq!(read(&text).unwrap(), run);
        assert_eq!(run.queries().collect::<Vec<_>>(), ["q1", "q2"]);
        assert!(run.hits("q3").is_empty());
    }

    #[test]
    fn a_bad_line_is_named() {
        let cases = [
            (
                "q Q0 a 1 0.5 t\nq Q0 b 2 0.5\n",
                "line 2: expected `query Q0 document rank score tag`, found 5 fields",
            ),
            (
                "q Q0 a 1 0.5 t t\n",
                "line 1: expected `query Q0 document rank score tag`, found 7 fields",
            ),
            ("\nq Q0 a 1 high t\n", "line 2: the score \"high\" is no finite number"),
            ("q Q0 a 1 NaN t\n", "line 1: the score \"NaN\" is no finite number"),
            ("q Q0 a 1 1e300 t\n", "line 1: the score \"1e300\" is no finite number"),
            (
                "q Q0 a 1 1 t\nr Q0 a 1 1 t\nq Q0 a 2 0 t\n",
                "line 3: query \"q\" has document \"a\" on line 1 already",
            ),
            ("\n", "there are no results in it"),
        ];
        for (content, expected) in cases {
            let error = read(content).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_in_a_file_is_refused() {
        let mut run = Run::default();
        for score in [f32::NAN, f32::INFINITY] {
            assert!(matches!(run.insert("q", vec![hit("a", score)]), Err(RunError::Score { .. })));
        }
        run.insert("q", vec![hit("two words", 1.0)]).unwrap();
        let error = run.write(&mut Vec::new(), "tag").unwrap_err().to_string();
        assert!(error.contains("the document \"two words\""), "{error}");
        for bad in ["", "a b", "a\tb", "a\u{a0}b"] {
            assert!(run.write(&mut Vec::new(), bad).is_err(), "{bad:?}");
        }
    }
}
