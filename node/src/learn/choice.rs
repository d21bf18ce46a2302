//! What the person has decided about taking part.

use std::collections::BTreeSet;

use covey_privacy::ledger::{CollectionKey, Unit};
use covey_privacy::{Delta, Epsilon};
use covey_protocol::ids::GroupId;
use covey_protocol::round::Limits;
use covey_protocol::secagg::{Bounds, Demands};

use super::Learning;
use crate::api::{ApiError, ErrorCode, OptIn};
use crate::collections::{Collections, key_of_pairs};
use crate::store::{Table, Write};

/// Where the person's decision is: a file, as it has to survive a loss of power.
fn file(group: GroupId) -> String {
    format!("p{}-choice", &group.to_string()[..16])
}

/// Where earlier versions kept it.
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
        let bytes = match self.blobs.get(&file(group))? {
            Some(bytes) => Some(bytes),
            None => self.kv.get(Table::Rounds, &key(group))?,
        };
        let Some(bytes) = bytes else { return Ok(None) };
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Keeps a decision. What was decided before has no force from then on, whatever happens.
    pub(super) fn choose(&self, group: GroupId, choice: Option<&OptIn>) -> Result<(), ApiError> {
        // That nothing is chosen is written too: an older decision may be in its old place.
        self.blobs.put(&file(group), &serde_json::to_vec(&choice).map_err(damaged)?)?;
        self.state().failed.remove(&group);
        Ok(self.kv.write(vec![Write::Delete(Table::Rounds, key(group))])?)
    }
}

impl OptIn {
    /// Whether nothing differs but when this node trains, which changes nothing of what may leave.
    pub(super) fn allows_the_same(&self, other: &Self) -> bool {
        Self { schedule: other.schedule.clone(), ..self.clone() } == *other
    }

    /// What it learns from, for the ledger: the folders of its collections, and its files of pairs.
    pub(super) fn keys(&self, collections: &Collections) -> Result<Vec<CollectionKey>, ApiError> {
        let mut keys = BTreeSet::new();
        for name in &self.collections {
            keys.extend(collections.charged_keys_of(name)?);
        }
        keys.extend(self.pairs.iter().map(|file| key_of_pairs(file)));
        Ok(keys.into_iter().collect())
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
        if self.epsilon == Some(0.0) || self.round_epsilon == Some(0.0) {
            let message = "with an epsilon of 0 no part is ever taken; to take no part: `covey train opt-out`";
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
        if self.min_honest < 2 || self.collusion_permille >= 500 {
            let message = "an update is summed with at least one other honest member's, and fewer than half may collude";
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
        if self.max_steps == 0 || self.max_bytes == 0 {
            let message = "a round takes a step of training and some bytes; to take no part: `covey train opt-out`";
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
        self.schedule.check().map_err(|what| ApiError::new(ErrorCode::Usage, what))?;
        if self.unit == Unit::Document && self.epsilon.is_none() {
            let message =
                "a document is protected by noise only: say how much its rounds may give away";
            return Err(
                ApiError::new(ErrorCode::Usage, message).hint("take --epsilon, or --unit peer")
            );
        }
        Ok(Limits {
            unit: self.unit,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use covey_crypto::{Digest, SecretKey};
    use covey_protocol::ids::NodeId;

    use super::*;
    use crate::store::{MemoryStores, Stores};

    #[test]
    fn a_decision_is_a_file_and_counts_more_than_one_in_its_old_place() {
        let stores = Arc::new(MemoryStores::new());
        let me = NodeId::new(SecretKey::from_seed(&[1; 32]).public());
        let learning = Learning::new(stores.clone(), me);
        let group = GroupId(Digest::sha256(b"lab"));
        assert_eq!(learning.choice(group).expect("reads"), None);
        let old = r#"{"group":"lab","epsilon":3.0,"delta":1e-5,"min_honest":3,"collusion_permille":100,"max_steps":9}"#;
        let before = || {
            let write = Write::Put(Table::Rounds, key(group), old.as_bytes().to_vec());
            learning.kv.write(vec![write]).expect("writes");
        };
        before();
        let mut choice = learning.choice(group).expect("reads").expect("an old one");
        assert_eq!(choice.epsilon, Some(3.0));
        choice.epsilon = Some(2.0);
        let failed = || learning.state().failed.contains_key(&group);
        let error = ApiError::new(ErrorCode::NotFound, "too few pairs");
        learning.state().failed.insert(group, (Digest::ZERO, error));
        assert!(failed());
        learning.choose(group, Some(&choice)).expect("keeps");
        assert!(!failed(), "other terms may do better");
        // As if a loss of power had brought it back.
        before();
        assert_eq!(learning.choice(group).expect("reads"), Some(choice));
        learning.choose(group, None).expect("keeps");
        before();
        assert_eq!(learning.choice(group).expect("reads"), None);
        assert!(stores.blobs().get(&file(group)).expect("reads").is_some());
    }
}
