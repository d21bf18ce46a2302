//! The node: everything below joined to one link, behind the local API's calls.

mod adopt;
mod local;
mod mine;
mod role;
mod run;
mod status;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_crypto::SecretKey;
use covey_index::Files;
use covey_net::{Events, Link};
use covey_protocol::ids::{Name, NodeId};
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::addresses::Addresses;
use crate::api::{ApiError, Call, ErrorCode, Progress, Reply};
use crate::cancel::CancelFlag;
use crate::collections::{Collections, Ground};
use crate::env::Env;
use crate::groups::Groups;
use crate::learn::Learning;
use crate::models::Models;
use crate::opened::Opened;
use crate::personal::Personal;
use crate::query::{Ledger, Meter, Rates};
use crate::shares::Shares;
use crate::store::{Kv, Stores, Table};
use crate::sync::Pulls;

pub(crate) use local::metered;
pub use role::Role;
pub(crate) use run::Job;

/// Jobs waiting for [`Node::run`]; a further one is left to the next periodic sync.
const JOB_QUEUE: usize = 256;
/// Questions of others answered at once; further ones wait their turn.
pub(crate) const MAX_ANSWERS: usize = 4;
/// The key of [`Table::Meta`] with the name of the model that the person chose.
const MODEL_KEY: &[u8] = b"model";

/// What the person decided about their node.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What members see this node as, unless a group call says otherwise.
    pub name: Name,
    /// Larger files are not indexed.
    pub max_file_bytes: u64,
    /// What it is there for.
    pub role: Role,
}

/// What a node is made of.
pub struct Parts<L: Link> {
    /// Who it is.
    pub identity: SecretKey,
    /// Its end of the network.
    pub link: L,
    /// What happens there.
    pub events: Events,
    /// Time, randomness, and where to compute.
    pub env: Env,
    /// Where it keeps its state.
    pub stores: Arc<dyn Stores>,
    /// Where the person's files are.
    pub files: Arc<dyn Files>,
    /// The embedding models.
    pub models: Arc<dyn Models>,
    /// What the person decided.
    pub settings: Settings,
}

/// A node. A clone is another handle on it.
pub struct Node<L: Link>(Arc<Inner<L>>);

impl<L: Link> Clone for Node<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L: Link> Deref for Node<L> {
    type Target = Inner<L>;

    fn deref(&self) -> &Inner<L> {
        &self.0
    }
}

/// What the handles on a node share.
pub struct Inner<L: Link> {
    pub(crate) link: L,
    pub(crate) env: Env,
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) models: Arc<dyn Models>,
    pub(crate) settings: Settings,
    pub(crate) collections: Arc<Collections>,
    pub(crate) groups: Groups,
    pub(crate) shares: Shares,
    pub(crate) addresses: Addresses,
    pub(crate) audit: Arc<Ledger>,
    pub(crate) opened: Opened,
    pub(crate) personal: Personal,
    pub(crate) learning: Arc<Learning>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) answers: Semaphore,
    pub(crate) rates: Mutex<Rates>,
    jobs: mpsc::Sender<Job>,
    inbox: Mutex<Option<(Events, mpsc::Receiver<Job>)>>,
    known_members: Mutex<Option<BTreeSet<NodeId>>>,
    pulls: Mutex<Pulls>,
    model_changed: Notify,
}

impl<L: Link> Node<L> {
    /// Opens a node on its stores. What is damaged but can be done without is kept out and reported
    /// ([`Call::Status`], [`Call::Doctor`]): an index, a group's log, the audit chain (then nothing is
    /// answered). The rest is an error here.
    ///
    /// # Errors
    /// If the key-value store cannot be read; the message says why and what to do.
    pub fn open(parts: Parts<L>) -> Result<Self, ApiError> {
        let Parts { identity, link, events, env, stores, files, models, settings } = parts;
        let identity = Arc::new(identity);
        if link.local() != NodeId::new(identity.public()) {
            return Err(ApiError::new(ErrorCode::Internal, "the link speaks for another node"));
        }
        let (me, kv) = (link.local(), stores.kv());
        restore_model(&*kv, &*models)?;
        let collections = Collections::open(Ground {
            env: env.clone(),
            kv: kv.clone(),
            place: stores.index_place(),
            files,
            models: models.clone(),
            max_file_bytes: settings.max_file_bytes,
        })?;
        let groups = Groups::open(identity, env.clone(), stores.clone())?;
        let addresses = Addresses::open(kv.clone())?;
        let members = groups.fellow_members();
        addresses.retain(|node| members.contains(&node));
        let (jobs, queue) = mpsc::channel(JOB_QUEUE);
        let node = Self(Arc::new(Inner {
            link,
            env,
            models,
            settings,
            collections: Arc::new(collections),
            groups,
            shares: Shares::open(kv.clone())?,
            addresses,
            audit: Arc::new(Ledger::open(stores.clone(), me)),
            opened: Opened::new(kv.clone()),
            personal: Personal::open(stores.blobs())?,
            learning: Arc::new(Learning::new(stores.clone(), me)),
            meter: Arc::new(Meter::default()),
            kv,
            answers: Semaphore::new(MAX_ANSWERS),
            rates: Mutex::new(Rates::default()),
            jobs,
            inbox: Mutex::new(Some((events, queue))),
            known_members: Mutex::new(None),
            pulls: Mutex::new(Pulls::default()),
            model_changed: Notify::new(),
        }));
        // A crash may have come between a collection's end and that of its shares.
        node.drop_orphaned_shares()?;
        // Before the first call, which may well need to reach a member.
        node.members_changed();
        Ok(node)
    }

    /// Who this node is.
    pub fn id(&self) -> NodeId {
        self.groups.me()
    }

    /// Carries out one call of the person. `progress` hears how far long ones are; raising
    /// `cancel` ends them early and keeps what is finished.
    ///
    /// # Errors
    /// With what happened, why, and what to do.
    pub async fn call(
        &self,
        call: Call,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        self.settings.role.check(&call)?;
        match call {
            Call::Status => self.status().await,
            Call::Add { path, collection, profile } => {
                self.add(path, collection, profile, progress, cancel).await
            }
            Call::Refresh { collection, path } => {
                self.refresh(collection, path, progress, cancel).await
            }
            Call::Remove { collection, path } => self.remove(collection, path).await,
            Call::Reindex { collection } => self.reindex(collection, progress, cancel).await,
            Call::IndexInfo { collection } => {
                self.collections.index_info(&collection).map(Reply::Index)
            }
            Call::IndexVerify { collection } => self.index_verify(collection).await,
            Call::IndexCompact { collection } => {
                self.index_compact(collection, progress, cancel).await
            }
            Call::IndexRecode { collection } => {
                self.index_recode(collection, progress, cancel).await
            }
            Call::IndexProfile { collection, profile, cache_bytes } => {
                self.index_profile(collection, profile, cache_bytes, progress, cancel).await
            }
            Call::Tune(tune) => self.tune(tune, progress, cancel).await,
            Call::TuneOff { collection } => {
                self.collections.tune_off(&collection).map(|()| Reply::Ok)
            }
            Call::IndexExport { collection, export } => {
                self.index_export(collection, export, progress, cancel).await
            }
            Call::Search(search) => self.ask_and_count(search, cancel).await,
            Call::Mine(call) => self.mine(call, progress, cancel).await,
            Call::OpenedAdd(call) => self.opened_add(&call),
            Call::OpenedList => self.opened_list(),
            Call::OpenedClear => self.opened_clear(),
            Call::PersonalTrain(call) => self.personal_train(call, progress, cancel).await,
            Call::PersonalShow => self.personal_show().await,
            Call::PersonalUse { on } => self.personal_use(on).await,
            Call::PersonalRemove => self.personal_remove(),
            Call::Share { collection, group, reveal } => self.share(collection, &group, reveal),
            Call::Unshare { collection, group } => self.unshare(&collection, &group),
            Call::GroupCreate { group, member } => self.group_create(group, member),
            Call::GroupList => Ok(Reply::Groups { groups: self.group_infos() }),
            Call::GroupMembers { group } => self.group_members(&group),
            Call::GroupLeave { group } => self.group_leave(&group).await,
            Call::GroupRemove { group, member } => self.group_remove(&group, &member).await,
            Call::GroupTransfer { group, member } => self.group_transfer(&group, &member).await,
            Call::GroupRole { group, member, admin } => {
                self.group_role(&group, &member, admin).await
            }
            Call::GroupCoordinator { group, member } => {
                self.group_coordinator(&group, member.as_deref()).await
            }
            Call::GroupPolicy { group, quorum } => self.group_policy(&group, quorum).await,
            Call::TrainOptIn(choice) => self.train_opt_in(&choice),
            Call::TrainOptOut { group } => self.train_opt_out(&group),
            Call::TrainLimits(change) => self.train_limits(change),
            Call::TrainStatus { group } => self.train_status(group.as_ref()),
            Call::RoundsStart(call) => self.rounds_start(call).await,
            Call::RoundsStop { group } => self.rounds_stop(&group).await,
            Call::ModelRelease { group } => self.model_release(&group).await,
            Call::ModelReleases { group, keep } => self.model_releases(&group, keep).await,
            Call::ModelFollow { group, adopt } => self.model_follow(&group, adopt).await,
            Call::ModelAdopt { group, force } => self.model_adopt(&group, force).await,
            Call::ModelRollback { group } => self.model_rollback(&group).await,
            Call::PrivacyReport => self.privacy_report(),
            Call::Invite { group, expires_s } => self.invite(&group, expires_s),
            Call::Join { code, member, wait_s } => {
                self.join(&code, member, wait_s, progress, cancel).await
            }
            Call::Peers => Ok(Reply::Peers { peers: self.peer_infos() }),
            Call::AuditList { limit } => self.audit_list(limit).await,
            Call::AuditVerify => self.audit_verify().await,
            Call::ModelList => self.model_list().await,
            Call::ModelUse { model } => self.model_use(model).await,
            Call::Doctor => Ok(Reply::Doctor { checks: self.examine().await }),
            Call::Stop => {
                let message = "this node was not started as a daemon, so there is nothing to stop";
                Err(ApiError::new(ErrorCode::Usage, message))
            }
        }
    }

    /// Which pulls are under way.
    pub(crate) fn pulls(&self) -> MutexGuard<'_, Pulls> {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands `job` to [`Node::run`], unless its queue is full.
    pub(crate) fn schedule(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            tracing::debug!("too many jobs wait; this one is left to the next periodic sync");
        }
    }

    /// Tells the link who shares a group with this node, if that has changed, and where they are.
    pub(crate) fn members_changed(&self) {
        let members = self.groups.fellow_members();
        let mut known = self.known_members.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() == Some(&members) {
            return;
        }
        let new: Vec<NodeId> = match &*known {
            Some(known) => members.difference(known).copied().collect(),
            None => members.iter().copied().collect(),
        };
        self.link.set_members(members.clone());
        for node in new {
            let addrs = self.addresses.of(node);
            if !addrs.is_empty() {
                self.link.learn(node, &addrs);
            }
        }
        *known = Some(members);
    }
}

/// Goes back to the model that the person chose, if it still is there.
fn restore_model(kv: &dyn Kv, models: &dyn Models) -> Result<(), ApiError> {
    let Some(name) = kv.get(Table::Meta, MODEL_KEY)? else { return Ok(()) };
    let name = String::from_utf8_lossy(&name).into_owned();
    if let Err(error) = models.set_current(&name) {
        tracing::error!(%error, model = %name, "the chosen model is not available; the default is used");
    }
    Ok(())
}
