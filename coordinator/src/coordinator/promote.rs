//! From a checkpoint to a release: proposed when one is due, judged by whoever hosts the coordinator, evaluated by members where the
//! group demands it, and made.

use covey_crypto::Digest;
use covey_protocol::group;
use covey_protocol::ids::{ModelId, UnixMillis};
use covey_protocol::round::{MANIFEST_VERSION, Manifest, SignedManifest};
use covey_protocol::wire;

use super::{Coordinator, CoordinatorError, GroupView};
use crate::state::{self, MAX_KEPT, Released, Stage, State};
use crate::store::Key;

/// What is due for the next release.
#[derive(Debug, Clone, PartialEq)]
pub enum Promote {
    /// Nothing now.
    Nothing,
    /// Say what own pairs make of it: [`Coordinator::judged`].
    Judge(Candidate),
    /// Members are asked.
    Ask,
    /// Make it, and enter it in the group's log: [`Coordinator::release`].
    Release(Candidate),
}

/// What may become a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The model whose weights stay.
    pub model: ModelId,
    /// The adapter's configuration.
    pub adapter: Vec<u8>,
    /// Names the values.
    pub digest: Digest,
    /// The values.
    pub values: Vec<f32>,
    /// What it is compared with.
    pub before: Vec<f32>,
}

impl Coordinator {
    /// What is due for the next release: of the newest checkpoint, once the time between releases has passed and it has rounds that the
    /// current one has not; `by_hand` whenever there is one, unless another is on its way. To be called again after each step and now and then.
    ///
    /// # Errors
    /// If there is nothing to release by hand, or the store fails.
    pub fn promote(
        &self,
        view: &GroupView,
        by_hand: bool,
        now: UnixMillis,
    ) -> Result<Promote, CoordinatorError> {
        let mut inner = self.inner();
        let mut state = inner.state.clone();
        state.propose(view, by_hand, now)?;
        if state != inner.state {
            self.write(&mut inner, state)?;
        }
        let Some(found) = &inner.state.candidate else { return Ok(Promote::Nothing) };
        let candidate = || {
            let state::Checkpoint { model, adapter, values, .. } = &found.checkpoint;
            Ok::<_, CoordinatorError>(Candidate {
                model: *model,
                adapter: adapter.clone(),
                digest: values.digest,
                values: self.kept(values)?,
                before: self.kept(&found.before)?,
            })
        };
        Ok(match &found.stage {
            Stage::Proposed => Promote::Judge(candidate()?),
            Stage::Asked { .. } => Promote::Ask,
            Stage::Ready { .. } => Promote::Release(candidate()?),
            Stage::HeldBack { .. } => Promote::Nothing,
        })
    }

    /// What own pairs make of the candidate with these values: why it is held back, if they do worse.
    ///
    /// # Errors
    /// If the store fails.
    pub fn judged(
        &self,
        values: &Digest,
        worse: Option<String>,
        view: &GroupView,
        now: UnixMillis,
    ) -> Result<(), CoordinatorError> {
        let mut inner = self.inner();
        let mut state = inner.state.clone();
        let Some(candidate) = &mut state.candidate else { return Ok(()) };
        if candidate.checkpoint.values.digest != *values || candidate.stage != Stage::Proposed {
            return Ok(());
        }
        candidate.stage = match worse {
            Some(why) => Stage::HeldBack { why, until: None },
            None => passed(view, now),
        };
        self.write(&mut inner, state)
    }

    /// Makes a release of the candidate with the values `values`, whose exact model `model` is: the same again until the log names it.
    ///
    /// # Errors
    /// If something else is the candidate by now, or the store fails.
    pub fn release(
        &self,
        model: ModelId,
        values: &Digest,
        view: &GroupView,
        now: UnixMillis,
    ) -> Result<group::Release, CoordinatorError> {
        let mut inner = self.inner();
        let mut state = inner.state.clone();
        let candidate = state.candidate.as_mut().ok_or(CoordinatorError::Moved)?;
        let checkpoint = candidate.checkpoint.clone();
        let lineage = checkpoint.lineage();
        let Stage::Ready { evaluation, made } = &mut candidate.stage else {
            return Err(CoordinatorError::Moved);
        };
        if checkpoint.values.digest != *values {
            return Err(CoordinatorError::Moved);
        }
        let (number, evaluation) = (view.number() + 1, *evaluation);
        if let Some(made) = made.filter(|made| made.number == number && made.model == model) {
            return Ok(made);
        }
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            group: view.group,
            coordinator: view.coordinator,
            number,
            model,
            base: checkpoint.model,
            adapter: checkpoint.adapter,
            values: checkpoint.values,
            parent: view.release.map(|current| current.release.model),
            plan: checkpoint.plan,
            round: checkpoint.round,
            rounds: checkpoint.rounds,
            cohort: checkpoint.participants,
            cost: checkpoint.cost,
            unit: checkpoint.unit,
            delta: checkpoint.delta,
            measured: checkpoint.measured,
            evaluation,
            at: now,
        };
        let signed = SignedManifest::sign(&manifest, &self.key);
        let release = group::Release { number, model, manifest: signed.digest() };
        self.store.put(Key::Manifest(release.manifest), &wire::encode(&signed))?;
        *made = Some(release);
        // Those that the log did not come to name.
        state.releases.retain(|it| it.number < number);
        let (values, manifest) = (manifest.values, release.manifest);
        let released = Released { number, at: now, model, lineage, values, manifest };
        state.releases.insert(0, released);
        state.releases.truncate(MAX_KEPT);
        self.write(&mut inner, state)?;
        Ok(release)
    }
}

impl GroupView {
    /// The number of the current release; 0 before the first.
    pub fn number(&self) -> u32 {
        self.release.map_or(0, |current| current.release.number)
    }
}

impl State {
    /// Looks what may become the next release.
    fn propose(
        &mut self,
        view: &GroupView,
        by_hand: bool,
        now: UnixMillis,
    ) -> Result<(), CoordinatorError> {
        let named = view.release.map(|current| current.release);
        let newest = self.checkpoint.as_ref().map(|checkpoint| checkpoint.values);
        if let Some(candidate) = &mut self.candidate {
            match &candidate.stage {
                Stage::Ready { made: Some(made), .. } if named == Some(*made) => {
                    self.candidate = None;
                }
                // The group may demand more than it did when members were asked.
                Stage::Ready { evaluation, .. } => {
                    let satisfies = evaluation.is_some_and(|it| it.satisfies(view.quorum));
                    if view.quorum > 0 && !satisfies {
                        candidate.stage = passed(view, now);
                    }
                    return Ok(());
                }
                Stage::Asked { .. } => return Ok(()),
                Stage::Proposed if !by_hand => return Ok(()),
                Stage::Proposed => {}
                Stage::HeldBack { until, .. } => {
                    let again = until.is_some_and(|until| now >= until);
                    if !by_hand && !again && newest == Some(candidate.checkpoint.values) {
                        return Ok(());
                    }
                }
            }
        }
        let Some(checkpoint) = self.checkpoint.clone().filter(|it| it.rounds > 0) else {
            return if by_hand { Err(CoordinatorError::NoCheckpoint) } else { Ok(()) };
        };
        let last = self.current(view);
        let learnt = last.is_none_or(|last| last.values != checkpoint.values);
        if by_hand && !learnt {
            return Err(CoordinatorError::NothingNew);
        }
        let due = self.release_due_at(view).is_some_and(|at| now >= at);
        let wanted = by_hand || (learnt && due);
        if !wanted {
            return Ok(());
        }
        // The last release's values where they are of the same model and adapter, else those that training began with.
        let alike = |last: &&Released| {
            last.lineage == checkpoint.lineage() && last.values != checkpoint.values
        };
        let before = last.filter(alike).map_or(checkpoint.origin, |last| last.values);
        let stage = if by_hand { passed(view, now) } else { Stage::Proposed };
        self.candidate = Some(state::Candidate { checkpoint, before, stage });
        Ok(())
    }

    /// The current release, if it was made here and its values are kept.
    fn current(&self, view: &GroupView) -> Option<&Released> {
        let named = view.release?.release;
        self.releases.iter().find(|it| it.manifest == named.manifest)
    }

    /// When the next release is due by itself. While rounds are under way the time counts from their beginning too, so that a campaign that
    /// is shorter is released at its end.
    fn release_due_at(&self, view: &GroupView) -> Option<UnixMillis> {
        let promotion = self.promotion.as_ref()?;
        let every = promotion.every_ms?;
        let last = self.current(view).map(|last| last.at);
        let last = last.or(view.release.map(|current| current.at));
        let began = self.campaign.is_some().then_some(promotion.began);
        let since = last.into_iter().chain(began).max();
        Some(since.map_or(UnixMillis(0), |since| since.plus(every)))
    }
}

/// The stage after own pairs have let a candidate pass.
fn passed(view: &GroupView, now: UnixMillis) -> Stage {
    match view.quorum {
        0 => Stage::Ready { evaluation: None, made: None },
        quorum => Stage::Asked { quorum, at: now },
    }
}
