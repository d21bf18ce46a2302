//! A process killed at random moments: what it acknowledged is there, and nothing is half there.
//!
//! The test runs itself as a child that goes from step to step and prints the number of each finished
//! one. What the files are at each step follows from the seed, so the parent knows what may be there.
#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{WordEncoder, topics};
use covey_index::{
    Collection, Disk, EncodeError, Encoder, EncoderId, Grep, GrepOptions, MemoryFiles, Progress,
    SearchOptions, Settings, UpdateOptions,
};

const KILLS: usize = 200;
/// Steps that are taken after the last kill.
const AFTER: usize = 5;
const SEED: u64 = 5;
/// Set for the child: the folder, and the first step to take.
const CHILD: &str = "COVEY_KILL_TEST_CHILD";
const DIM: usize = 16;

type Texts = BTreeMap<String, String>;

/// What a step does, after the files are as it wants them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Update { segment_chunks: usize, merge_at: usize },
    Recode,
    Settle { flat: u32, lexical: bool, bytes: u32 },
    Forget,
}

/// The state that a step leads to.
#[derive(Clone)]
struct State {
    files: Texts,
    /// What of them is indexed.
    indexed: Texts,
    release: u8,
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// The states after steps 0 to `last`, and what each step does.
fn script(last: usize) -> Vec<(Act, State)> {
    let mut draw = Draw(SEED);
    let mut state = State { files: Texts::new(), indexed: Texts::new(), release: 1 };
    let mut all = Vec::new();
    for step in 0..=last {
        let act = match (step, draw.below(16)) {
            (0, _) | (_, 0..=10) => Act::Update {
                segment_chunks: [1, 4, 8192][draw.below(3) as usize],
                merge_at: 1 + draw.below(3) as usize,
            },
            (_, 11 | 12) => Act::Recode,
            (_, 15) if draw.below(3) == 0 => Act::Forget,
            _ => Act::Settle {
                flat: [8, u32::MAX][draw.below(2) as usize],
                lexical: draw.below(4) == 0,
                bytes: [12, 60][draw.below(2) as usize],
            },
        };
        match act {
            Act::Update { .. } => {
                change(&mut state.files, &mut draw, step);
                state.indexed = state.files.clone();
            }
            Act::Recode => state.release = state.release % 250 + 1,
            Act::Settle { .. } => {}
            Act::Forget => state.indexed.clear(),
        }
        all.push((act, state.clone()));
    }
    all
}

fn change(files: &mut Texts, draw: &mut Draw, step: usize) {
    let text = |draw: &mut Draw| {
        let words = 5 + draw.below(150) as usize;
        topics(1, words, draw.below(1 << 40)).remove(0)
    };
    let added = if step == 0 { 40 } else { draw.below(4) };
    for i in 0..added {
        files.insert(format!("{}/{step}-{i}.txt", draw.below(3)), text(draw));
    }
    let some = |draw: &mut Draw, files: &Texts| {
        files.keys().nth(draw.below(files.len() as u64) as usize).cloned().expect("there are some")
    };
    for _ in 0..draw.below(3) {
        let name = some(draw, files);
        files.insert(name, text(draw));
    }
    for _ in 0..draw.below(if files.len() > 60 { 8 } else { 2 }) {
        let name = some(draw, files);
        let text = files.remove(&name).expect("there");
        if draw.below(2) == 0 {
            files.insert(format!("renamed/{step}-{}", name.replace('/', "-")), text);
        }
    }
}

/// Words mean something else in each release.
struct Released(WordEncoder, u8);

impl Released {
    fn new(release: u8) -> Self {
        Self(WordEncoder::new(DIM).with_id(7, release), release)
    }

    fn one(&self, text: &str) -> Vec<f32> {
        let words = text.split_whitespace().map(|word| format!("{word}-{}", self.1));
        self.0.one(&words.collect::<Vec<_>>().join(" "))
    }
}

impl Encoder for Released {
    fn id(&self) -> EncoderId {
        self.0.id()
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn max_tokens(&self) -> usize {
        self.0.max_tokens()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        Ok(texts.iter().flat_map(|text| self.one(text)).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<std::ops::Range<usize>>, EncodeError> {
        self.0.token_spans(text)
    }
}

fn go_on(_: Progress) -> std::ops::ControlFlow<()> {
    std::ops::ControlFlow::Continue(())
}

/// Makes the folder hold these files and no others.
fn lay_out(notes: &Path, texts: &Texts) {
    let mut wanted: BTreeMap<PathBuf, &String> = BTreeMap::new();
    for (name, text) in texts {
        wanted.insert(notes.join(name), text);
    }
    for folder in fs::read_dir(notes).expect("lists") {
        for file in fs::read_dir(folder.expect("an entry").path()).expect("lists") {
            let path = file.expect("an entry").path();
            if !wanted.contains_key(&path) {
                fs::remove_file(path).expect("removed");
            }
        }
    }
    for (path, text) in wanted {
        if fs::read(&path).ok().is_none_or(|bytes| bytes != text.as_bytes()) {
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(&path, text).expect("written");
        }
    }
}

fn take(collection: &mut Collection, notes: &Path, (act, state): &(Act, State)) {
    let encoder = Released::new(state.release);
    let mut options = UpdateOptions::default();
    options.batch = 4;
    match *act {
        Act::Update { segment_chunks, merge_at } => {
            lay_out(notes, &state.files);
            (options.segment_chunks, options.merge_at) = (segment_chunks, merge_at);
            collection.update(notes, &Disk, &encoder, &options, &mut go_on).expect("updates");
        }
        Act::Recode => {
            collection.recode(&Disk, &encoder, &options, &mut go_on).expect("recodes");
        }
        Act::Settle { flat, lexical, bytes } => {
            let mut settings = Settings::default();
            (settings.flat, settings.lexical, settings.bytes_per_chunk) = (flat, lexical, bytes);
            collection.set_settings(settings).expect("set");
        }
        Act::Forget => {
            // Done already, if the child was killed between doing and saying it.
            if collection.roots().iter().any(|root| root == notes) {
                collection.remove_root(notes).expect("forgotten");
            }
        }
    }
}

fn child(place: &str) {
    let (dir, first) = place.split_once('|').expect("a folder and a step");
    let (dir, first) = (Path::new(dir), first.parse::<usize>().expect("a number"));
    let notes = dir.join("notes");
    let mut collection = Collection::open(&dir.join("index")).expect("opens");
    let mut out = std::io::stdout();
    writeln!(out, "\nready").expect("told");
    // It goes on until it is killed, however fast it is; a parent that is gone has closed the pipe.
    let mut script = Vec::new();
    for step in first.. {
        if step >= script.len() {
            script = self::script(step + 100);
        }
        take(&mut collection, &notes, &script[step]);
        writeln!(out, "\ndone {step}").expect("told");
    }
}

/// Starts the child at `step` and kills it after a while. Gives the last step it finished.
fn kill_one(dir: &Path, step: usize, wait: Duration) -> Option<usize> {
    let mut child = Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "--nocapture", "kill::at_any_moment"])
        .env(CHILD, format!("{}|{step}", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while line.trim() != "ready" {
        line.clear();
        if out.read_line(&mut line).expect("reads") == 0 {
            let mut said = String::new();
            let mut errors = child.stderr.take().expect("piped");
            errors.read_to_string(&mut said).expect("reads");
            panic!("the child could not open it: {said}");
        }
    }
    std::thread::sleep(wait);
    child.kill().expect("killed");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("reads");
    let status = child.wait().expect("gone");
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("reads");
    assert!(status.code().is_none(), "the child failed by itself: {said}");
    let mut lines = rest.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.rfind(|line| line.starts_with("done "))?[5..].trim().parse().ok()
}

/// Files of the collection whose indexed contents are those of `texts`.
fn current(collection: &Collection, notes: &Path, texts: &Texts) -> BTreeSet<PathBuf> {
    let files = MemoryFiles::new();
    for (name, text) in texts {
        files.insert(notes.join(name), text.as_str());
    }
    let any = Grep::new(".", &GrepOptions::default()).expect("a pattern");
    let found = collection.snapshot().grep(&any, usize::MAX, &files, None, &|| false);
    let paths: Vec<PathBuf> = found.hits.into_iter().map(|hit| hit.path).collect();
    let all: BTreeSet<PathBuf> = paths.iter().cloned().collect();
    assert_eq!(all.len(), paths.len(), "a file of one line is alive twice");
    all
}

/// Opens what the child left and looks at all of it.
fn check(dir: &Path, before: &State, next: &(Act, State)) {
    let notes = dir.join("notes");
    let collection = Collection::open(&dir.join("index")).expect("a kill leaves a sound index");
    let verified = collection.verify().expect("sound");
    let (old, new) = (&before.indexed, &next.1.indexed);
    let (is_old, is_new) = (current(&collection, &notes, old), current(&collection, &notes, new));
    let count = collection.stats().files;
    assert_eq!(is_old.union(&is_new).count(), count, "a file is as it never was");
    for name in old.keys().filter(|name| new.contains_key(*name)) {
        let path = notes.join(name);
        assert!(is_old.contains(&path) || is_new.contains(&path), "{name} is lost");
    }
    let before_it = is_old.len() == old.len() && count == old.len();
    let after_it = is_new.len() == new.len() && count == new.len();
    if !matches!(next.0, Act::Update { segment_chunks: 1 | 4, .. }) {
        assert!(before_it || after_it, "neither before nor after {:?}", next.0);
    }
    let release = collection.encoder_id().release[0];
    assert!([before.release, next.1.release].contains(&release), "release {release}");
    let encoder = Released::new(release);
    let query = encoder.one("t3w5 t3w9 common7");
    let answer = collection.search(&query, 5, &Disk, &encoder, &SearchOptions::default());
    for hit in answer.expect("searches").hits {
        let row = encoder.one(&hit.text);
        let exact: f32 = row.iter().zip(&query).map(|(x, y)| x * y).sum();
        assert!((hit.score - exact).abs() < 1e-5, "{} is not {exact}", hit.score);
    }
    let names = fs::read_dir(dir.join("index")).expect("lists");
    let names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
    let contents = names.iter().filter(|name| name.to_string_lossy().starts_with("content-"));
    assert_eq!(contents.count(), verified.segments, "no remains: {names:?}");
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("tmp-")), "{names:?}");
}

#[test]
fn at_any_moment() {
    if let Ok(place) = std::env::var(CHILD) {
        return child(&place);
    }
    let temp = tempfile::tempdir().expect("a temporary folder");
    let dir = fs::canonicalize(temp.path()).expect("exists");
    let notes = dir.join("notes");
    fs::create_dir(&notes).expect("made");
    let mut script = script(0);
    let mut collection = Collection::create(&dir.join("index"), &Released::new(1)).expect("made");
    let start = Instant::now();
    take(&mut collection, &notes, &script[0]);
    // A machine that is slow or busy gets more time between kills, so that it gets on as well.
    let slowness = start.elapsed().as_millis().div_ceil(30).clamp(1, 20) as u32;
    drop(collection);

    println!("seed {SEED}, slowness {slowness}");
    let (mut draw, mut at) = (Draw(SEED ^ 0xff), 0);
    for kill in 0..KILLS {
        let wait = Duration::from_micros(1 << draw.below(19) | draw.below(1 << 14));
        if let Some(step) = kill_one(&dir, at + 1, wait * slowness) {
            at = step;
        }
        if script.len() <= at + AFTER {
            script = self::script(at + 100);
        }
        println!("kill {kill} after step {at}, in {:?}", script[at + 1].0);
        check(&dir, &script[at].1, &script[at + 1]);
    }
    assert!(at > 5, "only {at} steps were finished");

    // And on it goes, to a state that is as if nothing had happened.
    let mut collection = Collection::open(&dir.join("index")).expect("opens");
    for entry in &script[at + 1..=at + AFTER] {
        take(&mut collection, &notes, entry);
    }
    let last = &script[at + AFTER].1.indexed;
    let found = (current(&collection, &notes, last).len(), collection.stats().files);
    assert_eq!(found, (last.len(), last.len()));
    collection.verify().expect("sound");
}
