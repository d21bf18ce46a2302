use covey_crypto::SecretKey;
use covey_protocol::ids::{Epoch, GroupId, ModelId, RequestId, UnixMillis};

use super::*;
use crate::store::{MemoryStores, StoreError};

fn node(seed: u8) -> NodeId {
    NodeId::new(SecretKey::from_seed(&[seed; 32]).public())
}

fn answer(number: u64) -> AuditRecord {
    AuditRecord {
        at: UnixMillis(1_800_000_000_000 + number),
        request: RequestId(number),
        asker: node(9),
        group: GroupId(Digest::sha256(b"lab")),
        epoch: Epoch(3),
        model: ModelId { base: Digest::sha256(b"base"), release: Digest::sha256(b"release") },
        question: covey_protocol::wire::PrivateText::clipped("which yeast for a stout?"),
        disclosed: Vec::new(),
    }
}

/// A chain of `records` records.
fn chain(records: u64) -> MemoryStores {
    let stores = MemoryStores::new();
    let mut chain = AuditChain::open(&stores, node(1)).expect("opens");
    for number in 0..records {
        let head = chain.append(&answer(number)).expect("appends");
        assert_eq!(head.records, number + 1);
    }
    stores
}

/// The same stores after `tamper` worked on the log's records, with the noted head or without.
fn tampered(tamper: impl FnOnce(&mut Vec<Vec<u8>>), keep_note: bool) -> Result<Head, AuditError> {
    let stores = chain(5);
    let mut records = stores.log(LOG).expect("opens").read().expect("reads");
    tamper(&mut records);
    stores.remove_log(LOG).expect("removes");
    let mut log = stores.log(LOG).expect("opens");
    records.iter().for_each(|record| log.append(record).expect("appends"));
    drop(log);
    if !keep_note {
        AuditChain::accept_loss(&stores).expect("forgets");
    }
    AuditChain::open(&stores, node(1)).map(|chain| chain.verify().expect("still holds"))
}

#[test]
fn records_come_back_and_the_chain_goes_on_after_reopening() {
    let stores = chain(3);
    let mut chain = AuditChain::open(&stores, node(1)).expect("opens");
    assert_eq!(chain.head().records, 3);
    chain.append(&answer(3)).expect("appends");
    let entries = chain.list(2).expect("lists");
    let expected = [(2, answer(2)), (3, answer(3))];
    assert_eq!(entries.iter().map(|it| (it.seq, it.record.clone())).collect::<Vec<_>>(), expected);
    assert_eq!(chain.verify().expect("holds"), chain.head());
    assert_eq!(chain.head().digest, entries[1].digest);
    assert_eq!(chain.list(99).expect("lists").len(), 4);
    assert!(chain.list(0).expect("lists").is_empty());
}

#[test]
fn the_bytes_are_pinned() {
    let head = AuditChain::open(&chain(2), node(1)).expect("opens").head();
    assert_eq!(
        head.digest.to_string(),
        "416b3955ca57d642327a6d5b92cbe5aff2f6b188f4a0c12ee235adca6f6c7c21"
    );
}

#[test]
fn al1_al2_unreadable_records_are_named() {
    for bytes in [vec![], vec![1; 10], vec![2; 60]] {
        let error = tampered(|records| records[2] = bytes, true).expect_err("is unreadable");
        assert!(matches!(error, AuditError::Unreadable { seq: 2, .. }), "{error}");
    }
    let error = tampered(|records| records[4].push(0), false).expect_err("has a stray byte");
    assert!(matches!(error, AuditError::Unreadable { seq: 4, .. }), "{error}");
}

#[test]
fn al3_dropped_and_reordered_records_show() {
    let dropped = tampered(|records| drop(records.remove(1)), false).expect_err("shows");
    assert!(matches!(dropped, AuditError::Place { expected: 1, found: 2 }), "{dropped}");
    let swapped = tampered(|records| records.swap(2, 3), false).expect_err("shows");
    assert!(matches!(swapped, AuditError::Place { expected: 2, found: 3 }), "{swapped}");
    let doubled = tampered(|records| records.insert(0, records[0].clone()), false);
    assert!(matches!(doubled, Err(AuditError::Place { expected: 1, found: 0 })));
}

#[test]
fn al4_an_edited_record_shows_at_the_next_one() {
    let edit = |records: &mut Vec<Vec<u8>>| {
        let head = Head { records: 1, digest: record::digest(&records[0]) };
        records[1] = record::encode(head.records, head.digest, &answer(77));
    };
    let error = tampered(edit, false).expect_err("shows");
    assert!(matches!(error, AuditError::Chain { seq: 2 }), "{error}");
    let foreign = chain(1);
    let error = AuditChain::open(&foreign, node(2)).err().expect("is another node's");
    assert!(matches!(error, AuditError::Chain { seq: 0 }), "{error}");
}

#[test]
fn al5_a_lost_end_shows_by_the_noted_head_and_only_by_it() {
    let cut = |records: &mut Vec<Vec<u8>>| records.truncate(3);
    let error = tampered(cut, true).expect_err("shows");
    assert!(matches!(error, AuditError::Missing { found: 3, noted: 5 }), "{error}");
    assert_eq!(tampered(cut, false).expect("cannot show").records, 3);
    let emptied = tampered(Vec::clear, true).expect_err("shows");
    assert!(matches!(emptied, AuditError::Missing { found: 0, noted: 5 }), "{emptied}");

    let last = |records: &mut Vec<Vec<u8>>| {
        let head = Head { records: 4, digest: record::digest(&records[3]) };
        records[4] = record::encode(head.records, head.digest, &answer(77));
    };
    let error = tampered(last, true).expect_err("shows");
    assert!(matches!(error, AuditError::Replaced { records: 5 }), "{error}");
}

#[test]
fn a_note_behind_the_chain_is_what_a_crash_between_the_two_leaves() {
    let stores = chain(2);
    let note = stores.kv().get(Table::Meta, HEAD_KEY).expect("reads").expect("is noted");
    AuditChain::open(&stores, node(1)).expect("opens").append(&answer(2)).expect("appends");
    let put = |value| vec![Write::Put(Table::Meta, HEAD_KEY.to_vec(), value)];
    stores.kv().write(put(note)).expect("writes");
    assert_eq!(AuditChain::open(&stores, node(1)).expect("opens").head().records, 3);
    stores.kv().write(put(vec![0; 39])).expect("writes");
    let error = AuditChain::open(&stores, node(1)).err().expect("is damaged");
    assert!(matches!(error, AuditError::NotedHead));
}

#[test]
fn a_log_that_cannot_be_opened_is_passed_on() {
    let stores = chain(1);
    let _open = AuditChain::open(&stores, node(1)).expect("opens");
    let error = AuditChain::open(&stores, node(1)).err().expect("is open");
    assert!(matches!(error, AuditError::Store(StoreError::Busy { .. })));
}
