#![no_main]

use covey_index::internals::fuzzing::{Kind, open, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: covey_fuzz::plant("content", seeds(Kind::Content)),
    |bytes: &[u8]| {
        open(Kind::Content, bytes);
    }
);
