use std::collections::BTreeSet;

use super::*;

#[test]
fn repeats_blanks_and_what_is_beyond_the_cap_are_left_out() {
    let mut given = vec![pair("a", "b c"), pair(" a ", "b c\n"), pair("", "b"), pair("d", "d ")];
    given.extend((0..9).map(|i| Pair { document: "long".into(), ..pair("e", &format!("f {i}")) }));
    let examples = all_of(&given, 0.0);
    assert_eq!(examples.dropped, Dropped { empty: 2, repeated: 1, beyond_cap: 5 });
    assert_eq!(examples.train.len(), 1 + 4);
    let mut texts = examples.texts.clone();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), examples.texts.len());
    // The same are kept however they are ordered.
    given.reverse();
    let again = all_of(&given, 0.0);
    let kept = |examples: &Examples| {
        let text = |number: usize| examples.texts[number].clone();
        let mut kept: Vec<_> =
            examples.train.iter().map(|e| (text(e.anchor), text(e.positive))).collect();
        kept.sort();
        kept
    };
    assert_eq!(kept(&again), kept(&examples));
}

#[test]
fn a_document_is_held_out_whole_and_whatever_others_there_are() {
    let given: Vec<Pair> = (0..400)
        .map(|i| Pair {
            document: format!("{}", i / 2),
            ..pair(&format!("q {i}"), &format!("p {i}"))
        })
        .collect();
    let examples = all_of(&given, 0.25);
    let names = |part: &[Example]| -> std::collections::BTreeSet<String> {
        part.iter().map(|e| examples.texts[e.anchor].clone()).collect()
    };
    let held_out = names(&examples.held_out);
    assert!((60..140).contains(&held_out.len()), "{}", held_out.len());
    for i in 0..200 {
        let of = |j: usize| held_out.contains(&format!("q {}", 2 * i + j));
        assert_eq!(of(0), of(1), "document {i}");
    }
    let fewer = all_of(&given[200..], 0.25);
    for example in &fewer.held_out {
        assert!(held_out.contains(&fewer.texts[example.anchor]));
    }
}

#[test]
fn candidates_that_belong_to_an_anchor_are_no_negatives() {
    let given = [pair("q", "p 1"), pair("q", "p 2"), pair("r", "p 1"), pair("s", "p 3")];
    let examples = all_of(&given, 0.0);
    let batch = examples.batch(&examples.train.iter().collect::<Vec<_>>(), &[]);
    assert_eq!((batch.rows(), batch.columns.len()), (4, 3), "p 1 is one column");
    let text = |number: usize| examples.texts[number].as_str();
    for row in 0..4 {
        for (column, &candidate) in batch.columns.iter().enumerate() {
            let belongs = given
                .iter()
                .any(|p| p.anchor == text(batch.anchors[row]) && p.positive == text(candidate));
            assert_eq!(batch.known[row * 3 + column], belongs);
        }
    }
    // Two rows of one question and its two answers have nothing to be told from.
    let same: Vec<&Example> = examples.train.iter().filter(|e| text(e.anchor) == "q").collect();
    assert!(!examples.batch(&same, &[]).teaches());
    assert!(batch.teaches());
}

#[test]
fn imported_lines_are_pairs_or_errors_that_name_the_line() {
    let lines = concat!(
        "{\"anchor\": \"a\", \"positive\": \"b\"}\n\n",
        "{\"query\": \"c\", \"positive\": \"d\", \"negatives\": [\"e\"], \"document\": \"x\"}\n",
    );
    let read = Pair::read_lines(lines.as_bytes()).unwrap();
    assert_eq!(read[0], pair("a", "b"));
    assert_eq!(read[1].negatives, ["e"]);
    for (bad, line) in [
        ("{\"anchor\": \"a\", \"positive\": \"b\"}\nnonsense\n", 2),
        ("{\"anchor\": \"a\"}", 1),
        ("{\"anchor\": \"a\", \"positive\": \"b\", \"colour\": 1}", 1),
        ("[1, 2]", 1),
        ("{\"anchor\": \"\u{fffd}\", \"positive\": 7}", 1),
    ] {
        match Pair::read_lines(bad.as_bytes()) {
            Err(ImportError::Line { line: found, .. }) => assert_eq!(found, line, "{bad}"),
            other => panic!("{bad}: {other:?}"),
        }
    }
    let long = format!("{{\"anchor\": \"{}\", \"positive\": \"b\"}}", "a".repeat(5 << 20));
    let error = Pair::read_lines(long.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("longer"), "{error}");
    assert!(Pair::read_lines(&[0xff, 0xfe, b'\n'][..]).is_err());
}

#[test]
fn a_place_decides_whether_a_document_is_held_out_and_its_name_what_it_is() {
    let pair = |folder: &str, number: usize, place: bool| Pair {
        anchor: format!("what is {number}?"),
        positive: format!("this is {number}"),
        document: format!("{folder}/{number}.md"),
        place: if place { format!("{number}.md") } else { String::new() },
        ..Pair::default()
    };
    let held_out = |folders: &[&str], place| -> Vec<usize> {
        let of =
            |folder: &&str| (0..60).map(|number| pair(folder, number, place)).collect::<Vec<_>>();
        let pairs: Vec<Pair> = folders.iter().flat_map(of).collect();
        let all = Examples::new(&pairs, &PairRules { held_out: 0.3, ..PairRules::default() });
        let documents: BTreeSet<usize> =
            all.train.iter().chain(&all.held_out).map(|it| it.document).collect();
        assert_eq!(documents.len(), 60 * folders.len(), "two of one place are two documents");
        all.held_out.iter().map(|it| it.anchor).collect()
    };
    let here = held_out(&["/a"], true);
    assert!(!here.is_empty());
    assert_eq!(held_out(&["/b"], true), here, "wherever the folder is");
    assert_ne!(held_out(&["/b"], false), held_out(&["/a"], false));
    assert_eq!(held_out(&["/a", "/b"], true).len(), 2 * here.len());
}
