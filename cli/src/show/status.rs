//! What this node holds, did and found out about itself.

use std::io::{self, Write};
use std::time::Duration;

use covey_node::api::{
    Added, AuditEntry, Check, CollectionInfo, ModelEntry, MovingInfo, Skipped, Status,
};

use super::Style;
use crate::text::{bytes, clean, count, duration, time};

/// Skipped files listed one by one; `--json` has more.
const SKIPPED_SHOWN: usize = 20;

/// The node at a glance.
pub fn status(it: &Status, out: &mut dyn Write, style: Style) -> io::Result<()> {
    writeln!(out, "node     {}  (covey {})", it.node, clean(&it.version))?;
    let daemon = match it.daemon {
        true => format!("{}, {}", style.good("running"), count(it.connected.into(), "peer")),
        false => "not running, so nobody can reach this node: covey daemon".to_owned(),
    };
    writeln!(out, "daemon   {daemon}")?;
    writeln!(
        out,
        "model    {} ({}, {} dimensions)",
        clean(&it.model.name),
        it.model.family,
        it.model.dim
    )?;
    if it.personal {
        writeln!(out, "         with an adapter of your own: covey model personal show")?;
    }
    for address in &it.addresses {
        writeln!(out, "address  {}", clean(address))?;
    }
    if it.collections.is_empty() {
        writeln!(out, "\nNo collections yet: covey add FOLDER")?;
    }
    for collection in &it.collections {
        writeln!(out)?;
        self::collection(collection, out, style)?;
    }
    if !it.groups.is_empty() {
        writeln!(out)?;
    }
    it.groups.iter().try_for_each(|group| super::group::group(group, out, style))?;
    if !it.learning.is_empty() {
        writeln!(out)?;
    }
    it.learning.iter().try_for_each(|now| super::learn::learning_now(now, out))
}

fn collection(it: &CollectionInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    writeln!(
        out,
        "{}  {} in {}, index {}{}",
        style.bold(it.name.as_str()),
        count(it.chunks, "passage"),
        count(it.files, "file"),
        bytes(it.index_bytes + it.lexical_bytes),
        share(it.index_bytes + it.lexical_bytes, it.text_bytes),
    )?;
    if it.dead_chunks > it.chunks / 3 {
        let dead = count(it.dead_chunks, "passage");
        writeln!(
            out,
            "    {dead} of changed files still take space: covey index compact {}",
            it.name
        )?;
    }
    for root in &it.roots {
        writeln!(out, "    {}", clean(&root.to_string_lossy()))?;
    }
    if let Some(tuned) = &it.tuned {
        writeln!(out, "    goals: {}", super::tune::kept(tuned))?;
    }
    for share in &it.shares {
        let reveal = format!("{:?}", share.reveal).to_lowercase();
        writeln!(out, "    shared with {}, revealing {reveal}", share.group)?;
    }
    if let Some(MovingInfo { done, total, problem, .. }) = &it.moving {
        let how = problem.as_deref().map_or(String::new(), |it| format!("; {}", clean(it)));
        writeln!(
            out,
            "    {done} of {} embedded for the current release of the model, answers are by the one before{how}",
            count(*total, "passage"),
        )?;
    }
    match &it.problem {
        Some(problem) => {
            writeln!(out, "    {}", style.bad(&clean(problem)))?;
            writeln!(out, "    → covey reindex {}", it.name)
        }
        None => Ok(()),
    }
}

/// ` (3% of the text)`, where there is text.
fn share(part: u64, whole: u64) -> String {
    match (part * 100).checked_div(whole) {
        Some(percent) => format!(" ({percent}% of the text)"),
        None => String::new(),
    }
}

/// What indexing did.
pub fn added(it: &Added, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{}: {}; {} ({} embedded) in {}",
        it.collection,
        files(it),
        count(it.chunks, "passage"),
        it.embedded,
        duration(Duration::from_millis(it.elapsed_ms)),
    )?;
    if it.skipped_total > 0 {
        writeln!(out, "skipped {}:", count(it.skipped_total, "file"))?;
    }
    for Skipped { path, reason } in it.skipped.iter().take(SKIPPED_SHOWN) {
        writeln!(out, "  {}: {}", clean(&path.to_string_lossy()), clean(reason))?;
    }
    let shown = it.skipped.len().min(SKIPPED_SHOWN) as u64;
    match it.skipped_total.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more (`--json` lists up to 1,000)"),
    }
}

/// `3 files added, 12 unchanged`; what is zero is left out.
fn files(it: &Added) -> String {
    let counts = [
        (it.added, "added"),
        (it.changed, "changed"),
        (it.removed, "removed"),
        (it.unchanged, "unchanged"),
    ];
    let mut parts = counts.iter().filter(|(n, _)| *n > 0);
    let Some((n, what)) = parts.next() else {
        return "no files that can be indexed".to_owned();
    };
    let first = format!("{} {what}", count(*n, "file"));
    parts.fold(first, |line, (n, what)| format!("{line}, {n} {what}"))
}

/// Answers given to others.
pub fn audit(records: &[AuditEntry], out: &mut dyn Write, style: Style) -> io::Result<()> {
    if records.is_empty() {
        writeln!(out, "Nobody has been told anything yet.")?;
    }
    for record in records {
        writeln!(
            out,
            "#{}  {}  {} asked {}",
            record.seq,
            time(record.at.0),
            record.asker.short(),
            style.bold(&format!("“{}”", clean(&record.question))),
        )?;
        for item in &record.revealed {
            let reveal = format!("{:?}", item.reveal).to_lowercase();
            let (title, collection) = (clean(&item.title), clean(&item.collection));
            writeln!(
                out,
                "    {:.3}  {reveal} of {title}  {}",
                item.score,
                style.dim(&collection)
            )?;
        }
        if record.revealed.is_empty() {
            writeln!(out, "    nothing was revealed")?;
        }
    }
    Ok(())
}

/// That the audit chain is whole.
pub fn audit_verified(records: u64, head: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{} checked, the chain is whole. Its head: {}",
        count(records, "record"),
        clean(head)
    )
}

/// Models, the current one marked.
pub fn models(models: &[ModelEntry], out: &mut dyn Write, style: Style) -> io::Result<()> {
    let width = models.iter().map(|model| clean(&model.name).chars().count()).max().unwrap_or(0);
    for model in models {
        writeln!(
            out,
            "{} {:width$}  {:6}  {:4} dimensions  {}",
            if model.current { style.good("*") } else { " ".to_owned() },
            clean(&model.name),
            clean(&model.family),
            model.dim,
            style.dim(&model.id.to_string()),
        )?;
    }
    Ok(())
}

/// A self-examination.
pub fn doctor(checks: &[Check], out: &mut dyn Write, style: Style) -> io::Result<()> {
    for check in checks {
        let mark = if check.ok { style.good("ok  ") } else { style.bad("FAIL") };
        writeln!(out, "{mark}  {}: {}", clean(&check.name), clean(&check.detail))?;
        if let Some(fix) = check.fix.as_deref().filter(|_| !check.ok) {
            writeln!(out, "      → {}", clean(fix))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexing_is_told_without_zeroes() {
        let added = |added, changed, removed, unchanged| Added {
            collection: "notes".parse().expect("a name"),
            added,
            changed,
            removed,
            unchanged,
            embedded: 0,
            chunks: 1,
            skipped: vec![],
            skipped_total: 0,
            elapsed_ms: 12,
        };
        let cases = [
            (added(1, 0, 0, 0), "1 file added"),
            (added(0, 2, 1, 30), "2 files changed, 1 removed, 30 unchanged"),
            (added(0, 0, 0, 0), "no files that can be indexed"),
        ];
        for (it, expected) in cases {
            assert_eq!(files(&it), expected);
        }
    }
}
