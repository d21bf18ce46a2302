//! What the index consists of: its fields, and the list of segments in each commit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tantivy::schema::{
    Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{Directory, Index};

use super::LexicalError;
use super::analysis::{ANALYSIS, NAME, analyzer};

/// The most segments a list is read for.
const MAX_SEGMENTS: usize = 1 << 20;
/// The most files of all segments that may be missing.
const MAX_FILES: u32 = 1 << 24;

#[derive(Clone, Copy)]
pub(super) struct Fields {
    pub(super) segment: Field,
    pub(super) chunk: Field,
    pub(super) body: Field,
}

/// The segments that are in the index, each with the numbers of those of its files that are not.
///
/// As text: the number of the analysis, then each segment's number in hexadecimal; where files are missing
/// a colon, and runs of their numbers like `3,9-c`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Covered(pub(super) BTreeMap<u64, BTreeSet<u32>>);

impl fmt::Display for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ANALYSIS}")?;
        for (segment, missing) in &self.0 {
            write!(f, " {segment:x}")?;
            let numbers: Vec<u32> = missing.iter().copied().collect();
            for (at, run) in numbers.chunk_by(|a, b| a + 1 == *b).enumerate() {
                write!(f, "{}{:x}", if at == 0 { ':' } else { ',' }, run[0])?;
                if let [_, .., last] = run {
                    write!(f, "-{last:x}")?;
                }
            }
        }
        Ok(())
    }
}

impl Covered {
    fn read(text: &str) -> Result<Self, LexicalError> {
        let mut words = text.split(' ');
        if words.next() != Some(ANALYSIS.to_string().as_str()) {
            return Err(LexicalError::Version);
        }
        let mut left = MAX_FILES;
        let segments: Option<_> =
            words.take(MAX_SEGMENTS).map(|word| segment(word, &mut left)).collect();
        let damaged = || LexicalError::Damaged("its list of segments".to_owned());
        segments.map(Self).ok_or_else(damaged)
    }
}

/// Reads a segment, with no more than `left` files.
fn segment(word: &str, left: &mut u32) -> Option<(u64, BTreeSet<u32>)> {
    let (segment, runs) = word.split_once(':').map_or((word, None), |(it, runs)| (it, Some(runs)));
    let number = |digits| u32::from_str_radix(digits, 16).ok();
    let mut missing = BTreeSet::new();
    for run in runs.into_iter().flat_map(|runs| runs.split(',')) {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let (first, last) = (number(first)?, number(last)?);
        *left = left.checked_sub(last.checked_sub(first)?.checked_add(1)?)?;
        missing.extend(first..=last);
    }
    Some((u64::from_str_radix(segment, 16).ok()?, missing))
}

/// Opens the index in a directory, or makes an empty one.
pub(super) fn open(
    directory: Box<dyn Directory>,
) -> Result<(Index, Fields, Covered), LexicalError> {
    let (schema, fields) = schema();
    let exists = Index::exists(&*directory).map_err(tantivy::TantivyError::from)?;
    let index = if exists {
        Index::open(directory)?
    } else {
        Index::create(directory, schema.clone(), tantivy::IndexSettings::default())?
    };
    if index.schema() != schema {
        return Err(LexicalError::Version);
    }
    let covered = covered(&index)?;
    if let Some(file) = index.validate_checksum()?.iter().next() {
        return Err(LexicalError::Damaged(format!("checksum of {}", file.display())));
    }
    index.tokenizers().register(NAME, analyzer());
    Ok((index, fields, covered))
}

/// The list in the last commit; empty before the first.
pub(super) fn covered(index: &Index) -> Result<Covered, LexicalError> {
    let metas = index.load_metas()?;
    match (&metas.payload, metas.segments.is_empty()) {
        (Some(payload), _) => Covered::read(payload),
        (None, true) => Ok(Covered::default()),
        (None, false) => Err(LexicalError::Damaged("its list of segments".to_owned())),
    }
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = TextFieldIndexing::default()
        .set_tokenizer(NAME)
        .set_index_option(IndexRecordOption::WithFreqs);
    let fields = Fields {
        segment: schema
            .add_u64_field("segment", NumericOptions::default().set_fast().set_indexed()),
        chunk: schema.add_u64_field("chunk", NumericOptions::default().set_fast()),
        body: schema.add_text_field("body", TextOptions::default().set_indexing_options(words)),
    };
    (schema.build(), fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_bounded() {
        let list = Covered(BTreeMap::from([
            (1, BTreeSet::new()),
            (0xab, [3, 9, 10, 11, 12, 0xfffe].into()),
            (u64::MAX, [0, 1].into()),
        ]));
        let text = list.to_string();
        assert_eq!(text, format!("{ANALYSIS} 1 ab:3,9-c,fffe ffffffffffffffff:0-1"));
        assert_eq!(Covered::read(&text).expect("reads"), list);
        for bad in ["1:", "1:9-3", "1:-", "1:0-ffffffff", "1:0-1000000", ":1", "1:1:1", "x"] {
            assert!(Covered::read(&format!("{ANALYSIS} {bad}")).is_err(), "{bad}");
        }
    }
}
