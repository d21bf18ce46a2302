//! What varies, and the grid of it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use covey_crypto::Digest;

use super::SweepError;

/// Most trials of a sweep.
pub const MAX_TRIALS: usize = 10_000;
/// Longest name of a trial, which a file system has to take with `.log` behind.
const MAX_NAME: usize = 120;

/// A field of the scenario, and the values that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vary {
    /// The field, such as `training.mu`.
    pub key: String,
    /// Its values, as TOML writes them or, for texts, without quotes.
    pub values: Vec<String>,
}

/// What varies: each value of a field with each of all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Fields, the first changing most slowly.
    pub vary: Vec<Vary>,
}

/// One point of the grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// From 0 on.
    pub number: usize,
    /// Its folder's name, made of its settings alone, so that it stays when the grid grows.
    pub name: String,
    /// Fields with their values.
    pub settings: Vec<(String, String)>,
}

impl Trial {
    /// Its settings as a scenario is told them: `training.mu=0.01`.
    pub fn overrides(&self) -> Vec<String> {
        self.settings.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }
}

impl FromStr for Vary {
    type Err = SweepError;

    /// Reads `training.mu=0,0.01,0.1`. Commas within brackets or quotes part nothing.
    fn from_str(text: &str) -> Result<Self, SweepError> {
        let bad = |why: &str| {
            let example = "write it like training.mu=0,0.01,0.1";
            SweepError::Grid(format!("\"{text}\" {why}; {example}"))
        };
        let (key, values) = text.split_once('=').ok_or_else(|| bad("has no ="))?;
        let key = key.trim();
        if !is_key(key) {
            return Err(bad("names no field before the ="));
        }
        let values =
            parted(values).ok_or_else(|| bad("has a bracket or quote that is not closed"))?;
        if values.iter().any(String::is_empty) {
            return Err(bad("has an empty value"));
        }
        Ok(Self { key: key.to_owned(), values })
    }
}

fn is_key(key: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.chars().all(|of| of.is_ascii_alphanumeric() || "_-".contains(of))
    };
    key.split('.').all(is_part)
}

/// Parts at commas outside of brackets and quotes.
fn parted(text: &str) -> Option<Vec<String>> {
    let (mut parts, mut part, mut depth, mut quote) = (Vec::new(), String::new(), 0u32, None);
    for letter in text.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(letter),
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth = depth.checked_sub(1)?,
            (',', None) if depth == 0 => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    parts.push(part.trim().to_owned());
    (depth == 0 && quote.is_none()).then_some(parts)
}

impl Sweep {
    /// Reads a file: a table `vary` of fields, each with a list of values.
    ///
    /// # Errors
    /// If it is no such TOML.
    pub fn from_toml(text: &str) -> Result<Self, SweepError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            vary: toml::Table,
        }
        let file: File = toml::from_str(text).map_err(|error| {
            SweepError::Grid(format!("the sweep is no TOML with a table [vary]: {error}"))
        })?;
        let mut fields = BTreeMap::new();
        flatten("", &file.vary, &mut fields)?;
        let vary = fields.into_iter().map(|(key, values)| Vary { key, values }).collect();
        Ok(Self { vary })
    }

    /// All trials, in an order that follows from what varies.
    ///
    /// # Errors
    /// If a field varies twice or not at all, or if there are more than [`MAX_TRIALS`].
    pub fn trials(&self) -> Result<Vec<Trial>, SweepError> {
        let bad = |why: String| Err(SweepError::Grid(why));
        let mut keys = BTreeSet::new();
        let mut count = 1usize;
        for Vary { key, values } in &self.vary {
            if !keys.insert(key) {
                return bad(format!("{key} varies twice; give all its values at once"));
            }
            let distinct: BTreeSet<&String> = values.iter().collect();
            if values.is_empty() || distinct.len() < values.len() {
                return bad(format!("{key} has no values, or one of them twice"));
            }
            count = count.saturating_mul(values.len());
        }
        if self.vary.is_empty() {
            return bad("nothing varies; use --vary, or run the scenario by itself".into());
        }
        if count > MAX_TRIALS {
            return bad(format!(
                "there would be {count} trials, at most {MAX_TRIALS} are run; vary less"
            ));
        }
        let settings: Vec<_> = (0..count).map(|number| self.settings(number, count)).collect();
        let names = names(&settings);
        let trials = settings.into_iter().zip(names).enumerate();
        Ok(trials.map(|(number, (settings, name))| Trial { number, name, settings }).collect())
    }

    fn settings(&self, number: usize, count: usize) -> Vec<(String, String)> {
        let mut block = count;
        let mut settings = Vec::new();
        for Vary { key, values } in &self.vary {
            block /= values.len();
            settings.push((key.clone(), values[number / block % values.len()].clone()));
        }
        settings
    }
}

/// Fields of a table, one in another joined with dots.
fn flatten(
    at: &str,
    table: &toml::Table,
    fields: &mut BTreeMap<String, Vec<String>>,
) -> Result<(), SweepError> {
    for (key, value) in table {
        let key = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, fields)?,
            toml::Value::Array(values) if is_key(&key) => {
                fields.insert(key, values.iter().map(toml::Value::to_string).collect());
            }
            _ => {
                let why = format!(
                    "{key} in [vary] is no list of values; write it like \"training.mu\" = [0, 0.1]"
                );
                return Err(SweepError::Grid(why));
            }
        }
    }
    Ok(())
}

/// A name for each trial. Where two would have the same, or one says not all of its settings, a digest of the settings makes it its own.
fn names(settings: &[Vec<(String, String)>]) -> Vec<String> {
    let plain: Vec<(String, bool)> = settings.iter().map(|of| plain_name(of)).collect();
    let digest = |of: &[(String, String)]| {
        let parts: Vec<&[u8]> =
            of.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]).collect();
        Digest::of("covey sweep trial", &parts).short()
    };
    let name = |((name, whole), of): (&(String, bool), &Vec<(String, String)>)| match whole {
        true => name.clone(),
        false => format!("{name}-{}", digest(of)),
    };
    plain.iter().zip(settings).map(name).collect()
}

/// Settings as a name of a file, and whether it says all of them.
fn plain_name(settings: &[(String, String)]) -> (String, bool) {
    let mut whole = true;
    let mut parts = Vec::new();
    for (key, value) in settings {
        let is_safe = |of: char| of.is_ascii_alphanumeric() || "._+-".contains(of);
        whole &= value.chars().all(is_safe);
        let value: String = value.chars().map(|of| if is_safe(of) { of } else { '-' }).collect();
        parts.push(format!("{key}={value}"));
    }
    let name = parts.join(",");
    match name.char_indices().nth(MAX_NAME) {
        // All of it is ASCII.
        Some((end, _)) => (name[..end].to_owned(), false),
        None => (name, whole),
    }
}
