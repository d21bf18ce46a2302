//! Scenarios are read as they are meant, and refused with what to do.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::names::pattern;
use super::*;

mod contradictions;
mod written;

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse(text, &[]).map_err(|error| error.to_string())
}

fn set(text: &str, overrides: &[(&str, &str)]) -> Result<Scenario, String> {
    let overrides: Vec<(String, String)> =
        overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Scenario::parse(text, &overrides).map_err(|error| error.to_string())
}

fn refused(text: &str) -> String {
    parse(text).expect_err(text)
}

#[test]
fn nothing_said_is_the_default_which_is_a_small_run() {
    let scenario = parse("").expect("parses");
    assert_eq!(scenario, Scenario::default());
    assert_eq!((scenario.peers, scenario.training.rounds), (20, 5));
    assert_eq!(scenario.learner, Learner::Surrogate { values: 1_000, heterogeneity: 0.0 });
}

#[test]
fn every_error_has_its_line_and_says_what_to_do() {
    for (text, said) in [
        ("peers = 0", "line 1: peers is 0; it has to be a whole number from 1 to 100000"),
        (
            "\n\n[training]\nrounds = 3\nrate = -1\n",
            "line 5: training.rate is -1; it has to be a number above 0 and at most 1000",
        ),
        (
            "[training]\nrate = nan",
            "line 2: training.rate is nan; it has to be a number above 0 and at most 1000",
        ),
        (
            "[training]\nmu = inf",
            "line 2: training.mu is inf; it has to be a number from 0 to 1000",
        ),
        (
            "[training]\nalgorithm = 'averge'",
            "line 2: training.algorithm is \"averge\"; it has to be one of average, momentum, adagrad, adam, yogi, local, central",
        ),
        ("[sum]\nsecure = 1", "line 2: sum.secure is 1; it has to be true or false"),
        (
            "[network]\nlatency_ms = [50, 5]",
            "line 2: network.latency_ms is [50, 5]; it has to be two numbers from 0 to 3600000, the smaller one first, such as [0, 3600000]",
        ),
        ("peers = 2.5", "line 1: peers is 2.5; it has to be a whole number from 1 to 100000"),
        (
            "peers = 100000000000000000000",
            "line 1: peers is inf; it has to be a whole number from 1 to 100000",
        ),
        (
            "name = '../x'",
            "line 1: name is \"../x\"; it has to be a name of at most 64 letters, digits, - and _ that begins with a letter or digit",
        ),
        (
            "[data]\nfolder = ''",
            "line 2: data.folder is \"\"; it has to be the path of a folder, as with --set data.folder=FOLDER",
        ),
        ("peers = 3\npeers = 4", "line 2: this is no TOML: duplicate key"),
        ("peers = \n", "line 1: this is no TOML: "),
        ("training = 3", "line 1: training is 3; it has to be a table, written as [training]"),
        (
            "adversaries = 3",
            "line 1: adversaries is 3; it has to be a list, written as [[adversaries]]",
        ),
        (
            "adversaries = [3]",
            "line 1: adversaries.0 is 3; it has to be a table, written as [adversaries.0]",
        ),
        (
            "[learner]\nkind = 'embedder'\nvalues = 3",
            "line 3: learner.values belongs to learner.kind = \"surrogate\" alone; leave it out",
        ),
        (
            "\n[[adversaries]]\nattack = 'scale'\n",
            "line 2: adversaries.0.share is missing; it has to be a number from 0 to 0.5",
        ),
    ] {
        let found = refused(text);
        assert!(found.starts_with(said), "{text:?}: {found}");
    }
}

#[test]
fn unknown_fields_are_refused_with_the_nearest_known_one() {
    for (text, said) in [
        ("peer = 3", "line 1: there is no field peer; did you mean peers?"),
        ("rounds = 3", "line 1: there is no field rounds; did you mean training.rounds?"),
        (
            "[training]\nepoch = 3",
            "line 2: there is no field training.epoch; did you mean training.epochs?",
        ),
        ("[trainig]\nepochs = 3", "line 1: there is no field trainig; did you mean training?"),
        (
            "[availability.dropuot]\nkeys = 0",
            "line 1: there is no field availability.dropuot; did you mean availability.dropout?",
        ),
        (
            "[[adversaries]]\nattack = 'scale'\nshare = 0.1\nstrenght = 2",
            "line 4: there is no field adversaries.0.strenght; did you mean adversaries.0.strength?",
        ),
        (
            "[search]\ncolour = 1",
            "line 2: there is no field search.colour in search; those that are there: hours, per_hour, group, passages",
        ),
        (
            "'training.rate' = 1",
            "line 1: there is no field \"training.rate\" at the top; those that are there: name, about, seed, repeats, peers, data, ",
        ),
    ] {
        let found = refused(text);
        assert!(found.starts_with(said), "{text:?}: {found}");
    }
}

#[test]
fn all_problems_are_told_in_the_files_order() {
    let said = refused("peers = 0\n[training]\nrate = 0\n[data]\nzipf = 9\ntopics = 0\n");
    let lines: Vec<&str> = said.lines().map(|line| &line[..6]).collect();
    assert_eq!(lines, ["line 1", "line 3", "line 5", "line 6"], "{said}");
}

#[test]
fn overrides_come_last_and_need_no_quotes() {
    let text = "[training]\nrate = 0.5\n[[adversaries]]\nattack = 'scale'\nshare = 0.1\n[privacy]\nepsilon = 3";
    let scenario = set(
        text,
        &[
            ("training.rate", "1"),
            ("training.rate", ".25"),
            ("training.algorithm", "adam"),
            ("name", "7"),
            ("about", "a = 'b'"),
            ("data.folder", "2024"),
            ("adversaries.0.share", "0.2"),
            ("adversaries.1.attack", "sign-flip"),
            ("adversaries.1.share", "0.1"),
            ("network.latency_ms.1", "70"),
            ("availability.dropout.upload", "1e-2"),
            ("sum.secure", "false"),
            ("privacy.epsilon", ""),
            ("privacy.noise", "0.7"),
            ("network.cuts", "[{ at_s = 1, for_s = 2.5, share = 0.5 }]"),
        ],
    )
    .expect("parses");
    assert_eq!((scenario.training.rate, scenario.training.algorithm), (0.25, Algorithm::Adam));
    assert_eq!((scenario.name.as_str(), scenario.about.as_str()), ("7", "a = 'b'"));
    assert_eq!(scenario.data.folder, Some("2024".into()));
    let kinds: Vec<_> = scenario.adversaries.iter().map(|it| (it.attack, it.share)).collect();
    assert_eq!(kinds, [(Attack::Scale, 0.2), (Attack::SignFlip, 0.1)]);
    assert_eq!(scenario.network.latency_ms, [5.0, 70.0]);
    assert_eq!(scenario.network.cuts, [Cut { at_s: 1.0, for_s: 2.5, share: 0.5 }]);
    assert_eq!((scenario.privacy.epsilon, scenario.privacy.noise), (None, Some(0.7)));
    assert_eq!((scenario.availability.dropout.upload, scenario.sum.secure), (0.01, false));
}

#[test]
fn another_kind_of_learner_drops_what_the_one_before_had() {
    let text = "[learner]\nvalues = 10\nheterogeneity = 2";
    let embedder = set(text, &[("learner.kind", "embedder"), ("learner.rank", "8")]);
    let learner = Learner::Embedder { model: None, rank: Some(8), found: 0 };
    assert_eq!(embedder.map(|it| it.learner), Ok(learner.clone()));
    assert_eq!(parse("[learner]\nrank = 8\nkind = 'embedder'").map(|it| it.learner), Ok(learner));
    let same = set(text, &[("learner.kind", "surrogate")]).map(|it| it.learner);
    assert_eq!(same, Ok(Learner::Surrogate { values: 10, heterogeneity: 2.0 }));
}

#[test]
fn errors_in_overrides_name_the_override() {
    for (key, value, said) in [
        (
            "training.rate",
            "-1",
            "--set training.rate=-1: training.rate is -1; it has to be a number above 0",
        ),
        ("training.rate", "fast", "--set training.rate=fast: training.rate is \"fast\";"),
        (
            "trainig.rate",
            "1",
            "--set trainig.rate=1: there is no field trainig; did you mean training?",
        ),
        (
            "training.rate.x",
            "1",
            "--set training.rate.x=1: training.rate is 0.1, which has no fields",
        ),
        (
            "adversaries.3.share",
            "0.1",
            "--set adversaries.3.share=0.1: adversaries has 0 entries, numbered from 0, and the next number adds one; \"3\" is none of them",
        ),
        (
            "network.latency_ms.2",
            "1",
            "--set network.latency_ms.2=1: network.latency_ms has 2 entries, numbered from 0; \"2\" is none of them",
        ),
        (
            "adversaries.0.share",
            "0.1",
            "--set adversaries.0.share=0.1: adversaries.0.attack is missing",
        ),
        ("", "1", "--set =1: it has to be key=value"),
        ("training..rate", "1", "--set training..rate=1: it has to be key=value"),
        ("training.cohort", "50", "--set training.cohort=50: training.cohort is 50, of 20 peers"),
        ("training", "3", "--set training=3: training is 3; it has to be a table"),
    ] {
        let found = set("", &[(key, value)]).expect_err(key);
        assert!(found.starts_with(said), "{key}={value}: {found}");
    }
}

#[test]
fn long_and_deep_texts_are_refused() {
    let long = format!("about = '{}'", "x".repeat(1_100));
    assert!(refused(&long).starts_with("line 1: the line is longer than 1000 bytes"));
    assert!(refused(&"# x\n".repeat(100_000)).starts_with("it is longer than 262144 bytes"));
    for many in [20, 400] {
        let keys = format!("peers = 3\n{}z = 1", "a.".repeat(many));
        let nested = format!("peers = {}{}", "[".repeat(many), "]".repeat(many));
        for said in [refused(&keys), refused(&nested)] {
            let deep = said.contains("deeper than 8 tables") || said.contains("recurs");
            assert!(deep, "{said}");
        }
    }
}

/// All paths of a table's values.
fn paths(path: &str, table: &Table, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = names::join(path, key);
        match value {
            Value::Table(table) => paths(&path, table, found),
            Value::Array(entries) if entries.iter().any(Value::is_table) => {
                for (number, entry) in entries.iter().enumerate() {
                    let entry = entry.as_table().expect("all are");
                    paths(&format!("{path}.{number}"), entry, found);
                }
            }
            _ => {
                found.insert(pattern(&path));
            }
        }
    }
}

/// One with every field: of both kinds of learner there have to be two.
fn full(learner: Learner) -> Scenario {
    let mut scenario = Scenario { learner, ..Scenario::default() };
    scenario.data.folder = Some("set".into());
    scenario.data.split = Some("dev".into());
    scenario.privacy.epsilon = Some(8.0);
    scenario.network.cuts = vec![Cut { at_s: 1.5, for_s: 2.0, share: 0.25 }];
    let adversary = |attack| Adversary { attack, share: 0.05, strength: 2.0 };
    scenario.adversaries = [
        Attack::Scale,
        Attack::SignFlip,
        Attack::Garbage,
        Attack::Poison,
        Attack::ForgeScores,
        Attack::Flood,
        Attack::Collude,
    ]
    .map(adversary)
    .to_vec();
    scenario
}

#[test]
fn there_is_a_rule_for_every_field_and_a_field_for_every_rule() {
    let mut found = BTreeSet::from(["privacy.noise".to_owned()]);
    for learner in [
        Learner::default(),
        Learner::Embedder { model: Some("model".into()), rank: Some(4), found: 50 },
    ] {
        let table = Table::try_from(full(learner)).expect("has a form");
        paths("", &table, &mut found);
    }
    let rules: BTreeSet<String> = FIELDS.iter().map(|field| field.path.to_owned()).collect();
    assert_eq!(found, rules);
}

/// Values at the edges of a rule.
fn edges(rule: &Rule) -> Vec<Value> {
    match *rule {
        Rule::Name => vec![Value::String("x".repeat(64))],
        Rule::Text(most) => vec![Value::String("ü".repeat(most))],
        Rule::Folder => vec![Value::String("a b/ü".to_owned())],
        Rule::Flag => vec![Value::Boolean(false), Value::Boolean(true)],
        Rule::Whole { least, most } => {
            [least, most].map(|edge| Value::Integer(i64::try_from(edge).expect("fits"))).to_vec()
        }
        Rule::Number { least, above, most } => {
            let least = if above { (most - least) / 1e9 } else { least };
            vec![
                Value::Float(least),
                Value::Float(most),
                Value::Integer(most.ceil().min(1.0) as i64),
            ]
        }
        Rule::Range { least, most } => {
            vec![Value::Array(vec![Value::Float(least), Value::Float(most)])]
        }
        Rule::Choice(words) => words.iter().map(|word| Value::String((*word).to_owned())).collect(),
    }
}

/// Puts a value of a field into a full scenario and reads it without the checks of fields together.
#[test]
fn what_the_rules_allow_the_types_hold() {
    for field in FIELDS.iter().filter(|field| field.path != "learner.kind") {
        let embedder = field.of == Some("embedder");
        let learner = if embedder {
            Learner::Embedder { model: None, rank: None, found: 0 }
        } else {
            Learner::default()
        };
        for value in edges(&field.rule) {
            if !field.rule.holds(&value) {
                // A share's upper edge as a whole number may be beyond it.
                assert!(value.is_integer(), "{}: {value}", field.path);
                continue;
            }
            let mut table = Table::try_from(full(learner.clone())).expect("has a form");
            let path = field.path.replace('*', "0");
            let parts: Vec<&str> = path.split('.').collect();
            given::put(&mut table, &parts, value.clone()).expect("a place");
            let read: Result<Scenario, _> = table.try_into();
            assert!(read.is_ok(), "{} = {value}: {read:?}", field.path);
        }
    }
}

/// Serde names all variants of an enum when it knows none of a name.
#[test]
fn every_variant_of_a_choice_is_in_its_list() {
    fn variants<'de, T: serde::Deserialize<'de> + std::fmt::Debug>() -> BTreeSet<String> {
        let error = Value::String("?".to_owned()).try_into::<T>().expect_err("no such variant");
        let error = error.to_string();
        let named = error.split('`').skip(1).step_by(2).filter(|name| *name != "?");
        named.map(str::to_owned).collect()
    }
    let lists = [
        ("training.algorithm", variants::<Algorithm>()),
        ("adversaries.*.attack", variants::<Attack>()),
        ("coordinator.lies", variants::<Lies>()),
        ("data.partition", variants::<Partition>()),
        ("sum.topology", variants::<Topology>()),
        ("privacy.unit", variants::<Unit>()),
    ];
    for (path, variants) in lists {
        let field = FIELDS.iter().find(|field| field.path == path).expect("a field");
        let Rule::Choice(list) = field.rule else { panic!("{path} is no choice") };
        let list: BTreeSet<String> = list.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(list, variants, "{path}");
        assert!(list.len() > 1, "{path}");
    }
}

#[test]
fn what_is_ready_is_sound_and_says_what_it_is() {
    for ready in ready::list() {
        let overrides: &[(&str, &str)] =
            if ready.name == "embedder" { &[("data.folder", "some/set")] } else { &[] };
        let scenario =
            set(ready.text, overrides).unwrap_or_else(|error| panic!("{}: {error}", ready.name));
        assert_eq!((scenario.name.as_str(), &scenario.about), (ready.name, &ready.about));
        assert!(ready.about.ends_with('.'), "{}", ready.about);
        assert_eq!(ready::by_name(ready.name), Some(ready));
    }
    assert_eq!(ready::by_name("none"), None);
    assert_eq!((ready::nearest("stragler"), ready::nearest("thesis")), (Some("stragglers"), None));
}

#[test]
fn the_embedders_scenario_asks_for_its_folder() {
    let ready = ready::by_name("embedder").expect("there");
    let said = refused(ready.text);
    assert!(
        said.contains("data.folder is \"\"") && said.contains("--set data.folder=FOLDER"),
        "{said}"
    );
}

#[test]
fn what_toml_cannot_hold_is_refused() {
    let seed = Scenario { seed: u64::MAX, ..Scenario::default() };
    assert!(seed.validate().is_err());
    let mut rate = Scenario::default();
    rate.training.rate = f64::NAN;
    assert!(rate.validate().is_err());
    assert_eq!(Scenario::default().validate(), Ok(()));
}

#[test]
fn whole_numbers_may_be_written_with_a_point() {
    let of = |hours: &str| parse(&format!("peers = 12.0\n[search]\nhours = {hours}"));
    assert_eq!(of("2.0").map(|it| (it.peers, it.search.hours)), Ok((12, 2)));
    assert_eq!(of("2").map(|it| it.search.hours), Ok(2));
    let said = of("2.5").expect_err("a part of an hour");
    assert_eq!(said, "line 3: search.hours is 2.5; it has to be a whole number from 0 to 10000");
    assert_eq!(set("", &[("search.hours", "3.0")]).map(|it| it.search.hours), Ok(3));
    // Runs of earlier versions, which rounded parts of an hour up, are read back.
    let earlier: Scenario = toml::from_str("[search]\nhours = 1.5").expect("reads");
    assert_eq!(earlier.search.hours, 2);
}
