//! Fitting recomputation into the time that is left.
//!
//! What a batch will take is judged by those before it in the same search. Of the encoder only this is
//! taken for granted: fewer texts take no longer than more, two batches in one call no longer than one
//! after the other, and longer texts at most in proportion. So whatever number of threads it has, what
//! is foreseen is too much rather than too little, and comes closer with every size of batch seen.

use std::collections::BTreeMap;
use std::time::Duration;

use super::TimeLeft;

/// The time of one search.
pub(super) struct Pace<'a> {
    left: Option<TimeLeft<'a>>,
    /// Batches so far, by their number of texts.
    seen: BTreeMap<usize, Seen>,
    /// Texts read from files, and what that took.
    reads: (u32, Duration),
}

/// Batches of one size.
#[derive(Default)]
struct Seen {
    batches: u32,
    bytes: usize,
    took: Duration,
}

impl<'a> Pace<'a> {
    pub(super) fn new(left: Option<TimeLeft<'a>>) -> Self {
        Self { left, seen: BTreeMap::new(), reads: (0, Duration::ZERO) }
    }

    /// Whether there is no time left at all.
    pub(super) fn is_over(&self) -> bool {
        self.left.is_some_and(|left| left().is_zero())
    }

    /// How many of texts of these lengths to embed next: the first so many. None if not even one would
    /// be done in time, with `unread` texts of the answer still to be read.
    ///
    /// A batch takes half of what is left at most, unless a single text takes more: so one that takes
    /// longer than foreseen does not yet break the limit.
    pub(super) fn next(&self, lengths: &[usize], unread: usize) -> usize {
        let Some(left) = self.left.map(|left| left()) else { return lengths.len() };
        let (reads, reading) = self.reads;
        let reading = reading.checked_div(reads).unwrap_or_default();
        let left = left.saturating_sub(reading.saturating_mul(unread as u32));
        if left.is_zero() || lengths.is_empty() {
            return 0;
        }
        if self.seen.is_empty() {
            return 1;
        }
        let one = self.foresee(&lengths[..1]);
        if one > left {
            return 0;
        }
        let most = one.max(left / 2);
        let fits = |n: &usize| self.foresee(&lengths[..*n]) <= most;
        (1..=lengths.len()).rev().find(fits).unwrap_or(1)
    }

    /// Embeds some texts of so many bytes together, and remembers what that took.
    pub(super) fn embed<T>(&mut self, texts: usize, bytes: usize, work: impl FnOnce() -> T) -> T {
        let (result, took) = self.time(work);
        let seen = self.seen.entry(texts).or_default();
        seen.batches += 1;
        seen.bytes += bytes;
        seen.took += took;
        result
    }

    /// Reads a text.
    pub(super) fn read<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (result, took) = self.time(work);
        self.reads.0 += 1;
        self.reads.1 += took;
        result
    }

    fn time<T>(&self, work: impl FnOnce() -> T) -> (T, Duration) {
        let Some(left) = self.left else { return (work(), Duration::ZERO) };
        let before = left();
        let result = work();
        (result, before.saturating_sub(left()))
    }

    /// The most that texts of these lengths take in one call.
    fn foresee(&self, lengths: &[usize]) -> Duration {
        let bytes: usize = lengths.iter().sum();
        let by = |(&texts, seen): (&usize, &Seen)| {
            let rounds = lengths.len().div_ceil(texts) as f64;
            let usual = seen.bytes as f64 / f64::from(seen.batches);
            let longer = (bytes as f64 / (rounds * usual.max(1.0))).max(1.0);
            (seen.took / seen.batches).mul_f64(rounds * longer)
        };
        self.seen.iter().map(by).min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Runs batches of `texts` until none fits, on an encoder that takes `cost(n)` microseconds for n.
    fn run(limit: u64, texts: usize, cost: &dyn Fn(u64) -> u64) -> (u64, Vec<usize>) {
        let now = AtomicU64::new(0);
        let left = || Duration::from_micros(limit.saturating_sub(now.load(Ordering::Relaxed)));
        let mut pace = Pace::new(Some(&left));
        let mut sizes = Vec::new();
        loop {
            let n = pace.next(&vec![500; texts], 0);
            if n == 0 {
                return (now.into_inner(), sizes);
            }
            pace.embed(n, 500 * n, || now.fetch_add(cost(n as u64), Ordering::Relaxed));
            sizes.push(n);
        }
    }

    #[test]
    fn batches_grow_with_what_is_known_and_shrink_with_what_is_left() {
        let (took, sizes) = run(1000, 8, &|n| 30 * n);
        assert_eq!(sizes, [1, 8, 8, 8, 4, 2, 1, 1]);
        assert_eq!(took, 990);
    }

    #[test]
    fn several_threads_are_found_out_and_used() {
        for threads in [2, 4, 8] {
            let (took, sizes) = run(10_000, 8, &|n| 100 * n.div_ceil(threads));
            assert!((9_900..=10_000).contains(&took), "{threads} threads: {took}, {sizes:?}");
            let texts: usize = sizes.iter().sum();
            let most = 100 * threads as usize;
            assert!(texts * 4 > most * 3, "{threads} threads embed {texts} of {most}: {sizes:?}");
        }
    }

    #[test]
    fn without_a_limit_all_are_embedded_at_once_and_without_time_none() {
        assert_eq!(Pace::new(None).next(&[1, 2, 3], 9), 3);
        let none = || Duration::ZERO;
        let pace = Pace::new(Some(&none));
        assert!(pace.is_over() && pace.next(&[1], 0) == 0);
    }

    #[test]
    fn longer_texts_are_foreseen_to_take_longer() {
        let left = || Duration::from_millis(100);
        let mut pace = Pace::new(Some(&left));
        pace.seen.insert(1, Seen { batches: 1, bytes: 100, took: Duration::from_millis(30) });
        assert_eq!(pace.next(&[300], 0), 1);
        assert_eq!(pace.next(&[400], 0), 0);
        pace.reads = (1, Duration::from_millis(20));
        assert_eq!((pace.next(&[250], 1), pace.next(&[300], 1)), (1, 0));
    }
}
