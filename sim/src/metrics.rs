//! What a run measures, a line at a time. Everything here follows from scenario and seed; what the machine's clock says is in [`Timing`] alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of a run's results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Metric {
    /// A round is over; round 0 is what there was before the first.
    Round(RoundMetric),
    /// An hour of questions is over.
    Search(SearchMetric),
}

/// What a round came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RoundMetric {
    /// Of which repeat.
    pub seed: u64,
    /// Its number, from 1 on.
    pub round: u32,
    /// Virtual seconds since the beginning, at its end.
    pub at_s: f64,
    /// Attempts that it took.
    pub attempts: u32,
    /// Why it came to nothing, if it did.
    pub failed: Option<String>,
    /// How many had checked in for the last attempt that anybody checked in for. Of peers that learn alone, how many could train.
    pub cohort: u32,
    /// How many vectors are in the sum.
    pub survivors: u32,
    /// Quality of the model by what the learner measures itself by, larger is better.
    pub quality: Option<f64>,
    /// Mean quality of the tenth of the peers that it serves worst.
    pub worst_decile: Option<f64>,
    /// Mean quality of all peers, where each is judged by its own pairs and `quality` by others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers_quality: Option<f64>,
    /// Loss of the values, where the learner knows one: of the surrogate, half the squared distance from the optimum.
    pub loss: Option<f64>,
    /// Length of the mean update, noise included.
    pub norm: Option<f64>,
    /// Share of participants whose update was clipped; nothing with noise, where telling it would cost some of its own.
    pub clipped: Option<f64>,
    /// The most epsilon that any peer has spent so far, by what its ledger is charged: whenever it has masked an update, retries included. Nothing without noise.
    pub epsilon: Option<f64>,
    /// Noise on the sum as a multiple of the clip norm, as the round's plan says: what the fewest honest ones who may stay add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
    /// Bytes that peers sent and received in the round, all together.
    pub up_bytes: u64,
    /// See `up_bytes`.
    pub down_bytes: u64,
    /// The most that one peer sent and received.
    pub most_up_bytes: u64,
    /// See `most_up_bytes`.
    pub most_down_bytes: u64,
    /// Virtual seconds of each phase of the last attempt, by its name, training included.
    pub phases_s: BTreeMap<String, f64>,
    /// Share of what honest peers alone have gained by then that an attack has undone, where the scenario has one and there was something to gain. Below 0 where
    /// it did good, above 1 where things are worse than before the first round.
    pub attack: Option<f64>,
    /// How many peers that do not collude went no further in it because a check failed, by its number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u32>,
    /// How many of them opened shares for a coordinator that lied to them; nothing where it does not lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<u32>,
    /// How many of their updates the coordinator could open by itself, with all that it and its colluders know; nothing where it neither lies nor anybody
    /// colludes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed: Option<u32>,
}

impl RoundMetric {
    /// How many peers refused, whatever check it was.
    pub fn refusals(&self) -> u32 {
        self.refused.values().sum()
    }

    /// How many refused for which check, as in `A6 1, A7 18`; nothing where nobody did.
    pub fn refused_text(&self) -> Option<String> {
        let each = self.refused.iter().map(|(check, peers)| format!("{check} {peers}"));
        (!self.refused.is_empty()).then(|| each.collect::<Vec<_>>().join(", "))
    }
}

/// What an hour of questions came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SearchMetric {
    /// Of which repeat.
    pub seed: u64,
    /// Which hour, from 1 on.
    pub hour: u32,
    /// Virtual seconds since the beginning, at its end.
    #[serde(default)]
    pub at_s: f64,
    /// Questions asked.
    pub questions: u64,
    /// Members that were asked, each once for each question.
    pub asked: u64,
    /// Of those asked, how often one answered.
    pub answered: u64,
    /// How often one would not.
    pub refused: u64,
    /// How often nothing came in time.
    pub timed_out: u64,
    /// How often one could not be reached.
    pub offline: u64,
    /// Share of the best ten passages of everybody in the group that were found; questions that failed have found nothing.
    pub recall: Option<f64>,
    /// Virtual milliseconds within which half of the questions were over.
    pub p50_ms: f64,
    /// And 95 of a hundred.
    pub p95_ms: f64,
    /// Bytes moved.
    pub bytes: u64,
    /// Share of questions to groups with forgers whose best result is forged; nothing where nobody forges.
    pub attack: Option<f64>,
    /// Share of the passages that others in their groups share which flooders have got so far, on average over them; nothing where nobody floods.
    #[serde(default)]
    pub harvested: Option<f64>,
}

/// Something that happened to a peer, for who wants to know why a round came out as it did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Event {
    /// In which repeat.
    pub seed: u64,
    /// When, in virtual seconds since the beginning.
    pub at_s: f64,
    /// Whom it is about, if it is about one peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<u32>,
    /// What happened, in a word or two.
    pub what: String,
    /// Whatever else there is to say.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// What the machine took, kept apart as it is never the same twice.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Seconds by the wall's clock.
    pub wall_s: f64,
    /// CPU seconds.
    pub cpu_s: f64,
    /// Most memory, in MiB.
    pub peak_mib: f64,
    /// Wall seconds of each round and hour, by repeat; of the first [`MOST_TIMED`].
    pub rounds_s: Vec<f64>,
}

/// Most rounds and hours whose time is kept.
pub const MOST_TIMED: usize = 10_000;

impl Timing {
    /// A round or an hour took so many seconds.
    pub fn took(&mut self, seconds: f64) {
        if self.rounds_s.len() < MOST_TIMED {
            self.rounds_s.push(seconds);
        }
    }

    /// Both parts of a run that was interrupted between them.
    pub fn after(self, earlier: Self) -> Self {
        let mut rounds_s = earlier.rounds_s;
        rounds_s.extend(self.rounds_s);
        rounds_s.truncate(MOST_TIMED);
        Self {
            wall_s: earlier.wall_s + self.wall_s,
            cpu_s: earlier.cpu_s + self.cpu_s,
            peak_mib: earlier.peak_mib.max(self.peak_mib),
            rounds_s,
        }
    }
}
