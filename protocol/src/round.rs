//! Learning together: one round, from a signed plan to a sum of updates (docs/spec/round.md).
//!
//! A coordinator publishes a [`Plan`] that it signed. Who wants to take part checks it against its own
//! [`Limits`], trains for as long as it needs, and checks in; from then on both sides follow a secure
//! sum ([`crate::secagg`]), which is short. Participants ask and the coordinator answers, so nobody has to
//! be reachable but the coordinator, and a message that was lost is sent again.
//!
//! [`Attempt`] is the coordinator's machine and [`Participant`] a participant's. Both are handed the time
//! and their keys, and neither reads a file or a socket: what they want kept comes back as an effect. The
//! coordinator's is told everything it needs to be rebuilt, so a journal of what it was told is its state on disk.

mod attempt;
mod check;
mod company;
mod documents;
mod limits;
mod manifest;
mod participant;
mod plan;
mod record;
mod values;

pub use attempt::{Answer, Attempt, Effect, Ended, Phase};
pub use check::{Check, Refused};
pub use company::{Company, Strangers};
pub use limits::{Known, Limits, STEP_TOKENS};
pub use manifest::{Evaluation, MANIFEST_VERSION, Manifest, SignedManifest};
pub use participant::{Broken, Next, Participant, Standstill};
pub use plan::{
    Checked, Contribution, Learning, Measure, PLAN_VERSION, Plan, Rule, SignedPlan, Task, Timing,
    Weighting,
};
pub use record::Record;
pub use values::{Start, values_from_bytes, values_to_bytes};
