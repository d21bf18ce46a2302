use super::*;
use crate::builtin;

#[test]
fn texts_have_the_tokens_they_should_and_are_the_same_each_time() {
    let model = builtin().unwrap();
    let texts = Texts::of(model.as_ref(), 20).unwrap();
    let count = |text: &str| model.token_spans(text).unwrap().len();
    assert_eq!(texts.chunks(100).len(), 20);
    assert!(texts.chunks(20).iter().all(|chunk| count(chunk) == CHUNK - 2));
    assert_eq!(count(&texts.query), QUERY - 2);
    let distinct: std::collections::BTreeSet<_> = texts.chunks(20).into_iter().collect();
    assert_eq!(distinct.len(), 20);
    assert_eq!(Texts::of(model.as_ref(), 20).unwrap().chunks(20), texts.chunks(20));
}

#[test]
fn a_model_without_such_texts_says_so() {
    let model = builtin().unwrap();
    assert_eq!(
        cut(model.as_ref(), "one two three four five", 2, 9).unwrap(),
        ["one two", "three four"]
    );
    assert!(cut(model.as_ref(), "one", 2, 9).unwrap().is_empty());
}

#[test]
fn the_builtin_model_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::open(dir.path()).unwrap();
    let info = store.list().unwrap().remove(0);
    let mut seen = Vec::new();
    let mut step =
        |number: usize, all: usize, what: &str| seen.push((number, all, what.to_owned()));
    let outcome = measure(&store, &info, Duration::from_millis(200), &mut step).unwrap();
    assert_eq!(seen, [(0, 1, "static".to_owned())]);
    let [(None, speed)] = outcome.speeds.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(outcome.choice, None);
    // A question is shorter than a chunk, which takes less than a second on anything.
    assert!(speed.query < speed.chunk && speed.chunk < 1.0, "{speed:?}");
    assert!(speed.chunks > 1.0 && speed.chunks_all > 1.0 && outcome.tokens > 254.0, "{outcome:?}");
}

#[test]
fn bytes_are_multiplied_about_as_fast_as_floats_or_faster() {
    let one = Threads::new(1).unwrap();
    let peak_of = |precision| peak(precision, &one, Duration::from_millis(20)).unwrap();
    let (Some(floats), Some(bytes)) = (peak_of(Precision::F32), peak_of(Precision::Int8)) else {
        assert!(instructions().iter().all(|(name, there)| *name != "avx2" || !there));
        return;
    };
    // Any processor with AVX2, however busy, does a billion in a second.
    assert!(floats > 1e9 && bytes > floats / 2.0, "{floats} {bytes}");
}
