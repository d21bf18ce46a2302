//! Files of an index that somebody forged: damaged in any section of any file, and every checksum made
//! right again, up to the manifest's. Whatever opens can be searched, updated and moved without harm.

use proptest::prelude::*;

use super::*;
use crate::container::{Checksum, Sections, Writer};
use crate::encoder::Encoder;
use crate::search::SearchOptions;
use crate::store::{MemoryStore, Store};

const DIM: usize = 16;
type Stored = BTreeMap<String, Vec<u8>>;

/// The files of a collection of `count` files, half of which are on their way to release 2.
fn stored(count: usize, flat: u32) -> (Stored, MemoryFiles) {
    let files = MemoryFiles::new();
    let encoder = WordEncoder::new(DIM);
    for (i, text) in crate::fixture::topics(count, 30, 3).into_iter().enumerate() {
        files.insert(format!("/n/{}/{i:03}.md", i % 3), format!("# Title {i}\n\n{text}\n"));
    }
    let temp = tempfile::tempdir().expect("a temporary folder");
    let dir = temp.path().join("index");
    let mut collection = Collection::create(&dir, &encoder).expect("made");
    let settings = Settings { flat, lexical: false, ..Settings::default() };
    collection.set_settings(settings).expect("set");
    let options = UpdateOptions { segment_chunks: count / 2, ..UpdateOptions::default() };
    let root = Path::new("/n");
    let mut go_on = |_| ControlFlow::Continue(());
    collection.update(root, &files, &encoder, &options, &mut go_on).expect("updates");
    let mut extra = Vec::new();
    for name in ["/n/0/000.md", "/n/new.md"] {
        files.insert(name, "a later version of a text");
        let options = UpdateOptions::default();
        collection.update(root, &files, &encoder, &options, &mut go_on).expect("updates");
        extra.push(name);
    }
    let mut parts = 0;
    let next = WordEncoder::new(DIM).with_id(7, 2);
    let mut one_part = |event: Progress| {
        parts += usize::from(event.files_done == 0);
        if parts > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    collection.recode(&files, &next, &options, &mut one_part).expect("begins");
    assert!(collection.moving_to().is_some());
    let names = collection.manifest.names().into_iter().chain([NAME.to_owned()]);
    let read = |name: String| {
        let bytes = std::fs::read(dir.join(&name)).expect("reads");
        (name, bytes)
    };
    (names.map(read).collect(), files)
}

/// A file's sections by kind.
fn sections(file: &[u8]) -> (BTreeMap<u32, Vec<u8>>, [u8; 8]) {
    let magic = *file.first_chunk::<8>().expect("a header");
    let table = Sections::read(file, magic).expect("sound");
    let found = (0..32).filter_map(|kind| Some((kind, file[table.range(kind).ok()?].to_vec())));
    (found.collect(), magic)
}

fn write((sections, magic): (BTreeMap<u32, Vec<u8>>, [u8; 8])) -> Vec<u8> {
    let mut writer = Writer::new(magic);
    sections.into_iter().for_each(|(kind, bytes)| writer.section(kind, bytes));
    writer.finish()
}

fn head(file: &[u8]) -> Checksum {
    *file[24..].first_chunk().expect("a header")
}

/// Puts in place of a file another, and makes all that name it name the other.
fn forge(stored: &Stored, name: &str, file: Vec<u8>) -> Stored {
    let mut forged = stored.clone();
    let mut renamed = vec![(head(&stored[name]), head(&file))];
    forged.insert(name.to_owned(), file);
    for (other, bytes) in stored.iter().filter(|(other, _)| other.starts_with("codes-")) {
        let mut parts = sections(if other == name { &forged[name] } else { bytes });
        let Some(meta) = parts.0.get_mut(&1).filter(|_| other != name) else { continue };
        for at in [0, 16] {
            let known = renamed.iter().find(|(old, _)| meta[at..at + 16] == *old);
            if let Some((_, new)) = known.copied() {
                meta[at..at + 16].copy_from_slice(&new);
            }
        }
        let again = write(parts);
        renamed.push((head(bytes), head(&again)));
        forged.insert(other.clone(), again);
    }
    if name == NAME {
        return forged;
    }
    let mut manifest = Manifest::from_bytes(&stored[NAME]).expect("sound");
    let rename = |file: &mut FileRef| {
        if let Some((_, new)) = renamed.iter().find(|(old, _)| file.head == *old) {
            file.head = *new;
        }
    };
    manifest.codecs.iter_mut().for_each(rename);
    for segment in &mut manifest.segments {
        rename(&mut segment.content);
        rename(&mut segment.codes.file);
    }
    if let Some(moving) = &mut manifest.moving {
        rename(&mut moving.codec);
        moving.codes.values_mut().for_each(rename);
    }
    forged.insert(NAME.to_owned(), manifest.to_bytes());
    forged
}

/// Does everything with a collection of these files. Says whether it opened.
fn use_all(stored: &Stored, files: &MemoryFiles) -> bool {
    let store = MemoryStore::default();
    for (name, bytes) in stored {
        store.save(name, bytes).expect("saved");
    }
    let mut collection = match Collection::open_in(Box::new(store), true) {
        Ok(collection) => collection,
        Err(IndexError::Corrupt { .. } | IndexError::Version { .. } | IndexError::Io { .. }) => {
            return false;
        }
        Err(error) => panic!("not a word about damage: {error}"),
    };
    let encoder = WordEncoder::new(DIM).with_id(7, 1);
    let options = UpdateOptions { merge_at: 1, ..UpdateOptions::default() };
    let mut go_on = |_| ControlFlow::Continue(());
    let query = encoder.one("t3w5 t3w9 common7");
    let look = |collection: &Collection, encoder: &dyn Encoder| {
        for exact in [Some(true), Some(false)] {
            let options = SearchOptions { exact, ..SearchOptions::default() };
            if let Ok(found) = collection.search(&query, 5, files, encoder, &options) {
                assert!(found.hits.iter().all(|hit| !hit.score.is_nan()), "{:?}", found.hits);
            }
        }
    };
    look(&collection, &encoder);
    let _ = (collection.verify(), collection.stats());
    let _ = collection.update(Path::new("/n"), files, &encoder, &options, &mut go_on);
    look(&collection, &encoder);
    let next = WordEncoder::new(DIM).with_id(7, 2);
    let _ = collection.recode(files, &next, &options, &mut go_on);
    look(&collection, &next);
    true
}

/// How a section is damaged.
#[derive(Clone, Debug)]
enum Damage {
    Byte(prop::sample::Index, u8),
    Word(prop::sample::Index, u32),
    Long(prop::sample::Index, u64),
    Cut(prop::sample::Index),
    Longer(u8),
    /// The section of another file in its place.
    Swap(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let words = prop::sample::select(vec![
        0,
        1,
        127,
        128,
        1 << 24,
        1 << 31,
        u32::MAX - 1,
        u32::MAX,
        f32::NAN.to_bits(),
        f32::INFINITY.to_bits(),
        f32::MAX.to_bits(),
        f32::MIN.to_bits(),
        f32::MIN_POSITIVE.to_bits(),
        (-0f32).to_bits(),
        1e-45f32.to_bits(),
        1e18f32.to_bits(),
        2f32.to_bits(),
    ]);
    let longs = prop::sample::select(vec![u64::MAX, u64::MAX / 2, 1 << 62, 1 << 32, 0]);
    let at = any::<prop::sample::Index>;
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        4 => (at(), words).prop_map(|(at, word)| Damage::Word(at, word)),
        1 => (at(), longs).prop_map(|(at, long)| Damage::Long(at, long)),
        1 => at().prop_map(Damage::Cut),
        1 => any::<u8>().prop_map(Damage::Longer),
        1 => at().prop_map(Damage::Swap),
    ]
}

fn apply(damage: &Damage, section: &mut Vec<u8>, others: &[Vec<u8>]) {
    let mut put = |at: &prop::sample::Index, bytes: &[u8]| {
        if section.len() >= bytes.len() {
            // Words lie at multiples of four, mostly.
            let at =
                at.index(section.len() - bytes.len() + 1) / bytes.len().min(4) * bytes.len().min(4);
            section[at..at + bytes.len()].copy_from_slice(bytes);
        }
    };
    match damage {
        Damage::Byte(at, byte) => put(at, &[*byte]),
        Damage::Word(at, word) => put(at, &word.to_le_bytes()),
        Damage::Long(at, long) => put(at, &long.to_le_bytes()),
        Damage::Cut(at) if !section.is_empty() => section.truncate(at.index(section.len())),
        Damage::Cut(_) => {}
        Damage::Longer(byte) => section.push(*byte),
        Damage::Swap(at) if !others.is_empty() => {
            section.clone_from(&others[at.index(others.len())])
        }
        Damage::Swap(_) => {}
    }
}

fn check(
    stored: &Stored,
    files: &MemoryFiles,
    file: prop::sample::Index,
    kind: prop::sample::Index,
    damages: &[Damage],
) {
    let name = stored.keys().nth(file.index(stored.len())).expect("there are some");
    let mut parts = sections(&stored[name]);
    let kind = *parts.0.keys().nth(kind.index(parts.0.len())).expect("there are some");
    let family = name.split('-').next().expect("a name");
    let others = stored.iter().filter(|(other, _)| other.starts_with(family) && *other != name);
    let others: Vec<Vec<u8>> =
        others.filter_map(|(_, file)| sections(file).0.remove(&kind)).collect();
    for damage in damages {
        apply(damage, parts.0.get_mut(&kind).expect("there"), &others);
    }
    use_all(&forge(stored, name, write(parts)), files);
}

#[test]
fn what_is_not_forged_opens() {
    for (count, flat) in [(80, 8), (20, 4), (20, u32::MAX)] {
        let (stored, files) = stored(count, flat);
        assert!(use_all(&stored, &files));
        for name in stored.keys() {
            let same = forge(&stored, name, write(sections(&stored[name])));
            assert_eq!(same, stored, "forging nothing changes nothing");
        }
    }
}

#[test]
fn any_damage_under_right_checksums_is_refused_or_harmless() {
    let bases = [stored(80, 8), stored(20, 4)];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let at = any::<prop::sample::Index>;
    let strategy = (at(), at(), at(), prop::collection::vec(damage(), 1..3));
    let outcome = runner.run(&strategy, |(base, file, kind, damages)| {
        let (stored, files) = &bases[base.index(bases.len())];
        check(stored, files, file, kind, &damages);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn any_damage_that_checksums_find_is_named() {
    let (stored, files) = stored(20, 4);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let at = any::<prop::sample::Index>;
    let outcome = runner.run(&(at(), damage(), at()), |(file, damage, other)| {
        let name = stored.keys().nth(file.index(stored.len())).expect("there are some");
        let mut bad = stored.clone();
        let another = vec![stored.values().nth(other.index(stored.len())).expect("some").clone()];
        apply(&damage, bad.get_mut(name).expect("there"), &another);
        // Codes of the next release are looked at by `verify`, and when the move goes on.
        let opened = use_all(&bad, &files);
        let moving = Manifest::from_bytes(&stored[NAME]).expect("sound").moving.expect("under way");
        let next = moving.codes.values().any(|codes| *name == file_name(CODES, codes.id));
        prop_assert!(!opened || next || bad == stored, "{name} {damage:?}");
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
