//! R13: members who count, and those whom a coordinator may have enrolled itself.

use covey_protocol::group::{Change, Log, Role, Wish};
use covey_protocol::ids::UnixMillis;
use covey_protocol::round::Company;
use covey_protocol::secagg::{Bounds, Members, Parameters, Seat, SeatSet, Topology};

use crate::common::*;

const DAY: u64 = 24 * 3_600_000;
const COORDINATOR: u8 = BOB;

/// Ann founds it. Each of `added` comes in a second after the one before, invited by Ann or by an admin; those from `late` on, a month later.
fn log(added: &[(u8, u8, Role)], late: usize) -> Log {
    let mut log = founded();
    for (place, (who, by, role)) in added.iter().enumerate() {
        let at = START.plus(place as u64 * 1_000 + if place >= late { 30 * DAY } else { 0 });
        if *by == ANN {
            log.sequence(add(*who, ANN, *role), &key(ANN), at).expect("comes in");
            continue;
        }
        let (node, invite) = (node(*who), invite(*who));
        let wish = Wish::Add { node, name: name(&format!("node-{who}")), invite };
        let request = log.wish(wish, &key(*by), at, &mut rng(place as u64)).expect("an admin may");
        log.sequence_request(request, &key(ANN), at).expect("granted");
        if *role == Role::Admin {
            let change = Change::SetRole { node, role: Role::Admin };
            log.sequence(change, &key(ANN), at).expect("Ann may");
        }
    }
    log
}

fn company(log: &Log, me: u8, now: UnixMillis) -> (Members, Company) {
    let members = Members::new(log.members().keys().copied()).expect("few");
    let company = Company::of(log, &members, node(COORDINATOR), node(me), (7 * DAY, now), 3);
    (members, company)
}

fn known(log: &Log, me: u8, now: UnixMillis) -> u32 {
    company(log, me, now).1.known()
}

#[test]
fn who_counts() {
    use Role::{Admin, Member};
    let then = START.plus(20 * DAY);
    // Bob coordinates. Ann and Cleo invited four; Dan is asked.
    let added = [
        (BOB, ANN, Admin),
        (CLEO, ANN, Admin),
        (DAN, CLEO, Member),
        (5, CLEO, Member),
        (6, ANN, Member),
    ];
    assert_eq!(
        known(&log(&added, 9), DAN, then),
        4,
        "Ann, Cleo, Dan and 6; 5 Cleo brought, and Bob coordinates"
    );
    assert_eq!(
        known(&log(&added, 9), DAN, START.plus(2 * DAY)),
        1,
        "nobody has been in it for a week"
    );
    assert_eq!(known(&log(&added, 4), DAN, START.plus(31 * DAY)), 3, "6 came too late");

    // Whom Bob invited, and whom those invited, count for nothing.
    let his = [
        (BOB, ANN, Admin),
        (CLEO, BOB, Admin),
        (5, CLEO, Member),
        (6, CLEO, Member),
        (DAN, ANN, Member),
    ];
    assert_eq!(
        known(&log(&his, 9), DAN, then),
        1,
        "Ann is left, and one alone vouches for herself"
    );
    let more = [&his[..], &[(7, ANN, Member)]].concat();
    assert_eq!(known(&log(&more, 9), DAN, then), 1, "Ann invited all who would count");
    // But those whom the asker invited do, whoever invited the asker.
    let mine = [&his[..], &[(8, CLEO, Member), (7, ANN, Member)]].concat();
    assert_eq!(known(&log(&mine, 9), CLEO, then), 1 + 3 + 3, "5, 6, 8; Ann, Dan, 7");

    // Once an inviter has left, it vouches for nobody.
    let mut left = log(&added, 9);
    left.sequence(Change::Remove { node: node(CLEO) }, &key(ANN), START.plus(DAY))
        .expect("Ann may");
    assert_eq!(known(&left, DAN, then), 1, "Ann and 6 are of one inviter");
    // Who comes in again is new.
    let again = START.plus(19 * DAY);
    left.sequence(add(CLEO, ANN, Member), &key(ANN), again).expect_err("an invite is for once");
}

#[test]
fn a_founder_who_coordinates_has_invited_all() {
    let added: Vec<_> = (3..9).map(|who| (who, ANN, Role::Admin)).collect();
    let log = log(&added, 99);
    let members = Members::new(log.members().keys().copied()).expect("few");
    let when = (7 * DAY, START.plus(20 * DAY));
    let company = Company::of(&log, &members, node(ANN), node(DAN), when, 3);
    assert_eq!(company.known(), 1);
}

#[test]
fn all_that_may_be_missing_are_taken_to_be_those_who_count() {
    let by = |who: u8| if who <= CLEO || who.is_multiple_of(2) { ANN } else { CLEO };
    let added: Vec<_> = (2..=11).map(|who| (who, by(who), Role::Admin)).collect();
    let (members, company) = company(&log(&added, 99), DAN, START.plus(20 * DAY));
    assert_eq!((members.len(), company.known()), (11, 6), "Cleo brought four");
    let bounds = Bounds { collusion_permille: 100, dropout_permille: 100, ..Bounds::default() };
    let parameters = Parameters {
        topology: Topology::Complete,
        entries: 10,
        min_cohort: 4,
        max_cohort: 11,
        bounds,
    };
    let mut all = SeatSet::new(11);
    all.extend((0..11).map(Seat));
    // Of eleven one may drop out and one collude: nine honest, of whom one, Bob's node, does not count.
    assert_eq!(company.check(&all, &parameters), Ok(()));
    let coordinator = members.seat(&node(BOB)).expect("a member");
    let others: Vec<Seat> = all.iter().filter(|seat| *seat != coordinator).collect();
    // Four seats: one collusion or drop-out each leaves two honest at worst.
    let mut few = SeatSet::new(11);
    few.extend(others[..3].iter().copied().chain([coordinator]));
    let refused = company.check(&few, &parameters).expect_err("too few");
    assert!(refused.found <= 2 && refused.wanted == 3, "{refused}");
}

#[test]
fn one_who_helps_the_coordinator_brings_in_nobody_who_counts() {
    // Cleo, an admin, enrols thirty for Bob, who coordinates; some of them bring others.
    let mut added =
        vec![(BOB, ANN, Role::Admin), (CLEO, ANN, Role::Admin), (DAN, ANN, Role::Member)];
    added.extend((5..=20).map(|who| (who, CLEO, Role::Admin)));
    added.extend((21..=34).map(|who| (who, who - 16, Role::Member)));
    let (members, company) = company(&log(&added, 99), DAN, START.plus(20 * DAY));
    assert_eq!(company.known(), 3, "Ann, Cleo and Dan");
    let mut cohort = SeatSet::new(members.len());
    cohort.extend((5..=34).chain([DAN]).filter_map(|who| members.seat(&node(who))));
    let bounds = Bounds { collusion_permille: 100, dropout_permille: 100, ..Bounds::default() };
    let (topology, entries) = (Topology::Complete, 10);
    let parameters = Parameters { topology, entries, min_cohort: 4, max_cohort: 34, bounds };
    assert!(company.check(&cohort, &parameters).is_err());
}
