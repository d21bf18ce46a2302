//! A 32-byte secret that does not print, compares in constant time and is wiped when dropped.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A 32-byte secret. It has no `Clone`, `Debug` shows nothing, and equality is constant-time.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl Secret32 {
    /// Takes bytes drawn by the caller's generator.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that sends or stores them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Secret32 {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret32 {}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_and_equality_holds() {
        let secret = Secret32::from_bytes([7; 32]);
        assert_eq!(format!("{secret:?}"), "Secret32(..)");
        assert!(secret == Secret32::from_bytes([7; 32]));
        assert!(secret != Secret32::from_bytes([8; 32]));
    }
}
