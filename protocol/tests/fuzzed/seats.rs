//! A set of seats decodes only from its own encoding, and behaves like a set.

use std::collections::BTreeSet;

use covey_protocol::limits::MAX_COHORT;
use covey_protocol::secagg::{Seat, SeatSet};
use covey_protocol::wire::{decode, encode};

use super::Seeds;

/// Seats and whether to add them come before the set: one byte of how many, and two each.
pub fn run(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else { return };
    let Some((added, bytes)) = rest.split_at_checked(2 * usize::from(*count)) else { return };
    let Ok(mut set) = decode::<SeatSet>(bytes, 1 << 13) else { return };
    assert!(set.seats() <= MAX_COHORT);
    assert_eq!(decode(&encode(&set), 1 << 13), Ok(set.clone()));
    let mut model: BTreeSet<Seat> = set.iter().collect();
    assert!(model.iter().all(|seat| seat.0 < set.seats()));
    assert_eq!(model.len(), set.len() as usize);
    assert_eq!(model.is_empty(), set.is_empty());
    let before = set.clone();
    for seat in added.chunks_exact(2) {
        let seat = Seat(u32::from(u16::from_le_bytes([seat[0], seat[1]])));
        assert_eq!(set.contains(seat), model.contains(&seat));
        assert_eq!(set.insert(seat), seat.0 < set.seats() && model.insert(seat));
    }
    assert!(set.iter().eq(model.iter().copied()));
    assert!(before.is_subset(&set) && (before == set || !set.is_subset(&before)));
    let mut again = SeatSet::new(set.seats());
    again.extend(model);
    assert_eq!(encode(&again), encode(&set), "equal sets, equal bytes");
}

pub fn seeds() -> Seeds {
    let seed = |seats: u32, members: &[u32], added: &[u16]| {
        let mut set = SeatSet::new(seats);
        set.extend(members.iter().copied().map(Seat));
        let added: Vec<u8> = added.iter().flat_map(|seat| seat.to_le_bytes()).collect();
        let bytes = [vec![(added.len() / 2) as u8], added, encode(&set)].concat();
        (format!("{seats}-of-{}", members.len()), bytes)
    };
    vec![
        seed(0, &[], &[0, 1]),
        seed(4, &[0, 1, 2], &[3, 4]),
        seed(11, &[1, 9, 10], &[]),
        seed(200, &[0, 64, 199], &[5, 200]),
        seed(MAX_COHORT, &[16_383], &[0, 16_384]),
    ]
}
