//! Filters, words, both kinds of score together, and regular expressions.

use std::ops::ControlFlow;
use std::path::Path;

use crate::common::{WordEncoder, topics, update};
use covey_index::{
    Collection, Disk, Filter, Grep, GrepOptions, IndexError, Listed, MemoryFiles, SearchOptions,
    UpdateOptions,
};

const DIM: usize = 64;

/// Notes of two people on many topics, a mailbox and a table.
fn files() -> MemoryFiles {
    let files = MemoryFiles::new();
    for (i, text) in topics(1500, 20, 8).into_iter().enumerate() {
        let who = if i % 100 == 7 { "Ada" } else { "Ben" };
        files.insert(
            format!("/n/{who}/{i:04}.md"),
            format!("---\nauthor: {who}\ntags: [t{}]\n---\n{text}\n", i % 3).as_str(),
        );
    }
    files.insert("/n/todo.txt", "buy a zeppelin\nfeed the quokka\n");
    files
}

fn collection(files: &MemoryFiles, flat: u32) -> Collection {
    let encoder = WordEncoder::new(DIM);
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let mut settings = collection.settings();
    settings.flat = flat;
    collection.set_settings(settings).expect("set");
    update(&mut collection, "/n", files, &encoder);
    collection
}

#[test]
fn a_narrow_filter_loses_nothing() {
    let (files, encoder) = (files(), WordEncoder::new(DIM));
    let filter = Filter::parse("author == Ada and path contains Ada", 0).expect("parses");
    for flat in [u32::MAX, 200] {
        let collection = collection(&files, flat);
        for question in topics(10, 8, 3) {
            let query = encoder.one(&question);
            let mut options = SearchOptions::default();
            options.filter = Some(&filter);
            options.recompute = Some(200);
            let result = collection.search(&query, 15, &files, &encoder, &options).expect("asks");
            assert_eq!(result.hits.len(), 15, "all of Ada's notes, though others are nearer");
            assert!(result.hits.iter().all(|hit| hit.path.starts_with("/n/Ada")));
        }
    }
}

#[test]
fn a_filter_that_nothing_passes_finds_nothing() {
    let (files, encoder) = (files(), WordEncoder::new(DIM));
    let collection = collection(&files, 200);
    let filter = Filter::parse("type == pdf", 0).expect("parses");
    let mut options = SearchOptions::default();
    options.filter = Some(&filter);
    let query = encoder.one("anything");
    let result = collection.search(&query, 5, &files, &encoder, &options).expect("asks");
    assert!(result.hits.is_empty());
    let words = collection.snapshot().search_words("zeppelin", 5, &files, &options).expect("asks");
    assert!(words.hits.is_empty());
}

#[test]
fn words_find_what_has_them_and_follow_edits() {
    let (files, encoder) = (files(), WordEncoder::new(DIM));
    let mut collection = collection(&files, u32::MAX);
    let ask = |collection: &Collection, text: &str| -> Vec<String> {
        let options = SearchOptions::default();
        let result = collection.snapshot().search_words(text, 3, &files, &options).expect("asks");
        result.hits.into_iter().map(|hit| hit.text).collect()
    };
    assert!(ask(&collection, "a zeppelin!")[0].contains("zeppelin"));
    assert!(ask(&collection, "xyzzy").is_empty());

    files.insert("/n/todo.txt", "feed the xyzzy\n");
    assert!(ask(&collection, "zeppelin").is_empty(), "the file has changed since");
    update(&mut collection, "/n", &files, &encoder);
    assert_eq!(ask(&collection, "xyzzy"), ["feed the xyzzy"]);
    assert!(ask(&collection, "zeppelin").is_empty());
    assert!(collection.stats().lexical_bytes > 0);
}

#[test]
fn both_scores_together_rank_by_both() {
    let (files, encoder) = (files(), WordEncoder::new(DIM));
    let collection = collection(&files, u32::MAX);
    let query = encoder.one("feed quokka");
    let options = SearchOptions::default();
    let both = collection
        .snapshot()
        .search_both(&query, "feed quokka", None, 5, &files, &encoder, &options)
        .expect("asks");
    assert!(both.hits[0].text.contains("quokka"));
    assert!(both.hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
    assert!(both.hits.is_sorted_by(|a, b| a.score >= b.score));
}

#[test]
fn without_a_lexical_index_words_are_an_error_that_says_so() {
    let (files, encoder) = (files(), WordEncoder::new(DIM));
    let mut collection = collection(&files, u32::MAX);
    let mut settings = collection.settings();
    settings.lexical = false;
    collection.set_settings(settings).expect("set");
    update(&mut collection, "/n", &files, &encoder);
    let asked = collection.snapshot().search_words("a", 3, &files, &SearchOptions::default());
    assert!(matches!(asked, Err(IndexError::NoWords)));
    assert_eq!(collection.stats().lexical_bytes, 0);
}

#[test]
fn lines_are_found_in_the_files_themselves() {
    let (files, _) = (files(), ());
    let collection = collection(&files, u32::MAX);
    let grep = Grep::new("Quokka|zeppelin", &GrepOptions::default()).expect("compiles");
    let found = collection.snapshot().grep(&grep, 10, &files, None, &|| false);
    assert_eq!(found.hits.len(), 1, "smart case: an upper-case letter counts");
    assert_eq!(found.hits[0].line.line, "buy a zeppelin");
    assert_eq!((found.hits[0].line.line_number, found.files), (1, 1501));
    let filter = Filter::parse("author == Ada", 0).expect("parses");
    let found = collection.snapshot().grep(&grep, 10, &files, Some(&filter), &|| false);
    assert_eq!(found.files, 15);
    let found = collection.snapshot().grep(&grep, 10, &files, None, &|| true);
    assert!(found.more && found.hits.is_empty());
}

#[test]
fn on_disk_the_lexical_index_is_opened_again_and_made_again_when_damaged() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (root, dir) = (temp.path().join("files"), temp.path().join("index"));
    std::fs::create_dir_all(&root).expect("made");
    std::fs::write(root.join("a.txt"), "the quick zeppelin").expect("written");
    let encoder = WordEncoder::new(DIM);
    let mut collection = Collection::create(&dir, &encoder).expect("made");
    update(&mut collection, &root, &Disk, &encoder);
    drop(collection);
    let found = |collection: &Collection| {
        let options = SearchOptions::default();
        let asked = collection.snapshot().search_words("zeppelin", 3, &Disk, &options);
        asked.map_or(0, |result| result.hits.len())
    };
    assert_eq!(found(&Collection::open_read_only(&dir).expect("opens")), 1);
    for entry in std::fs::read_dir(dir.join("lexical")).expect("lists") {
        let path = entry.expect("lists").path();
        std::fs::write(path, b"damage").expect("written");
    }
    assert_eq!(found(&Collection::open_read_only(&dir).expect("opens")), 0);
    let mut collection = Collection::open(&dir).expect("opens");
    assert_eq!(found(&collection), 0);
    update(&mut collection, &root, &Disk, &encoder);
    assert_eq!(found(&collection), 1);
}

#[test]
fn compacting_leaves_one_segment_and_embeds_nothing() {
    let (files, encoder) = (files(), WordEncoder::new(DIM));
    let mut collection = collection(&files, u32::MAX);
    for i in 0..3 {
        files.insert(format!("/n/new{i}.txt"), "a new file about the quokka");
        update(&mut collection, "/n", &files, &encoder);
    }
    files.remove(Path::new("/n/todo.txt"));
    update(&mut collection, "/n", &files, &encoder);
    assert!(collection.stats().segments > 1);
    let embedded = encoder.encoded();
    let (before, after) = collection
        .compact(&files, &encoder, &UpdateOptions::default(), &mut |_| {
            std::ops::ControlFlow::Continue(())
        })
        .expect("compacts");
    assert!(after < before, "{before} to {after}");
    let stats = collection.stats();
    assert_eq!((stats.segments, stats.dead_chunks, encoder.encoded()), (1, 0, embedded));
    let options = SearchOptions::default();
    let words = collection.snapshot().search_words("quokka", 9, &files, &options).expect("asks");
    assert_eq!(words.hits.len(), 3);
}

#[test]
fn a_listing_shows_every_chunk_once_and_names_stale_files() {
    let files = MemoryFiles::new();
    files.insert(
        "/n/a.md",
        "---\nauthor: Ada\n---\n# One\n\nfirst words\n\n# Two\n\nsecond words\n",
    );
    files.insert("/n/b.txt", "plain words");
    files.insert("/n/c.txt", "words that change");
    let encoder = WordEncoder::new(16);
    let mut collection = Collection::in_memory(&encoder).expect("made");
    update(&mut collection, "/n", &files, &encoder);
    files.insert("/n/c.txt", "other words entirely");
    let mut seen = Vec::new();
    collection.snapshot().list(&files, &mut |listed| {
        seen.push(listed);
        ControlFlow::Continue(())
    });
    let [Listed::File(a), Listed::File(b), Listed::Stale(c)] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((a.name.as_str(), a.kind, c.as_path()), ("a.md", "markdown", Path::new("/n/c.txt")));
    let all: String = a.chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    assert!(all.contains("first words") && all.contains("second words"), "{a:?}");
    for chunk in &a.chunks {
        assert!(["One", "Two"].contains(&chunk.title.as_str()), "{chunk:?}");
        assert!(chunk.facts.contains(&("author".into(), "Ada".into())), "{chunk:?}");
    }
    assert_eq!((b.chunks[0].text.as_str(), b.chunks[0].title.as_str()), ("plain words", "b.txt"));
    assert_eq!(b.chunks[0].span, 0..11);
    let mut first = 0;
    collection.snapshot().list(&files, &mut |_| {
        first += 1;
        ControlFlow::Break(())
    });
    assert_eq!(first, 1, "it ends when told to");
}
