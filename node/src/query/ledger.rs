//! The audit chain as the node uses it: a broken one stops answers, not the node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_protocol::ids::NodeId;
use covey_protocol::search::AuditRecord;

use crate::api::{ApiError, AuditEntry, AuditItem, Reveal};
use crate::audit::{AuditChain, AuditError, Entry, Head};
use crate::store::Stores;

/// The audit chain, or what is wrong with it.
pub(crate) struct Ledger {
    stores: Arc<dyn Stores>,
    me: NodeId,
    chain: Mutex<Option<AuditChain>>,
}

impl Ledger {
    /// Opens the chain of `me`. A broken one is reported by every later use.
    pub(crate) fn open(stores: Arc<dyn Stores>, me: NodeId) -> Self {
        let chain = AuditChain::open(&*stores, me).inspect_err(|error| {
            tracing::error!(%error, "the audit chain is broken; nothing is answered");
        });
        Self { stores, me, chain: Mutex::new(chain.ok()) }
    }

    /// Writes a record down for good.
    pub(crate) fn append(&self, record: &AuditRecord) -> Result<Head, AuditError> {
        self.with(|chain| chain.append(record))
    }

    /// The newest `limit` records, oldest first.
    pub(crate) fn list(&self, limit: usize) -> Result<Vec<AuditEntry>, ApiError> {
        let records = self.with(|chain| chain.list(limit))?;
        Ok(records.into_iter().map(entry).collect())
    }

    /// Checks the whole chain.
    pub(crate) fn verify(&self) -> Result<Head, ApiError> {
        Ok(self.with(|chain| chain.verify())?)
    }

    /// Uses the chain, opening it again where it was broken: the person may have restored it.
    fn with<T>(
        &self,
        use_it: impl FnOnce(&mut AuditChain) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        let mut chain: MutexGuard<'_, Option<AuditChain>> =
            self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *chain {
            Some(chain) => use_it(chain),
            none => use_it(none.insert(AuditChain::open(&*self.stores, self.me)?)),
        }
    }
}

fn entry(Entry { seq, digest, record }: Entry) -> AuditEntry {
    let item = |it: covey_protocol::search::Disclosure| {
        Some(AuditItem {
            collection: it.collection.to_string(),
            title: it.title.into_string(),
            chunk: it.chunk.to_string(),
            reveal: Reveal::of(it.reveal)?,
            score: it.score.get(),
        })
    };
    AuditEntry {
        seq,
        at: record.at,
        asker: record.asker,
        group: record.group,
        question: record.question.into_string(),
        revealed: record.disclosed.into_iter().filter_map(item).collect(),
        digest: digest.to_string(),
    }
}
