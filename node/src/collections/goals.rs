//! The goals that a collection is kept at, as they are remembered and as they are told.

use std::time::Duration;

use covey_index::{DiskGoal, TuneGoals};
use covey_protocol::ids::{ModelId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::api::{self, ApiError, ErrorCode, TuneCall, TuneDisk};

/// The longest time a question may be given.
const MAX_LATENCY: Duration = Duration::from_secs(60);
/// Millionths in one.
const MILLION: f64 = 1e6;

/// Goals in whole numbers, so that they come back as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Goals {
    /// In millionths.
    recall: u32,
    latency_us: Option<u64>,
    disk: Disk,
    /// Whether to take what misses them least where nothing reaches them.
    pub(super) nearest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Disk {
    /// Millionths of the text's bytes.
    Share(u64),
    /// Millionths of a byte for each chunk.
    PerChunk(u64),
}

/// That a collection was tuned, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tuned {
    pub(super) goals: Goals,
    pub(super) at: UnixMillis,
    /// Chunks and model it had then.
    pub(super) chunks: u64,
    pub(super) model: ModelId,
    /// Whether the goals were predicted to be reached.
    pub(super) fits: bool,
}

impl Goals {
    /// What a person asked for, with defaults for the rest.
    pub(super) fn asked(call: &TuneCall) -> Result<Self, ApiError> {
        let usage = |what: &str, hint: &str| Err(ApiError::new(ErrorCode::Usage, what).hint(hint));
        let default = TuneGoals::default();
        let recall = call.recall.unwrap_or(default.recall);
        if !(0.0..=1.0).contains(&recall) {
            return usage("a recall lies between 0 and 1", "try `--recall 0.95`");
        }
        let most = u64::try_from(MAX_LATENCY.as_micros()).unwrap_or(u64::MAX);
        if call.latency_us.is_some_and(|it| it == 0 || it > most) {
            return usage(
                "a question may take more than nothing and up to 60 s",
                "try `--latency 5ms`",
            );
        }
        let disk = match call.disk {
            None => default.disk,
            Some(TuneDisk::Share(share)) => DiskGoal::Share(share),
            Some(TuneDisk::BytesPerChunk(bytes)) => DiskGoal::PerChunk(bytes),
        };
        let millionths = |it: f64| (it * MILLION).round() as u64;
        let disk = match disk {
            DiskGoal::Share(share) if share > 0.0 && share <= 1.0 => Disk::Share(millionths(share)),
            DiskGoal::PerChunk(bytes) if bytes > 0.0 && bytes <= 65_536.0 => {
                Disk::PerChunk(millionths(bytes))
            }
            DiskGoal::Share(_) => {
                return usage(
                    "an index may take more than nothing and up to 100% of the text",
                    "try `--disk 1%`",
                );
            }
            DiskGoal::PerChunk(_) => {
                return usage(
                    "an index may take more than nothing and up to 65536 bytes a passage",
                    "try `--disk 60B`",
                );
            }
        };
        let recall = millionths(recall) as u32;
        Ok(Self { recall, latency_us: call.latency_us, disk, nearest: call.nearest })
    }

    pub(super) fn for_index(&self) -> TuneGoals {
        TuneGoals {
            recall: f64::from(self.recall) / MILLION,
            latency: self.latency_us.map(Duration::from_micros),
            disk: match self.disk {
                Disk::Share(it) => DiskGoal::Share(it as f64 / MILLION),
                Disk::PerChunk(it) => DiskGoal::PerChunk(it as f64 / MILLION),
            },
        }
    }

    pub(super) fn told(&self) -> api::TuneGoals {
        let goals = self.for_index();
        api::TuneGoals {
            recall: goals.recall,
            latency_us: self.latency_us,
            disk: match goals.disk {
                DiskGoal::Share(share) => TuneDisk::Share(share),
                DiskGoal::PerChunk(bytes) => TuneDisk::BytesPerChunk(bytes),
            },
        }
    }
}

impl Tuned {
    /// Whether the collection is another one by now: twice or half as large, or of another model.
    pub(super) fn is_due(&self, chunks: u64, model: ModelId) -> bool {
        model != self.model || chunks >= 2 * self.chunks.max(1) || 2 * chunks <= self.chunks
    }

    pub(super) fn told(&self) -> api::TunedInfo {
        let Self { goals, at, chunks, fits, .. } = self;
        api::TunedInfo { goals: goals.told(), at: *at, chunks: *chunks, fits: *fits }
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::Digest;

    use super::*;

    fn call() -> TuneCall {
        TuneCall {
            collection: "notes".parse().expect("a name"),
            recall: None,
            latency_us: None,
            disk: None,
            dry_run: false,
            nearest: false,
        }
    }

    #[test]
    fn goals_have_defaults_and_bounds_and_come_back() {
        let goals = Goals::asked(&call()).expect("defaults");
        assert_eq!(goals.for_index(), TuneGoals::default());
        let asked = TuneCall {
            recall: Some(0.9),
            latency_us: Some(5_000),
            disk: Some(TuneDisk::Share(0.01)),
            ..call()
        };
        let goals = Goals::asked(&asked).expect("in bounds");
        let told = goals.told();
        assert_eq!(
            (told.recall, told.latency_us, told.disk),
            (0.9, Some(5_000), TuneDisk::Share(0.01))
        );
        let bad = [
            TuneCall { recall: Some(1.1), ..call() },
            TuneCall { recall: Some(f64::NAN), ..call() },
            TuneCall { latency_us: Some(0), ..call() },
            TuneCall { latency_us: Some(u64::MAX), ..call() },
            TuneCall { disk: Some(TuneDisk::Share(0.0)), ..call() },
            TuneCall { disk: Some(TuneDisk::Share(1.5)), ..call() },
            TuneCall { disk: Some(TuneDisk::BytesPerChunk(f64::INFINITY)), ..call() },
        ];
        for call in bad {
            let error = Goals::asked(&call).expect_err("out of bounds");
            assert_eq!(error.code, ErrorCode::Usage, "{call:?}");
        }
    }

    #[test]
    fn it_is_due_when_it_doubled_or_halved_or_has_another_model() {
        let model = |release: &[u8]| ModelId {
            base: Digest::sha256(b"b"),
            release: Digest::sha256(release),
        };
        let goals = Goals::asked(&call()).expect("defaults");
        let tuned =
            Tuned { goals, at: UnixMillis(0), chunks: 1000, model: model(b"1"), fits: true };
        let cases = [(1000, false), (1999, false), (2000, true), (501, false), (500, true)];
        for (chunks, due) in cases {
            assert_eq!(tuned.is_due(chunks, model(b"1")), due, "{chunks}");
        }
        assert!(tuned.is_due(1000, model(b"2")));
    }
}
