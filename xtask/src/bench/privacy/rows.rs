//! What the report's JSON holds.

use serde::Serialize;

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Row {
    Accounting(Accounting),
    Noise(Noise),
}

/// Epsilon of some rounds of the Gaussian mechanism.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accounting {
    /// Poisson sampling rate; 1 is everybody.
    pub sampling: f64,
    pub noise: f64,
    pub rounds: u32,
    pub delta: f64,
    pub rdp: f64,
    pub pld: f64,
    /// CPU milliseconds of the latter.
    pub pld_ms: f64,
    /// Where everybody takes part.
    pub exact: Option<f64>,
    /// By `dp-accounting`.
    pub their_rdp: Option<f64>,
    pub their_pld: Option<f64>,
}

/// What exact discrete Gaussian noise takes, on one thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Noise {
    pub sigma: f64,
    pub entries: u64,
    /// CPU seconds, the sampler's tables included.
    pub cpu_s: f64,
    /// By OpenDP's sampler.
    pub opendp_cpu_s: Option<f64>,
}
