//! Numbers of the segment layout.

pub(super) const MAGIC: [u8; 8] = *b"COVEYSEG";

pub(super) const META: u32 = 1;
pub(super) const ROOTS: u32 = 2;
pub(super) const FILES: u32 = 3;
pub(super) const PATHS: u32 = 4;
pub(super) const CHUNKS: u32 = 5;
pub(super) const TITLES: u32 = 6;
pub(super) const MEAN: u32 = 7;
pub(super) const CODES: u32 = 8;
pub(super) const SCALES: u32 = 9;
pub(super) const OFFSETS: u32 = 10;
pub(super) const LINKS: u32 = 11;
pub(super) const SECTIONS: usize = 11;

/// Bytes of one record of the FILES section.
pub(super) const FILE_RECORD: usize = 84;
/// Bytes of one record of the CHUNKS section.
pub(super) const CHUNK_RECORD: usize = 12;
/// Title number of a chunk that stands under no heading.
pub(super) const NO_TITLE: u32 = u32::MAX;

/// Encodings this version knows; a later one adds numbers.
pub(super) const CODE_SIGN: u32 = 1;
pub(super) const LINKS_PLAIN: u32 = 1;

/// Bounds of one segment.
pub(crate) const MAX_CHUNKS: usize = 1 << 24;
pub(crate) const MAX_DIM: usize = 16 * 1024;
