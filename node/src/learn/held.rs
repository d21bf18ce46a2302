//! What is kept here of a group's releases: which were adopted and which declined, and manifest and values of those that were fetched, for
//! whoever asks.

use std::sync::PoisonError;

use covey_crypto::Digest;
use covey_net::Link;
use covey_protocol::group::Release;
use covey_protocol::ids::{GroupId, ModelId, UnixMillis};
use covey_protocol::limits::{MAX_PIECE, MAX_ROUND_REQUEST};
use covey_protocol::round::{Manifest, SignedManifest, Start, values_from_bytes, values_to_bytes};
use covey_protocol::wire;
use covey_protocol::wire::v1::round::{RoundAnswer, RoundAsk, RoundRefusal};
use serde::{Deserialize, Serialize};

use super::Learning;
use crate::api::{Adopt, ApiError, ErrorCode};
use crate::node::Node;
use crate::store::{Table, Write};

/// Old releases that are kept besides those in use, unless the person says otherwise.
const KEPT: u32 = 2;
/// The most that can be kept.
pub(super) const MOST_KEPT: u32 = 16;
/// This node tries one release by itself in this time, in milliseconds (a day). Whether it uses one shows, and tells a little of its own pairs.
const TRIED_EVERY_MS: u64 = 24 * 3_600_000;
/// Declined releases that are remembered.
const MOST_DECLINED: usize = 16;

/// What is remembered of one group's releases.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Shelf {
    /// What the person wants of new ones; by default what the terms of taking part say.
    pub(super) follow: Option<Adopt>,
    /// Old ones that are kept, if the person said how many.
    keep: Option<u32>,
    /// Those that are here, the newest first.
    pub(super) held: Vec<Held>,
    /// Those that are not adopted by themselves any more, the newest first.
    declined: Vec<Declined>,
    /// The last that was adopted, by its manifest.
    pub(super) adopted: Option<Digest>,
    /// The model that was in use before it.
    pub(super) before: Option<String>,
    /// The last that this node tried by itself, by its manifest, and when.
    #[serde(default)]
    pub(super) tried: Option<(Digest, UnixMillis)>,
}

/// A release that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) number: u32,
    pub(super) model: ModelId,
    pub(super) manifest: Digest,
    pub(super) values: Start,
    /// What the model is called here.
    pub(super) name: String,
}

/// A release that was looked at, and not adopted; or gone back from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Declined {
    manifest: Digest,
    why: String,
}

impl Shelf {
    /// How many old ones are kept.
    pub(super) fn keep(&self) -> u32 {
        self.keep.unwrap_or(KEPT).min(MOST_KEPT)
    }

    pub(super) fn set_keep(&mut self, keep: u32) {
        self.keep = Some(keep.min(MOST_KEPT));
    }

    /// Why a release is not adopted by itself.
    pub(super) fn declined(&self, manifest: &Digest) -> Option<&str> {
        let found = self.declined.iter().find(|it| it.manifest == *manifest);
        found.map(|it| it.why.as_str())
    }

    /// Whether this node may try a release by itself now: the same again, or another one a day later, by its own clock.
    pub(super) fn may_try(&self, manifest: &Digest, now: UnixMillis) -> bool {
        // A clock that was set back is no reason to wait longer.
        self.tried
            .is_none_or(|(last, at)| last == *manifest || now.0.abs_diff(at.0) >= TRIED_EVERY_MS)
    }

    pub(super) fn decline(&mut self, manifest: Digest, why: String) {
        self.accept(&manifest);
        self.declined.insert(0, Declined { manifest, why });
        self.declined.truncate(MOST_DECLINED);
    }

    /// Forgets that a release was declined.
    pub(super) fn accept(&mut self, manifest: &Digest) {
        self.declined.retain(|it| it.manifest != *manifest);
    }

    pub(super) fn put(&mut self, held: Held) {
        self.held.retain(|it| it.manifest != held.manifest);
        self.held.insert(0, held);
        self.held.sort_by_key(|it| std::cmp::Reverse(it.number));
    }

    /// Takes out what is neither used nor among the newest that are kept besides. `used` says what is.
    pub(super) fn spare(&mut self, used: impl Fn(&Held) -> bool) -> Vec<Held> {
        let (keep, mut old) = (self.keep(), 0);
        let (kept, spare) = std::mem::take(&mut self.held).into_iter().partition(|it| {
            old += u32::from(!used(it));
            used(it) || old <= keep
        });
        self.held = kept;
        spare
    }
}

fn key(group: GroupId) -> Vec<u8> {
    [&[b'p', 2], &group.0.as_bytes()[..]].concat()
}

fn file(group: GroupId, kind: char, of: &Digest) -> String {
    format!("{}{kind}-{of}", files(group))
}

/// What the names of a group's files begin with.
fn files(group: GroupId) -> String {
    format!("h{}-", &group.to_string()[..16])
}

fn damaged(_: serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::Corrupt, "what is remembered of a group's releases is damaged")
}

impl Learning {
    pub(super) fn shelf(&self, group: GroupId) -> Result<Shelf, ApiError> {
        match self.kv.get(Table::Rounds, &key(group))? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(damaged),
            None => Ok(Shelf::default()),
        }
    }

    /// Changes what is remembered.
    pub(super) fn shelve<T>(
        &self,
        group: GroupId,
        change: impl FnOnce(&mut Shelf) -> T,
    ) -> Result<T, ApiError> {
        let _one = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shelf = self.shelf(group)?;
        let before = shelf.clone();
        let done = change(&mut shelf);
        if shelf != before {
            let bytes = serde_json::to_vec(&shelf).map_err(damaged)?;
            self.kv.write(vec![Write::Put(Table::Rounds, key(group), bytes)])?;
        }
        Ok(done)
    }

    /// Forgets all that is remembered and kept of a group's releases, and returns which there were.
    pub(super) fn drop_shelf(&self, group: GroupId) -> Result<Vec<Held>, ApiError> {
        let _one = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        // Of one that is damaged the models are not known.
        let held = self.shelf(group).map(|shelf| shelf.held).unwrap_or_default();
        self.kv.write(vec![Write::Delete(Table::Rounds, key(group))])?;
        self.blobs.remove(&files(group))?;
        Ok(held)
    }

    /// Keeps manifest and values of a release, to go back to and to give to others.
    pub(super) fn keep_release(
        &self,
        group: GroupId,
        signed: &SignedManifest,
        of: Start,
        values: &[f32],
    ) -> Result<(), ApiError> {
        self.blobs.put(&file(group, 'v', &of.digest), &values_to_bytes(values))?;
        Ok(self.blobs.put(&file(group, 'm', &signed.digest()), &wire::encode(signed))?)
    }

    /// A release's manifest and values, if they are here and whole.
    pub(super) fn kept_release(
        &self,
        group: GroupId,
        release: &Release,
    ) -> Result<Option<(SignedManifest, Vec<f32>)>, ApiError> {
        let shelf = self.shelf(group)?;
        let held = shelf.held.iter().find(|it| it.manifest == release.manifest);
        let Some(held) = held else { return Ok(None) };
        let Some(signed) = self.manifest(group, &held.manifest)? else { return Ok(None) };
        let values = self.values(group, &held.values)?;
        Ok(values.map(|values| (signed, values)))
    }

    /// A release's manifest, if it is here and whole.
    fn manifest(&self, group: GroupId, of: &Digest) -> Result<Option<SignedManifest>, ApiError> {
        let bytes = self.blobs.get(&file(group, 'm', of))?;
        let signed = bytes.and_then(|bytes| wire::decode(&bytes, MAX_ROUND_REQUEST).ok());
        let whole = |it: &SignedManifest| it.digest() == *of && it.verify().is_ok();
        Ok(signed.filter(whole))
    }

    /// What the manifest of a release says, if it is here and whole.
    pub(super) fn said(&self, group: GroupId, of: &Digest) -> Result<Option<Manifest>, ApiError> {
        Ok(self.manifest(group, of)?.and_then(|signed| signed.verify().ok()))
    }

    pub(super) fn values(&self, group: GroupId, of: &Start) -> Result<Option<Vec<f32>>, ApiError> {
        let bytes = self.blobs.get(&file(group, 'v', &of.digest))?;
        let values = bytes.map(|bytes| values_from_bytes(&bytes));
        Ok(values.filter(|values| Start::of(values) == *of))
    }

    /// Deletes what is kept of a release. Another one may have the same values.
    pub(super) fn drop_release(&self, group: GroupId, held: &Held) -> Result<(), ApiError> {
        self.blobs.remove(&file(group, 'm', &held.manifest))?;
        let shelf = self.shelf(group)?;
        if shelf.held.iter().all(|it| it.values != held.values) {
            self.blobs.remove(&file(group, 'v', &held.values.digest))?;
        }
        Ok(())
    }

    /// What a member asks of a release that is here; nothing if it asks something else, or it is not.
    fn held_answer(&self, group: GroupId, ask: &RoundAsk) -> Result<Option<RoundAnswer>, ApiError> {
        let held = self.shelf(group)?.held;
        match ask {
            RoundAsk::Manifest { of } if held.iter().any(|it| it.manifest == *of) => {
                Ok(self.manifest(group, of)?.map(RoundAnswer::Manifest))
            }
            RoundAsk::Values { of, offset } if held.iter().any(|it| it.values.digest == *of) => {
                let name = file(group, 'v', of);
                let total = self.blobs.length(&name)?;
                if total == 0 {
                    return Ok(None);
                }
                if !offset.is_multiple_of(4) || *offset > total {
                    return Ok(Some(RoundAnswer::Refused(RoundRefusal::BadRequest)));
                }
                let bytes = self.blobs.read(&name, *offset, MAX_PIECE)?;
                Ok(Some(RoundAnswer::Values { total, bytes }))
            }
            RoundAsk::Manifest { .. }
            | RoundAsk::Values { .. }
            | RoundAsk::Status
            | RoundAsk::Step { .. } => Ok(None),
        }
    }
}

impl<L: Link> Node<L> {
    /// Answers a member out of the releases that are here, if it asks for one.
    pub(super) async fn answer_held(&self, group: GroupId, ask: &RoundAsk) -> Option<RoundAnswer> {
        let ask = match ask {
            RoundAsk::Manifest { of } => RoundAsk::Manifest { of: *of },
            RoundAsk::Values { of, offset } => RoundAsk::Values { of: *of, offset: *offset },
            RoundAsk::Status | RoundAsk::Step { .. } => return None,
        };
        let learning = self.learning.clone();
        let answer = self.env.compute(move || learning.held_answer(group, &ask)).await;
        answer.inspect_err(|error| tracing::warn!(%error, "a release cannot be read")).ok()?
    }
}

#[cfg(test)]
mod tests {
    use covey_protocol::ids::ModelId;

    use super::*;

    fn held(number: u32) -> Held {
        let digest = Digest::sha256(&number.to_le_bytes());
        let model = ModelId { base: Digest::ZERO, release: digest };
        let values = Start { values: 1, digest };
        Held { number, model, manifest: digest, values, name: format!("r{number}") }
    }

    #[test]
    fn the_newest_and_those_in_use_stay() {
        let mut shelf = Shelf::default();
        for number in [1, 3, 2, 6, 5, 4] {
            shelf.put(held(number));
        }
        shelf.put(held(3));
        let numbers = |held: &[Held]| held.iter().map(|it| it.number).collect::<Vec<_>>();
        assert_eq!(numbers(&shelf.held), [6, 5, 4, 3, 2, 1]);
        // One is current, another still answers for a collection.
        let spare = shelf.spare(|it| it.number == 6 || it.number == 2);
        assert_eq!(numbers(&shelf.held), [6, 5, 4, 2]);
        assert_eq!(numbers(&spare), [3, 1]);
        shelf.set_keep(0);
        let spare = shelf.spare(|it| it.number == 6);
        assert_eq!((numbers(&shelf.held), numbers(&spare)), (vec![6], vec![5, 4, 2]));
        shelf.set_keep(u32::MAX);
        assert_eq!(shelf.keep(), MOST_KEPT);
    }

    #[test]
    fn one_release_a_day_is_tried_by_itself() {
        let (mut shelf, now) = (Shelf::default(), UnixMillis(1_800_000_000_000));
        let [first, second] = [1, 2].map(|number| held(number).manifest);
        assert!(shelf.may_try(&first, now));
        shelf.tried = Some((first, now));
        let later = now.plus(TRIED_EVERY_MS - 1);
        assert!(shelf.may_try(&first, later), "it could not be had before");
        assert!(!shelf.may_try(&second, later));
        assert!(shelf.may_try(&second, later.plus(1)));
        assert!(shelf.may_try(&second, UnixMillis(0)), "a clock that was days ahead");
    }

    #[test]
    fn what_was_declined_is_remembered_within_bounds() {
        let mut shelf = Shelf::default();
        for number in 0..40 {
            shelf.decline(held(number).manifest, format!("why {number}"));
        }
        assert_eq!(shelf.declined.len(), MOST_DECLINED);
        assert_eq!(shelf.declined(&held(39).manifest), Some("why 39"));
        assert_eq!(shelf.declined(&held(0).manifest), None);
        shelf.decline(held(39).manifest, "again".into());
        assert_eq!(shelf.declined(&held(39).manifest), Some("again"));
        shelf.accept(&held(39).manifest);
        assert_eq!(shelf.declined(&held(39).manifest), None);
    }
}
