//! Jupyter notebooks: the text of Markdown cells and the source of code cells. What a run printed is
//! left out, as it changes without anybody writing it.

use super::attributes::Attributes;
use super::draft::Draft;
use super::json::Json;
use super::{SkipReason, markdown, record};

/// Reads a notebook of format 3 or 4; sections are the headings of its Markdown cells.
pub(super) fn read(text: &str, draft: &mut Draft) -> Result<Attributes, SkipReason> {
    let failed = |why: String| SkipReason::ExtractionFailed(why);
    let notebook =
        Json::parse(text).map_err(|error| failed(format!("the notebook is no JSON: {error}")))?;
    // Format 3 has its cells in worksheets.
    let sheets = notebook.get("worksheets").map_or(&[][..], Json::items);
    let lists = std::iter::once(&notebook).chain(sheets).filter_map(|of| of.get("cells"));
    let mut any = false;
    for cell in lists.flat_map(Json::items) {
        any = true;
        self::cell(cell, draft)?;
    }
    if !any {
        return Err(failed("the notebook has no cells".into()));
    }
    Ok(notebook.get("metadata").map(facts).unwrap_or_default())
}

fn cell(cell: &Json, draft: &mut Draft) -> Result<(), SkipReason> {
    let mut source = String::new();
    if let Some(lines) = cell.get("source").or_else(|| cell.get("input")) {
        lines.strings("", &mut source);
    }
    if source.trim().is_empty() {
        return Ok(());
    }
    draft.paragraph();
    match cell.get("cell_type").and_then(Json::as_str) {
        Some("markdown" | "heading") => {
            if let Some(level) = cell.get("level").and_then(scalar).and_then(|l| l.parse().ok()) {
                draft.heading_at(draft.len(), level, source.trim());
            }
            let start = draft.len();
            for heading in markdown::headings(&source) {
                draft.heading_at(start + heading.at, heading.level, heading.title);
            }
            draft.push(&source)?;
        }
        _ => draft.push(&source)?,
    }
    draft.line();
    Ok(())
}

fn scalar(value: &Json) -> Option<&str> {
    match value {
        Json::Scalar(text) => Some(text),
        Json::Null | Json::String(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

fn facts(metadata: &Json) -> Attributes {
    let mut facts = Attributes::default();
    let language = metadata
        .get("language_info")
        .and_then(|info| info.get("name"))
        .or_else(|| metadata.get("kernelspec").and_then(|spec| spec.get("language")));
    if let Some(language) = language.and_then(Json::as_str) {
        facts.insert("language", language);
    }
    for name in ["title", "date"] {
        if let Some(value) = metadata.get(name).and_then(Json::as_str) {
            record::fact(&mut facts, name, value);
        }
    }
    for author in metadata.get("authors").map_or(&[][..], Json::items) {
        let name = author.get("name").unwrap_or(author);
        facts.insert("author", name.as_str().unwrap_or_default());
    }
    facts
}
