#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use covey_index::internals::fuzzing::{cache_file, cache_seed};
use libfuzzer_sys::fuzz_target;

/// Of this process alone, as fuzzers may run side by side.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("covey-fuzz-cache-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("there is a temporary folder");
    folder
});

fuzz_target!(
    init: covey_fuzz::plant("cache", [cache_seed(&FOLDER)]),
    |bytes: &[u8]| cache_file(&FOLDER, bytes)
);
