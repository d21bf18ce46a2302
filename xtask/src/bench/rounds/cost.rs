//! What rounds cost beside training: our nodes and Flower's, with the same model, pairs, cohort, rank and steps, one after the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use covey_embedder::testing;

use super::flower::Flower;
use super::lab::Lab;
use super::processes::{Watch, cpu_of, tcp};
use super::rows::{Cost, RoundCost, Row, Settings};
use super::{CLIENTS, campaign, quality, topics};
use crate::bench::report::Goal;

/// How our own rows name their engine.
pub const OURS: &str = "covey";
/// Steps of each client in a round, and rounds.
const CASES: [(u32, u32); 2] = [(1, 3), (8, 2)];
/// Most of Flower's overhead that ours may be.
const SHARE: f64 = 0.2;
/// How often our nodes are looked at: training is told from the rest as finely as that.
const POLL: Duration = Duration::from_millis(100);
pub const RANK: u16 = 8;
pub const BATCH: u32 = 32;
pub const RATE: f64 = 2e-4;
/// Pairs of each client. Flower's takes so many of the same file.
const PAIRS: usize = 1_024;

/// Takes turns with Flower. Each row is handed over as it comes.
pub fn measure(
    root: &Path,
    data: &Path,
    flower: Option<&Flower>,
    keep: &mut dyn FnMut(Row) -> Result<()>,
) -> Result<()> {
    let folder = root.join("target/bench-rounds/few");
    let topics = topics::split(data, &folder, CLIENTS, None)?;
    for file in &topics.files {
        first_lines(file, PAIRS)?;
    }
    let model = quality::minilm()?;
    for (steps, rounds) in CASES {
        eprintln!("covey: {steps} steps, {rounds} rounds");
        keep(Row::Cost(ours(root, &model, &topics, steps, rounds)?))?;
        let Some(flower) = flower else { continue };
        for secure in [false, true] {
            eprintln!("flower: {steps} steps, {rounds} rounds, SecAgg+: {secure}");
            keep(Row::Cost(flower.run(root, &model, &topics.files, steps, rounds, secure)?))?;
        }
    }
    Ok(())
}

fn first_lines(file: &Path, most: usize) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    let some: Vec<&str> = text.lines().take(most).collect();
    Ok(std::fs::write(file, some.join("\n") + "\n")?)
}

/// What is seen of one of our nodes from one look to the next.
#[derive(Default)]
struct Seen {
    cpu: f64,
    training: bool,
    training_cpu: f64,
    /// By round.
    training_s: BTreeMap<u64, f64>,
}

fn ours(
    root: &Path,
    model: &Path,
    topics: &topics::Topics,
    steps: u32,
    rounds: u32,
) -> Result<Cost> {
    let settings = Settings {
        rounds,
        rank: Some(RANK),
        epochs: 1,
        steps,
        rate: RATE,
        proximal: 0.0,
        clip: 20.0,
        rule: "average".to_owned(),
        server_rate: 1.0,
        epsilon: None,
    };
    let lab = Lab::found(root, CLIENTS, Some(model))?;
    campaign::opt_in(&lab, &topics.files, &settings)?;
    let processes: Vec<u32> = lab.members.iter().map(|member| member.process()).collect();
    let watch = Watch::start(processes.clone());
    let traffic = || processes[1..].iter().map(|process| tcp(*process)).collect::<Option<Vec<_>>>();
    let (cpu_before, traffic_before) = (watch.cpu_s(), traffic());
    let mut seen: Vec<Seen> =
        processes.iter().map(|process| Seen { cpu: cpu_of(*process), ..Seen::default() }).collect();
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    campaign::start(&lab, testing::MINILM_NAME, &settings)?;
    let history = campaign::wait(&lab, Some(POLL), &mut |number, learning| {
        let (seen, cpu) = (&mut seen[number], cpu_of(processes[number]));
        let training = learning["doing"] == "training";
        // A look that finds training on both sides had it in between.
        if training && seen.training {
            seen.training_cpu += cpu - seen.cpu;
        }
        (seen.cpu, seen.training) = (cpu, training);
        let trained = &learning["trained"];
        if let (Some(round), Some(ms)) = (trained["round"].as_u64(), trained["ms"].as_f64()) {
            seen.training_s.insert(round, ms / 1e3);
        }
    })?;
    let (cpu_after, traffic_after) = (watch.cpu_s(), traffic());
    let mut before = begun;
    let mut each = Vec::new();
    for attempt in &history {
        let ended = attempt["at"].as_f64().context("an attempt has an end")? / 1e3;
        let round = attempt["round"].as_u64().context("an attempt has a round")?;
        let trained = seen.iter().filter_map(|seen| seen.training_s.get(&round).copied());
        let training_s = trained.fold(0.0, f64::max);
        ensure!(training_s > 0.0, "nobody was seen training for round {round}");
        each.push(RoundCost { wall_s: ended - before, training_s });
        before = ended;
    }
    let peaks = watch.peaks_mb();
    let moved = traffic_before.zip(traffic_after).map(|(before, after)| {
        let each = before.iter().zip(&after).map(|(before, after)| difference(before, after));
        let all = each.fold((0, 0), |sum, (up, down)| (sum.0 + up, sum.1 + down));
        let by = (f64::from(rounds)) * (processes.len() - 1) as f64;
        (all.0 as f64 / by, all.1 as f64 / by)
    });
    Ok(Cost {
        engine: OURS.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sum: "secure sum".to_owned(),
        clients: CLIENTS,
        steps,
        rounds: each,
        cpu_s: cpu_after - cpu_before,
        training_cpu_s: seen.iter().map(|seen| seen.training_cpu).sum(),
        up_bytes: moved.map(|moved| moved.0),
        down_bytes: moved.map(|moved| moved.1),
        client_mb: median(&peaks[1..]),
        server_mb: peaks[0],
    })
}

/// Bytes sent and received meanwhile, over connections that are still there.
fn difference(
    before: &BTreeMap<String, (u64, u64)>,
    after: &BTreeMap<String, (u64, u64)>,
) -> (u64, u64) {
    let each = after.iter().map(|(ends, (up, down))| {
        let (up_before, down_before) = before.get(ends).copied().unwrap_or_default();
        (up.saturating_sub(up_before), down.saturating_sub(down_before))
    });
    each.fold((0, 0), |sum, (up, down)| (sum.0 + up, sum.1 + down))
}

pub fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Ours beside each of Flower's ways, step for step.
pub fn goals(rows: &[Row]) -> Vec<Goal> {
    let costs = || {
        rows.iter().filter_map(|row| match row {
            Row::Cost(cost) => Some(cost),
            Row::Split(_) | Row::Quality(_) => None,
        })
    };
    let mut goals = Vec::new();
    for theirs in costs().filter(|cost| cost.engine != OURS) {
        let same = |cost: &&Cost| cost.engine == OURS && cost.steps == theirs.steps;
        let Some(ours) = costs().find(same) else { continue };
        let case = format!("{} steps, Flower's {}", theirs.steps, theirs.sum);
        let mut share = |what: &str, ours: f64, theirs: f64| {
            let name = format!("{case}: our overhead by theirs, {what}");
            goals.push(Goal::at_most(name, ours / theirs, SHARE));
        };
        share("wall seconds", ours.overhead_s(), theirs.overhead_s());
        share("CPU seconds", ours.overhead_cpu_s(), theirs.overhead_cpu_s());
    }
    goals
}
