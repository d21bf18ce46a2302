//! What was delivered, in order, as a digest and, if wanted, a list.

use std::time::Duration;

use covey_crypto::Digest;
use covey_protocol::ids::NodeId;

use crate::Protocol;

/// Most entries a listed transcript keeps; the digest and the count go on.
pub const MAX_ENTRIES: usize = 1_000_000;

/// What a network records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Nothing.
    Off,
    /// A digest over all deliveries, and their number.
    Digest,
    /// The digest, and the first [`MAX_ENTRIES`] deliveries.
    List,
}

/// What was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// A reply.
    Reply,
    /// The news that there will be no reply.
    Failure,
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, since the network was made.
    pub at: Duration,
    /// Who sent it.
    pub from: NodeId,
    /// Who got it.
    pub to: NodeId,
    /// On which protocol.
    pub protocol: Protocol,
    /// What it was.
    pub kind: Kind,
    /// Length of the body, in bytes.
    pub length: usize,
    /// SHA-256 of the body.
    pub sha256: Digest,
}

/// The deliveries of a network so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// A chained digest over every field of every delivery. [`Digest::ZERO`] before the first.
    pub digest: Digest,
    /// How many deliveries it covers.
    pub count: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// The deliveries themselves, where they are listed.
    pub entries: Vec<Entry>,
}

impl Transcript {
    pub(super) const fn new() -> Self {
        Self { digest: Digest::ZERO, count: 0, bytes: 0, entries: Vec::new() }
    }

    pub(super) fn add(&mut self, entry: Entry, recording: Recording) {
        let Entry { at, from, to, protocol, kind, length, sha256 } = &entry;
        let kind = match kind {
            Kind::Request => b"request".as_slice(),
            Kind::Reply => b"reply",
            Kind::Failure => b"failure",
        };
        let parts: [&[u8]; 8] = [
            self.digest.as_bytes(),
            &at.as_nanos().to_le_bytes(),
            from.as_bytes(),
            to.as_bytes(),
            protocol.name().as_bytes(),
            kind,
            &(*length as u64).to_le_bytes(),
            sha256.as_bytes(),
        ];
        self.digest = Digest::of("covey/memory-transcript/1", &parts);
        self.count += 1;
        self.bytes += *length as u64;
        if recording == Recording::List && self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        }
    }
}
