#![no_main]

use covey_index::internals::fuzzing::source;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 3] = [
    "<!doctype html><html lang=en><title>T</title><meta name=author content=Ada><p>one<h2>Two</h2>three",
    "<nav>menu</nav><h1>A &amp; B</h1><pre>  x\n\ty</pre><ul><li>1<li>2</ul><script>if (a < b) c()</script>",
    "<table><tr><td>a<td>b</table><!-- c --><select><option>no</select><svg><title>s</title></svg><br>d&#x20AC;",
];

fuzz_target!(
    init: covey_fuzz::plant("html", SEEDS),
    |bytes: &[u8]| {
        source("a.html", bytes);
    }
);
