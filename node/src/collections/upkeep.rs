//! Looking after the index of a collection: what it holds, whether it is whole, making it smaller.

use std::ops::ControlFlow;
use std::sync::Arc;

use covey_index::{Collection, UpdateOptions};
use covey_protocol::ids::Name;

use super::change::{Meter, progress};
use super::slot::{Claim, Slot};
use super::{Collections, model_of};
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
            .compact(&*self.files, &*model.encoder, &self.options(), &mut told(meter, cancel))
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
            .recode(&*self.files, &*model.encoder, &self.options(), &mut told(meter, cancel))
            .map_err(|error| errors::index(name, error))?;
        let id = model_of(index);
        if slot.model() != id {
            let mut record = slot.record();
            record.model = id;
            self.kv.write(vec![record.put(name)])?;
            slot.set_record(record);
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

    /// Gives `name` the settings of a profile, and forgets goals it has.
    ///
    /// Its index of words is made or removed at once; chunks
    /// keep their codes until they are coded anew.
    pub(crate) fn index_profile(
        &self,
        name: &Name,
        profile: Profile,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<IndexInfo, ApiError> {
        let slot = self.slot(name)?;
        let mut claim = slot.claim()?;
        let index = opened(&mut claim)?;
        let settings = covey_index::Profile::from(profile).settings();
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

    /// The current model, if it is the one that a collection was built with.
    pub(super) fn model_for(&self, slot: &Slot) -> Result<ModelHandle, ApiError> {
        let model = self.models.current()?;
        if model.id == slot.model() {
            return Ok(model);
        }
        let message =
            format!("collection {} was built with another model than {}", slot.name, model.name);
        Err(ApiError::new(ErrorCode::WrongModel, message)
            .hint(format!("rebuild it with `covey reindex {}`", slot.name)))
    }

    /// How indexes are changed.
    pub(super) fn options(&self) -> UpdateOptions {
        let mut options = UpdateOptions::default();
        options.max_file_bytes = self.max_file_bytes;
        options
    }
}

/// Passes on how far a change has come, and ends it where the person wants that.
pub(super) fn told<'a>(
    meter: Meter<'a>,
    cancel: &'a CancelFlag,
) -> impl FnMut(covey_index::Progress) -> ControlFlow<()> + 'a {
    move |at| {
        meter(progress(&at));
        if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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
