//! The person's own adapter.

use std::io::{self, Write};

use covey_embedder::eval::PERMUTATIONS;
use covey_node::api::{PersonalAdapter, PersonalInfo, PersonalLearnt};

use super::Style;
use super::eval::chance;
use crate::text::{clean, count, time};

/// Whether there is one, what it was learnt from, and how it does.
pub fn personal(it: &PersonalInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    if let Some(tried) = &it.not_kept {
        writeln!(
            out,
            "nothing was learnt that finds more than the model alone, so it was not kept"
        )?;
        learnt(tried, out)?;
    }
    if let Some(problem) = &it.problem {
        writeln!(out, "{}", style.bad(&format!("it cannot be read: {}", clean(problem))))?;
        return writeln!(out, "    → covey model personal train");
    }
    match &it.adapter {
        Some(adapter) => self::adapter(adapter, out, style),
        None if it.not_kept.is_some() => Ok(()),
        None => writeln!(out, "no adapter of your own: covey model personal train"),
    }
}

fn adapter(it: &PersonalAdapter, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let state = match (it.used, it.on) {
        (true, _) => style.good("in use"),
        (false, true) => "not in use, as it is for another model than the one in use".to_owned(),
        (false, false) => "off (covey model personal on)".to_owned(),
    };
    writeln!(out, "{}  {state}", style.bold("your adapter"))?;
    let names = it.collections.iter().map(|name| clean(name.as_str()));
    let files = it.files.iter().map(|file| clean(&file.to_string_lossy()));
    let from: Vec<String> = names.chain(files).collect();
    let from = if from.is_empty() { "all collections".to_owned() } else { from.join(", ") };
    writeln!(out, "  trained {} on {from}, for model {}", time(it.trained.0), it.model)?;
    learnt(&it.learnt, out)
}

fn learnt(it: &PersonalLearnt, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {} learnt from, {} held out", count(it.pairs, "pair"), it.held_out_pairs)?;
    let (before, after) = it.reciprocal_rank;
    writeln!(
        out,
        "  reciprocal rank of held-out pairs {before:.3} without it, {after:.3} with it (p {})",
        chance(it.p, PERMUTATIONS as u64)
    )?;
    let (before, after) = it.loss;
    writeln!(out, "  loss of held-out pairs {before:.4} without it, {after:.4} with it")
}
