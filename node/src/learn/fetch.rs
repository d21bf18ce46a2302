//! Fetching a release: its manifest, as the log names it, and its values; from the coordinator, or from whoever has it.

use std::time::Duration;

use covey_net::Link;
use covey_protocol::group::{CurrentRelease, Log};
use covey_protocol::ids::{GroupId, NodeId};
use covey_protocol::round::{Check, Manifest, SignedManifest};
use covey_protocol::wire::v1::round::{RoundAnswer, RoundAsk};
use tokio::time::timeout;

use crate::api::{ApiError, ErrorCode};
use crate::node::Node;
use crate::rounds::{Tries, adapter, refused};

/// How long one member may take to give a release, however slowly it answers.
const ONE_SOURCE: Duration = Duration::from_secs(600);
/// Members that are asked besides the coordinator.
const OTHERS: usize = 8;

/// A release that was fetched and is what the log says.
pub(super) struct Fetched {
    pub(super) signed: SignedManifest,
    pub(super) manifest: Manifest,
    pub(super) values: Vec<f32>,
}

/// Why a release is not used.
pub(super) enum NotUsed {
    /// It is as it is, so it will not be tried again by itself.
    Declined(ApiError),
    /// Something else may help: another member, or time.
    Failed(ApiError),
}

impl From<ApiError> for NotUsed {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl NotUsed {
    pub(super) fn into_error(self) -> ApiError {
        match self {
            Self::Declined(error) | Self::Failed(error) => error,
        }
    }
}

impl<L: Link> Node<L> {
    /// A release as the log names it: from here, the coordinator, or up to eight others, one after the other. `look` has a say once the
    /// manifest is there, before values are fetched.
    pub(super) async fn fetch(
        &self,
        group: GroupId,
        current: &CurrentRelease,
        look: &(dyn Fn(&Manifest) -> Result<(), NotUsed> + Sync),
    ) -> Result<Fetched, NotUsed> {
        let (learning, release) = (self.learning.clone(), current.release);
        let kept = self.env.compute(move || learning.kept_release(group, &release)).await?;
        if let Some((signed, values)) = kept {
            let manifest = verified(&signed, group, current)?;
            look(&manifest)?;
            return Ok(Fetched { signed, manifest, values });
        }
        let mut first = None;
        for source in self.sources(group) {
            let fetching = self.fetch_from(group, source, current, look);
            let failed = match timeout(ONE_SOURCE, fetching).await {
                Ok(Ok(fetched)) => return Ok(fetched),
                Ok(Err(NotUsed::Failed(error))) => error,
                Ok(Err(declined @ NotUsed::Declined(_))) => return Err(declined),
                Err(_) => {
                    let whom = self.member_name(group, source);
                    let message = format!("{whom} took too long to give the release");
                    ApiError::new(ErrorCode::Timeout, message)
                }
            };
            tracing::debug!(%failed, member = %source, "a release cannot be fetched from a member");
            first.get_or_insert(failed);
        }
        let nobody = || ApiError::new(ErrorCode::NotFound, "there is nobody to fetch it from");
        Err(NotUsed::Failed(first.unwrap_or_else(nobody)))
    }

    /// Whom to ask: the coordinator, then others in any order.
    fn sources(&self, group: GroupId) -> Vec<NodeId> {
        let me = self.id();
        let look = |log: &Log| {
            let coordinator = log.coordinator();
            let others = log.members().keys().copied();
            let others = others.filter(|node| *node != me && Some(*node) != coordinator);
            (coordinator, others.collect::<Vec<_>>())
        };
        let (coordinator, others) = self.groups.view(group, look).unwrap_or_default();
        coordinator.into_iter().chain(self.draw(others, OTHERS)).collect()
    }

    async fn fetch_from(
        &self,
        group: GroupId,
        source: NodeId,
        current: &CurrentRelease,
        look: &(dyn Fn(&Manifest) -> Result<(), NotUsed> + Sync),
    ) -> Result<Fetched, NotUsed> {
        let ask = RoundAsk::Manifest { of: current.release.manifest };
        let signed = match self.ask_member(group, source, ask, Tries::Once).await? {
            RoundAnswer::Manifest(signed) => signed,
            other => return Err(self.unexpected(group, source, &other).into()),
        };
        let manifest = verified(&signed, group, current)?;
        look(&manifest)?;
        // No more is fetched than the model here has a use for.
        let (models, base) = (self.models.clone(), manifest.base);
        let config = adapter(&manifest.adapter)?;
        let sized = move || models.learner(base, config, &[], 1).map(|it| it.layout().len());
        if self.env.compute(sized).await? != manifest.values.values as usize {
            return Err(NotUsed::Declined(refused(&Check::Model)));
        }
        let values = self.values(group, source, manifest.values, Tries::Once).await?;
        Ok(Fetched { signed, manifest, values })
    }
}

/// What a manifest says, if it is the one that the log names.
fn verified(
    signed: &SignedManifest,
    group: GroupId,
    current: &CurrentRelease,
) -> Result<Manifest, NotUsed> {
    let manifest = signed.verify().map_err(|check| refused(&check))?;
    match manifest.check(signed.digest(), group, current) {
        Ok(()) => Ok(manifest),
        // Whoever gave it gave another one.
        Err(check @ Check::Signature) => Err(NotUsed::Failed(refused(&check))),
        Err(check) => Err(NotUsed::Declined(refused(&check))),
    }
}
