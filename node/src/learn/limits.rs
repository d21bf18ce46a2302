//! The terms on which this node takes part, shown and changed.

use covey_net::Link;
use covey_privacy::ledger::{Account, Budget, Charge, Unit};
use covey_privacy::{Delta, Epsilon};
use covey_protocol::ids::GroupId;

use super::calls::number;
use crate::api::{ApiError, ChangeLimits, ErrorCode, OptIn, Reply};
use crate::node::Node;
use crate::rounds::Standing;

impl<L: Link> Node<L> {
    /// Shows the terms, and changes what is asked for. A schedule is heeded at once; where other terms change, training begins anew, and
    /// only an update that was masked already stays in its attempt.
    pub(crate) fn train_limits(&self, change: ChangeLimits) -> Result<Reply, ApiError> {
        let id = self.groups.find(&change.group)?;
        let before = self.learning.choice(id)?.ok_or_else(|| {
            let message = format!("this node takes no part in the rounds of {}", change.group);
            ApiError::new(ErrorCode::NotFound, message)
                .hint(format!("opt in first: covey train opt-in {}", change.group))
        })?;
        let now = change.applied_to(before.clone());
        if now != before {
            now.limits()?;
            if (now.epsilon, now.delta) != (before.epsilon, before.delta) {
                self.set_budgets(&now, true)?;
            }
            self.learning.choose(id, Some(&now))?;
            if !now.allows_the_same(&before) {
                self.learning.stop(id);
            }
            self.learning.state().refused.remove(&id);
            self.learning.chosen.notify_one();
        }
        Ok(Reply::Limits(Box::new(now)))
    }

    /// Tells the ledger what taking part may cost, in all and for each collection, if it has a bound. `raises` says whether that may be more than
    /// it was.
    pub(super) fn set_budgets(&self, choice: &OptIn, raises: bool) -> Result<(), ApiError> {
        let of = |collection, unit| Account::Collection { unit, collection };
        let keys = choice.keys(&self.collections)?;
        let all = |unit| keys.iter().map(move |key| of(*key, unit));
        let peer: Vec<Account> = std::iter::once(Account::Peer).chain(all(Unit::Peer)).collect();
        let standings = self.learning.ledger.standings()?;
        let accounts = match choice.unit {
            Unit::Peer => peer,
            Unit::Document => {
                check_documents(&standings, &peer)?;
                all(Unit::Document).collect()
            }
        };
        let Some(epsilon) = choice.epsilon else {
            let documents = all(Unit::Document);
            return check_unbounded(&standings, accounts.iter().copied().chain(documents));
        };
        let budget = Budget::new(number(Epsilon::new(epsilon))?, number(Delta::new(choice.delta))?);
        check_budget(&standings, &accounts, budget, raises)?;
        for account in accounts {
            self.learning.ledger.set_budget(account, budget, self.env.now())?;
        }
        Ok(())
    }

    /// Whether budgets of this group's terms may be raised by opting in anew: they hold over all groups, and another one's terms may rest on them.
    pub(super) fn may_raise(&self, id: GroupId) -> Result<bool, ApiError> {
        for group in self.groups.active() {
            let choice = self.learning.choice(group)?;
            let rests = choice.as_ref().is_some_and(|choice| choice.epsilon.is_some());
            if (group == id && choice.is_none()) || (group != id && rests) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether nothing of these has a budget as a whole, which rounds that protect single documents are beyond.
fn check_documents(standings: &[Standing], peer: &[Account]) -> Result<(), ApiError> {
    let bounded = |it: &&Standing| peer.contains(&it.account) && it.budget.is_some();
    let Some(Standing { account, budget: Some(budget), .. }) = standings.iter().find(bounded)
    else {
        return Ok(());
    };
    let message = format!(
        "{account} has a privacy budget of epsilon {} as a whole, and rounds that protect single documents promise nothing of all of them together",
        budget.epsilon
    );
    Err(ApiError::new(ErrorCode::Forbidden, message).hint(
        "take part in rounds that protect a peer (--unit peer), or learn by document on a node of its own",
    ))
}

/// Whether nothing that would be learnt from without noise has a budget, which such a round is beyond.
fn check_unbounded(
    standings: &[Standing],
    accounts: impl Iterator<Item = Account>,
) -> Result<(), ApiError> {
    for account in accounts {
        let standing = standings.iter().find(|standing| standing.account == account);
        if let Some(budget) = standing.and_then(|standing| standing.budget) {
            let message = format!(
                "{account} has a privacy budget of epsilon {}, and rounds without noise give away more than any",
                budget.epsilon
            );
            return Err(ApiError::new(ErrorCode::Forbidden, message).hint(
                "take part with noise (--epsilon), or learn without it on a node of its own",
            ));
        }
    }
    Ok(())
}

/// Whether a budget can hold for all these accounts, and is no larger than those that there are, unless it `raises` them knowingly.
fn check_budget(
    standings: &[Standing],
    accounts: &[Account],
    budget: Budget,
    raises: bool,
) -> Result<(), ApiError> {
    for standing in standings.iter().filter(|standing| accounts.contains(&standing.account)) {
        let account = standing.account;
        if standing.spent == Charge::EVERYTHING {
            let message = format!(
                "{account} took part in rounds without noise, or that protect single documents, of which there is no bound on what they gave away of it, \
                 so no budget holds for it"
            );
            let documents = |it: &Standing| {
                let by_document =
                    matches!(it.account, Account::Collection { unit: Unit::Document, .. });
                by_document && it.spent == Charge::EVERYTHING
            };
            // Where documents have no bound either, that is no way on.
            let hint = if standings.iter().any(documents) {
                "go on without noise (--without-noise), or learn on a node of its own"
            } else {
                "go on without noise (--without-noise) or by document (--unit document), or learn on a node of its own"
            };
            return Err(ApiError::new(ErrorCode::Forbidden, message).hint(hint));
        }
        if let Some(before) = standing.budget.filter(|it| !raises && it.limit() < budget.limit()) {
            let Budget { epsilon, delta, .. } = before;
            let message = format!(
                "{account} has a privacy budget of epsilon {epsilon} at delta {delta} over all groups, and {} at {} is more",
                budget.epsilon, budget.delta
            );
            return Err(ApiError::new(ErrorCode::Forbidden, message).hint(format!(
                "opt in with --epsilon {epsilon} or less; who wants to give away more raises it then: covey train limits GROUP --epsilon NUMBER"
            )));
        }
    }
    Ok(())
}

impl ChangeLimits {
    fn applied_to(self, mut to: OptIn) -> OptIn {
        to.epsilon = self.epsilon.or(to.epsilon);
        to.delta = self.delta.unwrap_or(to.delta);
        to.round_epsilon = self.round_epsilon.or(to.round_epsilon);
        to.min_honest = self.min_honest.unwrap_or(to.min_honest);
        to.collusion_permille = self.collusion_permille.unwrap_or(to.collusion_permille);
        to.known_for_s = self.known_for_s.or(to.known_for_s);
        to.max_steps = self.max_steps.unwrap_or(to.max_steps);
        to.max_bytes = self.max_bytes.unwrap_or(to.max_bytes);
        to.schedule.when = self.when.unwrap_or(to.schedule.when);
        to.schedule.hours = self.hours.unwrap_or(to.schedule.hours);
        to.schedule.cpu_share = self.cpu_share.unwrap_or(to.schedule.cpu_share);
        to
    }
}

#[cfg(test)]
mod tests {
    use covey_privacy::ledger::CollectionKey;

    use super::*;

    fn of(byte: u8) -> Account {
        Account::Collection { unit: Unit::Peer, collection: CollectionKey([byte; 32]) }
    }

    fn budget(epsilon: f64) -> Budget {
        Budget::new(Epsilon::new(epsilon).expect("above 0"), Delta::new(1e-5).expect("a delta"))
    }

    #[test]
    fn budgets_of_another_group_are_not_raised_and_not_passed_by() {
        let standing = |account, spent, epsilon: Option<f64>| Standing {
            account,
            spent,
            budget: epsilon.map(budget),
        };
        let bounded =
            [standing(Account::Peer, Charge::NONE, Some(8.0)), standing(of(1), Charge::NONE, None)];
        let accounts = [Account::Peer, of(1)];
        for (epsilon, raises, fits) in
            [(8.0, false, true), (2.0, false, true), (8.5, false, false), (8.5, true, true)]
        {
            let checked = check_budget(&bounded, &accounts, budget(epsilon), raises);
            assert_eq!(checked.is_ok(), fits, "{epsilon}, {raises}");
            let hint = checked.err().and_then(|error| error.hint);
            assert!(fits || hint.is_some_and(|hint| hint.contains("covey train limits")));
        }
        // What has a budget is not learnt from without noise, whoever the group is; other things are.
        assert!(check_unbounded(&bounded, accounts.into_iter()).is_err());
        assert_eq!(check_unbounded(&bounded, [of(1), of(2)].into_iter()), Ok(()));
        // Nor has it a budget that was.
        let spent = [standing(of(1), Charge::EVERYTHING, None)];
        let error = check_budget(&spent, &accounts, budget(1.0), true).expect_err("no bound");
        assert!(error.message.contains("without noise"), "{}", error.message);
        assert_eq!(check_budget(&spent, &[of(2)], budget(1.0), false), Ok(()));
        assert_eq!(check_unbounded(&spent, [of(1)].into_iter()), Ok(()));
    }
}
