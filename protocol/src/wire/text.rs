//! A bounded text that logs do not show.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// A person's text (a question, a title, a passage) of at most `MAX` bytes. `Debug` shows only its
/// length, so that no log line can hold it by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct PrivateText<const MAX: usize>(String);

/// A text of more bytes than its place allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text has {length} bytes; at most {limit} are allowed")]
pub struct TooLong {
    /// Bytes of the text.
    pub length: usize,
    /// Bytes allowed.
    pub limit: usize,
}

impl<const MAX: usize> PrivateText<MAX> {
    /// Takes a text that fits.
    ///
    /// # Errors
    /// [`TooLong`] if it does not.
    pub fn new(text: impl Into<String>) -> Result<Self, TooLong> {
        let text = text.into();
        if text.len() > MAX {
            return Err(TooLong { length: text.len(), limit: MAX });
        }
        Ok(Self(text))
    }

    /// Takes as much of `text` as fits, cut between characters.
    pub fn clipped(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(MAX)].to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX: usize> fmt::Debug for PrivateText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateText({} bytes)", self.0.len())
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for PrivateText<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_between_characters_and_hides_itself() {
        assert_eq!(PrivateText::<4>::clipped("aäö").as_str(), "aä");
        assert_eq!(PrivateText::<4>::clipped("ab").as_str(), "ab");
        assert_eq!(PrivateText::<2>::new("abc"), Err(TooLong { length: 3, limit: 2 }));
        let debug = format!("{:?}", PrivateText::<9>::clipped("secret"));
        assert_eq!(debug, "PrivateText(6 bytes)");
    }
}
