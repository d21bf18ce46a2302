//! The person's own adapter: what turns the questions that they ask of their own files towards what they mean by them.
//!
//! It lies on top of whatever model is in use, a group's release too, and maps the vectors of questions alone
//! ([`QueryAdapter`]): no index changes with it, and nobody else can tell that there is one. It is learnt from the person's
//! own pairs, kept only if it does better on pairs that were held out, and never leaves the node. Questions to a group go out as text and are scored by
//! the shared model everywhere, this node included, so that scores compare.

mod file;
mod train;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use covey_embedder::adapter::QueryAdapter;
use covey_net::Link;
use covey_privacy::ledger::Unit;
use covey_protocol::ids::ModelId;

use crate::api::{
    ApiError, ErrorCode, PersonalAdapter, PersonalInfo, PersonalLearnt, PersonalTrain, Progress,
    Reply,
};
use crate::background::quietly;
use crate::cancel::CancelFlag;
use crate::models::ModelHandle;
use crate::node::{Node, metered};
use crate::store::{Blobs, StoreError};
use file::Kept;

/// Its file.
const FILE: &str = "personal";

/// What is kept.
#[derive(Clone)]
enum State {
    None,
    Kept(Arc<Kept>),
    Damaged(String),
}

/// The person's own adapter, if there is one.
pub(crate) struct Personal {
    blobs: Arc<dyn Blobs>,
    state: RwLock<State>,
    /// One change at a time, from reading to writing.
    changing: Mutex<()>,
    /// One training at a time.
    training: tokio::sync::Mutex<()>,
}

impl Personal {
    /// Reads it. One that is damaged is not used, and shown as such.
    pub(crate) fn open(blobs: Arc<dyn Blobs>) -> Result<Self, StoreError> {
        let state = match blobs.get(FILE)? {
            None => State::None,
            Some(bytes) => match Kept::from_bytes(&bytes) {
                Ok(kept) => State::Kept(Arc::new(kept)),
                Err(error) => {
                    tracing::error!(%error, "the personal adapter is damaged and not used");
                    State::Damaged(error)
                }
            },
        };
        let (state, training) = (RwLock::new(state), tokio::sync::Mutex::new(()));
        Ok(Self { blobs, state, changing: Mutex::new(()), training })
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn kept(&self) -> Option<Arc<Kept>> {
        match self.state() {
            State::Kept(kept) => Some(kept),
            State::None | State::Damaged(_) => None,
        }
    }

    /// What questions are to be asked with, if the person wants that.
    pub(crate) fn adapter(&self) -> Option<Arc<QueryAdapter>> {
        self.kept().filter(|kept| kept.about.on).map(|kept| kept.adapter.clone())
    }

    /// Whether questions by one of these models are asked with it.
    pub(crate) fn is_used(&self, models: &BTreeSet<ModelId>) -> bool {
        self.kept().is_some_and(|kept| kept.about.on && models.contains(&kept.about.model))
    }

    /// Keeps what `change` makes of what is kept, if it makes anything.
    fn change(&self, change: impl FnOnce(Option<&Kept>) -> Option<Kept>) -> Result<(), ApiError> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = change(self.kept().as_deref()) else { return Ok(()) };
        let bytes = kept.to_bytes().map_err(|error| {
            ApiError::new(ErrorCode::Internal, format!("the adapter cannot be written: {error}"))
        })?;
        self.blobs.put(FILE, &bytes)?;
        self.set(State::Kept(Arc::new(kept)));
        Ok(())
    }

    fn remove(&self) -> Result<(), StoreError> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.blobs.remove(FILE)?;
        self.set(State::None);
        Ok(())
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// What there is, where questions are asked by models `used`.
    fn info(&self, used: &BTreeSet<ModelId>) -> PersonalInfo {
        let adapter = |kept: Arc<Kept>| {
            let about = &kept.about;
            PersonalAdapter {
                model: about.model,
                on: about.on,
                used: about.on && used.contains(&about.model),
                trained: about.trained,
                collections: about.collections.clone(),
                files: about.files.clone(),
                learnt: about.learnt,
            }
        };
        let (adapter, problem) = match self.state() {
            State::None => (None, None),
            State::Kept(kept) => (Some(adapter(kept)), None),
            State::Damaged(why) => (None, Some(why)),
        };
        PersonalInfo { adapter, not_kept: None, problem }
    }
}

impl<L: Link> Node<L> {
    /// What the person has of their own.
    pub(crate) async fn personal_show(&self) -> Result<Reply, ApiError> {
        self.personal_info(None).await
    }

    async fn personal_info(&self, not_kept: Option<PersonalLearnt>) -> Result<Reply, ApiError> {
        let models = self.models.clone();
        let current = self.env.compute(move || models.current()).await.ok().map(|model| model.id);
        let info = self.personal.info(&self.asked_by(current));
        Ok(Reply::Personal(Box::new(PersonalInfo { not_kept, ..info })))
    }

    /// The models that questions to own files are asked by: the current one, and those of its releases that collections still hold.
    pub(crate) fn asked_by(&self, current: Option<ModelId>) -> BTreeSet<ModelId> {
        let kin = |id: &ModelId| current.is_some_and(|current| current.base == id.base);
        self.collections.releases().into_iter().filter(kin).chain(current).collect()
    }

    /// Trains an adapter for the model in use, which is used from then on if it does better.
    pub(crate) async fn personal_train(
        &self,
        call: PersonalTrain,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        for file in &call.pairs {
            self.collections.pairs_file(file)?;
        }
        let _one = self.personal.training.try_lock().map_err(|_| {
            ApiError::new(ErrorCode::Busy, "an adapter is being trained already")
                .hint("`covey model personal show` tells once it is done")
        })?;
        let train = self.trainer(call, true, cancel)?;
        let learnt = metered(&self.env, progress, move |meter| {
            train(&mut |at| {
                meter(at);
                Ok(())
            })
        });
        let learnt = learnt.await?;
        self.personal_info((!learnt.does_better()).then_some(learnt)).await
    }

    /// What trains an adapter for the model in use, where blocking is fine, and keeps it if it does better. One that was not `asked` for takes the
    /// place of the one before, if that is still there and on.
    fn trainer(
        &self,
        from: PersonalTrain,
        asked: bool,
        cancel: CancelFlag,
    ) -> Result<
        impl FnOnce(train::Watch<'_>) -> Result<PersonalLearnt, ApiError> + Send + 'static,
        ApiError,
    > {
        let (node, opened) = (self.clone(), self.opened.list()?);
        Ok(move |watch: train::Watch<'_>| {
            let model = node.models.current()?;
            let names = match (from.collections.as_slice(), from.pairs.as_slice()) {
                ([], []) => node.collections.names(),
                (some, _) => some.to_vec(),
            };
            let pairs =
                node.collections.pairs_of(&names, &from.pairs, &opened, Unit::Peer, &cancel)?;
            let watch: train::Watch<'_> = &mut |at| {
                cancel.check()?;
                node.collections.let_searches_pass(|| cancel.is_cancelled());
                watch(at)
            };
            let (adapter, learnt) = train::learn(&model, pairs, watch)?;
            let (sources, now) = ((from.collections, from.pairs), node.env.now());
            node.personal.change(|before| {
                let wanted = asked || before.is_some_and(|before| before.about.on);
                if learnt.does_better() && wanted {
                    return Some(Kept::new(adapter, model.dim, now, sources, learnt));
                }
                let mut kept = before?.clone();
                kept.about.tried = model.id;
                Some(kept)
            })?;
            Ok(learnt)
        })
    }

    /// Trains the adapter anew where the model in use is another release of the one it is for.
    pub(crate) async fn personal_follow(&self, cancel: &CancelFlag) {
        let Some(kept) = self.personal.kept().filter(|kept| kept.about.on) else { return };
        let models = self.models.clone();
        let Ok(ModelHandle { id, .. }) = self.env.compute(move || models.current()).await else {
            return;
        };
        if id == kept.about.tried || id.base != kept.about.model.base {
            return;
        }
        let Ok(_one) = self.personal.training.try_lock() else { return };
        let (collections, pairs) = (kept.about.collections.clone(), kept.about.files.clone());
        let from = PersonalTrain { collections, pairs };
        let trained = match self.trainer(from, false, cancel.clone()) {
            Ok(train) => quietly(&self.env, move || train(&mut |_| Ok(()))).await,
            Err(error) => Err(error),
        };
        match trained {
            Ok(learnt) if learnt.does_better() => {
                tracing::info!("the personal adapter is trained anew for another release");
            }
            Ok(_) => tracing::info!("a personal adapter does no better with this release"),
            Err(error) => tracing::warn!(%error, "the personal adapter is not trained anew"),
        }
    }

    /// Says whether questions are asked with it.
    pub(crate) async fn personal_use(&self, on: bool) -> Result<Reply, ApiError> {
        let mut there = false;
        self.personal.change(|kept| {
            let mut kept = kept?.clone();
            (kept.about.on, there) = (on, true);
            Some(kept)
        })?;
        if !there {
            let message = match self.personal.state() {
                State::Damaged(why) => format!("the personal adapter is damaged: {why}"),
                State::None | State::Kept(_) => "there is no personal adapter".to_owned(),
            };
            return Err(ApiError::new(ErrorCode::NotFound, message)
                .hint("`covey model personal train` makes one"));
        }
        self.personal_info(None).await
    }

    /// Deletes it.
    pub(crate) fn personal_remove(&self) -> Result<Reply, ApiError> {
        self.personal.remove()?;
        Ok(Reply::Ok)
    }
}
