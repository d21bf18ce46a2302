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
/// Stands where a budget's unit does, before a key of zeros.
const WHOLE_PEER: u8 = 3;

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

/// Twice the distance is four times the rho: what a replacement costs where taking all out costs one.
const REPLACED: u64 = 4;

/// The cost of one attempt at a round, for each of the collections that it trains on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    group: GroupKey,
    terms: Digest,
    charge: Charge,
    unit: Unit,
    collections: Vec<CollectionKey>,
}

/// A request over no collection, or over too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a round trains on 1 to {MAX_COLLECTIONS} collections, not {0}; choose fewer")]
pub struct RequestError(pub usize);

impl Request {
    /// Asks for `charge` (zero-out, of the whole contribution or of one document) for a round on `collections`. `terms` is
    /// the digest of the secure sum's terms, which hold the attempt's number: not the plan's hash. A retried round has
    /// other terms and fresh noise, and is charged again.
    ///
    /// # Errors
    /// Unless there are 1 to [`MAX_COLLECTIONS`] collections.
    pub fn new(
        group: GroupKey,
        terms: Digest,
        charge: Charge,
        unit: Unit,
        mut collections: Vec<CollectionKey>,
    ) -> Result<Self, RequestError> {
        collections.sort_unstable();
        collections.dedup();
        match collections.len() {
            1..=MAX_COLLECTIONS => Ok(Self { group, terms, charge, unit, collections }),
            count => Err(RequestError(count)),
        }
    }

    /// The digest of the secure sum's terms: one attempt at one round.
    pub const fn terms(&self) -> &Digest {
        &self.terms
    }

    /// The group that trains.
    pub const fn group(&self) -> GroupKey {
        self.group
    }

    /// What taking out the whole contribution costs; at document level, one document's part.
    pub const fn charge(&self) -> Charge {
        self.charge
    }

    /// Who pays, and needs a budget for it. At peer level, taking out one of several collections turns the contribution
    /// into another one, of up to the clip norm either: up to twice as far as zero, so four times the rho.
    pub fn charges(&self) -> impl Iterator<Item = (Account, Charge)> {
        let charge = match self.unit {
            Unit::Peer if self.collections.len() > 1 => self.charge.times(REPLACED),
            _ => self.charge,
        };
        self.of_collections(self.unit).map(move |account| (account, charge))
    }

    /// Who pays as well. For a peer-level round the peer, once; and the documents four times, as taking out one of them
    /// replaces the contribution by another one. A document-level round promises nothing of all documents together, so it
    /// is beyond any budget of the peer or of a whole collection.
    pub fn implied(&self) -> impl Iterator<Item = (Account, Charge)> {
        let (other, peer, each) = match self.unit {
            Unit::Peer => (Unit::Document, self.charge, self.charge.times(REPLACED)),
            Unit::Document => (Unit::Peer, Charge::EVERYTHING, Charge::EVERYTHING),
        };
        let collections = self.of_collections(other).map(move |it| (it, each));
        std::iter::once((Account::Peer, peer)).chain(collections)
    }

    /// What it hides.
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    fn of_collections(&self, unit: Unit) -> impl Iterator<Item = Account> {
        self.collections.iter().map(move |it| Account::Collection { unit, collection: *it })
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
            let (scope, key) = match account {
                Account::Peer => (WHOLE_PEER, [0; 32]),
                Account::Collection { unit, collection } => (unit_byte(*unit), collection.0),
            };
            put(&[BUDGET, scope]);
            put(&key);
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
            put(request.terms.as_bytes());
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
    let (scope, collection) = (byte(rest)?, CollectionKey(*array(rest)?));
    let (epsilon, delta) = (f64::from_bits(number(rest)?), f64::from_bits(number(rest)?));
    let limit = Charge::from_units(number(rest)?);
    let (most, millis) = (Charge::from_units(number(rest)?), number(rest)?);
    let account = match (scope, unit_of(scope)) {
        (_, Some(unit)) => Account::Collection { unit, collection },
        (WHOLE_PEER, None) if collection.0 == [0; 32] => Account::Peer,
        _ => return Some(Err("it names no account")),
    };
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
    Some(Ok(Body::Budget { account, budget: Budget::stored(epsilon, delta, limit, pace) }))
}

/// A reservation's body, likewise.
fn reservation(rest: &mut &[u8]) -> Option<Result<Body, &'static str>> {
    let group = GroupKey(*array(rest)?);
    let terms = Digest::from_bytes(*array(rest)?);
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
    Some(Ok(Body::Reservation(Request { group, terms, charge, unit, collections })))
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
