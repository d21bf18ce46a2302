//! One immutable segment: some files' chunks, and the codes of a model release for them.

use std::sync::Arc;

use crate::codec::Codec;
use crate::coded::Coded;
use crate::container::Refusal;
use crate::content::Content;
use crate::store::Blob;

/// Longest vectors.
pub(crate) const MAX_DIM: usize = 16 * 1024;

/// An opened segment.
pub(crate) struct Segment {
    pub(crate) content: Arc<Content>,
    pub(crate) coded: Coded,
}

impl Segment {
    /// Opens a content file and the codes that `codec` made of its chunks.
    pub(crate) fn open(
        content: Arc<Content>,
        codes: Blob,
        codec: &Arc<Codec>,
    ) -> Result<Self, Refusal> {
        let coded = Coded::open(codes, codec, content.head(), content.len())?;
        Ok(Self { content, coded })
    }

    /// How many chunks it holds.
    pub(crate) fn len(&self) -> u32 {
        self.content.len()
    }

    /// Bytes of its files.
    pub(crate) fn bytes(&self) -> usize {
        self.content.bytes() + self.coded.bytes()
    }
}
