//! What an index may cost on disk and how hard it looks.

use crate::bytes::{Put, Reader};
use crate::content::MAX_CHUNKS;

/// Settings of a collection; a [`Profile`] or the tuner makes them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes of index a chunk may take on average, of a collection of some thousand chunks or more:
    /// codes, the codec's share, the graph and where the text lies.
    pub bytes_per_chunk: u32,
    /// Most chunks recomputed for a query, of a collection of up to 8192 chunks; see
    /// [`recompute_at`](Self::recompute_at) for larger ones.
    pub recompute: u32,
    /// How sure the search is to be, in standard deviations, that what it leaves out is no better than what it
    /// found, in a collection of up to 8192 chunks; see [`confidence_at`](Self::confidence_at) for larger ones.
    pub confidence: f32,
    /// Whether every hit's score is recomputed. If not, only those whose place is in doubt are.
    pub exact: bool,
    /// Up to this many chunks a segment is scanned as a whole; above, it has blocks and a graph of them.
    pub flat: u32,
    /// Blocks scanned for a query, of each large segment; 0 chooses by the segment's size.
    pub probes: u32,
    /// Whether chunks can be searched by their words as well.
    pub lexical: bool,
    /// Most bytes on disk for embeddings that were recomputed lately; 0 keeps none.
    pub cache_bytes: u64,
}

/// Up to this many chunks a sweep over all codes beats a walk, in time and in recall: up to ten million as far as
/// it was measured (docs/benchmarks/index.md), and no segment has more than this.
const FLAT: u32 = MAX_CHUNKS as u32;

/// Settings for three kinds of need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// As little disk as possible: 17 bytes a chunk, some hundred recomputations, recall@10 of 0.9 and more.
    Small,
    /// Half the disk of a plain LEANN index at 60 bytes a chunk: some forty recomputations on average over 5,000
    /// chunks of MiniLM, recall@10 of 0.99.
    #[default]
    Balanced,
    /// 200 bytes a chunk, for the least recomputation: some five, recall@10 of 0.99.
    Fast,
}

impl Profile {
    /// All of them, from the smallest to the fastest.
    pub const ALL: [Self; 3] = [Self::Small, Self::Balanced, Self::Fast];

    /// What to call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Balanced => "balanced",
            Self::Fast => "fast",
        }
    }

    /// Bytes of cache that pay where embedding a chunk takes milliseconds; its settings have none, as
    /// with a model that looks vectors up in a table reading a cache is no faster.
    pub fn cache_bytes(self) -> u64 {
        match self {
            Self::Small => 1 << 20,
            Self::Balanced => 8 << 20,
            Self::Fast => 8 << 20,
        }
    }

    /// Its settings.
    pub fn settings(self) -> Settings {
        let (bytes_per_chunk, recompute, confidence, exact) = match self {
            Self::Small => (17, 2048, 2.6, true),
            Self::Balanced => (60, 512, 2.6, true),
            Self::Fast => (200, 8, 2.5, false),
        };
        Settings {
            bytes_per_chunk,
            recompute,
            confidence,
            exact,
            flat: FLAT,
            probes: 0,
            lexical: self != Self::Small,
            cache_bytes: 0,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Profile::default().settings()
    }
}

impl Settings {
    /// Most chunks recomputed for a query over this many chunks: for each doubling beyond 8192 15% more, or 50% more
    /// where every score is exact.
    pub fn recompute_at(&self, chunks: usize) -> usize {
        let growth: f64 = if self.exact { 1.5 } else { 1.15 };
        (f64::from(self.recompute) * growth.powf(doublings(SMALL, chunks))).round() as usize
    }

    /// How sure a search of this many chunks is to be: the more there are, the more are left out, and the surer it has
    /// to be of each. Where every score is exact, .24 standard deviations for each doubling beyond 8192.
    pub fn confidence_at(&self, chunks: usize) -> f32 {
        let surer = if self.exact { 0.24 * doublings(SMALL, chunks) } else { 0.0 };
        self.confidence + surer as f32
    }

    /// The profile these are the settings of, if any, whatever is cached.
    pub fn profile(&self) -> Option<Profile> {
        let plain = Self { cache_bytes: 0, ..*self };
        Profile::ALL.into_iter().find(|profile| profile.settings() == plain)
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u32(self.bytes_per_chunk);
        bytes.put_u32(self.recompute);
        bytes.extend_from_slice(&self.confidence.to_le_bytes());
        bytes.put_u32(self.exact.into());
        bytes.put_u32(self.flat);
        bytes.put_u32(self.probes);
        bytes.put_u32(self.lexical.into());
        bytes.put_u64(self.cache_bytes);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let settings = Self {
            bytes_per_chunk: reader.u32()?,
            recompute: reader.u32()?,
            confidence: f32::from_le_bytes(reader.array()?),
            exact: flag(&mut reader)?,
            flat: reader.u32()?,
            probes: reader.u32()?,
            lexical: flag(&mut reader)?,
            cache_bytes: reader.u64()?,
        };
        (settings.are_sane() && reader.finished()).then_some(settings)
    }

    /// Whether they are within bounds that make sense.
    pub(crate) fn are_sane(&self) -> bool {
        (8..=1 << 16).contains(&self.bytes_per_chunk)
            && (0.0..=10.0).contains(&self.confidence)
            && self.recompute <= 1 << 24
    }
}

/// Up to this many chunks settings hold as they are.
const SMALL: f64 = 8192.0;

/// How often `from` doubles up to this many chunks.
pub(crate) fn doublings(from: f64, chunks: usize) -> f64 {
    (chunks as f64 / from).log2().max(0.0)
}

fn flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u32()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_and_nonsense_does_not() {
        for profile in Profile::ALL {
            let settings = profile.settings();
            assert_eq!(Settings::from_bytes(&settings.to_bytes()), Some(settings));
            assert_eq!(settings.profile(), Some(profile));
            let cached = Settings { cache_bytes: profile.cache_bytes(), ..settings };
            assert_eq!(cached.profile(), Some(profile));
        }
        let bad = Settings { confidence: f32::NAN, ..Settings::default() };
        assert_eq!(Settings::from_bytes(&bad.to_bytes()), None);
    }

    #[test]
    fn larger_collections_may_recompute_more() {
        let settings = Settings::default();
        assert_eq!((settings.recompute_at(10), settings.recompute_at(8192)), (512, 512));
        assert_eq!(settings.recompute_at(16384), 768);
        assert!((settings.confidence_at(16384) - settings.confidence - 0.24).abs() < 1e-6);
        let fast = Profile::Fast.settings();
        assert_eq!((fast.recompute_at(8192), fast.recompute_at(8 << 20)), (8, 32));
        assert_eq!(fast.confidence_at(8 << 20), fast.confidence);
    }
}
