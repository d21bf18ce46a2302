//! What is told of rankings: their measures, what a comparison comes to, and what to know about both.

use std::collections::BTreeMap;

use covey_embedder::Embedder;
use covey_embedder::eval::{
    Gaps, Judgements, Measures, PERMUTATIONS, RESAMPLES, Run, SEED, compare, evaluate,
};
use covey_node::api::{EvalCompared, EvalDifference, EvalMeasures, EvalQuery, EvalRun};
use covey_node::models::model_id;
use covey_protocol::ids::ModelId;

use crate::text::count;

/// A measure's name in the API, and its value.
type Measure = (&'static str, fn(&Measures) -> f64);

const MEASURES: [Measure; 3] =
    [("ndcg", |it| it.ndcg), ("recall", |it| it.recall), ("mrr", |it| it.reciprocal_rank)];

/// Rankings, and whose they are.
pub struct Ranked {
    name: String,
    model: Option<ModelId>,
    pub run: Run,
}

impl Ranked {
    pub fn by_model(model: &dyn Embedder, run: Run) -> Self {
        Self { name: model.name().to_owned(), model: Some(model_id(model.id())), run }
    }

    pub fn in_file(name: String, run: Run) -> Self {
        Self { name, model: None, run }
    }

    /// The name as a run file can have it.
    pub fn tag(&self) -> String {
        self.name.split_whitespace().collect::<Vec<_>>().join("_")
    }

    /// The measures of every judged query, for each k.
    fn scored(&self, judgements: &Judgements, ks: &[u16]) -> Scored {
        let at = |k: &u16| (u32::from(*k), evaluate(&self.run, judgements, usize::from(*k)));
        Scored(ks.iter().map(at).collect())
    }

    fn told(&self, scored: &Scored, judgements: &Judgements) -> EvalRun {
        EvalRun {
            name: self.name.clone(),
            model: self.model,
            unanswered: judgements.keys().filter(|it| self.run.hits(it).is_empty()).count() as u64,
            measures: scored.means(),
        }
    }
}

/// For each k, the measures of every judged query.
struct Scored(Vec<(u32, BTreeMap<String, Measures>)>);

impl Scored {
    fn means(&self) -> Vec<EvalMeasures> {
        self.0.iter().map(|(k, queries)| told(*k, &Measures::mean(queries.values()))).collect()
    }

    fn of(&self, query: &str) -> Vec<EvalMeasures> {
        self.0.iter().filter_map(|(k, queries)| Some(told(*k, queries.get(query)?))).collect()
    }
}

fn told(k: u32, measures: &Measures) -> EvalMeasures {
    let Measures { ndcg, recall, reciprocal_rank } = *measures;
    EvalMeasures { k, ndcg, recall, mrr: reciprocal_rank }
}

/// How `first` does at each of `ks`, how it differs from `second`, and each query if `per_query`.
pub fn report(
    first: &Ranked,
    second: Option<&Ranked>,
    judgements: &Judgements,
    ks: &[u16],
    per_query: bool,
) -> (EvalRun, Option<EvalCompared>, Vec<EvalQuery>) {
    let scored = first.scored(judgements, ks);
    let run = first.told(&scored, judgements);
    let second = second.map(|it| (it, it.scored(judgements, ks)));
    let compared = second.as_ref().map(|(it, other)| EvalCompared {
        run: it.told(other, judgements),
        differences: differences(&scored, other),
        permutations: PERMUTATIONS as u64,
        resamples: RESAMPLES as u64,
        seed: SEED,
    });
    let query = |query: &String| EvalQuery {
        query: query.clone(),
        measures: scored.of(query),
        compared: second.as_ref().map(|(_, other)| other.of(query)).unwrap_or_default(),
    };
    let queries = if per_query { judgements.keys().map(query).collect() } else { Vec::new() };
    (run, compared, queries)
}

fn differences(first: &Scored, second: &Scored) -> Vec<EvalDifference> {
    let mut told = Vec::new();
    for ((k, first), (_, second)) in first.0.iter().zip(&second.0) {
        for (name, measure) in MEASURES {
            let of =
                |(query, it): (&String, &Measures)| Some(measure(it) - measure(second.get(query)?));
            let each: Vec<f64> = first.iter().filter_map(of).collect();
            told.extend(compare(&each).map(|it| EvalDifference {
                measure: name.to_owned(),
                k: *k,
                difference: it.mean,
                low: it.low,
                high: it.high,
                p: it.p,
                better: it.better as u64,
                equal: it.equal as u64,
                worse: it.worse as u64,
            }));
        }
    }
    told
}

/// What a reader of the numbers should know.
pub fn notes(
    gaps: Option<Gaps>,
    ranked: &[&Ranked],
    judgements: &Judgements,
    ks: &[u16],
) -> Vec<String> {
    let mut told = Vec::new();
    let mut note = |number: usize, noun: &str, rest: &str| {
        if number > 0 {
            told.push(format!("{} {rest}", count(number as u64, noun)));
        }
    };
    let gaps = gaps.unwrap_or_default();
    note(
        gaps.unknown_documents,
        "judged document",
        "not in corpus.jsonl: those that are relevant count as not found",
    );
    note(gaps.empty_documents, "document", "without title and text");
    note(gaps.empty_queries, "judged query", "without text");
    let most = ks.last().map_or(0, |k| usize::from(*k));
    for Ranked { name, model, run } in ranked {
        let silent = judgements.keys().filter(|it| run.hits(it).is_empty()).count();
        note(silent, "judged query", &format!("without results in {name}, which count as 0"));
        let other = run.queries().filter(|it| !judgements.contains_key(*it)).count();
        note(
            other,
            "query",
            &format!("in {name} not judged in this split, which count for nothing"),
        );
        // A model's rankings end where the corpus does.
        let short = |it: &&String| (1..most).contains(&run.hits(it).len());
        let short = if model.is_some() { 0 } else { judgements.keys().filter(short).count() };
        note(short, "judged query", &format!("with fewer than {most} results in {name}"));
    }
    told
}
