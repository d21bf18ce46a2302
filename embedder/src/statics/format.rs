//! The static model file: docs/spec/static-model-format.md, versions 1 and 2.
//!
//! A fixed header gives every length, the total must come out exactly, and a SHA-256
//! ends the file. Nothing is allocated before the checksum holds. Rows of whole bytes are
//! written as version 1, which every release reads; fewer bits take version 2.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::bits::{self, Bits};
use super::{StaticAbout, StaticParts};
use crate::id::sha256;

const MAGIC: [u8; 8] = *b"COVEYSTM";
const WHOLE_BYTES: u32 = 1;
const PACKED: u32 = 2;
const HEADER: usize = 68;
const CHECKSUM: usize = 32;
const MAX_DIM: usize = 4_096;
const MAX_TOKEN_LIMIT: usize = 65_536;
const MAX_VOCABULARY: usize = 1 << 20;
const MAX_ABOUT: usize = 4_096;

/// Why bytes are not a static model.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file does not start like a static model.
    #[error("this is not a static model file")]
    Magic,
    /// The file is of a version that this program cannot read.
    #[error("static model format version {0} is not known here; a newer covey may read it")]
    Version(u32),
    /// A length in the header, or the file's own length, is wrong.
    #[error("the file is cut short or malformed: {0}")]
    Length(&'static str),
    /// The bytes do not match the checksum at the end.
    #[error("the checksum does not match; the file is damaged")]
    Checksum,
    /// The description is not the JSON object that the format asks for.
    #[error("the description is malformed: {0}")]
    About(#[source] serde_json::Error),
    /// The vocabulary cannot be used.
    #[error("the vocabulary is malformed: {0}")]
    Vocabulary(String),
    /// A scale is negative, infinite or not a number.
    #[error("the scale of token {0} is not a finite, non-negative number")]
    Scale(usize),
    /// A row has an entry that its number of bits cannot hold.
    #[error("the row of token {0} has an entry of more bits than the file's entries have")]
    Entry(usize),
}

pub(super) fn check(parts: &StaticParts) -> Result<(), FormatError> {
    let tokens = parts.vocabulary.len();
    if !(1..=MAX_DIM).contains(&parts.dim) {
        return Err(FormatError::Length("dimensions"));
    }
    if !(1..=MAX_TOKEN_LIMIT).contains(&parts.max_tokens) {
        return Err(FormatError::Length("token limit"));
    }
    if !(1..=MAX_VOCABULARY).contains(&tokens) {
        return Err(FormatError::Length("vocabulary"));
    }
    if parts.scales.len() != tokens {
        return Err(FormatError::Length("scales"));
    }
    if parts.rows.len() != tokens * parts.dim {
        return Err(FormatError::Length("rows"));
    }
    if let Some(token) = parts.scales.iter().position(|s| !s.is_finite() || *s < 0.0) {
        return Err(FormatError::Scale(token));
    }
    let mut seen = BTreeSet::new();
    for token in &parts.vocabulary {
        if token.is_empty() || token.contains('\n') || !seen.insert(token) {
            return Err(FormatError::Vocabulary(format!("{token:?} is empty, broken or repeated")));
        }
    }
    Ok(())
}

/// Whether entries fit their bits, which those that were read from a file do.
pub(super) fn check_entries(parts: &StaticParts) -> Result<(), FormatError> {
    let fit = |row: &[u8]| row.iter().all(|x| parts.bits.hold(x.cast_signed()));
    match parts.rows.chunks(parts.dim).position(|row| !fit(row)) {
        Some(token) => Err(FormatError::Entry(token)),
        None => Ok(()),
    }
}

pub(super) fn encode(parts: &StaticParts) -> Result<Vec<u8>, FormatError> {
    let about = serde_json::to_vec(&parts.about).map_err(FormatError::About)?;
    if about.len() > MAX_ABOUT {
        return Err(FormatError::Length("description"));
    }
    let vocabulary = parts.vocabulary.join("\n");
    let mut out = Vec::with_capacity(HEADER + vocabulary.len() + parts.rows.len());
    out.extend_from_slice(&MAGIC);
    let lengths =
        [parts.dim, parts.max_tokens, parts.vocabulary.len(), about.len(), vocabulary.len()];
    let whole = parts.bits == Bits::WHOLE;
    let version = if whole { WHOLE_BYTES } else { PACKED };
    out.extend_from_slice(&version.to_le_bytes());
    for length in lengths {
        let length = u32::try_from(length).map_err(|_| FormatError::Length("header"))?;
        out.extend_from_slice(&length.to_le_bytes());
    }
    if !whole {
        out.extend_from_slice(&u32::from(parts.bits.get()).to_le_bytes());
    }
    out.extend_from_slice(&parts.root_weights);
    out.extend_from_slice(&about);
    out.extend_from_slice(vocabulary.as_bytes());
    for scale in &parts.scales {
        out.extend_from_slice(&scale.to_le_bytes());
    }
    if whole {
        out.extend_from_slice(&parts.rows);
    } else {
        bits::pack(&parts.rows, parts.bits, &mut out);
    }
    let checksum = sha256(&out);
    out.extend_from_slice(&checksum);
    Ok(out)
}

/// Reads a file. Rows of whole bytes are borrowed from it, packed ones are unpacked.
pub(super) fn decode(bytes: &[u8]) -> Result<(StaticParts, Cow<'_, [u8]>), FormatError> {
    let mut input = Reader { rest: bytes };
    if input.take(8, "magic").map_err(|_| FormatError::Magic)? != MAGIC {
        return Err(FormatError::Magic);
    }
    let version = u32::try_from(input.number("version")?).unwrap_or(u32::MAX);
    if !matches!(version, WHOLE_BYTES | PACKED) {
        return Err(FormatError::Version(version));
    }
    let dim = input.bounded(MAX_DIM, "dimensions")?;
    let max_tokens = input.bounded(MAX_TOKEN_LIMIT, "token limit")?;
    let tokens = input.bounded(MAX_VOCABULARY, "vocabulary")?;
    let about = input.bounded(MAX_ABOUT, "description")?;
    let vocabulary = input.number("vocabulary")?;
    let width = match version {
        PACKED => {
            let packed = u8::try_from(input.number("bits")?).ok().and_then(Bits::packed);
            packed.ok_or(FormatError::Length("bits"))?
        }
        _ => Bits::WHOLE,
    };
    let root_weights = input.take(32, "root weights")?;

    let packed = width.bytes(tokens * dim);
    let body = [about, vocabulary, tokens * 4, packed, CHECKSUM];
    if body.iter().sum::<usize>() != input.rest.len() {
        return Err(FormatError::Length("the lengths do not add up to the file's"));
    }
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
    if sha256(content) != checksum {
        return Err(FormatError::Checksum);
    }

    let about: StaticAbout =
        serde_json::from_slice(input.take(about, "description")?).map_err(FormatError::About)?;
    let vocabulary = std::str::from_utf8(input.take(vocabulary, "vocabulary")?)
        .map_err(|error| FormatError::Vocabulary(error.to_string()))?;
    let vocabulary: Vec<String> = vocabulary.split('\n').map(str::to_owned).collect();
    if vocabulary.len() != tokens {
        return Err(FormatError::Length("vocabulary"));
    }
    let (scales, _) = input.take(tokens * 4, "scales")?.as_chunks::<4>();
    let scales = scales.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let rows = input.take(packed, "rows")?;
    let rows = match version {
        PACKED => Cow::Owned(bits::unpack(rows, width, tokens * dim)?),
        _ => Cow::Borrowed(rows),
    };
    let root_weights = root_weights.try_into().map_err(|_| FormatError::Length("root weights"))?;
    let rows_later = Cow::Borrowed([].as_slice());
    let parts = StaticParts {
        about,
        root_weights,
        dim,
        max_tokens,
        vocabulary,
        scales,
        bits: width,
        rows: rows_later,
    };
    Ok((parts, rows))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(FormatError::Length(what))?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self, what: &'static str) -> Result<usize, FormatError> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or(FormatError::Length(what))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes) as usize)
    }

    fn bounded(&mut self, most: usize, what: &'static str) -> Result<usize, FormatError> {
        let number = self.number(what)?;
        if (1..=most).contains(&number) { Ok(number) } else { Err(FormatError::Length(what)) }
    }
}
