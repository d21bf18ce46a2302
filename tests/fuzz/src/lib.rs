//! What the fuzz targets share.
#![forbid(unsafe_code)]

/// What is done with the input of the targets of `protocol` and `privacy`: their tests replay the corpus.
#[path = "../../../protocol/tests/fuzzed/mod.rs"]
mod fuzzed;

use std::fs;
use std::panic::{set_hook, take_hook};
use std::path::Path;

/// Runs the target of `protocol` or `privacy` of this name.
///
/// # Panics
/// If there is none, or if what must hold does not.
pub fn run(name: &str, data: &[u8]) {
    let (_, target, _) =
        fuzzed::TARGETS.iter().find(|(known, ..)| *known == name).expect("a target");
    target(data);
}

/// Puts these in the corpus of a target, from where its fuzzer reads them once it is initialized.
pub fn plant<T: AsRef<[u8]>>(target: &str, seeds: impl IntoIterator<Item = T>) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&corpus).expect("the corpus can be made");
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number}")), seed)
            .expect("the corpus can be written to");
    }
}

/// Lets panics of this dependency pass, as who calls it catches them; one that is not caught still ends the run.
pub fn let_pass(dependency: &'static str) {
    let end = take_hook();
    set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains(dependency)) {
            end(panic);
        }
    }));
}
