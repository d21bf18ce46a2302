//! What a run came to, figure by figure, as people read it.

use super::figure::Figure;
use super::numbers::{bytes, figure, millis, number, seconds, share};
use super::summary::Summary;

/// How a figure of a [`Summary`] is shown.
pub(super) struct Shown {
    /// Its name there.
    pub(super) name: &'static str,
    /// What people are told that it is.
    pub(super) title: &'static str,
    show: fn(f64) -> String,
    /// With its interval, where runs are compared by it: a table has only so much room.
    interval: bool,
    /// Whether it is compared at all.
    pub(super) is_compared: bool,
}

impl Shown {
    /// It in a table of several runs.
    pub(super) fn cell(&self, of: &Figure) -> String {
        if self.interval { figure(of, self.show) } else { (self.show)(of.mean) }
    }
}

const fn with(name: &'static str, title: &'static str, show: fn(f64) -> String) -> Shown {
    Shown { name, title, show, interval: true, is_compared: true }
}

const fn mean(name: &'static str, title: &'static str, show: fn(f64) -> String) -> Shown {
    Shown { name, title, show, interval: false, is_compared: true }
}

const fn alone(name: &'static str, title: &'static str, show: fn(f64) -> String) -> Shown {
    Shown { name, title, show, interval: true, is_compared: false }
}

/// All figures, in the order in which they are shown.
pub(super) const SHOWN: &[Shown] = &[
    alone("quality_before", "quality before", number),
    with("quality", "quality", number),
    with("worst_decile", "worst tenth", number),
    alone("peers_quality", "quality for peers", number),
    with("loss", "loss", number),
    mean("epsilon", "epsilon", number),
    mean("noise", "noise", number),
    with("attack", "attack", share),
    mean("refusals", "refused", number),
    alone("opened", "opened shares", number),
    mean("exposed", "exposed", number),
    mean("failed_rounds", "failed rounds", number),
    mean("survived", "in the sums there were", share),
    mean("up_per_peer_bytes", "sent by a peer", bytes),
    mean("down_per_peer_bytes", "received by a peer", bytes),
    alone("most_up_bytes", "most sent by one in a round", bytes),
    alone("most_down_bytes", "most received by one in a round", bytes),
    mean("total_bytes", "bytes of all", bytes),
    mean("virtual_s", "virtual time", seconds),
    alone("questions", "questions", number),
    alone("asked", "members asked", number),
    mean("answered", "answered", share),
    alone("refused", "would not", share),
    alone("timed_out", "timed out", share),
    alone("offline", "offline", share),
    with("recall", "recall", number),
    mean("p50_ms", "half within", millis),
    mean("p95_ms", "95% within", millis),
    mean("search_bytes", "bytes in those hours", bytes),
    with("search_attack", "forged", share),
    with("harvested", "harvested", share),
];

/// What a run came to: names and figures.
pub fn results(summary: &Summary) -> Vec<(&'static str, String)> {
    let figures = summary.figures();
    let of = |shown: &Shown| {
        let found = figures.iter().find(|(name, _)| *name == shown.name);
        found.and_then(|(_, of)| of.as_ref()).map(|of| (shown.title, figure(of, shown.show)))
    };
    SHOWN.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{RoundsSummary, SearchSummary};

    #[test]
    fn every_figure_has_a_title() {
        let summary = Summary {
            rounds: Some(RoundsSummary::default()),
            search: Some(SearchSummary::default()),
            ..Summary::default()
        };
        let all: Vec<&str> = summary.figures().into_iter().map(|(name, _)| name).collect();
        let shown: Vec<&str> = SHOWN.iter().map(|of| of.name).collect();
        assert!(all.iter().all(|name| shown.contains(name)), "{all:?}");
        assert!(shown.iter().all(|name| all.contains(name)), "{shown:?}");
    }
}
