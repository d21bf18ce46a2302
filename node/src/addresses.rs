//! Where members were last reached: hints that survive a restart. A wrong hint costs one failed
//! connection; the transport authenticates who answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_crypto::PublicKey;
use covey_net::Addr;
use covey_protocol::ids::NodeId;
use covey_protocol::limits::{MAX_ADDRESS, MAX_ADDRESSES, MAX_GROUPS, MAX_MEMBERS};
use covey_protocol::wire;

use crate::store::{Kv, StoreError, Table, Write};

/// Most nodes with hints.
const MAX_NODES: usize = MAX_GROUPS * MAX_MEMBERS;
/// Most bytes of one stored record.
const MAX_STORED: usize = MAX_ADDRESSES * (MAX_ADDRESS + 8);

/// Whose word an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SaidBy {
    /// The node's own.
    Itself,
    /// Another member's.
    Others,
}

/// The address book of a node.
pub(crate) struct Addresses {
    kv: Arc<dyn Kv>,
    known: Mutex<BTreeMap<NodeId, Vec<Addr>>>,
}

impl Addresses {
    /// Reads it; damaged records are passed over.
    pub(crate) fn open(kv: Arc<dyn Kv>) -> Result<Self, StoreError> {
        let mut known = BTreeMap::new();
        for (key, value) in kv.scan(Table::Addresses, b"")? {
            let node = <[u8; 32]>::try_from(&key[..]).ok();
            let node = node.and_then(|bytes| PublicKey::from_bytes(bytes).ok()).map(NodeId::new);
            let hints = wire::decode::<Vec<String>>(&value, MAX_STORED);
            if let (Some(node), Ok(hints)) = (node, hints) {
                known.insert(node, parse(&hints));
            }
        }
        Ok(Self { kv, known: Mutex::new(known) })
    }

    /// Remembers hints; gives what is now known, or nothing if that is no news. What a node says of
    /// itself comes first, newest first; what others say of it only fills what room is left, so
    /// that nobody can push a node's good addresses out.
    pub(crate) fn learn(
        &self,
        node: NodeId,
        hints: &[String],
        said_by: SaidBy,
    ) -> Option<Vec<Addr>> {
        let mut known = self.lock();
        if !known.contains_key(&node) && known.len() >= MAX_NODES {
            return None;
        }
        let old = known.get(&node).cloned().unwrap_or_default();
        let hints = parse(hints);
        let (first, then) = match said_by {
            SaidBy::Itself => (hints, &old),
            SaidBy::Others => (old.clone(), &hints),
        };
        let mut new = first;
        for addr in then {
            if new.len() < MAX_ADDRESSES && !new.contains(addr) {
                new.push(addr.clone());
            }
        }
        if new == old {
            return None;
        }
        let texts: Vec<&str> = new.iter().map(Addr::as_str).collect();
        let put = Write::Put(Table::Addresses, node.as_bytes().to_vec(), wire::encode(&texts));
        if let Err(error) = self.kv.write(vec![put]) {
            tracing::warn!(%error, "cannot remember where a member was reached");
        }
        known.insert(node, new.clone());
        Some(new)
    }

    /// What is known of `node`.
    pub(crate) fn of(&self, node: NodeId) -> Vec<Addr> {
        self.lock().get(&node).cloned().unwrap_or_default()
    }

    /// Forgets everybody but those that `keep` names.
    pub(crate) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        let mut known = self.lock();
        let gone: Vec<NodeId> = known.keys().copied().filter(|node| !keep(*node)).collect();
        let deletes =
            gone.iter().map(|node| Write::Delete(Table::Addresses, node.as_bytes().to_vec()));
        if let Err(error) = self.kv.write(deletes.collect()) {
            tracing::warn!(%error, "cannot forget where former members were reached");
        }
        known.retain(|node, _| keep(*node));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Vec<Addr>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(hints: &[String]) -> Vec<Addr> {
    let mut addrs: Vec<Addr> = Vec::new();
    for addr in hints.iter().filter_map(|hint| hint.parse().ok()) {
        if addrs.len() < MAX_ADDRESSES && !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    addrs
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;

    use super::*;
    use crate::store::{MemoryStores, Stores};

    #[test]
    fn hints_are_checked_bounded_newest_first_and_survive() {
        let kv = MemoryStores::new().kv();
        let node = NodeId::new(SecretKey::from_seed(&[1; 32]).public());
        let book = Addresses::open(kv.clone()).expect("opens");
        let hint = |port: usize| format!("/ip4/192.0.2.1/tcp/{port}");
        let first: Vec<String> = (1..=20).map(hint).chain(["nonsense".into()]).collect();
        assert_eq!(book.learn(node, &first, SaidBy::Itself).expect("news").len(), MAX_ADDRESSES);
        assert_eq!(book.learn(node, &first, SaidBy::Itself), None);
        assert_eq!(book.learn(node, &[hint(98)], SaidBy::Others), None, "no room for hearsay");
        let news = book.learn(node, &[hint(99)], SaidBy::Itself).expect("news");
        assert_eq!((news[0].as_str(), news.len()), (hint(99).as_str(), MAX_ADDRESSES));

        let book = Addresses::open(kv.clone()).expect("opens");
        assert_eq!(book.of(node), news);
        book.retain(|_| false);
        assert!(Addresses::open(kv).expect("opens").of(node).is_empty());
    }
}
