//! Messages that a coordinator signs though they are not what happened (docs/spec/secagg.md says what is signed).

use std::sync::Arc;

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
}

impl Forger {
    pub(super) fn new(key: Arc<SecretKey>, members: Members) -> Self {
        Self { key, members }
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

    /// These survivors without one of them, of dealers with this transcript.
    pub(super) fn survivors_without(
        &self,
        dealers: &Digest,
        all: &SeatSet,
        who: &NodeId,
    ) -> Survivors {
        let seat = self.members.seat(who).expect("a member");
        let mut set = SeatSet::new(self.members.len());
        set.extend(all.iter().filter(|it| *it != seat));
        let signature = self.key.sign("covey/secagg/v1/survivors", &of_survivors(dealers, &set));
        Survivors { set, signature }
    }
}

/// The agreement of somebody who lends its key to these survivors, of dealers with this transcript.
pub(super) fn agreement(dealers: &Digest, set: &SeatSet, of: &SecretKey) -> Signature {
    of.sign("covey/secagg/v1/agreement", &of_survivors(dealers, set))
}

/// What signatures on a set of survivors are made of.
fn of_survivors(dealers: &Digest, set: &SeatSet) -> Vec<u8> {
    let digest = Digest::of("covey/secagg/v1/set", &[&encode(set)]);
    [*dealers.as_bytes(), *digest.as_bytes()].concat()
}

/// The transcript of the dealers, after that of the cohort.
pub(super) fn dealt(cohort: &Digest, dealers: &SeatSet) -> Digest {
    Digest::of("covey/secagg/v1/dealers", &[cohort.as_bytes(), &encode(dealers)])
}

/// The transcript of a cohort, for terms with this digest.
pub(super) fn transcript(terms: &Digest, cohort: &SeatSet, root: &Digest) -> Digest {
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
