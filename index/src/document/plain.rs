//! Bytes of a text file as text.

use super::{SNIFF, SkipReason};

/// Whether the first bytes of a file show that it is not text.
pub(crate) fn is_binary(head: &[u8]) -> bool {
    decode_utf16(head).is_none() && looks_binary(head)
}

/// Whether there are zero bytes, or more than one in fifty is a control character.
fn looks_binary(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(SNIFF as usize)];
    let control = head
        .iter()
        .filter(|&&b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
        .count();
    head.contains(&0) || control * 50 > head.len()
}

/// UTF-8, or UTF-16 where a byte order mark says so; each broken sequence is one U+FFFD.
pub(super) fn decode(bytes: Vec<u8>) -> Result<String, SkipReason> {
    if let Some(text) = decode_utf16(&bytes) {
        return Ok(text);
    }
    let mut bytes = bytes;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    if looks_binary(&bytes) {
        return Err(SkipReason::Binary);
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (mut all, mut broken) = (0usize, 0usize);
    for c in text.chars() {
        all += 1;
        broken += usize::from(c == char::REPLACEMENT_CHARACTER);
    }
    if broken * 10 > all {
        return Err(SkipReason::NotUtf8);
    }
    Ok(text)
}

/// UTF-16 is read where a byte order mark announces it.
pub(super) fn decode_utf16(bytes: &[u8]) -> Option<String> {
    let (mark, rest) = bytes.split_first_chunk::<2>()?;
    let unit: fn([u8; 2]) -> u16 = match mark {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let units = rest.as_chunks::<2>().0.iter().map(|&pair| unit(pair));
    let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    Some(text.collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Format, extract};
    use super::*;

    fn text(bytes: &[u8]) -> Result<String, SkipReason> {
        Ok(extract(Format::Text, Path::new("a.txt"), bytes.to_vec())?.text)
    }

    #[test]
    fn bytes_become_text_or_a_reason() {
        let cases: [(&[u8], Result<&str, SkipReason>); 9] = [
            (b"plain", Ok("plain")),
            (b"\xef\xbb\xbfmarked", Ok("marked")),
            (b"\xff\xfeh\0i\0", Ok("hi")),
            (b"\xfe\xff\0h\0i", Ok("hi")),
            (b"mostly good text \xe4 here", Ok("mostly good text \u{fffd} here")),
            (b"\xe4\xf6\xfc\xe4\xf6", Err(SkipReason::NotUtf8)),
            (b"zero\0byte", Err(SkipReason::Binary)),
            (b"", Err(SkipReason::Empty)),
            (b" \n\t ", Err(SkipReason::Empty)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(text(bytes), expected.map(str::to_owned), "{bytes:?}");
        }
    }
}
