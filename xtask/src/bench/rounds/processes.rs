//! What trees of other processes use: memory at its most, CPU time, and bytes over TCP, as Linux tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(100);
/// Of a second: Linux tells programs of time so.
const TICKS: f64 = 100.0;

/// One process, out of /proc/PID/stat.
#[derive(Clone, Copy)]
struct Process {
    parent: u32,
    /// Ticks of the processor's that it has had.
    ticks: u64,
}

/// What a tree has come to so far.
#[derive(Default)]
struct Tree {
    peak_mb: f64,
    /// Ticks by process, those that ended included, as they were last seen.
    ticks: BTreeMap<u32, u64>,
}

/// Watches processes and all that come of them, until it is dropped.
pub struct Watch {
    roots: Vec<u32>,
    trees: Arc<Mutex<Vec<Tree>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn start(roots: Vec<u32>) -> Self {
        let trees = Arc::new(Mutex::new(roots.iter().map(|_| Tree::default()).collect()));
        let stop = Arc::new(AtomicBool::new(false));
        let (noted, ended, watched) = (Arc::clone(&trees), Arc::clone(&stop), roots.clone());
        let thread = spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                look(&watched, &noted);
                sleep(POLL);
            }
        });
        Self { roots, trees, stop, thread: Some(thread) }
    }

    /// Most memory of each tree so far, MiB.
    pub fn peaks_mb(&self) -> Vec<f64> {
        let trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.iter().map(|tree| tree.peak_mb).collect()
    }

    /// CPU seconds of all of them so far, but for what a process used between the last look and its end.
    pub fn cpu_s(&self) -> f64 {
        look(&self.roots, &self.trees);
        let trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        seconds(trees.iter().flat_map(|tree| tree.ticks.values()).sum())
    }
}

fn look(roots: &[u32], trees: &Mutex<Vec<Tree>>) {
    let all = processes();
    let mut trees = trees.lock().unwrap_or_else(PoisonError::into_inner);
    for (root, known) in roots.iter().zip(trees.iter_mut()) {
        let tree = tree(&all, *root);
        let mb: f64 = tree.iter().map(|process| resident_mb(*process)).sum();
        known.peak_mb = known.peak_mb.max(mb);
        let ticks = tree.iter().filter_map(|id| Some((*id, all.get(id)?.ticks)));
        known.ticks.extend(ticks);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// CPU seconds of one process so far.
pub fn cpu_of(process: u32) -> f64 {
    seconds(stat(process).map_or(0, |process| process.ticks))
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS
}

fn processes() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|id| Some((id, stat(id)?))).collect()
}

fn stat(process: u32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn parse(stat: &str) -> Option<Process> {
    // The name, in brackets, may hold anything.
    let rest = &stat[stat.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks = (11..=12).map(number).sum::<Option<u64>>()?;
    Some(Process { parent: u32::try_from(number(1)?).ok()?, ticks })
}

/// A process and all that descend from it.
fn tree(all: &BTreeMap<u32, Process>, root: u32) -> BTreeSet<u32> {
    let mut tree = BTreeSet::from([root]);
    loop {
        let before = tree.len();
        let of = |(id, process): (&u32, &Process)| tree.contains(&process.parent).then_some(*id);
        let children: Vec<u32> = all.iter().filter_map(of).collect();
        tree.extend(children);
        if tree.len() == before {
            return tree;
        }
    }
}

fn resident_mb(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// Bytes sent and received so far on each TCP connection of a process, as `ss` tells; nothing where that is not there.
pub fn tcp(process: u32) -> Option<BTreeMap<String, (u64, u64)>> {
    let output = Command::new("ss").args(["-tinpHO"]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| connections(&text, process))
}

fn connections(text: &str, process: u32) -> BTreeMap<String, (u64, u64)> {
    let mark = format!("pid={process},");
    let field = |line: &str, name: &str| {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok());
        value.unwrap_or(0)
    };
    let mine = text.lines().filter(|line| line.contains(&mark));
    mine.map(|line| {
        let ends: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
        (ends.join(" "), (field(line, "bytes_sent:"), field(line, "bytes_received:")))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_is_read() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4 0 0 0 0 10 20 30 40 20 0 1 0";
        let process = parse(line).expect("it is whole");
        assert_eq!((process.parent, process.ticks), (3, 30));
    }

    #[test]
    fn connections_are_told_apart_by_process() {
        let line = |pid: u32, sent: u32| {
            format!(
                "ESTAB 0 0 127.0.0.1:1 127.0.0.1:2 users:((\"x\",pid={pid},fd=3)) cubic bytes_sent:{sent} bytes_acked:5 bytes_received:9\n"
            )
        };
        let text = line(12, 7) + &line(1, 8);
        let found = connections(&text, 12);
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("127.0.0.1:1 127.0.0.1:2".to_owned(), (7, 9))]
        );
    }

    #[test]
    fn this_process_has_memory_and_a_child_counts() {
        let watch = Watch::start(vec![std::process::id()]);
        while watch.peaks_mb()[0] == 0.0 {
            sleep(POLL);
        }
        assert!(watch.peaks_mb()[0] > 1.0 && watch.cpu_s() >= 0.0);
    }
}
