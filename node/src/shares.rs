//! What this node lets which group see: nothing, unless it stands here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_crypto::Digest;
use covey_protocol::ids::{GroupId, Name};
use covey_protocol::search::Reveal;

use crate::store::{Kv, StoreError, Table, Write};

/// The shares of a node, in memory as in the key-value store.
pub(crate) struct Shares {
    kv: Arc<dyn Kv>,
    shares: Mutex<BTreeMap<(GroupId, Name), Reveal>>,
}

impl Shares {
    /// Reads them. A damaged record shares nothing.
    pub(crate) fn open(kv: Arc<dyn Kv>) -> Result<Self, StoreError> {
        let mut shares = BTreeMap::new();
        for (key, value) in kv.scan(Table::Shares, b"")? {
            match decode(&key, &value) {
                Some((group, name, reveal)) => drop(shares.insert((group, name), reveal)),
                None => tracing::error!("a share's record is damaged; it shares nothing"),
            }
        }
        Ok(Self { kv, shares: Mutex::new(shares) })
    }

    /// Shares `collection` with `group`, or changes how much is shown.
    pub(crate) fn put(
        &self,
        group: GroupId,
        collection: Name,
        reveal: Reveal,
    ) -> Result<(), StoreError> {
        let value = vec![VERSION, tag(reveal)];
        self.kv.write(vec![Write::Put(Table::Shares, key(group, &collection), value)])?;
        self.lock().insert((group, collection), reveal);
        Ok(())
    }

    /// Takes back every share that `matches`; says whether there was one.
    pub(crate) fn remove(
        &self,
        matches: impl Fn(GroupId, &Name) -> bool,
    ) -> Result<bool, StoreError> {
        let mut shares = self.lock();
        let gone: Vec<_> =
            shares.keys().filter(|(group, name)| matches(*group, name)).cloned().collect();
        let deletes =
            gone.iter().map(|(group, name)| Write::Delete(Table::Shares, key(*group, name)));
        self.kv.write(deletes.collect())?;
        for share in &gone {
            shares.remove(share);
        }
        Ok(!gone.is_empty())
    }

    /// What `group` may see.
    pub(crate) fn of_group(&self, group: GroupId) -> BTreeMap<Name, Reveal> {
        let shares = self.lock();
        let of_group = shares.iter().filter(|((of, _), _)| *of == group);
        of_group.map(|((_, name), reveal)| (name.clone(), *reveal)).collect()
    }

    /// Who may see `collection`.
    pub(crate) fn of_collection(&self, collection: &Name) -> Vec<(GroupId, Reveal)> {
        let shares = self.lock();
        let of_it = shares.iter().filter(|((_, name), _)| name == collection);
        of_it.map(|((group, _), reveal)| (*group, *reveal)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(GroupId, Name), Reveal>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const VERSION: u8 = 1;

fn key(group: GroupId, collection: &Name) -> Vec<u8> {
    [group.0.as_bytes(), collection.as_str().as_bytes()].concat()
}

const fn tag(reveal: Reveal) -> u8 {
    match reveal {
        Reveal::Nothing => 0,
        Reveal::Score => 1,
        Reveal::Snippet => 2,
        Reveal::Full => 3,
    }
}

fn decode(key: &[u8], value: &[u8]) -> Option<(GroupId, Name, Reveal)> {
    let (group, name) = key.split_first_chunk::<32>()?;
    let name = std::str::from_utf8(name).ok()?.parse().ok()?;
    let reveal = match value {
        [VERSION, 1] => Reveal::Score,
        [VERSION, 2] => Reveal::Snippet,
        [VERSION, 3] => Reveal::Full,
        _ => return None,
    };
    Some((GroupId(Digest::from_bytes(*group)), name, reveal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStores, Stores};

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn shares_are_kept_per_group_and_damage_shares_nothing() {
        let kv = MemoryStores::new().kv();
        let (lab, home) = (GroupId(Digest::sha256(b"lab")), GroupId(Digest::sha256(b"home")));
        let shares = Shares::open(kv.clone()).expect("opens");
        shares.put(lab, name("notes"), Reveal::Snippet).expect("shares");
        shares.put(lab, name("notes"), Reveal::Full).expect("shares more");
        shares.put(home, name("notes"), Reveal::Score).expect("shares");
        kv.write(vec![
            Write::Put(Table::Shares, key(lab, &name("bad")), vec![VERSION, 9]),
            Write::Put(Table::Shares, b"short".to_vec(), vec![VERSION, 3]),
        ])
        .expect("writes");

        let shares = Shares::open(kv).expect("opens");
        assert_eq!(shares.of_group(lab), BTreeMap::from([(name("notes"), Reveal::Full)]));
        assert_eq!(shares.of_collection(&name("notes")).len(), 2);
        assert!(shares.remove(|group, _| group == lab).expect("removes"));
        assert!(!shares.remove(|group, _| group == lab).expect("removes"));
        assert!(shares.of_group(lab).is_empty());
        assert_eq!(shares.of_group(home).len(), 1);
    }
}
