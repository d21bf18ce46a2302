//! One record of a table or of JSON lines: what of it is text, what its title, what a fact.

use super::SkipReason;
use super::attributes::Attributes;
use super::date;
use super::draft::Draft;
use super::json::Json;

/// Names of the field that holds a record's text; the first that there is counts.
const TEXT: &[&str] = &["text", "body", "content", "contents", "passage"];
/// Names of the field that holds a record's title.
const TITLE: &[&str] = &["title", "name", "subject"];
/// A longer value is text and no fact.
const MAX_FACT: usize = 256;

/// Position of the text's and the title's field among these names.
pub(super) fn roles<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
) -> (Option<usize>, Option<usize>) {
    let find = |known: &[&str]| {
        known
            .iter()
            .find_map(|role| names.clone().position(|name| name.trim().eq_ignore_ascii_case(role)))
    };
    (find(TEXT), find(TITLE))
}

/// Adds a field under the key that filters know it by, if it is short enough for a fact.
pub(super) fn fact(attributes: &mut Attributes, name: &str, value: &str) {
    if value.len() > MAX_FACT {
        return;
    }
    let name = name.trim().to_lowercase();
    match name.as_str() {
        "author" | "authors" | "creator" => attributes.insert("author", value),
        "tag" | "tags" | "keyword" | "keywords" | "category" | "categories" => {
            value.split([',', ';']).for_each(|tag| attributes.insert("tag", tag));
        }
        "date" | "published" | "created" | "created_at" | "published_at" | "timestamp" => {
            match date::normal(value) {
                Some(date) => attributes.insert("date", &date),
                None => attributes.insert(&name, value),
            }
        }
        _ => attributes.insert(&name, value),
    }
}

/// Adds a record to the text, unless it has none.
pub(super) fn push(
    draft: &mut Draft,
    title: &str,
    text: &str,
    mut attributes: Attributes,
) -> Result<(), SkipReason> {
    let (title, text) = (title.trim(), text.trim());
    if text.is_empty() && title.is_empty() {
        return Ok(());
    }
    attributes.insert("title", title);
    draft.section(title, attributes);
    for part in [title, text] {
        if !part.is_empty() {
            draft.push(part)?;
            draft.push("\n")?;
        }
    }
    Ok(())
}

/// One JSON value a line. A line that is no JSON is passed over, as the last one of a file still being
/// written is; a file of none but such lines is none of this format.
pub(super) fn json_lines(text: &str, draft: &mut Draft) -> Result<(), SkipReason> {
    let mut good = 0usize;
    let mut failure = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match Json::parse(line) {
            Ok(value) => {
                json(&value, draft)?;
                good += 1;
            }
            Err(error) if failure.is_none() => failure = Some(error.to_string()),
            Err(_) => {}
        }
    }
    match failure {
        Some(error) if good == 0 => {
            Err(SkipReason::ExtractionFailed(format!("no line of it is JSON: {error}")))
        }
        _ => Ok(()),
    }
}

fn json(value: &Json, draft: &mut Draft) -> Result<(), SkipReason> {
    let mut text = String::new();
    let Json::Object(fields) = value else {
        value.strings("\n", &mut text);
        return push(draft, "", &text, Attributes::default());
    };
    let (mut body, title) = roles(fields.iter().map(|(name, _)| name.as_str()));
    if let Some(at) = body {
        fields[at].1.strings("\n", &mut text);
        if text.trim().is_empty() {
            body = None;
        }
    }
    let title = title.filter(|at| fields[*at].1.as_str().is_some());
    let mut attributes = Attributes::default();
    for (at, (name, value)) in fields.iter().enumerate() {
        if Some(at) == body || Some(at) == title {
            continue;
        }
        if body.is_none() {
            value.strings("\n", &mut text);
        }
        if !draft.wants_facts() {
            continue;
        }
        match value {
            Json::String(text) | Json::Scalar(text) => fact(&mut attributes, name, text),
            Json::Array(items) => {
                for item in items.iter().filter_map(Json::as_str) {
                    fact(&mut attributes, name, item);
                }
            }
            Json::Null | Json::Object(_) => {}
        }
    }
    let title = title.and_then(|at| fields[at].1.as_str()).unwrap_or_default();
    push(draft, title, &text, attributes)
}
