//! The records that a client keeps: whatever a disk gives back, nobody panics, and nothing is agreed
//! to twice.

use covey_crypto::SecretKey;
use covey_protocol::secagg::client::{Agreed, Masked};
use covey_protocol::wire::v1::secagg::{Agreements, Survivors};
use covey_protocol::wire::{decode, encode};

use super::Seeds;
use super::cast::MOST;
use super::phases;

/// The first byte says which record; two bytes how long it is; then a message that it is asked about.
pub fn run(data: &[u8]) {
    let Some(([first, low, high], rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let Some((record, message)) = rest.split_at_checked(length) else { return };
    match first {
        0 => masked(record, message),
        1 => agreed(record, message),
        _ => (),
    }
}

fn identity() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn masked(record: &[u8], message: &[u8]) {
    let Ok(masked) = decode::<Masked>(record, MOST) else { return };
    let again = encode(&masked);
    assert!(again.len() <= record.len() && decode::<Masked>(&again, MOST).is_ok());
    let Ok(survivors) = decode::<Survivors>(message, MOST) else { return };
    let Ok((agreed, agreement)) = masked.survivors(&survivors, &identity()) else { return };
    assert_eq!(agreed.survivors(&survivors, &identity()), Ok(agreement));
}

fn agreed(record: &[u8], message: &[u8]) {
    let Ok(agreed) = decode::<Agreed>(record, MOST) else { return };
    let again = encode(&agreed);
    assert!(again.len() <= record.len());
    let agreed_again = decode::<Agreed>(&again, MOST).expect("what was encoded decodes");
    assert_eq!(agreed_again.agreement(&identity()), agreed.agreement(&identity()));
    if let Ok(survivors) = decode::<Survivors>(message, MOST) {
        let answer = agreed.survivors(&survivors, &identity());
        assert!(answer.is_err() || answer == Ok(agreed.agreement(&identity())));
    }
    if let Ok(agreements) = decode::<Agreements>(message, MOST) {
        let _opening = agreed.agreements(&agreements);
    }
}

/// The records of an honest round with what comes next.
pub fn seeds() -> Seeds {
    let seed = |(kind, name, record, message): (u8, &str, Vec<u8>, Vec<u8>)| {
        let length = (record.len() as u16).to_le_bytes();
        (name.to_owned(), [vec![kind], length.to_vec(), record, message].concat())
    };
    phases::records().map(seed).into()
}
