//! Neighbours on a sparse graph: choices that are none, keys of others than were drawn, and crowds that all
//! choose one client.

use covey_crypto::Digest;
use covey_protocol::ids::NodeId;
use covey_protocol::secagg::client::Choosing;
use covey_protocol::secagg::server::Sharing;
use covey_protocol::secagg::{Bounds, Check, Seat, Topology};
use covey_protocol::wire::v1::secagg::{Choice, Neighbours};
use covey_protocol::wire::{decode, encode};

use crate::secagg_attacks::*;
use crate::secagg_round::*;

const SPARSE: u32 = 30;

fn sparse() -> (Vec<NodeId>, Sharing, Clients<Choosing>) {
    let bounds = Bounds { security_bits: 20, correctness_bits: 10, ..Bounds::default() };
    let mut cohort = seat(&terms(Topology::Sparse, SPARSE, ENTRIES, bounds), SPARSE as usize, 5);
    let mut choosing = Clients::new();
    for (id, client) in std::mem::take(&mut cohort.joining) {
        let place = cohort.seated.place(&id).expect("in the cohort");
        let (client, choice) = client.place(&place, &mut cohort.rng).expect("draws");
        let refuse = |seats: &[Seat]| Choice { neighbours: seats.to_vec() };
        let mut doubled = choice.neighbours.clone();
        doubled[1] = doubled[0];
        let mut own = choice.neighbours.clone();
        own[0] = members(SPARSE as usize).seat(&id).expect("a member");
        own.sort();
        for bad in [refuse(&choice.neighbours[1..]), refuse(&doubled), refuse(&own)] {
            assert_eq!(clients(cohort.seated.choose(&id, bad), &id), Check::Choice);
        }
        cohort.seated.choose(&id, choice).expect("chosen");
        choosing.insert(id, client);
    }
    let ids = choosing.keys().copied().collect();
    (ids, cohort.seated.close().expect("enough"), choosing)
}

#[test]
fn a9_a10_neighbours_that_were_not_drawn() {
    let changes: [Lie<Neighbours>; 7] = [
        (Check::Neighbours, |n| n.keys.truncate(3)),
        (Check::Neighbours, |n| n.keys.swap(0, 1)),
        (Check::Neighbours, |n| n.keys.insert(0, n.keys[0])),
        (Check::Neighbours, |n| n.choosing.extend((0..SPARSE).map(Seat))),
        (Check::Neighbours, |n| n.choosing = vec![Seat(9)]),
        (Check::Proof, |n| n.proof[0] = Digest::ZERO),
        (Check::Proof, |n| n.keys[1].1 = n.keys[0].1),
    ];
    for (check, change) in changes {
        let (ids, sharing, mut choosing) = sparse();
        let id = ids[9];
        let mut neighbours = sharing.neighbours(&id).expect("chose");
        change(&mut neighbours);
        let client = choosing.remove(&id).expect("chose");
        assert_eq!(coordinators(client.neighbours(&neighbours)), check);
    }
}

/// A sparse cohort of `n` in which the first seats, `crowd` of them, all choose the last one.
fn crowded(n: u32, bounds: Bounds, crowd: u32) -> (NodeId, Sharing, Choosing) {
    let mut cohort = seat(&terms(Topology::Sparse, n, ENTRIES, bounds), n as usize, 5);
    let ids: Vec<NodeId> = cohort.keys.keys().copied().collect();
    let victim = ids[n as usize - 1];
    let place = cohort.seated.place(&victim).expect("in the cohort");
    let client = cohort.joining.remove(&victim).expect("in the cohort");
    let (client, choice) = client.place(&place, &mut cohort.rng).expect("draws");
    cohort.seated.choose(&victim, choice).expect("chosen");
    let k = cohort.seated.thresholds().shareholders;
    for (at, id) in (0..n - 1).zip(&ids) {
        // Those after it in the circle of the others, and the victim in place of the last of them.
        let mut neighbours: Vec<Seat> = (1..=k).map(|step| Seat((at + step) % (n - 1))).collect();
        if at < crowd {
            neighbours[k as usize - 1] = Seat(n - 1);
        }
        neighbours.sort_unstable();
        cohort.seated.choose(id, Choice { neighbours }).expect("looks well");
    }
    (victim, cohort.seated.close().expect("enough"), client)
}

/// All that may collude choose one victim, in as large a share as there can be: it goes on.
#[test]
fn a10_as_many_as_may_collude_crowd_nobody_out() {
    let bounds = Bounds {
        collusion_permille: 499,
        dropout_permille: 0,
        security_bits: 20,
        correctness_bits: 10,
    };
    let n = 4_300;
    let (victim, sharing, client) = crowded(n, bounds, bounds.colluders(n));
    let neighbours = sharing.neighbours(&victim).expect("chose");
    assert_eq!(neighbours.choosing.len(), 2_145);
    let neighbours = decode(&encode(&neighbours), 1 << 20).expect("as sent");
    client.neighbours(&neighbours).expect("goes on");
}

/// Were it more than all that may collude and five times as many as draw it by chance, it would have
/// more to compute than a client bears: it alone is left out, by the server too.
#[test]
fn a10_a_client_that_too_many_chose_is_left_out() {
    let bounds = Bounds { security_bits: 20, correctness_bits: 10, ..Bounds::default() };
    let most = terms(Topology::Sparse, 600, ENTRIES, bounds).parameters.thresholds(600);
    let most = most.expect("reachable").most_neighbours() as u32;
    let (victim, sharing, _) = crowded(600, bounds, 598);
    assert!(most < 598);
    assert!(sharing.neighbours(&victim).is_none(), "left out");
    let others = members(600);
    let left: Vec<Seat> = (0..599)
        .map(Seat)
        .filter(|at| sharing.neighbours(others.at(*at).expect("a member")).is_some())
        .collect();
    assert_eq!(left.len(), 599, "and nobody else");
}
