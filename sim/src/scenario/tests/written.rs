//! What is written reads back.

use proptest::prelude::*;

use super::*;

/// A value that a rule allows.
fn value(rule: Rule) -> BoxedStrategy<Value> {
    let text = |pattern: &'static str| pattern.prop_map(Value::String).boxed();
    match rule {
        Rule::Name => text("[a-z0-9][a-zA-Z0-9_-]{0,63}"),
        Rule::Text(_) => text("\\PC{0,40}"),
        Rule::Folder => text("/[a-z\"'\\\\ü.= #]{1,30}"),
        Rule::Flag => any::<bool>().prop_map(Value::Boolean).boxed(),
        Rule::Whole { least, most } => (least..=most)
            .prop_map(|number| Value::Integer(i64::try_from(number).expect("fits")))
            .boxed(),
        Rule::Number { least, above, most } => (least..=most)
            .prop_map(move |number| {
                Value::Float(if above && number == least { most } else { number })
            })
            .boxed(),
        Rule::Range { least, most } => (least..=most, least..=most)
            .prop_map(|(a, b)| Value::Array([a.min(b), a.max(b)].map(Value::Float).to_vec()))
            .boxed(),
        Rule::Choice(words) => {
            proptest::sample::select(words).prop_map(|word| Value::String(word.to_owned())).boxed()
        }
    }
}

/// Some fields, as overrides.
fn overrides() -> impl Strategy<Value = Vec<(String, String)>> {
    let field = proptest::sample::select(FIELDS).prop_flat_map(|field| {
        let path = field.path.replace('*', "0");
        value(field.rule).prop_map(move |value| (path.clone(), value.to_string()))
    });
    proptest::collection::vec(field, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back_the_same(overrides in overrides()) {
        // Those that contradict the ones before are another test's.
        let mut kept = Vec::new();
        for one in overrides {
            kept.push(one);
            if Scenario::parse("", &kept).is_err() {
                kept.pop();
            }
        }
        let scenario = Scenario::parse("", &kept).expect("it parsed before");
        let text = scenario.to_toml().expect("has a form");
        prop_assert_eq!(Scenario::parse(&text, &[]), Ok(scenario), "{}", text);
    }

    #[test]
    fn nothing_that_is_read_panics(text in "([a-z.]{1,9}|[\\[\\]{}=\"'\n0-9.,#-]){0,60}", key in "[a-z.0-9]{0,12}", value in "\\PC{0,12}") {
        let _ = Scenario::parse(&text, &[(key, value)]);
    }
}
