//! Sealed boxes for keys that are used once: ChaCha20-Poly1305 (RFC 8439) with a nonce of zeros.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use zeroize::Zeroizing;

use crate::Secret32;

/// Bytes that a sealed box has more than its content.
pub const SEAL_OVERHEAD: usize = 16;

/// A box that does not open: it was made with another key, for another place, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed box does not open")]
pub struct Unopened;

/// Seals `content` for whoever has `key`, bound to `context`. The key goes: it must never seal
/// twice, as the nonce is fixed.
pub fn seal(key: Secret32, context: &[u8], content: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: content, aad: context };
    cipher(&key)
        .encrypt(&[0; 12].into(), payload)
        .expect("only a content of 256 GiB is too long for ChaCha20")
}

/// Opens what [`seal`] made with the same key and context.
///
/// # Errors
/// [`Unopened`] if anything differs.
pub fn open(key: &Secret32, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let payload = Payload { msg: sealed, aad: context };
    cipher(key).decrypt(&[0; 12].into(), payload).map(Zeroizing::new).map_err(|_| Unopened)
}

fn cipher(key: &Secret32) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.expose().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_with_its_key_and_context_only() {
        let key = || Secret32::from_bytes([1; 32]);
        let sealed = seal(key(), b"here", b"content");
        assert_eq!(sealed.len(), 7 + SEAL_OVERHEAD);
        assert_eq!(open(&key(), b"here", &sealed).expect("opens").as_slice(), b"content");
        assert_eq!(open(&key(), b"there", &sealed), Err(Unopened));
        assert_eq!(open(&Secret32::from_bytes([2; 32]), b"here", &sealed), Err(Unopened));
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert_eq!(open(&key(), b"here", &bent), Err(Unopened));
            assert_eq!(open(&key(), b"here", &sealed[..at]), Err(Unopened));
        }
    }
}
