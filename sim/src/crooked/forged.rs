//! Messages that a coordinator signs though they are not what happened (docs/spec/secagg.md says what is signed).

use std::sync::{Arc, Mutex, PoisonError};

use covey_crypto::{Digest, MerkleTree, SecretKey, Signature};
use covey_protocol::ids::NodeId;
use covey_protocol::round::{Plan, SignedPlan};
use covey_protocol::secagg::{Members, SeatSet};
use covey_protocol::wire::encode;
use covey_protocol::wire::v1::secagg::{Advertisement, Roster, RosterHead, Survivors};

/// Signs anything with a coordinator's key.
pub(super) struct Forger {
    key: Arc<SecretKey>,
    members: Members,
    /// The transcript so far, once known: of the cohort, and then of the dealers.
    transcript: Mutex<(Digest, Digest)>,
}

impl Forger {
    pub(super) fn new(key: Arc<SecretKey>, members: Members) -> Self {
        Self { key, members, transcript: Mutex::new((Digest::ZERO, Digest::ZERO)) }
    }

    pub(super) fn plan(&self, plan: &Plan) -> SignedPlan {
        SignedPlan::sign(plan, &self.key).expect("sound")
    }

    /// The cohort with these keys, for terms with this digest.
    pub(super) fn roster(&self, terms: &Digest, mut keys: Vec<Advertisement>) -> Roster {
        let seat = |keys: &Advertisement| self.members.seat(&keys.client).expect("a member");
        keys.sort_by_key(seat);
        let mut cohort = SeatSet::new(self.members.len());
        let mut leaves = vec![Digest::ZERO; self.members.len() as usize];
        for keys in &keys {
            cohort.insert(seat(keys));
            leaves[seat(keys).0 as usize] = leaf(keys);
        }
        let root = MerkleTree::new(leaves).root();
        let signed = transcript(terms, &cohort, &root);
        let signature = self.key.sign("covey/secagg/v1/roster", signed.as_bytes());
        Roster { head: RosterHead { cohort, root, signature }, keys }
    }

    pub(super) fn note_roster(&self, terms: &Digest, roster: &Roster) {
        let mut known = self.transcript.lock().unwrap_or_else(PoisonError::into_inner);
        known.0 = transcript(terms, &roster.head.cohort, &roster.head.root);
    }

    pub(super) fn note_dealers(&self, dealers: &SeatSet) {
        let mut known = self.transcript.lock().unwrap_or_else(PoisonError::into_inner);
        let dealers = encode(dealers);
        known.1 = Digest::of("covey/secagg/v1/dealers", &[known.0.as_bytes(), &dealers]);
    }

    /// These survivors without one of them.
    pub(super) fn survivors_without(&self, all: &SeatSet, who: &NodeId) -> Survivors {
        let seat = self.members.seat(who).expect("a member");
        let mut set = SeatSet::new(self.members.len());
        set.extend(all.iter().filter(|it| *it != seat));
        let signature = self.key.sign("covey/secagg/v1/survivors", &self.of_survivors(&set));
        Survivors { set, signature }
    }

    /// The agreement of somebody who lends its key to these survivors.
    pub(super) fn agreement(&self, set: &SeatSet, of: &SecretKey) -> Signature {
        of.sign("covey/secagg/v1/agreement", &self.of_survivors(set))
    }

    /// What signatures on a set of survivors are made of.
    fn of_survivors(&self, set: &SeatSet) -> Vec<u8> {
        let known = self.transcript.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = Digest::of("covey/secagg/v1/set", &[&encode(set)]);
        [*known.1.as_bytes(), *digest.as_bytes()].concat()
    }
}

fn transcript(terms: &Digest, cohort: &SeatSet, root: &Digest) -> Digest {
    let cohort = encode(cohort);
    let parts: [&[u8]; 3] = [terms.as_bytes(), &cohort, root.as_bytes()];
    Digest::of("covey/secagg/v1/transcript", &parts)
}

fn leaf(keys: &Advertisement) -> Digest {
    let parts: [&[u8]; 4] = [
        keys.client.as_bytes(),
        keys.seal.as_bytes(),
        keys.mask.as_bytes(),
        keys.signature.as_bytes(),
    ];
    Digest::of("covey/secagg/v1/advertisement", &parts)
}
