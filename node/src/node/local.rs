//! Calls that concern this node alone: collections, shares, models.

use std::path::PathBuf;

use covey_net::Link;
use covey_protocol::ids::Name;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{MODEL_KEY, Node};
use crate::api::{
    self, Added, ApiError, ErrorCode, ExportCall, Profile, Progress, Reply, TuneCall,
};
use crate::cancel::CancelFlag;
use crate::collections::Meter;
use crate::env::Env;
use crate::store::{Table, Write};

/// Progress reports on their way from where work is done; later ones are dropped while it is full.
const PROGRESS_QUEUE: usize = 16;

impl<L: Link> Node<L> {
    pub(super) async fn add(
        &self,
        path: PathBuf,
        collection: Option<Name>,
        profile: Option<Profile>,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let collections = self.collections.clone();
        let work =
            move |meter: Meter<'_>| collections.add(&path, collection, profile, meter, &cancel);
        let added = self.timed(progress, work).await;
        if added.is_err() {
            self.drop_orphaned_shares()?;
        }
        added.map(Reply::Added)
    }

    pub(super) async fn refresh(
        &self,
        collection: Name,
        path: PathBuf,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let collections = self.collections.clone();
        let work = move |meter: Meter<'_>| collections.refresh(collection, &path, meter, &cancel);
        self.timed(progress, work).await.map(Reply::Added)
    }

    pub(super) async fn reindex(
        &self,
        collection: Option<Name>,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let one = collection.is_some();
        let names = collection.map_or_else(|| self.collections.names(), |name| vec![name]);
        let (collections, asked) = (self.collections.clone(), names.clone());
        let check = move || asked.iter().try_for_each(|name| collections.all_there(name));
        self.env.compute(check).await?;
        let mut done = Vec::new();
        for name in names {
            let (collections, cancel) = (self.collections.clone(), cancel.clone());
            let work = move |meter: Meter<'_>| collections.reindex(&name, meter, &cancel);
            done.push(self.timed(progress, work).await?);
        }
        match done.pop() {
            Some(added) if one => Ok(Reply::Added(added)),
            last => {
                done.extend(last);
                Ok(Reply::Reindexed { collections: done })
            }
        }
    }

    pub(super) async fn remove(
        &self,
        collection: Name,
        path: Option<PathBuf>,
    ) -> Result<Reply, ApiError> {
        let collections = self.collections.clone();
        self.env.compute(move || collections.remove(&collection, path.as_deref())).await?;
        self.drop_orphaned_shares()?;
        Ok(Reply::Ok)
    }

    /// Takes back the shares of collections that are gone: a later collection of the same name is
    /// another one, and shared with nobody.
    pub(super) fn drop_orphaned_shares(&self) -> Result<(), ApiError> {
        self.shares.remove(|_, name| !self.collections.contains(name))?;
        Ok(())
    }

    pub(super) fn share(
        &self,
        collection: Name,
        group: &Name,
        reveal: api::Reveal,
    ) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        if !self.collections.contains(&collection) {
            let message = format!("there is no collection called {collection}");
            return Err(ApiError::new(ErrorCode::NotFound, message)
                .hint("`covey status` lists them; `covey add FOLDER` makes one"));
        }
        if self.groups.view(id, |log| log.role_of(self.id())).flatten().is_none() {
            let message = format!("this node is no member of {group} any more");
            return Err(
                ApiError::new(ErrorCode::Forbidden, message).hint("ask an admin for a new invite")
            );
        }
        self.shares.put(id, collection, reveal.into())?;
        // It may have been removed just now.
        self.drop_orphaned_shares()?;
        Ok(Reply::Ok)
    }

    pub(super) fn unshare(&self, collection: &Name, group: &Name) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        if !self.shares.remove(|of, name| of == id && name == collection)? {
            let message = format!("collection {collection} is not shared with {group}");
            return Err(ApiError::new(ErrorCode::NotFound, message)
                .hint("`covey status` shows what is shared with whom"));
        }
        Ok(Reply::Ok)
    }

    pub(super) async fn model_list(&self) -> Result<Reply, ApiError> {
        let models = self.models.clone();
        let models = self.env.compute(move || models.list()).await?;
        Ok(Reply::Models { models })
    }

    pub(crate) async fn model_use(&self, name: String) -> Result<Reply, ApiError> {
        let models = self.models.clone();
        let handle = self.env.compute(move || models.set_current(&name)).await?;
        let put = Write::Put(Table::Meta, MODEL_KEY.to_vec(), handle.name.into_bytes());
        self.kv.write(vec![put])?;
        self.collections.model_changed();
        self.model_changed.notify_one();
        self.model_list().await
    }

    pub(super) async fn index_verify(&self, collection: Name) -> Result<Reply, ApiError> {
        let collections = self.collections.clone();
        let verified = self.env.compute(move || collections.index_verify(&collection)).await?;
        Ok(Reply::IndexVerified(verified))
    }

    pub(super) async fn index_compact(
        &self,
        collection: Name,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let collections = self.collections.clone();
        let work = move |meter: Meter<'_>| collections.index_compact(&collection, meter, &cancel);
        metered(&self.env, progress, work).await.map(Reply::IndexCompacted)
    }

    pub(super) async fn index_recode(
        &self,
        collection: Name,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let collections = self.collections.clone();
        let work = move |meter: Meter<'_>| collections.index_recode(&collection, meter, &cancel);
        metered(&self.env, progress, work).await.map(Reply::IndexRecoded)
    }

    pub(super) async fn index_profile(
        &self,
        collection: Name,
        profile: Profile,
        cache_bytes: Option<u64>,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let collections = self.collections.clone();
        let work = move |meter: Meter<'_>| {
            collections.index_profile(&collection, profile, cache_bytes, meter, &cancel)
        };
        metered(&self.env, progress, work).await.map(Reply::Index)
    }

    pub(super) async fn index_export(
        &self,
        collection: Name,
        export: ExportCall,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let collections = self.collections.clone();
        let work =
            move |meter: Meter<'_>| collections.index_export(&collection, &export, meter, &cancel);
        metered(&self.env, progress, work).await.map(Reply::IndexExported)
    }

    pub(super) async fn tune(
        &self,
        call: TuneCall,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let collections = self.collections.clone();
        let work = move |meter: Meter<'_>| collections.tune(&call, meter, &cancel);
        metered(&self.env, progress, work).await.map(|info| Reply::Tuned(Box::new(info)))
    }

    /// Runs long `work` and takes the time of it.
    async fn timed(
        &self,
        progress: &mut (dyn FnMut(Progress) + Send),
        work: impl FnOnce(Meter<'_>) -> Result<Added, ApiError> + Send + 'static,
    ) -> Result<Added, ApiError> {
        let started = Instant::now();
        let mut added = metered(&self.env, progress, work).await?;
        added.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(added)
    }
}

/// Runs long `work` where `env` computes, passing on what it tells of its progress.
pub(crate) async fn metered<T: Send + 'static>(
    env: &Env,
    progress: &mut (dyn FnMut(Progress) + Send),
    work: impl FnOnce(Meter<'_>) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let (tx, mut rx) = mpsc::channel(PROGRESS_QUEUE);
    let computing = env.compute(move || {
        work(&mut |at| {
            // A full queue means that whoever listens is slow; the next report says more.
            let _ = tx.try_send(at);
        })
    });
    tokio::pin!(computing);
    let result = loop {
        tokio::select! {
            biased;
            Some(at) = rx.recv() => progress(at),
            result = &mut computing => break result,
        }
    };
    while let Ok(at) = rx.try_recv() {
        progress(at);
    }
    result
}

impl From<api::Reveal> for covey_protocol::search::Reveal {
    fn from(reveal: api::Reveal) -> Self {
        match reveal {
            api::Reveal::Score => Self::Score,
            api::Reveal::Snippet => Self::Snippet,
            api::Reveal::Full => Self::Full,
        }
    }
}

impl api::Reveal {
    /// As the API shows it; `None` for what shares nothing.
    pub(crate) fn of(reveal: covey_protocol::search::Reveal) -> Option<Self> {
        use covey_protocol::search::Reveal;
        match reveal {
            Reveal::Nothing => None,
            Reveal::Score => Some(Self::Score),
            Reveal::Snippet => Some(Self::Snippet),
            Reveal::Full => Some(Self::Full),
        }
    }
}
