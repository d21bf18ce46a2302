//! A privacy ledger is read: whatever its entries are, they are refused or taken, and what was spent only
//! grows.

use covey_crypto::Digest;
use covey_privacy::ledger::{
    Account, Budget, Charge, CollectionKey, GroupKey, Ledger, Replay, Request, Time, Unit,
};
use covey_privacy::{Delta, Epsilon, Rho};

use super::Seeds;

const OWNER: [u8; 32] = [7; 32];
/// Version, place, digest of the entry before, time.
const CHAINED: usize = 1 + 8 + 32;

/// Entries, each after two bytes of how long it is. Where the first bit of those is set, version, place and
/// chain are put right, so that what follows them is looked at.
pub fn run(data: &[u8]) {
    let Some(log) = entries(data) else { return };
    let mut replay = Replay::new(&OWNER, None);
    let mut taken = 0;
    while taken < log.len() && replay.push(&log[taken]).is_ok() {
        taken += 1;
    }
    let mut before: Option<Ledger> = None;
    for length in 0..=taken {
        let mut replay = Replay::new(&OWNER, None);
        log[..length].iter().for_each(|entry| replay.push(entry).expect("was taken"));
        let ledger = replay.finish().expect("whole");
        assert_eq!(ledger.head().entries, length as u64);
        if let Some(before) = before {
            for account in before.accounts() {
                assert!(ledger.standing(account).0 >= before.standing(account).0, "unspent");
            }
        }
        before = Some(ledger);
    }
    if let Some(ledger) = before {
        ask(ledger);
    }
}

/// Everything that is asked of a ledger; a reservation that it grants is within the budget.
fn ask(mut ledger: Ledger) {
    let accounts: Vec<Account> = ledger.accounts().collect();
    for account in accounts {
        let (spent, budget) = ledger.standing(account);
        let _epsilon = ledger.spent_epsilon(account);
        let left = ledger.left(account);
        assert!(budget.is_some() || left == Rho::ZERO);
        let charge = Charge::of(Rho::new(0.01).expect("a rho"));
        let (group, round) = (GroupKey([1; 32]), Digest::sha256(b"next"));
        let (unit, collection) = match account {
            Account::Peer => (Unit::Peer, CollectionKey([9; 32])),
            Account::Collection { unit, collection } => (unit, collection),
        };
        let request = Request::new(group, round, charge, unit, vec![collection]).expect("one");
        if ledger.reserve(&request, Time::from_millis(u64::MAX)).is_ok() {
            assert!(budget.is_some_and(|budget| spent.and(charge) <= budget.limit()));
        }
    }
}

fn entries(mut data: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut digest = Digest::of("covey privacy ledger 1", &[&OWNER]);
    let mut log = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk() {
        let length = u16::from_le_bytes(*length);
        let (mended, length) = (length >> 15 == 1, usize::from(length & 0x7fff));
        let (entry, rest) = rest.split_at_checked(length)?;
        let mut entry = entry.to_vec();
        if mended && entry.len() >= CHAINED {
            entry[0] = 1;
            entry[1..9].copy_from_slice(&(log.len() as u64).to_le_bytes());
            entry[9..CHAINED].copy_from_slice(digest.as_bytes());
        }
        digest = Digest::of("covey privacy ledger entry 1", &[&entry]);
        log.push(entry);
        data = rest;
    }
    (log.len() <= 16).then_some(log)
}

/// A budget, a paced one and a round of both, as they are and to be mended.
pub fn seeds() -> Seeds {
    let mut ledger = Ledger::new(&OWNER);
    let mut log = Vec::new();
    let budget = |epsilon| {
        let epsilon = Epsilon::new(epsilon).expect("an epsilon");
        Budget::new(epsilon, Delta::new(1e-6).expect("a delta"))
    };
    let paced = budget(8.0).paced(Rho::new(0.5).expect("a rho"), 86_400_000);
    for (byte, budget) in [(1, budget(2.0)), (2, paced)] {
        let account =
            Account::Collection { unit: Unit::Peer, collection: CollectionKey([byte; 32]) };
        let pending = ledger.set_budget(account, budget, Time::from_millis(5)).expect("room");
        log.push(pending.bytes().to_vec());
        pending.recorded();
    }
    let keys = vec![CollectionKey([1; 32]), CollectionKey([2; 32])];
    let charge = Charge::of(Rho::new(0.01).expect("a rho"));
    let round = Digest::sha256(b"round");
    let request = Request::new(GroupKey([3; 32]), round, charge, Unit::Peer, keys).expect("two");
    let pending = ledger.reserve(&request, Time::from_millis(9)).expect("within the budgets");
    log.push(pending.bytes().to_vec());
    drop(pending);
    let framed = |mended: u16| {
        let frame = |entry: &Vec<u8>| {
            [(mended << 15 | entry.len() as u16).to_le_bytes().to_vec(), entry.clone()].concat()
        };
        log.iter().flat_map(frame).collect::<Vec<u8>>()
    };
    vec![("as-written".into(), framed(0)), ("mended".into(), framed(1))]
}
