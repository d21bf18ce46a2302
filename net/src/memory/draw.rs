//! How long a message takes and whether it is lost: drawn from a seed, not from a shared stream.

use std::time::Duration;

use covey_crypto::Digest;
use covey_protocol::ids::NodeId;

use super::Recording;

/// How the network behaves. Checked when made.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    seed: u64,
    shortest: Duration,
    longest: Duration,
    loss_per_million: u32,
    recording: Recording,
}

/// A config that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkConfigError {
    /// The shortest latency is longer than the longest.
    #[error("the shortest latency is longer than the longest")]
    Latency,
    /// More messages lost than sent.
    #[error("a loss of more than 1,000,000 in a million")]
    Loss,
}

impl NetworkConfig {
    /// One-way latencies of 5 to 50 ms, no loss, nothing recorded.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            shortest: Duration::from_millis(5),
            longest: Duration::from_millis(50),
            loss_per_million: 0,
            recording: Recording::Off,
        }
    }

    /// Draws one-way latencies evenly from `shortest..=longest`.
    ///
    /// # Errors
    /// [`NetworkConfigError::Latency`] if they are out of order.
    pub fn latency(
        mut self,
        shortest: Duration,
        longest: Duration,
    ) -> Result<Self, NetworkConfigError> {
        if shortest > longest {
            return Err(NetworkConfigError::Latency);
        }
        (self.shortest, self.longest) = (shortest, longest);
        Ok(self)
    }

    /// Loses this many messages of a million; a lost request or reply ends in a timeout.
    ///
    /// # Errors
    /// [`NetworkConfigError::Loss`] above a million.
    pub fn loss_per_million(mut self, loss: u32) -> Result<Self, NetworkConfigError> {
        if loss > 1_000_000 {
            return Err(NetworkConfigError::Loss);
        }
        self.loss_per_million = loss;
        Ok(self)
    }

    /// What to record.
    pub fn recording(mut self, recording: Recording) -> Self {
        self.recording = recording;
        self
    }

    pub(super) fn recorded(&self) -> Recording {
        self.recording
    }

    /// The fate of the `count`-th message from `from` to `to`: its latency, or `None` if it is lost.
    pub(super) fn draw(&self, from: &NodeId, to: &NodeId, count: u64) -> Fate {
        let parts: [&[u8]; 4] =
            [&self.seed.to_le_bytes(), from.as_bytes(), to.as_bytes(), &count.to_le_bytes()];
        let digest = Digest::of("covey/memory-network/1", &parts);
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&digest.as_bytes()[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let spread = u64::try_from((self.longest - self.shortest).as_nanos()).unwrap_or(u64::MAX);
        let extra = match spread.checked_add(1) {
            Some(values) => word(0) % values,
            None => word(0),
        };
        Fate {
            latency: self.shortest + Duration::from_nanos(extra),
            lost: word(8) % 1_000_000 < u64::from(self.loss_per_million),
        }
    }
}

/// What happens to one message on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate {
    pub(super) latency: Duration,
    pub(super) lost: bool,
}
