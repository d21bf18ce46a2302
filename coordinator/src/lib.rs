//! The place of the coordinator: cohorts, rounds, aggregation rules, checkpoints and releases.
//!
//! It is empty until members can learn together: searching needs no coordinator, and no command
//! starts one. What it will do, and what it must never see (one peer's update in the clear), is
//! fixed in docs/ARCHITECTURE.md; docs/ROADMAP.md says when.
#![forbid(unsafe_code)]
