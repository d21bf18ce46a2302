//! Indexes of collections.

use std::io::{self, Write};
use std::path::Path;

use covey_node::api::{IndexCompacted, IndexExported, IndexInfo, IndexRecoded, IndexVerified};

use super::Style;
use crate::text::{bytes, clean, count};

/// Stale files listed one by one; `--json` has more.
const STALE_SHOWN: usize = 20;

/// What an index holds and takes.
pub fn info(it: &IndexInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let chunks = it.chunks.max(1) as f64;
    writeln!(
        out,
        "{}  {} in {}, {}",
        style.bold(it.collection.as_str()),
        count(it.chunks, "passage"),
        count(it.files, "file"),
        count(it.segments, "segment"),
    )?;
    writeln!(
        out,
        "index    {}, {:.1} bytes a passage, {} of the text",
        bytes(it.index_bytes),
        it.index_bytes as f64 / chunks,
        share(it.index_bytes, it.text_bytes),
    )?;
    match it.lexical_bytes {
        0 => writeln!(out, "words    not indexed")?,
        words => writeln!(
            out,
            "words    {}, {:.1} bytes a passage, {} of the text",
            bytes(words),
            words as f64 / chunks,
            share(words, it.text_bytes),
        )?,
    }
    if it.settings.cache_bytes > 0 {
        let (now, most) = (bytes(it.cache_bytes), bytes(it.settings.cache_bytes));
        writeln!(out, "cache    {now} of at most {most}, kept from earlier questions")?;
    }
    writeln!(out, "text     {}, in your files", bytes(it.text_bytes))?;
    if it.dead_chunks > 0 {
        writeln!(
            out,
            "dead     {} of changed or removed files, {} of all: covey index compact {}",
            count(it.dead_chunks, "passage"),
            share(it.dead_chunks, it.dead_chunks + it.chunks),
            it.collection,
        )?;
    }
    let settings = &it.settings;
    let profile = settings.profile.map_or("its own".to_owned(), |it| format!("{it:?}"));
    writeln!(
        out,
        "profile  {}: at most {} bytes a passage, {} recomputed for a question",
        profile.to_lowercase(),
        settings.bytes_per_chunk,
        settings.recompute,
    )?;
    if it.index_bytes > it.chunks * u64::from(settings.bytes_per_chunk) {
        writeln!(
            out,
            "         more now: codes stay fine where passages are few, or where some stand far from many that are alike"
        )?;
    }
    match &it.tuned {
        Some(tuned) => writeln!(out, "goals    {}", super::tune::kept(tuned)),
        None => Ok(()),
    }
}

/// That an index is whole.
pub fn verified(it: &IndexVerified, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "{}: whole; {} of {} read, {}",
        it.collection,
        bytes(it.bytes),
        count(it.segments, "segment"),
        count(it.chunks, "passage"),
    )?;
    match it.cached {
        0 => writeln!(out),
        cached => {
            writeln!(
                out,
                "; {} kept in {} of cache",
                count(cached, "embedding"),
                bytes(it.cache_bytes)
            )
        }
    }
}

/// What compacting gained.
pub fn compacted(it: &IndexCompacted, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {} before, {} now", it.collection, bytes(it.before), bytes(it.after))
}

/// What coding anew did.
pub fn recoded(it: &IndexRecoded, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "{}: {} embedded, the index takes {}",
        it.collection,
        count(it.embedded, "passage"),
        bytes(it.index_bytes)
    )?;
    match it.stale {
        0 => writeln!(out),
        stale => writeln!(
            out,
            "; {} left out as they changed: `covey add` their folder again",
            count(stale, "file")
        ),
    }
}

/// What was written out, and what could not be.
pub fn exported(it: &IndexExported, out: &mut dyn Write) -> io::Result<()> {
    let path = |path: &Path| clean(&path.to_string_lossy());
    let beside = it.vectors.as_deref().map(|it| format!(" and {}", path(it))).unwrap_or_default();
    writeln!(
        out,
        "{}: {} of {} in {}{beside}, {}",
        it.collection,
        count(it.chunks, "passage"),
        count(it.files, "file"),
        path(&it.path),
        bytes(it.bytes),
    )?;
    if it.stale > 0 {
        writeln!(out, "left out, as they changed since they were indexed:")?;
    }
    for file in it.stale_files.iter().take(STALE_SHOWN) {
        writeln!(out, "  {}", path(file))?;
    }
    match it.stale.saturating_sub(it.stale_files.len().min(STALE_SHOWN) as u64) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more (`--json` lists up to 1,000)"),
    }
}

/// A share in percent, exact enough for small ones.
fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "none".to_owned(),
        _ => format!("{:.1}%", part as f64 * 100.0 / whole as f64),
    }
}
