//! What a secure sum costs clients and server, beside Flower's SecAgg+.

mod flower;
mod primitives;
mod report;
mod round;
mod rows;

use std::path::Path;

use anyhow::Result;
use clap::Args;
use covey_protocol::secagg::{Bounds, Topology};

use self::flower::Flower;
use self::round::Case;
use self::rows::{Round, Row};

/// How our own rows name their engine.
const OURS: &str = "covey";
/// Entries of the vectors beside Flower: a small adapter's.
const ENTRIES: u32 = 75_000;
/// Cohorts beside Flower, and how many neighbours its clients have on a sparse graph.
const COHORTS: [(u32, u32); 2] = [(50, 20), (100, 30)];
/// Clients in a hundred that vanish.
const DROPOUTS: [u32; 2] = [0, 10];
/// Cohorts whose cost is compared with one another, on a sparse graph.
const GROWING: [u32; 5] = [100, 200, 500, 1_000, 2_000];
/// The same of vectors, for a hundred clients on a sparse graph.
const LONGER: [u32; 3] = [10_000, 100_000, 1_000_000];

/// Options of `cargo xtask bench secagg`.
#[derive(Args)]
pub struct Options {
    /// Leave Flower out.
    #[arg(long)]
    no_peers: bool,
    /// Only what is compared with Flower.
    #[arg(long)]
    no_growth: bool,
}

/// Runs the benchmark and writes docs/benchmarks/secagg.{json,md}.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let (mut flower, mut missing) = (None, None);
    if !options.no_peers {
        match Flower::prepare(root) {
            Ok(it) => flower = Some(it),
            Err(problem) => missing = Some(format!("{problem:#}")),
        }
    }
    let mut rows = primitives::measure();
    for (clients, few) in COHORTS {
        for (topology, neighbours) in [(Topology::Complete, clients - 1), (Topology::Sparse, few)] {
            for dropout in DROPOUTS {
                let case = case(topology, clients, ENTRIES, dropout);
                rows.push(Row::Beside(ours(&case)?));
                if let Some(flower) = &flower {
                    eprintln!(
                        "flower: {clients} clients, {neighbours} neighbours, {dropout}% gone"
                    );
                    let theirs = flower.run(root, clients, ENTRIES, neighbours, dropout)?;
                    rows.push(Row::Beside(theirs));
                }
                // What was measured so far is on disk, should the run be cut short.
                report::write(root, &rows, missing.as_deref())?;
            }
        }
    }
    if !options.no_growth {
        let cohorts = GROWING.map(|clients| (clients, ENTRIES));
        let vectors = LONGER.map(|entries| (COHORTS[1].0, entries));
        for (clients, entries) in cohorts.into_iter().chain(vectors) {
            rows.push(Row::Growth(ours(&case(Topology::Sparse, clients, entries, 10))?));
        }
    }
    report::write(root, &rows, missing.as_deref())?.conclude()
}

/// A third of a complete graph may collude, as then two thirds of the shares are needed, which Flower is
/// run with too; a tenth of a sparse one.
fn case(topology: Topology, clients: u32, entries: u32, dropout_percent: u32) -> Case {
    let collusion_permille = match topology {
        Topology::Complete => 333,
        Topology::Sparse => 100,
    };
    let bounds = Bounds { collusion_permille, ..Bounds::default() };
    Case { topology, clients, entries, dropout_percent, bounds }
}

fn ours(case: &Case) -> Result<Round> {
    eprintln!(
        "covey: {:?}, {} clients, {} entries, {}% gone",
        case.topology, case.clients, case.entries, case.dropout_percent
    );
    round::run(case)
}
