//! What the fuzz targets `secagg_*` and `privacy_ledger` in `tests/fuzz/` do with their input. It lies here so that `cargo test` does the
//! same with the corpus that is committed (`fuzz_replay.rs`).
//!
//! Each target takes any bytes and panics if something that must hold does not.

mod cast;
mod ledger;
mod messages;
mod phases;
mod records;
mod seats;

/// One target: takes any bytes.
pub type Target = fn(&[u8]);

/// Inputs to start from, with their names.
pub type Seeds = Vec<(String, Vec<u8>)>;

/// A target's name, what it does, and what seeds its corpus.
pub type Named = (&'static str, Target, fn() -> Seeds);

/// Every target.
pub const TARGETS: &[Named] = &[
    ("privacy_ledger", ledger::run, ledger::seeds),
    ("secagg_messages", messages::run, messages::seeds),
    ("secagg_phases", phases::run, phases::seeds),
    ("secagg_records", records::run, records::seeds),
    ("secagg_seats", seats::run, seats::seeds),
];
