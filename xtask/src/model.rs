//! `cargo xtask model`: makes the built-in model again, byte for byte on the same kind of processor.

mod ontology;
mod packages;
mod pairs;
mod wordnet;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use covey_embedder::{
    BUILTIN_NAME, Bits, ContrastOptions, DistillOptions, DistillProgress, Embedder, ModelStore,
    PullSource, TextPair, default_cache, distill_and_train, testing,
};

use pairs::{Draws, Group, distinct};

/// Dimensions of the built-in model. On the development questions width is worth more than bits.
const DIM: usize = 512;
/// Bits of an entry: with five, 512 dimensions would not fit into 8 MiB.
const BITS: u8 = 4;

/// Where the texts lie; embedder/assets/NOTICE.md says where they come from and under which licences.
#[derive(Args)]
pub struct Options {
    /// WordNet's data files: data.noun and so on.
    #[arg(long, value_name = "FOLDER")]
    wordnet: PathBuf,
    /// Ontologies: go.obo, chebi.obo, so.obo and pathway.obo.
    #[arg(long, value_name = "FOLDER")]
    ontologies: PathBuf,
    /// Descriptions of Debian's packages, a retrieval set in BEIR's layout with a training split.
    #[arg(long, value_name = "FOLDER")]
    packages: PathBuf,
    /// What all choices are drawn from.
    #[arg(long, default_value_t = ContrastOptions::default().seed)]
    seed: u64,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Distils the teacher, which is fetched if it is not in the model cache, and trains on the pairs.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let groups = groups(options)?;
    let cache = default_cache().context("neither COVEY_MODEL_CACHE nor HOME is set")?;
    let store = ModelStore::open(&cache)?;
    store.pull(&PullSource::MiniLm, &mut |_| ())?;
    let teacher = store.load_bert(testing::MINILM_NAME)?;
    let distill = DistillOptions {
        name: BUILTIN_NAME.to_owned(),
        dim: DIM,
        bits: Bits::new(BITS).context("rows cannot have so many bits")?,
        ..DistillOptions::default()
    };
    let training = ContrastOptions { seed: options.seed, ..ContrastOptions::default() };
    let model = distill_and_train(&teacher, &distill, &groups, &training, &mut show)?;
    let bytes = model.to_bytes()?;
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| root.join(format!("embedder/assets/{BUILTIN_NAME}.cvst")));
    fs::write(&out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
    println!("{}: {} bytes, id {}", out.display(), bytes.len(), model.id());
    Ok(())
}

fn groups(options: &Options) -> Result<Vec<Vec<TextPair>>> {
    let mut draws = Draws::new(options.seed);
    let mut groups = wordnet::groups(&options.wordnet, &mut draws)?;
    groups.extend(packages::groups(&options.packages, &mut draws)?);
    groups.extend(ontology::groups(&options.ontologies)?);
    distinct(&mut groups);
    for Group { name, pairs } in &groups {
        eprintln!("{name}: {} pairs", pairs.len());
    }
    Ok(groups.into_iter().map(|group| group.pairs).collect())
}

fn show(progress: DistillProgress) {
    match progress {
        DistillProgress::Tokens { done, all } => eprint!("\r{done} of {all} tokens"),
        DistillProgress::Training(step) => {
            eprint!("\rbatch {} of {}, loss {:.3}  ", step.done, step.all, step.loss);
            if step.done == step.all {
                eprintln!();
            }
        }
    }
}
