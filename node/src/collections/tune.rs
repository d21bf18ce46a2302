//! Tuning collections: once when the person asks, and again when a collection has become another one.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use covey_index::{
    Collection, Snapshot, TuneDesk, TuneMeasured, TuneProgress, TuneReport, TuneRow, TuneStage,
};
use covey_protocol::ids::Name;
use tokio::time::Instant;

use super::Collections;
use super::change::Meter;
use super::goals::{Goals, Tuned};
use super::slot::{Claim, Slot, View};
use super::upkeep::{opened, unusable};
use crate::api::{self, ApiError, ErrorCode, Progress, TuneCall, TuneChoice, TuneInfo};
use crate::cancel::CancelFlag;
use crate::errors;
use crate::models::ModelHandle;

impl Collections {
    /// Finds settings for a collection that fit the goals, and unless the call is a dry run puts them in
    /// force, coding all chunks anew where their codes change much, and remembers the goals.
    pub(crate) fn tune(
        &self,
        call: &TuneCall,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<TuneInfo, ApiError> {
        let goals = Goals::asked(call)?;
        let slot = self.slot(&call.collection)?;
        let model = self.model_for(&slot)?;
        if call.dry_run {
            let View::Ready(snapshot) = slot.view() else { return Err(unusable(&slot)) };
            let report = self.look(&slot.name, &snapshot, &model, &goals, meter, cancel)?;
            return Ok(info(&slot.name, &goals, &report));
        }
        let mut claim = slot.claim()?;
        self.tune_claimed(&mut claim, &model, &goals, meter, cancel)
    }

    /// Forgets the goals of `name`; its settings stay as they are.
    pub(crate) fn tune_off(&self, name: &Name) -> Result<(), ApiError> {
        let slot = self.slot(name)?;
        if slot.record().tuned.is_none() {
            let message = format!("collection {name} has no goals to forget");
            return Err(ApiError::new(ErrorCode::NotFound, message)
                .hint(format!("`covey tune {name}` gives it some")));
        }
        let _claim = slot.claim()?;
        self.remember(&slot, None)
    }

    /// Tunes again where the collection has goals and is no longer what it was tuned as. What goes wrong
    /// is logged: it takes nothing away from what was just done to the collection.
    pub(super) fn keep_tuned(
        &self,
        claim: &mut Claim,
        model: &ModelHandle,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) {
        let slot = Arc::clone(claim.slot());
        let (Some(tuned), Some(index)) = (slot.record().tuned, &claim.index) else { return };
        let chunks = index.stats().chunks as u64;
        if cancel.is_cancelled() || !tuned.is_due(chunks, slot.model()) {
            return;
        }
        tracing::info!(
            chunks,
            before = tuned.chunks,
            "a collection has changed much; it is tuned again"
        );
        let result = self.tune_claimed(claim, model, &tuned.goals, meter, cancel);
        if cancel.is_cancelled() {
            return;
        }
        match result {
            Ok(info) if info.applied => {}
            // Not before it changes as much again.
            Ok(_) | Err(_) => {
                if let Err(error) = &result {
                    tracing::warn!(%error, "a collection could not be tuned again");
                }
                let goals = tuned.goals;
                if let Err(error) = self.remember(&slot, Some((goals, chunks, false))) {
                    tracing::warn!(%error, "that a collection was tuned could not be saved");
                }
            }
        }
    }

    fn tune_claimed(
        &self,
        claim: &mut Claim,
        model: &ModelHandle,
        goals: &Goals,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<TuneInfo, ApiError> {
        let slot = Arc::clone(claim.slot());
        let index = opened(claim)?;
        let report = self.look(&slot.name, &index.snapshot(), model, goals, meter, cancel)?;
        let mut info = info(&slot.name, goals, &report);
        let chosen = report.chosen.or(report.nearest.filter(|_| goals.nearest));
        let Some(row) = chosen.and_then(|at| report.rows.get(at)) else { return Ok(info) };
        let applied = self.apply(index, &slot.name, model, &report, row, meter, cancel);
        if index.moving_to().is_none() {
            slot.set_moving(None);
        }
        applied?;
        let chunks = index.stats().chunks as u64;
        self.remember(&slot, Some((*goals, chunks, report.chosen.is_some())))?;
        info.applied = true;
        claim.publish();
        let index = opened(claim)?;
        let measured =
            with_desk(self, model, meter, cancel, |desk| index.snapshot().try_out(desk, &report));
        // Interrupted or not, the settings are in force.
        info.measured = measured.map_err(|error| errors::index(&slot.name, error))?.map(Into::into);
        Ok(info)
    }

    /// What the tuner says.
    fn look(
        &self,
        name: &Name,
        snapshot: &Snapshot,
        model: &ModelHandle,
        goals: &Goals,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<TuneReport, ApiError> {
        let report =
            with_desk(self, model, meter, cancel, |desk| snapshot.tune(desk, &goals.for_index()));
        let report = report.map_err(|error| errors::index(name, error))?;
        report
            .ok_or_else(|| ApiError::new(ErrorCode::Cancelled, "interrupted; nothing was changed"))
    }

    /// Puts settings in force. Where that does not come to its end, those of before are again, and codes made
    /// for the others are gone.
    #[expect(clippy::too_many_arguments, reason = "what is changed, to what, and who is told")]
    fn apply(
        &self,
        index: &mut Collection,
        name: &Name,
        model: &ModelHandle,
        report: &TuneReport,
        row: &TuneRow,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<(), ApiError> {
        cancel.check()?;
        let before = index.settings();
        index.set_settings(row.settings).map_err(|error| errors::index(name, error))?;
        if !report.needs_recode(row) {
            return Ok(());
        }
        let about = format!("coding anew, about {}", rough(report.recode_time()));
        let mut meter = |at: Progress| meter(Progress { stage: about.clone(), ..at });
        let (encoder, options) = (&*model.encoder, self.options());
        let done =
            index.recode(&*self.files, encoder, &options, &mut self.told(&mut meter, cancel));
        if !matches!(&done, Ok(report) if !report.cancelled) {
            let undone = index.set_settings(before).and_then(|()| {
                // A move to another release is somebody else's.
                let ours = index.moving_to() == Some(encoder.id());
                if ours { index.abandon_recode() } else { Ok(()) }
            });
            undone.map_err(|error| errors::index(name, error))?;
        }
        let done = done.map_err(|error| errors::index(name, error))?;
        if done.cancelled {
            let message = "interrupted; the settings are as they were";
            return Err(ApiError::new(ErrorCode::Cancelled, message));
        }
        Ok(())
    }

    /// Saves that a collection was tuned, or that it has no goals.
    pub(super) fn remember(
        &self,
        slot: &Slot,
        tuned: Option<(Goals, u64, bool)>,
    ) -> Result<(), ApiError> {
        let mut record = slot.record();
        let at = self.env.now();
        let model = record.model;
        record.tuned = tuned.map(|(goals, chunks, fits)| Tuned { goals, at, chunks, model, fits });
        self.kv.write(vec![record.put(&slot.name)])?;
        slot.set_record(record);
        Ok(())
    }
}

/// Lends a tuner what it needs.
fn with_desk<T>(
    collections: &Collections,
    model: &ModelHandle,
    meter: Meter<'_>,
    cancel: &CancelFlag,
    work: impl FnOnce(&mut TuneDesk<'_>) -> T,
) -> T {
    let start = Instant::now();
    let mut progress = |at: TuneProgress| {
        meter(Progress {
            stage: match at.stage {
                TuneStage::Sampling => "measuring",
                TuneStage::Comparing => "comparing",
                TuneStage::Asking => "asking",
            }
            .to_owned(),
            done: at.done as u64,
            total: Some(at.total as u64),
            item: None,
        });
        if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    work(&mut TuneDesk {
        files: &*collections.files,
        encoder: &*model.encoder,
        now: &|| start.elapsed(),
        progress: &mut progress,
    })
}

/// A time that was guessed.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        0..=1 => "a second".to_owned(),
        seconds @ 2..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3_600)),
    }
}

fn info(name: &Name, goals: &Goals, report: &TuneReport) -> TuneInfo {
    let row = report.chosen.or(report.nearest).and_then(|at| report.rows.get(at));
    let recode = row.is_some_and(|row| report.needs_recode(row));
    let costs = &report.costs;
    TuneInfo {
        collection: name.clone(),
        goals: goals.told(),
        chunks: report.chunks as u64,
        sampled: report.sampled as u64,
        questions: report.questions() as u64,
        costs: api::TuneCosts {
            embed_us: micros(costs.embed),
            read_us: micros(costs.read),
            encode_us: micros(costs.encode),
            scan_us: micros(costs.scan),
        },
        choices: report.rows.iter().map(choice).collect(),
        chosen: report.chosen.map(|at| at as u64),
        nearest: report.nearest.map(|at| at as u64),
        in_the_way: report.in_the_way.iter().map(|goal| (*goal).into()).collect(),
        recode_ms: recode
            .then(|| u64::try_from(report.recode_time().as_millis()).unwrap_or(u64::MAX)),
        applied: false,
        measured: None,
        assumed: report.assumed.clone(),
    }
}

fn choice(row: &TuneRow) -> TuneChoice {
    TuneChoice {
        settings: row.settings.into(),
        code_bytes: row.code_bytes as u64,
        bytes_per_chunk: row.bytes_per_chunk,
        share: row.share,
        recall: row.recall,
        recall_error: row.recall_error,
        recomputed: row.recomputed,
        recomputed_p90: row.recomputed_p90,
        latency_us: micros(row.latency),
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

impl From<covey_index::TuneGoal> for api::TuneGoal {
    fn from(goal: covey_index::TuneGoal) -> Self {
        match goal {
            covey_index::TuneGoal::Recall => Self::Recall,
            covey_index::TuneGoal::Latency => Self::Latency,
            covey_index::TuneGoal::Disk => Self::Disk,
        }
    }
}

impl From<TuneMeasured> for api::TuneMeasured {
    fn from(it: TuneMeasured) -> Self {
        Self {
            questions: it.questions as u64,
            p50_us: micros(it.p50),
            p90_us: micros(it.p90),
            p95_us: micros(it.p95),
            recomputed: it.recomputed,
            recall: it.recall,
            against_recompute: it.against_recompute as u64,
            against_confidence: it.against_confidence,
        }
    }
}
