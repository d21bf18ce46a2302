//! Retrieval sets in BEIR's layout, and trec_eval's measures.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// A document.
#[derive(Deserialize)]
pub struct Document {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub title: String,
    pub text: String,
}

/// A question.
#[derive(Deserialize)]
pub struct Question {
    #[serde(rename = "_id")]
    pub id: String,
    pub text: String,
}

/// Graded judgements: question to document to grade.
pub type Judgements = BTreeMap<String, HashMap<String, u32>>;

/// A retrieval set's documents, and the questions of its test split with their judgements.
pub struct Set {
    pub documents: Vec<Document>,
    pub questions: Vec<Question>,
    pub judgements: Judgements,
}

impl Set {
    /// Reads `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv` in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let documents = lines(&folder.join("corpus.jsonl"))?;
        let judgements = judgements(&folder.join("qrels/test.tsv"))?;
        let mut questions: Vec<Question> = lines(&folder.join("queries.jsonl"))?;
        questions.retain(|question| judgements.contains_key(&question.id));
        Ok(Self { documents, questions, judgements })
    }
}

fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("in {}", path.display())))
        .collect()
}

fn judgements(path: &Path) -> Result<Judgements> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut judgements = Judgements::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split('\t');
        let (Some(question), Some(document), Some(grade)) =
            (fields.next(), fields.next(), fields.next())
        else {
            anyhow::bail!("{}: a line has fewer than three fields", path.display());
        };
        let grade: u32 = grade.trim().parse()?;
        judgements.entry(question.to_owned()).or_default().insert(document.to_owned(), grade);
    }
    Ok(judgements)
}

/// nDCG@k with linear gain and log2 discount, as trec_eval's `ndcg_cut`.
pub fn ndcg(ranking: &[String], grades: &HashMap<String, u32>, k: usize) -> f64 {
    let discounted = |grades: &mut dyn Iterator<Item = u32>| -> f64 {
        grades
            .take(k)
            .enumerate()
            .map(|(rank, grade)| f64::from(grade) / (rank as f64 + 2.0).log2())
            .sum()
    };
    let mut ideal: Vec<u32> = grades.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = discounted(&mut ideal.into_iter());
    let got = discounted(&mut ranking.iter().map(|id| grades.get(id).copied().unwrap_or(0)));
    if best > 0.0 { got / best } else { 0.0 }
}

/// Share of the relevant documents among the first `k`.
pub fn recall(ranking: &[String], grades: &HashMap<String, u32>, k: usize) -> f64 {
    let relevant = grades.values().filter(|grade| **grade > 0).count();
    let found =
        ranking.iter().take(k).filter(|id| grades.get(*id).is_some_and(|grade| *grade > 0)).count();
    if relevant > 0 { found as f64 / relevant as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_agree_with_hand_computed_values() {
        let grades = HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 0)]);
        let ranking: Vec<String> = ["c", "a", "x", "b"].map(str::to_owned).to_vec();
        let ideal = 2.0 + 1.0 / 3f64.log2();
        let got = 1.0 / 3f64.log2() + 2.0 / 5f64.log2();
        assert!((ndcg(&ranking, &grades, 10) - got / ideal).abs() < 1e-12);
        assert!((ndcg(&ranking, &grades, 2) - (1.0 / 3f64.log2()) / ideal).abs() < 1e-12);
        assert!((recall(&ranking, &grades, 2) - 0.5).abs() < 1e-12);
        assert!((recall(&ranking, &grades, 10) - 1.0).abs() < 1e-12);
    }
}
