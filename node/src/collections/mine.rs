//! Pairs to learn from, of own collections and of what was opened: from the index's terms to a file for training.

mod negatives;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use covey_embedder::train::Pair;
use covey_index::{Mined, MinedFile, PairKind, Snapshot, TextPair, Unfit, anchor, passage};
use covey_protocol::ids::Name;

use super::Collections;
use super::change::Meter;
use super::export::{MAX_STALE, check_target};
use super::slot::View;
use super::upkeep::unusable;
use crate::api::{
    ApiError, ErrorCode, MAX_NEGATIVES, MineCall, MineReport, MinedPairs, OpenedInfo, Progress,
    UnfitPairs,
};
use crate::cancel::CancelFlag;
use crate::durable::PartFile;
use negatives::{Anchored, Negatives};

impl Collections {
    /// Writes the pairs of the collections that `call` names: in order of collection and path, what was `opened` of a
    /// file after its own. The file appears under its name when it is complete.
    pub(crate) fn mine(
        &self,
        call: &MineCall,
        opened: &[OpenedInfo],
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<MineReport, ApiError> {
        if call.negatives > MAX_NEGATIVES {
            let message = format!("a pair has at most {MAX_NEGATIVES} negatives");
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
        let mut notes = Vec::new();
        let sources = self.sources(&call.collections, &mut notes)?;
        let roots: Vec<_> = self.slots().iter().flat_map(|slot| slot.record().roots()).collect();
        check_target(&call.path, &roots)?;
        let asked: BTreeSet<Name> = sources.iter().map(|source| source.name.clone()).collect();
        let negatives = match call.negatives {
            0 => None,
            wanted => Some(Negatives::new(self, &asked, usize::from(wanted), opened)?),
        };
        let total: usize = sources.iter().map(|source| source.snapshot.stats().files).sum();
        let mut file = PartFile::create(&call.path)?;
        let mut write = |pair: Pair| {
            let mut line = serde_json::to_vec(&pair).map_err(|error| {
                ApiError::new(ErrorCode::Internal, format!("cannot write a line: {error}"))
            })?;
            line.push(b'\n');
            file.write(&line)?;
            Ok(line.len() as u64)
        };
        let mut mine = Mine {
            write: &mut write,
            report: MineReport {
                collections: asked.into_iter().collect(),
                path: Some(call.path.clone()),
                bytes: 0,
                files: 0,
                pairs: MinedPairs::default(),
                negatives: 0,
                left_out: UnfitPairs::default(),
                stale: 0,
                stale_files: Vec::new(),
                notes,
            },
            negatives,
            whole_files: false,
            roots: Vec::new(),
            opened: by_file(opened),
            seen: HashSet::new(),
            total: total as u64,
            meter,
            cancel,
        };
        self.mine_all(&sources, &mut mine)?;
        let report = mine.report;
        file.publish()?;
        Ok(report)
    }

    /// The pairs of `collections`, as [`Collections::mine`] writes them, without negatives. With `whole_files` a file is one document, whatever it
    /// holds: what one record of a table has decides where the next one begins.
    pub(super) fn pairs(
        &self,
        collections: &[Name],
        opened: &[OpenedInfo],
        whole_files: bool,
        cancel: &CancelFlag,
    ) -> Result<Vec<Pair>, ApiError> {
        let sources = self.sources(collections, &mut Vec::new())?;
        let mut pairs = Vec::new();
        let mut write = |pair: Pair| {
            pairs.push(pair);
            Ok(0)
        };
        let mut mine = Mine {
            write: &mut write,
            report: MineReport::default(),
            negatives: None,
            whole_files,
            roots: Vec::new(),
            opened: by_file(opened),
            seen: HashSet::new(),
            total: 0,
            meter: &mut |_| (),
            cancel,
        };
        self.mine_all(&sources, &mut mine)?;
        Ok(pairs)
    }

    fn mine_all(&self, sources: &[Source], mine: &mut Mine<'_>) -> Result<(), ApiError> {
        for source in sources {
            let mut failed = None;
            mine.roots.clone_from(&source.roots);
            source.snapshot.mine(&*self.files, &mut |mined| match mine.take(mined) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            });
            failed.map_or(Ok(()), Err)?;
        }
        mine.cancel.check()
    }

    /// The collections to read, by name: those asked for, or all that can be read. Which of these cannot is noted.
    fn sources(&self, asked: &[Name], notes: &mut Vec<String>) -> Result<Vec<Source>, ApiError> {
        let mut slots = match asked {
            [] => self.slots(),
            names => names.iter().map(|name| self.slot(name)).collect::<Result<_, _>>()?,
        };
        slots.sort_by(|a, b| a.name.cmp(&b.name));
        slots.dedup_by(|a, b| a.name == b.name);
        let mut sources = Vec::new();
        for slot in slots {
            match slot.view() {
                View::Ready(snapshot) => {
                    let (name, roots) = (slot.name.clone(), slot.record().roots());
                    sources.push(Source { name, roots, snapshot });
                }
                View::Unmade | View::Broken(_) if asked.is_empty() => {
                    let problem = slot.problem().unwrap_or_default();
                    notes.push(format!("collection {} was left out: {problem}", slot.name));
                }
                View::Unmade | View::Broken(_) => return Err(unusable(&slot)),
            }
        }
        if sources.is_empty() {
            let message = "there is no collection to learn from";
            return Err(
                ApiError::new(ErrorCode::NotFound, message).hint("`covey add FOLDER` makes one")
            );
        }
        Ok(sources)
    }
}

/// A collection that is read.
struct Source {
    name: Name,
    /// Outer folders first.
    roots: Vec<PathBuf>,
    snapshot: Snapshot,
}

/// What was opened, by file. Paths travel as text, so they are compared as text.
fn by_file(opened: &[OpenedInfo]) -> BTreeMap<String, Vec<&OpenedInfo>> {
    let mut by_file: BTreeMap<String, Vec<&OpenedInfo>> = BTreeMap::new();
    for entry in opened {
        by_file.entry(entry.path.to_string_lossy().into_owned()).or_default().push(entry);
    }
    by_file
}

/// Mining under way.
struct Mine<'a> {
    /// Takes a pair, and says how many bytes it takes.
    write: &'a mut dyn FnMut(Pair) -> Result<u64, ApiError>,
    report: MineReport,
    negatives: Option<Negatives<'a>>,
    /// Whether a file is one document, and not each of its records.
    whole_files: bool,
    /// The folders of the collection that is read.
    roots: Vec<PathBuf>,
    /// What was opened, by file.
    opened: BTreeMap<String, Vec<&'a OpenedInfo>>,
    /// Files that were taken: one may be in several collections.
    seen: HashSet<PathBuf>,
    total: u64,
    meter: Meter<'a>,
    cancel: &'a CancelFlag,
}

impl<'a> Mine<'a> {
    fn take(&mut self, mined: Mined) -> Result<(), ApiError> {
        match mined {
            Mined::Stale(path) => {
                self.tell(&path)?;
                self.report.left_out.gone += self.opened_of(&path).len() as u64;
                self.report.stale += 1;
                if self.report.stale_files.len() < MAX_STALE {
                    self.report.stale_files.push(path);
                }
                Ok(())
            }
            Mined::File(file) if self.seen.contains(&file.path) => Ok(()),
            Mined::File(file) => {
                self.tell(&file.path)?;
                self.report.files += 1;
                let left_out = &mut self.report.left_out;
                left_out.short += file.left_out.short as u64;
                left_out.numeric += file.left_out.numeric as u64;
                left_out.long += file.left_out.long as u64;
                left_out.bare += file.left_out.bare as u64;
                file.pairs.iter().try_for_each(|pair| self.write_pair(&file, pair))?;
                self.write_opened(&file)?;
                self.seen.insert(file.path);
                Ok(())
            }
        }
    }

    /// Tells how far it is, and ends where the person wants that.
    fn tell(&mut self, path: &Path) -> Result<(), ApiError> {
        self.cancel.check()?;
        let done = self.report.files + self.report.stale;
        let (stage, item) = ("mining".to_owned(), Some(path.display().to_string()));
        (self.meter)(Progress { stage, done, total: Some(self.total.max(done)), item });
        Ok(())
    }

    fn write_pair(&mut self, file: &MinedFile, pair: &TextPair) -> Result<(), ApiError> {
        let count = match pair.kind {
            PairKind::Title => &mut self.report.pairs.title,
            PairKind::Heading => &mut self.report.pairs.heading,
            PairKind::Code => &mut self.report.pairs.code,
        };
        *count += 1;
        self.write(Anchored {
            anchor: &pair.anchor,
            positive: &pair.passage,
            path: &file.path,
            record: pair.record,
        })
    }

    fn write_opened(&mut self, file: &MinedFile) -> Result<(), ApiError> {
        for entry in self.opened_of(&file.path) {
            let left_out = &mut self.report.left_out;
            let Some(text) = file.chunk(entry.chunk.as_bytes()) else {
                left_out.gone += 1;
                continue;
            };
            match anchor(&entry.question).and_then(|anchor| Ok((anchor, passage(text)?))) {
                Err(Unfit::Short) => left_out.short += 1,
                Err(Unfit::Numeric) => left_out.numeric += 1,
                Err(Unfit::Long) => left_out.long += 1,
                Err(Unfit::Bare) => left_out.bare += 1,
                Ok((anchor, positive)) => {
                    self.report.pairs.opened += 1;
                    let (anchor, positive) = (&*anchor, &*positive);
                    self.write(Anchored { anchor, positive, path: &file.path, record: None })?;
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, pair: Anchored<'_>) -> Result<(), ApiError> {
        self.cancel.check()?;
        let negatives = match &self.negatives {
            Some(negatives) => negatives.of(&pair)?,
            None => Vec::new(),
        };
        self.report.negatives += negatives.len() as u64;
        // Records stand for themselves: they are held out and counted one by one.
        let record = pair.record.filter(|_| !self.whole_files);
        let named = |path: &Path| {
            let path = path.to_string_lossy();
            record.map_or_else(|| path.clone().into_owned(), |number| format!("{path}#{number}"))
        };
        // A folder that moves keeps what is held out of it.
        let inside = self.roots.iter().find_map(|root| pair.path.strip_prefix(root).ok());
        let pair = Pair {
            anchor: pair.anchor.to_owned(),
            positive: pair.positive.to_owned(),
            negatives,
            document: named(pair.path),
            place: inside.map(named).unwrap_or_default(),
        };
        self.report.bytes += (self.write)(pair)?;
        Ok(())
    }

    /// What was opened of a file, oldest first.
    fn opened_of(&self, path: &Path) -> Vec<&'a OpenedInfo> {
        self.opened.get(&*path.to_string_lossy()).cloned().unwrap_or_default()
    }
}
