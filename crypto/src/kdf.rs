//! HKDF with SHA-256 (RFC 5869) to 32-byte keys.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::{Digest, Secret32};

/// Derives a key from `secret`, which must hold at least 128 bits of entropy. `salt` is public and
/// names where the key belongs (a transcript); `purpose` and `parts` say what it is for. Parts are
/// framed by [`Digest::of`], so no two lists of them give the same info.
pub fn derive_key(secret: &[u8], salt: &Digest, purpose: &str, parts: &[&[u8]]) -> Secret32 {
    expand(secret, salt.as_bytes(), Digest::of(purpose, parts).as_bytes())
}

/// HKDF's extract and expand, one block.
fn expand(secret: &[u8], salt: &[u8], info: &[u8]) -> Secret32 {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand(info, &mut key)
        .expect("32 bytes are one block of HKDF-SHA256");
    Secret32::from_bytes(key)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// RFC 5869, A.1: the first 32 of its 42 bytes.
    #[test]
    fn agrees_with_the_published_vector() {
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).expect("hex");
        let salt = hex("000102030405060708090a0b0c");
        let info = hex("f0f1f2f3f4f5f6f7f8f9");
        let key = expand(&[0x0b; 22], &salt, &info);
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf";
        assert_eq!(HEXLOWER.encode(key.expose()), expected);
    }

    #[test]
    fn every_input_counts() {
        let salt = Digest::sha256(b"salt");
        let key = derive_key(b"secret", &salt, "purpose", &[b"a", b"b"]);
        assert!(key != derive_key(b"secreT", &salt, "purpose", &[b"a", b"b"]));
        assert!(key != derive_key(b"secret", &Digest::ZERO, "purpose", &[b"a", b"b"]));
        assert!(key != derive_key(b"secret", &salt, "purposes", &[b"a", b"b"]));
        assert!(key != derive_key(b"secret", &salt, "purpose", &[b"ab", b""]));
        assert!(key == derive_key(b"secret", &salt, "purpose", &[b"a", b"b"]));
    }
}
