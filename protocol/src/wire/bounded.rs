//! Decoders for lists and texts with a named bound, for `#[serde(deserialize_with = ..)]`.
//!
//! A longer list is an error before its elements are read, so no peer chooses how much we allocate.

use std::fmt;
use std::marker::PhantomData;

use serde::Serializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::limits::{MAX_ADDRESS, MAX_ADDRESSES};

/// A list of at most `MAX` elements.
///
/// # Errors
/// The deserializer's, or too many elements.
pub fn list<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(ListVisitor::<MAX, T>(PhantomData))
}

/// At most `MAX` bytes, which take part in a message as a list of them would, and are read at once.
///
/// # Errors
/// The deserializer's, or too many bytes.
pub fn bytes<'de, const MAX: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_bytes(BytesVisitor::<MAX>)
}

/// Writes bytes at once.
///
/// # Errors
/// The serializer's.
pub fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// A node's addresses: at most [`MAX_ADDRESSES`], each of at most [`MAX_ADDRESS`] bytes.
///
/// # Errors
/// The deserializer's, or too many or too long addresses.
pub fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let addresses = list::<MAX_ADDRESSES, String, D>(deserializer)?;
    if addresses.iter().any(|address| address.len() > MAX_ADDRESS) {
        return Err(D::Error::custom("an address is too long"));
    }
    Ok(addresses)
}

struct BytesVisitor<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for BytesVisitor<MAX> {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        if bytes.len() > MAX {
            return Err(E::invalid_length(bytes.len(), &self));
        }
        Ok(bytes.to_vec())
    }
}

struct ListVisitor<const MAX: usize, T>(PhantomData<T>);

impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for ListVisitor<MAX, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        if let Some(length) = seq.size_hint()
            && length > MAX
        {
            return Err(A::Error::invalid_length(length, &self));
        }
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            list.push(element);
        }
        Ok(list)
    }
}
