//! Compares what devices compute with the processor: `cargo xtask gpu` builds and runs it.
//!
//! `device [DEVICE]...`; without a device, the first of each kind that was built in and is there. `device --found` only
//! prints which those are. It fails where one does not agree with the processor, and where there is none. The model is
//! all-MiniLM-L6-v2 from the model cache, pulled if it is not there.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use covey_embedder::adapter::{AdapterConfig, HeadConfig, LoraConfig};
use covey_embedder::bench::{Texts, cut};
use covey_embedder::train::{Examples, Learner, Objective, Pair, PairRules, update};
use covey_embedder::{BUILTIN_NAME, Compute, Embedder, ModelStore, Precision, testing};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How far a vector may be from the processor's, as 1 - cosine.
const VECTORS_APART: f64 = 1e-5;
/// The same of gradients, which go through twice as many products.
const GRADIENTS_APART: f64 = 1e-4;
/// How far losses and lengths of gradients may be from the processor's, of those.
const NUMBERS_APART: f64 = 1e-3;
/// Content tokens of the texts that are embedded. With their two markers some just fit what passes are padded to, some
/// just do not, and shorter and longer ones share batches.
const LENGTHS: [usize; 10] = [1, 5, 10, 29, 30, 31, 62, 63, 120, 254];
/// How many texts of how many tokens, markers included, are timed, in this order. Some come in a shape that was there
/// before once they are padded.
const PASSES: [(usize, usize); 7] =
    [(1, 12), (1, 20), (1, 256), (1, 230), (8, 256), (5, 240), (8, 100)];
/// How often each is.
const TIMES: usize = 3;
/// Pairs of a step, and tokens of each text.
const PAIRS: usize = 4;
const TOKENS: usize = 48;

fn main() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--found"] {
        found()?.iter().for_each(|device| println!("{device}"));
        return Ok(());
    }
    let named: Vec<Compute> = arguments.iter().map(|it| it.parse()).collect::<Result<_, _>>()?;
    let devices = if named.is_empty() { found()? } else { named };
    let store = testing::store_with_minilm().ok_or("MiniLM cannot be fetched, see above")?;
    let mut agree = true;
    for device in devices {
        let start = Instant::now();
        println!("{device}, {}, opened in {:.1} s", device.check()?, start.elapsed().as_secs_f64());
        passes(&store, device)?;
        agree &= vectors(&store, device)?;
        agree &= steps(&store, device)?;
    }
    if agree { Ok(()) } else { Err("a device does not agree with the processor, see above".into()) }
}

/// The first device of each kind; says why another is not among them.
fn found() -> Outcome<Vec<Compute>> {
    let mut devices = Vec::new();
    for device in [Compute::Cuda(0), Compute::Wgpu(0)] {
        match device.check() {
            Ok(_) => devices.push(device),
            Err(error) => eprintln!("{error}"),
        }
    }
    if devices.is_empty() {
        return Err("there is no graphics card that this build can use, see above".into());
    }
    Ok(devices)
}

/// Prints what passes take: the first of a shape has its kernels compiled and chosen.
fn passes(store: &ModelStore, device: Compute) -> Outcome<()> {
    let model = store.clone().on(device).load(testing::MINILM_NAME)?;
    let long = long(model.as_ref(), 16)?;
    for (count, tokens) in PASSES {
        let texts = cut(model.as_ref(), &long, tokens - 2, count)?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut seconds = Vec::new();
        for _ in 0..TIMES {
            let start = Instant::now();
            model.embed(&texts)?;
            seconds.push(format!("{:.2}", start.elapsed().as_secs_f64()));
        }
        println!("  {} texts of {tokens} tokens: {} s", texts.len(), seconds.join(", then "));
    }
    Ok(())
}

/// Whether texts get the vectors that the processor gives them, in batches and alone.
fn vectors(store: &ModelStore, device: Compute) -> Outcome<bool> {
    let processor = store.load_with(testing::MINILM_NAME, Precision::F32)?;
    let card = store.clone().on(device).load(testing::MINILM_NAME)?;
    let long = long(processor.as_ref(), 4)?;
    let mut texts = vec![String::new()];
    for length in LENGTHS {
        texts.extend(cut(processor.as_ref(), &long, length, 2)?);
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (expected, together) = (processor.embed(&texts)?, card.embed(&texts)?);
    let mut alone = Vec::new();
    for text in &texts {
        alone.extend(card.embed(&[*text])?);
    }
    let dim = processor.dim();
    let mut agree = true;
    for (how, found) in [("together", together), ("alone", alone)] {
        let apart = expected.chunks(dim).zip(found.chunks(dim)).skip(1);
        let apart = apart.map(|(a, b)| 1.0 - cosine(a, b)).fold(f64::NEG_INFINITY, f64::max);
        let good = apart <= VECTORS_APART && found[..dim].iter().all(|&x| x == 0.0);
        let (mark, count) = (mark(good), texts.len());
        println!("  {mark} vectors of {count} texts {how}: 1 - cosine {apart:.1e} at most");
        agree &= good;
    }
    Ok(agree)
}

/// Whether a step of training has the loss and gradient that it has on the processor.
fn steps(store: &ModelStore, device: Compute) -> Outcome<bool> {
    let lora = AdapterConfig::Lora(LoraConfig::default());
    let frozen = AdapterConfig::Lora(LoraConfig { freeze_a: true, ..LoraConfig::default() });
    let head = AdapterConfig::Head(HeadConfig::default());
    let weights = HeadConfig { rank: Some(8), token_weights: true, ..HeadConfig::default() };
    let cases = [
        ("LoRA", testing::MINILM_NAME, lora),
        ("LoRA with A frozen", testing::MINILM_NAME, frozen),
        ("a static map", BUILTIN_NAME, head),
        ("a low-rank static map with token weights", BUILTIN_NAME, AdapterConfig::Head(weights)),
    ];
    let mut agree = true;
    for (what, base, config) in cases {
        agree &= step(store, device, what, base, config)?;
    }
    Ok(agree)
}

fn step(
    store: &ModelStore,
    device: Compute,
    what: &str,
    base: &str,
    config: AdapterConfig,
) -> Outcome<bool> {
    let examples = examples(store)?;
    let objective = Objective { matryoshka: vec![64], ..Objective::default() };
    let batch = examples.batch(&examples.train.iter().collect::<Vec<_>>(), &[]);
    let taken = |device: Compute| -> Outcome<(f64, Vec<f32>)> {
        let store = store.clone().on(device);
        let learner = store.learner(base, config.clone(), &examples.texts, TOKENS)?;
        let values = moved(learner.as_ref());
        let mut gradient = vec![0.0; values.len()];
        let loss = learner.gradient(&values, &batch, &objective, &mut gradient)?;
        let again = learner.loss(&values, &batch, &objective)?;
        if relative(loss, again) > NUMBERS_APART {
            return Err(
                format!("{device}: the loss is {loss} with gradient, {again} without").into()
            );
        }
        Ok((loss, gradient))
    };
    let ((expected, a), (found, b)) = (taken(Compute::Cpu)?, taken(device)?);
    let apart = 1.0 - cosine(&a, &b);
    let length = relative(update::norm(&a), update::norm(&b));
    let good = apart <= GRADIENTS_APART && length.max(relative(expected, found)) <= NUMBERS_APART;
    println!(
        "  {} a step of {what}: loss {found:.6} (processor {expected:.6}), gradient 1 - cosine {apart:.1e}, length off by {length:.1e} of it",
        mark(good)
    );
    Ok(good)
}

/// Pairs of made-up texts, halves of the same.
fn examples(store: &ModelStore) -> Outcome<Examples> {
    let model = store.load(testing::MINILM_NAME)?;
    let long = long(model.as_ref(), 4)?;
    let texts = cut(model.as_ref(), &long, TOKENS - 20, 2 * PAIRS)?;
    let pairs: Vec<Pair> = texts
        .chunks_exact(2)
        .map(|two| Pair { anchor: two[0].clone(), positive: two[1].clone(), ..Pair::default() })
        .collect();
    Ok(Examples::new(&pairs, &PairRules { held_out: 0.0, ..PairRules::default() }))
}

/// Values somewhere off the start, where every gradient says something.
fn moved(learner: &dyn Learner) -> Vec<f32> {
    let values = learner.start();
    values.iter().enumerate().map(|(i, x)| x + 0.02 * (i as f32 * 1.3).sin()).collect()
}

/// Made-up text of some `count` chunks.
fn long(model: &dyn Embedder, count: usize) -> Outcome<String> {
    Ok(Texts::of(model, count)?.chunks(count).join(" "))
}

fn mark(good: bool) -> &'static str {
    if good { "agrees:" } else { "DIFFERS:" }
}

fn relative(a: f64, b: f64) -> f64 {
    (a - b).abs() / a.abs().max(f64::MIN_POSITIVE)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
