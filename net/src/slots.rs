//! How many requests of whom we work on at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use covey_protocol::ids::NodeId;

use crate::limits::{
    MAX_INBOUND, MAX_INBOUND_PER_MEMBER, MAX_INBOUND_PER_STRANGER, MAX_INBOUND_STRANGERS,
};
use crate::lock;

/// Counts the requests being worked on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    strangers: usize,
    by_node: BTreeMap<NodeId, usize>,
}

/// One request being worked on; dropping it frees its place.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    node: NodeId,
    member: bool,
}

impl Slots {
    /// A place for one request of `node`, where the bounds leave one.
    pub(crate) fn take(&self, node: NodeId, member: bool) -> Option<Slot> {
        let mut counts = lock(&self.0);
        let per_node = if member { MAX_INBOUND_PER_MEMBER } else { MAX_INBOUND_PER_STRANGER };
        let of_node = counts.by_node.get(&node).copied().unwrap_or(0);
        let full = counts.all >= MAX_INBOUND
            || of_node >= per_node
            || (!member && counts.strangers >= MAX_INBOUND_STRANGERS);
        if full {
            return None;
        }
        counts.all += 1;
        counts.strangers += usize::from(!member);
        counts.by_node.insert(node, of_node + 1);
        Some(Slot { slots: self.clone(), node, member })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = lock(&self.slots.0);
        counts.all -= 1;
        counts.strangers -= usize::from(!self.member);
        if let Some(of_node) = counts.by_node.get_mut(&self.node) {
            *of_node -= 1;
            if *of_node == 0 {
                counts.by_node.remove(&self.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;

    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId::new(SecretKey::from_seed(&[n; 32]).public())
    }

    #[test]
    fn bounds_hold_for_each_node_and_for_all_strangers() {
        let slots = Slots::default();
        let take = |n, member, count: usize| -> Vec<Slot> {
            (0..count).map_while(|_| slots.take(node(n), member)).collect()
        };
        let member = take(1, true, 99);
        assert_eq!(member.len(), MAX_INBOUND_PER_MEMBER);
        let stranger = take(2, false, 99);
        assert_eq!(stranger.len(), MAX_INBOUND_PER_STRANGER);
        drop(stranger);
        let strangers: Vec<Slot> = (2..=99).flat_map(|n| take(n, false, 1)).collect();
        assert_eq!(strangers.len(), MAX_INBOUND_STRANGERS);
        assert!(slots.take(node(100), true).is_some(), "strangers never fill a member's place");
        let members: Vec<Slot> = (100..=200).flat_map(|n| take(n, true, 99)).collect();
        assert_eq!(member.len() + strangers.len() + members.len(), MAX_INBOUND);
        drop((member, strangers, members));
        let counts = lock(&slots.0);
        assert!(counts.by_node.is_empty());
        assert_eq!((counts.all, counts.strangers), (0, 0));
    }
}
