//! The encoding that everything on the wire and in a signed body uses (docs/spec/wire.md).
//!
//! [`encode`] is postcard: fixed field order, so equal values give equal bytes. [`decode`] looks at
//! the length first, then decodes, then refuses trailing bytes; lists and texts inside are bounded
//! by their types. The message types of a protocol version are in [`v1`].

use serde::Serialize;
use serde::de::DeserializeOwned;

pub mod bounded;
mod text;
pub mod v1;

pub use text::{PrivateText, TooLong};

/// Bytes that are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// W1: the frame is longer than its protocol allows.
    #[error("the message has {length} bytes where at most {limit} are allowed")]
    TooLong {
        /// Bytes received.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// W2: the bytes are cut short, hold an unknown tag or a value outside its bounds.
    #[error("the message is damaged or from an incompatible version")]
    Malformed,
    /// W3: something follows the message.
    #[error("{extra} stray bytes follow the message")]
    Trailing {
        /// How many bytes follow.
        extra: usize,
    },
}

/// Encodes a message. Equal values give equal bytes.
///
/// # Panics
/// Never for the types of this crate: postcard fails only on sequences of unknown length.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("every sequence in a wire type knows its length")
}

/// Decodes a message of at most `max` bytes.
///
/// # Errors
/// [`WireError`] if the bytes are too many, damaged, or followed by others.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, WireError> {
    if bytes.len() > max {
        return Err(WireError::TooLong { length: bytes.len(), limit: max });
    }
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| WireError::Malformed)?;
    if rest.is_empty() { Ok(value) } else { Err(WireError::Trailing { extra: rest.len() }) }
}

/// As [`decode`], for bytes that are signed or hashed: they must be the ones that the message encodes to.
///
/// # Errors
/// As [`decode`]; [`WireError::Malformed`] for another encoding of the same message.
pub fn decode_canonical<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    max: usize,
) -> Result<T, WireError> {
    let value: T = decode(bytes, max)?;
    if encode(&value) == bytes { Ok(value) } else { Err(WireError::Malformed) }
}
