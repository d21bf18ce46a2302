//! What a member other than the owner wishes for, signed by it.

use covey_crypto::{Digest, SecretKey, Signature};
use rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::{Change, InviteId, Release, Role};
use crate::ids::{GroupId, Name, NodeId, UnixMillis};
use crate::wire;

const DOMAIN: &str = "covey group request v1";

/// Sixteen random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(pub [u8; 16]);

impl Nonce {
    /// Draws one.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

/// What members other than the owner may ask it to sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Let in the node that redeemed the author's invite, as a plain member.
    Add {
        /// The new member.
        node: NodeId,
        /// Its name.
        name: Name,
        /// The author's invite.
        invite: InviteId,
    },
    /// Take a member out; the author itself, to leave.
    Remove {
        /// The member.
        node: NodeId,
    },
    /// As the coordinator: make a release the current one.
    Release(Release),
}

impl Wish {
    /// The change that grants this wish of `author`.
    pub fn change(&self, author: NodeId) -> Change {
        match self {
            Self::Add { node, name, invite } => Change::Add {
                node: *node,
                name: name.clone(),
                role: Role::Member,
                inviter: author,
                invite: *invite,
            },
            Self::Remove { node } => Change::Remove { node: *node },
            Self::Release(release) => Change::Release(*release),
        }
    }
}

/// What a request says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestBody {
    /// The group it is for.
    pub group: GroupId,
    /// Who wishes, and signs.
    pub author: NodeId,
    /// The author's clock, never earlier than its head's entry.
    pub at: UnixMillis,
    /// Tells apart two equal wishes.
    pub nonce: Nonce,
    /// The wish.
    pub wish: Wish,
}

/// A wish with its author's signature. It is good for one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRequest {
    /// What is signed.
    pub body: RequestBody,
    /// The author's signature over the encoded body.
    pub signature: Signature,
}

impl SignedRequest {
    /// Signs `body` with its author's key.
    pub fn sign(body: RequestBody, key: &SecretKey) -> Self {
        let signature = key.sign(DOMAIN, &wire::encode(&body));
        Self { body, signature }
    }

    /// Names the request, whatever its signature.
    pub fn digest(&self) -> Digest {
        Digest::of(DOMAIN, &[&wire::encode(&self.body)])
    }

    /// Whether the author that it names signed it.
    pub fn is_signed(&self) -> bool {
        let key = self.body.author.key();
        key.verify(DOMAIN, &wire::encode(&self.body), &self.signature).is_ok()
    }
}
