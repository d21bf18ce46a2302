//! The built-in static model, and its tokenizer beside the `tokenizers` crate.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use covey_embedder::bench::{CHUNK, least};
use covey_embedder::{EmbedError, StaticModel, builtin};
use tokenizers::Tokenizer;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

use super::Bench;
use super::rows::{OURS, Row, Static};
use crate::bench::report::Goal;

/// The crate beside which our WordPiece is measured.
const THEIRS: &str = "tokenizers";
/// For each measurement of a round.
const TIME: Duration = Duration::from_millis(100);
/// Chunks a second on one core.
const CHUNKS: f64 = 20_000.0;
/// Microseconds for one chunk alone.
const ALONE_US: f64 = 60.0;

/// Cuts and embeds the same chunks in turn, again and again.
pub fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let model = builtin()?;
    let theirs = reference(bench)?;
    let chunks: Vec<&str> = bench.texts.chunks.iter().map(String::as_str).collect();
    // Seconds for all chunks: our tokens, theirs, vectors in one call, and vectors one by one.
    let mut seconds = [f64::INFINITY; 4];
    for round in 0..bench.rounds {
        eprintln!("static, round {} of {}", round + 1, bench.rounds);
        let ours = || {
            chunks.iter().try_for_each(|text| model.token_spans(text).map(|it| drop(black_box(it))))
        };
        let theirs = || {
            chunks.iter().try_for_each(|text| {
                let cut = theirs.encode(*text, false);
                cut.map(|it| drop(black_box(it))).map_err(|e| EmbedError::Tokenizer(e.to_string()))
            })
        };
        let all = || model.embed(&chunks).map(|it| drop(black_box(it)));
        let alone = || {
            chunks.iter().try_for_each(|text| model.embed(&[text]).map(|it| drop(black_box(it))))
        };
        let now = [
            least(&bench.one, TIME, ours)?,
            least(&bench.one, TIME, theirs)?,
            least(&bench.one, TIME, all)?,
            least(&bench.one, TIME, alone)?,
        ];
        seconds.iter_mut().zip(now).for_each(|(least, now)| *least = least.min(now));
    }
    let count = chunks.len() as f64;
    let mega = |seconds: f64| count * (CHUNK - 2) as f64 / seconds / 1e6;
    Ok(vec![
        Row::Static(Static {
            engine: OURS.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mega_tokens: mega(seconds[0]),
            chunks: Some(count / seconds[2]),
            chunk_us: Some(seconds[3] / count * 1e6),
        }),
        Row::Static(Static {
            engine: THEIRS.to_owned(),
            version: locked(bench, THEIRS)?,
            mega_tokens: mega(seconds[1]),
            chunks: None,
            chunk_us: None,
        }),
    ])
}

/// The same tokenizer from the crate.
fn reference(bench: &Bench<'_>) -> Result<Tokenizer> {
    let file = bench.root.join("embedder/assets/covey-static-en-512.cvst");
    let model = StaticModel::from_bytes(&std::fs::read(file)?)?;
    let vocabulary = model.parts().vocabulary.iter().cloned().chain(["[UNK]".to_owned()]);
    let said = |error: tokenizers::Error| anyhow!("the tokenizers crate: {error}");
    let mut numbers = WordPiece::read_bytes(b"").map_err(said)?;
    numbers.extend(vocabulary.zip(0..));
    let mut tokenizer = Tokenizer::new(WordPiece::builder().vocab(numbers).build().map_err(said)?);
    tokenizer.with_normalizer(Some(BertNormalizer::default())).map_err(said)?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    Ok(tokenizer)
}

/// The version of a crate that this workspace is built with.
fn locked(bench: &Bench<'_>, name: &str) -> Result<String> {
    let text = std::fs::read_to_string(bench.root.join("Cargo.lock"))?;
    let (_, rest) = text
        .split_once(&format!("name = \"{name}\"\nversion = \""))
        .with_context(|| format!("Cargo.lock names no {name}"))?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

/// What was aimed at, as far as there are rows for it.
pub fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for row in rows {
        let Row::Static(it) = row else { continue };
        if let Some(chunks) = it.chunks {
            goals.push(Goal::at_least(
                "static: chunks a second on one core".to_owned(),
                chunks,
                CHUNKS,
            ));
        }
        if let Some(us) = it.chunk_us {
            goals.push(Goal::at_most(
                "static: microseconds for one chunk alone".to_owned(),
                us,
                ALONE_US,
            ));
        }
    }
    goals
}
