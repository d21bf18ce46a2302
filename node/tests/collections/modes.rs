//! Ways of searching and looking after a collection beyond the plain ones.

use super::*;

async fn ask(node: &Node<MemoryLink>, search: SearchCall) -> Result<SearchReport, ApiError> {
    match call(node, Call::Search(search)).await? {
        Reply::Search(report) => Ok(report),
        other => panic!("{other:?}"),
    }
}

fn question(mode: SearchMode, text: &str) -> SearchCall {
    SearchCall { question: text.to_owned(), mode, ..SearchCall::default() }
}

#[tokio::test]
async fn own_files_are_searched_by_words_by_both_and_by_lines_and_under_a_filter() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    let apple = place.notes().join("apple.md");
    for mode in [SearchMode::Lexical, SearchMode::Hybrid] {
        let report = ask(&node, question(mode, "pruned trees")).await.expect("finds");
        assert_eq!(report.mode, mode);
        assert_eq!(report.results[0].path.as_ref(), Some(&apple), "{report:?}");
        assert!(report.results[0].score > 0.0);
    }
    let lines = ask(&node, question(SearchMode::Grep, "p[rl]uned")).await.expect("finds");
    assert_eq!((lines.lines.len(), lines.lines[0].line), (1, 3), "{lines:?}");
    assert_eq!((&lines.lines[0].path, lines.results.len(), lines.visited), (&apple, 0, 2));

    let filtered = |filter: &str| SearchCall {
        filter: Some(filter.to_owned()),
        ..question(SearchMode::Vector, "apple trees")
    };
    let markdown = ask(&node, filtered("type == markdown and time > now-1d")).await.expect("finds");
    assert_eq!(markdown.results.len(), 1, "{markdown:?}");
    assert_eq!((markdown.stopped, markdown.recomputed), (Some(Stopped::Bound), 1));
    let nothing = ask(&node, filtered("size > 1MB")).await.expect("searches");
    assert!(nothing.results.is_empty() && nothing.recomputed == 0, "{nothing:?}");
    let wrong = ask(&node, filtered("type === markdown")).await.expect_err("is no filter");
    assert_eq!(wrong.code, ErrorCode::Usage);
    assert!(wrong.message.contains('^'), "{}", wrong.message);
    let wrong = ask(&node, question(SearchMode::Grep, "(")).await.expect_err("is no pattern");
    assert_eq!(wrong.code, ErrorCode::Usage);
}

/// Shows a later time whenever it is asked.
struct Hurried(AtomicU64);

impl Clock for Hurried {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.fetch_add(1_000, Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_search_that_runs_out_of_time_says_so() {
    let place = Place::new();
    for n in 0..40 {
        place.write(&format!("{n}.txt"), &format!("Note {n} on apple trees, and on {}.", n * n));
    }
    let clock = Arc::new(Hurried(AtomicU64::new(0)));
    let node = place.open_with(Env::new(clock, [3; 32], Compute::Inline));
    add(&node, &place.notes()).await;
    let call = |mode| SearchCall { latency_ms: Some(500), ..question(mode, "apple trees") };
    let report = ask(&node, call(SearchMode::Vector)).await.expect("has something");
    assert_eq!(report.stopped, Some(Stopped::Time), "{report:?}");
    assert!(!report.results.is_empty() && report.notes[0].contains("out of time"), "{report:?}");
    let report = ask(&node, call(SearchMode::Grep)).await.expect("searches");
    assert_eq!((report.stopped, report.lines.len()), (Some(Stopped::Time), 0));
    let unlimited = ask(&node, question(SearchMode::Vector, "apple trees")).await.expect("finds");
    assert_ne!(unlimited.stopped, Some(Stopped::Time));
}

#[tokio::test]
async fn an_index_of_the_former_format_is_named_and_made_anew() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    drop(node);
    for index in fs::read_dir(place.home.index_dir()).expect("lists").flatten() {
        for file in fs::read_dir(index.path()).expect("lists").flatten() {
            if file.path().is_file() && file.metadata().expect("is there").len() >= 64 {
                let mut bytes = fs::read(file.path()).expect("reads");
                bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
                fs::write(file.path(), bytes).expect("writes");
            }
        }
    }
    let node = place.open();
    let infos = collections(&node).await;
    let problem = infos[0].problem.as_deref().expect("it cannot be read");
    assert!(problem.contains("version 1"), "{problem}");
    for refused in [
        search(&node, Some("notes")).await.map(drop),
        call(&node, Call::IndexInfo { collection: name("notes") }).await.map(drop),
        call(&node, Call::IndexVerify { collection: name("notes") }).await.map(drop),
    ] {
        let error = refused.expect_err("it cannot be read");
        assert_eq!(error.code, ErrorCode::Corrupt);
        assert!(error.hint.expect("a hint").contains("covey reindex notes"));
    }
    call(&node, Call::Reindex { collection: Some(name("notes")) }).await.expect("rebuilds");
    assert!(!search(&node, Some("notes")).await.expect("is whole").results.is_empty());
}

pub(super) async fn info(node: &Node<MemoryLink>) -> IndexInfo {
    match call(node, Call::IndexInfo { collection: name("notes") }).await {
        Ok(Reply::Index(info)) => info,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_index_is_looked_at_shrunk_and_given_other_settings() {
    let place = Place::new();
    let node = place.open();
    let small = |profile| Call::Add { path: place.notes(), collection: None, profile };
    call(&node, small(Some(Profile::Small))).await.expect("adds");
    let before = info(&node).await;
    assert_eq!((before.files, before.settings.profile), (2, Some(Profile::Small)));
    assert_eq!((before.lexical_bytes, before.settings.lexical), (0, false));
    assert!(before.text_bytes > 0 && before.index_bytes > 0);
    call(&node, small(Some(Profile::Small))).await.expect("is as it was");
    let other = call(&node, small(Some(Profile::Fast))).await.expect_err("has another");
    assert_eq!(other.code, ErrorCode::Exists);

    let words = SearchCall {
        collection: Some(name("notes")),
        ..question(SearchMode::Lexical, "pruned trees")
    };
    let refused = ask(&node, words.clone()).await.expect_err("has no words");
    assert!(refused.hint.expect("a hint").contains("covey index profile notes"));
    let left_out = ask(&node, question(SearchMode::Hybrid, "pruned")).await.expect("searches");
    assert!(left_out.results.is_empty() && left_out.notes[0].contains("words"), "{left_out:?}");
    let fast =
        Call::IndexProfile { collection: name("notes"), profile: Profile::Fast, cache_bytes: None };
    call(&node, fast).await.expect("changes");
    assert_eq!(ask(&node, words).await.expect("has words now").results.len(), 1);
    let recode = Call::IndexRecode { collection: name("notes") };
    match call(&node, recode).await {
        Ok(Reply::IndexRecoded(report)) => assert_eq!((report.embedded, report.stale), (2, 0)),
        other => panic!("{other:?}"),
    }

    fs::remove_file(place.notes().join("bread.txt")).expect("removes");
    place.write("cheese.txt", "Cheese is turned every day while it ripens.");
    call(&node, small(None)).await.expect("updates");
    match call(&node, Call::IndexCompact { collection: name("notes") }).await {
        Ok(Reply::IndexCompacted(report)) => assert!(report.after <= report.before, "{report:?}"),
        other => panic!("{other:?}"),
    }
    let after = info(&node).await;
    assert_eq!((after.segments, after.dead_chunks, after.chunks), (1, 0, 2));
    match call(&node, Call::IndexVerify { collection: name("notes") }).await {
        Ok(Reply::IndexVerified(report)) => assert_eq!((report.files, report.chunks), (2, 2)),
        other => panic!("{other:?}"),
    }
    for content in place.segments() {
        let mut bytes = fs::read(&content).expect("reads");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&content, bytes).expect("writes");
    }
    let damaged = call(&node, Call::IndexVerify { collection: name("notes") }).await;
    assert_eq!(damaged.expect_err("is damaged").code, ErrorCode::Corrupt);
    let reindexed = call(&node, Call::Reindex { collection: Some(name("notes")) }).await;
    assert!(matches!(reindexed, Ok(Reply::Added(_))), "{reindexed:?}");
    assert_eq!(info(&node).await.settings.profile, Some(Profile::Fast), "settings stay");
}

#[tokio::test]
async fn with_a_slow_model_what_one_question_embeds_serves_the_next() {
    let handle = OneModel::builtin().and_then(|model| model.current()).expect("loads");
    let slow = ModelHandle { family: "bert".to_owned(), ..handle };
    let place = Place::with(Arc::new(OneModel::of(slow)));
    let node = place.open();
    add(&node, &place.notes()).await;
    let trees = || ask(&node, question(SearchMode::Vector, "apple trees"));
    let first = trees().await.expect("finds");
    assert_eq!((first.recomputed, first.cached), (2, 0));
    let again = trees().await.expect("finds");
    assert_eq!((again.recomputed, again.cached), (0, 2));
    assert!((first.results[0].score - again.results[0].score).abs() < 1e-3);
    let before = info(&node).await;
    assert_eq!(before.settings.profile, Some(Profile::Balanced));
    assert!(before.cache_bytes > 0 && before.cache_bytes <= before.settings.cache_bytes);
    match call(&node, Call::IndexVerify { collection: name("notes") }).await {
        Ok(Reply::IndexVerified(report)) => assert_eq!(report.cached, 2),
        other => panic!("{other:?}"),
    }
    let without = Call::IndexProfile {
        collection: name("notes"),
        profile: Profile::Balanced,
        cache_bytes: Some(0),
    };
    call(&node, without).await.expect("changes");
    assert_eq!((trees().await.expect("finds").cached, info(&node).await.cache_bytes), (0, 0));
}

#[tokio::test]
async fn a_fast_model_has_no_cache_unless_it_is_wanted() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    for _ in 0..2 {
        let report = ask(&node, question(SearchMode::Vector, "apple trees")).await.expect("finds");
        assert_eq!((report.recomputed, report.cached), (2, 0));
    }
    assert_eq!(info(&node).await.settings.cache_bytes, 0);
}

#[tokio::test]
async fn a_rebuild_loses_nothing_of_a_folder_that_is_away() {
    let place = Place::new();
    let node = place.open();
    add(&node, &place.notes()).await;
    let away = place.dir.path().join("moved");
    fs::rename(place.notes(), &away).expect("renames");
    let report = search(&node, None).await.expect("searches");
    assert!(report.results.is_empty() && report.stale > 0, "{report:?}");
    let rebuild = || call(&node, Call::Reindex { collection: None });
    let error = rebuild().await.expect_err("would lose what is indexed");
    assert_eq!(error.code, ErrorCode::NotFound);
    let remove = format!("covey remove notes \"{}\"", place.notes().display());
    assert!(error.hint.expect("a hint").contains(&remove));

    fs::rename(&away, place.notes()).expect("renames");
    assert!(!search(&node, None).await.expect("searches").results.is_empty());
    fs::rename(place.notes(), &away).expect("renames");
    let remove = Call::Remove { collection: name("notes"), path: Some(place.notes()) };
    call(&node, remove).await.expect("forgets the folder");
    let Ok(Reply::Reindexed { collections }) = rebuild().await else { panic!("no rebuild") };
    assert_eq!((collections[0].chunks, collections[0].skipped_total), (0, 0));

    // A folder of a collection is brought up to date, and nothing else.
    let refresh = |path| call(&node, Call::Refresh { collection: name("notes"), path });
    fs::rename(&away, place.notes()).expect("renames");
    assert_eq!(refresh(place.notes()).await.expect_err("is no more").code, ErrorCode::NotFound);
    let again = Call::Add { path: place.notes(), collection: Some(name("notes")), profile: None };
    call(&node, again).await.expect("adds");
    fs::write(place.notes().join("new.md"), "A new note.").expect("writes");
    let Ok(Reply::Added(added)) = refresh(place.notes()).await else { panic!("not refreshed") };
    assert_eq!(added.added, 1);
}
