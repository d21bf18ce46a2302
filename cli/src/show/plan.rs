//! What a promise takes, before anybody joins.

use std::io::{self, Write};

use covey_node::api::PrivacyPlan;

use super::plot;
use crate::text::{count, rounded_up, three_digits_up, wrap};

/// Columns of its sentences.
const WIDTH: usize = 100;

/// Noise, what it counts on, how loud it is, epsilon over rounds, and what may be said.
pub fn plan(it: &PrivacyPlan, out: &mut dyn Write) -> io::Result<()> {
    let peers = count(it.cohort.into(), "peer");
    let mut say = |text: &str| {
        wrap(text, WIDTH, usize::MAX).into_iter().try_for_each(|line| writeln!(out, "{line}"))
    };
    say(&format!(
        "Noise multiplier {} (by exact Gaussian accounting {}): standard deviation {} on each coordinate of a round's sum if {} of \
         {peers} add their noise, {} if all do",
        up(it.noise),
        up(it.gaussian_noise),
        up(it.deviation),
        it.honest,
        up(it.deviation_of_all)
    ))?;
    say(&format!(
        "It counts on {} who stay to the end, {} of whom add their noise and keep it to themselves (--dropout {}, --collusion {})",
        it.survivors,
        it.honest,
        f64::from(it.dropout_permille) / 1_000.0,
        f64::from(it.collusion_permille) / 1_000.0
    ))?;
    say(&format!(
        "Noise over signal {} with {} if all {peers} stay{} point the same way",
        three_digits_up(it.noise_over_signal),
        count(it.parameters, "parameter"),
        match it.documents {
            0 => " and all updates".to_owned(),
            documents =>
                format!(" with {} each, and all gradients", count(documents.into(), "document")),
        }
    ))?;
    if let Some(drowned) = &it.drowned {
        say(&format!("Warning: {drowned}"))?;
    }
    for note in &it.notes {
        say(&format!("Note: {note}"))?;
    }
    writeln!(out, "\nEpsilon over rounds")?;
    plot::text(&it.curve).into_iter().try_for_each(|line| writeln!(out, "{line}"))?;
    let claims = [Some(&it.statement), it.outsiders.as_ref().map(|it| &it.statement)];
    claims.into_iter().flatten().try_for_each(|claim| {
        writeln!(out)?;
        wrap(claim, WIDTH, usize::MAX).into_iter().try_for_each(|line| writeln!(out, "{line}"))
    })
}

fn up(value: f64) -> String {
    if (0.1..1e6).contains(&value) { rounded_up(value, 3) } else { three_digits_up(value) }
}
