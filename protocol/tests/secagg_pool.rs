//! What a coordinator and its colluders open between them: nothing below the threshold, and the true vector from there on.

use std::collections::BTreeMap;

use covey_protocol::ids::NodeId;
use covey_protocol::secagg::client::{Drawn, Joining};
use covey_protocol::secagg::server::Gathering;
use covey_protocol::secagg::{Bounds, Closed, Kind, Pool, Seat, Terms, Topology};

use crate::secagg_round::*;

/// A round that somebody pools.
struct Pooled {
    pool: Pool,
    /// By client.
    seats: Vec<Seat>,
    /// Who holds a client's shares.
    shareholders: BTreeMap<Seat, Vec<Seat>>,
    vectors: Vec<Vec<u32>>,
}

/// Plays a round of `n`, the first `colluders` of whom pool what they drew with the coordinator. The vector of client `late` comes when the survivors are fixed.
fn play(terms: &Terms, n: usize, colluders: usize, late: Option<usize>) -> Pooled {
    let entries = terms.parameters.entries;
    let members = members(n);
    let (key, digest) = (coordinator(), terms.digest());
    let ids: Vec<NodeId> = (0..n).map(|it| NodeId::new(identity(it).public())).collect();
    let seats: Vec<Seat> = ids.iter().map(|id| members.seat(id).expect("a member")).collect();
    let vectors: Vec<Vec<u32>> = (0..n).map(|it| vector(it, entries)).collect();
    let mut pool = Pool::new(terms.parameters);
    let mut rngs: Vec<_> = (0..n).map(|it| rng(50 + it as u64)).collect();
    for it in 0..colluders {
        let Drawn { seal, mask } = Drawn::draw(&mut rng(50 + it as u64));
        pool.knows(seal);
        pool.knows(mask);
    }

    let mut gathering = Gathering::open(terms, &members).expect("good parameters");
    let mut clients = Vec::new();
    for it in 0..n {
        let started = Joining::start(terms, &members, demands(), &identity(it), &mut rngs[it]);
        let (client, keys) = started.expect("joins");
        pool.checked_in(seats[it], keys);
        gathering.advertise(&ids[it], keys).expect("accepted");
        clients.push(client);
    }
    let mut seated = gathering.close(&key).expect("enough");
    let mut enrolled = Vec::new();
    let mut sharing = match terms.parameters.topology {
        Topology::Complete => {
            let roster = seated.roster();
            for (it, client) in clients.into_iter().enumerate() {
                pool.shown(seats[it], &digest, &roster.head);
                let keys = roster.head.cohort.iter().zip(roster.keys.iter().copied());
                pool.shown_keys(seats[it], keys);
                enrolled.push(client.roster(&roster).expect("enrols"));
            }
            seated.close().expect("enough")
        }
        Topology::Sparse => {
            let mut choosing = Vec::new();
            for (it, client) in clients.into_iter().enumerate() {
                let place = seated.place(&ids[it]).expect("in the cohort");
                pool.shown(seats[it], &digest, &place.head);
                let (client, choice) = client.place(&place, &mut rngs[it]).expect("chooses");
                seated.choose(&ids[it], choice).expect("taken");
                choosing.push(client);
            }
            let sharing = seated.close().expect("enough");
            for (it, client) in choosing.into_iter().enumerate() {
                let neighbours = sharing.neighbours(&ids[it]).expect("chose");
                pool.shown_keys(seats[it], neighbours.keys.iter().copied());
                enrolled.push(client.neighbours(&neighbours).expect("enrols"));
            }
            sharing
        }
    };
    let mut shareholders = BTreeMap::new();
    let mut dealt = Vec::new();
    for (it, client) in enrolled.into_iter().enumerate() {
        let (client, dealing) = client.deal(&identity(it), &mut rngs[it]);
        let holders = dealing.shares.iter().map(|shares| shares.seat).collect();
        shareholders.insert(seats[it], holders);
        pool.dealt(seats[it], dealing.clone());
        sharing.deal(&ids[it], dealing).expect("taken");
        dealt.push(client);
    }
    let mut summing = sharing.close().expect("enough");
    let mut masked = Vec::new();
    for (it, client) in dealt.into_iter().enumerate() {
        let inbox = summing.inbox(&ids[it]).expect("dealt");
        pool.told(seats[it], &inbox.dealers);
        let (masking, _) = client.inbox(&inbox).expect("goes on");
        let (client, upload, bytes) = mask(masking, &identity(it), &vectors[it]);
        let (first, rest) = bytes.split_at(8);
        // Sent twice, as after a lost connection.
        for (offset, piece) in [(0, first), (0, first), (8, rest)] {
            pool.sent(seats[it], offset, piece);
        }
        if late != Some(it) {
            summing.accept(&ids[it], &upload, &bytes).expect("taken");
        }
        masked.push(client);
    }
    let mut surviving = summing.close(&key).expect("enough");
    let mut agreed = Vec::new();
    for (it, client) in masked.into_iter().enumerate().filter(|(it, _)| late != Some(*it)) {
        let (client, agreement) =
            client.survivors(surviving.survivors(), &identity(it)).expect("agrees");
        surviving.agree(&ids[it], agreement).expect("taken");
        agreed.push((it, client));
    }
    let unmasking = surviving.close().expect("enough");
    for (it, client) in agreed {
        let opening = client.agreements(unmasking.agreements()).expect("opens");
        pool.opened(seats[it], &opening);
    }
    Pooled { pool, seats, shareholders, vectors }
}

/// A tenth may collude, so that six of ten shares open a secret.
fn of_ten() -> Terms {
    terms(Topology::Complete, 10, 20, Bounds { dropout_permille: 200, ..Bounds::default() })
}

#[test]
fn below_the_threshold_nothing_opens_and_from_there_on_the_true_vectors_do() {
    let threshold = of_ten().parameters.thresholds(10).expect("reachable").threshold;
    assert_eq!(threshold, 6);
    for colluders in 0..10 {
        let round = play(&of_ten(), 10, colluders, None);
        let recovered = round.pool.recover();
        for honest in colluders..10 {
            let opened = recovered.open(round.seats[honest]);
            if colluders < 6 {
                // Own masks come off, as the sum needs that; those with others stay.
                let shares = colluders as u32;
                let short = Closed::Short { kind: Kind::PairMask, shares, threshold };
                assert_eq!(opened, Err(short));
            } else {
                assert_eq!(opened.as_ref(), Ok(&round.vectors[honest]), "{colluders}");
            }
        }
    }
    let round = play(&of_ten(), 10, 4, None);
    let closed = round.pool.recover().open(round.seats[9]).expect_err("short");
    assert_eq!(
        closed.to_string(),
        "4 shares of the secret of the masks that it has with others where 6 open it: 2 short"
    );
}

#[test]
fn of_a_late_vector_it_is_the_own_mask_that_stays() {
    let round = play(&of_ten(), 10, 5, Some(9));
    let recovered = round.pool.recover();
    let short = Closed::Short { kind: Kind::SelfMask, shares: 5, threshold: 6 };
    assert_eq!(recovered.open(round.seats[9]), Err(short));
    assert!(recovered.open(round.seats[8]).is_err());
    let round = play(&of_ten(), 10, 6, Some(9));
    assert_eq!(round.pool.recover().open(round.seats[9]).as_ref(), Ok(&round.vectors[9]));
}

#[test]
fn on_a_sparse_graph_it_takes_the_threshold_of_a_clients_own_shareholders() {
    const N: usize = 24;
    let terms = terms(Topology::Sparse, N as u32, 20, Bounds::default());
    let threshold = terms.parameters.thresholds(N as u32).expect("reachable").threshold;
    let (mut open, mut closed) = (0, 0);
    for colluders in [2, 18, 20] {
        let round = play(&terms, N, colluders, None);
        let recovered = round.pool.recover();
        let held = |seat: &Seat| {
            let holders = round.shareholders[seat].iter();
            holders.filter(|it| round.seats[..colluders].contains(it)).count() as u32
        };
        for honest in colluders..N {
            let seat = round.seats[honest];
            match recovered.open(seat) {
                Ok(vector) => {
                    assert_eq!(vector, round.vectors[honest]);
                    open += 1;
                }
                Err(why) => {
                    let shares = held(&seat);
                    assert!(shares < threshold, "{shares} of {threshold} would do: {why}");
                    assert_eq!(why, Closed::Short { kind: Kind::PairMask, shares, threshold });
                    closed += 1;
                }
            }
        }
        assert!(colluders > 2 || open == 0, "as many as may collude");
    }
    assert!(open > 0 && closed > 0, "{open} {closed}");
}

#[test]
fn what_was_not_sent_cannot_be_opened() {
    let round = play(&of_ten(), 10, 0, None);
    assert_eq!(round.pool.recover().open(Seat(10)), Err(Closed::NotSent));
    let mut pool = Pool::new(of_ten().parameters);
    pool.sent(Seat(0), 0, &[0; 79]);
    // Beyond the end, and behind a gap.
    pool.sent(Seat(0), 79, &[0; 2]);
    pool.sent(Seat(0), 80, &[0; 0]);
    assert_eq!(pool.recover().open(Seat(0)), Err(Closed::NotSent));
}
