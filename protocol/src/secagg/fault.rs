//! Who failed which check.

use std::fmt;

use super::thresholds::Unreachable;
use crate::checks::checks;
use crate::ids::NodeId;

/// Who is to blame for a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// The coordinator: what is wrong came from it, or it passed on what it must not.
    Coordinator,
    /// One client.
    Client(NodeId),
    /// One client, or the coordinator that passed on what it sent: it cannot be told which.
    Either(NodeId),
    /// One client, or those who say so of it, who may all be colluders: it cannot be told which.
    Disputed(NodeId),
    /// Nobody in particular: clients dropped out.
    Nobody,
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("the coordinator"),
            Self::Client(client) => write!(f, "client {}", client.short()),
            Self::Either(client) => write!(f, "client {} or the coordinator", client.short()),
            Self::Disputed(client) => {
                write!(f, "client {} or those who speak against it", client.short())
            }
            Self::Nobody => f.write_str("nobody in particular"),
        }
    }
}

/// A failed check of docs/spec/secagg.md and whom it speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{check}{} ({culprit})", Because(*.reason))]
pub struct Fault {
    /// What failed.
    pub check: Check,
    /// Who is to blame.
    pub culprit: Culprit,
    /// By how much, where that is known.
    pub reason: Option<Reason>,
}

/// What a failed check was about, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// A1: a cohort of this size cannot keep the bounds.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// A28: so many are left, and so many are needed.
    #[error("{left} of the {needed} that this phase needs")]
    Left {
        /// Those who are left.
        left: u32,
        /// The fewest there may be.
        needed: u32,
    },
}

struct Because(Option<Reason>);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

impl Fault {
    /// Without numbers.
    pub(crate) const fn new(check: Check, culprit: Culprit) -> Self {
        Self { check, culprit, reason: None }
    }

    pub(super) const fn coordinator(check: Check) -> Self {
        Self::new(check, Culprit::Coordinator)
    }

    pub(super) const fn nobody(check: Check) -> Self {
        Self::new(check, Culprit::Nobody)
    }

    pub(super) const fn unreachable(reason: Unreachable) -> Self {
        let reason = Some(Reason::Unreachable(reason));
        Self { reason, ..Self::coordinator(Check::Parameters) }
    }

    pub(super) fn too_few(left: usize, needed: usize) -> Self {
        let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
        let reason = Some(Reason::Left { left: count(left), needed: count(needed) });
        Self { reason, ..Self::nobody(Check::TooFew) }
    }

    pub(super) const fn client(client: NodeId, check: Check) -> Self {
        Self::new(check, Culprit::Client(client))
    }
}

checks! {
    "docs/spec/secagg.md":
    /// A size, bound or topology that no round may have.
    Parameters = "A1" "the round's parameters are outside of what the protocol allows",
    /// A bound or size weaker than this client demands.
    Demands = "A2" "the round protects less than this client demands",
    /// A cohort of another size than the parameters allow.
    CohortSize = "A3" "the cohort is smaller or larger than the round allows",
    /// The coordinator's signature on the cohort does not verify.
    RosterSignature = "A4" "the cohort is not signed by the coordinator for these terms",
    /// The cohort is of other members or of another topology, or does not give the root.
    RosterShape = "A5" "the cohort is not one of these members, or its keys are not those that were signed",
    /// The client is not in the cohort with its own keys.
    OwnKeys = "A6" "the cohort does not hold this client with the keys it made",
    /// A client's keys are not signed by it for these terms.
    KeySignature = "A7" "a client's keys are not signed by it for these terms",
    /// Other members than this client knows, or keys of somebody else than the member on a seat.
    Eligible = "A8" "the members are not those this client knows, or a seat is not its member's",
    /// A listing is not under the signed root.
    Proof = "A9" "a client's keys are not under the root that was signed",
    /// Neighbours other than those chosen, twice the same, or too many who chose.
    Neighbours = "A10" "the neighbours are not those that were chosen, or too many chose this client",
    /// The set of dealers has another length, misses the client, or is too small.
    Dealers = "A11" "the set of those who dealt shares is malformed, misses this client or is too small",
    /// A share that was delivered is of nobody who could have dealt it, or delivered twice.
    Delivery = "A12" "a share was delivered that nobody dealt, or twice",
    /// A sealed share does not open.
    SealedShare = "A13" "a sealed share does not open or is none",
    /// A share is not what its dealer committed to.
    Commitment = "A14" "a share is not the one its dealer committed to",
    /// The set of survivors is malformed, too small, or holds somebody who dealt nothing.
    Survivors = "A15" "the set of survivors is malformed, misses this client, is too small, or holds somebody who dealt no shares",
    /// The coordinator's signature on the survivors does not verify.
    SurvivorsSignature = "A16" "the survivors are not signed by the coordinator",
    /// Another set of survivors than the one that was agreed to.
    SecondSurvivors = "A17" "a second, different set of survivors",
    /// An agreement does not verify for this set of survivors.
    AgreementSignature = "A18" "an agreement is not signed by its client for these survivors",
    /// Fewer witnesses agreed than must.
    TooFewAgreements = "A19" "too few of the witnesses agreed to these survivors",
    /// A message of somebody who is not in the phase that it belongs to.
    OutOfTurn = "A20" "a message from somebody who has no part in this phase",
    /// A second, different message of one kind.
    Repeated = "A21" "a second message where one is allowed",
    /// A choice of neighbours of the wrong number, twice the same, or of oneself.
    Choice = "A22" "the chosen neighbours are too many, too few, repeated or the client itself",
    /// Shares dealt to others than the shareholders, or not signed.
    Dealing = "A23" "shares were dealt to others than the shareholders, or are not signed",
    /// A masked vector of the wrong length.
    VectorLength = "A24" "the masked vector has another length than the round's",
    /// A masked vector that is not the one that was signed.
    VectorSignature = "A25" "the masked vector is not the one its client signed",
    /// Opened shares are not of the right kind, or of dealers that the client holds none of.
    Opening = "A26" "shares were opened that the survivors do not call for, or twice",
    /// Shares put together do not give the secret whose public half was published.
    Recovered = "A27" "a client dealt shares that do not give its secret",
    /// Too few clients are left for the round to go on.
    TooFew = "A28" "too few clients are left",
    /// Enough shareholders answered, but too few of them opened this client's share: against it where
    /// so many say nothing that not all of them collude.
    Withheld = "A29" "too few of a client's shares were opened by the shareholders that answered: it should sit out the next attempt",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_one_another() {
        for (n, check) in (1..).zip(Check::ALL) {
            assert_eq!(check.number(), format!("A{n}"));
            assert!(check.to_string().starts_with(&format!("A{n}: ")));
        }
    }

    #[test]
    fn numbers_are_said_where_they_are_known() {
        let few = Fault::too_few(5, 7).to_string();
        assert_eq!(
            few,
            "A28: too few clients are left: 5 of the 7 that this phase needs (nobody in particular)"
        );
        let bare = Fault::coordinator(Check::Demands).to_string();
        assert!(bare.ends_with("demands (the coordinator)"), "{bare}");
    }

    #[test]
    fn the_specification_lists_every_check() {
        let spec = include_str!("../../../docs/spec/secagg.md");
        for check in Check::ALL {
            assert!(spec.contains(&format!("**{}**", check.number())), "{}", check.number());
        }
    }
}
