#![no_main]

use covey_index::internals::fuzzing::{Kind, open, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: covey_fuzz::plant("codec", seeds(Kind::Codec)),
    |bytes: &[u8]| {
        open(Kind::Codec, bytes);
    }
);
