//! Which index a command is about.

use std::path::PathBuf;
use std::str::FromStr;

use covey_protocol::ids::{Name, ParseIdError};

/// A collection of this home, or an index in a directory of its own. A path has a `/` or starts with a
/// dot, which no name of a collection may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Collection(Name),
    Directory(PathBuf),
}

impl FromStr for Place {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text.contains('/') || text.starts_with('.') {
            return Ok(Self::Directory(text.into()));
        }
        text.parse().map(Self::Collection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_a_name() {
        for path in ["./notes", "notes/", "/srv/index", ".", "..", ".index", "~/x"] {
            assert_eq!(path.parse(), Ok(Place::Directory(path.into())), "{path}");
        }
        for name in ["notes", "notes.index", "my notes"] {
            assert_eq!(name.parse(), Ok(Place::Collection(name.parse().expect("a name"))));
        }
        assert!("-x".parse::<Place>().is_err() && "".parse::<Place>().is_err());
    }
}
