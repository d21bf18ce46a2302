//! Leaving a group: what is done for its rounds ends, and what was kept of them and of its releases goes.

use covey_net::Link;
use covey_protocol::ids::GroupId;

use super::Learning;
use super::held::Held;
use crate::api::ApiError;
use crate::node::Node;

impl Learning {
    /// Forgets the terms of taking part and the group's releases, and returns those. What was seen of plans stays for good: whoever comes back
    /// must not make keys for the same terms twice, nor give a second sum of what it gave without noise.
    fn forget(&self, group: GroupId) -> Result<Vec<Held>, ApiError> {
        self.choose(group, None)?;
        // What is done right now ends, and with it what is said of that.
        self.leave(group);
        let held = self.drop_shelf(group)?;
        let mut state = self.state();
        state.hosted.remove(&group);
        state.problems.remove(&group);
        state.trained.remove(&group);
        state.announced.remove(&group);
        state.refused.remove(&group);
        state.waits.remove(&group);
        state.unreleased.remove(&group);
        Ok(held)
    }
}

impl<L: Link> Node<L> {
    /// Before a group is left: ends the rounds that are coordinated here, takes no part any more, and deletes what is kept of learning together
    /// with it, models of its releases included that nothing uses. What the coordinator here has learnt stays: its rounds are numbered on from there
    /// if the group names this node again.
    pub(crate) async fn forget_learning(&self, group: GroupId) -> Result<(), ApiError> {
        // Neither puts a release back that is being looked at.
        let _adopting = self.learning.adopting.lock().await;
        let _promoting = self.learning.promoting.lock().await;
        if let Err(error) = self.end_rounds(group).await {
            tracing::warn!(%error, "the rounds of a group that is left cannot be ended");
        }
        let held = self.learning.forget(group)?;
        self.learning.meter.phase(group, None, self.env.now());
        self.learning.kept(group).forget_attempt()?;
        let node = self.clone();
        let removed = self.env.compute(move || node.remove_unused(group, held)).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "releases of a group that is left cannot be deleted");
        }
        Ok(())
    }

    async fn end_rounds(&self, group: GroupId) -> Result<(), ApiError> {
        if self.has_rounds(group).await? {
            self.stop_rounds(group).await?;
        }
        Ok(())
    }

    /// Deletes models of releases, but for those that are in use or that another group's rollback goes back to.
    fn remove_unused(&self, group: GroupId, mut held: Vec<Held>) -> Result<(), ApiError> {
        let (used, others) = (self.models_in_use()?, self.gone_back_to(group)?);
        held.retain(|it| !used.contains(&it.model) && !others.contains(&it.name));
        self.remove_models(&held)
    }
}
