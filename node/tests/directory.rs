//! Indexes in folders of their own: interrupted, continued, searched, refused, written out.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use covey_crypto::Digest;
use covey_index::{EncodeError, Encoder, EncoderId};
use covey_node::api::{
    Added, ApiError, ErrorCode, ExportCall, ExportFormat, IndexExported, Profile, Reply,
    SearchCall, SearchMode,
};
use covey_node::cancel::CancelFlag;
use covey_node::directory::{Ask, carry_out};
use covey_node::models::{ModelHandle, Models, OneModel};
use covey_protocol::ids::ModelId;
use serde_json::Value;

const DIM: usize = 16;

/// Hashes words; counts texts, and holds its first ones up until somebody has cancelled, if there is a flag.
struct Hashing {
    release: u8,
    encoded: AtomicUsize,
    waits_for: Option<CancelFlag>,
}

impl Encoder for Hashing {
    fn id(&self) -> EncoderId {
        EncoderId { base: [1; 32], release: [self.release; 32] }
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn max_tokens(&self) -> usize {
        64
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        self.encoded.fetch_add(texts.len(), Ordering::SeqCst);
        while self.waits_for.as_ref().is_some_and(|flag| !flag.is_cancelled()) {
            std::thread::yield_now();
        }
        Ok(texts.iter().flat_map(|text| row(text)).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        Ok(text.split_whitespace().map(|it| start(it)..start(it) + it.len()).collect())
    }
}

fn row(text: &str) -> Vec<f32> {
    let mut row = [0f32; DIM];
    for word in text.split_whitespace() {
        row[usize::from(Digest::sha256(word.as_bytes()).as_bytes()[0]) % DIM] += 1.0;
    }
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    row.iter().map(|x| x / length).collect()
}

/// A folder of files, a place for an index, and a model.
struct Place {
    temp: tempfile::TempDir,
    encoder: Arc<Hashing>,
}

impl Place {
    fn new(files: usize) -> Self {
        let temp = tempfile::tempdir().expect("a folder");
        let encoder = Hashing { release: 1, encoded: 0.into(), waits_for: None };
        let place = Self { temp, encoder: Arc::new(encoder) };
        fs::create_dir(place.folder()).expect("makes");
        for i in 0..files {
            place.write(i, &format!("note number{i} about pears and plums"));
        }
        place
    }

    fn folder(&self) -> PathBuf {
        self.temp.path().canonicalize().expect("is there").join("notes")
    }

    fn dir(&self) -> PathBuf {
        self.temp.path().join("notes.index")
    }

    fn write(&self, number: usize, text: &str) {
        fs::write(self.folder().join(format!("{number:03}.txt")), text).expect("writes");
    }

    fn models(&self) -> Arc<dyn Models> {
        let EncoderId { base, release } = self.encoder.id();
        Arc::new(OneModel::of(ModelHandle {
            id: ModelId { base: Digest::from_bytes(base), release: Digest::from_bytes(release) },
            name: "hashing".to_owned(),
            family: "static".to_owned(),
            dim: DIM,
            encoder: self.encoder.clone(),
        }))
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, ApiError> {
        carry_out(self.dir(), self.models(), ask, &mut |_| {}, CancelFlag::new()).await
    }

    fn build(&self) -> Ask {
        Ask::Build { folder: self.folder(), profile: None, model: None }
    }

    async fn built(&self) -> Added {
        match self.ask(self.build()).await {
            Ok(Reply::Added(added)) => added,
            other => panic!("{other:?}"),
        }
    }

    async fn export(&self, format: ExportFormat, text: bool, vectors: bool) -> IndexExported {
        let path = self.temp.path().join("out.jsonl");
        match self.ask(Ask::Export(ExportCall { path, format, text, vectors })).await {
            Ok(Reply::IndexExported(it)) => it,
            other => panic!("{other:?}"),
        }
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.temp.path().join("out.jsonl")).expect("reads");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

#[tokio::test]
async fn an_index_is_built_searched_and_looked_after_by_its_path() {
    let place = Place::new(3);
    let added = place.built().await;
    assert_eq!((added.collection.as_str(), added.added, added.chunks), ("notes.index", 3, 3));
    assert_eq!(place.built().await.unchanged, 3);
    place.ask(Ask::Verify).await.expect("is whole");
    place.ask(Ask::Compact).await.expect("compacts");
    let Ok(Reply::Index(info)) = place.ask(Ask::Info).await else { panic!("no info") };
    assert_eq!((info.chunks, info.settings.profile), (3, Some(Profile::Balanced)));
    for mode in [SearchMode::Vector, SearchMode::Lexical] {
        let question = "number1".to_owned();
        let call = SearchCall { question, limit: Some(1), mode, ..SearchCall::default() };
        let Ok(Reply::Search(report)) = place.ask(Ask::Search(call)).await else {
            panic!("no answer")
        };
        let hit = &report.results[0];
        assert!(hit.text.as_deref().is_some_and(|text| text.contains("number1")), "{report:?}");
        assert!(hit.from.is_empty(), "it belongs to no node");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_keeps_what_is_done_and_the_next_one_does_the_rest() {
    let mut place = Place::new(100);
    let cancel = CancelFlag::new();
    let encoder = Hashing { release: 1, encoded: 0.into(), waits_for: Some(cancel.clone()) };
    place.encoder = Arc::new(encoder);
    let mut told = |_| cancel.cancel();
    let (ask, models) = (place.build(), place.models());
    let stopped = carry_out(place.dir(), models, ask, &mut told, cancel.clone()).await;
    assert_eq!(stopped.expect_err("was interrupted").code, ErrorCode::Cancelled);
    let done = place.encoder.encoded.load(Ordering::SeqCst);
    if done > 0 {
        place.ask(Ask::Verify).await.expect("is whole");
        let Ok(Reply::Index(info)) = place.ask(Ask::Info).await else { panic!("no info") };
        assert_eq!(info.chunks, done as u64);
    }
    let added = place.built().await;
    assert_eq!((added.embedded, added.chunks), (100 - done as u64, 100));
}

#[tokio::test]
async fn what_cannot_hold_an_index_is_refused_and_left_as_it_is() {
    let place = Place::new(2);
    assert_eq!(place.ask(Ask::Info).await.expect_err("no index").code, ErrorCode::NotFound);
    assert!(!place.dir().exists());
    fs::create_dir(place.dir()).expect("makes");
    fs::write(place.dir().join("thesis.tex"), "mine").expect("writes");
    let error = place.ask(place.build()).await.expect_err("holds something");
    assert_eq!(error.code, ErrorCode::Exists);
    assert_eq!(fs::read(place.dir().join("thesis.tex")).expect("is there"), b"mine");
    fs::remove_dir_all(place.dir()).expect("removes");

    let inside = |name: &str| {
        let (dir, models) = (place.folder().join(name), place.models());
        let ask = place.build();
        async move { carry_out(dir, models, ask, &mut |_| {}, CancelFlag::new()).await }
    };
    assert_eq!(inside("index").await.expect_err("holds itself").code, ErrorCode::Usage);
    inside(".index").await.expect("hidden folders are not indexed");
}

#[tokio::test]
async fn a_build_that_came_to_nothing_takes_only_its_own_files_away() {
    let place = Place::new(2);
    let stop = async || {
        let cancel = CancelFlag::new();
        cancel.cancel();
        let (ask, models) = (place.build(), place.models());
        let stopped = carry_out(place.dir(), models, ask, &mut |_| {}, cancel).await;
        assert_eq!(stopped.expect_err("was interrupted").code, ErrorCode::Cancelled);
    };
    stop().await;
    assert!(!place.dir().exists(), "a folder that it made");
    fs::create_dir(place.dir()).expect("makes");
    stop().await;
    let names = || fs::read_dir(place.dir()).expect("lists").map(|it| it.expect("an entry"));
    assert_eq!(names().count(), 0, "a folder that was there is as it was");
    fs::write(place.dir().join("tmp-thesis.tex"), "mine").expect("writes");
    stop().await;
    assert_eq!(names().map(|it| it.file_name()).collect::<Vec<_>>(), ["tmp-thesis.tex"]);
}

#[tokio::test]
async fn another_model_or_profile_is_refused_by_an_index_that_is_there() {
    let mut place = Place::new(2);
    place.built().await;
    let ask = Ask::Build { folder: place.folder(), profile: Some(Profile::Small), model: None };
    assert_eq!(place.ask(ask).await.expect_err("other settings").code, ErrorCode::Exists);
    place.encoder = Arc::new(Hashing { release: 2, encoded: 0.into(), waits_for: None });
    let model = Some("hashing".to_owned());
    let ask = Ask::Build { folder: place.folder(), profile: None, model };
    for ask in [ask, place.build()] {
        let error = place.ask(ask).await.expect_err("another release");
        assert_eq!(error.code, ErrorCode::WrongModel);
        assert!(error.hint.expect("a hint").contains("covey index build"));
    }
    place.ask(Ask::Info).await.expect("needs no model");
}

#[tokio::test]
async fn an_export_has_every_chunk_and_names_what_is_stale() {
    let place = Place::new(5);
    fs::write(place.folder().join("pie.md"), "---\ntags: [sweet]\n---\n# Pie\n\nPear pie.\n")
        .expect("writes");
    place.built().await;
    place.write(4, "something else altogether, and longer");
    let done = place.export(ExportFormat::Jsonl, true, true).await;
    assert_eq!((done.files, done.chunks, done.stale), (5, 5, 1));
    assert_eq!(done.stale_files, [place.folder().join("004.txt")]);
    let lines = place.lines();
    assert_eq!(done.bytes, fs::metadata(&done.path).expect("is there").len());
    for line in &lines {
        let text = line["text"].as_str().expect("a text");
        assert_eq!(line["hash"], Digest::sha256(text.as_bytes()).to_string());
        let vector: Vec<f32> = serde_json::from_value(line["vector"].clone()).expect("numbers");
        assert_eq!(vector, row(text));
        let file = fs::read_to_string(line["path"].as_str().expect("a path")).expect("reads");
        let at = |end: usize| line["span"][end].as_u64().expect("a place") as usize;
        assert_eq!(&file[at(0)..at(1)], text);
    }
    let pie = lines.last().expect("it is the last by name");
    assert_eq!((&pie["title"], &pie["type"]), (&"Pie".into(), &"markdown".into()));
    assert_eq!(pie["facts"]["tag"], serde_json::json!(["sweet"]));

    let done = place.export(ExportFormat::Npy, false, false).await;
    assert!(place.lines().iter().all(|line| line.get("text").is_none()));
    let npy = fs::read(done.vectors.expect("a file")).expect("reads");
    assert_eq!(npy.len(), 128 + 5 * DIM * 4);
    assert!(npy[..128].windows(8).any(|it| it == b"(5, 16),"));
    let first: Vec<f32> =
        npy[128..128 + DIM * 4].as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    assert_eq!(first, row("note number0 about pears and plums"));
}

#[tokio::test]
async fn an_export_never_replaces_what_is_indexed_or_what_is_no_file() {
    let place = Place::new(3);
    place.built().await;
    let before = fs::read_dir(place.folder()).expect("lists").count();
    let link = place.temp.path().join("link.jsonl");
    std::os::unix::fs::symlink(place.temp.path().join("elsewhere"), &link).expect("made");
    let pipe = place.temp.path().join("pipe.jsonl");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("starts");
    assert!(made.success());
    let inside = place.folder().join("new.jsonl");
    for path in [inside, pipe, link.clone()] {
        let wish = ExportCall { path, format: ExportFormat::Jsonl, text: true, vectors: false };
        let refused = place.ask(Ask::Export(wish)).await.expect_err("it is refused");
        assert_eq!(refused.code, ErrorCode::Usage, "{}", refused.message);
    }
    assert_eq!(fs::read_dir(place.folder()).expect("lists").count(), before);
    assert!(link.is_symlink());
}

#[tokio::test]
async fn an_interrupted_export_leaves_what_was_there() {
    let place = Place::new(3);
    place.built().await;
    let out = place.temp.path().join("out.jsonl");
    fs::write(&out, "of yesterday").expect("writes");
    let cancel = CancelFlag::new();
    cancel.cancel();
    let wish =
        ExportCall { path: out.clone(), format: ExportFormat::Npy, text: true, vectors: false };
    let ask = Ask::Export(wish);
    let stopped = carry_out(place.dir(), place.models(), ask, &mut |_| {}, cancel).await;
    assert_eq!(stopped.expect_err("was interrupted").code, ErrorCode::Cancelled);
    assert_eq!(fs::read(&out).expect("reads"), b"of yesterday");
    let left = fs::read_dir(place.temp.path()).expect("lists").count();
    assert_eq!(left, 3, "the folder, the index and the old file");
}
