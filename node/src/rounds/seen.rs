//! Which plans were followed: keys are never made twice for the same terms, and nothing is given twice that noise does not hide.

use covey_crypto::Digest;
use covey_protocol::ids::{NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::api::{ApiError, ErrorCode};

/// Coordinators of one group whose plans are followed, one after another. Nothing of one is ever forgotten, so there is an end.
const MOST_COORDINATORS: usize = 256;
/// Candidates that are remembered.
const MOST_EVALUATED: usize = 64;
/// Attempts of one group that are paid for in a day: sixteen at each of four rounds an hour. With more, each of next to no cost, a coordinator
/// could fill the ledger, which has an end.
const MOST_PAID_A_DAY: u32 = 16 * 96;
const DAY_MS: u64 = 24 * 3_600_000;

/// What is remembered of one group's rounds, whatever the person decides and whoever coordinates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The last plan of every coordinator there was.
    plans: Vec<Followed>,
    /// The last candidates that were evaluated without noise, by their values.
    evaluated: Vec<Digest>,
    /// Rounds that this node was summed in.
    pub rounds: u64,
    /// The last day that attempts were paid for on, by this node's clock, and how many.
    #[serde(default)]
    paid: (u64, u32),
}

/// The last plan of one coordinator that was let pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Followed {
    coordinator: NodeId,
    round: u64,
    digest: Digest,
    /// The first attempt at it that keys were not made for yet: never are they made for the same terms twice.
    pub(super) attempt: u32,
    /// Whether an update was masked for it without noise. A second sum of it, over others, could give it away by difference.
    pub(super) given: bool,
    /// The terms of the attempt that an update was last masked for, and until when that is gone on with.
    pub(super) masked: Option<(Digest, UnixMillis)>,
}

impl Seen {
    /// What is known of this coordinator's last plan; another one's rounds have numbers of their own.
    pub(super) fn of(&self, coordinator: NodeId) -> Option<&Followed> {
        self.plans.iter().find(|it| it.coordinator == coordinator)
    }

    /// The round and digest of this coordinator's last plan.
    pub(super) fn plan_of(&self, coordinator: NodeId) -> Option<(u64, Digest)> {
        self.of(coordinator).map(|it| (it.round, it.digest))
    }

    /// Notes that a plan was let pass, and gives what is known of its attempts.
    ///
    /// # Errors
    /// If there were too many coordinators to remember another one.
    pub(super) fn begin(
        &mut self,
        coordinator: NodeId,
        round: u64,
        digest: Digest,
    ) -> Result<&mut Followed, ApiError> {
        let new = Followed { coordinator, round, digest, attempt: 0, given: false, masked: None };
        let place = match self.plans.iter().position(|it| it.coordinator == coordinator) {
            Some(place) => place,
            None if self.plans.len() == MOST_COORDINATORS => {
                let message = format!(
                    "the group has had {MOST_COORDINATORS} coordinators, and this node follows no further ones"
                );
                return Err(ApiError::new(ErrorCode::Forbidden, message)
                    .hint("found a new group with the members you trust"));
            }
            None => {
                self.plans.push(new.clone());
                self.plans.len() - 1
            }
        };
        let followed = &mut self.plans[place];
        if (followed.round, followed.digest) != (round, digest) {
            *followed = new;
        }
        Ok(followed)
    }

    /// Whether another attempt may be paid for today.
    ///
    /// # Errors
    /// If there were [`MOST_PAID_A_DAY`].
    pub(super) fn may_pay(&self, now: UnixMillis) -> Result<(), ApiError> {
        if self.paid != (now.0 / DAY_MS, MOST_PAID_A_DAY) {
            return Ok(());
        }
        let message = format!(
            "this node has paid for {MOST_PAID_A_DAY} attempts at this group's rounds today, and pays for no more of them in a day, as they fill its \
             privacy ledger"
        );
        Err(ApiError::new(ErrorCode::Forbidden, message).hint(
            "it goes on tomorrow (UTC) by itself; ask whoever coordinates why there are so many, or opt out: `covey train opt-out`",
        ))
    }

    /// Notes that an attempt is paid for.
    ///
    /// # Errors
    /// As [`Seen::may_pay`].
    pub(super) fn pay(&mut self, now: UnixMillis) -> Result<(), ApiError> {
        self.may_pay(now)?;
        let today = now.0 / DAY_MS;
        // A clock that was set ahead and back again is no reason to wait.
        self.paid = match self.paid {
            (day, count) if day == today => (day, count + 1),
            _ => (today, 1),
        };
        Ok(())
    }

    /// Whether these values were evaluated without noise.
    pub(super) fn has_evaluated(&self, values: &Digest) -> bool {
        self.evaluated.contains(values)
    }

    /// Notes that they are.
    pub(super) fn evaluate(&mut self, values: Digest) {
        self.evaluated.retain(|it| *it != values);
        self.evaluated.insert(0, values);
        self.evaluated.truncate(MOST_EVALUATED);
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;

    use super::*;

    fn node(seed: u8) -> NodeId {
        NodeId::new(SecretKey::from_seed(&[seed; 32]).public())
    }

    #[test]
    fn nothing_of_a_plan_is_forgotten_while_others_coordinate() {
        let (mut seen, digest) = (Seen::default(), Digest::sha256);
        let followed = seen.begin(node(1), 3, digest(b"a")).expect("the first");
        (followed.attempt, followed.given) = (2, true);
        seen.begin(node(2), 1, digest(b"b")).expect("another").attempt = 1;
        let again = seen.begin(node(1), 3, digest(b"a")).expect("the first again");
        assert_eq!((again.attempt, again.given), (2, true));
        assert_eq!(seen.plan_of(node(2)), Some((1, digest(b"b"))));
        // The next plan has attempts of its own.
        let next = seen.begin(node(1), 4, digest(b"c")).expect("the next");
        assert_eq!((next.attempt, next.given), (0, false));
        assert_eq!(seen.plan_of(node(3)), None);
    }

    #[test]
    fn so_many_coordinators_are_followed_and_no_more() {
        let mut seen = Seen::default();
        let key = |n: usize| {
            let seed = Digest::sha256(&n.to_le_bytes());
            NodeId::new(SecretKey::from_seed(seed.as_bytes()).public())
        };
        for n in 0..MOST_COORDINATORS {
            seen.begin(key(n), 1, Digest::ZERO).expect("there is room");
        }
        assert!(seen.begin(key(MOST_COORDINATORS), 1, Digest::ZERO).is_err());
        assert!(seen.begin(key(7), 2, Digest::ZERO).is_ok(), "those that are known go on");
    }

    #[test]
    fn so_many_attempts_are_paid_for_in_a_day() {
        let mut seen = Seen::default();
        let day = |n: u64| UnixMillis(n * DAY_MS);
        for n in 0..u64::from(MOST_PAID_A_DAY) {
            seen.pay(day(7).plus(n * 1_000)).expect("there is room");
        }
        let bytes = serde_json::to_vec(&seen).expect("JSON");
        let mut seen: Seen = serde_json::from_slice(&bytes).expect("as it was");
        let error = seen.pay(UnixMillis(day(8).0 - 1)).expect_err("enough");
        assert!(error.hint.is_some_and(|hint| hint.contains("tomorrow")));
        assert_eq!(seen.may_pay(day(8)), Ok(()));
        seen.pay(day(8)).expect("another day");
        assert_eq!(seen.paid, (8, 1));
        // What an earlier version wrote is read.
        let old = br#"{"plans":[],"evaluated":[],"rounds":3}"#;
        assert_eq!(serde_json::from_slice::<Seen>(old).expect("reads").paid, (0, 0));
    }

    #[test]
    fn candidates_are_remembered() {
        let mut seen = Seen::default();
        let digest = |n: usize| Digest::sha256(&n.to_le_bytes());
        for n in 0..=MOST_EVALUATED {
            seen.evaluate(digest(n));
        }
        assert!(!seen.has_evaluated(&digest(0)), "the oldest goes");
        assert!((1..=MOST_EVALUATED).all(|n| seen.has_evaluated(&digest(n))));
    }
}
