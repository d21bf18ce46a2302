//! `covey model mine`.

use std::path::{Path, PathBuf};

use clap::Args;
use covey_node::api::{ApiError, Call, ErrorCode, MineCall, MineReport, Reply};
use covey_protocol::ids::Name;

use crate::commands::collections::absolute;
use crate::session::Session;

const EXAMPLES: &str = "\
Examples: covey model mine --out pairs.jsonl
          covey model mine --collection notes --negatives 4 --out pairs.jsonl
          covey model train --pairs pairs.jsonl --name my-model
          covey model train --mine --name my-model        (both at once)";

/// Write out pairs of your own texts that belong together, to train a model on
///
/// Pairs are titles with how the text under them begins, headings with what stands under them, what documents a piece
/// of code with the code, and questions with the results that you opened (`covey open`). The file holds text of yours:
/// it is for you alone, and nothing leaves the machine. Files that changed since they were indexed give nothing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Mine {
    /// Only this collection; give it again for others
    #[arg(long, short, value_name = "NAME")]
    collection: Vec<Name>,
    /// The file to write; one that is there is replaced
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// For each pair so many texts of other documents that rank high for it and do not belong to it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = negatives())]
    negatives: u16,
}

impl Mine {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let report = mine(session, self.collection, &self.out, self.negatives)?;
        session.output.done(Reply::Mined(report))?;
        let out = self.out.display();
        session.output.notice(&format!("Train with: covey model train --pairs {out} --name NEW"));
        Ok(())
    }
}

/// How many negatives a pair may have.
pub fn negatives() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(0..=i64::from(covey_node::api::MAX_NEGATIVES))
}

/// Mines collections (all by default) into a file.
pub fn mine(
    session: &Session<'_>,
    collections: Vec<Name>,
    out: &Path,
    negatives: u16,
) -> Result<MineReport, ApiError> {
    let call = MineCall { collections, path: absolute(out)?, negatives };
    match session.call(Call::Mine(call), "mining")? {
        Reply::Mined(report) => Ok(report),
        _ => Err(ApiError::new(ErrorCode::Internal, "the node answered something else")),
    }
}
