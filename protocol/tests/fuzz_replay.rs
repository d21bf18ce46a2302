//! The committed corpus of each fuzz target (tests/fuzz/corpus), once through its target.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fuzzed::TARGETS;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target)
}

/// With `UPDATE_VECTORS=1` the seeds of the formats as they are now are written first.
#[test]
fn the_corpus_replays() {
    for (name, target, seeds) in TARGETS {
        let folder = corpus(name);
        let seeds = seeds();
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            fs::create_dir_all(&folder).expect("a folder");
            for (seed, bytes) in &seeds {
                fs::write(folder.join(format!("seed-{seed}")), bytes).expect("written");
            }
        }
        let files = fs::read_dir(&folder).expect("tests/fuzz/corpus has every target");
        let mut files: Vec<PathBuf> = files.map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        for file in &files {
            println!("{}", file.display());
            target(&fs::read(file).expect("readable"));
        }
        for (seed, bytes) in seeds {
            let kept = fs::read(folder.join(format!("seed-{seed}"))).unwrap_or_default();
            assert_eq!(kept, bytes, "{name}/seed-{seed}: a change of format needs a new corpus");
        }
    }
}

/// Each seed once more, cut short and with each of its bytes changed: enough to see that the checks inside
/// the targets hold where decoding does not fail.
#[test]
fn changed_seeds_break_nothing() {
    for (name, target, seeds) in TARGETS {
        let step = if *name == "secagg_phases" { 53 } else { 7 };
        for (_, seed) in seeds() {
            for at in (0..seed.len()).step_by(step) {
                let mut changed = seed.clone();
                changed[at] ^= 1 << (at % 8);
                target(&changed);
                target(&seed[..at]);
            }
        }
    }
}
