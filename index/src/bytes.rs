//! Little-endian reading and writing with every bound checked.

/// A reader over untrusted bytes: each step either succeeds or says no; nothing panics.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A count of items that each take at least `item` more bytes: refused when they cannot fit, so
    /// that a count never decides an allocation by itself.
    pub(crate) fn count(&mut self, item: usize) -> Option<usize> {
        let n = self.u32()? as usize;
        (n.checked_mul(item)? <= self.rest.len()).then_some(n)
    }

    /// How many bytes are still to be read.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn finished(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Appends little-endian numbers to a byte vector.
pub(crate) trait Put {
    fn put_u32(&mut self, x: u32);
    fn put_u64(&mut self, x: u64);
    fn put_i64(&mut self, x: i64);
}

impl Put for Vec<u8> {
    fn put_u32(&mut self, x: u32) {
        self.extend_from_slice(&x.to_le_bytes());
    }

    fn put_u64(&mut self, x: u64) {
        self.extend_from_slice(&x.to_le_bytes());
    }

    fn put_i64(&mut self, x: i64) {
        self.extend_from_slice(&x.to_le_bytes());
    }
}

/// The `i`th little-endian `u32` of a section; `None` past its end.
pub(crate) fn u32_at(bytes: &[u8], i: usize) -> Option<u32> {
    let start = i.checked_mul(4)?;
    let word = bytes.get(start..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*word))
}
