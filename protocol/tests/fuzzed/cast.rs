//! A small round with fixed keys and randomness, in which one message is another.

use std::collections::BTreeMap;

use covey_crypto::{Digest, SecretKey};
use covey_protocol::ids::{GroupId, ModelId, NodeId};
use covey_protocol::secagg::client::Joining;
use covey_protocol::secagg::server::{Gathering, Seated};
use covey_protocol::secagg::{Bounds, Demands, Members, Parameters, Terms, Topology};
use covey_protocol::wire::v1::secagg::Advertisement;
use covey_protocol::wire::{decode, encode};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message that is decoded.
pub const MOST: usize = 1 << 16;
/// Entries of a vector.
pub const ENTRIES: u32 = 5;

/// The messages of a round, in their order; the last three belong to a sparse graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Advertisement,
    Roster,
    Dealing,
    Inbox,
    Upload,
    Survivors,
    Agreement,
    Agreements,
    Opening,
    Place,
    Choice,
    Neighbours,
}

impl Step {
    pub const ALL: [Self; 12] = [
        Self::Advertisement,
        Self::Roster,
        Self::Dealing,
        Self::Inbox,
        Self::Upload,
        Self::Survivors,
        Self::Agreement,
        Self::Agreements,
        Self::Opening,
        Self::Place,
        Self::Choice,
        Self::Neighbours,
    ];

    /// Whether a client sends it; otherwise the server does.
    pub fn is_clients(self) -> bool {
        match self {
            Self::Advertisement
            | Self::Dealing
            | Self::Upload
            | Self::Agreement
            | Self::Opening
            | Self::Choice => true,
            Self::Roster
            | Self::Inbox
            | Self::Survivors
            | Self::Agreements
            | Self::Place
            | Self::Neighbours => false,
        }
    }
}

/// Carries the messages of seat 0, one of them changed.
pub struct Wire<'a> {
    /// Which is changed; none of them in an honest round.
    pub step: Option<Step>,
    bytes: &'a [u8],
    /// What was sent at each step, in truth.
    pub sent: Vec<(Step, Vec<u8>)>,
    /// What seat 0 wrote to its disk.
    pub records: Vec<Vec<u8>>,
}

impl<'a> Wire<'a> {
    pub fn honest() -> Self {
        Self { step: None, bytes: &[], sent: Vec::new(), records: Vec::new() }
    }

    pub fn changed(step: Step, bytes: &'a [u8]) -> Self {
        Self { step: Some(step), bytes, ..Self::honest() }
    }

    /// What arrives of a message; nothing if it no longer decodes.
    pub fn pass<T: Serialize + DeserializeOwned>(&mut self, step: Step, sent: &T) -> Option<T> {
        let bytes = encode(sent);
        let arrived = if self.step == Some(step) { self.bytes } else { &bytes };
        let message = decode(arrived, MOST).ok();
        self.sent.push((step, bytes));
        message
    }

    /// After a message was taken that only its sender can have made: it must be the one that was sent.
    pub fn must_be<T: Serialize>(&self, step: Step, taken: &T) {
        let sent = self.sent.iter().rev().find(|(known, _)| *known == step);
        assert_eq!(encode(taken), sent.expect("was sent").1, "{step:?} was forged");
    }
}

pub fn coordinator() -> SecretKey {
    SecretKey::from_seed(&[200; 32])
}

fn identity(n: u32) -> SecretKey {
    SecretKey::from_seed(Digest::of("fuzz", &[&n.to_le_bytes()]).as_bytes())
}

fn members(count: u32) -> Members {
    Members::new((0..count).map(|n| NodeId::new(identity(n).public()))).expect("few")
}

fn terms(topology: Topology, cohort: u32, bounds: Bounds) -> Terms {
    Terms {
        group: GroupId(Digest::sha256(b"group")),
        members: members(cohort).digest(),
        plan: Digest::sha256(b"plan"),
        model: ModelId { base: Digest::sha256(b"base"), release: Digest::sha256(b"release") },
        round: 7,
        attempt: 0,
        coordinator: NodeId::new(coordinator().public()),
        parameters: Parameters {
            topology,
            entries: ENTRIES,
            min_cohort: 3,
            max_cohort: cohort,
            bounds,
        },
    }
}

/// Four on a complete graph: one may collude, one may drop out, three shares recover a secret.
pub fn complete() -> Terms {
    let bounds = Bounds { collusion_permille: 250, dropout_permille: 250, ..Bounds::default() };
    terms(Topology::Complete, 4, bounds)
}

/// Ten on a sparse graph.
pub fn sparse() -> Terms {
    let bounds = Bounds { security_bits: 20, correctness_bits: 10, ..Bounds::default() };
    terms(Topology::Sparse, 10, bounds)
}

/// A cohort whose keys the server has.
pub struct Cast {
    pub keys: BTreeMap<NodeId, SecretKey>,
    pub rng: ChaCha20Rng,
    pub joining: BTreeMap<NodeId, Joining>,
    pub advertised: BTreeMap<NodeId, Advertisement>,
    pub seated: Seated,
}

impl Cast {
    /// Everybody advertises; seat 0 over `wire`. None if the round ends there.
    pub fn gather(terms: &Terms, wire: &mut Wire<'_>) -> Option<Self> {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let demands =
            Demands { min_honest: 1, collusion_permille: 0, colluders: 1, security_bits: 20 };
        let members = members(terms.parameters.max_cohort);
        let keys: BTreeMap<NodeId, SecretKey> = (0..terms.parameters.max_cohort)
            .map(|n| (NodeId::new(identity(n).public()), identity(n)))
            .collect();
        let mut gathering = Gathering::open(terms, &members).expect("good terms");
        let (mut joining, mut advertised) = (BTreeMap::new(), BTreeMap::new());
        for (at, (id, key)) in keys.iter().enumerate() {
            let (client, sent) =
                Joining::start(terms, &members, demands, key, &mut rng).expect("joins");
            let arrived = if at == 0 { wire.pass(Step::Advertisement, &sent)? } else { sent };
            gathering.advertise(id, arrived).ok()?;
            if at == 0 {
                wire.must_be(Step::Advertisement, &arrived);
            }
            joining.insert(*id, client);
            advertised.insert(*id, sent);
        }
        let seated = gathering.close(&coordinator()).expect("enough");
        Some(Self { keys, rng, joining, advertised, seated })
    }
}
