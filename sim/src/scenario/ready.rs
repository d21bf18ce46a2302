//! Scenarios that come with the program.

use serde::Deserialize;

use super::names;

/// A scenario that comes with the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its name.
    pub name: &'static str,
    /// What it is there to show.
    pub about: String,
    /// Its file, for [`Scenario::parse`](super::Scenario::parse).
    pub text: &'static str,
}

const ALL: [(&str, &str); 11] = [
    ("quick", include_str!("../../scenarios/quick.toml")),
    ("private", include_str!("../../scenarios/private.toml")),
    ("dropouts", include_str!("../../scenarios/dropouts.toml")),
    ("stragglers", include_str!("../../scenarios/stragglers.toml")),
    ("poisoning", include_str!("../../scenarios/poisoning.toml")),
    ("betrayal", include_str!("../../scenarios/betrayal.toml")),
    ("skew", include_str!("../../scenarios/skew.toml")),
    ("many", include_str!("../../scenarios/many.toml")),
    ("search", include_str!("../../scenarios/search.toml")),
    ("town", include_str!("../../scenarios/town.toml")),
    ("embedder", include_str!("../../scenarios/embedder.toml")),
];

/// All of them.
pub fn list() -> Vec<Ready> {
    ALL.iter().map(|(name, text)| ready(name, text)).collect()
}

/// The one of that name.
pub fn by_name(name: &str) -> Option<Ready> {
    ALL.iter().find(|(known, _)| *known == name).map(|(name, text)| ready(name, text))
}

/// The name of one that was most likely meant by another, if any is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    names::nearest(name, ALL.iter().map(|(known, _)| *known))
}

fn ready(name: &'static str, text: &'static str) -> Ready {
    #[derive(Deserialize)]
    struct Head {
        about: String,
    }
    let head: Head = toml::from_str(text).expect("what comes with the program says what it is");
    Ready { name, about: head.about, text }
}
