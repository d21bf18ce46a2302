#![no_main]

use covey_index::internals::fuzzing::source;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 3] = [
    "From a Mon\nSubject: one\n\n1\n\nFrom b Tue\nSubject: =?utf-8?q?t=C3=BC?=\nDate: 1 May 2024 10:00:00 +0000\n\n>From 2\n",
    "From a Mon\nFrom: Ada <ada@example.org>\nContent-Type: multipart/alternative; boundary=x\n\n--x\n\
     Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPHA+aGk8L3A+\n--x\n\nplain\n--x--\n",
    "From a Mon\nContent-Type: multipart/mixed; boundary=y\n\n--y\nContent-Type: message/rfc822\n\nSubject: in\n\nbody\n\
     --y\nContent-Disposition: attachment; filename=\"a.pdf\"\n\nz\n--y--\n",
];

fuzz_target!(
    init: {
        covey_fuzz::let_pass("mail-parser");
        covey_fuzz::plant("mbox", SEEDS);
    },
    |bytes: &[u8]| {
        source("a.mbox", bytes);
    }
);
