#![no_main]

use covey_index::internals::fuzzing::source;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 3] = [
    "name,city,age\n\"Ada \"\"L\"\"\",London,36\n1,2,3\nBob,\"New\nYork\",\n",
    "x;y\n1;2\n3;4\n",
    "id\ttext\n7\tsome words\n",
];

fuzz_target!(
    init: covey_fuzz::plant("table", SEEDS),
    |bytes: &[u8]| {
        source("a.csv", bytes);
        source("a.tsv", bytes);
    }
);
