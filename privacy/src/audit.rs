//! An empirical lower bound on epsilon: what an attacker who plants canaries in fact achieves.
//!
//! A bound above the claimed epsilon proves a mechanism broken; one below it proves nothing good.
//! Two audits:
//!
//! * [`one_run`] (Steinke, Nasr and Jagielski 2023, theorem 5.2): many canaries, each in or out by
//!   a fair coin, one run. It sees noise that is too small everywhere.
//! * [`per_entry`]: many runs with one contribution present or absent, each entry judged by itself.
//!   It sees noise that is missing in one place.
//!
//! Both say "epsilon is at least this" and err with at most the stated chance.

mod binomial;

use rand_core::Rng;

use crate::types::{Delta, Epsilon, checked};

checked! {
    /// The chance that a bound is wrong though the mechanism is as private as claimed.
    ErrorRate, "the error rate", "above 0 and below 1", |value| value > 0.0 && value < 1.0
}

/// Searches for epsilon stop here: more cannot be shown with any number of runs that ends.
const MOST: f64 = 64.0;

/// Audits one run of a mechanism. `canaries` fair coins are drawn and given to `run`, which
/// includes canary i where coin i is true and answers with a score for each, higher meaning "it was
/// in". The `guesses` highest and as many lowest scores become guesses; how many are right bounds
/// epsilon at `delta` from below.
pub fn one_run<R: Rng>(
    canaries: usize,
    guesses: usize,
    delta: Delta,
    error: ErrorRate,
    rng: &mut R,
    run: impl FnOnce(&[bool], &mut R) -> Vec<f64>,
) -> Epsilon {
    let coins: Vec<bool> = (0..canaries).map(|_| rng.next_u64() & 1 == 1).collect();
    let scores = run(&coins, rng);
    let mut order: Vec<usize> = (0..coins.len().min(scores.len())).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let guesses = guesses.min(order.len() / 2);
    let (low, high) = (&order[..guesses], &order[order.len() - guesses..]);
    let right =
        low.iter().filter(|&&i| !coins[i]).count() + high.iter().filter(|&&i| coins[i]).count();
    epsilon_of_guesses(canaries as u64, 2 * guesses as u64, right as u64, delta, error)
}

/// The largest epsilon that `right` of `guesses` right guesses about `canaries` fair coins rule
/// out: with that epsilon, so many would be right with a chance of at most `error`.
pub fn epsilon_of_guesses(
    canaries: u64,
    guesses: u64,
    right: u64,
    delta: Delta,
    error: ErrorRate,
) -> Epsilon {
    let ruled_out = |epsilon: f64| {
        let right_each = 1.0 / (1.0 + libm::exp(-epsilon));
        chance(canaries, guesses, right.min(guesses), delta.get(), right_each) < error.0
    };
    largest(ruled_out)
}

/// Theorem 5.2: beta + 2 m delta alpha, where beta is the chance that a binomial reaches `right`,
/// and alpha the largest over i of the chance that it falls short by at most i, divided by i.
fn chance(canaries: u64, guesses: u64, right: u64, delta: f64, p: f64) -> f64 {
    let (mut alpha, mut sum) = (0.0_f64, 0.0);
    for short in 1..=right {
        let term = binomial::point(guesses, right - short, p);
        sum += term;
        alpha = alpha.max(sum / short as f64);
        // From the mode downwards terms only fall: with i growing the quotient does, too.
        if term < 1e-30 && ((right - short) as f64) < guesses as f64 * p {
            break;
        }
    }
    binomial::at_least(guesses, right, p) + 2.0 * canaries as f64 * delta * alpha
}

/// Audits `run`, which is called `runs` times with the contribution present and as often absent,
/// and answers with one value for each of `entries`. Half of the runs choose, for each entry, the
/// threshold that tells the two apart best; the other half count. The bound is the best entry's,
/// with `error` shared among the entries.
pub fn per_entry<R: Rng>(
    entries: usize,
    runs: usize,
    delta: Delta,
    error: ErrorRate,
    rng: &mut R,
    mut run: impl FnMut(bool, &mut R) -> Vec<f64>,
) -> Epsilon {
    let mut observe = |present: bool| -> Vec<Vec<f64>> {
        (0..runs).map(|_| run(present, rng)).filter(|answer| answer.len() == entries).collect()
    };
    let (present, absent) = (observe(true), observe(false));
    let error = ErrorRate(error.0 / entries.max(1) as f64);
    let bound = |entry: usize| {
        let column = |answers: &[Vec<f64>]| -> Vec<f64> {
            answers.iter().map(|answer| answer[entry]).collect()
        };
        of_entry(&column(&present), &column(&absent), delta, error)
    };
    (0..entries).map(bound).fold(Epsilon::ZERO, |a, b| if a < b { b } else { a })
}

/// The bound from one entry's values, present and absent.
fn of_entry(present: &[f64], absent: &[f64], delta: Delta, error: ErrorRate) -> Epsilon {
    let (choose, count) = present.split_at(present.len() / 2);
    let (choose_absent, count_absent) = absent.split_at(absent.len() / 2);
    let error = ErrorRate(error.0 / 2.0);
    let rates = |threshold: f64, present: &[f64], absent: &[f64], error| {
        let hits = present.iter().filter(|&&x| x > threshold).count() as u64;
        let alarms = absent.iter().filter(|&&x| x > threshold).count() as u64;
        epsilon_of_rates([hits, present.len() as u64], [alarms, absent.len() as u64], delta, error)
    };
    let mut sorted: Vec<f64> = choose.iter().chain(choose_absent).copied().collect();
    sorted.sort_by(f64::total_cmp);
    // A hundred candidates are enough to be near the best.
    let step = (sorted.len() / 100).max(1);
    let mut best = (Epsilon::ZERO, 0.0);
    for &threshold in sorted.iter().step_by(step) {
        let epsilon = rates(threshold, choose, choose_absent, error);
        if best.0 < epsilon {
            best = (epsilon, threshold);
        }
    }
    rates(best.1, count, count_absent, error)
}

/// The epsilon that an attacker shows who says "present" in `hits[0]` of `hits[1]` runs with the
/// contribution and in `alarms[0]` of `alarms[1]` without: by the definition of (epsilon, delta),
/// and Clopper-Pearson bounds of both rates, each wrong with a chance of at most `error`.
pub fn epsilon_of_rates(
    hits: [u64; 2],
    alarms: [u64; 2],
    delta: Delta,
    error: ErrorRate,
) -> Epsilon {
    let least_hits = binomial::lower_bound(hits[1], hits[0], error.0);
    let most_alarms =
        1.0 - binomial::lower_bound(alarms[1], alarms[1].saturating_sub(alarms[0]), error.0);
    let shown = libm::log((least_hits - delta.get()) / most_alarms);
    Epsilon::new(shown.clamp(0.0, MOST)).unwrap_or(Epsilon::ZERO)
}

/// The largest epsilon for which `ruled_out` holds, given that it holds for all smaller ones;
/// rounded down.
fn largest(ruled_out: impl Fn(f64) -> bool) -> Epsilon {
    let (mut low, mut high) = (0.0, MOST);
    while high - low > 1e-4 {
        let middle = f64::midpoint(low, high);
        if ruled_out(middle) { low = middle } else { high = middle }
    }
    Epsilon::new(low).unwrap_or(Epsilon::ZERO)
}

#[cfg(test)]
mod tests;
