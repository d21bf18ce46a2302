//! What a release of the shared model is made of.

use covey_crypto::{Digest, SecretKey, Signature};
use covey_privacy::ledger::Unit;
use covey_privacy::{Delta, Rho};
use serde::{Deserialize, Serialize};

use super::{Check, Measure, Start};
use crate::group::CurrentRelease;
use crate::ids::{GroupId, ModelId, NodeId, UnixMillis};
use crate::limits::{MAX_ADAPTER_CONFIG, MAX_MEASURES, MAX_PLAN};
use crate::wire::{self, bounded};

/// The version of [`Manifest`]; the first byte of every one.
pub const MANIFEST_VERSION: u8 = 1;

const DOMAIN: &str = "covey release manifest v1";

/// A manifest as it travels: the signed bytes, kept as received, and the signature over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedManifest {
    /// The encoded [`Manifest`].
    #[serde(deserialize_with = "bounded::list::<MAX_PLAN, _, _>")]
    pub body: Vec<u8>,
    /// The coordinator's signature over `body`.
    pub signature: Signature,
}

/// A release: a checkpoint that was promoted, and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u8,
    /// The group.
    pub group: GroupId,
    /// Who made it, and signs.
    pub coordinator: NodeId,
    /// Its number in the group's log.
    pub number: u32,
    /// The exact model that it is: `base` with the adapter worked in.
    pub model: ModelId,
    /// The model whose weights stayed.
    pub base: ModelId,
    /// The adapter's configuration, as in docs/spec/adapter-format.md (JSON).
    #[serde(deserialize_with = "bounded::list::<MAX_ADAPTER_CONFIG, _, _>")]
    pub adapter: Vec<u8>,
    /// The adapter's values.
    pub values: Start,
    /// The release before it, if any.
    pub parent: Option<ModelId>,
    /// The plan of the last round in it.
    pub plan: Digest,
    /// The number of that round.
    pub round: u64,
    /// Rounds that went into it, those of earlier releases included.
    pub rounds: u32,
    /// Fewest contributions that one of them had.
    pub cohort: u32,
    /// What they come to for one who took part in all of them: zero-out, in zCDP; nothing if one had no noise.
    pub cost: Option<Rho>,
    /// Whose presence that is about.
    pub unit: Unit,
    /// The delta that the plans told epsilons for.
    pub delta: Delta,
    /// Means over the last round's participants, noise included.
    #[serde(deserialize_with = "bounded::list::<MAX_MEASURES, _, _>")]
    pub measured: Vec<(Measure, f64)>,
    /// What members made of it before it became a release, if they were asked.
    pub evaluation: Option<Evaluation>,
    /// The coordinator's clock.
    pub at: UnixMillis,
}

/// What members made of a candidate, each by held-out pairs of its own: the outcome of a secure sum, noise included. The coordinator
/// vouches for it; nobody else saw the sum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The plan of its round.
    pub plan: Digest,
    /// How many took part.
    pub members: u32,
    /// Their mean loss with what was there before.
    pub loss_before: f64,
    /// And with the candidate.
    pub loss_after: f64,
    /// The share of them whose pairs do no worse with it.
    pub no_worse: f64,
}

impl Evaluation {
    /// Whether at least `quorum` members took part, and more than half of them do no worse. Numbers that are none satisfy nobody.
    pub fn satisfies(&self, quorum: u32) -> bool {
        let finite = self.loss_before.is_finite() && self.loss_after.is_finite();
        finite && self.members >= quorum && self.no_worse > 0.5
    }
}

impl SignedManifest {
    /// Signs a manifest as its coordinator.
    pub fn sign(manifest: &Manifest, key: &SecretKey) -> Self {
        let body = wire::encode(manifest);
        let signature = key.sign(DOMAIN, &body);
        Self { body, signature }
    }

    /// Names it, whatever its signature.
    pub fn digest(&self) -> Digest {
        Digest::of(DOMAIN, &[&self.body])
    }

    /// What it says. Whether a release is current, the group's log says, which names its digest; so the coordinator of that time need
    /// not be the one of now.
    ///
    /// # Errors
    /// R1 or R2.
    pub fn verify(&self) -> Result<Manifest, Check> {
        if self.body.first() != Some(&MANIFEST_VERSION) {
            return Err(Check::Form);
        }
        let manifest: Manifest =
            wire::decode_canonical(&self.body, MAX_PLAN).map_err(|_| Check::Form)?;
        let key = manifest.coordinator.key();
        let signed = key.verify(DOMAIN, &self.body, &self.signature).is_ok();
        if signed { Ok(manifest) } else { Err(Check::Signature) }
    }
}

impl Manifest {
    /// Whether it is the release that the log of `group` names, and was evaluated as the group demanded when it became one.
    ///
    /// # Errors
    /// R1, R2 or R14.
    pub fn check(
        &self,
        digest: Digest,
        group: GroupId,
        current: &CurrentRelease,
    ) -> Result<(), Check> {
        let release = &current.release;
        if digest != release.manifest || self.group != group {
            return Err(Check::Signature);
        }
        if (self.number, self.model) != (release.number, release.model) {
            return Err(Check::Form);
        }
        let evaluated = || self.evaluation.is_some_and(|it| it.satisfies(current.quorum));
        if current.quorum > 0 && !evaluated() {
            return Err(Check::Quorum);
        }
        Ok(())
    }
}
