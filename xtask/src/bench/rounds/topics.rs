//! A set's training questions, split by topic over the members of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use covey_crypto::Digest;
use covey_embedder::eval::{Set, answers, splits};
use covey_embedder::train::Pair;
use covey_embedder::{Embedder, builtin};
use covey_sim::data::clusters;

use crate::bench::embedder::FOUND;

const SEED: u64 = 1;
/// Most pairs of a question, those that a hash puts first: some have hundreds of documents, and would be half of what is learnt from.
const OF_A_QUESTION: usize = 16;
/// Questions embedded at a time.
const AT_ONCE: usize = 256;

/// What each member learns from.
pub struct Topics {
    /// A file of pairs for each.
    pub files: Vec<PathBuf>,
    /// Questions and pairs of each.
    pub counts: Vec<(usize, usize)>,
    /// Questions left out, as they are asked in another split as well.
    pub left_out: usize,
}

/// Writes a file of pairs for each of `members`: all questions of a topic with their relevant documents, at most [`OF_A_QUESTION`] of each. Topics are
/// clusters of the built-in model's vectors of the questions, equally many in each. If there is a `model`, of those documents that it is near to, each with a
/// negative.
pub fn split(
    data: &Path,
    folder: &Path,
    members: usize,
    model: Option<&dyn Embedder>,
) -> Result<Topics> {
    let set = Set::read(data, "train")?;
    let answers = answers(&set, model.map(|model| (model, FOUND)))?;
    let asked = asked_elsewhere(data)?;
    let mut pairs: BTreeMap<&str, Vec<Pair>> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    for answer in &answers {
        let query = answer.query;
        if asked.contains(&plain(&query.text)) {
            left_out.insert(query.id.as_str());
        } else {
            pairs.entry(&query.text).or_default().push(answer.pair());
        }
    }
    for pairs in pairs.values_mut() {
        let texts = |pair: &Pair| format!("{}\n{}", pair.anchor, pair.document);
        pairs.sort_by_cached_key(|pair| *Digest::sha256(texts(pair).as_bytes()).as_bytes());
        pairs.truncate(OF_A_QUESTION);
    }
    let questions: Vec<&str> = pairs.keys().copied().collect();
    ensure!(questions.len() >= members, "{}: too few training questions", data.display());
    let of = assign(&questions, members)?;
    std::fs::create_dir_all(folder)?;
    let mut topics =
        Topics { files: Vec::new(), counts: vec![(0, 0); members], left_out: left_out.len() };
    let mut files = Vec::new();
    for member in 0..members {
        let path = std::path::absolute(folder.join(format!("pairs-{member}.jsonl")))?;
        files.push(BufWriter::new(File::create(&path)?));
        topics.files.push(path);
    }
    for (question, member) in questions.iter().zip(of) {
        let (count, pairs) = (&mut topics.counts[member], &pairs[question]);
        *count = (count.0 + 1, count.1 + pairs.len());
        for pair in pairs {
            serde_json::to_writer(&mut files[member], pair)?;
            files[member].write_all(b"\n")?;
        }
    }
    files.into_iter().try_for_each(|mut file| file.flush())?;
    Ok(topics)
}

/// Texts of the questions of all other splits.
fn asked_elsewhere(data: &Path) -> Result<BTreeSet<String>> {
    let mut asked = BTreeSet::new();
    for split in splits(data)?.iter().filter(|split| *split != "train") {
        asked.extend(Set::read(data, split)?.queries.iter().map(|query| plain(&query.text)));
    }
    Ok(asked)
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The member of each question.
fn assign(questions: &[&str], members: usize) -> Result<Vec<usize>> {
    let model = builtin()?;
    let mut vectors = Vec::new();
    for some in questions.chunks(AT_ONCE) {
        vectors.extend(model.embed(some)?);
    }
    let dim = model.dim();
    let clusters = clusters(&vectors, dim, members, SEED);
    Ok(balanced(&vectors, dim, &clusters, members))
}

/// Moves rows to the next nearest cluster until none has more than its share: the nearest stay.
fn balanced(vectors: &[f32], dim: usize, clusters: &[u32], members: usize) -> Vec<usize> {
    let rows: Vec<&[f32]> = vectors.chunks_exact(dim).collect();
    let mut centres = vec![vec![0.0_f32; dim]; members];
    for (row, cluster) in rows.iter().zip(clusters) {
        centres[*cluster as usize].iter_mut().zip(*row).for_each(|(sum, value)| *sum += value);
    }
    for centre in &mut centres {
        let norm =
            centre.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        centre.iter_mut().for_each(|value| *value /= norm);
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let mut near: Vec<(f32, usize, usize)> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let scores = centres.iter().enumerate();
        near.extend(scores.map(|(cluster, centre)| (dot(row, centre), number, cluster)));
    }
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let most = rows.len().div_ceil(members);
    let (mut of, mut sizes) = (vec![None; rows.len()], vec![0; members]);
    for (_, number, cluster) in near {
        if of[number].is_none() && sizes[cluster] < most {
            of[number] = Some(cluster);
            sizes[cluster] += 1;
        }
    }
    of.into_iter().map(|cluster| cluster.unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_equally_many_and_the_nearest_stay() {
        // Three of one direction and one of another: the farthest of the three moves.
        let vectors = [1.0, 0.0, 0.99, 0.14, 0.9, 0.43, 0.0, 1.0];
        assert_eq!(balanced(&vectors, 2, &[0, 0, 0, 1], 2), [0, 0, 1, 1]);
    }

    #[test]
    fn questions_that_are_tested_are_not_learnt_from() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("in it")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write("corpus.jsonl", "{\"_id\":\"d\",\"title\":\"T\",\"text\":\"x\"}\n");
        let query = |id: &str, text: &str| format!("{{\"_id\":\"{id}\",\"text\":\"{text}\"}}\n");
        let queries =
            [query("a", "why not"), query("b", "how"), query("c", "Why  not"), query("e", "who")];
        write("queries.jsonl", &queries.concat());
        write("qrels/train.tsv", "query-id\tcorpus-id\tscore\na\td\t1\nb\td\t1\ne\td\t1\n");
        write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nc\td\t1\n");
        let topics = split(folder.path(), &folder.path().join("out"), 2, None).expect("splits");
        assert_eq!(topics.left_out, 1);
        assert_eq!(topics.counts, [(1, 1), (1, 1)]);
        let all: String =
            topics.files.iter().map(|file| std::fs::read_to_string(file).expect("there")).collect();
        assert!(all.contains("how") && all.contains("who") && !all.contains("why"), "{all}");
    }
}
