//! docs/benchmarks/rounds.{json,md}, from the rows.

use std::path::Path;

use anyhow::Result;

use super::cost::OURS;
use super::rows::{Cost, Dated, Learnt, Quality, Row, Settings, Split};
use super::{CLIENTS, cost, quality};
use crate::bench::report::{Report, put};

/// Writes the report; `missing` says why there is no peer, where there should be.
pub fn write(root: &Path, command: &str, rows: &[Dated], missing: Option<&str>) -> Result<Report> {
    let mut report = Report::new("rounds");
    let bare: Vec<Row> = rows.iter().map(|dated| dated.row.clone()).collect();
    for row in &bare {
        if let Row::Cost(it) = row
            && it.engine != OURS
        {
            let version = format!("{} {}", it.engine, it.version);
            if !report.versions.contains(&version) {
                report.versions.push(version);
            }
        }
    }
    report.rows = rows.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    report.goals.extend(quality::goals(&bare));
    report.goals.extend(cost::goals(&bare));
    report.write(root, command, &page(&bare, missing))?;
    Ok(report)
}

const QUALITY: &str = "
## What rounds bring

The set's training questions are split by topic: clusters of the built-in model's vectors of the questions, equally many in each. A member learns from its questions with their relevant documents, at most 16 of each question, and from nothing else; where the model is a transformer, \
from those documents only that it finds among its first thirty as it is, each with one that it ranks from sixth to fortieth and that is not judged to answer. \
What was learnt becomes a release, and `covey eval` compares it with the base model on the test questions: nDCG@10, the mean difference over the questions with its 95% interval, and the probability of one as large by chance \
(paired randomisation test). Settings were chosen on the development questions. Every sum is a secure one.
";

const COST: &str = "
## What rounds cost beside training

The same FedAvg with LoRA on all-MiniLM-L6-v2 (rank 8 on queries and values, 32 pairs a step) on the same pairs, by our daemons and by Flower as it is deployed: a SuperLink, a SuperNode for each client and the app, each in processes \
of their own on loopback (its simulation engine would leave out the network that rounds are about). Every client trains on one thread. A round's wall time begins where the one before ended, and of it the training of the client that took longest is \
left out: what is told is the least of all rounds. CPU time is that of all processes, without training, by the rounds. Training is what each side's client counts as such, reading pairs and loading the model and, for Flower, PyTorch included. \
Bytes are those of TCP connections of a client that is not on the server's node, encrypted ours, in the clear Flower's. Memory is the resident memory of all processes of a client (the middle one of all) and of the server, at its most; our coordinator's node trains too. \
Our nodes' CPU time is told apart by looks a tenth of a second apart, and what falls between counts as overhead.
";

fn page(rows: &[Row], missing: Option<&str>) -> String {
    let mut text = format!(
        "# Rounds of learning together\n\n{CLIENTS} real nodes on one machine, each a daemon with a home of its own, one of which coordinates; commands are typed as a person would.\n"
    );
    if rows.iter().any(|row| matches!(row, Row::Quality(_))) {
        text += QUALITY;
        rows.iter().for_each(|row| {
            if let Row::Split(it) = row {
                split(&mut text, it);
            }
        });
        text += "\n| model | | nDCG@10 | difference | 95% | p |\n| --- | --- | --- | --- | --- | --- |\n";
        let all: Vec<&Quality> = rows.iter().filter_map(as_quality).collect();
        all.iter().for_each(|it| found(&mut text, it));
        text += "\n| model | | rounds | steps, at most | rate | clip | server rate | mean update, first and last | shortened | held-out loss | minutes |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
        all.iter().for_each(|it| ran(&mut text, it));
    }
    if rows.iter().any(|row| matches!(row, Row::Cost(_))) {
        text += COST;
        text += "\n| engine | sum | steps | rounds | wall, s | training, s | overhead, wall s | overhead, CPU s | sent, KB | received, KB | client, MiB | server, MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
        for row in rows {
            if let Row::Cost(it) = row {
                spent(&mut text, it);
            }
        }
    }
    if let Some(reason) = missing {
        put(&mut text, format_args!("\n## Not measured\n\n- flower: {reason}"));
    }
    text
}

fn as_quality(row: &Row) -> Option<&Quality> {
    match row {
        Row::Quality(it) => Some(it),
        Row::Split(_) | Row::Cost(_) => None,
    }
}

fn split(text: &mut String, it: &Split) {
    let list = |all: &[usize]| all.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    put(
        text,
        format_args!(
            "\n{} for {}: {} questions and {} pairs of the {CLIENTS} members; {} questions are left out, as other splits ask them as well.",
            it.set,
            it.model,
            list(&it.questions),
            list(&it.pairs),
            it.left_out
        ),
    );
}

fn found(text: &mut String, it: &Quality) {
    let beside = match &it.learnt {
        Some(Learnt { difference, low, high, p, .. }) => {
            let p = if *p < 1e-4 { "below .0001".to_owned() } else { format!("{p:.4}") };
            format!("{difference:+.4} | {low:+.4} to {high:+.4} | {p}")
        }
        None => " | | ".to_owned(),
    };
    put(text, format_args!("| {} | {} | {:.4} | {beside} |", it.model, it.algorithm, it.ndcg));
}

fn ran(text: &mut String, it: &Quality) {
    let Some(learnt) = &it.learnt else { return };
    let Settings { rounds, rank, steps, rate, proximal, clip, rule, server_rate, epsilon, .. } =
        &learnt.settings;
    let mut algorithm = it.algorithm.clone();
    if let Some(rank) = rank {
        algorithm += &format!(", rank {rank}");
    }
    if *proximal > 0.0 {
        algorithm += &format!(", mu {proximal}");
    }
    if let Some(epsilon) = epsilon {
        algorithm += &format!(", epsilon {epsilon}");
    }
    let norm = |norm: Option<&f64>| norm.map_or_else(String::new, |norm| format!("{norm:.3}"));
    let clipped = learnt.clipped.map_or_else(String::new, |share| format!("{:.0}%", 100.0 * share));
    let loss = learnt
        .loss
        .map_or_else(String::new, |(before, after)| format!("{before:.3} to {after:.3}"));
    put(
        text,
        format_args!(
            "| {} | {algorithm} | {rounds} | {steps} | {rate} | {clip} | {server_rate} ({rule}) | {}, {} | {clipped} | {loss} | {:.1} |",
            it.model,
            norm(learnt.norms.first()),
            norm(learnt.norms.last()),
            learnt.minutes
        ),
    );
}

fn spent(text: &mut String, it: &Cost) {
    let mean = |of: fn(&super::rows::RoundCost) -> f64| {
        it.rounds.iter().map(of).sum::<f64>() / it.rounds.len().max(1) as f64
    };
    let kb = |bytes: Option<f64>| bytes.map_or_else(String::new, |it| format!("{:.0}", it / 1e3));
    put(
        text,
        format_args!(
            "| {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} | {:.0} | {:.0} |",
            it.engine,
            it.sum,
            it.steps,
            it.rounds.len(),
            mean(|round| round.wall_s),
            mean(|round| round.training_s),
            it.overhead_s(),
            it.overhead_cpu_s(),
            kb(it.up_bytes),
            kb(it.down_bytes),
            it.client_mb,
            it.server_mb
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rounds::rows::RoundCost;

    fn cost(engine: &str, wall: [f64; 2], cpu_s: f64) -> Row {
        Row::Cost(Cost {
            engine: engine.to_owned(),
            version: "1".to_owned(),
            sum: "s".to_owned(),
            clients: 6,
            steps: 1,
            rounds: wall.map(|wall_s| RoundCost { wall_s, training_s: 2.0 }).to_vec(),
            cpu_s,
            training_cpu_s: 10.0,
            up_bytes: Some(1e3),
            down_bytes: None,
            client_mb: 1.0,
            server_mb: 2.0,
        })
    }

    fn quality(difference: f64, p: f64, epsilon: Option<f64>) -> Row {
        Row::Quality(Quality {
            set: "s".to_owned(),
            split: "test".to_owned(),
            questions: 2,
            model: "m".to_owned(),
            algorithm: "FedAvg".to_owned(),
            ndcg: 0.5,
            learnt: Some(Learnt {
                settings: Settings {
                    rounds: 1,
                    rank: Some(8),
                    epochs: 1,
                    steps: 1,
                    rate: 1e-3,
                    proximal: 0.0,
                    clip: 1.0,
                    rule: "average".to_owned(),
                    server_rate: 1.0,
                    epsilon,
                },
                participants: 6,
                norms: vec![0.5],
                clipped: None,
                loss: None,
                difference,
                low: 0.0,
                high: 0.0,
                p,
                minutes: 1.0,
            }),
        })
    }

    #[test]
    fn goals_are_shares_of_flowers_overhead_and_sure_gains() {
        let rows = [cost(OURS, [3.0, 2.5], 12.0), cost("flower", [12.0, 14.0], 20.0)];
        let goals = cost::goals(&rows);
        let values: Vec<(f64, bool)> = goals.iter().map(|goal| (goal.value, goal.met)).collect();
        assert_eq!(values, [(0.05, true), (0.2, true)]);
        let rows =
            [quality(0.1, 0.01, None), quality(-0.1, 0.01, None), quality(0.1, 0.9, Some(8.0))];
        let goals = quality::goals(&rows);
        assert_eq!(goals.iter().map(|goal| goal.met).collect::<Vec<_>>(), [true, false]);
        assert!(page(&rows, Some("no pip")).contains("flower: no pip"));
    }
}
