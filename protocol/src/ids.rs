//! Identifiers as newtypes, checked when made and when decoded.

use std::fmt;
use std::str::FromStr;

use covey_crypto::{Digest, PublicKey};
use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::MAX_NAME;

/// A text that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: {why}")]
pub struct ParseIdError {
    /// Which identifier was expected.
    pub what: &'static str,
    /// What is wrong with the text.
    pub why: &'static str,
}

/// Lowercase RFC 4648 base32 without padding: how ids and invites are written for people.
/// Decoding also takes uppercase.
pub fn base32() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.translate.from.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    specification.translate.to.push_str("abcdefghijklmnopqrstuvwxyz");
    specification.encoding().expect("a constant, valid specification")
}

/// A node: its Ed25519 public key. Written as 52 base32 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(PublicKey);

impl NodeId {
    /// The node that holds the secret half of `key`.
    pub const fn new(key: PublicKey) -> Self {
        Self(key)
    }

    /// The key that this node signs with.
    pub const fn key(&self) -> &PublicKey {
        &self.0
    }

    /// The 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The first ten characters, for people. Not an identifier.
    pub fn short(&self) -> String {
        self.to_string().chars().take(10).collect()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32().encode(self.as_bytes()))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.short())
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |why| ParseIdError { what: "node id", why };
        let bytes =
            base32().decode(text.as_bytes()).map_err(|_| error("expected 52 base32 characters"))?;
        let bytes = bytes.try_into().map_err(|_| error("expected 52 base32 characters"))?;
        PublicKey::from_bytes(bytes).map(Self).map_err(|_| error("no valid Ed25519 key"))
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            PublicKey::deserialize(deserializer).map(Self)
        }
    }
}

/// A group: the digest of its log's first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub Digest);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often a group's membership or roles have changed; each log entry is one epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An embedder: its base (what makes vectors comparable at all) and its release (exact parameters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelId {
    /// Hash of architecture, tokenizer and base weights.
    pub base: Digest,
    /// Hash of the exact weights and settings in use.
    pub release: Digest,
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.base.short(), self.release.short())
    }
}

/// Names one request; its reply repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// A time as milliseconds since 1970-01-01 UTC, as somebody's clock showed it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This time plus `ms` milliseconds, at most the latest time there is.
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A name a person chose for a group, member or collection: 1 to 64 bytes, no control, directional
/// or invisible characters, no path separators, no leading dot or dash, no blank at either end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |why| Err(ParseIdError { what: "name", why });
        match text {
            "" => error("it is empty"),
            _ if text.len() > MAX_NAME => error("it is longer than 64 bytes"),
            _ if text.trim() != text => error("it starts or ends with a blank"),
            _ if text.starts_with(['.', '-']) => error("it starts with a dot or a dash"),
            _ if text.contains(is_forbidden) => {
                error("it holds a control or formatting character, or a path separator")
            }
            _ => Ok(Self(text.to_owned())),
        }
    }
}

/// Characters that could break a line, walk a path, reorder a name or hide in it.
fn is_forbidden(c: char) -> bool {
    c.is_control() || reorders(c) || hides(c) || matches!(c, '/' | '\\' | '\u{2028}' | '\u{2029}')
}

/// Bidirectional marks, embeddings, overrides and isolates (UAX #9).
pub(crate) fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters of no width. A fixed list: whether a log is valid must not depend on a version of Unicode.
fn hides(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;

    use super::*;

    #[test]
    fn names() {
        let long = "n".repeat(65);
        let cases = [
            ("lab", true),
            ("Überblick 2", true),
            ("", false),
            (" lab", false),
            (".lab", false),
            ("--help", false),
            ("a/b", false),
            ("a\nb", false),
            ("a\u{202e}b", false),
            ("a\u{61c}b", false),
            ("a\u{ad}b", false),
            ("a\u{2060}b", false),
            ("a\u{e0041}b", false),
            (&long, false),
        ];
        for (text, valid) in cases {
            assert_eq!(text.parse::<Name>().is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn node_ids_round_trip_and_bad_ones_are_refused() {
        let id = NodeId::new(SecretKey::from_seed(&[9; 32]).public());
        let text = id.to_string();
        assert_eq!(text.len(), 52);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        assert!(text[1..].parse::<NodeId>().is_err());
        assert!("a".repeat(52).parse::<NodeId>().is_err(), "the zero point is no key");
        let encoded = postcard::to_stdvec(&id).expect("encodes");
        assert_eq!(encoded, id.as_bytes());
        assert_eq!(postcard::from_bytes(&encoded), Ok(id));
    }
}
