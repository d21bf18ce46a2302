//! `covey model near`.

use std::path::PathBuf;

use clap::Args;
use covey_embedder::eval::near_pairs;
use covey_embedder::{BUILTIN_NAME, Compute};
use covey_node::api::{ApiError, ErrorCode, NearReport, Progress, Reply};

use super::train::{read, write};
use crate::progress::Bar;
use crate::session::Session;

const EXAMPLES: &str = "\
Examples: covey model near judged.jsonl --model all-MiniLM-L6-v2 --out near.jsonl
          covey model train --pairs near.jsonl --model all-MiniLM-L6-v2 --name my-minilm
          covey train opt-in lab --pairs near.jsonl --epsilon 8";

/// Choose the pairs that a model is near to, to fine-tune it on
///
/// A good model unlearns from loose pairs, as it is pulled towards answers that it has no means to find. This keeps those pairs whose answer it finds among the
/// first --among of all answers in the file, and gives each a negative: another answer that ranks from sixth to fortieth.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Near {
    /// The pairs, a file of JSON lines as `covey model train` reads them
    pairs: PathBuf,
    /// The file to write; one that is there is replaced
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// The model that is to learn from them
    #[arg(long, default_value = BUILTIN_NAME)]
    model: String,
    /// An answer counts if it is among so many
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    among: u16,
    /// Where to compute: cpu, or cuda or wgpu if covey was built with it (by default as config.toml says)
    #[arg(long, value_name = "DEVICE")]
    device: Option<Compute>,
}

impl Near {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let model = session.embedder(Some(&self.model), self.device)?;
        let pairs = read(&self.pairs)?;
        let all = pairs.len() as u64;
        let mut bar = Bar::start("embedding", session.output);
        let near = near_pairs(pairs, &*model, self.among.into(), &mut |done, all| {
            bar.update(Progress {
                stage: "embedding".into(),
                done: done as u64,
                total: Some(all as u64),
                item: Some(self.model.clone()),
            });
        });
        drop(bar);
        let near = near.map_err(|error| {
            ApiError::new(ErrorCode::Internal, format!("{}: {error}", self.model))
        })?;
        let mut lines = Vec::new();
        for pair in &near {
            serde_json::to_writer(&mut lines, pair)
                .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
            lines.push(b'\n');
        }
        write(&self.out, &lines)?;
        session.output.done(Reply::Near(NearReport {
            path: self.out,
            model: self.model,
            pairs: all,
            kept: near.len() as u64,
        }))?;
        if near.is_empty() {
            session.output.notice("No answer is found: raise --among, or look at the pairs.");
        }
        Ok(())
    }
}
