//! `.precisions.json`: the numbers that a person chose for models to compute with on this machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::ModelError;
use super::error::io_at;
use super::install::Installer;
use crate::Precision;

const FILE: &str = ".precisions.json";
/// Most bytes of the file: some thousand models.
const LIMIT: u64 = 256 << 10;

/// What was chosen for the model `name`, else [`Precision::Auto`].
pub(super) fn of(dir: &Path, name: &str) -> Result<Precision, ModelError> {
    Ok(read(dir)?.remove(name).unwrap_or_default())
}

/// Remembers `precision` for `name`; [`Precision::Auto`] forgets what was chosen.
pub(super) fn set(dir: &Path, name: &str, precision: Precision) -> Result<(), ModelError> {
    let installer = Installer::begin(dir)?;
    let mut chosen = read(dir)?;
    match precision {
        Precision::Auto => chosen.remove(name),
        other => chosen.insert(name.to_owned(), other),
    };
    let names: BTreeMap<&str, &str> =
        chosen.iter().map(|(model, precision)| (model.as_str(), precision.name())).collect();
    let json = serde_json::to_vec(&names).map_err(|error| damaged(dir, error.to_string()))?;
    installer.write(FILE, &json)
}

fn read(dir: &Path) -> Result<BTreeMap<String, Precision>, ModelError> {
    let path = dir.join(FILE);
    let mut json = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(LIMIT).read_to_end(&mut json).map_err(io_at(&path))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(io_at(&path)(error)),
    };
    let names: BTreeMap<String, String> =
        serde_json::from_slice(&json).map_err(|error| damaged(dir, error.to_string()))?;
    let known = |(model, name): (String, String)| {
        let precision = Precision::from_name(&name);
        Ok((
            model,
            precision.ok_or_else(|| damaged(dir, format!("there is no precision {name:?}")))?,
        ))
    };
    names.into_iter().map(known).collect()
}

fn damaged(dir: &Path, reason: String) -> ModelError {
    ModelError::Precisions { path: dir.join(FILE), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_remembered_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(of(dir, "a").unwrap(), Precision::Auto);
        set(dir, "a", Precision::Int8).unwrap();
        set(dir, "b", Precision::F32).unwrap();
        assert_eq!(
            [of(dir, "a").unwrap(), of(dir, "b").unwrap()],
            [Precision::Int8, Precision::F32]
        );
        set(dir, "a", Precision::Auto).unwrap();
        assert_eq!(
            [of(dir, "a").unwrap(), of(dir, "b").unwrap()],
            [Precision::Auto, Precision::F32]
        );
        assert_eq!(std::fs::read_to_string(dir.join(FILE)).unwrap(), r#"{"b":"f32"}"#);
    }

    #[test]
    fn a_damaged_file_is_told_and_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for bad in ["", "[]", r#"{"a":"int4"}"#, r#"{"a":1}"#] {
            std::fs::write(&path, bad).unwrap();
            let error = of(dir.path(), "b").unwrap_err();
            assert!(matches!(error, ModelError::Precisions { .. }), "{bad}: {error}");
            assert!(error.to_string().contains("remove it"), "{error}");
            set(dir.path(), "b", Precision::F32).unwrap_err();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bad);
        }
    }
}
