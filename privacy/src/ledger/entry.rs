//! An entry's bytes.

use std::fmt;

use covey_crypto::Digest;

use crate::{Delta, Epsilon};

use super::{Account, Budget, Charge, Head, LedgerError, Pace, Time, Unit};

/// Most collections charged by one round.
pub const MAX_COLLECTIONS: usize = 64;
/// The longest entry in bytes.
pub const MAX_ENTRY: usize = PREFIX + 1 + 32 + 32 + 8 + 1 + 1 + 32 * MAX_COLLECTIONS;
const VERSION: u8 = 1;
/// Version, place, digest of the entry before, time.
const PREFIX: usize = 1 + 8 + 32 + 8;
const BUDGET: u8 = 1;
const RESERVATION: u8 = 2;

/// What tells a collection apart for as long as its data is here, however often it is removed and added again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CollectionKey(pub [u8; 32]);

impl fmt::Display for CollectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Digest::from_bytes(self.0).short())
    }
}

/// A group's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey(pub [u8; 32]);

/// One round's cost, for each of the collections that it trains on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    group: GroupKey,
    round: Digest,
    charge: Charge,
    unit: Unit,
    collections: Vec<CollectionKey>,
}

/// A request over no collection, or over too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a round trains on 1 to {MAX_COLLECTIONS} collections, not {0}; choose fewer")]
pub struct RequestError(pub usize);

impl Request {
    /// Asks for `charge` from each of `collections`, for the round with the plan hash `round`.
    /// A retried round is another request, and is charged again.
    ///
    /// # Errors
    /// Unless there are 1 to [`MAX_COLLECTIONS`] collections.
    pub fn new(
        group: GroupKey,
        round: Digest,
        charge: Charge,
        unit: Unit,
        mut collections: Vec<CollectionKey>,
    ) -> Result<Self, RequestError> {
        collections.sort_unstable();
        collections.dedup();
        match collections.len() {
            1..=MAX_COLLECTIONS => Ok(Self { group, round, charge, unit, collections }),
            count => Err(RequestError(count)),
        }
    }

    /// The round's plan hash.
    pub const fn round(&self) -> &Digest {
        &self.round
    }

    /// The group that trains.
    pub const fn group(&self) -> GroupKey {
        self.group
    }

    /// What each collection pays.
    pub const fn charge(&self) -> Charge {
        self.charge
    }

    /// Who pays.
    pub fn accounts(&self) -> impl Iterator<Item = Account> {
        self.collections
            .iter()
            .map(|collection| Account { unit: self.unit, collection: *collection })
    }

    /// The documents that a peer-level round pays for too: what hides a peer's whole contribution hides one document's part in it no
    /// better, and costs it no more. (A document-level round says nothing about a peer.)
    pub fn implied(&self) -> impl Iterator<Item = Account> {
        let documents = |account: Account| Account { unit: Unit::Document, ..account };
        self.accounts().filter(|account| account.unit == Unit::Peer).map(documents)
    }
}

/// What is added to the chain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub time: Time,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Budget { account: Account, budget: Budget },
    Reservation(Request),
}

/// The digest of an entry's bytes.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    Digest::of("covey privacy ledger entry 1", &[bytes])
}

/// The bytes of `entry` after `head`.
pub(super) fn encode(head: Head, entry: &Entry) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    let mut put = |part: &[u8]| bytes.extend_from_slice(part);
    put(&head.entries.to_le_bytes());
    put(head.digest.as_bytes());
    put(&entry.time.millis().to_le_bytes());
    match &entry.body {
        Body::Budget { account, budget } => {
            put(&[BUDGET, unit_byte(account.unit)]);
            put(&account.collection.0);
            put(&budget.epsilon.get().to_bits().to_le_bytes());
            put(&budget.delta.get().to_bits().to_le_bytes());
            put(&budget.limit().units().to_le_bytes());
            let pace = budget.pace();
            put(&pace.map_or(0, |pace| pace.limit.units()).to_le_bytes());
            put(&pace.map_or(0, |pace| pace.millis).to_le_bytes());
        }
        Body::Reservation(request) => {
            put(&[RESERVATION]);
            put(&request.group.0);
            put(request.round.as_bytes());
            put(&request.charge.units().to_le_bytes());
            let count = u8::try_from(request.collections.len()).expect("at most 64 collections");
            put(&[unit_byte(request.unit), count]);
            request.collections.iter().for_each(|collection| put(&collection.0));
        }
    }
    bytes
}

/// Decodes the entry that must follow `head`, no earlier than `newest`: checks P1 to P9.
pub(super) fn decode(bytes: &[u8], head: Head, newest: Time) -> Result<Entry, LedgerError> {
    let place = head.entries;
    let fault = |check, what| LedgerError::Unreadable { place, check, what };
    if bytes.len() > MAX_ENTRY {
        return Err(fault("P1", "it is longer than an entry can be"));
    }
    let mut rest = bytes;
    let short = || fault("P2", "it is cut short");
    if byte(&mut rest).ok_or_else(short)? != VERSION {
        return Err(fault("P3", "it has another version"));
    }
    let found = number(&mut rest).ok_or_else(short)?;
    if found != place {
        return Err(LedgerError::Place { expected: place, found });
    }
    if array(&mut rest).ok_or_else(short)? != head.digest.as_bytes() {
        return Err(LedgerError::Chain { place });
    }
    let time = Time::from_millis(number(&mut rest).ok_or_else(short)?);
    if time < newest {
        return Err(fault("P6", "it is older than the one before it"));
    }
    let body = match byte(&mut rest).ok_or_else(short)? {
        BUDGET => budget(&mut rest).ok_or_else(short)?.map_err(|what| fault("P7", what))?,
        RESERVATION => {
            reservation(&mut rest).ok_or_else(short)?.map_err(|what| fault("P8", what))?
        }
        _ => return Err(fault("P3", "it is of a kind unknown to this version")),
    };
    if !rest.is_empty() {
        return Err(fault("P9", "something follows it"));
    }
    Ok(Entry { time, body })
}

/// A budget's body: nothing where it is cut short, an error where it is wrong.
fn budget(rest: &mut &[u8]) -> Option<Result<Body, &'static str>> {
    let unit = byte(rest)?;
    let collection = CollectionKey(*array(rest)?);
    let (epsilon, delta) = (f64::from_bits(number(rest)?), f64::from_bits(number(rest)?));
    let limit = Charge::from_units(number(rest)?);
    let (most, millis) = (Charge::from_units(number(rest)?), number(rest)?);
    let Some(unit) = unit_of(unit) else { return Some(Err("it names no unit")) };
    let (Ok(epsilon), Ok(delta)) = (Epsilon::new(epsilon), Delta::new(delta)) else {
        return Some(Err("its epsilon or delta is no such number"));
    };
    if limit == Charge::EVERYTHING {
        return Some(Err("its limit is none"));
    }
    let pace = match (most, millis) {
        (Charge::NONE, 0) => None,
        (_, 0) => return Some(Err("its pace has no length")),
        (limit, millis) => Some(Pace { limit, millis }),
    };
    let account = Account { unit, collection };
    Some(Ok(Body::Budget { account, budget: Budget::stored(epsilon, delta, limit, pace) }))
}

/// A reservation's body, likewise.
fn reservation(rest: &mut &[u8]) -> Option<Result<Body, &'static str>> {
    let group = GroupKey(*array(rest)?);
    let round = Digest::from_bytes(*array(rest)?);
    let charge = Charge::from_units(number(rest)?);
    let (unit, count) = (byte(rest)?, usize::from(byte(rest)?));
    if !(1..=MAX_COLLECTIONS).contains(&count) {
        return Some(Err("it names no collection, or too many"));
    }
    let keys = (0..count).map(|_| array(rest).copied().map(CollectionKey));
    let collections: Vec<_> = keys.collect::<Option<_>>()?;
    if !collections.is_sorted_by(|a, b| a < b) {
        return Some(Err("its collections are not in order, or one is there twice"));
    }
    let Some(unit) = unit_of(unit) else { return Some(Err("it names no unit")) };
    Some(Ok(Body::Reservation(Request { group, round, charge, unit, collections })))
}

const fn unit_byte(unit: Unit) -> u8 {
    match unit {
        Unit::Peer => 1,
        Unit::Document => 2,
    }
}

const fn unit_of(byte: u8) -> Option<Unit> {
    match byte {
        1 => Some(Unit::Peer),
        2 => Some(Unit::Document),
        _ => None,
    }
}

fn array<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (array, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(array)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    array::<1>(rest).map(|[byte]| *byte)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    array(rest).map(|bytes| u64::from_le_bytes(*bytes))
}
