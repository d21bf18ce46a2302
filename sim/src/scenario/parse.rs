//! From text to a scenario and back.

use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::error::{Problem, ScenarioError};
use super::given::Given;
use super::{Learner, Scenario, check, fields};

impl Scenario {
    /// Reads a scenario and overrides of it, in order. An override's key is a path with dots, which
    /// may number entries of lists (`adversaries.0.share`), and its value is TOML; texts need no quotes.
    /// An empty value takes back a field that may be left out, such as `privacy.epsilon`. Another
    /// `learner.kind` than before drops the fields of the one before.
    ///
    /// # Errors
    /// All that is wrong, each with its line or override: what is no TOML, unknown fields, values
    /// out of bounds, and fields that contradict each other.
    pub fn parse(text: &str, overrides: &[(String, String)]) -> Result<Self, ScenarioError> {
        let mut given = Given::from_table(table(&Self::default())?);
        given.read(text)?;
        for (key, value) in overrides {
            given.set(key, value)?;
        }
        resolve(given)
    }

    /// Checks a scenario that was not read.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        resolve(Given::from_table(table(self)?)).map(drop)
    }

    /// All of it as TOML, which reads back as the same: every field that has a value.
    ///
    /// # Errors
    /// If a number or path in it has no form in TOML, which [`Scenario::validate`] refuses as well.
    pub fn to_toml(&self) -> Result<String, ScenarioError> {
        toml::to_string(self).map_err(unwritten)
    }
}

/// What a field is where nothing is said, as TOML has it; nothing where it has no default, or an empty text.
pub fn default_of(path: &str) -> Option<String> {
    let learner = Learner::Embedder { model: None, rank: None, found: 0 };
    [Scenario::default(), Scenario { learner, ..Scenario::default() }].iter().find_map(|of| {
        let all = Value::Table(table(of).ok()?);
        let found = path.split('.').try_fold(&all, |at, part| at.get(part))?;
        Some(found.to_string()).filter(|text| text != "\"\"")
    })
}

fn table(scenario: &Scenario) -> Result<Table, ScenarioError> {
    Table::try_from(scenario).map_err(unwritten)
}

fn unwritten(error: toml::ser::Error) -> ScenarioError {
    ScenarioError::one(None, format!("the scenario has no form in TOML: {error}"))
}

/// A whole number, also one that is written with a point, which is rounded up: folders of old runs hold such hours.
pub(super) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Whole(u32),
        Point(f64),
    }
    Ok(match Number::deserialize(from)? {
        Number::Whole(number) => number,
        // The cast saturates.
        Number::Point(number) => number.ceil() as u32,
    })
}

/// Checks fields one by one, then together.
fn resolve(mut given: Given) -> Result<Scenario, ScenarioError> {
    ScenarioError::unless_empty(fields::problems(&given))?;
    let table = std::mem::take(&mut given.table);
    // The rules are narrower than the types, and a test holds one against the other.
    let scenario = Scenario::deserialize(table)
        .map_err(|error| ScenarioError::one(None, error.message().to_owned()))?;
    let problems = check::contradictions(&scenario).into_iter().map(|found| {
        let place = found.fields.iter().find_map(|path| given.own_place(path).cloned());
        Problem { place, what: found.what }
    });
    ScenarioError::unless_empty(problems.collect())?;
    Ok(scenario)
}
