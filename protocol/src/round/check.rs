//! Why a participant takes no part in a round, or a node does not use a release.

use crate::checks::checks;

checks! {
    "docs/spec/round.md":
    /// Bytes that are no plan, or no manifest, of this version.
    Form = "R1" "the plan or manifest is damaged or of another version, or says something else than the log",
    /// The signature does not verify, or the group names another coordinator.
    Signature = "R2" "the plan or manifest is not signed by the coordinator that it should be, or is another one",
    /// The plan is of another group, or of members that this node does not know.
    Members = "R3" "the plan is for another group or for other members than this node knows",
    /// Sizes that do not belong together, or numbers that no plan may have.
    Shape = "R4" "the plan's sizes do not belong together, or a number is out of its range",
    /// The cohort hides too little.
    Demands = "R5" "the plan protects less against colluders than this node demands",
    /// No noise where this node wants some.
    Noise = "R6" "the plan adds no noise, and this node takes part with noise only",
    /// A round costs more privacy than this node pays for one.
    Cost = "R7" "a round costs more privacy than this node allows for one",
    /// More work or more bytes than this node gives.
    Work = "R8" "the plan asks for more training or more bytes than this node gives",
    /// An earlier round than the last one, or a second plan for one round.
    Stale = "R9" "the plan is older than one this node has seen, or a second one for its round",
    /// The time for checking in is over, or lies too far ahead.
    Time = "R10" "the plan's time is over, or too far ahead",
    /// The adapter does not fit the model, or the model is not here.
    Model = "R11" "the model that it is for is not here, or the adapter does not fit it",
    /// The values are not those that the plan or the manifest names.
    Start = "R12" "the values are not those that the plan or the manifest names",
    /// Too few members whom the coordinator can hardly have enrolled itself.
    Company = "R13" "the cohort has too few members of long standing whom the coordinator did not enrol",
    /// A release that fewer members evaluated than the group wants, or that most of them do worse with.
    Quorum = "R14" "the release was not evaluated as the group's policy demands",
    /// A plan for single documents that asks for more than one step of clipped gradients.
    Documents = "R16" "a plan that protects single documents takes one step at rate 1, from 1 to 4096 of them and as many as 25000000 numbers, with no \
                       fewest pairs, weights, measures or evaluation; and no other plan is for any",
    /// The plan protects something else than this node takes part for.
    Unit = "R17" "the plan does not protect what this node takes part for",
}

/// A plan that this node takes no part in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{check}{}", .detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default())]
pub struct Refused {
    /// What failed.
    pub check: Check,
    /// Numbers that a person can act on.
    pub detail: Option<String>,
}

impl Refused {
    pub(super) fn with(check: Check, detail: impl Into<String>) -> Self {
        Self { check, detail: Some(detail.into()) }
    }
}

impl From<Check> for Refused {
    fn from(check: Check) -> Self {
        Self { check, detail: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_lists_every_check() {
        let spec = include_str!("../../../docs/spec/round.md");
        // R15 is about what is sent, whatever the plan.
        for (n, check) in (1..).filter(|n| *n != 15).zip(Check::ALL) {
            assert_eq!(check.number(), format!("R{n}"));
            assert!(check.to_string().starts_with(&format!("R{n}: ")));
            assert!(spec.contains(&format!("**{}**", check.number())), "{}", check.number());
        }
    }
}
