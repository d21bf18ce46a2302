//! Two small rounds with every byte pinned (protocol/vectors/secagg.json): one on a complete graph
//! in which a client drops out after sharing, and one on a sparse graph up to the shares.

use covey_crypto::{Digest, MaskStream, RoundSecret, Secret32, derive_key, seal, shamir};
use covey_protocol::ids::NodeId;
use covey_protocol::secagg::{Bounds, Topology};
use covey_protocol::wire::encode;
use serde_json::{Value, json};

use crate::secagg_round::*;
use crate::vectors::{hex, pinned};

/// The primitives on fixed inputs, so that another implementation can find where it differs.
fn primitives() -> Value {
    let mut rng = rng(1);
    let [a, b] = [RoundSecret::draw(&mut rng), RoundSecret::draw(&mut rng)];
    let salt = Digest::sha256(b"salt");
    let key = || derive_key(&a.agree(&b.public())[..], &salt, "purpose", &[b"one", b"two"]);
    let mut mask = [0; 4];
    MaskStream::new(&Secret32::from_bytes([7; 32])).add_to(&mut mask);
    let shares = shamir::deal(&a, 2, &[1, 2, 3], &mut rng).expect("deals");
    json!({
        "ristretto255": {
            "a_secret": hex(&a.expose()[..]), "a_public": a.public(),
            "b_secret": hex(&b.expose()[..]), "b_public": b.public(),
            "agreed": hex(&a.agree(&b.public())[..]),
        },
        "derived_key": { "salt": salt, "purpose": "purpose", "parts": ["one", "two"], "key": hex(key().expose()) },
        "sealed": { "context": "context", "content": "content", "sealed": hex(&seal(key(), b"context", b"content")) },
        "shares_of_a": {
            "threshold": 2, "places": [1, 2, 3],
            "shares": shares.iter().map(|share| hex(&share.expose()[..])).collect::<Vec<_>>(),
        },
        "mask": { "seed": hex(&[7; 32]), "entries": mask },
    })
}

fn complete_round() -> Value {
    let bounds = Bounds { collusion_permille: 200, dropout_permille: 200, ..Bounds::default() };
    let terms = terms(Topology::Complete, 5, 3, bounds);
    let cohort = seat(&terms, 5, 11);
    let advertisements: Vec<String> = cohort.advertised.iter().map(|it| hex(&encode(it))).collect();
    let roster = cohort.seated.roster();
    let (mut cohort, mut sharing, enrolled) = enrol(cohort, |_| true).expect("enrols");
    let ids: Vec<NodeId> = cohort.keys.keys().copied().collect();
    let mut dealings = Vec::new();
    let mut dealt = Clients::new();
    for (id, client) in enrolled {
        let (client, dealing) = client.deal(&cohort.keys[&id], &mut cohort.rng);
        dealings.push(hex(&encode(&dealing)));
        sharing.deal(&id, dealing).expect("deals");
        dealt.insert(id, client);
    }
    let mut summing = sharing.close().expect("enough");
    let inbox = hex(&encode(&summing.inbox(&ids[0]).expect("dealt")));
    let (mut masked, mut uploads) = (Clients::new(), Vec::new());
    for (n, (id, masking)) in take_inbox(&summing, dealt).expect("taken").into_iter().enumerate() {
        let (client, upload, bytes) = mask(masking, &cohort.keys[&id], &[n as u32 + 1; 3]);
        uploads.push(json!({ "upload": hex(&encode(&upload)), "masked": hex(&bytes) }));
        if n != 4 {
            summing.accept(&id, &upload, &bytes).expect("added");
            masked.insert(id, client);
        }
    }
    let mut surviving = summing.close(&coordinator()).expect("enough");
    let survivors = hex(&encode(surviving.survivors()));
    let mut agreed = Clients::new();
    let mut agreements = Vec::new();
    for (id, client) in masked {
        let (client, agreement) =
            client.survivors(surviving.survivors(), &cohort.keys[&id]).expect("agrees");
        agreements.push(hex(&encode(&agreement)));
        surviving.agree(&id, agreement).expect("agrees");
        agreed.insert(id, client);
    }
    let mut unmasking = surviving.close().expect("enough");
    let mut openings = Vec::new();
    for (id, client) in agreed {
        let opening = client.agreements(unmasking.agreements()).expect("opens");
        openings.push(hex(&encode(&opening)));
        unmasking.open(&id, opening).expect("opened");
    }
    let summed = unmasking.finish().expect("sums");
    assert_eq!(summed.sum, [1 + 2 + 3 + 4; 3]);
    json!({
        "terms": hex(&encode(&terms)),
        "terms_digest": terms.digest(),
        "roster": hex(&encode(&roster)),
        "advertisements": advertisements,
        "dealings": dealings,
        "inbox_of_seat_0": inbox,
        "uploads": uploads,
        "survivors": survivors,
        "agreements": agreements,
        "openings": openings,
        "sum": summed.sum,
    })
}

fn sparse_graph() -> Value {
    let bounds = Bounds { security_bits: 20, correctness_bits: 10, ..Bounds::default() };
    let terms = terms(Topology::Sparse, 30, 3, bounds);
    let mut cohort = seat(&terms, 30, 12);
    let (mut places, mut choices) = (Vec::new(), Vec::new());
    for (id, client) in std::mem::take(&mut cohort.joining) {
        let place = cohort.seated.place(&id).expect("in it");
        let (_, choice) = client.place(&place, &mut cohort.rng).expect("draws");
        places.push(hex(&encode(&place)));
        choices.push(hex(&encode(&choice)));
        cohort.seated.choose(&id, choice).expect("chosen");
    }
    let first = *cohort.keys.keys().next().expect("somebody");
    let sharing = cohort.seated.close().expect("enough");
    let neighbours = encode(&sharing.neighbours(&first).expect("chose"));
    json!({
        "terms": hex(&encode(&terms)),
        "place_of_seat_0": places[0],
        "choices": choices,
        "neighbours_of_seat_0": Digest::sha256(&neighbours),
    })
}

#[test]
fn rounds_are_pinned() {
    let made = json!({
        "primitives": primitives(),
        "complete": complete_round(),
        "sparse": sparse_graph(),
    });
    pinned("secagg.json", &made);
}
