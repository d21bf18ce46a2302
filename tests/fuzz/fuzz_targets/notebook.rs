#![no_main]

use covey_index::internals::fuzzing::source;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 2] = [
    r##"{"cells": [{"cell_type": "markdown", "source": ["# Setup\n", "Read."]}, {"cell_type": "code", "source": "x\n",
    "outputs": [{"text": "no"}]}], "metadata": {"language_info": {"name": "Python"}, "authors": [{"name": "Ada"}]}}"##,
    r#"{"worksheets": [{"cells": [{"cell_type": "raw", "source": ""}]}], "cells": 5, "metadata": {"title": "\u00e9"}}"#,
];

fuzz_target!(
    init: covey_fuzz::plant("notebook", SEEDS),
    |bytes: &[u8]| {
        source("a.ipynb", bytes);
    }
);
