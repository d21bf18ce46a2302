//! The audit chain: every answer this node gave, each record holding the digest of the one before
//! (docs/spec/audit-log.md).
//!
//! [`AuditChain::append`] returns once the record is durable; only then may the answer leave. The chain
//! shows any change, loss or reordering of records before the last one. That records are missing at
//! its end shows as long as the state database still knows the newest digest ([`Head`]), or a person
//! noted it. Whoever can write all of the node's files can write another chain: it is evidence
//! against accidents and hasty hands, not against the owner of the disk.

mod error;
mod record;

use std::collections::VecDeque;
use std::sync::Arc;

use covey_crypto::Digest;
use covey_protocol::ids::NodeId;
use covey_protocol::search::AuditRecord;

pub use error::AuditError;
pub use record::Entry;

use crate::store::{AppendLog, Kv, Stores, Table, Write, head};

/// The log that holds the chain.
const LOG: &str = "audit";
/// Under this key of [`Table::Meta`]: the newest [`Head`], 8 and 32 bytes.
const HEAD_KEY: &[u8] = b"audit-head";

/// How far a chain goes, and the digest that stands for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Records in the chain.
    pub records: u64,
    /// Digest of the last one; of an empty chain, one that only this node's chain starts with.
    pub digest: Digest,
}

/// The chain of one node, open for appending.
pub struct AuditChain {
    node: NodeId,
    log: Box<dyn AppendLog>,
    kv: Arc<dyn Kv>,
    head: Head,
}

impl AuditChain {
    /// Opens the chain of `node`, checking all of it.
    ///
    /// # Errors
    /// [`AuditError`] names the first record that is wrong.
    pub fn open(stores: &dyn Stores, node: NodeId) -> Result<Self, AuditError> {
        let (log, kv) = (stores.log(LOG)?, stores.kv());
        let head = walk(&*log, node, noted(&*kv)?, &mut |_| ())?;
        Ok(Self { node, log, kv, head })
    }

    /// Adds a record. When this returns, it is durable and the answer it describes may leave.
    ///
    /// # Errors
    /// If the disk fails. The record may then be in the chain although nothing was answered.
    pub fn append(&mut self, record: &AuditRecord) -> Result<Head, AuditError> {
        let bytes = record::encode(self.head.records, self.head.digest, record);
        self.log.append(&bytes)?;
        self.head = Head { records: self.head.records + 1, digest: record::digest(&bytes) };
        self.kv.write(vec![head::note(HEAD_KEY, self.head.records, &self.head.digest)])?;
        Ok(self.head)
    }

    /// How far the chain goes.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The newest `limit` records, oldest first.
    ///
    /// # Errors
    /// As [`AuditChain::verify`].
    pub fn list(&self, limit: usize) -> Result<Vec<Entry>, AuditError> {
        let mut newest = VecDeque::new();
        walk(&*self.log, self.node, noted(&*self.kv)?, &mut |entry| {
            newest.push_back(entry);
            if newest.len() > limit {
                newest.pop_front();
            }
        })?;
        Ok(newest.into())
    }

    /// Reads the chain from its first record to its last and checks everything.
    ///
    /// # Errors
    /// [`AuditError`] names the first record that is wrong.
    pub fn verify(&self) -> Result<Head, AuditError> {
        walk(&*self.log, self.node, noted(&*self.kv)?, &mut |_| ())
    }

    /// Forgets the noted head, so that a chain that lost its end can be continued. For a person who
    /// knows what happened, after keeping the file as evidence.
    ///
    /// # Errors
    /// If the database fails.
    pub fn accept_loss(stores: &dyn Stores) -> Result<(), AuditError> {
        Ok(stores.kv().write(vec![Write::Delete(Table::Meta, HEAD_KEY.to_vec())])?)
    }
}

fn noted(kv: &dyn Kv) -> Result<Option<Head>, AuditError> {
    let Some(noted) = head::noted(kv, HEAD_KEY)? else { return Ok(None) };
    let (records, digest) = noted.ok_or(AuditError::NotedHead)?;
    Ok(Some(Head { records, digest }))
}

/// Shows every record to `each`, checking the chain and that it passes through `noted` (AL1 to AL5).
fn walk(
    log: &dyn AppendLog,
    node: NodeId,
    noted: Option<Head>,
    each: &mut dyn FnMut(Entry),
) -> Result<Head, AuditError> {
    let mut head = Head { records: 0, digest: record::start(node) };
    let mut wrong = None;
    log.visit(&mut |bytes| {
        if wrong.is_some() {
            return;
        }
        match record::decode(bytes, head) {
            Ok(entry) => {
                head = Head { records: head.records + 1, digest: entry.digest };
                each(entry);
            }
            Err(error) => wrong = Some(error),
        }
        if noted.is_some_and(|noted| noted.records == head.records && noted != head) {
            wrong.get_or_insert(AuditError::Replaced { records: head.records });
        }
    })?;
    match (wrong, noted) {
        (Some(error), _) => Err(error),
        (None, Some(noted)) if noted.records > head.records => {
            Err(AuditError::Missing { found: head.records, noted: noted.records })
        }
        (None, _) => Ok(head),
    }
}

#[cfg(test)]
mod tests;
