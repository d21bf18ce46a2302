//! An invite as people paste it (docs/spec/group.md, "Invite codes").

use covey_crypto::Digest;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::InviteSecret;
use crate::ids::{GroupId, Name, NodeId, RequestId, UnixMillis, base32};
use crate::limits::MAX_INVITE_CODE;
use crate::wire::v1::group::GroupRequest;
use crate::wire::{self, bounded};

const PREFIX: &str = "covey1";
const CHECKSUM: usize = 5;

/// Everything a newcomer needs: which group, whom to ask, where, and the secret to show.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The group.
    pub group: GroupId,
    /// Its name, to show before joining.
    pub name: Name,
    /// The member who issued the invite and alone redeems it.
    pub issuer: NodeId,
    /// Where the issuer can be reached.
    #[serde(deserialize_with = "bounded::addresses")]
    pub addresses: Vec<String>,
    /// The one-use secret.
    pub secret: InviteSecret,
    /// When the invite ends, by the issuer's clock.
    pub expires: UnixMillis,
}

/// A text that is no invite code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// It does not start as a code does.
    #[error("this is not an invite code: a code starts with \"{PREFIX}\"")]
    NotACode,
    /// A later version made it.
    #[error("this invite was made by a newer Covey: update this one and try again")]
    NewerVersion,
    /// It is longer than any code.
    #[error("this is too long to be an invite code: paste the code alone")]
    TooLong,
    /// It holds a character that no code holds.
    #[error("an invite code has no {found:?} (character {position}): copy and paste it again")]
    BadCharacter {
        /// The character.
        found: char,
        /// Where it stands, counted from 1, blanks left out.
        position: usize,
    },
    /// The checksum does not agree.
    #[error("the invite code is incomplete or mistyped: copy and paste all of it again")]
    Typo,
    /// The checksum agrees and the content makes no sense.
    #[error("the invite code is damaged: ask for a new one")]
    Malformed,
}

impl Code {
    /// The code as text: prefix, then base32 of content and checksum.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(wire::encode(self));
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        let mut text = Zeroizing::new(PREFIX.to_owned());
        base32().encode_append(&bytes, &mut text);
        text
    }

    /// Reads a pasted code. Blanks, line breaks and case do not matter.
    ///
    /// # Errors
    /// [`CodeError`]; its text says what to do.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        if text.len() > 2 * MAX_INVITE_CODE {
            return Err(CodeError::TooLong);
        }
        let packed = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase());
        let packed = Zeroizing::new(packed.collect::<String>());
        let digits = packed.strip_prefix(PREFIX).ok_or_else(|| {
            let later = packed.strip_prefix("covey").and_then(|rest| rest.chars().next());
            let later = later.is_some_and(|version| version.is_ascii_digit() && version > '1');
            if later { CodeError::NewerVersion } else { CodeError::NotACode }
        })?;
        if let Some((before, found)) = stray(digits) {
            return Err(CodeError::BadCharacter { found, position: PREFIX.len() + before + 1 });
        }
        let bytes = base32().decode(digits.as_bytes()).map_err(|_| CodeError::Typo)?;
        let bytes = Zeroizing::new(bytes);
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(CodeError::Typo)?;
        if checksum(content) != *sum {
            return Err(CodeError::Typo);
        }
        wire::decode(content, MAX_INVITE_CODE).map_err(|_| CodeError::Malformed)
    }

    /// The request that redeems this code.
    pub fn redeem(&self, id: RequestId, name: Name, addresses: Vec<String>) -> GroupRequest {
        GroupRequest::Redeem {
            id,
            group: self.group,
            secret: self.secret.duplicate(),
            name,
            addresses,
        }
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    let digest = Digest::of("covey invite code v1", &[content]);
    std::array::from_fn(|i| digest.as_bytes()[i])
}

/// The first character that base32 does not have, and how many come before it.
fn stray(digits: &str) -> Option<(usize, char)> {
    digits.chars().enumerate().find(|(_, c)| !matches!(c, 'a'..='z' | '2'..='7'))
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn code() -> Code {
        Code {
            group: GroupId(Digest::sha256(b"group")),
            name: "lab".parse().expect("a name"),
            issuer: NodeId::new(SecretKey::from_seed(&[1; 32]).public()),
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".to_owned()],
            secret: InviteSecret::draw(&mut ChaCha8Rng::seed_from_u64(1)),
            expires: UnixMillis(1_800_000_000_000),
        }
    }

    #[test]
    fn a_code_survives_wrapping_and_shouting() {
        let text = code().to_text();
        let (first, second) = text.split_at(40);
        let wrapped = format!("  {first}\n  {}\r\n", second.to_uppercase());
        assert_eq!(Code::parse(&wrapped), Ok(code()));
    }

    #[test]
    fn what_is_no_code_is_told_apart() {
        let text = code().to_text().to_string();
        let swapped = text.replacen(&text[20..21], if &text[20..21] == "a" { "b" } else { "a" }, 1);
        let body = [wire::encode(&7u8), checksum(&wire::encode(&7u8)).to_vec()].concat();
        let cases = [
            ("hello".to_owned(), CodeError::NotACode),
            (String::new(), CodeError::NotACode),
            (text.replacen("covey1", "covey2", 1), CodeError::NewerVersion),
            ("covey1".to_owned(), CodeError::Typo),
            (text[..text.len() - 8].to_owned(), CodeError::Typo),
            (swapped, CodeError::Typo),
            ("covey1ab0c".to_owned(), CodeError::BadCharacter { found: '0', position: 9 }),
            (format!("covey1{}", base32().encode(&body)), CodeError::Malformed),
            ("x".repeat(3 * MAX_INVITE_CODE), CodeError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(Code::parse(&text), Err(error), "{text:.20}");
        }
    }

    #[test]
    fn every_single_wrong_digit_is_noticed() {
        let text = code().to_text();
        for at in PREFIX.len()..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'q' { b'r' } else { b'q' };
            let bent = String::from_utf8(bytes).expect("ASCII");
            assert!(Code::parse(&bent).is_err(), "digit {at}");
        }
    }
}
