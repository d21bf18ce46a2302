//! One whole round in this process, timed role by role.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use covey_crypto::{Digest, SecretKey};
use covey_protocol::ids::{GroupId, ModelId, NodeId};
use covey_protocol::secagg::client::{Agreed, Dealt, Enrolled, Joining, Masked, Masking};
use covey_protocol::secagg::server::{Gathering, Seated, Sharing, Summing};
use covey_protocol::secagg::{Bounds, Demands, Members, Parameters, Terms, Topology};
use covey_protocol::wire::v1::secagg::{Roster, Upload};
use covey_protocol::wire::{decode, encode};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rows::Round;
use crate::bench::index::meter::cpu;

/// What a round is run with.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub topology: Topology,
    pub clients: u32,
    pub entries: u32,
    /// Clients in a hundred that share their secrets and then vanish.
    pub dropout_percent: u32,
    pub bounds: Bounds,
}

/// CPU time and bytes so far.
#[derive(Default)]
struct Spent {
    clients: Duration,
    server: Duration,
    unmask: Duration,
    up: u64,
    down: u64,
}

/// Runs what is handed in and adds what it took.
fn timed<T>(to: &mut Duration, work: impl FnOnce() -> T) -> T {
    let before = cpu();
    let done = work();
    *to += cpu().saturating_sub(before);
    done
}

/// A message on its way: encoded in the sender's time, decoded in the receiver's.
fn sent<T: Serialize + DeserializeOwned>(
    message: &T,
    sender: &mut Duration,
    receiver: &mut Duration,
    count: &mut u64,
) -> Result<T> {
    let bytes = timed(sender, || encode(message));
    *count += bytes.len() as u64;
    Ok(timed(receiver, || decode(&bytes, MOST))?)
}

/// Longer than any message but a vector.
const MOST: usize = 16 << 20;

impl Spent {
    fn up<T: Serialize + DeserializeOwned>(&mut self, message: &T) -> Result<T> {
        sent(message, &mut self.clients, &mut self.server, &mut self.up)
    }

    fn down<T: Serialize + DeserializeOwned>(&mut self, message: &T) -> Result<T> {
        sent(message, &mut self.server, &mut self.clients, &mut self.down)
    }
}

type Clients<T> = BTreeMap<NodeId, T>;

/// Runs the round, checks its sum, and says what it took.
pub fn run(case: &Case) -> Result<Round> {
    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(case.clients));
    let mut spent = Spent::default();
    let coordinator = SecretKey::from_seed(&[1; 32]);
    let keys: Clients<SecretKey> = (0..case.clients)
        .map(|n| SecretKey::from_seed(Digest::sha256(&n.to_le_bytes()).as_bytes()))
        .map(|key| (NodeId::new(key.public()), key))
        .collect();
    let members = Members::new(keys.keys().copied())?;
    let terms = terms(case, &members, &coordinator);
    let vector: Vec<u32> = (0..case.entries).map(|_| rng.next_u32()).collect();
    let leaving = keys.len() * case.dropout_percent as usize / 100;
    let gone: Vec<NodeId> =
        keys.keys().step_by(7).chain(keys.keys()).copied().take(leaving).collect();

    let (seated, joining) = gather(&terms, &members, &coordinator, &keys, &mut rng, &mut spent)?;
    let thresholds = *seated.thresholds();
    let (sharing, enrolled, neighbours) =
        enrol(case.topology, seated, joining, &mut rng, &mut spent)?;
    let (mut summing, dealt) = deal(sharing, enrolled, &keys, &mut rng, &mut spent)?;

    let mut masked = Clients::new();
    for (id, client) in dealt {
        let inbox = timed(&mut spent.server, || summing.inbox(&id)).expect("it dealt");
        let inbox = spent.down(&inbox)?;
        let masking = timed(&mut spent.clients, || client.inbox(&inbox))?.0;
        if gone.contains(&id) {
            continue;
        }
        let (client, upload, bytes) =
            timed(&mut spent.clients, || mask(masking, &keys[&id], &vector))?;
        let upload = spent.up(&upload)?;
        spent.up += bytes.len() as u64;
        timed(&mut spent.server, || summing.accept(&id, &upload, &bytes))?;
        masked.insert(id, client);
    }
    let survivors = masked.len() as u32;
    let sum = finish(summing, masked, &coordinator, &keys, &mut spent)?;
    let right = sum.iter().zip(&vector).all(|(sum, entry)| *sum == entry.wrapping_mul(survivors));
    ensure!(right, "the unmasked sum is not the sum of the survivors' vectors");
    Ok(row(case, neighbours, thresholds.threshold, &spent))
}

fn terms(case: &Case, members: &Members, coordinator: &SecretKey) -> Terms {
    let nothing = Digest::ZERO;
    Terms {
        group: GroupId(nothing),
        members: members.digest(),
        plan: nothing,
        model: ModelId { base: nothing, release: nothing },
        round: 1,
        attempt: 0,
        coordinator: NodeId::new(coordinator.public()),
        parameters: Parameters {
            topology: case.topology,
            entries: case.entries,
            min_cohort: 3,
            max_cohort: case.clients,
            bounds: case.bounds,
        },
    }
}

fn gather(
    terms: &Terms,
    members: &Members,
    coordinator: &SecretKey,
    keys: &Clients<SecretKey>,
    rng: &mut ChaCha20Rng,
    spent: &mut Spent,
) -> Result<(Seated, Clients<Joining>)> {
    let mut gathering = Gathering::open(terms, members)?;
    let joined = timed(&mut spent.clients, || {
        let start = |(id, key): (&NodeId, &SecretKey)| {
            let demands = Demands { collusion_permille: 0, ..Demands::default() };
            let (client, keys) = Joining::start(terms, members, demands, key, rng)?;
            Ok((*id, (client, keys)))
        };
        keys.iter().map(start).collect::<Result<Clients<_>>>()
    })?;
    let mut joining = Clients::new();
    for (id, (client, keys)) in joined {
        let keys = spent.up(&keys)?;
        timed(&mut spent.server, || gathering.advertise(&id, keys))?;
        joining.insert(id, client);
    }
    Ok((timed(&mut spent.server, || gathering.close(coordinator))?, joining))
}

fn enrol(
    topology: Topology,
    mut seated: Seated,
    joining: Clients<Joining>,
    rng: &mut ChaCha20Rng,
    spent: &mut Spent,
) -> Result<(Sharing, Clients<Enrolled>, f64)> {
    let clients = joining.len() as f64;
    let mut enrolled = Clients::new();
    if topology == Topology::Complete {
        let bytes = timed(&mut spent.server, || encode(&seated.roster()));
        for (id, client) in joining {
            spent.down += bytes.len() as u64;
            let roster: Roster = timed(&mut spent.clients, || decode(&bytes, MOST))?;
            enrolled.insert(id, timed(&mut spent.clients, || client.roster(&roster))?);
        }
        return Ok((timed(&mut spent.server, || seated.close())?, enrolled, clients - 1.0));
    }
    let mut choosing = Clients::new();
    for (id, client) in joining {
        let place = timed(&mut spent.server, || seated.place(&id)).expect("it is in the cohort");
        let place = spent.down(&place)?;
        let (client, choice) = timed(&mut spent.clients, || client.place(&place, rng))?;
        let choice = spent.up(&choice)?;
        timed(&mut spent.server, || seated.choose(&id, choice))?;
        choosing.insert(id, client);
    }
    let sharing = timed(&mut spent.server, || seated.close())?;
    let mut known = 0;
    for (id, client) in choosing {
        let neighbours = timed(&mut spent.server, || sharing.neighbours(&id)).expect("it chose");
        known += neighbours.keys.len();
        let neighbours = spent.down(&neighbours)?;
        let client = timed(&mut spent.clients, || client.neighbours(&neighbours))?;
        enrolled.insert(id, client);
    }
    Ok((sharing, enrolled, known as f64 / clients))
}

fn deal(
    mut sharing: Sharing,
    enrolled: Clients<Enrolled>,
    keys: &Clients<SecretKey>,
    rng: &mut ChaCha20Rng,
    spent: &mut Spent,
) -> Result<(Summing, Clients<Dealt>)> {
    let mut dealt = Clients::new();
    for (id, client) in enrolled {
        let (client, dealing) = timed(&mut spent.clients, || client.deal(&keys[&id], rng));
        let dealing = spent.up(&dealing)?;
        timed(&mut spent.server, || sharing.deal(&id, dealing))?;
        dealt.insert(id, client);
    }
    Ok((timed(&mut spent.server, || sharing.close())?, dealt))
}

fn mask(
    mut masking: Masking,
    key: &SecretKey,
    vector: &[u32],
) -> Result<(Masked, Upload, Vec<u8>)> {
    let bytes = masking.next(vector)?;
    let (masked, upload) = masking.finish(key)?;
    Ok((masked, upload, bytes))
}

fn finish(
    summing: Summing,
    masked: Clients<Masked>,
    coordinator: &SecretKey,
    keys: &Clients<SecretKey>,
    spent: &mut Spent,
) -> Result<Vec<u32>> {
    let mut surviving = timed(&mut spent.server, || summing.close(coordinator))?;
    let mut agreed: Clients<Agreed> = Clients::new();
    for (id, client) in masked {
        let survivors = spent.down(surviving.survivors())?;
        let (client, agreement) =
            timed(&mut spent.clients, || client.survivors(&survivors, &keys[&id]))?;
        let agreement = spent.up(&agreement)?;
        timed(&mut spent.server, || surviving.agree(&id, agreement))?;
        agreed.insert(id, client);
    }
    let mut unmasking = timed(&mut spent.server, || surviving.close())?;
    for (id, client) in agreed {
        let agreements = spent.down(unmasking.agreements())?;
        let opening = timed(&mut spent.clients, || client.agreements(&agreements))?;
        let opening = sent(&opening, &mut spent.clients, &mut spent.unmask, &mut spent.up)?;
        timed(&mut spent.unmask, || unmasking.open(&id, opening))?;
    }
    Ok(timed(&mut spent.unmask, || unmasking.finish())?.sum)
}

fn row(case: &Case, neighbours: f64, threshold: u32, spent: &Spent) -> Round {
    let clients = f64::from(case.clients);
    Round {
        engine: super::OURS.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        topology: match case.topology {
            Topology::Complete => "complete".to_owned(),
            Topology::Sparse => "sparse".to_owned(),
        },
        clients: case.clients,
        entries: case.entries,
        neighbours,
        threshold: Some(threshold),
        dropout_percent: case.dropout_percent,
        client_ms: spent.clients.as_secs_f64() * 1e3 / clients,
        unmask_s: spent.unmask.as_secs_f64(),
        server_s: (spent.server + spent.unmask).as_secs_f64(),
        up_bytes: spent.up as f64 / clients,
        down_bytes: Some(spent.down as f64 / clients),
    }
}
