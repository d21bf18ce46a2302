//! What came of fine-tuning a model.

use std::io::{self, Write};

use covey_node::api::TrainReport;

use super::Style;
use crate::text::{clean, count};

/// The new model, what it learnt from, and how it went.
pub fn trained(it: &TrainReport, out: &mut dyn Write, style: Style) -> io::Result<()> {
    match &it.model {
        Some(model) => writeln!(
            out,
            "{}  made from {}, id {}",
            style.bold(&clean(&model.name)),
            clean(&it.base),
            model.id
        )?,
        None => {
            let base = clean(&it.base);
            writeln!(out, "no model was made: nothing that was learnt did better than {base}")?;
        }
    }
    let kind = if it.adapter == "lora" { "low-rank updates" } else { "a linear map" };
    writeln!(out, "  {kind}, {}", count(it.parameters, "parameter"))?;
    if let Some(mined) = &it.mined {
        super::mine::mined(mined, out, style)?;
    }
    writeln!(out, "  {} learnt from, {} held out", count(it.pairs, "pair"), it.held_out_pairs)?;
    let dropped = [
        (it.dropped.empty, "without text"),
        (it.dropped.repeated, "repeated"),
        (it.dropped.beyond_cap, "beyond what one document may give"),
    ];
    for (number, reason) in dropped.into_iter().filter(|(number, _)| *number > 0) {
        writeln!(out, "  {} left out: {reason}", count(number, "pair"))?;
    }
    let end = match it.stopped.as_str() {
        "early" => ": held-out pairs were told apart no better; the best values are kept",
        "diverged" => {
            ": the loss was no number any more; the last good values are kept (try a lower --rate)"
        }
        _ => "",
    };
    writeln!(out, "  {}{end}", count(it.steps, "step"))?;
    match (it.held_out_before, it.held_out) {
        (Some(before), Some(after)) => {
            writeln!(out, "  loss of held-out pairs {before:.4} before, {after:.4} after")
        }
        _ => Ok(()),
    }
}
