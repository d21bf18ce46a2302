//! Training for a plan: when the schedule allows, at the lowest priority, behind whoever searches.

use std::cell::RefCell;
use std::time::Duration;

use covey_net::Link;
use covey_protocol::ids::{GroupId, NodeId};
use covey_protocol::round::{Check, Checked, Task};
use tokio::time::timeout;

use super::TRAINING;
use super::schedule::{Pace, Waits};
use crate::api::{ApiError, OptIn, TrainedInfo};
use crate::background::quietly;
use crate::cancel::CancelFlag;
use crate::node::Node;
use crate::rounds::{self, Told, Trained, Training, Tries, latest, refused, training_ends};

impl<L: Link> Node<L> {
    /// R11: whether the model that a plan trains is here, before anything is fetched for it.
    pub(super) async fn has_model(&self, plan: &Checked) -> Result<(), ApiError> {
        let (models, wanted) = (self.models.clone(), plan.plan().model);
        let here = self.env.compute(move || models.list()).await?;
        if here.iter().any(|model| model.id == wanted) {
            return Ok(());
        }
        Err(refused(&Check::Model)
            .hint("get it with `covey model pull`, and look with `covey model list`"))
    }

    /// Fetches the values, mines pairs, and trains until it is done or checking in ends.
    pub(super) async fn train(
        &self,
        group: GroupId,
        coordinator: NodeId,
        choice: &OptIn,
        plan: &Checked,
        stop: &CancelFlag,
    ) -> Result<Trained, ApiError> {
        self.learning.set_doing(group, "fetching what to start from");
        let values = self.values(group, coordinator, plan.plan().start, Tries::Many).await?;
        let (candidate, doing) = match plan.plan().task {
            Task::Train => (None, TRAINING),
            Task::Evaluate { of } => {
                let of = self.values(group, coordinator, of, Tries::Many).await?;
                (Some(of), "evaluating what may be released")
            }
        };
        self.learning.set_doing(group, doing);
        let end = training_ends(plan);
        let (collections, models, env) =
            (self.collections.clone(), self.models.clone(), self.env.clone());
        let (sources, opened) = (choice.clone(), self.opened.list()?);
        let evaluates = candidate.is_some();
        let (begun, round) = (self.env.now(), plan.plan().round);
        let (checked, plan, stop, seed) = (plan, plan.clone(), stop.clone(), self.env.next_u64());
        let (learning, first) = (self.learning.clone(), choice.schedule.clone());
        // What is charged is what was learnt from, whatever is added or taken away later.
        let keys = choice.keys(&self.collections)?;
        let charged = keys.clone();
        let work = move || -> Result<Trained, ApiError> {
            let schedule = || {
                let now = learning.choice(group).ok().flatten();
                now.map_or_else(|| first.clone(), |choice| choice.schedule)
            };
            let pace = RefCell::new(Pace::new(&env, &schedule));
            let OptIn { collections: names, pairs: files, .. } = &sources;
            let unit = plan.plan().contribution.unit;
            let pairs = collections.pairs_of(names, files, &opened, unit, &stop)?;
            let ended = || stop.is_cancelled() || env.now().0 >= end;
            let tell = |waits: Option<Waits>| match waits {
                Some(waits) => learning.set_doing(group, &waits.to_string()),
                None => learning.set_doing(group, doing),
            };
            let rest = || {
                let worked = pace.borrow().worked();
                collections.let_searches_pass(ended);
                pace.borrow_mut().rest(worked, &ended, &tell);
                ended()
            };
            let mut trained = match candidate {
                Some(of) => rounds::evaluate(&*models, &plan, values, of, &pairs, &mut || rest())?,
                None => {
                    let watch = |step, of| {
                        if step > 0 {
                            learning.meter.steps.inc();
                        }
                        learning.set_training(group, step, of);
                        if step < of {
                            rest();
                            learning.set_training(group, step, of);
                        }
                        ended()
                    };
                    // As many as there is time for if each takes as long as any may, and half of the time is left over.
                    let fit = |largest: &mut dyn FnMut()| {
                        let begun = env.now().0;
                        largest();
                        rest();
                        let now = env.now().0;
                        let left = end.saturating_sub(now) / 2;
                        usize::try_from(left / now.saturating_sub(begun).max(1))
                            .unwrap_or(usize::MAX)
                    };
                    let (pairs, watch, fit) = (&pairs[..], &watch, &fit);
                    let training = Training { plan: &plan, values, pairs, seed, watch, fit };
                    rounds::train(&*models, training)?
                }
            };
            stop.check()?;
            trained.collections = charged;
            Ok(trained)
        };
        // A step is not interrupted, and how long one takes may depend on texts: whoever has promised to check in does so without it (R15).
        let late = Duration::from_millis(latest(checked).saturating_sub(self.env.now().0));
        let trained = match checked.cost() {
            Some(_) => timeout(late, quietly(&self.env, work)).await.unwrap_or_else(|_| {
                let why = "the time to train was over before the step that was under way was done";
                Ok(Trained { collections: keys, ..Trained::nothing(checked, why) })
            })?,
            None => quietly(&self.env, work).await?,
        };
        if evaluates && trained.nothing.is_none() {
            return Ok(trained);
        }
        let Told { pairs, steps, norm } = trained.told;
        let (pairs, steps) = (pairs as u64, steps as u64);
        let ms = self.env.now().0.saturating_sub(begun.0);
        let nothing = trained.nothing.clone();
        let by_document = checked.plan().learning.documents > 0;
        let told = TrainedInfo { round, pairs, steps, ms, norm, by_document, nothing };
        self.learning.state().trained.insert(group, told);
        Ok(trained)
    }
}
