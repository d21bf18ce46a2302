//! One entry of the log: a change, its place in the chain, and the owner's signature.

use covey_crypto::{Digest, SecretKey, Signature};
use serde::{Deserialize, Serialize};

use super::{InviteId, Nonce, Rejection, SignedRequest};
use crate::ids::{Epoch, GroupId, ModelId, Name, NodeId, UnixMillis};
use crate::limits::MAX_ENTRY;
use crate::wire::{self, bounded};

/// The version of [`EntryBody`]; the first byte of every body.
pub const ENTRY_VERSION: u8 = 1;

const DOMAIN: &str = "covey group entry v1";

/// An entry as it travels: the signed bytes, kept as received, and the signature over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The encoded [`EntryBody`].
    #[serde(deserialize_with = "bounded::list::<MAX_ENTRY, _, _>")]
    pub body: Vec<u8>,
    /// The sequencing owner's signature over `body`.
    pub signature: Signature,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryBody {
    /// [`ENTRY_VERSION`].
    pub version: u8,
    /// The group; all zero in the first entry, whose digest becomes the group's id.
    pub group: GroupId,
    /// The first entry's is 0, each next entry's one more.
    pub epoch: Epoch,
    /// The digest of the entry before; all zero in the first.
    pub parent: Digest,
    /// The owner's clock, never earlier than the entry before.
    pub at: UnixMillis,
    /// What changes.
    pub change: Change,
    /// Who wished for it; absent where the owner did.
    pub request: Option<SignedRequest>,
}

/// What one entry changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Makes the group. Only the first entry.
    Create {
        /// The group's name.
        name: Name,
        /// Its first owner and only member.
        owner: NodeId,
        /// The owner's name.
        owner_name: Name,
        /// Tells apart two groups made alike.
        nonce: Nonce,
    },
    /// Lets a node in.
    Add {
        /// The new member.
        node: NodeId,
        /// Its name, unique among members.
        name: Name,
        /// Member or admin.
        role: Role,
        /// Who invited it.
        inviter: NodeId,
        /// By which invite; each is used once.
        invite: InviteId,
    },
    /// Makes a member an admin, or an admin a plain member.
    SetRole {
        /// The member.
        node: NodeId,
        /// Its role from now on.
        role: Role,
    },
    /// Hands the group to another member, who signs the next entry; the owner becomes an admin.
    Transfer {
        /// The next owner.
        to: NodeId,
    },
    /// Takes a member out.
    Remove {
        /// The member.
        node: NodeId,
    },
    /// Says who coordinates the group's rounds of learning (docs/spec/round.md).
    Coordinator {
        /// A member; nobody, to learn no more.
        node: Option<NodeId>,
    },
    /// Makes a release of the shared model the current one.
    Release(Release),
    /// Says what a release needs before it may become the current one.
    Policy {
        /// Fewest members that have evaluated it; 0 to ask nobody.
        quorum: u32,
    },
}

/// A release of the shared model, as the log names it. What it is made of, and of which rounds, says its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The first is 1, each next one's is one more. To go back to an earlier one is a release too.
    pub number: u32,
    /// The exact model.
    pub model: ModelId,
    /// Digest of its manifest ([`crate::round::Manifest`]).
    pub manifest: Digest,
}

/// A release as it became the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentRelease {
    /// The release.
    pub release: Release,
    /// When, by the owner's clock.
    pub at: UnixMillis,
    /// The fewest evaluations that the group demanded then.
    pub quorum: u32,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Search, share, leave.
    Member,
    /// Also invite, and remove plain members.
    Admin,
    /// Everything; sequences the log. Exactly one.
    Owner,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        })
    }
}

/// The last entry of somebody's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its digest.
    pub digest: Digest,
}

impl Entry {
    /// Signs `body` as the group's owner.
    pub(super) fn sign(body: &EntryBody, key: &SecretKey) -> Self {
        let body = wire::encode(body);
        let signature = key.sign(DOMAIN, &body);
        Self { body, signature }
    }

    /// Names the entry in the chain. The signature is left out, so that two signatures over one
    /// body are one entry.
    pub fn digest(&self) -> Digest {
        Digest::of(DOMAIN, &[&self.body])
    }

    /// Whether `node` signed this entry.
    pub(super) fn is_signed_by(&self, node: &NodeId) -> bool {
        node.key().verify(DOMAIN, &self.body, &self.signature).is_ok()
    }

    /// What the entry says, its signature not yet looked at.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] (G1) or [`Rejection::UnknownVersion`] (G2).
    pub fn decode(self) -> Result<Decoded, Rejection> {
        match self.body.first() {
            None => return Err(Rejection::Malformed),
            Some(&ENTRY_VERSION) => {}
            Some(_) => return Err(Rejection::UnknownVersion),
        }
        let body: EntryBody =
            wire::decode_canonical(&self.body, MAX_ENTRY).map_err(|_| Rejection::Malformed)?;
        Ok(Decoded { digest: self.digest(), body, entry: self })
    }
}

/// An entry that says something, signed by who knows whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    entry: Entry,
    digest: Digest,
    body: EntryBody,
}

impl Decoded {
    /// What it says.
    pub fn body(&self) -> &EntryBody {
        &self.body
    }

    /// Its epoch and digest.
    pub fn head(&self) -> Head {
        Head { epoch: self.body.epoch, digest: self.digest }
    }

    /// The entry as it travels.
    pub fn into_entry(self) -> Entry {
        self.entry
    }

    /// Checks the signature of `owner`, and of the author of a request.
    ///
    /// # Errors
    /// [`Rejection::BadSignature`] (G5) or [`Rejection::BadRequestSignature`] (G7).
    pub(super) fn verify(self, owner: &NodeId) -> Result<Verified, Rejection> {
        if !self.entry.is_signed_by(owner) {
            return Err(Rejection::BadSignature);
        }
        if self.body.request.as_ref().is_some_and(|request| !request.is_signed()) {
            return Err(Rejection::BadRequestSignature);
        }
        Ok(Verified(self))
    }
}

/// An entry whose signatures hold; whether its change is allowed is the state's to say.
#[derive(Debug)]
pub(super) struct Verified(Decoded);

impl Verified {
    pub(super) fn body(&self) -> &EntryBody {
        &self.0.body
    }

    pub(super) fn head(&self) -> Head {
        self.0.head()
    }

    pub(super) fn into_entry(self) -> Entry {
        self.0.entry
    }
}
