#![no_main]

use covey_index::internals::fuzzing::filter;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 3] = [
    "tag == bees and not (size > 1k or path contains \"x y\")",
    "time < now-3d and modified >= 2026-01-31",
    "type in (markdown, pdf) or path matches \"^n.*Ü\"",
];

fuzz_target!(init: covey_fuzz::plant("filter", SEEDS), |text: &str| filter(text));
