//! A secure sum from its start to its end, without a network: ten clients deal, two of them are never heard of again, and the server
//! learns the sum of the others' updates, with noise of which nobody knows more than a share.
//!
//! `cargo run -p covey-protocol --example secure_sum`

use std::io::Read;

use covey_crypto::{Digest, Secret32, SecretKey};
use covey_privacy::encode::{Encoding, Layout, Sum};
use covey_privacy::noise::NoiseMode;
use covey_privacy::rng::NoiseRng;
use covey_privacy::{ClipNorm, NoiseMultiplier};
use covey_protocol::ids::{GroupId, ModelId, NodeId};
use covey_protocol::secagg::client::Joining;
use covey_protocol::secagg::server::Gathering;
use covey_protocol::secagg::{Bounds, Demands, Members, Parameters, Terms, Topology};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

const CLIENTS: u32 = 10;
const GONE: usize = 2;
const DIMENSION: usize = 100;

/// Bytes of the operating system's generator.
fn secret() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes).map(|()| bytes)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = ChaCha20Rng::from_seed(secret()?);
    let key = |_| Ok(SecretKey::from_seed(&secret()?));
    let keys = (0..CLIENTS).map(key).collect::<std::io::Result<Vec<_>>>()?;
    let ids: Vec<NodeId> = keys.iter().map(|key| NodeId::new(key.public())).collect();
    let (coordinator, members) = (key(0)?, Members::new(ids.iter().copied())?);

    // What everybody agrees on: the sum's bounds, and noise for those whom it makes certain by these bounds (N14).
    let bounds = Bounds { dropout_permille: 200, ..Bounds::default() };
    let (topology, entries) = (Topology::Complete, DIMENSION as u32);
    let (min_cohort, max_cohort) = (CLIENTS, CLIENTS);
    let parameters = Parameters { topology, entries, min_cohort, max_cohort, bounds };
    let noise = Some((NoiseMultiplier::new(2.0)?, NoiseMode::Distributed(parameters.sharers()?)));
    let (dimension, clients, clip) = (DIMENSION, CLIENTS, ClipNorm::new(1.0)?);
    let layout =
        Layout { dimension, clip, clients, units: 1, noise, rotation: None, extras: vec![] };
    let encoding = Encoding::new(layout)?;
    let terms = Terms {
        group: GroupId(Digest::ZERO),
        members: members.digest(),
        plan: Digest::sha256(b"secure_sum"),
        model: ModelId { base: Digest::ZERO, release: Digest::ZERO },
        round: 1,
        attempt: 0,
        coordinator: NodeId::new(coordinator.public()),
        parameters,
    };
    // Keys, then a cohort of all who sent theirs, then shares of their secrets.
    let (mut gathering, mut joining) = (Gathering::open(&terms, &members)?, Vec::new());
    for (id, key) in ids.iter().zip(&keys) {
        let (client, own) = Joining::start(&terms, &members, Demands::default(), key, &mut rng)?;
        gathering.advertise(id, own)?;
        joining.push(client);
    }
    let seated = gathering.close(&coordinator)?;
    let roster = seated.roster();
    let (mut sharing, mut dealt) = (seated.close()?, Vec::new());
    for ((client, id), key) in joining.into_iter().zip(&ids).zip(&keys) {
        let (client, dealing) = client.roster(&roster)?.deal(key, &mut rng);
        sharing.deal(id, dealing)?;
        dealt.push(client);
    }
    // Masked vectors of those who stay. The plain sum is here to compare with: no server could compute it.
    let (mut summing, mut masked, mut plain) =
        (sharing.close()?, Vec::new(), vec![0_u32; DIMENSION]);
    for ((client, id), key) in dealt.into_iter().zip(&ids).zip(&keys).skip(GONE) {
        let (mut masking, _) = client.inbox(&summing.inbox(id).ok_or("dealt nothing")?)?;
        let mut noise = NoiseRng::from_secret(Secret32::from_bytes(secret()?));
        let noised = encoding.encode(&[0.05; DIMENSION], &[], &mut noise)?.noised(&mut noise);
        plain.iter_mut().zip(noised.words()).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        let bytes = masking.next(noised.words())?;
        let (client, upload) = masking.finish(key)?;
        summing.accept(id, &upload, &bytes)?;
        masked.push((client, id, key));
    }
    // Who survives is agreed on, and one share of one secret of each client opened. (A client keeps its record on disk between.)
    let (mut surviving, mut agreed) = (summing.close(&coordinator)?, Vec::new());
    for (client, id, key) in masked {
        let (client, agreement) = client.survivors(surviving.survivors(), key)?;
        surviving.agree(id, agreement)?;
        agreed.push((client, id));
    }
    let mut unmasking = surviving.close()?;
    for (client, id) in agreed {
        unmasking.open(id, client.agreements(unmasking.agreements())?)?;
    }
    let summed = unmasking.finish()?;
    assert_eq!(summed.sum, plain, "the unmasked sum is the plain one");
    let count = summed.survivors.len() as u32;
    let decoded = Sum::new(&encoding, summed.sum, count)?.decode()?;
    let (mean, off) = (decoded.mean[0], decoded.deviation);
    println!("{count} of {CLIENTS}: {mean:.2} where the mean is 0.05, give or take {off:.2}");
    Ok(())
}
