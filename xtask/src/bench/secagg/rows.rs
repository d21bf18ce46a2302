//! What the report's JSON holds.

use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Row {
    /// Beside Flower, on the same cohort and vector.
    Beside(Round),
    /// How it grows with the cohort or the vector.
    Growth(Round),
    Primitive(Primitive),
}

/// One whole round.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Round {
    /// `covey` or `flower`.
    pub engine: String,
    pub version: String,
    /// `complete` or `sparse`.
    pub topology: String,
    pub clients: u32,
    pub entries: u32,
    /// Neighbours of a client, the mean.
    pub neighbours: f64,
    /// Shares that recover a secret.
    pub threshold: Option<u32>,
    /// Clients in a hundred that shared their secrets and then vanished.
    pub dropout_percent: u32,
    /// CPU milliseconds of one client, all phases: the mean.
    pub client_ms: f64,
    /// CPU seconds of the server, from the shares' arrival to the unmasked sum.
    pub unmask_s: f64,
    /// CPU seconds of the server, all phases.
    pub server_s: f64,
    /// Bytes that a client sends, and receives: the mean.
    pub up_bytes: f64,
    pub down_bytes: Option<f64>,
}

/// What one operation takes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Primitive {
    pub name: String,
    /// CPU microseconds.
    pub us: f64,
    /// Bytes that it makes in a second, in thousand millions, where that says more.
    pub giga_bytes: Option<f64>,
}
