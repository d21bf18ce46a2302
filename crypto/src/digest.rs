//! SHA-256 digests with domain separation and framed parts.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest. Shown and serialised for people as 64 lowercase hex digits, in binary as 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Thirty-two zero bytes: the parent of a chain's first entry.
    pub const ZERO: Self = Self([0; 32]);

    /// Wraps a digest computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Hashes `parts` under `domain`. Domain and parts are each preceded by their length, so
    /// moving a byte from one part to the next changes the digest.
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Starts a digest of one long part, handed over in pieces, under `domain`.
    pub fn stream(domain: &str) -> DigestStream {
        let mut hash = Sha256::new();
        hash.update((domain.len() as u64).to_le_bytes());
        hash.update(domain.as_bytes());
        DigestStream { hash, length: 0 }
    }

    /// Plain SHA-256 of `bytes`, as `sha256sum` prints it.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first eight hex digits, for people.
    pub fn short(&self) -> String {
        HEXLOWER.encode(&self.0[..4])
    }
}

/// A digest in the making ([`Digest::stream`]). How the part was cut into pieces makes no difference.
#[derive(Clone)]
pub struct DigestStream {
    hash: Sha256,
    length: u64,
}

impl DigestStream {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.length += piece.len() as u64;
    }

    /// The digest of domain, part and the part's length (which comes last, unlike in
    /// [`Digest::of`], as it is not known before).
    pub fn finish(mut self) -> Digest {
        self.hash.update(self.length.to_le_bytes());
        Digest(self.hash.finalize().into())
    }
}

impl fmt::Debug for DigestStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestStream({} bytes)", self.length)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

/// A text that is not 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected 64 hex digits")]
pub struct ParseDigestError;

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| ParseDigestError)?;
        bytes.try_into().map(Self).map_err(|_| ParseDigestError)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_separates_parts_and_domains() {
        let joined = Digest::of("d", &[b"ab", b"c"]);
        assert_ne!(joined, Digest::of("d", &[b"a", b"bc"]));
        assert_ne!(joined, Digest::of("e", &[b"ab", b"c"]));
        assert_eq!(joined, Digest::of("d", &[b"ab", b"c"]));
    }

    #[test]
    fn a_stream_counts_its_bytes_and_not_its_pieces() {
        let of = |domain, pieces: &[&[u8]]| {
            let mut stream = Digest::stream(domain);
            pieces.iter().for_each(|piece| stream.update(piece));
            stream.finish()
        };
        let whole = of("d", &[b"abc"]);
        assert_eq!(whole, of("d", &[b"a", b"", b"bc"]));
        assert_ne!(whole, of("e", &[b"abc"]));
        assert_ne!(whole, of("da", &[b"bc"]));
        assert_ne!(whole, of("d", &[b"ab"]));
    }

    #[test]
    fn plain_sha256_agrees_with_the_published_vector() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::sha256(b"abc").to_string(), expected);
        assert_eq!(expected.parse(), Ok(Digest::sha256(b"abc")));
        assert_eq!("ba78".parse::<Digest>(), Err(ParseDigestError));
    }
}
