#![no_main]

use covey_index::internals::fuzzing::source;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 2] = [
    "{\"_id\":\"7\",\"title\":\"T\\u00e9\",\"text\":\"one\\ntwo\",\"year\":2024,\"tags\":[\"x\"],\"deep\":{\"no\":1}}\n\nnot json\n",
    "{\"q\":\"why\",\"n\":[1,{\"a\":\"deep\"}]}\n{\"id\":5}\n[\"a\",\"b\"]\n{\"subject\":null,\"date\":\"2024-05-01\",\"x\":-1e9}",
];

fuzz_target!(
    init: covey_fuzz::plant("records", SEEDS),
    |bytes: &[u8]| {
        source("a.jsonl", bytes);
    }
);
