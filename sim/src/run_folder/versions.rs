//! What made a run, beside its scenario.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use covey_crypto::Digest;
use serde::{Deserialize, Serialize};

use super::error::{FolderError, io};
use crate::data;
use crate::scenario::{Learner, Scenario};

/// Version of the folder's layout.
pub const FORMAT: u32 = 1;
/// What is read of a file at a time.
const PIECE: usize = 1 << 20;
/// Most files of a folder with data or a model.
const MAX_FILES: usize = 1_000;

/// What a run depends on beside its scenario: with the same of these, it gives the same again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of Covey.
    pub covey: String,
    /// Kind of processor, and what it has that decides how models compute.
    pub cpu: Vec<String>,
    /// The first seed.
    pub seed: u64,
    /// The split of the scenario's folder whose questions judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<String>,
    /// Digests of what is read of the scenario's folder with data, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Digest>,
    /// And of its folder with a model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model: BTreeMap<String, Digest>,
}

impl Versions {
    /// What there is here, for a run that reads no files.
    pub fn here(covey: &str, seed: u64) -> Self {
        let (data, model) = (BTreeMap::new(), BTreeMap::new());
        let (covey, cpu) = (covey.to_owned(), cpu());
        Self { format: FORMAT, covey, cpu, seed, judged_by: None, data, model }
    }

    /// What there is here for a scenario, whose folders are read once.
    ///
    /// # Errors
    /// If a file of them cannot be read.
    pub fn of(covey: &str, scenario: &Scenario) -> Result<Self, FolderError> {
        let mut versions = Self::here(covey, scenario.seed);
        if let Some(folder) = &scenario.data.folder {
            let judged_by = data::judged_by(&scenario.data);
            versions.judged_by = judged_by.map_err(|error| unreadable(folder, &error))?;
            versions.data = digests(folder, &|name| {
                let tops = ["corpus.jsonl", "queries.jsonl", "meta.jsonl"];
                tops.contains(&name) || (name.starts_with("qrels/") && name.ends_with(".tsv"))
            })?;
        }
        if let Learner::Embedder { model: Some(folder), .. } = &scenario.learner {
            versions.model = digests(folder, &|_| true)?;
        }
        Ok(versions)
    }

    /// In what a run of `scenario` that was begun with these could come out otherwise with `now`, if in anything.
    pub fn differ(&self, now: &Self, scenario: &Scenario) -> Option<String> {
        let Self { covey, cpu, .. } = self;
        if *covey != now.covey {
            return Some(format!("it was begun by Covey {covey}, and this is {}", now.covey));
        }
        if computes(scenario) && *cpu != now.cpu {
            let (then, now) = (cpu.join(", "), now.cpu.join(", "));
            return Some(format!(
                "models compute otherwise on this processor ({now}) than where it was begun ({then})"
            ));
        }
        if self.judged_by != now.judged_by {
            let name = |of: &Self| of.judged_by.clone().unwrap_or_else(|| "none".to_owned());
            return Some(format!("it was judged by the split {}, now {}", name(self), name(now)));
        }
        let model = match &scenario.learner {
            Learner::Embedder { model, .. } => model.as_deref(),
            Learner::Surrogate { .. } => None,
        };
        changed(scenario.data.folder.as_deref(), &self.data, &now.data)
            .or_else(|| changed(model, &self.model, &now.model))
    }
}

/// Whether a scenario's outcome depends on how the machine computes models. All else is the same on every machine.
fn computes(scenario: &Scenario) -> bool {
    let learns = matches!(scenario.learner, Learner::Embedder { .. });
    scenario.search.hours > 0
        || (scenario.training.rounds > 0 && (learns || data::is_computed(&scenario.data)))
}

/// Which file of a folder is another one than it was.
fn changed(
    folder: Option<&Path>,
    then: &BTreeMap<String, Digest>,
    now: &BTreeMap<String, Digest>,
) -> Option<String> {
    let mut names = then.keys().chain(now.keys());
    let name = names.find(|name| then.get(*name) != now.get(*name))?;
    let path = folder.map(|folder| folder.join(name)).unwrap_or_default();
    let how = match (then.get(name), now.get(name)) {
        (Some(_), None) => "is not there any more",
        (None, Some(_)) => "was not there when it was begun",
        _ => "has changed since it was begun",
    };
    Some(format!("{} {how}", path.display()))
}

/// Digests of the files below a folder whose names are wanted.
fn digests(
    folder: &Path,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, Digest>, FolderError> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(io("list", &next))? {
            let path = entry.map_err(io("list", &next))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str)
                && is_wanted(name)
            {
                found.insert(name.to_owned(), digest(&path)?);
            }
            if found.len() + folders.len() > MAX_FILES {
                let why = format!("it has more than {MAX_FILES} files, as no set or model has");
                return Err(unreadable(folder, &why));
            }
        }
    }
    Ok(found)
}

fn digest(path: &Path) -> Result<Digest, FolderError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut digest = Digest::stream("covey simulation input");
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece).map_err(io("read", path))? {
            0 => return Ok(digest.finish()),
            read => digest.update(&piece[..read]),
        }
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> FolderError {
    io("read", path)(io::Error::other(why.to_string()))
}

fn cpu() -> Vec<String> {
    let mut cpu = vec![std::env::consts::ARCH.to_owned()];
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let features = [
            ("avx2", has!("avx2")),
            ("fma", has!("fma")),
            ("avx512f", has!("avx512f")),
            ("avx512bw", has!("avx512bw")),
            ("avx512dq", has!("avx512dq")),
            ("avx512vl", has!("avx512vl")),
            ("avx512vnni", has!("avx512vnni")),
        ];
        cpu.extend(features.iter().filter(|(_, has)| *has).map(|(name, _)| (*name).to_owned()));
    }
    cpu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_of_its_data_its_model_and_where_models_compute_the_processor() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("in it")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("set/corpus.jsonl", "a");
        write("set/queries.jsonl", "b");
        write("set/qrels/test.tsv", "c");
        write("set/notes.txt", "d");
        write("model/weights", "e");
        let mut scenario = Scenario::default();
        scenario.data.folder = Some(folder.path().join("set"));
        let of = |scenario: &Scenario| Versions::of("0.1.0", scenario).expect("reads");
        let then = of(&scenario);
        assert_eq!(then.judged_by.as_deref(), Some("test"));
        let names: Vec<&str> = then.data.keys().map(String::as_str).collect();
        assert_eq!(names, ["corpus.jsonl", "qrels/test.tsv", "queries.jsonl"]);
        write("set/notes.txt", "other");
        assert_eq!(then.differ(&of(&scenario), &scenario), None);

        // The surrogate comes out the same on every processor.
        let mut now = then.clone();
        now.cpu.push("new".to_owned());
        assert_eq!(then.differ(&now, &scenario), None);
        let model = Some(folder.path().join("model"));
        scenario.learner = Learner::Embedder { model, rank: None, found: 0 };
        let then = of(&scenario);
        now = Versions { cpu: now.cpu, ..then.clone() };
        let said = then.differ(&now, &scenario).expect("another processor");
        assert!(said.contains("new"), "{said}");

        now = Versions { covey: "0.2.0".to_owned(), ..then.clone() };
        assert!(then.differ(&now, &scenario).expect("another Covey").contains("0.2.0"));
        write("model/weights", "other");
        let said = then.differ(&of(&scenario), &scenario).expect("another model");
        assert!(said.ends_with("model/weights has changed since it was begun"), "{said}");
        write("set/qrels/dev.tsv", "f");
        let said = then.differ(&of(&scenario), &scenario).expect("more data");
        assert!(said.contains("qrels/dev.tsv was not there"), "{said}");
    }
}
