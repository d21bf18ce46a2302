//! The terms on which this node takes part, shown and changed.

use covey_net::Link;
use covey_privacy::ledger::{Account, Budget, Unit};
use covey_privacy::{Delta, Epsilon};

use super::calls::number;
use crate::api::{ApiError, ChangeLimits, ErrorCode, OptIn, Reply};
use crate::node::Node;

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
                self.set_budgets(&now)?;
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

    /// Tells the ledger what taking part may cost, in all and for each collection, if it has a bound.
    pub(super) fn set_budgets(&self, choice: &OptIn) -> Result<(), ApiError> {
        let of = |collection| Account::Collection { unit: Unit::Peer, collection };
        let keys = choice.keys(&self.collections)?;
        let accounts = std::iter::once(Account::Peer).chain(keys.into_iter().map(of));
        let Some(epsilon) = choice.epsilon else { return Ok(()) };
        let budget = Budget::new(number(Epsilon::new(epsilon))?, number(Delta::new(choice.delta))?);
        for account in accounts {
            self.learning.ledger.set_budget(account, budget, self.env.now())?;
        }
        Ok(())
    }
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
