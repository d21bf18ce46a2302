//! Compares what devices compute with the processor, and their speed: `cargo xtask gpu` builds and runs it.
//!
//! `device [--seconds N] [DEVICE]...`; without a device, the first of each kind that was built in and is there. It fails
//! where one does not agree, and where there is none. The model is all-MiniLM-L6-v2 from the model cache, pulled if it is
//! not there.

use std::error::Error;
use std::time::Duration;

use covey_embedder::adapter::{AdapterConfig, HeadConfig, LoraConfig};
use covey_embedder::bench::{Texts, cut, measure};
use covey_embedder::train::{Examples, Learner, Objective, Pair, PairRules, update};
use covey_embedder::{BUILTIN_NAME, Compute, ModelStore, Precision, testing};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How far a vector may be from the processor's, as 1 - cosine.
const VECTORS_APART: f64 = 1e-5;
/// The same of gradients, which go through twice as many products.
const GRADIENTS_APART: f64 = 1e-4;
/// How far losses and lengths of gradients may be from the processor's, of those.
const NUMBERS_APART: f64 = 1e-3;
/// Tokens of the texts that are embedded: shorter and longer ones share batches.
const LENGTHS: [usize; 6] = [1, 5, 10, 33, 120, 254];
/// Pairs of a step, and tokens of each text.
const PAIRS: usize = 4;
const TOKENS: usize = 48;

fn main() -> Outcome<()> {
    let (devices, seconds) = arguments()?;
    let store = testing::store_with_minilm().ok_or("MiniLM cannot be fetched, see above")?;
    let mut agree = true;
    for device in devices {
        println!("{device}, {}", device.check()?);
        agree &= vectors(&store, device)?;
        agree &= steps(&store, device)?;
        speed(&store, device, seconds)?;
    }
    if agree { Ok(()) } else { Err("a device does not agree with the processor, see above".into()) }
}

/// The devices to check, and how long each way of computing is measured.
fn arguments() -> Outcome<(Vec<Compute>, Duration)> {
    let (mut devices, mut seconds) = (Vec::<Compute>::new(), 4.0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => seconds = arguments.next().ok_or("--seconds wants a number")?.parse()?,
            device => devices.push(device.parse()?),
        }
    }
    if devices.is_empty() {
        for device in [Compute::Cuda(0), Compute::Wgpu(0)] {
            match device.check() {
                Ok(_) => devices.push(device),
                Err(error) => eprintln!("{error}"),
            }
        }
    }
    for device in &devices {
        device.check()?;
    }
    let none = "no graphics card was checked: there is none that this build can use, see above";
    if devices.is_empty() {
        return Err(none.into());
    }
    Ok((devices, Duration::try_from_secs_f64(seconds)?))
}

/// Whether texts get the vectors that the processor gives them.
fn vectors(store: &ModelStore, device: Compute) -> Outcome<bool> {
    let expected = store.load_with(testing::MINILM_NAME, Precision::F32)?;
    let found = store.clone().on(device).load(testing::MINILM_NAME)?;
    let long = Texts::of(expected.as_ref(), 4)?.chunks(4).join(" ");
    let mut texts = vec![String::new()];
    for length in LENGTHS {
        texts.extend(cut(expected.as_ref(), &long, length, 2)?);
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (dim, count) = (expected.dim(), texts.len());
    let (expected, found) = (expected.embed(&texts)?, found.embed(&texts)?);
    let apart = expected.chunks(dim).zip(found.chunks(dim)).skip(1);
    let apart = apart.map(|(a, b)| 1.0 - cosine(a, b)).fold(f64::NEG_INFINITY, f64::max);
    let good = apart <= VECTORS_APART && found[..dim].iter().all(|&x| x == 0.0);
    println!("  {} vectors of {count} texts: 1 - cosine {apart:.1e} at most", mark(good));
    Ok(good)
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
    let long = Texts::of(model.as_ref(), 4)?.chunks(4).join(" ");
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

/// Prints chunks a second beside the processor's.
fn speed(store: &ModelStore, device: Compute, seconds: Duration) -> Outcome<()> {
    let store = store.clone().on(device);
    let info = store.info(testing::MINILM_NAME)?;
    let outcome = measure(&store, &info, seconds, &mut |_, _, _| ())?;
    for (way, speed) in &outcome.speeds {
        let way = way.map_or("static", Precision::name);
        println!("  {way} on the processor: {:.1} chunks/s on all threads", speed.chunks_all);
    }
    if let Some((device, speed)) = &outcome.device {
        let (chunk, query) = (speed.chunk * 1e3, speed.query * 1e3);
        println!(
            "  f32 on {device}: {:.1} chunks/s, {chunk:.1} ms a chunk alone, {query:.1} ms a question",
            speed.chunks_all
        );
    }
    Ok(())
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
