//! Places in the list of members, and sets of them.

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::limits::MAX_COHORT;

/// A client's place in the list of eligible members ([`super::Members`]), counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seat(pub u32);

impl Seat {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Where the seat's shares lie on the polynomial: from 1, as the secret lies at 0.
    pub(super) const fn place(self) -> u32 {
        self.0 + 1
    }
}

/// A set of members of a list of a known length: one bit a seat. Equal sets have equal encodings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeatSet {
    seats: u32,
    bits: Vec<u8>,
}

impl SeatSet {
    /// The empty set of a list of `seats` members, at most [`MAX_COHORT`].
    pub fn new(seats: u32) -> Self {
        let seats = seats.min(MAX_COHORT);
        Self { seats, bits: vec![0; seats.div_ceil(8) as usize] }
    }

    /// Adds a seat; false if it was in the set already or there is no such seat.
    pub fn insert(&mut self, seat: Seat) -> bool {
        if seat.0 >= self.seats || self.contains(seat) {
            return false;
        }
        self.bits[seat.index() / 8] |= 1 << (seat.0 % 8);
        true
    }

    /// Whether the seat is in the set.
    pub fn contains(&self, seat: Seat) -> bool {
        let byte = self.bits.get(seat.index() / 8);
        byte.is_some_and(|byte| byte >> (seat.0 % 8) & 1 == 1)
    }

    /// The length of the list.
    pub fn seats(&self) -> u32 {
        self.seats
    }

    /// How many are in the set.
    pub fn len(&self) -> u32 {
        self.bits.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|byte| *byte == 0)
    }

    /// Whether everybody in this set is in `other` too.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.seats == other.seats
            && self.bits.iter().zip(&other.bits).all(|(own, other)| own & !other == 0)
    }

    /// The seats in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = Seat> + '_ {
        (0..self.seats).map(Seat).filter(|seat| self.contains(*seat))
    }
}

impl Extend<Seat> for SeatSet {
    fn extend<T: IntoIterator<Item = Seat>>(&mut self, seats: T) {
        for seat in seats {
            self.insert(seat);
        }
    }
}

impl<'de> Deserialize<'de> for SeatSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            seats: u32,
            #[serde(
                deserialize_with = "crate::wire::bounded::list::<{ MAX_COHORT as usize / 8 }, _, _>"
            )]
            bits: Vec<u8>,
        }
        let Raw { seats, bits } = Raw::deserialize(deserializer)?;
        let stray = bits.last().is_some_and(|last| seats % 8 != 0 && last >> (seats % 8) != 0);
        if seats > MAX_COHORT || bits.len() != seats.div_ceil(8) as usize || stray {
            return Err(de::Error::custom("a malformed set of seats"));
        }
        Ok(Self { seats, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{decode, encode};

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set = SeatSet::new(11);
        assert!(set.is_empty());
        assert!(set.insert(Seat(3)) && set.insert(Seat(10)));
        assert!(!set.insert(Seat(3)), "twice");
        assert!(!set.insert(Seat(11)), "no seat");
        assert_eq!(set.iter().collect::<Vec<_>>(), [Seat(3), Seat(10)]);
        assert_eq!(set.len(), 2);
        let mut more = set.clone();
        more.insert(Seat(0));
        assert!(set.is_subset(&more) && !more.is_subset(&set));
        assert!(!SeatSet::new(10).is_subset(&more), "of another cohort");
    }

    #[test]
    fn encodings_are_unique_and_checked() {
        let mut set = SeatSet::new(11);
        set.extend([Seat(1), Seat(9)]);
        let bytes = encode(&set);
        assert_eq!(decode::<SeatSet>(&bytes, 64), Ok(set));
        for bad in [[11, 2, 0, 8], [11, 1, 0, 0], [17, 2, 0, 0]] {
            assert!(decode::<SeatSet>(&bad, 64).is_err(), "{bad:?}");
        }
        let huge = encode(&(u32::MAX, Vec::<u8>::new()));
        assert!(decode::<SeatSet>(&huge, 64).is_err());
    }
}
