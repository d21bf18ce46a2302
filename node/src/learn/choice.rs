//! What the person has decided about taking part.

use covey_privacy::ledger::CollectionKey;
use covey_privacy::{Delta, Epsilon};
use covey_protocol::ids::GroupId;
use covey_protocol::round::Limits;
use covey_protocol::secagg::{Bounds, Demands};

use super::Learning;
use crate::api::{ApiError, ErrorCode, OptIn};
use crate::collections::{Collections, key_of_pairs};
use crate::store::{Table, Write};

/// Of the person's decision.
fn key(group: GroupId) -> Vec<u8> {
    [&[b'p', 0], &group.0.as_bytes()[..]].concat()
}

fn damaged(_: serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::Corrupt, "what is remembered of learning together is damaged")
        .hint("opt in again: `covey train opt-in`")
}

impl Learning {
    /// On what terms this node takes part in a group's rounds; nothing if it does not.
    pub(super) fn choice(&self, group: GroupId) -> Result<Option<OptIn>, ApiError> {
        let bytes = self.kv.get(Table::Rounds, &key(group))?;
        bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(damaged)).transpose()
    }

    pub(super) fn choose(&self, group: GroupId, choice: Option<&OptIn>) -> Result<(), ApiError> {
        let write = match choice {
            Some(choice) => {
                let bytes = serde_json::to_vec(choice).map_err(damaged)?;
                Write::Put(Table::Rounds, key(group), bytes)
            }
            None => Write::Delete(Table::Rounds, key(group)),
        };
        Ok(self.kv.write(vec![write])?)
    }
}

impl OptIn {
    /// Whether nothing differs but when this node trains, which changes nothing of what may leave.
    pub(super) fn allows_the_same(&self, other: &Self) -> bool {
        Self { schedule: other.schedule.clone(), ..self.clone() } == *other
    }

    /// What it learns from, for the ledger: the folders of its collections, and its files of pairs.
    pub(super) fn keys(&self, collections: &Collections) -> Result<Vec<CollectionKey>, ApiError> {
        let mut keys = Vec::new();
        for name in &self.collections {
            keys.extend(collections.keys_of(name)?);
        }
        keys.extend(self.pairs.iter().map(|file| key_of_pairs(file)));
        Ok(keys)
    }

    /// As limits on plans.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub(super) fn limits(&self) -> Result<Limits, ApiError> {
        let usage =
            |error: covey_privacy::OutOfRange| ApiError::new(ErrorCode::Usage, error.to_string());
        let a_round = self.round_epsilon.or(self.epsilon);
        let max_epsilon = a_round.map(Epsilon::new).transpose().map_err(usage)?;
        if self.min_honest < 2 || self.collusion_permille >= 500 {
            let message = "an update is summed with at least one other honest member's, and fewer than half may collude";
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
        if self.max_steps == 0 || self.max_bytes == 0 {
            let message = "a round takes a step of training and some bytes; to take no part: `covey train opt-out`";
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
        self.schedule.check().map_err(|what| ApiError::new(ErrorCode::Usage, what))?;
        Ok(Limits {
            demands: Demands {
                min_honest: self.min_honest,
                collusion_permille: self.collusion_permille,
                colluders: 1,
                security_bits: Bounds::default().security_bits,
            },
            max_epsilon,
            delta: Delta::new(self.delta).map_err(usage)?,
            max_steps: self.max_steps,
            max_bytes: self.max_bytes,
        })
    }
}
