//! Neighbour lists as gaps: sorted, each counted from the one before, the first from the node itself.
//! Blocks are numbered so that neighbours are near, so most gaps fit a byte.

use crate::bits::{put_varint, unzigzag, varint, zigzag};
use crate::bytes::{Put, Reader, u32_at};

/// A table of where lists end, and the lists.
pub(super) fn encode(links: &[Vec<u32>]) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut lists) = (Vec::new(), Vec::new());
    for (node, neighbours) in links.iter().enumerate() {
        let mut sorted = neighbours.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let mut last = None;
        for &next in &sorted {
            match last {
                None => put_varint(&mut lists, zigzag(i64::from(next) - node as i64)),
                Some(last) => put_varint(&mut lists, u64::from(next - last - 1)),
            }
            last = Some(next);
        }
        table.put_u32(lists.len() as u32);
    }
    (table, lists)
}

/// Calls `visit` with each neighbour of `node`; `None` where the bytes make no sense.
pub(super) fn visit(
    table: &[u8],
    lists: &[u8],
    node: u32,
    visit: &mut dyn FnMut(u32),
) -> Option<()> {
    let start = if node == 0 { 0 } else { u32_at(table, node as usize - 1)? as usize };
    let list = lists.get(start..u32_at(table, node as usize)? as usize)?;
    let mut reader = Reader::new(list);
    let mut last = None;
    while !reader.finished() {
        let gap = varint(&mut reader)?;
        let next = match last {
            None => i64::from(node).checked_add(unzigzag(gap))?,
            Some(last) => i64::try_from(gap).ok()?.checked_add(i64::from(last) + 1)?,
        };
        let next = u32::try_from(next).ok()?;
        visit(next);
        last = Some(next);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_come_back_sorted(links in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..20), 1..20)) {
            let (table, lists) = encode(&links);
            for (node, neighbours) in links.iter().enumerate() {
                let mut wanted = neighbours.clone();
                wanted.sort_unstable();
                wanted.dedup();
                let mut got = Vec::new();
                prop_assert!(visit(&table, &lists, node as u32, &mut |next| got.push(next)).is_some());
                prop_assert_eq!(got, wanted);
            }
        }

        #[test]
        fn any_bytes_are_read_without_harm(table in prop::collection::vec(any::<u8>(), 0..40), lists in prop::collection::vec(any::<u8>(), 0..60), node in 0u32..12) {
            let _ = visit(&table, &lists, node, &mut |_| {});
        }
    }

    #[test]
    fn near_neighbours_take_a_byte_each() {
        let links: Vec<Vec<u32>> =
            (100..1000).map(|node| (node - 20..node + 20).step_by(4).collect()).collect();
        let (_, lists) = encode(&links);
        let (_, near) = encode(&[vec![3, 9, 40]]);
        assert_eq!(near.len(), 3);
        assert!(lists.len() <= 900 * 12);
    }
}
