//! Files from strangers: anything may be in them, and nothing in them may panic.
//!
//! An index file's bytes are sealed anew, so that a mutation gets past its checksums, and take the place of a file of
//! a small sound collection. Where that opens, everything that can be asked of a collection is.

mod cache;
mod source;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

pub use cache::{cache_file, cache_seed};
pub use source::source;

use crate::collection::{Collection, UpdateOptions};
use crate::container::{Checksum, HEADER, Writer};
use crate::files::MemoryFiles;
use crate::filter::{Facts, Filter};
use crate::fixture::{WordEncoder, topics};
use crate::grep::{Grep, GrepOptions};
use crate::manifest::{CODEC, CODES, CONTENT, FileRef, Manifest, NAME};
use crate::search::SearchOptions;
use crate::settings::Settings;
use crate::store::{MemoryStore, Store};

const DIM: usize = 16;
/// Bytes of one entry of a section table, and where in it the section's length stands.
const ENTRY: usize = 40;
const LENGTH: usize = 16;

/// A kind of index file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The manifest.
    Manifest,
    /// What is known of files.
    Content,
    /// How vectors become codes.
    Codec,
    /// Codes, in blocks.
    Codes,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Manifest, Self::Content, Self::Codec, Self::Codes];

    /// The beginning of its files' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => NAME,
            Self::Content => CONTENT,
            Self::Codec => CODEC,
            Self::Codes => CODES,
        }
    }
}

/// The sound files of this kind, to start from: of a small collection, and of one with blocks and a learnt codec.
pub fn seeds(kind: Kind) -> Vec<Vec<u8>> {
    let of = |sample: &Sample| {
        let files = sample.files.iter().filter(|(name, _)| name.starts_with(kind.name()));
        files.map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>()
    };
    samples().iter().flat_map(of).collect()
}

/// Puts `bytes` in the place of a file of this kind, opens the collection, and asks it everything. Gives
/// whether it opened.
pub fn open(kind: Kind, bytes: &[u8]) -> bool {
    // All are opened, not only up to the first that takes it.
    samples().iter().filter(|sample| sample.open(kind, bytes)).count() > 0
}

/// Reads a filter, and writes and reads it again: both mean the same.
pub fn filter(text: &str) {
    const NOW: i64 = 1_795_368_701_000_000_000;
    let Ok(filter) = Filter::parse(text, NOW) else { return };
    let again = Filter::parse(&filter.to_string(), NOW).expect("what is written can be read");
    assert_eq!(filter.matches(&Anything), again.matches(&Anything), "{filter}");
    if let Some(decided) = filter.decide(&Anything) {
        assert_eq!(decided, filter.matches(&Anything), "{filter}");
    }
}

/// Facts that have a bit of all.
struct Anything;

impl Facts for Anything {
    fn path(&self) -> &str {
        "notes/Über den Fluß.md"
    }

    fn kind(&self) -> &str {
        "markdown"
    }

    fn size(&self) -> u64 {
        1 << 20
    }

    fn modified_ns(&self) -> i64 {
        -1
    }

    fn values(&self, key: &str, visit: &mut dyn FnMut(&str)) {
        visit(key);
        visit("2026-01-31");
        visit("");
    }
}

/// A sound collection's own files, and the user's.
struct Sample {
    files: BTreeMap<String, Vec<u8>>,
    user: MemoryFiles,
}

fn samples() -> &'static [Sample; 2] {
    static SAMPLES: OnceLock<[Sample; 2]> = OnceLock::new();
    SAMPLES.get_or_init(|| [Sample::new(12), Sample::new(300)])
}

impl Sample {
    fn new(count: usize) -> Self {
        let user = MemoryFiles::new();
        for (i, text) in topics(count, 12, 5).iter().enumerate() {
            let text =
                format!("---\ntags: [t{i}]\n---\n# Part {i}\n\n{text}\n\n# More\n\nand more\n");
            user.insert(format!("/n/{i:03}.md"), text);
        }
        let encoder = WordEncoder::new(DIM);
        let mut collection = Collection::in_memory(&encoder).expect("memory has room");
        let settings = Settings { flat: 64, lexical: false, ..Settings::default() };
        collection.set_settings(settings).expect("these are sane");
        let go_on = &mut |_| ControlFlow::Continue(());
        let options = UpdateOptions::default();
        collection
            .update(Path::new("/n"), &user, &encoder, &options, go_on)
            .expect("memory has room");
        let names = collection.store.names().expect("memory can be listed");
        let load = |name: String| {
            let bytes = collection.store.load(&name).expect("it is listed").to_vec();
            (name, bytes)
        };
        Self { files: names.into_iter().map(load).collect(), user }
    }

    fn open(&self, kind: Kind, bytes: &[u8]) -> bool {
        let Some((name, sound)) = self.files.iter().find(|(name, _)| name.starts_with(kind.name()))
        else {
            return false;
        };
        let mut files = self.files.clone();
        files.insert(name.clone(), seal(sound, bytes));
        if kind != Kind::Manifest {
            self.refer(&mut files);
        }
        let store = MemoryStore::default();
        for (name, bytes) in &files {
            store.save(name, bytes).expect("memory has room");
        }
        match Collection::open_in(Box::new(store), true) {
            Ok(collection) => {
                self.ask_everything(collection);
                true
            }
            Err(_) => false,
        }
    }

    /// Makes codes and manifest name the files as they are now.
    fn refer(&self, files: &mut BTreeMap<String, Vec<u8>>) {
        let mut manifest = Manifest::from_bytes(&self.files[NAME]).expect("it is sound");
        let now = |files: &BTreeMap<String, Vec<u8>>, kind: &str, file: &FileRef| {
            let name = crate::manifest::file_name(kind, file.id);
            FileRef { id: file.id, head: head_of(&files[&name]) }
        };
        for codec in &mut manifest.codecs {
            *codec = now(files, CODEC, codec);
        }
        for segment in &mut manifest.segments {
            segment.content = now(files, CONTENT, &segment.content);
            let codec = manifest.codecs.iter().find(|codec| codec.id == segment.codes.codec);
            let codec = codec.map(|codec| codec.head).unwrap_or_default();
            let name = crate::manifest::file_name(CODES, segment.codes.file.id);
            let codes = files.get_mut(&name).expect("it is listed");
            let mut meta = codes.clone();
            // META comes first and begins with the checksums of content and codec.
            let start = (HEADER + ENTRY * count_of(codes)).next_multiple_of(64);
            if let Some(heads) = meta.get_mut(start..start + 32) {
                heads[..16].copy_from_slice(&segment.content.head);
                heads[16..].copy_from_slice(&codec);
            }
            *codes = seal(codes, &meta);
            segment.codes.file = now(files, CODES, &segment.codes.file);
        }
        files.insert(NAME.to_owned(), manifest.to_bytes());
    }

    /// What comes back does not matter, only that it does.
    fn ask_everything(&self, mut collection: Collection) {
        let encoder = WordEncoder::new(DIM);
        let query = encoder.one("common1 t3w5 more");
        let snapshot = collection.snapshot();
        let filter = Filter::parse("tag == t3 or path contains 0", 0).expect("a filter");
        for filter in [None, Some(&filter)] {
            for exact in [false, true] {
                let options =
                    SearchOptions { exact: Some(exact), filter, ..SearchOptions::default() };
                let _ = snapshot.search(&query, 5, &self.user, &encoder, &options);
            }
        }
        let grep = Grep::new("more", &GrepOptions::default()).expect("a pattern");
        let _ = snapshot.grep(&grep, 5, &self.user, None, &|| false);
        snapshot.list(&self.user, &mut |_| ControlFlow::Continue(()));
        let _ =
            (snapshot.stats(), collection.moving_to(), collection.recoded(collection.encoder_id()));
        let _ = collection.verify();
        let (options, go_on) = (UpdateOptions::default(), &mut |_| ControlFlow::Continue(()));
        let _ = collection.compact(&self.user, &encoder, &options, go_on);
        let _ = collection.recode(&self.user, &encoder, &options, go_on);
        let _ = collection.update(Path::new("/n"), &self.user, &encoder, &options, go_on);
        let _ = collection.search(&query, 5, &self.user, &encoder, &SearchOptions::default());
    }
}

/// `bytes` as a file with the sections of `sound`: each as long as the bytes' own table says, as far as there
/// are bytes, the last one to the end; with offsets and checksums that are right.
fn seal(sound: &[u8], bytes: &[u8]) -> Vec<u8> {
    let count = count_of(sound);
    let magic = sound.first_chunk::<8>().expect("a sound file has one");
    let mut writer = Writer::new(*magic);
    let mut at = HEADER + ENTRY * count;
    for section in 0..count {
        let entry = HEADER + ENTRY * section;
        let kind = u32::from_le_bytes(*sound[entry..].first_chunk().expect("it is sound"));
        let start = at.next_multiple_of(64).min(bytes.len());
        let rest = bytes.len() - start;
        let told = bytes.get(entry + LENGTH..).and_then(|bytes| bytes.first_chunk::<8>());
        let told = told.map_or(0, |told| u64::from_le_bytes(*told));
        let is_last = section + 1 == count;
        let length =
            if is_last { rest } else { usize::try_from(told).map_or(rest, |told| told.min(rest)) };
        writer.section(kind, bytes[start..start + length].to_vec());
        at = start + length;
    }
    writer.finish()
}

fn count_of(file: &[u8]) -> usize {
    let count = file.get(12..).and_then(|bytes| bytes.first_chunk::<4>());
    count.map_or(0, |count| u32::from_le_bytes(*count) as usize)
}

fn head_of(file: &[u8]) -> Checksum {
    file.get(24..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_files_open_and_stay_as_they_are_when_sealed() {
        for kind in Kind::ALL {
            let seeds = seeds(kind);
            assert!(seeds.len() >= 2, "{kind:?}");
            for seed in seeds {
                assert_eq!(seal(&seed, &seed), seed, "{kind:?}");
                assert!(open(kind, &seed), "{kind:?}");
            }
        }
    }

    #[test]
    fn damage_gets_past_the_checksums_and_ends_in_an_answer_or_an_error() {
        let mut state = 1u64;
        let mut draw = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let mut opened = 0;
        for kind in Kind::ALL {
            for seed in seeds(kind) {
                for _ in 0..60 {
                    let mut bytes = seed.clone();
                    for _ in 0..=draw(3) {
                        let at = HEADER + draw(bytes.len() - HEADER);
                        bytes[at] = draw(256) as u8;
                    }
                    if draw(8) == 0 {
                        bytes.truncate(draw(bytes.len()));
                    }
                    opened += usize::from(open(kind, &bytes));
                }
            }
        }
        assert!(opened > 0, "no damage gets past the checksums");
        for text in
            ["", "tag == a", "not (size > 1k and path contains \"x\")", "time < now-3d", "(((("]
        {
            filter(text);
        }
    }
}
