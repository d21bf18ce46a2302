//! Who takes part in rounds.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;

use covey_crypto::{Digest, SecretKey};
use covey_privacy::encode::Layout;
use covey_privacy::ledger::CollectionKey;
use covey_privacy::rng::Randomness;
use covey_protocol::ids::{Epoch, GroupId, NodeId};
use covey_protocol::round::{Checked, Company, Limits};
use covey_protocol::secagg::Members;
use covey_protocol::wire::v1::round::{Over, RoundAnswer, RoundAsk};
use rand_chacha::ChaCha20Rng;

use super::{Kept, Trained};
use crate::api::ApiError;
use crate::cancel::CancelFlag;
use crate::env::Env;

/// Why training does not go on yet, as it is told.
pub type Wait = Box<dyn Display + Send>;

/// One who takes part in the rounds of one group, on terms that do not change while it does.
pub trait Party: Sync {
    /// Where rounding and noise come from.
    type Noise: Randomness + Send + 'static;

    /// The group.
    fn group(&self) -> GroupId;

    /// Time, randomness, and where to compute.
    fn env(&self) -> &Env;

    /// Who it is.
    fn key(&self) -> Arc<SecretKey>;

    /// What it keeps of rounds.
    fn kept(&self) -> &Kept;

    /// Raised when it is to end.
    fn stop(&self) -> &CancelFlag;

    /// Who coordinates the group's rounds now, if anybody does.
    fn coordinator(&self) -> Option<NodeId>;

    /// Who was a member at that entry of the group's log.
    ///
    /// # Errors
    /// If that is not known, or one of them is a member no more.
    fn members(&self, at: Epoch) -> Result<Members, ApiError>;

    /// What it demands of a plan.
    fn limits(&self) -> &Limits;

    /// What it demands of a cohort of these members, if anything.
    fn company(&self, coordinator: NodeId, members: &Members) -> Option<Company>;

    /// Why it must not train right now, if so.
    ///
    /// # Errors
    /// If that cannot be told.
    fn waits(&self) -> Result<Option<Wait>, ApiError>;

    /// Whether an update may still leave on the terms that there were when it was made.
    ///
    /// # Errors
    /// If that cannot be told.
    fn still_agrees(&self) -> Result<bool, ApiError>;

    /// What is learnt from on the terms that there are, for the ledger.
    ///
    /// # Errors
    /// If that cannot be told.
    fn sources(&self) -> Result<Vec<CollectionKey>, ApiError>;

    /// The generator for the keys of one attempt.
    fn keys(&self) -> ChaCha20Rng {
        self.env().fork_rng()
    }

    /// The generator for the rounding and noise of one update, which is masked for the attempt with these terms.
    fn noise(&self, terms: &Digest) -> Self::Noise;

    /// How an update is encoded: as the plan says, by whoever plays by the rules.
    fn layout(&self, plan: &Checked) -> Layout {
        plan.layout().clone()
    }

    /// Hears how it goes.
    fn tell(&self, news: News<'_>);

    /// Asks the coordinator until there is an answer.
    fn ask(
        &self,
        coordinator: NodeId,
        ask: RoundAsk,
    ) -> impl Future<Output = Result<RoundAnswer, ApiError>> + Send;

    /// Does what a plan asks for, until it is done or [`super::training_ends`].
    fn train(
        &self,
        coordinator: NodeId,
        plan: &Checked,
    ) -> impl Future<Output = Result<Trained, ApiError>> + Send;
}

/// How it goes.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// A plan was published, which may yet be refused.
    Announced(Digest),
    /// This attempt at a plan is followed.
    Follows(&'a Checked, u32),
    /// Nothing is in the way of taking part.
    Accepts,
    /// What is done now, for people.
    Doing(&'a str),
    /// An attempt is over for this party.
    Over(Over),
    /// Nothing is done any more.
    Rests,
}
