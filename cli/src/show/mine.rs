//! What was mined to learn from, and what was opened.

use std::io::{self, Write};

use covey_node::api::{MineReport, NearReport, OpenInfo, OpenedInfo};

use super::Style;
use crate::text::{clean, count};

/// How many pairs there are, of which kinds, and what is none.
pub fn mined(it: &MineReport, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let of = it.collections.iter().map(|name| clean(name.as_str())).collect::<Vec<_>>().join(", ");
    let pairs = count(it.pairs.total(), "pair");
    writeln!(out, "{} of {of}, from {}", style.bold(&pairs), count(it.files, "file"))?;
    let kinds = [
        (it.pairs.title, "titles with how the text begins"),
        (it.pairs.heading, "headings with what stands under them"),
        (it.pairs.code, "comments with the code they document"),
        (it.pairs.opened, "questions with results that you opened"),
    ];
    for (number, what) in kinds.into_iter().filter(|(number, _)| *number > 0) {
        writeln!(out, "  {number} {what}")?;
    }
    if it.negatives > 0 {
        writeln!(out, "  {}", count(it.negatives, "negative"))?;
    }
    let left_out = [
        (it.left_out.short, "a title, heading, comment or question of fewer than two words"),
        (it.left_out.numeric, "a title, heading, comment or question without a letter"),
        (it.left_out.long, "a heading too long to be one"),
        (it.left_out.bare, "too little text under it"),
        (it.left_out.gone, "a result that you opened and whose text has changed"),
    ];
    for (number, why) in left_out.into_iter().filter(|(number, _)| *number > 0) {
        writeln!(out, "  {number} left out: {why}")?;
    }
    if it.stale > 0 {
        let files = count(it.stale, "file");
        writeln!(out, "  {files} left out: changed or gone since (`covey add` the folder again)")?;
    }
    for note in &it.notes {
        writeln!(out, "note: {}", clean(note))?;
    }
    Ok(())
}

/// How many pairs a model is near to.
pub fn near(it: &NearReport, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let (kept, all) = (style.bold(&count(it.kept, "pair")), count(it.pairs, "pair"));
    writeln!(out, "{kept} of {all}: {}", clean(&it.path.display().to_string()))
}

/// Where a result is.
pub fn open(it: &OpenInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    writeln!(out, "{}", clean(&it.path.display().to_string()))?;
    if let Some(title) = &it.title {
        writeln!(out, "  {}", style.dim(&clean(title)))?;
    }
    if let Some(line) = it.line {
        writeln!(out, "  {}", style.dim(&format!("line {line}")))?;
    }
    Ok(())
}

/// A line for each, newest last.
pub fn opened(results: &[OpenedInfo], out: &mut dyn Write, style: Style) -> io::Result<()> {
    if results.is_empty() {
        return writeln!(out, "No result was opened.");
    }
    for it in results {
        let path = clean(&it.path.display().to_string());
        writeln!(out, "{}  {}", clean(&it.question), style.dim(&path))?;
    }
    Ok(())
}
