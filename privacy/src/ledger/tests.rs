use super::*;
use crate::{Delta, Epsilon};

const OWNER: [u8; 32] = [7; 32];
const DAY: u64 = 86_400_000;

fn account(byte: u8) -> Account {
    Account::Collection { unit: Unit::Peer, collection: CollectionKey([byte; 32]) }
}

fn budget(epsilon: f64) -> Budget {
    Budget::new(Epsilon::new(epsilon).unwrap(), Delta::new(1e-5).unwrap())
}

fn rho(value: f64) -> Rho {
    Rho::new(value).unwrap()
}

fn request(terms: u8, cost: f64, collections: &[u8]) -> Request {
    let keys = collections.iter().map(|byte| CollectionKey([*byte; 32])).collect();
    let terms = Digest::sha256(&[terms]);
    Request::new(GroupKey([1; 32]), terms, Charge::of(rho(cost)), Unit::Peer, keys).unwrap()
}

fn with_budget(epsilon: f64, collections: &[u8]) -> Ledger {
    let mut ledger = Ledger::new(&OWNER);
    for byte in collections {
        ledger.set_budget(account(*byte), budget(epsilon), Time::START).unwrap().recorded();
    }
    ledger
}

fn pay(ledger: &mut Ledger, request: &Request, now: Time) -> Result<Receipt, Refusal> {
    Ok(ledger.reserve(request, now)?.recorded())
}

#[test]
fn a_budget_of_eight_takes_what_it_promises_and_no_more() {
    let mut ledger = with_budget(8.0, &[1]);
    // Noise multiplier 4: rho 1/32 a round.
    let mut rounds = 0;
    let refusal = loop {
        match pay(&mut ledger, &request(rounds, 1.0 / 32.0, &[1]), Time::START) {
            Ok(receipt) => assert_eq!(receipt.place(), u64::from(rounds) + 1),
            Err(refusal) => break refusal,
        }
        rounds += 1;
    };
    assert_eq!(rounds, 39);
    let spent = ledger.spent_epsilon(account(1)).unwrap();
    assert!(spent.get() <= 8.0 && spent.get() > 7.9, "{spent}");
    let text = refusal.to_string();
    assert!(text.contains("epsilon 7.96 of its budget of 8.00 at delta 1e-5"), "{text}");
    assert!(text.contains("to 8.08") && text.contains("more noise"), "{text}");
}

#[test]
fn all_collections_pay_or_none() {
    let mut ledger = with_budget(1.0, &[1, 2]);
    let before = ledger.clone();
    assert_eq!(
        pay(&mut ledger, &request(1, 0.001, &[1, 3]), Time::START),
        Err(Refusal::NoBudget { account: account(3) })
    );
    assert_eq!(ledger, before);
    let receipt = pay(&mut ledger, &request(1, 0.001, &[2, 1, 2]), Time::START).unwrap();
    for byte in [1, 2] {
        // Without one of two collections, the contribution is another one.
        assert_eq!(ledger.standing(account(byte)).0, receipt.charge().times(4));
    }
    assert_eq!(ledger.standing(Account::Peer).0, receipt.charge());
}

/// A round on both, and one on either: the peer pays for three.
#[test]
fn the_peer_pays_once_for_each_round_whatever_it_trains_on() {
    let mut ledger = with_budget(8.0, &[1, 2]);
    let mut spent = Charge::NONE;
    for (terms, collections) in [(1, &[1, 2][..]), (2, &[1]), (3, &[2])] {
        let receipt = pay(&mut ledger, &request(terms, 0.1, collections), Time::START).unwrap();
        spent = spent.and(receipt.charge());
    }
    assert_eq!(ledger.standing(Account::Peer), (spent, None));
    for byte in [1, 2] {
        assert_eq!(ledger.standing(account(byte)).0, Charge::of(rho(0.1)).times(5));
    }
    // A budget of its own stops the peer on every collection.
    ledger.set_budget(Account::Peer, budget(4.0), Time::START).unwrap().recorded();
    for byte in [1, 2] {
        let refusal = pay(&mut ledger, &request(4, 0.1, &[byte]), Time::START).unwrap_err();
        assert!(matches!(refusal, Refusal::Budget { account: Account::Peer, .. }), "{refusal}");
    }
}

#[test]
fn a_cost_too_large_to_multiply_fits_no_budget() {
    let mut ledger = with_budget(8.0, &[1, 2]);
    let keys = vec![CollectionKey([1; 32]), CollectionKey([2; 32])];
    let charge = Charge::from_units((1 << 62) + 1);
    let request = Request::new(GroupKey([1; 32]), Digest::ZERO, charge, Unit::Peer, keys).unwrap();
    assert!(request.charges().all(|(_, charge)| charge == Charge::EVERYTHING));
    assert!(pay(&mut ledger, &request, Time::START).is_err());
}

#[test]
fn a_round_without_noise_fits_no_budget_and_is_never_forgotten() {
    let unbounded = |terms: u8, collections: &[u8]| {
        let keys = collections.iter().map(|byte| CollectionKey([*byte; 32])).collect();
        let terms = Digest::sha256(&[terms]);
        let group = GroupKey([1; 32]);
        Request::new(group, terms, Charge::EVERYTHING, Unit::Peer, keys).unwrap()
    };
    // Where there is a budget, for the collection, the documents in it, or the peer.
    let documents =
        Account::Collection { unit: Unit::Document, collection: CollectionKey([1; 32]) };
    for bounded in [account(1), documents, Account::Peer] {
        let mut ledger = Ledger::new(&OWNER);
        ledger.set_budget(bounded, budget(100.0), Time::START).unwrap().recorded();
        let refusal = ledger.reserve(&unbounded(1, &[1]), Time::START).unwrap_err();
        assert_eq!(refusal, Refusal::WithoutNoise { account: bounded });
    }
    // Where there is none it is noted once, and a budget that comes later lets nothing pass.
    let mut ledger = Ledger::new(&OWNER);
    assert!(!ledger.adds_nothing(&unbounded(1, &[1])));
    let _ = pay(&mut ledger, &unbounded(1, &[1]), Time::START).unwrap();
    assert!(ledger.adds_nothing(&unbounded(2, &[1])));
    assert!(!ledger.adds_nothing(&unbounded(3, &[1, 2])), "another collection");
    for bounded in [Account::Peer, account(1), account(2)] {
        ledger.set_budget(bounded, budget(8.0), Time::START).unwrap().recorded();
    }
    assert_eq!(ledger.spent_epsilon(account(1)), None);
    let refusal = ledger.reserve(&request(4, 1e-6, &[1]), Time::START).unwrap_err();
    assert!(refusal.to_string().contains("has spent epsilon without bound"), "{refusal}");
    // The peer has no bound any more either, whatever it learns from.
    let refusal = ledger.reserve(&request(5, 1e-6, &[2]), Time::START).unwrap_err();
    assert!(matches!(refusal, Refusal::Budget { account: Account::Peer, .. }), "{refusal}");
}

#[test]
fn a_peer_level_round_is_charged_to_documents_as_a_replacement() {
    let mut ledger = with_budget(8.0, &[1]);
    let collection = CollectionKey([1; 32]);
    let documents = Account::Collection { unit: Unit::Document, collection };
    let receipt = pay(&mut ledger, &request(1, 0.1, &[1]), Time::START).unwrap();
    // Zero is one clip norm away, another contribution up to two.
    assert_eq!(ledger.standing(documents), (receipt.charge().times(4), None));
    assert_eq!(ledger.standing(account(1)).0, receipt.charge());
    // A budget that comes later finds it spent, and then refuses peer-level rounds as well.
    ledger.set_budget(documents, budget(1.0), Time::START).unwrap().recorded();
    let refusal = pay(&mut ledger, &request(2, 0.1, &[1]), Time::START).unwrap_err();
    assert!(matches!(refusal, Refusal::Budget { account, .. } if account == documents));
}

#[test]
fn a_document_level_round_has_no_bound_for_the_whole() {
    let of = |unit| Account::Collection { unit, collection: CollectionKey([1; 32]) };
    let round = |terms: u8| {
        let (group, terms) = (GroupKey([1; 32]), Digest::sha256(&[terms]));
        let keys = vec![CollectionKey([1; 32])];
        Request::new(group, terms, Charge::of(rho(0.1)), Unit::Document, keys).unwrap()
    };
    let wholes = [Account::Peer, of(Unit::Peer)];
    for whole in wholes {
        let mut ledger = Ledger::new(&OWNER);
        for account in [of(Unit::Document), whole] {
            ledger.set_budget(account, budget(100.0), Time::START).unwrap().recorded();
        }
        let refusal = pay(&mut ledger, &round(1), Time::START).unwrap_err();
        assert_eq!(refusal, Refusal::DocumentsAlone { account: whole });
        assert_eq!(ledger.standing(of(Unit::Document)).0, Charge::NONE);
    }
    let mut ledger = Ledger::new(&OWNER);
    let refusal = pay(&mut ledger, &round(1), Time::START).unwrap_err();
    assert_eq!(refusal, Refusal::NoBudget { account: of(Unit::Document) });
    ledger.set_budget(of(Unit::Document), budget(8.0), Time::START).unwrap().recorded();
    let receipt = pay(&mut ledger, &round(1), Time::START).unwrap();
    let _ = pay(&mut ledger, &round(2), Time::START).unwrap();
    assert_eq!(ledger.standing(of(Unit::Document)).0, receipt.charge().times(2));
    for whole in wholes {
        assert_eq!(ledger.standing(whole).0, Charge::EVERYTHING);
        // A budget that comes later lets no peer-level round pass, and from then on no round by document either.
        ledger.set_budget(whole, budget(8.0), Time::START).unwrap().recorded();
    }
    assert!(pay(&mut ledger, &request(3, 1e-6, &[1]), Time::START).is_err());
    assert!(pay(&mut ledger, &round(4), Time::START).is_err());
}

#[test]
fn a_dropped_request_costs_nothing_and_a_retry_is_charged_again() {
    let mut ledger = with_budget(1.0, &[1]);
    // The attempt's number is in the terms, so each attempt has its own digest.
    let [first, second] = [1, 2].map(|attempt| request(attempt, 0.001, &[1]));
    drop(ledger.reserve(&first, Time::START).unwrap());
    assert_eq!(
        (ledger.standing(account(1)).0, ledger.charged(first.terms())),
        (Charge::NONE, None)
    );
    let receipt = pay(&mut ledger, &first, Time::START).unwrap();
    assert_eq!((ledger.charged(first.terms()), ledger.charged(second.terms())), (Some(1), None));
    assert!(receipt.release(second.terms(), second.charge()).is_err());
    let _ = pay(&mut ledger, &second, Time::START).unwrap();
    // So does asking twice for the same one.
    let _ = pay(&mut ledger, &second, Time::START).unwrap();
    assert_eq!(ledger.standing(account(1)).0, first.charge().times(3));
    assert_eq!(ledger.charged(second.terms()), Some(2));
}

#[test]
fn a_receipt_serves_its_own_terms_at_its_own_cost() {
    let mut ledger = with_budget(1.0, &[1]);
    let mut receipt = || pay(&mut ledger, &request(1, 0.001, &[1]), Time::START).unwrap();
    let (terms, cost) = (Digest::sha256(&[1]), Charge::of(rho(0.001)));
    assert_eq!(receipt().release(&terms, cost).unwrap().place, 1);
    assert!(matches!(receipt().release(&Digest::ZERO, cost), Err(WrongRound::Terms { .. })));
    let more = cost.and(Charge::from_units(1));
    assert!(matches!(receipt().release(&terms, more), Err(WrongRound::Cost { .. })));
}

#[test]
fn a_pace_names_the_date_and_never_refills_the_budget() {
    let mut ledger = Ledger::new(&OWNER);
    let paced = budget(8.0).paced(rho(0.02), 7 * DAY);
    ledger.set_budget(account(1), paced, Time::START).unwrap().recorded();
    let start = Time::from_millis(20_000 * DAY);
    let round = request(1, 0.01, &[1]);
    // Three hundredths in a week are too many: the pace rounds down and the charges up.
    let _ = pay(&mut ledger, &round, start).unwrap();
    let refusal = pay(&mut ledger, &round, start.after(DAY)).unwrap_err();
    let until = start.after(7 * DAY);
    assert_eq!(refusal, Refusal::NotBefore { account: account(1), until });
    assert!(refusal.to_string().contains("from 2024-10-11 00:00 UTC"), "{refusal}");
    // A clock set back does not help, and a later day does.
    assert!(pay(&mut ledger, &round, Time::START).is_err());
    let _ = pay(&mut ledger, &round, until).unwrap();
    assert_eq!(ledger.standing(account(1)).0.units(), 2 * round.charge().units());
    let large = request(2, 0.03, &[1]);
    let refusal = pay(&mut ledger, &large, until.after(99 * DAY));
    assert_eq!(refusal, Err(Refusal::AbovePace { account: account(1) }));
}

#[test]
fn a_lowered_budget_stops_at_once_and_spending_stays() {
    let mut ledger = with_budget(8.0, &[1]);
    let _ = pay(&mut ledger, &request(1, 0.5, &[1]), Time::START).unwrap();
    ledger.set_budget(account(1), budget(1.0), Time::START).unwrap().recorded();
    assert_eq!(ledger.standing(account(1)).0, Charge::of(rho(0.5)));
    assert_eq!(ledger.left(account(1)), Rho::ZERO);
    assert!(matches!(
        pay(&mut ledger, &request(2, 1e-9, &[1]), Time::START),
        Err(Refusal::Budget { .. })
    ));
}

/// A chain of four entries, and the state after it.
fn chain() -> (Vec<Vec<u8>>, Ledger) {
    let mut ledger = Ledger::new(&OWNER);
    let mut log = Vec::new();
    let paced = budget(8.0).paced(rho(0.5), DAY);
    for (byte, budget) in [(1, budget(2.0)), (2, paced)] {
        let pending = ledger.set_budget(account(byte), budget, Time::from_millis(5)).unwrap();
        log.push(pending.bytes().to_vec());
        pending.recorded();
    }
    let pending = ledger.reserve(&request(1, 0.01, &[1, 2]), Time::from_millis(9)).unwrap();
    log.push(pending.bytes().to_vec());
    let _ = pending.recorded();
    let pending = ledger.set_budget(Account::Peer, budget(3.0), Time::from_millis(9)).unwrap();
    log.push(pending.bytes().to_vec());
    pending.recorded();
    (log, ledger)
}

fn replay(log: &[Vec<u8>], noted: Option<Head>) -> Result<Ledger, LedgerError> {
    let mut replay = Replay::new(&OWNER, noted);
    log.iter().try_for_each(|bytes| replay.push(bytes))?;
    replay.finish()
}

#[test]
fn a_replay_restores_the_state() {
    let (log, ledger) = chain();
    assert_eq!(replay(&log, Some(ledger.head())), Ok(ledger));
}

#[test]
fn every_changed_byte_and_every_cut_is_refused() {
    let (log, ledger) = chain();
    let noted = Some(ledger.head());
    for (place, entry) in log.iter().enumerate() {
        for at in 0..entry.len() {
            let mut changed = log.clone();
            changed[place][at] ^= 0x10;
            assert!(replay(&changed, noted).is_err(), "entry {place} byte {at}");
            changed[place] = entry[..at].to_vec();
            assert!(replay(&changed, noted).is_err(), "entry {place} cut at {at}");
        }
        let mut longer = log.clone();
        longer[place].push(0);
        assert!(replay(&longer, noted).is_err());
        let mut without = log.clone();
        without.remove(place);
        assert!(replay(&without, noted).is_err());
    }
    let mut other = Replay::new(&[8; 32], None);
    assert_eq!(other.push(&log[0]), Err(LedgerError::Chain { place: 0 }));
    assert_eq!(replay(&log[..2], noted), Err(LedgerError::Head { noted: 4 }));
    assert!(replay(&log[..2], None).is_ok());
}

/// Whoever reads on after a bad entry, or stops there, gets no ledger: it would lack charges.
#[test]
fn a_replay_that_failed_gives_no_ledger() {
    let (log, ledger) = chain();
    let other = Head { entries: 0, digest: Digest::ZERO };
    assert!(replay(&log, Some(other)).is_err(), "noted of another node");
    assert!(replay(&log, Some(Ledger::new(&OWNER).head())).is_ok());
    for (at, noted) in [(1, None), (2, Some(ledger.head()))] {
        let mut replay = Replay::new(&OWNER, noted);
        log[..at].iter().for_each(|entry| replay.push(entry).unwrap());
        let torn = &log[at][..log[at].len() - 1];
        let error = replay.push(torn).unwrap_err();
        assert_eq!(replay.push(&log[at]), Err(error.clone()), "nothing follows it");
        assert_eq!(replay.finish(), Err(error));
    }
}

#[test]
fn checks_name_their_number() {
    let (log, _) = chain();
    let check = |place: usize, edit: fn(&mut Vec<u8>)| {
        let mut replay = Replay::new(&OWNER, None);
        log[..place].iter().for_each(|bytes| replay.push(bytes).unwrap());
        let mut bytes = log[place].clone();
        edit(&mut bytes);
        replay.push(&bytes).unwrap_err().to_string()
    };
    for (place, edit, name) in [
        (0, (|bytes| bytes.resize(5000, 0)) as fn(&mut Vec<u8>), "P1"),
        (0, |bytes| bytes.truncate(60), "P2"),
        (0, |bytes| bytes[0] = 2, "P3"),
        (0, |bytes| bytes[49] = 9, "P3"),
        (1, |bytes| bytes[1] = 7, "P4"),
        (1, |bytes| bytes[9] ^= 1, "P5"),
        (1, |bytes| bytes[41] = 1, "P6"),
        (1, |bytes| bytes[50] = 3, "P7"),
        (3, |bytes| bytes[50] = 4, "P7"),
        (3, |bytes| bytes[51] = 1, "P7"),
        (1, |bytes| bytes[83..91].fill(0xff), "P7"),
        (2, |bytes| bytes[123] = 0, "P8"),
        (2, |bytes| bytes[124] ^= 0x40, "P8"),
        (0, |bytes| bytes.push(1), "P9"),
    ] {
        let text = check(place, edit);
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn vectors() {
    let (log, ledger) = chain();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    crate::testing::pinned(
        "ledger.json",
        &serde_json::json!({
            "about": "four entries of the ledger of the node whose public key is 32 bytes of 7: budgets of epsilon 2 and 8 at \
                      delta 1e-5 for two collections at peer level, the second paced; a round that charges both; and a budget of \
                      epsilon 3 for the whole peer. head is the digest after the last",
            "entries": log.iter().map(|bytes| hex(bytes)).collect::<Vec<_>>(),
            "head": ledger.head().digest.to_string(),
        }),
    );
}
