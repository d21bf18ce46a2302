//! What was opened, in the key-value store.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use covey_crypto::Digest;
use covey_protocol::ids::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::api::{ApiError, ErrorCode, OpenedCall, OpenedInfo};
use crate::store::{Kv, StoreError, Table, Write};

/// Most results that are remembered; of more, the oldest are forgotten.
const MAX_OPENED: usize = 4_096;
/// Most bytes of a question that are kept.
const MAX_QUESTION: usize = 1_024;
/// Longest path, in bytes.
const MAX_PATH: usize = 4_096;
const VERSION: u8 = 1;

/// The log of a node. One question with one passage is one entry, however often it is opened.
pub(crate) struct Opened {
    kv: Arc<dyn Kv>,
    most: usize,
    /// Held while entries are counted and changed.
    changing: Mutex<()>,
}

/// An entry as it is stored.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u8,
    at: UnixMillis,
    question: String,
    path: String,
    chunk: Digest,
}

impl Opened {
    pub(crate) fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv, most: MAX_OPENED, changing: Mutex::new(()) }
    }

    /// Remembers a result that is opened `now`.
    pub(crate) fn add(&self, call: &OpenedCall, now: UnixMillis) -> Result<(), ApiError> {
        let usage = |message: &str| Err(ApiError::new(ErrorCode::Usage, message));
        let question = call.question.trim();
        let question = &question[..question.floor_char_boundary(MAX_QUESTION)];
        if question.is_empty() {
            return usage("the question is empty");
        }
        let path = call.path.to_string_lossy().into_owned();
        if path.len() > MAX_PATH || !call.path.is_absolute() {
            return usage("the path is too long or not absolute");
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let chunk = call.chunk;
        let parts = [question.as_bytes(), path.as_bytes(), chunk.as_bytes()];
        let key = Digest::of("covey opened result 1", &parts).as_bytes().to_vec();
        let record =
            Record { version: VERSION, at: now, question: question.to_owned(), path, chunk };
        let value = postcard::to_stdvec(&record).expect("every field has a known length");
        let mut writes = Vec::new();
        let mut others = self.entries()?;
        others.retain(|(known, _)| *known != key);
        let more = (others.len() + 1).saturating_sub(self.most);
        writes.extend(others.drain(..more).map(|(key, _)| Write::Delete(Table::Opened, key)));
        writes.push(Write::Put(Table::Opened, key, value));
        self.kv.write(writes)?;
        Ok(())
    }

    /// Everything that is remembered, oldest first.
    pub(crate) fn list(&self) -> Result<Vec<OpenedInfo>, StoreError> {
        Ok(self.entries()?.into_iter().map(|(_, info)| info).collect())
    }

    /// Forgets everything, damaged entries as well.
    pub(crate) fn clear(&self) -> Result<(), StoreError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.kv.scan(Table::Opened, b"")?.into_iter();
        self.kv.write(keys.map(|(key, _)| Write::Delete(Table::Opened, key)).collect())
    }

    /// Keys and entries, oldest first. A damaged entry, or one of a newer version, is passed over.
    fn entries(&self) -> Result<Vec<(Vec<u8>, OpenedInfo)>, StoreError> {
        let pairs = self.kv.scan(Table::Opened, b"")?.into_iter();
        let mut entries: Vec<_> =
            pairs.filter_map(|(key, value)| Some((key, decode(&value)?))).collect();
        entries.sort_by(|(a, x), (b, y)| (x.at, a).cmp(&(y.at, b)));
        Ok(entries)
    }
}

fn decode(value: &[u8]) -> Option<OpenedInfo> {
    let Record { at, question, path, chunk, .. } =
        postcard::from_bytes(value).ok().filter(|record: &Record| record.version == VERSION)?;
    Some(OpenedInfo { at, question, path: PathBuf::from(path), chunk })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStores, Stores};

    fn call(question: &str, path: &str) -> OpenedCall {
        OpenedCall { question: question.into(), path: path.into(), chunk: Digest::sha256(b"text") }
    }

    fn questions(opened: &Opened) -> Vec<String> {
        opened.list().expect("reads").into_iter().map(|entry| entry.question).collect()
    }

    #[test]
    fn the_oldest_are_forgotten_and_one_opened_again_is_the_newest() {
        let opened = Opened { most: 3, ..Opened::new(MemoryStores::new().kv()) };
        for (at, question) in ["a", "b", "c", " a ", "d"].into_iter().enumerate() {
            opened.add(&call(question, "/n/a.md"), UnixMillis(at as u64)).expect("adds");
        }
        assert_eq!(questions(&opened), ["c", "a", "d"]);
        opened.clear().expect("clears");
        assert_eq!(questions(&opened), [""; 0]);
    }

    #[test]
    fn nonsense_is_refused_and_damage_passed_over() {
        let kv = MemoryStores::new().kv();
        let opened = Opened::new(kv.clone());
        for (question, path) in [("", "/a"), (" \n", "/a"), ("a", "a"), ("a", "")] {
            assert!(opened.add(&call(question, path), UnixMillis(1)).is_err(), "{question} {path}");
        }
        let long = format!("/{}", "a".repeat(MAX_PATH));
        assert!(opened.add(&call("a", &long), UnixMillis(1)).is_err());
        opened.add(&call(&"é".repeat(1_000), "/a"), UnixMillis(1)).expect("is cut");
        assert_eq!(questions(&opened), ["é".repeat(MAX_QUESTION / 2)]);
        for value in [&b""[..], b"\x02", b"\x01\x01\xff\xff\xff\xff"] {
            kv.write(vec![Write::Put(Table::Opened, b"bad".to_vec(), value.to_vec())])
                .expect("writes");
            assert_eq!(questions(&opened).len(), 1);
        }
        opened.clear().expect("clears");
        assert!(kv.scan(Table::Opened, b"").expect("scans").is_empty());
    }
}
