//! What embedding costs here, in CPU time of one thread: tokens, static models, and each
//! way of running a `bert` model. `cargo run --release --example speed -- corpus.jsonl`
//! takes its texts from a corpus in BEIR's layout, else it makes some up.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use covey_embedder::{Embedder, Precision, builtin, testing};
use tokenizers::Tokenizer;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

/// Content tokens of a chunk; with its markers 256.
const CHUNK: usize = 254;

fn main() -> Result<(), Box<dyn Error>> {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let model = builtin()?;
    let chunks = chunks(model.as_ref(), &texts()?)?;
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    let tokens = chunks.len() * CHUNK;
    println!("{} chunks of {CHUNK} tokens", chunks.len());

    let ours = cost(|| spans(model.as_ref(), &chunks))?;
    let theirs = reference()?;
    let theirs = cost(|| {
        chunks
            .iter()
            .try_for_each(|text| theirs.encode(*text, false).map(drop))
            .map_err(|e| e.to_string().into())
    })?;
    let million = |time: Duration| tokens as f64 / time.as_secs_f64() / 1e6;
    println!(
        "tokens: {:.2} million/s here, {:.2} with `tokenizers`",
        million(ours),
        million(theirs)
    );

    let all = cost(|| {
        black_box(model.embed(&chunks)?);
        Ok(())
    })?;
    let alone = cost(|| {
        chunks.iter().try_for_each(|text| model.embed(&[text]).map(|row| drop(black_box(row))))?;
        Ok(())
    })?;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / chunks.len() as f64;
    println!("static: {:.1} us a chunk in one call, {:.1} us alone", each(all), each(alone));

    let Some(store) = testing::store_with_minilm() else { return Ok(()) };
    let query = ["how does selective recomputation save disk space here"];
    for precision in [Precision::Reference, Precision::F32, Precision::Int16, Precision::Int8] {
        let model = store.load_with(testing::MINILM_NAME, precision)?;
        let some = &chunks[..chunks.len().min(8)];
        let milli = |time: Duration, count: usize| time.as_secs_f64() * 1e3 / count as f64;
        let embed = |texts: &[&str]| -> Result<(), Box<dyn Error>> {
            black_box(model.embed(texts)?);
            Ok(())
        };
        let batch = cost(|| embed(some))?;
        let alone = cost(|| some.iter().try_for_each(|text| embed(&[text])))?;
        let queries = cost(|| (0..100).try_for_each(|_| embed(&query)))?;
        println!(
            "{} in {precision:?}: {:.1} ms a chunk in one call, {:.1} ms alone, {:.2} ms a query",
            model.name(),
            milli(batch, some.len()),
            milli(alone, some.len()),
            milli(queries, 100),
        );
    }
    Ok(())
}

fn texts() -> Result<Vec<String>, Box<dyn Error>> {
    let Some(path) = std::env::args().nth(1) else {
        return Ok(vec![
            "Selective recomputation trades storage for the embedder's speed. ".repeat(2_000),
        ]);
    };
    let lines = std::fs::read_to_string(path)?;
    let text = |line: &str| -> Result<String, Box<dyn Error>> {
        let document: serde_json::Value = serde_json::from_str(line)?;
        Ok(document["text"].as_str().unwrap_or_default().to_owned())
    };
    lines.lines().take(4_000).map(text).collect()
}

/// Texts joined and cut into chunks of exactly [`CHUNK`] tokens.
fn chunks(model: &dyn Embedder, texts: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
    let text = texts.join("\n");
    let spans = model.token_spans(&text)?;
    let chunks = spans.chunks_exact(CHUNK).take(2_000);
    Ok(chunks.map(|spans| text[spans[0].start..spans[CHUNK - 1].end].to_owned()).collect())
}

fn spans(model: &dyn Embedder, texts: &[&str]) -> Result<(), Box<dyn Error>> {
    for text in texts {
        black_box(model.token_spans(text)?);
    }
    Ok(())
}

fn reference() -> Result<Tokenizer, Box<dyn Error>> {
    let model = covey_embedder::StaticModel::from_bytes(include_bytes!(
        "../assets/covey-static-en-256.cvst"
    ))?;
    let vocabulary = model.parts().vocabulary.iter().cloned().chain(["[UNK]".to_owned()]);
    let mut numbers = WordPiece::read_bytes(b"").map_err(|e| e.to_string())?;
    numbers.extend(vocabulary.zip(0..));
    let mut tokenizer =
        Tokenizer::new(WordPiece::builder().vocab(numbers).build().map_err(|e| e.to_string())?);
    tokenizer.with_normalizer(Some(BertNormalizer::default())).map_err(|e| e.to_string())?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    Ok(tokenizer)
}

/// The least CPU time of three runs.
fn cost(mut run: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let before = cpu_time()?;
        run()?;
        least = least.min(cpu_time()?.saturating_sub(before));
    }
    Ok(least)
}

/// CPU time of all threads of this process.
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let times = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += times.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}
