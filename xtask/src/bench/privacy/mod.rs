//! Epsilon beside `dp-accounting`, and how quickly exact noise is drawn, beside OpenDP.

mod report;
mod rows;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use covey_crypto::Secret32;
use covey_privacy::accountant::{Mu, PoissonRate, Rounds, SampledRounds, pld, rdp};
use covey_privacy::rng::NoiseRng;
use covey_privacy::sample::{Sampler, Variance};
use covey_privacy::{Delta, NoiseMultiplier};
use serde::Deserialize;
use serde_json::json;

use self::rows::{Accounting, Noise, Row};
use super::index::meter::cpu;
use crate::venv;

/// Sampling rate, noise multiplier, rounds and delta of what is accounted for.
const CASES: [(f64, f64, u32, f64); 12] = [
    (1.0, 1.0, 1, 1e-5),
    (1.0, 2.0, 10, 1e-5),
    (1.0, 4.0, 50, 1e-5),
    (1.0, 10.0, 100, 1e-6),
    (1.0, 0.8, 1, 1e-5),
    (0.1, 1.0, 100, 1e-5),
    (0.2, 1.5, 50, 1e-4),
    (0.5, 2.0, 50, 1e-4),
    (0.01, 1.0, 1_000, 1e-5),
    (0.01, 0.8, 10_000, 1e-6),
    (0.01, 0.5, 1_000, 1e-5),
    (256.0 / 60_000.0, 1.1, 14_062, 1e-5),
];
/// Deviations of the noise: small, and what an update of a fine grid takes.
const SIGMAS: [f64; 3] = [3.3, 1_048_576.0, 419_430_400.0];
/// Entries of the noise: a small adapter's, and a small model's.
const ENTRIES: [usize; 2] = [75_000, 22_000_000];
/// Draws are timed this often; the least counts.
const PASSES: usize = 3;

/// Options of `cargo xtask bench privacy`.
#[derive(Args)]
pub struct Options {
    /// Leave dp-accounting and OpenDP out.
    #[arg(long)]
    no_peers: bool,
}

#[derive(Deserialize)]
struct Answer {
    accounting: Vec<Theirs>,
    noise: Vec<f64>,
    versions: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize)]
struct Theirs {
    rdp: f64,
    pld: f64,
}

/// Runs the benchmark and writes docs/benchmarks/privacy.{json,md}.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let (mut theirs, mut missing) = (None, None);
    if !options.no_peers {
        match ask(root) {
            Ok(answer) => theirs = Some(answer),
            Err(problem) => missing = Some(format!("{problem:#}")),
        }
    }
    let mut rows = Vec::new();
    for (at, case) in CASES.into_iter().enumerate() {
        let theirs = theirs.as_ref().and_then(|answer| answer.accounting.get(at));
        rows.push(Row::Accounting(account(case, theirs.copied())?));
    }
    for (at, sigma) in SIGMAS.into_iter().enumerate() {
        for entries in ENTRIES {
            let theirs = theirs.as_ref().filter(|_| entries == ENTRIES[0]);
            let theirs = theirs.and_then(|answer| answer.noise.get(at)).copied();
            rows.push(Row::Noise(noise(sigma, entries, theirs)?));
        }
    }
    let versions = theirs.map(|answer| answer.versions).unwrap_or_default();
    report::write(root, &rows, &versions, missing.as_deref())?.conclude()
}

fn account(
    (sampling, noise, rounds, delta): (f64, f64, u32, f64),
    theirs: Option<Theirs>,
) -> Result<Accounting> {
    let (multiplier, count) = (NoiseMultiplier::new(noise)?, Rounds::new(rounds)?);
    let bound = Delta::new(delta)?;
    let parts =
        [SampledRounds { rate: PoissonRate::new(sampling)?, noise: multiplier, rounds: count }];
    let exact = (sampling == 1.0).then(|| Mu::of(multiplier, count).epsilon(bound)).transpose()?;
    let before = cpu();
    let pld = pld::epsilon(&parts, bound)?.get();
    let pld_ms = (cpu() - before).as_secs_f64() * 1e3;
    Ok(Accounting {
        sampling,
        noise,
        rounds,
        delta,
        rdp: rdp::epsilon(&parts, bound)?.get(),
        pld,
        pld_ms,
        exact: exact.map(|epsilon| epsilon.get()),
        their_rdp: theirs.map(|it| it.rdp),
        their_pld: theirs.map(|it| it.pld),
    })
}

fn noise(sigma: f64, entries: usize, theirs: Option<f64>) -> Result<Noise> {
    // A tenth of a unit is exact enough for a deviation that is named with one digit after the point.
    let variance = Variance::new((sigma * 10.0).round().powi(2) as u128, 100)?;
    let mut rng = NoiseRng::from_secret(Secret32::from_bytes([1; 32]));
    let mut drawn = vec![0_u32; entries];
    let mut least = f64::INFINITY;
    for _ in 0..PASSES {
        let before = cpu();
        Sampler::new(variance).add_to(&mut drawn, &mut rng);
        least = least.min((cpu() - before).as_secs_f64());
    }
    Ok(Noise { sigma, entries: entries as u64, cpu_s: least, opendp_cpu_s: theirs })
}

fn ask(root: &Path) -> Result<Answer> {
    let requirements = root.join("xtask/peers/requirements-privacy.txt");
    let python = venv::prepare(root, "privacy", &requirements)?.whole()?;
    let cases: Vec<_> = CASES
        .iter()
        .map(|(q, z, t, d)| json!({ "sampling": q, "noise": z, "rounds": t, "delta": d }))
        .collect();
    let noise: Vec<_> =
        SIGMAS.iter().map(|sigma| json!({ "sigma": sigma, "entries": ENTRIES[0] })).collect();
    eprintln!("dp-accounting and opendp: {} cases, a minute or two", cases.len() + noise.len());
    let mut child = Command::new(python)
        .arg(root.join("xtask/peers/privacy_peer.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("the environment's python cannot be started")?;
    let mut input = child.stdin.take().context("it has no input")?;
    writeln!(input, "{}", json!({ "cases": cases, "noise": noise }))?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "privacy_peer.py failed, see above");
    Ok(serde_json::from_slice(&output.stdout)?)
}
