//! An invite's secret, its name, and the reasons not to honour it.

use covey_crypto::{Digest, Secret32};
use rand_core::Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names an invite: the digest of its secret. Whoever knows the secret knows the name; the name
/// gives nothing away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InviteId(pub Digest);

/// An invite's one-use secret: whoever shows it first is let in. Not shown, not `Clone`.
#[derive(Debug, PartialEq, Eq)]
pub struct InviteSecret(Secret32);

impl InviteSecret {
    /// Draws a new one.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self(Secret32::from_bytes(*bytes))
    }

    /// The name of the invite that this opens.
    pub fn invite(&self) -> InviteId {
        InviteId(Digest::of("covey invite id v1", &[self.0.expose()]))
    }

    /// A second copy, for a request that is sent while the code is kept for a retry.
    pub fn duplicate(&self) -> Self {
        Self(Secret32::from_bytes(*self.0.expose()))
    }
}

impl Serialize for InviteSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.expose().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for InviteSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(|bytes| Self(Secret32::from_bytes(bytes)))
    }
}

/// Why an invite is not honoured. `Display` speaks to the one who would join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InviteRefusal {
    /// I1: no such secret was issued there (or for that group).
    #[error("that node did not issue this invite, or no longer knows it: ask for a new one")]
    UnknownOrForged,
    /// I2: its time is over.
    #[error("the invite has expired: ask for a new one")]
    Expired,
    /// I3: somebody else used it.
    #[error("somebody else has already used this invite: ask for a new one")]
    AlreadyUsed,
    /// I4: the issuer took it back.
    #[error("the invite was withdrawn: ask for a new one")]
    Revoked,
    /// I5: the issuer may not invite any more.
    #[error("the one who invited you may not invite any more: ask another admin")]
    InviterNotAllowed,
}
