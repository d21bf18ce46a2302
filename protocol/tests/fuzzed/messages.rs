//! Every message of secure aggregation: whatever decodes is encoded again, in no more bytes, and
//! decodes to the same.

use covey_protocol::secagg::Terms;
use covey_protocol::wire::v1::secagg::{
    Advertisement, Agreement, Agreements, Choice, Dealing, Delivery, Inbox, Neighbours,
    OpenedShare, Opening, Place, Roster, RosterHead, SealedShares, Survivors, Upload,
};
use covey_protocol::wire::{decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Seeds;
use super::cast::{MOST, complete};
use super::phases;

const DECODERS: [fn(&[u8]); 17] = [
    check::<Advertisement>,
    check::<Roster>,
    check::<Dealing>,
    check::<Inbox>,
    check::<Upload>,
    check::<Survivors>,
    check::<Agreement>,
    check::<Agreements>,
    check::<Opening>,
    check::<Place>,
    check::<Choice>,
    check::<Neighbours>,
    check::<RosterHead>,
    check::<SealedShares>,
    check::<Delivery>,
    check::<OpenedShare>,
    check::<Terms>,
];

/// The first byte says which message.
pub fn run(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    if let Some(check) = DECODERS.get(usize::from(*first)) {
        check(bytes);
    }
}

fn check<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = decode::<T>(bytes, MOST) else { return };
    let again = encode(&message);
    assert!(again.len() <= bytes.len());
    let message: T = decode(&again, MOST).expect("what was encoded decodes");
    assert_eq!(encode(&message), again);
}

/// What is sent in honest rounds, and the terms.
pub fn seeds() -> Seeds {
    let mut seeds = phases::seeds();
    for (_, bytes) in &mut seeds {
        // A masked vector follows its upload there.
        if bytes[0] == 4 {
            bytes.truncate(1 + 96);
        }
    }
    seeds.push(("Terms".into(), [vec![16], encode(&complete())].concat()));
    seeds
}
