//! Chores of the workspace: `cargo xtask ci`, `cargo xtask bench NAME` and `cargo xtask model`.
#![forbid(unsafe_code)]

mod bench;
mod gpu;
mod model;
mod ray;
mod tidy;
mod venv;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

/// Chores of the Covey workspace.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run everything a change must pass (the same as `.ci/run`).
    Ci,
    /// Check what the compiler does not: file lengths, and `unsafe` outside its one module.
    Tidy,
    /// Build with the backends for graphics cards, and compare the card that is here with the processor.
    Gpu(gpu::Options),
    /// Kill one of two workers of a Ray cluster during a sweep, and compare what comes of it with the same without Ray.
    Ray,
    /// Measure something and write docs/benchmarks/NAME.json and NAME.md.
    #[command(subcommand)]
    Bench(Bench),
    /// Make the built-in model again.
    Model(model::Options),
}

#[derive(Subcommand)]
enum Bench {
    /// What adopting another release of the model costs, and what is found meanwhile.
    Adopt(bench::adopt::Options),
    /// Time and exactness of the embedder beside ONNX Runtime and the `tokenizers` crate.
    Embedder(bench::embedder::Options),
    /// What learning together brings on retrieval sets, and known results in direction.
    Experiments(bench::experiments::Options),
    /// Search quality of four federated nodes beside one node that holds everything.
    Federated(bench::federated::Options),
    /// Size, recall, time and memory of the index beside other engines.
    Index(Box<bench::index::Options>),
    /// Epsilon beside dp-accounting, and exact noise beside OpenDP.
    Privacy(bench::privacy::Options),
    /// What rounds of learning bring and cost, with real nodes, beside Flower.
    Rounds(Box<bench::rounds::Options>),
    /// What a secure sum costs clients and server, beside Flower's SecAgg+.
    Secagg(bench::secagg::Options),
    /// What simulating costs, beside Flower's simulation engine.
    Simulator(bench::simulator::Options),
}

fn main() -> Result<()> {
    match Arguments::parse().chore {
        Chore::Model(options) => model::run(&options, &root()),
        Chore::Ci => ci(),
        Chore::Gpu(options) => gpu::run(&options, &root()),
        Chore::Ray => ray::run(&root()),
        Chore::Tidy => tidy::report(&root()),
        Chore::Bench(Bench::Adopt(options)) => bench::adopt::run(&options, &root()),
        Chore::Bench(Bench::Embedder(options)) => bench::embedder::run(&options, &root()),
        Chore::Bench(Bench::Experiments(options)) => bench::experiments::run(&options, &root()),
        Chore::Bench(Bench::Federated(options)) => bench::federated::run(&options, &root()),
        Chore::Bench(Bench::Index(options)) => bench::index::run(&options, &root()),
        Chore::Bench(Bench::Privacy(options)) => bench::privacy::run(&options, &root()),
        Chore::Bench(Bench::Rounds(options)) => bench::rounds::run(&options, &root()),
        Chore::Bench(Bench::Secagg(options)) => bench::secagg::run(&options, &root()),
        Chore::Bench(Bench::Simulator(options)) => bench::simulator::run(&options, &root()),
    }
}

fn ci() -> Result<()> {
    let status = Command::new("bash")
        .arg(root().join(".ci/run"))
        .status()
        .context("cannot start bash to run .ci/run")?;
    ensure!(status.success(), "the checks failed, see above");
    Ok(())
}

/// The workspace's root folder.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
