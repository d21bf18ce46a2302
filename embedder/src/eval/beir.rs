//! Retrieval sets in the layout of BEIR (Thakur et al. 2021).
//!
//! ```text
//! FOLDER/corpus.jsonl        {"_id": "d1", "title": "…", "text": "…"}
//! FOLDER/queries.jsonl       {"_id": "q1", "text": "…"}
//! FOLDER/qrels/SPLIT.tsv     a header, then query, document and grade with tabs between
//! ```

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::lines::{ReadError, each_line, quoted};

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Document {
    /// What judgements and runs call it.
    #[serde(rename = "_id")]
    pub id: String,
    /// Its title; may be empty.
    #[serde(default)]
    pub title: String,
    /// Its text; may be empty.
    pub text: String,
}

impl Document {
    /// What a model reads of it: title and text with a space between, trimmed.
    #[must_use]
    pub fn full_text(&self) -> String {
        format!("{} {}", self.title, self.text).trim().to_owned()
    }
}

/// A query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Query {
    /// What judgements and runs call it.
    #[serde(rename = "_id")]
    pub id: String,
    /// The question.
    pub text: String,
}

/// Grades of a query's judged documents. Those above 0 are relevant, the more the higher; 0 and below are not.
pub type Grades = BTreeMap<String, i32>;

/// The judged queries of a split, each with its grades.
pub type Judgements = BTreeMap<String, Grades>;

/// A retrieval set's documents, and the queries of one split with their judgements.
#[derive(Clone, Debug)]
pub struct Set {
    /// All documents, in the file's order.
    pub documents: Vec<Document>,
    /// The queries that the split judges, in the file's order: exactly the keys of `judgements`.
    pub queries: Vec<Query>,
    /// The split's judgements.
    pub judgements: Judgements,
    /// What is missing in it.
    pub gaps: Gaps,
}

/// What a set lacks that does not keep it from being used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Documents that are judged and not in the corpus. A relevant one counts as not found.
    pub unknown_documents: usize,
    /// Documents without title and text.
    pub empty_documents: usize,
    /// Judged queries without text.
    pub empty_queries: usize,
}

impl Set {
    /// Reads the documents in `folder`, and the queries and judgements of `split`, into memory.
    ///
    /// # Errors
    /// If a file cannot be read, a line is not what it should be, an id comes twice, there is no such split (the
    /// error names those that are there), or a judged query is not in `queries.jsonl`.
    pub fn read(folder: &Path, split: &str) -> Result<Self, ReadError> {
        let qrels = Qrels::read(folder, split)?;
        let documents: Vec<Document> = records(&folder.join("corpus.jsonl"), "documents")?;
        let mut queries: Vec<Query> = records(&folder.join("queries.jsonl"), "queries")?;
        queries.retain(|query| qrels.judgements.contains_key(&query.id));
        if queries.len() < qrels.judgements.len() {
            return Err(qrels.without_text(folder, split, &queries));
        }
        let gaps = Gaps {
            unknown_documents: unknown(&qrels.judgements, &documents),
            empty_documents: documents.iter().filter(|it| it.full_text().is_empty()).count(),
            empty_queries: queries.iter().filter(|it| it.text.trim().is_empty()).count(),
        };
        Ok(Self { documents, queries, judgements: qrels.judgements, gaps })
    }

    /// Every query with each document that answers it (graded above 0) and is in the corpus: queries
    /// in the file's order, a query's documents in that of their ids.
    pub fn answers(&self) -> impl Iterator<Item = (&Query, &Document)> {
        let documents: HashMap<&str, &Document> =
            self.documents.iter().map(|it| (it.id.as_str(), it)).collect();
        let judged = self.queries.iter().flat_map(|query| {
            let grades = self.judgements.get(&query.id).into_iter().flatten();
            grades.filter(|(_, grade)| **grade > 0).map(move |(id, _)| (query, id))
        });
        judged.filter_map(move |(query, id)| Some((query, *documents.get(id.as_str())?)))
    }
}

/// Reads the judgements of `split` alone, which is all that scoring a finished run takes.
///
/// # Errors
/// As [`Set::read`], of this file.
pub fn judgements(folder: &Path, split: &str) -> Result<Judgements, ReadError> {
    Ok(Qrels::read(folder, split)?.judgements)
}

/// The splits that the set in `folder` has judgements for, by name.
///
/// # Errors
/// If `qrels` in `folder` cannot be read.
pub fn splits(folder: &Path) -> Result<Vec<String>, ReadError> {
    let qrels = folder.join("qrels");
    let mut found = Vec::new();
    for entry in fs::read_dir(&qrels).map_err(ReadError::io(&qrels))? {
        let path = entry.map_err(ReadError::io(&qrels))?.path();
        if path.extension() == Some(OsStr::new("tsv")) {
            found.extend(path.file_stem().and_then(OsStr::to_str).map(str::to_owned));
        }
    }
    found.sort();
    Ok(found)
}

/// Judgements, and where each query is judged first.
struct Qrels {
    judgements: Judgements,
    lines: HashMap<String, usize>,
}

impl Qrels {
    fn read(folder: &Path, split: &str) -> Result<Self, ReadError> {
        let known = splits(folder)?;
        if !known.iter().any(|it| it == split) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(ReadError::Split {
                folder: folder.to_owned(),
                split: split.to_owned(),
                known,
            });
        }
        let path = folder.join("qrels").join(format!("{split}.tsv"));
        let mut found = Self { judgements: Judgements::new(), lines: HashMap::new() };
        each_line(&path, &mut |line, text| found.add(line, text))?;
        if found.judgements.is_empty() {
            return Err(ReadError::Empty { path, what: "judgements" });
        }
        Ok(found)
    }

    fn add(&mut self, line: usize, text: &str) -> Result<(), String> {
        let fields: Vec<&str> = text.split('\t').map(str::trim).collect();
        let [query, document, grade] = fields[..] else {
            return Err(format!(
                "expected query, document and grade, found {} fields",
                fields.len()
            ));
        };
        let grade = match grade.parse::<i32>() {
            Ok(grade) => grade,
            // The header. A first line with a grade is a judgement.
            Err(_) if line == 1 => return Ok(()),
            Err(_) => return Err(format!("the grade {} is no whole number", quoted(grade))),
        };
        if query.is_empty() || document.is_empty() {
            return Err("an id is empty".to_owned());
        }
        self.lines.entry(query.to_owned()).or_insert(line);
        let grades = self.judgements.entry(query.to_owned()).or_default();
        match grades.entry(document.to_owned()) {
            Entry::Vacant(place) => {
                place.insert(grade);
                Ok(())
            }
            Entry::Occupied(place) if *place.get() == grade => Ok(()),
            Entry::Occupied(place) => Err(format!(
                "{} is graded {grade} for query {} here and {} before",
                quoted(document),
                quoted(query),
                place.get()
            )),
        }
    }

    /// Names the first judged query that is not among `queries`.
    fn without_text(&self, folder: &Path, split: &str, queries: &[Query]) -> ReadError {
        let known: HashSet<&str> = queries.iter().map(|query| query.id.as_str()).collect();
        let missing = self.lines.iter().filter(|(query, _)| !known.contains(query.as_str()));
        let (query, line) = missing.min_by_key(|(_, line)| **line).expect("one is missing");
        ReadError::Line {
            path: folder.join("qrels").join(format!("{split}.tsv")),
            line: *line,
            reason: format!("query {} is not in queries.jsonl", quoted(query)),
        }
    }
}

/// Something with an id.
trait Record: for<'de> Deserialize<'de> {
    fn id(&self) -> &str;
}

impl Record for Document {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Record for Query {
    fn id(&self) -> &str {
        &self.id
    }
}

/// The JSON objects of a file, one a line, no two with one id.
fn records<T: Record>(path: &Path, what: &'static str) -> Result<Vec<T>, ReadError> {
    let mut found: Vec<T> = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    each_line(path, &mut |line, text| {
        let record: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if record.id().is_empty() {
            return Err("_id is empty".to_owned());
        }
        if let Some(first) = lines.insert(record.id().to_owned(), line) {
            return Err(format!("_id {} is that of line {first}", quoted(record.id())));
        }
        found.push(record);
        Ok(())
    })?;
    if found.is_empty() {
        return Err(ReadError::Empty { path: path.to_owned(), what });
    }
    Ok(found)
}

/// How many documents are judged and not there.
fn unknown(judgements: &Judgements, documents: &[Document]) -> usize {
    let known: HashSet<&str> = documents.iter().map(|document| document.id.as_str()).collect();
    let judged: HashSet<&str> = judgements.values().flatten().map(|(id, _)| id.as_str()).collect();
    judged.difference(&known).count()
}

#[cfg(test)]
mod tests;
