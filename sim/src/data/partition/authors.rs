//! By who wrote them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::Labels;
use super::DealError;
use super::sizes::apportion;
use crate::draw;

/// See the rule in [`deal`](super::deal). The most prolific author comes first, each to the peer that lacks most.
pub(super) fn deal(
    labels: &Labels,
    weights: &[f64],
    seed: u64,
) -> Result<Vec<Vec<u32>>, DealError> {
    let mut authors = labels.by_author().ok_or(DealError::NoAuthors)?;
    // Equally prolific ones in an order that is drawn, as those without a name of theirs are one each.
    draw::shuffle(&mut draw::stream(seed, "authors", 0), &mut authors);
    let units = halved(authors, weights.len());
    let sizes = apportion(labels.len(), weights, 0);
    let mut lacking: BinaryHeap<(i64, Reverse<usize>)> =
        sizes.iter().enumerate().map(|(peer, size)| (*size as i64, Reverse(peer))).collect();
    let mut dealt = vec![Vec::new(); weights.len()];
    for unit in units {
        let Some((room, Reverse(peer))) = lacking.pop() else { break };
        lacking.push((room - unit.len() as i64, Reverse(peer)));
        dealt[peer].extend(unit);
    }
    Ok(dealt)
}

/// At least `many` units, the largest first.
fn halved(authors: Vec<Vec<u32>>, many: usize) -> Vec<Vec<u32>> {
    let mut heap: BinaryHeap<(usize, Reverse<usize>)> =
        authors.iter().enumerate().map(|(at, unit)| (unit.len(), Reverse(at))).collect();
    let mut units = authors;
    while units.len() < many {
        let Some((size, Reverse(at))) = heap.pop().filter(|(size, _)| *size > 1) else { break };
        let half = units[at].split_off(size / 2);
        heap.push((units[at].len(), Reverse(at)));
        heap.push((half.len(), Reverse(units.len())));
        units.push(half);
    }
    units.sort_by_key(|unit| Reverse(unit.len()));
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_halved_until_there_are_enough() {
        let units = halved(vec![(0..8).collect(), vec![8, 9]], 4);
        assert_eq!(units.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2, 2, 2]);
        assert_eq!(halved(vec![vec![0, 1]], 5).len(), 2);
    }
}
