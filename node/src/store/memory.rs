//! Stores in memory, for the simulator and for tests. They outlive a node that is dropped and
//! opened again on the same [`MemoryStores`], as a restart would find them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::check_log_name;
use super::{AppendLog, Blobs, IndexPlace, Kv, MAX_RECORD, Pair, StoreError, Stores, Table, Write};

/// All stores of one node, in memory. A clone is the same stores.
#[derive(Clone, Default)]
pub struct MemoryStores {
    kv: Arc<MemoryKv>,
    logs: Arc<Mutex<BTreeMap<String, Arc<LogCell>>>>,
    blobs: Arc<MemoryBlobs>,
}

impl MemoryStores {
    /// Empty ones.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Stores for MemoryStores {
    fn kv(&self) -> Arc<dyn Kv> {
        self.kv.clone()
    }

    fn log(&self, name: &str) -> Result<Box<dyn AppendLog>, StoreError> {
        check_log_name(name)?;
        let cell = lock(&self.logs).entry(name.to_owned()).or_default().clone();
        if cell.open.swap(true, Ordering::AcqRel) {
            return Err(StoreError::Busy { path: PathBuf::from(name) });
        }
        Ok(Box::new(MemoryLog(cell)))
    }

    fn remove_log(&self, name: &str) -> Result<(), StoreError> {
        check_log_name(name)?;
        lock(&self.logs).remove(name);
        Ok(())
    }

    fn index_place(&self) -> IndexPlace {
        IndexPlace::Memory
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        self.blobs.clone()
    }
}

#[derive(Default)]
struct MemoryBlobs(Mutex<BTreeMap<String, Vec<u8>>>);

impl Blobs for MemoryBlobs {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        lock(&self.0).insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.0).get(name).cloned())
    }

    fn read(&self, name: &str, offset: u64, most: usize) -> Result<Vec<u8>, StoreError> {
        let blobs = lock(&self.0);
        let bytes = blobs.get(name).map_or(&[][..], Vec::as_slice);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes[from..].iter().take(most).copied().collect())
    }

    fn length(&self, name: &str) -> Result<u64, StoreError> {
        Ok(lock(&self.0).get(name).map_or(0, |bytes| bytes.len() as u64))
    }

    fn extend(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let mut blobs = lock(&self.0);
        let blob = blobs.entry(name.to_owned()).or_default();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if blob.len() < offset {
            let what = "it is shorter than what was written to it".to_owned();
            return Err(StoreError::Corrupt { path: name.into(), what });
        }
        blob.truncate(offset);
        blob.extend_from_slice(bytes);
        Ok(())
    }

    fn remove(&self, prefix: &str) -> Result<(), StoreError> {
        lock(&self.0).retain(|name, _| !name.starts_with(prefix));
        Ok(())
    }
}

#[derive(Default)]
struct MemoryKv(Mutex<Tables>);

type Tables = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

impl Kv for MemoryKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.0).get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let pairs = lock(&self.0);
        let from = pairs.range((table, prefix.to_vec())..);
        let matching = from.take_while(|((of, key), _)| *of == table && key.starts_with(prefix));
        Ok(matching.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut pairs = lock(&self.0);
        for write in writes {
            match write {
                Write::Put(table, key, value) => pairs.insert((table, key), value),
                Write::Delete(table, key) => pairs.remove(&(table, key)),
            };
        }
        Ok(())
    }
}

#[derive(Default)]
struct LogCell {
    records: Mutex<Vec<Vec<u8>>>,
    open: AtomicBool,
}

struct MemoryLog(Arc<LogCell>);

impl AppendLog for MemoryLog {
    fn append(&mut self, record: &[u8]) -> Result<(), StoreError> {
        if record.len() > MAX_RECORD {
            return Err(StoreError::RecordTooLarge(record.len()));
        }
        lock(&self.0.records).push(record.to_vec());
        Ok(())
    }

    fn visit(&self, each: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        lock(&self.0.records).iter().for_each(|record| each(record));
        Ok(())
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        self.0.open.store(false, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every [`Kv`] does.
#[cfg(test)]
pub(super) fn check_kv(kv: &dyn Kv) {
    let put = |table, key: &[u8], value: &[u8]| Write::Put(table, key.into(), value.into());
    kv.write(vec![
        put(Table::Groups, b"b", b"2"),
        put(Table::Groups, b"a", b"1"),
        put(Table::Groups, b"ab", b"3"),
        put(Table::Groups, &[0xff, 0xff], b"high"),
        put(Table::Shares, b"a", b"other"),
    ])
    .expect("writes");
    let keys = |table, prefix: &[u8]| -> Vec<Vec<u8>> {
        kv.scan(table, prefix).expect("scans").into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(Table::Groups, b""), [&b"a"[..], b"ab", b"b", &[0xff, 0xff]]);
    assert_eq!(keys(Table::Groups, b"a"), [&b"a"[..], b"ab"]);
    assert_eq!(keys(Table::Groups, &[0xff]), [[0xff, 0xff]]);
    assert_eq!(keys(Table::Shares, b""), [b"a"]);
    assert_eq!(keys(Table::Addresses, b""), [b""; 0]);
    assert_eq!(kv.get(Table::Shares, b"a").expect("reads"), Some(b"other".to_vec()));
    assert_eq!(kv.get(Table::Shares, b"b").expect("reads"), None);
    let last_wins = [put(Table::Groups, b"a", b"x"), Write::Delete(Table::Groups, b"a".to_vec())];
    kv.write(last_wins.to_vec()).expect("writes");
    assert_eq!(kv.get(Table::Groups, b"a").expect("reads"), None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_do_not_mix_and_scans_are_in_key_order() {
        check_kv(&MemoryKv::default());
    }

    #[test]
    fn logs_outlive_their_openers_and_are_open_once() {
        let stores = MemoryStores::new();
        let mut log = stores.log("audit").expect("opens");
        log.append(b"one").expect("appends");
        assert!(matches!(stores.log("audit"), Err(StoreError::Busy { .. })));
        assert!(matches!(stores.log("../audit"), Err(StoreError::LogName(_))));
        drop(log);
        assert_eq!(stores.log("audit").expect("opens").read().expect("reads"), [b"one"]);
        stores.remove_log("audit").expect("removes");
        assert!(stores.log("audit").expect("opens").read().expect("reads").is_empty());
    }
}
