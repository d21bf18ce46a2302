//! Names a model by what it is made of.
//!
//! A [`ModelId`] has two parts, each a SHA-256 over length-prefixed fields:
//!
//! - `base` over the architecture (family, dimensions, layers, pooling), the tokenizer,
//!   and the *root weights*: the weights that a lineage started from. For a pulled
//!   model these are its own; for a distilled one its teacher's; a model fine-tuned
//!   from another keeps that one's root. Models with one base share a lineage and may
//!   replace each other in service.
//! - `release` over the base, the exact weights and the settings that change a vector
//!   (the token limit). For an untrained model both parts derive from the same bytes.
//!
//! Vectors are comparable only when both parts are equal.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Hash of a model's weights, tokenizer and settings, in two parts.
///
/// Displays as `hex8(base)-hex8(release)`, the first four bytes of each; see
/// [`full_hex`](Self::full_hex) for all of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId {
    /// Lineage: architecture, tokenizer and root weights.
    pub base: [u8; 32],
    /// The exact parameters and settings.
    pub release: [u8; 32],
}

impl ModelId {
    /// All 64 hex digits of the base.
    #[must_use]
    pub fn base_hex(&self) -> String {
        HEXLOWER.encode(&self.base)
    }

    /// All 64 hex digits of the release.
    #[must_use]
    pub fn release_hex(&self) -> String {
        HEXLOWER.encode(&self.release)
    }

    /// Both parts in full, joined by a hyphen; [`FromStr`] reads it back.
    #[must_use]
    pub fn full_hex(&self) -> String {
        format!("{}-{}", self.base_hex(), self.release_hex())
    }

    pub(crate) fn of(parts: &IdParts<'_>) -> Self {
        let base = hash(
            "covey model base v1",
            &[parts.architecture.as_bytes(), &parts.tokenizer, &parts.root_weights],
        );
        let settings = format!("max_tokens={}", parts.max_tokens);
        let release = hash("covey model release v1", &[&base, &parts.weights, settings.as_bytes()]);
        Self { base, release }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, release) = (&self.base[..4], &self.release[..4]);
        write!(f, "{}-{}", HEXLOWER.encode(base), HEXLOWER.encode(release))
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelId({self})")
    }
}

/// The text is not two hashes of 64 hex digits joined by a hyphen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a full model id is two groups of 64 lower-case hex digits joined by a hyphen")]
pub struct ParseModelIdError;

impl FromStr for ModelId {
    type Err = ParseModelIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (base, release) = text.split_once('-').ok_or(ParseModelIdError)?;
        let base = parse_hash(base).ok_or(ParseModelIdError)?;
        let release = parse_hash(release).ok_or(ParseModelIdError)?;
        Ok(Self { base, release })
    }
}

/// What an id is computed from.
pub(crate) struct IdParts<'a> {
    pub(crate) architecture: &'a str,
    pub(crate) tokenizer: [u8; 32],
    pub(crate) root_weights: [u8; 32],
    pub(crate) weights: [u8; 32],
    pub(crate) max_tokens: usize,
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Reads 64 lower-case hex digits.
pub(crate) fn parse_hash(text: &str) -> Option<[u8; 32]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn hash(domain: &str, fields: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for field in std::iter::once(domain.as_bytes()).chain(fields.iter().copied()) {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> IdParts<'static> {
        IdParts {
            architecture: "static dim=2",
            tokenizer: [1; 32],
            root_weights: [2; 32],
            weights: [3; 32],
            max_tokens: 8,
        }
    }

    #[test]
    fn text_forms_round_trip() {
        let id = ModelId::of(&parts());
        assert_eq!(id.full_hex().parse(), Ok(id));
        assert_eq!(id.to_string(), format!("{}-{}", &id.base_hex()[..8], &id.release_hex()[..8]));
        for bad in ["", "-", "00-00", &id.to_string(), &id.full_hex().to_uppercase()] {
            assert_eq!(bad.parse::<ModelId>(), Err(ParseModelIdError), "{bad}");
        }
    }

    #[test]
    fn lineage_fields_move_the_base_and_the_rest_only_the_release() {
        let id = ModelId::of(&parts());
        let same_base =
            [IdParts { weights: [9; 32], ..parts() }, IdParts { max_tokens: 9, ..parts() }];
        for other in same_base.map(|parts| ModelId::of(&parts)) {
            assert_eq!(other.base, id.base);
            assert_ne!(other.release, id.release);
        }
        let other_base = [
            IdParts { architecture: "static dim=3", ..parts() },
            IdParts { tokenizer: [9; 32], ..parts() },
            IdParts { root_weights: [9; 32], ..parts() },
        ];
        for other in other_base.map(|parts| ModelId::of(&parts)) {
            assert_ne!(other.base, id.base);
            assert_ne!(other.release, id.release);
        }
    }
}
