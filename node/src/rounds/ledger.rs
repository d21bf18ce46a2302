//! The privacy ledger on disk: what taking part has cost so far, and what it may cost.

use std::sync::{Arc, Mutex, PoisonError};

use covey_privacy::ledger::{
    Account, Budget, Charge, Head, Ledger, Receipt, Refusal, Replay, Request, Time,
};
use covey_protocol::ids::{NodeId, UnixMillis};

use crate::api::{ApiError, ErrorCode};
use crate::store::{AppendLog, Kv, StoreError, Stores, head};

/// The log that holds the chain.
const LOG: &str = "privacy";
/// Under this key of [`Table::Meta`]: the newest [`Head`], 8 and 32 bytes.
const HEAD_KEY: &[u8] = b"privacy-head";

/// A node's privacy ledger. It is opened when it is first needed, and again after a failure, as nobody knows then what is on disk.
pub struct PrivacyLedger {
    stores: Arc<dyn Stores>,
    node: NodeId,
    open: Mutex<Option<Open>>,
}

struct Open {
    ledger: Ledger,
    log: Box<dyn AppendLog>,
}

/// One account as a person sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Whose presence, or which collection's.
    pub account: Account,
    /// What it has cost.
    pub spent: Charge,
    /// What it may cost, where that is bounded.
    pub budget: Option<Budget>,
}

impl PrivacyLedger {
    /// In these stores, for this node.
    pub fn new(stores: Arc<dyn Stores>, node: NodeId) -> Self {
        Self { stores, node, open: Mutex::new(None) }
    }

    /// Reserves the cost of an attempt. When this returns, it is on disk for good.
    pub(crate) fn reserve(&self, request: &Request, now: UnixMillis) -> Result<Receipt, ApiError> {
        self.with(|Open { ledger, log }| {
            let pending = match ledger.reserve(request, Time::from_millis(now.0)) {
                Ok(pending) => pending,
                Err(refusal) => return Ok(Err(refused(&refusal))),
            };
            log.append(pending.bytes())?;
            Ok(Ok(pending.recorded()))
        })?
    }

    /// Whether there is room for an attempt's cost. Nothing is charged.
    pub(crate) fn has_room(&self, request: &Request, now: UnixMillis) -> Result<(), ApiError> {
        self.with(|Open { ledger, .. }| {
            let asked = ledger.reserve(request, Time::from_millis(now.0));
            Ok(asked.map(drop).map_err(|refusal| refused(&refusal)))
        })?
    }

    /// Whether all who would pay have no bound any more.
    pub(crate) fn adds_nothing(&self, request: &Request) -> Result<bool, ApiError> {
        self.with(|Open { ledger, .. }| Ok(ledger.adds_nothing(request)))
    }

    /// Sets what an account may cost in all.
    ///
    /// # Errors
    /// If it cannot be set, or not kept.
    pub fn set_budget(
        &self,
        account: Account,
        budget: Budget,
        now: UnixMillis,
    ) -> Result<(), ApiError> {
        self.with(|Open { ledger, log }| {
            let pending = match ledger.set_budget(account, budget, Time::from_millis(now.0)) {
                Ok(pending) => pending,
                Err(refusal) => return Ok(Err(refused(&refusal))),
            };
            log.append(pending.bytes())?;
            pending.recorded();
            Ok(Ok(()))
        })?
    }

    /// Every account.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn standings(&self) -> Result<Vec<Standing>, ApiError> {
        self.with(|Open { ledger, .. }| {
            let standing = |account| {
                let (spent, budget) = ledger.standing(account);
                Standing { account, spent, budget }
            };
            Ok(ledger.accounts().map(standing).collect())
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut Open) -> Result<T, StoreError>,
    ) -> Result<T, ApiError> {
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = match slot.take() {
            Some(open) => open,
            None => self.read()?,
        };
        let before = open.ledger.head();
        let done = work(&mut open)?;
        let now = open.ledger.head();
        if now != before {
            let note = head::note(HEAD_KEY, now.entries, &now.digest);
            self.stores.kv().write(vec![note])?;
        }
        *slot = Some(open);
        Ok(done)
    }

    fn read(&self) -> Result<Open, ApiError> {
        let log = self.stores.log(LOG)?;
        let mut replay = Some(Replay::new(self.node.as_bytes(), noted(&*self.stores.kv())?));
        let mut wrong = None;
        log.visit(&mut |bytes| {
            if let Some(reading) = &mut replay
                && let Err(error) = reading.push(bytes)
            {
                (replay, wrong) = (None, Some(error));
            }
        })?;
        let ledger = match (replay, wrong) {
            (Some(replay), _) => replay.finish(),
            (None, error) => Err(error.expect("what ended the reading")),
        };
        let ledger = ledger.map_err(|error| {
            let message = format!("the privacy ledger is damaged, so nothing is learnt: {error}");
            ApiError::new(ErrorCode::Corrupt, message)
                .hint("restore a backup; a ledger that is lost leaves unknown what was spent")
        })?;
        Ok(Open { ledger, log })
    }
}

fn noted(kv: &dyn Kv) -> Result<Option<Head>, ApiError> {
    let Some(noted) = head::noted(kv, HEAD_KEY)? else { return Ok(None) };
    let Some((entries, digest)) = noted else {
        let message = "the noted end of the privacy ledger is damaged, so nothing is learnt";
        return Err(ApiError::new(ErrorCode::Corrupt, message).hint("restore a backup"));
    };
    Ok(Some(Head { entries, digest }))
}

fn refused(refusal: &Refusal) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, format!("the privacy ledger refuses: {refusal}"))
}
