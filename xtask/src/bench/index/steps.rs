//! One step of measuring our own engine, in a process of its own: building an index, or searching it.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use covey_index::{
    Collection, Disk, Encoder, Profile, SearchOptions, Settings, TimeLeft, UpdateOptions,
};
use serde::{Deserialize, Serialize};

use super::encoders::{Lookup, Posing, Watched, model};
use super::meter::{self, Meter};
use super::ours::{is_slow, recall};
use super::rows::{Build, K, OWN, Point};
use super::sets::Set;

/// What a process is to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Step {
    pub profile: String,
    pub shape: Shape,
    pub kind: Kind,
    pub dim: usize,
}

/// How a segment's codes lie.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub enum Shape {
    /// As the profile has it, by size.
    Chosen,
    /// Scanned as a whole.
    Flat,
    /// In blocks.
    Blocks,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub enum Kind {
    /// Builds the index, and tells how long that took; then perhaps adds the lexical search.
    Build { threads: u32, lexical: bool },
    /// Asks it.
    Search,
}

/// What a build tells.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Built {
    pub build: Build,
    pub chunks: u64,
    pub segments: usize,
    pub index_bytes: u64,
    pub folder_bytes: u64,
    pub lexical_bytes: u64,
}

/// What a search tells.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Searched {
    pub open_ms: f64,
    pub peak_mb: f64,
    pub before_mb: f64,
    pub points: Vec<Point>,
}

/// A pass over the questions is repeated until it took this long, so that short ones are timed well.
const ENOUGH: Duration = Duration::from_secs(1);
/// Questions asked before time is taken.
const WARM_UP: usize = 20;
/// Chunks of a block, about.
const BLOCK: usize = 64;
/// Questions asked where each costs seconds, unless the options say otherwise.
const FEW: usize = 3;

/// Takes a step; what it tells is JSON on standard output.
pub fn take(step: &str, set: &Set, place: &Path, corpus: &Path, few: Option<usize>) -> Result<()> {
    let step: Step = serde_json::from_str(step)?;
    let known = Profile::ALL.into_iter().find(|profile| profile.name() == step.profile);
    let profile = known.context("there is no such profile")?;
    let work = Work { set, corpus, profile, step: &step, index: place.join("index"), few };
    let told = match step.kind {
        Kind::Build { threads, lexical } => serde_json::to_string(&work.build(threads, lexical)?)?,
        Kind::Search => serde_json::to_string(&work.search()?)?,
    };
    println!("{told}");
    Ok(())
}

struct Work<'a> {
    set: &'a Set,
    corpus: &'a Path,
    profile: Profile,
    step: &'a Step,
    index: PathBuf,
    few: Option<usize>,
}

/// Where a profile's own way takes longer than this, one in so many of the others is measured.
const SLOW_MS: f64 = 100.0;
const FEWER: usize = 4;

/// Limits of time within which a slow model's questions are asked too, and how many of them.
const LIMITS_MS: [u64; 3] = [300, 600, 1200];
const LIMITED: usize = 20;

/// A way to search, and what to call it.
type Way = (String, SearchOptions<'static>);

/// What questions are asked, and how.
struct Posed<'a> {
    /// Their texts, where embedding them counts.
    texts: Option<&'a [String]>,
    /// The first so many.
    most: usize,
    /// The time that each has.
    limit: Option<Duration>,
}

impl Work<'_> {
    /// The vectors' source: the model itself for files, else a table.
    fn encoder(&self) -> Result<Arc<dyn Encoder>> {
        match (&self.set.files, self.set.model) {
            (Some(_), Some(known)) => model(known),
            _ => {
                let vectors = self.set.read(&self.set.vectors)?;
                Ok(Arc::new(Lookup::new(&self.set.texts()?, vectors, self.step.dim)?))
            }
        }
    }

    fn settings(&self) -> Settings {
        let mut settings = self.profile.settings();
        settings.lexical = false;
        match self.step.shape {
            Shape::Chosen => {}
            Shape::Flat => settings.flat = u32::MAX,
            Shape::Blocks => settings.flat = 0,
        }
        settings
    }

    fn build(&self, threads: u32, lexical: bool) -> Result<Built> {
        if self.index.exists() {
            fs::remove_dir_all(&self.index)?;
        }
        let encoder = Watched::new(self.encoder()?);
        let mut collection = Collection::create(&self.index, &encoder)?;
        collection.set_settings(self.settings())?;
        let options = UpdateOptions::default();
        let meter = Meter::start();
        collection
            .update(self.corpus, &Disk, &encoder, &options, &mut |_| ControlFlow::Continue(()))?;
        let build = meter.stop(threads, encoder.time());
        let plain = size(&self.index)?;
        if lexical && self.profile.settings().lexical {
            let mut settings = self.settings();
            settings.lexical = true;
            collection.set_settings(settings)?;
            collection.update(self.corpus, &Disk, &encoder, &options, &mut |_| {
                ControlFlow::Continue(())
            })?;
        }
        let stats = collection.stats();
        drop(collection);
        Ok(Built {
            build,
            chunks: stats.chunks as u64,
            segments: stats.segments,
            index_bytes: plain,
            folder_bytes: size(&self.index)?,
            lexical_bytes: stats.lexical_bytes,
        })
    }

    fn search(&self) -> Result<Searched> {
        let exact = self.encoder()?;
        let queries = self.set.read(&self.set.queries)?;
        let bars = self.set.bars(&queries)?;
        let before_mb = meter::memory().0;
        let start = Instant::now();
        let collection = Collection::open_read_only(&self.index)?;
        let open_ms = start.elapsed().as_secs_f64() * 1e3;
        let asker =
            Asker { collection: &collection, exact: &*exact, queries: &queries, bars: &bars };
        let chunks = collection.stats().chunks;
        let ways = self.ways(chunks);
        let all = Posed { texts: None, most: usize::MAX, limit: None };
        let mut points = Vec::new();
        if self.set.files.is_some() {
            let questions = self.set.questions()?;
            for (at, way) in ways.iter().enumerate() {
                let slow = points.first().is_some_and(|own: &Point| own.p50_ms > SLOW_MS);
                if slow && at % FEWER != 0 {
                    continue;
                }
                points.push(asker.ask(&*exact, &Posed { texts: Some(&questions), ..all }, way)?);
            }
        } else {
            for way in &ways {
                points.push(asker.ask(&*exact, &all, way)?);
            }
        }
        let peak_mb = meter::memory().1;
        if let (None, Some(known)) = (&self.set.files, self.set.model) {
            let real = Posing(model(known)?);
            let questions = self.set.questions()?;
            let few = if is_slow(known) { self.few.unwrap_or(FEW) } else { usize::MAX };
            for at in worth_asking(&points) {
                let posed = Posed { texts: Some(&questions), most: few, limit: None };
                points.push(asker.ask(&real, &posed, &ways[at])?);
            }
            for ms in if is_slow(known) { &LIMITS_MS[..] } else { &[] } {
                let limit = Some(Duration::from_millis(*ms));
                let posed = Posed { texts: Some(&questions), most: LIMITED, limit };
                let way = (format!("within {ms} ms"), SearchOptions::default());
                points.push(asker.ask(&real, &posed, &way)?);
            }
        }
        Ok(Searched { open_ms, peak_mb, before_mb, points })
    }

    /// The profile's own way first, then surer and less sure ones, and more and fewer blocks.
    fn ways(&self, chunks: usize) -> Vec<Way> {
        let settings = self.settings();
        let own = settings.recompute_at(chunks);
        let mut ways = vec![(OWN.to_owned(), SearchOptions::default())];
        let budgets =
            if settings.exact { [10, 16, 24, 64, 256, 1024] } else { [0, 2, 4, 8, 16, 64] };
        for most in budgets {
            let mut options = SearchOptions::default();
            options.recompute = Some(most);
            options.confidence = Some(settings.confidence.max(3.0));
            ways.push((
                format!("at most {most}, sure to {:.1}", settings.confidence.max(3.0)),
                options,
            ));
        }
        for confidence in [1.0, 2.0, 2.5, 3.0, 4.0] {
            let mut options = SearchOptions::default();
            options.recompute = Some(own.max(512));
            options.confidence = Some(confidence);
            ways.push((format!("sure to {confidence:.1}"), options));
        }
        let blocks = match self.step.shape {
            Shape::Chosen => chunks > settings.flat as usize,
            Shape::Flat => false,
            Shape::Blocks => true,
        };
        if blocks {
            for share in [256, 64, 16, 4, 2] {
                let mut options = SearchOptions::default();
                options.probes = Some((chunks / BLOCK / share).max(1));
                ways.push((format!("one block in {share}"), options));
            }
        }
        ways
    }
}

/// The first way, and for each of some recalls the one that recomputes least, by their place.
fn worth_asking(points: &[Point]) -> Vec<usize> {
    let mut worth = vec![0];
    for wanted in [0.99, 0.935, 0.90] {
        let good = (0..points.len()).filter(|&at| points[at].recall >= wanted);
        let cost = |at: &usize| points[*at].recomputed.unwrap_or(f64::INFINITY);
        worth.extend(good.min_by(|a, b| cost(a).total_cmp(&cost(b))));
    }
    worth.sort_unstable();
    worth.dedup();
    worth
}

/// Asks a collection questions.
struct Asker<'a> {
    collection: &'a Collection,
    /// Gives the vectors by which answers are judged.
    exact: &'a dyn Encoder,
    queries: &'a [f32],
    bars: &'a [f32],
}

impl Asker<'_> {
    fn ask(
        &self,
        encoder: &dyn Encoder,
        &Posed { texts, most, limit }: &Posed<'_>,
        (setting, options): &Way,
    ) -> Result<Point> {
        let dim = self.exact.dim();
        let rows: Vec<&[f32]> = self.queries.chunks_exact(dim).take(most).collect();
        let one = |number: usize, row: &[f32]| {
            let start = Instant::now();
            let left = move || limit.unwrap_or(Duration::MAX).saturating_sub(start.elapsed());
            let mut options = *options;
            options.time_left = limit.is_some().then_some(&left as TimeLeft<'_>);
            match texts {
                None => self.collection.search(row, K, &Disk, encoder, &options),
                Some(texts) => {
                    let query = encoder.encode(&[&texts[number]])?;
                    self.collection.search(&query, K, &Disk, encoder, &options)
                }
            }
        };
        // A few questions warm up, unless they are costly.
        if most == usize::MAX {
            for (number, row) in rows.iter().enumerate().take(WARM_UP) {
                one(number, row)?;
            }
        }
        let mut answers = Vec::new();
        let (mut times, cpu, start) = (Vec::new(), meter::cpu(), Instant::now());
        while times.is_empty() || (start.elapsed() < ENOUGH && most == usize::MAX) {
            for (number, row) in rows.iter().enumerate() {
                let before = Instant::now();
                let answer = one(number, row)?;
                times.push(before.elapsed().as_secs_f64() * 1e3);
                if answers.len() < rows.len() {
                    answers.push(answer);
                }
            }
        }
        let cpu = meter::cpu().saturating_sub(cpu).as_secs_f64() * 1e3 / times.len() as f64;
        let (mut found, mut recomputed) = (0.0, 0);
        for ((answer, row), bar) in answers.iter().zip(&rows).zip(self.bars) {
            let texts: Vec<&str> = answer.hits.iter().map(|hit| hit.text.as_str()).collect();
            let vectors = self.exact.encode(&texts)?;
            let scores: Vec<f32> = vectors
                .chunks_exact(dim)
                .map(|vector| vector.iter().zip(*row).map(|(a, b)| a * b).sum())
                .collect();
            found += recall(&scores, *bar);
            recomputed += answer.recomputed;
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        Ok(Point {
            setting: setting.clone(),
            queries: rows.len() as u32,
            threads: 1,
            recall: found / rows.len() as f64,
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            cpu_ms: cpu,
            recomputed: Some(recomputed as f64 / rows.len() as f64),
            end_to_end: texts.is_some(),
            limit_ms: limit.map(|limit| limit.as_secs_f64() * 1e3),
            load: meter::load(),
        })
    }
}

/// Bytes of all files below a folder.
pub fn size(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        total += if about.is_dir() { size(&entry.path())? } else { about.len() };
    }
    Ok(total)
}
