//! Remembered addresses, bounded per node and, for strangers, in number.

use std::collections::{BTreeMap, BTreeSet};

use covey_protocol::ids::NodeId;
use covey_protocol::limits::MAX_ADDRESSES;

use crate::Addr;
use crate::limits::MAX_KNOWN_STRANGERS;

/// Who may be reached where, and who the members are.
#[derive(Debug, Default)]
pub(crate) struct Book {
    known: BTreeMap<NodeId, Entry>,
    members: BTreeSet<NodeId>,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    addrs: Vec<Addr>,
    touched: u64,
}

impl Book {
    /// Puts `addrs` before what is known about `node`, and forgets the oldest beyond the bounds.
    pub(crate) fn learn(&mut self, node: NodeId, addrs: &[Addr]) {
        if addrs.is_empty() {
            return;
        }
        self.clock += 1;
        let entry =
            self.known.entry(node).or_insert_with(|| Entry { addrs: Vec::new(), touched: 0 });
        entry.touched = self.clock;
        let mut merged: Vec<Addr> = Vec::with_capacity(MAX_ADDRESSES);
        for addr in addrs.iter().chain(&entry.addrs) {
            if merged.len() == MAX_ADDRESSES {
                break;
            }
            if !merged.contains(addr) {
                merged.push(addr.clone());
            }
        }
        entry.addrs = merged;
        self.forget_strangers();
    }

    /// The addresses known for `node`, newest first.
    pub(crate) fn addresses(&self, node: &NodeId) -> &[Addr] {
        self.known.get(node).map_or(&[], |entry| &entry.addrs)
    }

    /// Whether `node` shares a group with us.
    pub(crate) fn is_member(&self, node: &NodeId) -> bool {
        self.members.contains(node)
    }

    /// Replaces the members; returns those that were and no longer are.
    pub(crate) fn set_members(&mut self, members: BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let left = self.members.difference(&members).copied().collect();
        self.members = members;
        self.forget_strangers();
        left
    }

    fn forget_strangers(&mut self) {
        let strangers = |(node, entry): (&NodeId, &Entry)| {
            (!self.members.contains(node)).then_some((entry.touched, *node))
        };
        if self.known.len() <= MAX_KNOWN_STRANGERS {
            return;
        }
        let mut strangers: Vec<_> = self.known.iter().filter_map(strangers).collect();
        strangers.sort_unstable();
        let excess = strangers.len().saturating_sub(MAX_KNOWN_STRANGERS);
        for (_, node) in &strangers[..excess] {
            self.known.remove(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;

    use super::*;

    fn node(n: u16) -> NodeId {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&n.to_le_bytes());
        NodeId::new(SecretKey::from_seed(&seed).public())
    }

    fn addr(port: u16) -> Addr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().expect("valid")
    }

    #[test]
    fn newest_first_without_repeats_and_bounded() {
        let mut book = Book::default();
        book.learn(node(1), &[addr(1), addr(2), addr(1)]);
        book.learn(node(1), &[addr(3), addr(2)]);
        assert_eq!(book.addresses(&node(1)), [addr(3), addr(2), addr(1)]);
        let many: Vec<_> = (10..99).map(addr).collect();
        book.learn(node(1), &many);
        assert_eq!(book.addresses(&node(1)), &many[..MAX_ADDRESSES]);
        assert!(book.addresses(&node(2)).is_empty());
    }

    #[test]
    fn strangers_are_forgotten_oldest_first_and_members_never() {
        let count = u16::try_from(MAX_KNOWN_STRANGERS).expect("small");
        let mut book = Book::default();
        assert!(book.set_members(BTreeSet::from([node(0)])).is_empty());
        for n in 0..=count {
            book.learn(node(n), &[addr(n)]);
        }
        assert!(!book.addresses(&node(1)).is_empty(), "exactly as many as allowed");
        book.learn(node(count + 1), &[addr(1)]);
        assert!(book.addresses(&node(1)).is_empty(), "the oldest stranger");
        assert!(!book.addresses(&node(0)).is_empty(), "a member stays");
        assert_eq!(book.set_members(BTreeSet::new()), BTreeSet::from([node(0)]));
        assert!(book.addresses(&node(0)).is_empty(), "no longer a member, and the oldest");
    }
}
