//! Which chunks a search may find: those of live files, and where there is a filter those that pass.

use crate::collection::Part;
use crate::content::{FileEntry, SectionEntry};
use crate::filter::{Facts, Filter};

/// The chunks of one part that may be found.
pub(super) enum Mask<'a> {
    /// All that are alive.
    Live(&'a Part),
    /// These, and how many they are.
    Some(Vec<bool>, usize),
}

impl<'a> Mask<'a> {
    pub(super) fn new(part: &'a Part, filter: Option<&Filter>) -> Self {
        let Some(filter) = filter else { return Self::Live(part) };
        let mut passing = vec![false; part.segment.len() as usize];
        for (_, file) in part.live_files() {
            pass(part, file, filter, &mut passing);
        }
        let count = passing.iter().filter(|passes| **passes).count();
        Self::Some(passing, count)
    }

    pub(super) fn passes(&self, chunk: u32) -> bool {
        match self {
            Self::Live(part) => part.is_live(chunk),
            Self::Some(passing, _) => passing.get(chunk as usize) == Some(&true),
        }
    }

    /// The share of all chunks that pass, roughly.
    pub(super) fn share(&self) -> f64 {
        match self {
            Self::Live(_) => 1.0,
            Self::Some(passing, count) => *count as f64 / passing.len().max(1) as f64,
        }
    }
}

fn pass(part: &Part, file: &FileEntry, filter: &Filter, passing: &mut [bool]) {
    let content = &part.segment.content;
    let mut facts = FileFacts::new(file);
    let chunks = file.chunks.start as usize..file.chunks.end as usize;
    if let Some(passes) = filter.decide(&facts) {
        passing[chunks].fill(passes);
        return;
    }
    let (Some(sections), Some(passages)) = (content.sections(file), content.passages(file)) else {
        return;
    };
    let verdicts: Vec<bool> = (0..sections.len())
        .map(|number| {
            facts.sections = [sections.first(), sections.get(number)];
            filter.matches(&facts)
        })
        .collect();
    for (chunk, passage) in chunks.zip(passages) {
        passing[chunk] = verdicts.get(passage.section as usize) == Some(&true);
    }
}

/// What a filter may ask of a file and of one of its sections.
struct FileFacts<'a> {
    file: &'a FileEntry,
    path: String,
    /// The file itself, and the section.
    sections: [Option<&'a SectionEntry>; 2],
}

impl<'a> FileFacts<'a> {
    fn new(file: &'a FileEntry) -> Self {
        Self { file, path: file.name(), sections: [None, None] }
    }
}

impl Facts for FileFacts<'_> {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &str {
        self.file.format.map_or("", |format| format.name())
    }

    fn size(&self) -> u64 {
        self.file.stat.size
    }

    fn modified_ns(&self) -> i64 {
        self.file.stat.mtime_ns
    }

    fn values(&self, key: &str, visit: &mut dyn FnMut(&str)) {
        let [file, section] = self.sections;
        // The file's own section is not visited twice.
        let section =
            section.filter(|section| file.is_none_or(|file| !std::ptr::eq(file, *section)));
        for entry in [file, section].into_iter().flatten() {
            entry.attributes.get(key).for_each(&mut *visit);
            if key == "title" && !entry.title.is_empty() {
                visit(&entry.title);
            }
        }
    }
}
