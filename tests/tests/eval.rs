//! `covey eval` on a small retrieval set, by real processes, without a node.

use std::fs;
use std::path::Path;

use covey_tests::Person;
use serde_json::{Value, json};

const DOCUMENTS: [(&str, &str, &str); 6] = [
    ("pear", "Pears", "Pears ripen after they are picked, at room temperature."),
    ("kettle", "Limescale", "Citric acid removes limescale from a kettle."),
    ("bridge", "", "The bridge was closed for repairs after the flood."),
    ("fever", "", "Paracetamol lowers the temperature of feverish children."),
    ("bicycle", "Chains", "A worn bicycle chain skips under load."),
    ("bread", "Sourdough", "Sourdough bread rises slowly in a cold kitchen."),
];
const QUERIES: [(&str, &str); 5] = [
    ("q-fruit", "When do pears ripen?"),
    ("q-kettle", "How do I descale the kettle?"),
    ("q-child", "What helps against a child's fever?"),
    ("q-dough", "Why does my bread rise so slowly?"),
    ("q-other", "Who closed the bridge?"),
];
const QRELS: &str = "query-id\tcorpus-id\tscore\nq-fruit\tpear\t2\nq-kettle\tkettle\t1\n\
                     q-child\tfever\t1\nq-child\tbridge\t0\nq-dough\tbread\t1\nq-dough\tkettle\t-1\n";

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Somebody with the set in their folder `set`.
fn person() -> Person {
    let ada = Person::without_node("ada");
    let documents =
        DOCUMENTS.map(|(id, title, text)| json!({"_id": id, "title": title, "text": text}));
    let queries = QUERIES.map(|(id, text)| json!({"_id": id, "text": text}));
    let lines = |of: &[Value]| of.iter().map(|it| format!("{it}\n")).collect::<String>();
    ada.write("set/corpus.jsonl", lines(&documents));
    ada.write("set/queries.jsonl", lines(&queries));
    ada.write("set/qrels/test.tsv", QRELS);
    ada.write("set/qrels/dev.tsv", "query-id\tcorpus-id\tscore\nq-other\tbridge\t1\n");
    ada
}

fn measure(run: &Value, at: usize, name: &str) -> f64 {
    run["measures"][at][name].as_f64().expect("a number")
}

#[test]
fn a_model_is_measured_and_its_run_scores_the_same() {
    let ada = person();
    let set = ada.dir().join("set");
    let out = ada.dir().join("builtin.run");
    let found = ada.json(&["eval", text(&set), "--run-out", text(&out), "--k", "3,1,3"]);
    assert_eq!((&found["type"], &found["split"]), (&json!("evaluated"), &json!("test")));
    assert_eq!((&found["queries"], &found["documents"]), (&json!(4), &json!(6)));
    assert_eq!((&found["compared"], &found["per_query"]), (&Value::Null, &json!([])));
    let run = &found["run"];
    assert_eq!((&run["name"], &run["unanswered"]), (&json!("covey-static-en-512"), &json!(0)));
    assert!(run["model"]["release"].as_str().is_some_and(|it| it.len() == 64), "{run}");
    assert_eq!((&run["measures"][0]["k"], &run["measures"][1]["k"]), (&json!(1), &json!(3)));
    assert_eq!(run["measures"].as_array().map(Vec::len), Some(2));
    // Words in common make these easy.
    assert!(measure(run, 1, "recall") >= 0.75 && measure(run, 1, "ndcg") > 0.5, "{run}");
    assert_eq!(found["notes"], json!([]));
    assert!(!ada.home().join("state").exists(), "no node was made");

    let lines = fs::read_to_string(&out).expect("was written");
    let lines: Vec<Vec<&str>> = lines.lines().map(|it| it.split(' ').collect()).collect();
    assert_eq!(lines.len(), 4 * DOCUMENTS.len(), "all of a small corpus");
    assert!(
        lines.iter().all(|it| it.len() == 6 && it[1] == "Q0" && it[5] == "covey-static-en-512")
    );
    let again = ada.json(&["eval", text(&set), "--run-in", text(&out), "--k", "1,3"]);
    assert_eq!(again["run"]["measures"], run["measures"]);
    assert_eq!((&again["documents"], &again["run"]["model"]), (&Value::Null, &Value::Null));

    let dev = ada.json(&["eval", text(&set), "--split", "dev"]);
    assert_eq!(dev["queries"], 1);
    assert_eq!(
        (&dev["run"]["measures"][0]["k"], &dev["run"]["measures"][1]["k"]),
        (&json!(10), &json!(100))
    );
}

#[test]
fn a_run_of_another_system_is_scored_and_compared_by_query() {
    let ada = person();
    let set = ada.dir().join("set");
    // Ranks say nothing; of equal scores the greater id comes first.
    let run = ada.write(
        "other.run",
        "q-fruit Q0 bread 1 2.5 x\nq-fruit Q0 pear 2 7 x\nq-kettle Q0 bread 1 1 x\nq-kettle Q0 kettle 2 1 x\n\
         q-child Q0 bridge 1 -1 x\nq-child Q0 bread 2 -2 x\nq-unknown Q0 pear 1 1 x\n",
    );
    let found = ada.json(&["eval", text(&set), "--run-in", text(&run), "--k", "2", "--per-query"]);
    let expected = [
        ("q-child", 0.0, 0.0),
        ("q-dough", 0.0, 0.0),
        ("q-fruit", 1.0, 1.0),
        ("q-kettle", 1.0, 1.0),
    ];
    for (at, (query, ndcg, mrr)) in expected.into_iter().enumerate() {
        let row = &found["per_query"][at];
        assert_eq!(row["query"], query);
        assert_eq!((measure(row, 0, "ndcg"), measure(row, 0, "mrr")), (ndcg, mrr), "{row}");
    }
    assert_eq!(
        (&found["run"]["unanswered"], measure(&found["run"], 0, "recall")),
        (&json!(1), 0.5)
    );
    let notes = found["notes"].to_string();
    assert!(
        notes.contains("1 judged query without results") && notes.contains("1 query in"),
        "{notes}"
    );

    let both = ada.json(&["eval", text(&set), "--compare", text(&run), "--k", "2", "--per-query"]);
    let compared = &both["compared"];
    assert_eq!(compared["run"]["name"], text(&run));
    assert_eq!(
        (&compared["permutations"], &compared["resamples"]),
        (&json!(99_999), &json!(9_999))
    );
    let differences = compared["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 3);
    for (it, name) in differences.iter().zip(["ndcg", "recall", "mrr"]) {
        let number = |field: &str| it[field].as_f64().expect("a number");
        let difference = measure(&both["run"], 0, name) - measure(&compared["run"], 0, name);
        assert!((number("difference") - difference).abs() < 1e-12, "{it}");
        assert!(number("low") <= difference && difference <= number("high"), "{it}");
        assert!(number("p") > 0.05 && number("p") <= 1.0, "four queries cannot say much: {it}");
        assert_eq!(number("better") + number("equal") + number("worse"), 4.0);
    }
    assert_eq!(both["per_query"][0]["compared"][0]["ndcg"], 0.0);
    let itself = ada.json(&["eval", text(&set), "--compare", "covey-static-en-512"]);
    for it in itself["compared"]["differences"].as_array().expect("a list") {
        assert_eq!(
            (&it["difference"], &it["p"], &it["equal"]),
            (&json!(0.0), &json!(1.0), &json!(4))
        );
    }
}

#[test]
fn people_get_a_table() {
    let ada = person();
    let set = ada.dir().join("set");
    let plain = ada.run(&["eval", text(&set), "--k", "10"]);
    assert_eq!((plain.code, plain.stderr.as_str()), (Some(0), ""), "{plain:?}");
    for words in [
        "set  test, 4 queries, 6 documents\n",
        "covey-static-en-512\n",
        "nDCG@10",
        "recall@10",
        "MRR@10",
    ] {
        assert!(plain.stdout.contains(words), "{words}: {}", plain.stdout);
    }
    let both = ada.run(&["eval", text(&set), "--compare", "covey-static-en-512", "--per-query"]);
    for words in ["A - B", "95% interval", "randomisation test", "q-kettle", "+0.0000"] {
        assert!(both.stdout.contains(words), "{words}: {}", both.stdout);
    }
}

#[test]
fn errors_say_where_and_what_to_do() {
    let ada = person();
    let set = ada.dir().join("set");
    let fails = |arguments: &[&str], kind: &str, words: &str| {
        let failure = ada.fails(&[&["eval"], arguments].concat());
        let said = format!("{} {}", failure.message, failure.hint.clone().unwrap_or_default());
        assert!(failure.kind == kind && said.contains(words), "{arguments:?}: {failure:?}");
    };
    let missing = ada.dir().join("nowhere");
    let out = ada.dir().join("out.run");
    let out = text(&out);
    let bad = ada.write("bad.run", "q-fruit Q0 pear 1 0.5 x\nq-fruit Q0 pear 2 0.4 x\n");
    fails(&[text(&missing)], "not_found", "there is no file or folder");
    fails(&[text(ada.dir())], "not_found", "qrels/SPLIT.tsv");
    fails(&[text(&set), "--split", "train"], "not_found", "it has: dev, test");
    fails(&[text(&set), "--model", "nonesuch"], "not_found", "covey model pull");
    fails(&[text(&set), "--compare", "nonesuch"], "not_found", "neither a file here nor a model");
    fails(&[text(&set), "--compare", "./none.run"], "not_found", "cannot read ./none.run");
    fails(
        &[text(&set), "--run-in", text(&bad)],
        "usage",
        "bad.run, line 2: query \"q-fruit\" has document",
    );
    fails(&[text(&set), "--run-out", text(&missing.join("a.run"))], "storage", "a.run");
    fails(&[text(&set), "--run-in", out, "--run-out", out], "usage", "cannot be used with");
    fails(&[text(&set), "--k", "0"], "usage", "1..=1000");

    let corpus = fs::read_to_string(set.join("corpus.jsonl")).expect("reads");
    ada.write("set/corpus.jsonl", corpus.clone() + "{\"_id\":\"pear\",\"text\":\"again\"}\n");
    fails(&[text(&set)], "usage", "corpus.jsonl, line 7: _id \"pear\" is that of line 1");
    ada.write("set/corpus.jsonl", corpus.replace("\"kettle\"", "\"my kettle\""));
    fails(
        &[text(&set), "--run-out", out],
        "usage",
        "the document \"my kettle\" cannot be in a TREC run",
    );
    assert!(!Path::new(out).exists(), "nothing half done is left");
    let found = ada.json(&["eval", text(&set)]);
    assert!(
        found["notes"][0].as_str().is_some_and(|it| it.starts_with("1 judged document ")),
        "{found}"
    );
}
