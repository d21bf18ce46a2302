//! Does a federated question find what one node holding everything would find?
//!
//! The test questions of a BEIR set are asked of one node with all documents, and of four nodes that
//! hold a quarter each, split at random and by topic. Real nodes answer, over the in-memory
//! network; every text is embedded once and remembered below `target/`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use covey_embedder::Embedder;
use covey_embedder::eval::{Set, ndcg, recall};
use covey_net::memory::NetworkConfig;
use covey_node::api::{Call, Reply, Reveal, SearchCall};
use covey_node::models::{ModelHandle, Models, OneModel};
use covey_protocol::ids::Name;
use covey_sim::data::clusters;
use covey_sim::{World, run as in_virtual_time};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;

use super::cache::Remembering;
use super::report::{Goal, Report};

/// Nodes in the federation.
const NODES: usize = 4;
/// The one that asks, and answers from its own part too.
const ASKER: usize = 0;
/// Ranks that count.
const K: usize = 10;
/// Largest difference from the single node.
const TOLERANCE: f64 = 0.005;
/// nDCG@10 published for all-MiniLM-L6-v2 on SciFact (MTEB).
const MINILM_SCIFACT: f64 = 0.6451;

/// Options of `cargo xtask bench federated`.
#[derive(Args)]
pub struct Options {
    /// Folder of a retrieval set in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv).
    #[arg(long)]
    data: PathBuf,
    /// Only the built-in model (MiniLM embeds for a quarter of an hour the first time).
    #[arg(long)]
    static_only: bool,
    /// Seed of the random split, the clusters and the network.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Mean measures over all questions.
#[derive(Clone, Copy)]
struct Quality {
    ndcg: f64,
    recall: f64,
}

/// Runs the benchmark and writes docs/benchmarks/federated.{json,md}.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let set = Set::read(&options.data, "test")?;
    let name = options.data.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut report = Report::new("federated");
    let mut table = format!(
        "# Federated search beside one node\n\n{name}: {} documents, {} test questions, {NODES} nodes.\n\n\
         | model | documents held by | nDCG@10 | recall@10 | difference |\n\
         | --- | --- | --- | --- | --- |\n",
        set.documents.len(),
        set.queries.len(),
    );
    let mut embedders = vec![(covey_embedder::builtin()?, "static")];
    if !options.static_only {
        let minilm = covey_embedder::testing::minilm()
            .ok_or_else(|| anyhow!("MiniLM cannot be fetched, see above; or give --static-only"))?;
        embedders.push((minilm, "bert"));
    }
    for (embedder, family) in embedders {
        let model = embedder.name().to_owned();
        let cache = root.join("target/bench-vectors");
        let handle = remembering(embedder, family, &cache)?;
        let mut single = None;
        for (split, parts) in splits(&set, &handle, options.seed)? {
            eprintln!("{model}: {split}");
            let quality =
                measure(&set, &parts, Arc::new(OneModel::of(handle.clone())), options.seed)?;
            let base = *single.get_or_insert(quality);
            let differences = [quality.ndcg - base.ndcg, quality.recall - base.recall];
            let worst = differences.map(f64::abs).into_iter().fold(0.0, f64::max);
            table += &format!(
                "| {model} | {split} | {:.4} | {:.4} | {worst:.4} |\n",
                quality.ndcg, quality.recall
            );
            report.rows.push(json!({
                "model": model, "family": family, "split": split, "nodes": parts.len(),
                "ndcg_at_10": quality.ndcg, "recall_at_10": quality.recall,
                "difference_ndcg": differences[0], "difference_recall": differences[1],
            }));
            if parts.len() > 1 {
                report.goals.push(Goal {
                    name: format!("{family}, {split}: nDCG@10 and recall@10 as one node"),
                    goal: format!("within {TOLERANCE}"),
                    value: worst,
                    met: worst <= TOLERANCE,
                });
            }
        }
    }
    table += &published(&name);
    let command = format!("cargo xtask bench federated --data {name}");
    report.write(root, &command, &table)?;
    println!("{table}");
    ensure!(report.goals.iter().all(|goal| goal.met), "a goal was missed, see docs/benchmarks");
    Ok(())
}

fn published(set: &str) -> String {
    match set {
        "scifact" => format!(
            "\nPublished nDCG@10 on SciFact, exact search over whole documents: all-MiniLM-L6-v2 \
             {MINILM_SCIFACT}; BM25 0.669 to 0.679; potion-retrieval-32M (static) 0.633. Covey scores a \
             document by its best passage.\n"
        ),
        _ => String::new(),
    }
}

/// Which documents (by position) each node holds.
type Parts = Vec<Vec<usize>>;

fn splits(set: &Set, model: &ModelHandle, seed: u64) -> Result<Vec<(&'static str, Parts)>> {
    let count = set.documents.len();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let random: Vec<usize> = (0..count).map(|_| (rng.next_u64() % NODES as u64) as usize).collect();
    let texts: Vec<String> = set.documents.iter().map(|document| document.title.clone()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = model.encoder.encode(&texts)?;
    let topics = clusters(&vectors, model.dim, NODES, seed);
    let topics: Vec<usize> = topics.into_iter().map(|topic| topic as usize).collect();
    Ok(vec![
        ("one node", vec![(0..count).collect()]),
        ("four nodes, at random", group(&random)),
        ("four nodes, by topic", group(&topics)),
    ])
}

fn group(assigned: &[usize]) -> Parts {
    let mut parts = vec![Vec::new(); NODES];
    for (document, node) in assigned.iter().enumerate() {
        parts[*node].push(document);
    }
    parts
}

fn measure(set: &Set, parts: &Parts, models: Arc<dyn Models>, seed: u64) -> Result<Quality> {
    in_virtual_time(async {
        let group: Name = "bench".parse()?;
        let mut world = World::with_models(seed, NetworkConfig::new(seed), models);
        for (node, part) in parts.iter().enumerate() {
            world.add(&format!("node-{node}"))?;
            for document in part.iter().map(|position| &set.documents[*position]) {
                let text = format!("{}\n\n{}\n", document.title, document.text);
                world.write(node, &format!("documents/{}.txt", document.id), &text);
            }
            if node == ASKER {
                let call = Call::GroupCreate { group: group.clone(), member: None };
                world.call(node, call).await?;
            } else {
                world.invite(ASKER, node, &group).await?;
            }
            world.share(node, "documents", &group, Reveal::Snippet).await?;
        }
        let mut total = Quality { ndcg: 0.0, recall: 0.0 };
        for question in &set.queries {
            // Questions come at a person's pace; nobody's rate limit is the subject here.
            world.pass(Duration::from_secs(10)).await;
            let ranking = ask(&world, &group, &question.text, parts.len()).await?;
            let grades = &set.judgements[&question.id];
            total.ndcg += ndcg(&ranking, grades, K);
            total.recall += recall(&ranking, grades, K);
        }
        let count = set.queries.len() as f64;
        Ok(Quality { ndcg: total.ndcg / count, recall: total.recall / count })
    })?
}

/// The documents found, best first, each once.
async fn ask(world: &World, group: &Name, question: &str, nodes: usize) -> Result<Vec<String>> {
    let call = Call::Search(SearchCall {
        question: question.to_owned(),
        group: Some(group.clone()),
        limit: Some(50),
        soft_ms: Some(10_000),
        hard_ms: Some(20_000),
        ..SearchCall::default()
    });
    let Reply::Search(report) = world.call(ASKER, call).await? else {
        anyhow::bail!("the node answered something else than a search");
    };
    ensure!(report.coverage.answered as usize == nodes - 1, "{:?}", report.coverage);
    let mut ranking: Vec<String> = Vec::new();
    for hit in &report.results {
        let own = hit.path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        let file = own.or(hit.title.as_deref().map(Into::into)).context("a hit without a title")?;
        let id = file.trim_end_matches(".txt").to_owned();
        if !ranking.contains(&id) {
            ranking.push(id);
        }
    }
    Ok(ranking)
}

/// The model, with an encoder that remembers below `cache`.
fn remembering(embedder: Arc<dyn Embedder>, family: &str, cache: &Path) -> Result<ModelHandle> {
    let mut model = ModelHandle::new(embedder, family);
    model.encoder = Arc::new(Remembering::new(model.encoder, cache)?);
    Ok(model)
}
