//! A message of a small round is replaced by any other that decodes, and handed to whom it is for.
//!
//! The first byte says which message, the rest is it. Nobody panics; what must be signed is taken
//! only if it is what was signed; a changed message of a client never leads to a wrong sum; and a client that
//! was lied to opens nothing but the shares that the survivors call for, and those only if enough of the
//! witnesses agreed.

use std::collections::BTreeMap;

use covey_crypto::{SecretKey, Signature};
use covey_protocol::ids::NodeId;
use covey_protocol::secagg::client::{Agreed, Dealt, Enrolled, Masked, Masking};
use covey_protocol::secagg::server::{Sharing, Summing, Surviving, Unmasking};
use covey_protocol::secagg::{Check, Seat};
use covey_protocol::wire::v1::secagg::{
    Advertisement, Agreement, Agreements, Choice, Dealing, Inbox, Neighbours, Opening, Place,
    Roster, Survivors, Upload,
};
use covey_protocol::wire::{decode, encode};
use serde::de::DeserializeOwned;

use super::Seeds;
use super::cast::{Cast, ENTRIES, MOST, Step, Wire, complete, coordinator, sparse};

type Clients<T> = BTreeMap<NodeId, T>;
type Agreeing = Vec<(Seat, Signature)>;

pub fn run(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let Some(step) = Step::ALL.get(usize::from(*first)) else { return };
    if !decodes(*step, bytes) {
        return;
    }
    let mut wire = Wire::changed(*step, bytes);
    let _ended = match step {
        Step::Place | Step::Choice | Step::Neighbours => neighbours(&mut wire),
        _ => phases(&mut wire),
    };
}

/// Whether it is worth the round.
fn decodes(step: Step, bytes: &[u8]) -> bool {
    fn is<T: DeserializeOwned>(bytes: &[u8]) -> bool {
        decode::<T>(bytes, MOST).is_ok()
    }
    let is: fn(&[u8]) -> bool = match step {
        Step::Advertisement => is::<Advertisement>,
        Step::Roster => is::<Roster>,
        Step::Dealing => is::<Dealing>,
        Step::Inbox => is::<Inbox>,
        Step::Upload => is::<(Upload, Vec<u8>)>,
        Step::Survivors => is::<Survivors>,
        Step::Agreement => is::<Agreement>,
        Step::Agreements => is::<Agreements>,
        Step::Opening => is::<Opening>,
        Step::Place => is::<Place>,
        Step::Choice => is::<Choice>,
        Step::Neighbours => is::<Neighbours>,
    };
    is(bytes)
}

/// What is sent in honest rounds.
pub fn seeds() -> Seeds {
    let (mut complete, mut sparse) = (Wire::honest(), Wire::honest());
    phases(&mut complete).expect("an honest round ends well");
    neighbours(&mut sparse).expect("an honest round ends well");
    let of_sparse = sparse.sent.into_iter().filter(|(step, _)| *step as u8 >= Step::Place as u8);
    let sent = complete.sent.into_iter().chain(of_sparse);
    sent.map(|(step, bytes)| (format!("{step:?}"), [vec![step as u8], bytes].concat())).collect()
}

/// The records of an honest round, `Masked` (0) or `Agreed` (1), each with what comes next.
pub fn records() -> [(u8, &'static str, Vec<u8>, Vec<u8>); 3] {
    let mut wire = Wire::honest();
    phases(&mut wire).expect("an honest round ends well");
    let sent = |step| {
        let found = wire.sent.iter().find(|(known, _)| *known == step);
        found.expect("was sent").1.clone()
    };
    let record = |at: usize| wire.records[at].clone();
    [
        (0, "masked", record(0), sent(Step::Survivors)),
        (1, "agreed-again", record(1), sent(Step::Survivors)),
        (1, "agreed", record(1), sent(Step::Agreements)),
    ]
}

/// The round of the four, the last of whom drops out after dealing. None where it ended early.
fn phases(wire: &mut Wire<'_>) -> Option<()> {
    let mut cast = Cast::gather(&complete(), wire)?;
    let (mut enrolled, roster) = (Clients::new(), cast.seated.roster());
    for (id, client) in std::mem::take(&mut cast.joining) {
        let first = enrolled.is_empty();
        let arrived = if first { wire.pass(Step::Roster, &roster)? } else { roster.clone() };
        enrolled.insert(id, client.roster(&arrived).ok()?);
        if first {
            wire.must_be(Step::Roster, &arrived);
        }
    }
    let Cast { keys, mut rng, seated, .. } = cast;
    let mut sharing = seated.close().expect("a complete graph");
    let mut dealt = Clients::new();
    for (id, client) in enrolled {
        let (client, sent) = client.deal(&keys[&id], &mut rng);
        let arrived =
            if dealt.is_empty() { wire.pass(Step::Dealing, &sent)? } else { sent.clone() };
        assert!(sharing.deal(&id, arrived.clone()).is_err() || arrived == sent, "a forged dealing");
        dealt.insert(id, client);
    }
    let mut summing = sharing.close().ok()?;
    let masking = inboxes(wire, &summing, dealt)?;
    let masked = uploads(wire, &mut summing, masking, &keys)?;
    let mut surviving = summing.close(&coordinator()).ok()?;
    let (agreed, agreements) = agree(wire, &mut surviving, masked, &keys)?;
    let mut unmasking = surviving.close().ok()?;
    open(wire, &mut unmasking, agreed, &agreements)?;
    finish(wire, unmasking)
}

/// Shares of a dealer that were changed on their way are done without; whatever else the server says of who
/// dealt, a client goes on or ends.
fn inboxes(
    wire: &mut Wire<'_>,
    summing: &Summing,
    dealt: Clients<Dealt>,
) -> Option<Clients<Masking>> {
    let mut masking = Clients::new();
    for (id, client) in dealt {
        let sent = summing.inbox(&id)?;
        let arrived = if masking.is_empty() { wire.pass(Step::Inbox, &sent)? } else { sent };
        let (client, faults) = client.inbox(&arrived).ok()?;
        assert!(faults.len() <= arrived.shares.len());
        assert!(
            faults.iter().all(|it| [Check::SealedShare, Check::Commitment].contains(&it.check))
        );
        masking.insert(id, client);
    }
    Some(masking)
}

/// The vector of client n is n + 1 in every entry. The last client drops out.
fn uploads(
    wire: &mut Wire<'_>,
    summing: &mut Summing,
    masking: Clients<Masking>,
    keys: &Clients<SecretKey>,
) -> Option<Clients<Masked>> {
    let (mut masked, count) = (Clients::new(), masking.len());
    for (n, (id, mut client)) in masking.into_iter().enumerate().take(count - 1) {
        let bytes = client.next(&[n as u32 + 1; ENTRIES as usize]).expect("fits");
        let (client, upload) = client.finish(&keys[&id]).expect("whole");
        let sent: (Upload, Vec<u8>) = (upload, bytes);
        let arrived = if n == 0 { wire.pass(Step::Upload, &sent)? } else { sent };
        summing.accept(&id, &arrived.0, &arrived.1).ok()?;
        if n == 0 {
            wire.must_be(Step::Upload, &arrived);
        }
        masked.insert(id, client);
    }
    Some(masked)
}

fn agree(
    wire: &mut Wire<'_>,
    surviving: &mut Surviving,
    masked: Clients<Masked>,
    keys: &Clients<SecretKey>,
) -> Option<(Clients<Agreed>, Agreeing)> {
    let (mut agreed, mut agreements) = (Clients::new(), Vec::new());
    for (id, client) in masked {
        let (seat, sent) = (Seat(agreements.len() as u32), surviving.survivors().clone());
        let first = seat == Seat(0);
        let arrived = if first { wire.pass(Step::Survivors, &sent)? } else { sent };
        let record = encode(&client);
        let (client, sent) = client.survivors(&arrived, &keys[&id]).ok()?;
        if first {
            wire.records.extend([record, encode(&client)]);
            wire.must_be(Step::Survivors, &arrived);
        }
        let arrived = if first { wire.pass(Step::Agreement, &sent)? } else { sent };
        surviving.agree(&id, arrived).ok()?;
        if first {
            wire.must_be(Step::Agreement, &arrived);
        }
        agreements.push((seat, sent.signature));
        agreed.insert(id, client);
    }
    Some((agreed, agreements))
}

/// A client opens only with three agreements, and whatever it was told before, the
/// server finds what it opens to be what the survivors call for.
fn open(
    wire: &mut Wire<'_>,
    unmasking: &mut Unmasking,
    agreed: Clients<Agreed>,
    agreements: &[(Seat, Signature)],
) -> Option<()> {
    for (n, (id, client)) in agreed.into_iter().enumerate() {
        let sent = unmasking.agreements().clone();
        let arrived: Agreements = if n == 0 { wire.pass(Step::Agreements, &sent)? } else { sent };
        let sent: Opening = client.agreements(&arrived).ok()?;
        let counted = agreements.iter().filter(|it| arrived.signatures.contains(it)).count();
        assert!(n != 0 || counted >= 3, "opened for {counted} agreements");
        if n != 0 {
            unmasking.open(&id, sent).expect("an honest client's");
            continue;
        }
        let honest: Vec<Vec<u8>> = sent.shares.iter().map(encode).collect();
        let arrived: Opening = wire.pass(Step::Opening, &sent)?;
        let taken: Vec<Vec<u8>> = arrived.shares.iter().map(encode).collect();
        match unmasking.open(&id, arrived) {
            Ok(()) => assert!(taken.iter().all(|share| honest.contains(share)), "a forged share"),
            Err(_) => assert_eq!(wire.step, Some(Step::Opening), "opened what it must not"),
        }
    }
    Some(())
}

/// The sum is right, or shares are missing. (A server that lied to a client may well get a sum that
/// is none.)
fn finish(wire: &Wire<'_>, unmasking: Unmasking) -> Option<()> {
    let summed = unmasking.finish();
    if wire.step.is_none_or(Step::is_clients) {
        match summed {
            Ok(summed) => assert_eq!(summed.sum, [1 + 2 + 3; ENTRIES as usize]),
            Err(fault) => assert!(matches!(fault.check, Check::TooFew | Check::Withheld)),
        }
    }
    Some(())
}

/// The round of the ten up to the neighbours' keys, and shares dealt to them.
fn neighbours(wire: &mut Wire<'_>) -> Option<()> {
    let mut cast = Cast::gather(&sparse(), wire)?;
    let mut choosing = Clients::new();
    let thresholds = *cast.seated.thresholds();
    let mut drawn = Vec::new();
    for (id, client) in std::mem::take(&mut cast.joining) {
        let (first, sent) = (choosing.is_empty(), cast.seated.place(&id)?);
        let arrived = if first { wire.pass(Step::Place, &sent)? } else { sent };
        let (client, sent) = client.place(&arrived, &mut cast.rng).ok()?;
        if first {
            wire.must_be(Step::Place, &arrived);
            drawn.clone_from(&sent.neighbours);
        }
        let arrived = if first { wire.pass(Step::Choice, &sent)? } else { sent };
        let fits = arrived.neighbours.len() == thresholds.shareholders as usize
            && arrived.neighbours.is_sorted_by(|a, b| a < b)
            && arrived
                .neighbours
                .iter()
                .all(|it| it.0 < thresholds.cohort && (*it != Seat(0) || !first));
        assert_eq!(cast.seated.choose(&id, arrived).is_ok(), fits);
        choosing.insert(id, client);
    }
    let Cast { keys, mut rng, advertised, seated, .. } = cast;
    let sharing: Sharing = seated.close().ok()?;
    for (n, (id, client)) in choosing.into_iter().enumerate() {
        let Some(sent) = sharing.neighbours(&id) else { continue };
        let arrived: Neighbours = if n == 0 { wire.pass(Step::Neighbours, &sent)? } else { sent };
        let Ok(client) = client.neighbours(&arrived) else {
            assert_eq!(n, 0, "an honest client was refused");
            continue;
        };
        for (seat, keys) in &arrived.keys {
            assert_eq!(advertised.values().nth(seat.index()), Some(keys), "keys of nobody");
            assert!(n != 0 || drawn.contains(seat) || arrived.choosing.contains(seat));
        }
        let client: Enrolled = client;
        let (_, dealing) = client.deal(&keys[&id], &mut rng);
        assert_eq!(dealing.shares.len(), thresholds.shareholders as usize);
    }
    Some(())
}
