//! Where scenarios come from and runs go to.

use std::path::{Path, PathBuf};

use covey_node::api::{API_VERSION, ApiError, ErrorCode};
use covey_sim::SimError;
use covey_sim::run_folder::FolderError;
use covey_sim::scenario::{Learner, Scenario, ScenarioError, ready};
use serde_json::{Value, json};

use crate::output::Output;

/// Prints a result for programs, a reply of that type: text for people is printed elsewhere.
pub(super) fn done(output: &Output, what: &str, fields: Value) -> Result<(), ApiError> {
    let mut reply = json!({ "type": what });
    if let (Some(reply), Value::Object(fields)) = (reply.as_object_mut(), fields) {
        reply.extend(fields);
    }
    let line = json!({ "version": API_VERSION, "event": "done", "reply": reply });
    output.line(&line.to_string()).map(drop)
}

/// The text of a scenario: a file's, or that of one that is ready.
pub(super) fn text_of(scenario: &str) -> Result<String, ApiError> {
    let path = Path::new(scenario);
    if path.is_file() {
        return std::fs::read_to_string(path).map_err(|error| {
            ApiError::new(ErrorCode::Storage, format!("cannot read {scenario}: {error}"))
        });
    }
    match ready::by_name(scenario) {
        Some(ready) => Ok(ready.text.to_owned()),
        None => {
            let meant = ready::nearest(scenario).map(|name| format!("; did you mean {name}?"));
            let message = format!(
                "there is no file {scenario}, and no built-in scenario of that name{}",
                meant.unwrap_or_default()
            );
            Err(ApiError::new(ErrorCode::NotFound, message)
                .hint("`covey sim list` shows the built-in ones"))
        }
    }
}

/// A scenario with its overrides. Folders with data and with a model are taken from where the command runs.
pub(super) fn scenario_of(text: &str, set: &[(String, String)]) -> Result<Scenario, ApiError> {
    let mut scenario = Scenario::parse(text, set).map_err(|error| unsound(&error))?;
    if let Some(folder) = &scenario.data.folder {
        scenario.data.folder = Some(absolute(folder)?);
    }
    if let Learner::Embedder { model: Some(folder), .. } = &mut scenario.learner {
        *folder = absolute(folder)?;
    }
    Ok(scenario)
}

/// That the folder with data, if there is one, has what a run judges by.
pub(super) fn judged(scenario: &Scenario) -> Result<(), ApiError> {
    let split = covey_sim::data::judged_by(&scenario.data);
    split.map(drop).map_err(|error| ApiError::new(ErrorCode::Usage, error.to_string()))
}

fn unsound(error: &ScenarioError) -> ApiError {
    ApiError::new(ErrorCode::Usage, format!("this scenario cannot be run:\n{error}"))
        .hint("`covey sim list --fields` says what each field may be")
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, ApiError> {
    std::path::absolute(path).map_err(|error| {
        ApiError::new(ErrorCode::Storage, format!("cannot find {}: {error}", path.display()))
    })
}

/// `key=value`.
pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it like training.mu=0.01")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// A file of that name, or one with a number behind it: the first that is not there yet.
pub(super) fn free(name: &str) -> PathBuf {
    let numbered = |number: u32| match number {
        0 => PathBuf::from(name),
        number => PathBuf::from(format!("{name}-{}", number + 1)),
    };
    (0..).map(numbered).find(|path| !path.exists()).expect("some number is free")
}

pub(super) fn failed(error: SimError) -> ApiError {
    match error {
        SimError::Model(error) => error,
        SimError::Cancelled => ApiError::new(ErrorCode::Cancelled, error.to_string()),
        other => ApiError::new(ErrorCode::Internal, other.to_string()),
    }
}

pub(super) fn unwritten(error: &FolderError) -> ApiError {
    let code = match error {
        FolderError::NoRun(_) => ErrorCode::NotFound,
        FolderError::Foreign(_) | FolderError::Taken(_) => ErrorCode::Exists,
        FolderError::Io { .. }
        | FolderError::Busy(_)
        | FolderError::Line { .. }
        | FolderError::NoNumber(_)
        | FolderError::Damaged { .. } => ErrorCode::Storage,
    };
    ApiError::new(code, error.to_string())
}
