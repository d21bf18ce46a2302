//! Looking after the index of a collection: what it holds, whether it is whole, making it smaller.

use std::ops::ControlFlow;
use std::sync::Arc;

use covey_index::{Collection, UpdateOptions};
use covey_protocol::ids::Name;

use super::change::{Meter, progress};
use super::slot::{Claim, Slot};
use super::{Collections, cost, model_of};
use crate::api::{
    ApiError, ErrorCode, IndexCompacted, IndexInfo, IndexRecoded, IndexVerified, Profile,
};
use crate::cancel::CancelFlag;
use crate::errors;
use crate::models::ModelHandle;

impl Collections {
    /// What the index of `name` holds and takes.
    pub(crate) fn index_info(&self, name: &Name) -> Result<IndexInfo, ApiError> {
        let slot = self.slot(name)?;
        let (Some(settings), None) = (slot.settings(), slot.problem()) else {
            return Err(unusable(&slot));
        };
        let stats = slot.stats();
        Ok(IndexInfo {
            collection: name.clone(),
            files: stats.files as u64,
            chunks: stats.chunks as u64,
            dead_chunks: stats.dead_chunks as u64,
            segments: stats.segments as u64,
            index_bytes: stats.index_bytes,
            lexical_bytes: stats.lexical_bytes,
            cache_bytes: stats.cache_bytes,
            text_bytes: stats.text_bytes,
            settings: settings.into(),
            tuned: slot.record().tuned.map(|tuned| tuned.told()),
        })
    }

    /// Reads all of the index of `name` again and checks it.
    pub(crate) fn index_verify(&self, name: &Name) -> Result<IndexVerified, ApiError> {
        let slot = self.slot(name)?;
        let mut claim = slot.claim()?;
        let report = opened(&mut claim)?.verify().map_err(|error| errors::index(name, error))?;
        if report.unreachable > 0 {
            let message = format!(
                "collection {name}: {} of its passages cannot be reached by a search",
                report.unreachable
            );
            return Err(ApiError::new(ErrorCode::Corrupt, message)
                .hint(format!("rebuild it from its folders with `covey reindex {name}`")));
        }
        Ok(IndexVerified {
            collection: name.clone(),
            segments: report.segments as u64,
            files: report.files as u64,
            chunks: report.chunks as u64,
            bytes: report.bytes,
            cache_bytes: report.cache_bytes,
            cached: report.cached as u64,
        })
    }

    /// Makes the index of `name` as small as it gets without embedding anything.
    pub(crate) fn index_compact(
        &self,
        name: &Name,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<IndexCompacted, ApiError> {
        let slot = self.slot(name)?;
        let mut claim = slot.claim()?;
        let model = self.model_for(&slot)?;
        let index = opened(&mut claim)?;
        let (before, after) = index
            .compact(&*self.files, &*model.encoder, &self.options(), &mut self.told(meter, cancel))
            .map_err(|error| errors::index(name, error))?;
        claim.publish();
        cancel.check()?;
        Ok(IndexCompacted { collection: name.clone(), before, after })
    }

    /// Codes every chunk of `name` anew: at its settings, and for the current release of its model.
    pub(crate) fn index_recode(
        &self,
        name: &Name,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<IndexRecoded, ApiError> {
        let model = self.models.current()?;
        let slot = self.slot(name)?;
        let mut claim = slot.claim()?;
        let index = opened(&mut claim)?;
        let report = index
            .recode(&*self.files, &*model.encoder, &self.options(), &mut self.told(meter, cancel))
            .map_err(|error| errors::index(name, error))?;
        let id = model_of(index);
        if slot.model() != id {
            self.record_model(&slot, id)?;
        }
        if index.moving_to().is_none() {
            slot.set_moving(None);
        }
        claim.publish();
        cancel.check()?;
        self.keep_tuned(&mut claim, &model, meter, cancel);
        let index_bytes = opened(&mut claim)?.stats().index_bytes;
        Ok(IndexRecoded {
            collection: name.clone(),
            embedded: report.embedded as u64,
            stale: report.stale as u64,
            index_bytes,
        })
    }

    /// Gives `name` the settings of a profile, and so many bytes of cache (by default as the profile has
    /// them where the model is slow). Its index of words is made or removed at once; chunks keep their
    /// codes until they are coded anew. Goals it has are forgotten.
    pub(crate) fn index_profile(
        &self,
        name: &Name,
        profile: Profile,
        cache_bytes: Option<u64>,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<IndexInfo, ApiError> {
        let slot = self.slot(name)?;
        let mut claim = slot.claim()?;
        let index = opened(&mut claim)?;
        let mut settings = cost::settings(Some(profile), self.is_slow(slot.model()));
        settings.cache_bytes = cache_bytes.unwrap_or(settings.cache_bytes);
        let words_change = index.settings().lexical != settings.lexical;
        index.set_settings(settings).map_err(|error| errors::index(name, error))?;
        if slot.is_tuned() {
            self.remember(&slot, None)?;
        }
        if words_change {
            let model = self.model_for(&slot)?;
            for root in slot.record().roots() {
                // A folder that is gone stays as it is until it is back.
                if self.files.resolve(&root).is_ok() {
                    self.update(index, name, &root, &model, meter, cancel)?;
                }
            }
        }
        claim.publish();
        cancel.check()?;
        drop(claim);
        self.index_info(name)
    }

    /// The model to change a collection with: the current one, or the release of it that the collection
    /// still holds, until it is brought to the current one.
    pub(super) fn model_for(&self, slot: &Slot) -> Result<ModelHandle, ApiError> {
        let model = self.models.current()?;
        let (id, name) = (slot.model(), &slot.name);
        if model.id == id {
            return Ok(model);
        }
        if model.id.base == id.base {
            return self.model_of_slot(slot);
        }
        let message = format!("collection {name} was built with another model than {}", model.name);
        Err(ApiError::new(ErrorCode::WrongModel, message)
            .hint(format!("rebuild it with `covey reindex {name}`, or add to a new one")))
    }

    /// The model that a collection was built with.
    pub(super) fn model_of_slot(&self, slot: &Slot) -> Result<ModelHandle, ApiError> {
        let name = &slot.name;
        self.models.get(slot.model()).ok_or_else(|| {
            let message =
                format!("the release of the model that {name} was built with is not here");
            ApiError::new(ErrorCode::WrongModel, message).hint(format!(
                "the daemon brings it to the current release, as does `covey index recode {name}`; \
                 with another model, rebuild it with `covey reindex {name}`"
            ))
        })
    }

    /// How indexes are changed.
    pub(super) fn options(&self) -> UpdateOptions {
        let mut options = UpdateOptions::default();
        options.max_file_bytes = self.max_file_bytes;
        options
    }
}

impl Collections {
    /// Passes on how far a change has come, lets searches pass before it embeds more, and ends it where the person
    /// wants that.
    pub(super) fn told<'a>(
        &'a self,
        meter: Meter<'a>,
        cancel: &'a CancelFlag,
    ) -> impl FnMut(covey_index::Progress) -> ControlFlow<()> + 'a {
        let mut embedded = 0;
        move |at| {
            if at.chunks_embedded != embedded {
                embedded = at.chunks_embedded;
                self.signals.let_searches_pass(|| cancel.is_cancelled());
            }
            meter(progress(&at));
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
}

pub(super) fn opened(claim: &mut Claim) -> Result<&mut Collection, ApiError> {
    let slot = Arc::clone(claim.slot());
    claim.index.as_mut().ok_or_else(|| unusable(&slot))
}

pub(super) fn unusable(slot: &Slot) -> ApiError {
    let (name, problem) = (&slot.name, slot.problem().unwrap_or_default());
    ApiError::new(ErrorCode::Corrupt, format!("collection {name} cannot be used: {problem}"))
        .hint(format!("rebuild it from its folders with `covey reindex {name}`"))
}
