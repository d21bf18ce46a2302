//! Comma- and tab-separated values: a record a row.

use csv::{ReaderBuilder, StringRecord};

use super::SkipReason;
use super::attributes::{Attributes, tidy};
use super::draft::Draft;
use super::record::{fact, push, roles};

/// A column's name as far as it is repeated in each row.
const MAX_NAME: usize = 64;
/// A longer value is text and no fact.
const MAX_FACT: usize = 128;

/// Rows become records: title and text where columns are named so, else a line for each value with its
/// column's name. A row without a letter says nothing; a table of none but such rows is its header.
pub(super) fn read(text: &str, delimiter: Option<u8>, draft: &mut Draft) -> Result<(), SkipReason> {
    let delimiter = delimiter.unwrap_or_else(|| sniff(text));
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let failed = |error: csv::Error| SkipReason::ExtractionFailed(error.to_string());
    let mut row = StringRecord::new();
    if !reader.read_record(&mut row).map_err(failed)? {
        return Ok(());
    }
    let names: Vec<String> = if is_header(&row) {
        row.iter().map(|name| tidy(name, MAX_NAME)).collect()
    } else {
        Vec::new()
    };
    let table = Table { roles: roles(names.iter().map(String::as_str)), names };
    if table.names.is_empty() {
        table.row(&row, draft)?;
    }
    while reader.read_record(&mut row).map_err(failed)? {
        table.row(&row, draft)?;
    }
    if draft.len() == 0 {
        push(draft, "", &table.names.join(", "), Attributes::default())?;
    }
    Ok(())
}

struct Table {
    /// Names of the columns; none where the first row already is data.
    names: Vec<String>,
    /// Columns of the text and of the title.
    roles: (Option<usize>, Option<usize>),
}

impl Table {
    fn row(&self, row: &StringRecord, draft: &mut Draft) -> Result<(), SkipReason> {
        if !row.iter().any(has_letter) {
            return Ok(());
        }
        let filled = |at: &usize| row.get(*at).is_some_and(|cell| !cell.trim().is_empty());
        let (body, title) = (self.roles.0.filter(filled), self.roles.1.filter(filled));
        let mut attributes = Attributes::default();
        let mut lines = String::new();
        for (at, cell) in row.iter().enumerate() {
            let cell = cell.trim();
            if cell.is_empty() || Some(at) == body || Some(at) == title {
                continue;
            }
            let name = self.names.get(at).map_or("", String::as_str);
            if draft.wants_facts() && cell.len() <= MAX_FACT {
                fact(&mut attributes, name, cell);
            }
            if body.is_none() {
                if !name.is_empty() {
                    lines.push_str(name);
                    lines.push_str(": ");
                }
                lines.push_str(cell);
                lines.push('\n');
            }
        }
        let text = body.and_then(|at| row.get(at)).unwrap_or(&lines);
        push(draft, title.and_then(|at| row.get(at)).unwrap_or_default(), text, attributes)
    }
}

fn has_letter(cell: &str) -> bool {
    cell.chars().any(char::is_alphabetic)
}

/// A header names its columns: no cell is empty or a number, and no two are the same.
fn is_header(row: &StringRecord) -> bool {
    let mut names: Vec<&str> = row.iter().map(str::trim).collect();
    let named = names.iter().all(|name| has_letter(name) && name.parse::<f64>().is_err());
    names.sort_unstable();
    named && names.windows(2).all(|pair| pair[0] != pair[1])
}

/// The delimiter most common in the first line, outside of quotes.
fn sniff(text: &str) -> u8 {
    let mut counts = [(b',', 0usize), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in text.bytes().take_while(|&b| b != b'\n').take(1 << 16) {
        quoted ^= byte == b'"';
        if let Some(count) = counts.iter_mut().find(|count| !quoted && count.0 == byte) {
            count.1 += 1;
        }
    }
    // The first of equals, which is the comma.
    counts.iter().rev().max_by_key(|count| count.1).map_or(b',', |count| count.0)
}
