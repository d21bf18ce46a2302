//! `covey model bench`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use covey_embedder::bench::{CHUNK, Outcome, QUERY, Speed, instructions, measure, ways};
use covey_embedder::{Compute, Family, ModelInfo, ModelStore, Precision};
use covey_node::api::{
    ApiError, BenchedModel, BenchedPath, ErrorCode, FasterPath, Instructions, ModelBench, Progress,
    Reply,
};
use covey_node::models::{compute_error, model_error};

use super::store;
use crate::progress::Bar;
use crate::session::Session;

/// Measure what models take on this machine, and see which way of computing is the fastest
///
/// For each model and each path, that is the numbers it multiplies: chunks (256 tokens) a second on one thread and on all, and
/// the time of one chunk and of a question (12 tokens) alone. By itself a model takes the path that its processor is
/// made for: int8 with AVX-512 and VNNI, int16 with AVX2, else f32. int8 rounds most: what is found stays as good, but of ten
/// results the last may be another. All paths search the same indexes. With --device, or `device` in config.toml, a
/// graphics card's f32 is measured beside them, by the clock.
#[derive(Debug, Args)]
#[command(after_help = "Examples: covey model bench\n          \
                        covey model bench --model all-MiniLM-L6-v2 --set int8\n          \
                        covey model bench --set auto       take the choice back")]
pub struct Bench {
    /// Only this model; give it once for each. All models here without
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Seconds for each path of each model
    #[arg(long, value_name = "N", default_value_t = 4.0, value_parser = seconds)]
    seconds: f64,
    /// A device to measure, too: cuda or wgpu, if covey was built with it (by default as config.toml says)
    #[arg(long, value_name = "DEVICE")]
    device: Option<Compute>,
    /// Remember a path for the transformers that were measured
    #[arg(long, value_name = "PATH", value_enum)]
    set: Option<Set>,
}

/// What to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Set {
    /// The fastest that is no less exact than the processor's own
    Best,
    /// Nothing: whatever the processor is made for
    Auto,
    /// Floating point
    F32,
    /// Whole numbers of 16 bits
    Int16,
    /// Whole numbers of 8 bits
    Int8,
}

impl Bench {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        // A home without models is left as it is; there is the built-in one.
        let empty;
        let store = if session.home.models_dir().is_dir() {
            store(session)?
        } else {
            empty = tempfile::tempdir().map_err(|error| {
                ApiError::new(ErrorCode::Storage, format!("cannot make a folder: {error}"))
            })?;
            ModelStore::open(empty.path()).map_err(|error| model_error(&error))?
        };
        let store = store.on(session.compute(self.device)?);
        store.compute().check().map_err(|error| compute_error(&error))?;
        let models = self.wanted(&store)?;
        let benched = self.measure(&store, &models, session)?;
        session.output.done(Reply::ModelBench(ModelBench {
            threads: std::thread::available_parallelism().map_or(1, usize::from) as u64,
            instructions: instructions()
                .into_iter()
                .map(|(name, here)| Instructions { name: name.to_owned(), here })
                .collect(),
            chunk_tokens: CHUNK as u64,
            query_tokens: QUERY as u64,
            models: benched,
        }))?;
        if store.compute() != Compute::Cpu {
            session.output.notice(&format!(
                "Transformers compute on {0} where config.toml says device = \"{0}\".",
                store.compute()
            ));
        }
        if self.set.is_some() {
            session
                .output
                .notice("A running daemon goes on as it is; it takes this up when it starts anew.");
        }
        Ok(())
    }

    /// Measures each, and remembers what is to be remembered.
    fn measure(
        &self,
        store: &ModelStore,
        models: &[ModelInfo],
        session: &Session<'_>,
    ) -> Result<Vec<BenchedModel>, ApiError> {
        let all: usize = models.iter().map(|info| ways(store, info)).sum();
        let time = Duration::from_secs_f64(self.seconds);
        let mut bar = Bar::start("measuring", session.output);
        let (mut benched, mut before) = (Vec::new(), 0);
        for info in models {
            let mut step = |number: usize, _: usize, path: &str| {
                bar.update(Progress {
                    stage: "measuring".into(),
                    done: (before + number) as u64,
                    total: Some(all as u64),
                    item: Some(format!("{}, {path}", info.name)),
                });
            };
            let outcome = measure(store, info, time, &mut step);
            let outcome = outcome.map_err(|error| model_error(&error))?;
            before += ways(store, info);
            if let (Some(set), Some(choice)) = (self.set, outcome.choice) {
                let precision = set.precision(choice.pick);
                store.set_precision(&info.name, precision).map_err(|error| model_error(&error))?;
            }
            benched.push(entry(store, &outcome)?);
        }
        Ok(benched)
    }

    /// The models to measure, in the order of the list.
    fn wanted(&self, store: &ModelStore) -> Result<Vec<ModelInfo>, ApiError> {
        let mut models = store.list().map_err(|error| model_error(&error))?;
        let known = models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(name) =
            self.models.iter().find(|&name| models.iter().all(|it| it.name != *name))
        {
            let message = format!("there is no model called {name} here; there are {known}");
            return Err(
                ApiError::new(ErrorCode::NotFound, message).hint("get one with `covey model pull`")
            );
        }
        models.retain(|model| self.models.is_empty() || self.models.contains(&model.name));
        if self.set.is_some() && models.iter().all(|model| model.family == Family::Static) {
            let message = "a static model computes in one way only, so there is nothing to set";
            return Err(ApiError::new(ErrorCode::Usage, message)
                .hint("get a transformer with `covey model pull minilm`"));
        }
        Ok(models)
    }
}

impl Set {
    /// The precision to remember, where `pick` is the best.
    fn precision(self, pick: Precision) -> Precision {
        match self {
            // What the processor suggests anyway is not worth remembering, and follows the next processor.
            Self::Best if pick == Precision::Auto.here() => Precision::Auto,
            Self::Best => pick,
            Self::Auto => Precision::Auto,
            Self::F32 => Precision::F32,
            Self::Int16 => Precision::Int16,
            Self::Int8 => Precision::Int8,
        }
    }
}

fn entry(store: &ModelStore, outcome: &Outcome) -> Result<BenchedModel, ApiError> {
    let info = &outcome.model;
    let precision = store.precision(&info.name).map_err(|error| model_error(&error))?;
    let name = |precision: Precision| precision.name().to_owned();
    let choice = outcome.choice;
    let path = |path: String, speed: &Speed| BenchedPath {
        path,
        chunks_per_s: speed.chunks,
        chunks_per_s_all_threads: speed.chunks_all,
        chunk_us: speed.chunk * 1e6,
        query_us: speed.query * 1e6,
    };
    let paths = outcome
        .speeds
        .iter()
        .map(|(way, speed)| path(way.map_or_else(|| info.family.to_string(), name), speed));
    let device = outcome.device.iter().map(|(device, speed)| path(device.to_string(), speed));
    Ok(BenchedModel {
        name: info.name.clone(),
        family: info.family.to_string(),
        dim: u32::try_from(info.dim).unwrap_or(u32::MAX),
        tokens_per_s: outcome.tokens,
        paths: paths.chain(device).collect(),
        in_use: choice.map(|_| name(precision.here())),
        chosen: precision != Precision::Auto,
        pick: choice.map(|choice| name(choice.pick)),
        faster: choice
            .and_then(|choice| choice.faster)
            .map(|(path, times)| FasterPath { path: name(path), times }),
    })
}

/// Seconds as a person may give them: more than none, at most an hour.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    let bounds = 0.01..=3600.0;
    if bounds.contains(&seconds) {
        Ok(seconds)
    } else {
        Err("give 0.01 to 3600 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_remembered_only_where_it_is_not_the_processors_own() {
        let own = Precision::Auto.here();
        assert_eq!(Set::Best.precision(own), Precision::Auto);
        let other = if own == Precision::F32 { Precision::Int16 } else { Precision::F32 };
        assert_eq!(Set::Best.precision(other), other);
        assert_eq!(Set::Int8.precision(own), Precision::Int8);
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for bad in ["", "0", "-1", "NaN", "inf", "4000", "1s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
