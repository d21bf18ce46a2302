//! The ledger beside a reference that is too simple to be wrong, with a crash between any two steps.

use proptest::prelude::*;

use super::*;
use crate::{Delta, Epsilon};

const OWNER: [u8; 32] = [3; 32];

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Budget { account: u8, epsilon: f64 },
    Round { unit: Unit, collections: Vec<u8>, units: u64, until: Stage, elapsed: u64 },
}

/// How far a round gets before the process dies, or that it does not.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Asked,
    Written,
    Recorded,
    Released,
    Alive,
}

fn step() -> impl Strategy<Value = Step> {
    let stage = prop_oneof![
        Just(Stage::Asked),
        Just(Stage::Written),
        Just(Stage::Recorded),
        Just(Stage::Released),
        Just(Stage::Alive),
        Just(Stage::Alive),
        Just(Stage::Alive),
    ];
    let unit = prop_oneof![Just(Unit::Peer), Just(Unit::Document)];
    prop_oneof![
        1 => (0..ACCOUNTS, 0.0_f64..3.0).prop_map(|(account, epsilon)| Step::Budget { account, epsilon }),
        4 => (unit, prop::collection::vec(0_u8..4, 1..4), 1_u64..1 << 34, stage, 0_u64..1000).prop_map(
            |(unit, collections, units, until, elapsed)| Step::Round { unit, collections, units, until, elapsed }
        ),
    ]
}

/// The reference: a limit, what was written and what left, for each account.
#[derive(Debug, Default, Clone, Copy)]
struct Simple {
    limit: Option<u64>,
    written: u64,
    released: u64,
}

fn restore(disk: &[Vec<u8>]) -> Ledger {
    let mut replay = Replay::new(&OWNER, None);
    disk.iter().for_each(|bytes| replay.push(bytes).unwrap());
    replay.finish().unwrap()
}

/// Documents of four collections, those collections, and the peer.
const ACCOUNTS: u8 = 9;

fn account(index: u8) -> Account {
    let collection = CollectionKey([index % 4; 32]);
    match index {
        0..4 => Account::Collection { unit: Unit::Document, collection },
        4..8 => Account::Collection { unit: Unit::Peer, collection },
        _ => Account::Peer,
    }
}

/// What each account pays, by the distance between neighbours in clip norms, and whether it needs a budget.
fn expected(unit: Unit, collections: &[u8], units: u64) -> Vec<(usize, u64, bool)> {
    let mut all = Vec::new();
    for &it in collections {
        let it = usize::from(it);
        if unit == Unit::Document {
            all.extend([(it, units, true), (it + 4, u64::MAX, false)]);
        } else {
            let distance: u64 = if collections.len() == 1 { 1 } else { 2 };
            all.extend([(it, units * 4, false), (it + 4, units * distance.pow(2), true)]);
        }
    }
    all.push((8, if unit == Unit::Peer { units } else { u64::MAX }, false));
    all
}

proptest! {
    #[test]
    fn never_less_spent_than_released(steps in prop::collection::vec(step(), 1..40)) {
        let mut ledger = Ledger::new(&OWNER);
        let mut disk: Vec<Vec<u8>> = Vec::new();
        let mut simple = [Simple::default(); ACCOUNTS as usize];
        let mut now = Time::from_millis(1);
        for (index, step) in steps.into_iter().enumerate() {
            match step {
                Step::Budget { account: index, epsilon } => {
                    let budget = Budget::new(Epsilon::new(epsilon).unwrap(), Delta::new(1e-5).unwrap());
                    let pending = ledger.set_budget(account(index), budget, now).unwrap();
                    disk.push(pending.bytes().to_vec());
                    pending.recorded();
                    simple[usize::from(index)].limit = Some(budget.limit().units());
                }
                Step::Round { unit, mut collections, units, until, elapsed } => {
                    now = now.after(elapsed);
                    collections.sort_unstable();
                    collections.dedup();
                    let keys = collections.iter().map(|it| CollectionKey([*it; 32])).collect();
                    let terms = Digest::sha256(&index.to_le_bytes());
                    let cost = Charge::from_units(units);
                    let request = Request::new(GroupKey([0; 32]), terms, cost, unit, keys).unwrap();
                    let costs = expected(unit, &collections, units);
                    let fits = costs.iter().all(|&(it, units, needed)| {
                        let it = simple[it];
                        it.limit.map_or(!needed, |limit| it.written.saturating_add(units) <= limit)
                    });
                    let reserved = ledger.reserve(&request, now);
                    prop_assert_eq!(reserved.is_ok(), fits);
                    let Ok(pending) = reserved else { continue };
                    let mut add = |stage: Stage, part: fn(&mut Simple) -> &mut u64| {
                        if until >= stage {
                            costs.iter().for_each(|&(it, units, _)| {
                                let sum = part(&mut simple[it]);
                                *sum = sum.saturating_add(units);
                            });
                        }
                    };
                    if until >= Stage::Written {
                        disk.push(pending.bytes().to_vec());
                        add(Stage::Written, |it| &mut it.written);
                    }
                    if until >= Stage::Recorded {
                        let receipt = pending.recorded();
                        if until >= Stage::Released {
                            prop_assert!(receipt.release(&terms, cost).is_ok());
                            add(Stage::Released, |it| &mut it.released);
                        }
                    }
                    if until < Stage::Alive {
                        ledger = restore(&disk);
                    }
                }
            }
            prop_assert_eq!(&restore(&disk), &ledger);
            for index in 0..ACCOUNTS {
                let spent = ledger.standing(account(index)).0.units();
                let expected = simple[usize::from(index)];
                prop_assert_eq!(spent, expected.written);
                prop_assert!(spent >= expected.released);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..150) {
        let mut replay = Replay::new(&OWNER, None);
        let _ = replay.push(&bytes);
        // The same after a true beginning, so that the later checks are reached.
        let mut ledger = Ledger::new(&OWNER);
        let budget = Budget::new(Epsilon::new(1.0).unwrap(), Delta::new(1e-5).unwrap());
        let pending = ledger.set_budget(account(1), budget, Time::START).unwrap();
        let mut entry = pending.bytes()[..cut.min(pending.bytes().len())].to_vec();
        entry.extend(bytes);
        let mut replay = Replay::new(&OWNER, None);
        if replay.push(&entry).is_ok() {
            let ledger = replay.finish().unwrap();
            for account in ledger.accounts() {
                let _ = (ledger.spent_epsilon(account), ledger.left(account));
            }
        }
    }
}
