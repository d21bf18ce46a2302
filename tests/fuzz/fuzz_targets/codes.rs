#![no_main]

use covey_index::internals::fuzzing::{Kind, open, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: covey_fuzz::plant("codes", seeds(Kind::Codes)),
    |bytes: &[u8]| {
        open(Kind::Codes, bytes);
    }
);
