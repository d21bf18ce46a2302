//! A cast of nodes with fixed keys, and a hand that signs what the library would not.

use covey_crypto::{Digest, SecretKey};
use covey_protocol::group::{
    Change, ENTRY_VERSION, Entry, EntryBody, InviteId, Log, Outcome, Role, SignedRequest,
};
use covey_protocol::ids::{Epoch, ModelId, Name, NodeId, UnixMillis};
use covey_protocol::wire;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub const START: UnixMillis = UnixMillis(1_750_000_000_000);
pub const ANN: u8 = 1;
pub const BOB: u8 = 2;
pub const CLEO: u8 = 3;
pub const DAN: u8 = 4;

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

pub fn node(n: u8) -> NodeId {
    NodeId::new(key(n).public())
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub fn model(release: &str) -> ModelId {
    ModelId { base: Digest::sha256(b"base"), release: Digest::sha256(release.as_bytes()) }
}

pub fn invite(n: u8) -> InviteId {
    InviteId(Digest::sha256(&[n]))
}

pub fn add(n: u8, by: u8, role: Role) -> Change {
    let name = name(&format!("node-{n}"));
    Change::Add { node: node(n), name, role, inviter: node(by), invite: invite(n) }
}

/// A group of Ann alone.
pub fn founded() -> Log {
    Log::create(name("lab"), name("ann"), &key(ANN), START, &mut rng(7))
}

/// Ann owns it, Bob is an admin, Cleo a plain member.
pub fn lab() -> Log {
    let mut log = founded();
    log.sequence(add(BOB, ANN, Role::Admin), &key(ANN), START.plus(1_000)).expect("Bob comes in");
    log.sequence(add(CLEO, ANN, Role::Member), &key(ANN), START.plus(2_000)).expect("Cleo too");
    log
}

/// The body that would come next.
pub fn next_body(log: &Log, change: Change, request: Option<SignedRequest>) -> EntryBody {
    EntryBody {
        version: ENTRY_VERSION,
        group: log.group(),
        epoch: Epoch(log.head().epoch.0 + 1),
        parent: log.head().digest,
        at: log.last_at(),
        change,
        request,
    }
}

/// Signs anything, as a faulty or malicious owner could.
pub fn forge(body: &EntryBody, by: u8) -> Entry {
    forge_bytes(wire::encode(body), by)
}

pub fn forge_bytes(body: Vec<u8>, by: u8) -> Entry {
    let signature = key(by).sign("covey group entry v1", &body);
    Entry { body, signature }
}

pub fn apply_all(log: &mut Log, entries: impl IntoIterator<Item = Entry>) {
    for entry in entries {
        assert_eq!(log.apply(entry), Outcome::Applied);
    }
}
