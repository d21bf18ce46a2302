//! What the fuzz targets do: shared with protocol's tests, which replay the corpus.
#![forbid(unsafe_code)]

#[path = "../../protocol/tests/fuzzed/mod.rs"]
mod fuzzed;

/// Runs the target of this name.
///
/// # Panics
/// If there is none, or if what must hold does not.
pub fn run(name: &str, data: &[u8]) {
    let (_, target, _) =
        fuzzed::TARGETS.iter().find(|(known, ..)| *known == name).expect("a target");
    target(data);
}
