use super::*;

const CORPUS: &str = "{\"_id\": \"d1\", \"title\": \"Pears\", \"text\": \"ripen late\", \"metadata\": {}}\n\
                      {\"_id\": \"d2\", \"text\": \"Plums\"}\n";
const QUERIES: &str = "{\"_id\": \"q2\", \"text\": \"two\"}\n{\"_id\": \"q1\", \"text\": \"one\"}\n\
                       {\"_id\": \"q3\", \"text\": \"three\"}\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t-2\nq2\td2\t0\n";

/// A set in a folder of its own, with `content` instead of what `file` has.
fn folder(file: &str, content: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("qrels")).unwrap();
    let files = [("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), ("qrels/test.tsv", QRELS)];
    for (name, usual) in files {
        let content = if name == file { content } else { usual };
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

#[test]
fn a_set_is_read_with_the_judged_queries_alone() {
    let folder = folder("", "");
    let set = Set::read(folder.path(), "test").unwrap();
    assert_eq!(set.documents.len(), 2);
    assert_eq!(set.documents[0].full_text(), "Pears ripen late");
    assert_eq!(set.documents[1].full_text(), "Plums");
    assert_eq!(set.queries.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["q2", "q1"]);
    assert_eq!(set.judgements["q1"], [("d1".to_owned(), 1), ("d2".to_owned(), -2)].into());
    assert_eq!(set.judgements["q2"], [("d2".to_owned(), 0)].into());
    assert_eq!(set.gaps, Gaps::default());
    assert_eq!(judgements(folder.path(), "test").unwrap(), set.judgements);
}

#[test]
fn a_first_line_with_a_grade_is_a_judgement() {
    let folder = folder("qrels/test.tsv", "q1\td1\t1\r\nq1\td1\t1\r\n");
    assert_eq!(judgements(folder.path(), "test").unwrap()["q1"], [("d1".to_owned(), 1)].into());
}

#[test]
fn gaps_are_counted() {
    let two =
        folder("qrels/test.tsv", "query\tdocument\tgrade\nq1\tgone\t1\nq2\tgone\t1\nq2\td1\t1\n");
    assert_eq!(Set::read(two.path(), "test").unwrap().gaps.unknown_documents, 1);
    let corpus = folder(
        "corpus.jsonl",
        "{\"_id\":\"d1\",\"text\":\" \"}\n{\"_id\":\"d2\",\"text\":\"x\"}\n",
    );
    assert_eq!(Set::read(corpus.path(), "test").unwrap().gaps.empty_documents, 1);
    let queries = folder(
        "queries.jsonl",
        "{\"_id\":\"q1\",\"text\":\"\"}\n{\"_id\":\"q2\",\"text\":\"x\"}\n",
    );
    assert_eq!(Set::read(queries.path(), "test").unwrap().gaps.empty_queries, 1);
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let cases = [
        (
            "corpus.jsonl",
            "{\"_id\":\"d1\",\"text\":\"x\"}\n{\"_id\":\"d1\",\"text\":\"y\"}\n",
            "corpus.jsonl, line 2: _id \"d1\" is that of line 1",
        ),
        ("corpus.jsonl", "{\"_id\":\"\",\"text\":\"x\"}\n", "corpus.jsonl, line 1: _id is empty"),
        ("corpus.jsonl", "{\"_id\":\"d1\"}\n", "corpus.jsonl, line 1: missing field `text`"),
        ("corpus.jsonl", "\n\nnonsense\n", "corpus.jsonl, line 3: expected"),
        ("corpus.jsonl", "", "corpus.jsonl: there are no documents in it"),
        (
            "queries.jsonl",
            "{\"_id\":\"q1\",\"text\":\"x\"}\n",
            "qrels/test.tsv, line 4: query \"q2\" is not in queries.jsonl",
        ),
        ("queries.jsonl", "{\"_id\":1,\"text\":\"x\"}\n", "queries.jsonl, line 1: invalid type"),
        (
            "qrels/test.tsv",
            "header\nq1 0 d1 1\n",
            "qrels/test.tsv, line 1: expected query, document and grade, found 1 fields",
        ),
        (
            "qrels/test.tsv",
            "a\tb\tc\nq1\td1\thigh\n",
            "qrels/test.tsv, line 2: the grade \"high\" is no whole number",
        ),
        (
            "qrels/test.tsv",
            "a\tb\tc\nq1\td1\t99999999999\n",
            "line 2: the grade \"99999999999\" is no whole number",
        ),
        ("qrels/test.tsv", "a\tb\tc\n\td1\t1\n", "qrels/test.tsv, line 2: an id is empty"),
        (
            "qrels/test.tsv",
            "a\tb\tc\nq1\td1\t1\nq1\td1\t2\n",
            "line 3: \"d1\" is graded 2 for query \"q1\" here and 1 before",
        ),
        ("qrels/test.tsv", "a\tb\tc\n", "qrels/test.tsv: there are no judgements in it"),
    ];
    for (file, content, expected) in cases {
        let folder = folder(file, content);
        let error = Set::read(folder.path(), "test").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}

#[test]
fn a_split_that_is_missing_is_answered_with_those_that_are_there() {
    let folder = folder("", "");
    fs::write(folder.path().join("qrels/dev.tsv"), QRELS).unwrap();
    fs::write(folder.path().join("qrels/notes.txt"), "no split").unwrap();
    for split in ["train", "../qrels/test", ""] {
        let error = Set::read(folder.path(), split).unwrap_err().to_string();
        assert!(error.ends_with("; it has: dev, test"), "{error}");
    }
    let bare = tempfile::tempdir().unwrap();
    let error = Set::read(bare.path(), "test").unwrap_err();
    assert!(matches!(&error, ReadError::Io { path, .. } if path.ends_with("qrels")), "{error}");
    fs::create_dir(bare.path().join("qrels")).unwrap();
    let error = Set::read(bare.path(), "test").unwrap_err().to_string();
    assert!(error.ends_with("; it has: none"), "{error}");
}
