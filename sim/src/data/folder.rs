//! A folder in BEIR's layout as pairs to learn from and questions to be tested by.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use covey_crypto::Digest;
use covey_embedder::eval::{Document, Near, Set, answers, splits};
use covey_embedder::{EmbedError, builtin};

use super::{DataError, Dataset, Found, Labels, clusters, meta};

/// The split that is learnt from.
const TRAIN: &str = "train";
/// Those to be tested by, in order of preference; then any other.
const TESTS: [&str; 2] = ["test", "dev"];
/// Most pairs of a question, those that a hash puts first: some have hundreds of documents, and would be half of what is learnt from.
const OF_A_QUESTION: usize = 16;
/// Documents embedded at a time.
const AT_ONCE: usize = 256;

/// Reads it, as [`Dataset::of`] wants it, with so many topics or one, and the questions of that split to be tested by.
pub(super) fn load(
    folder: &Path,
    split: Option<&str>,
    topics: Option<u32>,
    seed: u64,
    found: Option<Found<'_>>,
) -> Result<Dataset, DataError> {
    let train = Set::read(folder, TRAIN)?;
    let test = Set::read(folder, &test_split(folder, split)?)?;
    let asked = asked_elsewhere(folder)?;
    let of_document = match topics {
        Some(count) => topics_of(&test.documents, count, seed)?,
        None => vec![0; test.documents.len()],
    };
    let document_labels = Labels::new(of_document, meta::authors(folder, &test.documents)?);
    let numbers: BTreeMap<&str, u32> =
        test.documents.iter().map(|document| document.id.as_str()).zip(0..).collect();
    let answers = answers(&train, found)?;
    let mut of_question: BTreeMap<&str, Vec<&Near<'_>>> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    for answer in &answers {
        let query = answer.query;
        if asked.contains(&plain(&query.text)) {
            left_out.insert(query.id.as_str());
        } else {
            of_question.entry(&query.id).or_default().push(answer);
        }
    }
    let (mut pairs, mut documents) = (Vec::new(), Vec::new());
    for (id, mut answers) in of_question {
        let hash = |answer: &&Near<'_>| {
            let ids = [id.as_bytes(), answer.document.id.as_bytes()];
            *Digest::of("covey simulation pairs", &ids).as_bytes()
        };
        answers.sort_by_cached_key(hash);
        for answer in answers.into_iter().take(OF_A_QUESTION) {
            documents.push(numbers[answer.document.id.as_str()]);
            pairs.push(answer.pair());
        }
    }
    let pair_labels = document_labels.of(&documents);
    Ok(Dataset { pairs, pair_labels, document_labels, left_out: left_out.len(), test })
}

/// The split to be tested by: the one that is named, or the first there is of those that are preferred.
pub(super) fn test_split(folder: &Path, named: Option<&str>) -> Result<String, DataError> {
    let all = splits(folder)?;
    if let Some(named) = named {
        return match all.iter().any(|it| it == named) {
            true => Ok(named.to_owned()),
            false => Err(DataError::NoSplit {
                folder: folder.display().to_string(),
                named: named.to_owned(),
                all: all.join(", "),
            }),
        };
    }
    let others: Vec<String> = all.into_iter().filter(|it| it != TRAIN).collect();
    let preferred = TESTS.iter().find(|test| others.iter().any(|it| it == *test));
    let first = preferred.map(|test| (*test).to_owned()).or_else(|| others.first().cloned());
    first.ok_or_else(|| DataError::Untested { folder: folder.display().to_string() })
}

/// Texts of the questions of all splits but the one to learn from.
fn asked_elsewhere(folder: &Path) -> Result<BTreeSet<String>, DataError> {
    let mut asked = BTreeSet::new();
    for split in splits(folder)?.iter().filter(|split| *split != TRAIN) {
        asked.extend(Set::read(folder, split)?.queries.iter().map(|query| plain(&query.text)));
    }
    Ok(asked)
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Clusters of the built-in model's vectors.
fn topics_of(documents: &[Document], count: u32, seed: u64) -> Result<Vec<u32>, EmbedError> {
    let model = builtin()?;
    let mut vectors = Vec::with_capacity(documents.len() * model.dim());
    for some in documents.chunks(AT_ONCE) {
        let texts: Vec<String> = some.iter().map(Document::full_text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        vectors.extend(model.embed(&texts)?);
    }
    Ok(clusters(&vectors, model.dim(), count.max(1) as usize, seed))
}

#[cfg(test)]
mod tests {
    use covey_embedder::Embedder;

    use super::*;

    const TOPICS: [[&str; 3]; 2] = [
        [
            "apple and pear trees bear fruit",
            "fruit trees such as apple",
            "when pear trees bear fruit",
        ],
        ["the bicycle chain slips", "a bicycle with worn brakes", "oil for the bicycle chain"],
    ];

    fn folder(meta: bool) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("in it")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        let lines = |line: &dyn Fn(usize, usize) -> String| -> String {
            (0..2)
                .flat_map(|topic| (0..3).map(move |text| (topic, text)))
                .map(|(a, b)| line(a, b))
                .collect()
        };
        write(
            "corpus.jsonl",
            lines(&|topic, text| {
                format!(
                    "{{\"_id\":\"{topic}-{text}\",\"title\":\"\",\"text\":\"{}\"}}\n",
                    TOPICS[topic][text]
                )
            }),
        );
        let query = |id: &str, text: &str| format!("{{\"_id\":\"{id}\",\"text\":\"{text}\"}}\n");
        write(
            "queries.jsonl",
            [
                query("a", "fruit?"),
                query("b", "why chains slip"),
                query("c", "Why  chains slip"),
                query("e", "uphill?"),
            ]
            .concat(),
        );
        write(
            "qrels/train.tsv",
            "query-id\tcorpus-id\tscore\na\t0-0\t1\na\t0-2\t1\na\t1-0\t0\nb\t1-0\t1\ne\t1-2\t2\n"
                .to_owned(),
        );
        write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nc\t1-0\t1\n".to_owned());
        if meta {
            write(
                "meta.jsonl",
                "{\"_id\":\"0-0\",\"author\":\"x\"}\n{\"_id\":\"1-2\",\"author\":\"x\"}\n"
                    .to_owned(),
            );
        }
        folder
    }

    #[test]
    fn pairs_have_the_topics_of_their_documents_and_ask_nothing_that_is_tested() {
        let data = load(folder(false).path(), None, Some(2), 1, None).expect("loads");
        let found: Vec<(&str, &str)> =
            data.pairs.iter().map(|pair| (&*pair.anchor, &*pair.document)).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!((data.left_out, found[2]), (1, ("uphill?", "1-2")));
        assert_eq!(data.test.queries.len(), 1);
        let topics = data.document_labels.topics();
        assert!(topics[..3].iter().all(|topic| *topic == topics[0]), "{topics:?}");
        assert!(topics[3..].iter().all(|topic| *topic == 1 - topics[0]), "{topics:?}");
        assert_eq!(data.pair_labels.topics(), [topics[0], topics[0], topics[3]]);
        assert_eq!(data.document_labels.authors(), None);
    }

    #[test]
    fn authors_are_those_of_meta_and_documents_without_one_stand_alone() {
        let data = load(folder(true).path(), None, None, 1, None).expect("loads");
        assert_eq!(data.document_labels.authors(), Some([0, 1, 2, 3, 4, 0].as_slice()));
        assert_eq!(data.pair_labels.authors().map(<[u32]>::len), Some(3));
    }

    #[test]
    fn a_folder_that_is_no_set_is_refused_with_what_it_needs() {
        let folder = folder(false);
        std::fs::remove_file(folder.path().join("qrels/test.tsv")).expect("there");
        let error =
            load(folder.path(), None, None, 1, None).expect_err("nothing to test by").to_string();
        assert!(error.ends_with("has no split beside train; add qrels/test.tsv"), "{error}");
        let error = load(&folder.path().join("none"), None, None, 1, None)
            .expect_err("no folder")
            .to_string();
        assert!(
            error.contains("cannot read") && error.contains("corpus.jsonl, queries.jsonl"),
            "{error}"
        );
    }

    #[test]
    fn a_split_that_is_named_judges() {
        let folder = folder(false);
        let qrels = "query-id\tcorpus-id\tscore\nb\t1-0\t1\ne\t1-2\t1\n";
        std::fs::write(folder.path().join("qrels/dev.tsv"), qrels).expect("written");
        let of = |split| load(folder.path(), split, None, 1, None);
        assert_eq!(of(None).expect("loads").test.queries.len(), 1, "test is preferred");
        let dev = of(Some("dev")).expect("loads");
        assert_eq!(dev.test.queries.len(), 2);
        assert!(dev.pairs.iter().all(|pair| pair.anchor == "fruit?"), "{:?}", dev.pairs);
        let error = of(Some("devel")).expect_err("no such split").to_string();
        assert!(error.contains("devel") && error.contains("dev, test, train"), "{error}");
    }

    #[test]
    fn answers_that_the_model_does_not_find_are_left_out() {
        let folder = folder(false);
        let model = builtin().expect("loads");
        // The second answer is about something else.
        let qrels = "query-id\tcorpus-id\tscore\na\t0-0\t1\na\t1-1\t1\n";
        std::fs::write(folder.path().join("qrels/train.tsv"), qrels).expect("written");
        let of = |depth: usize| -> Vec<String> {
            let found = Some((&*model as &dyn Embedder, depth));
            let data = load(folder.path(), None, None, 1, found).expect("loads");
            data.pairs.into_iter().map(|pair| pair.document).collect()
        };
        assert_eq!(of(3), ["0-0"], "three are about fruit");
        assert_eq!(of(6).len(), 2, "all there are");
    }
}
