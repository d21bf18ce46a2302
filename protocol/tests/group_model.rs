//! Random histories, run through the log and through a simple model of who is in and may do what.

use std::collections::BTreeMap;

use covey_protocol::group::{Change, Log, Outcome, Role, Wish};
use covey_protocol::ids::Epoch;
use proptest::prelude::*;

use crate::common::*;

/// Something that somebody tries.
#[derive(Debug, Clone, Copy)]
enum Try {
    Add { by: u8, who: u8 },
    SetRole { who: u8, admin: bool },
    Transfer { to: u8 },
    Remove { by: u8, who: u8 },
}

/// Who has which role; that is all.
#[derive(Debug, Default)]
struct Model(BTreeMap<u8, Role>);

impl Model {
    fn owner(&self) -> u8 {
        *self.0.iter().find(|(_, role)| **role == Role::Owner).expect("an owner").0
    }

    /// Carries out the attempt if it is allowed.
    fn attempt(&mut self, attempt: Try) -> bool {
        let role = |who: u8| self.0.get(&who).copied();
        let allowed = match attempt {
            Try::Add { by, who } => role(by) >= Some(Role::Admin) && role(who).is_none(),
            Try::SetRole { who, admin } => {
                role(who) == Some(if admin { Role::Member } else { Role::Admin })
            }
            Try::Transfer { to } => role(to).is_some_and(|role| role != Role::Owner),
            Try::Remove { by, who } => match (role(by), role(who)) {
                (None, _) | (_, None | Some(Role::Owner)) => false,
                (Some(Role::Owner), _) => true,
                (Some(Role::Admin), Some(Role::Member)) => true,
                _ => by == who,
            },
        };
        if allowed {
            match attempt {
                Try::Add { who, .. } => self.0.insert(who, Role::Member),
                Try::SetRole { who, admin } => {
                    self.0.insert(who, if admin { Role::Admin } else { Role::Member })
                }
                Try::Transfer { to } => {
                    self.0.insert(self.owner(), Role::Admin);
                    self.0.insert(to, Role::Owner)
                }
                Try::Remove { who, .. } => self.0.remove(&who),
            };
        }
        allowed
    }
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let who = || 1..=6u8;
    let one = prop_oneof![
        4 => (who(), who()).prop_map(|(by, who)| Try::Add { by, who }),
        2 => (who(), any::<bool>()).prop_map(|(who, admin)| Try::SetRole { who, admin }),
        1 => who().prop_map(|to| Try::Transfer { to }),
        2 => (who(), who()).prop_map(|(by, who)| Try::Remove { by, who }),
    ];
    proptest::collection::vec(one, 1..40)
}

/// The attempt on the real log, at step `step`: the owner's own, or as a signed wish.
fn perform(log: &mut Log, owner: u8, attempt: Try, step: u8) -> bool {
    let now = START.plus(u64::from(step) * 1_000);
    let add = |who: u8, by: u8| Change::Add {
        node: node(who),
        name: name(&format!("node-{who}")),
        role: Role::Member,
        inviter: node(by),
        invite: invite(100 + step),
    };
    let (by, wish) = match attempt {
        Try::SetRole { who, admin } => {
            let role = if admin { Role::Admin } else { Role::Member };
            let change = Change::SetRole { node: node(who), role };
            return log.sequence(change, &key(owner), now).is_ok();
        }
        Try::Transfer { to } => {
            return log.sequence(Change::Transfer { to: node(to) }, &key(owner), now).is_ok();
        }
        Try::Add { by, who } if by == owner => {
            return log.sequence(add(who, by), &key(owner), now).is_ok();
        }
        Try::Remove { by, who } if by == owner => {
            return log.sequence(Change::Remove { node: node(who) }, &key(owner), now).is_ok();
        }
        Try::Add { by, who } => {
            let name = name(&format!("node-{who}"));
            (by, Wish::Add { node: node(who), name, invite: invite(100 + step) })
        }
        Try::Remove { by, who } => (by, Wish::Remove { node: node(who) }),
    };
    match log.wish(wish, &key(by), now, &mut rng(step.into())) {
        Ok(request) => {
            log.sequence_request(request, &key(owner), now).expect("what one may wish is granted");
            true
        }
        Err(_) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_log_agrees_with_the_model(tries in tries()) {
        let mut log = founded();
        let mut model = Model(BTreeMap::from([(ANN, Role::Owner)]));
        let mut epochs = 0;
        for (step, attempt) in (0..).zip(tries) {
            let owner = model.owner();
            let done = perform(&mut log, owner, attempt, step);
            prop_assert_eq!(done, model.attempt(attempt), "{:?}", attempt);
            epochs += u64::from(done);
            prop_assert_eq!(log.head().epoch, Epoch(epochs));
            prop_assert_eq!(log.owner(), node(model.owner()));
            let roles: BTreeMap<_, _> = model.0.iter().map(|(n, role)| (node(*n), *role)).collect();
            let real: BTreeMap<_, _> = log.members().iter().map(|(n, m)| (*n, m.role)).collect();
            prop_assert_eq!(&real, &roles);
            for n in 1..=6 {
                let gone = log.was_removed(node(n)).is_some();
                prop_assert!(!(gone && roles.contains_key(&node(n))));
            }
        }
        // Whoever reads the entries believes the same.
        let again = Log::verify(log.group(), log.entries_from_start(1_000)).expect("valid");
        prop_assert_eq!(again.head(), log.head());
        prop_assert_eq!(again.members(), log.members());
    }

    #[test]
    fn one_flipped_bit_never_passes(at in any::<proptest::sample::Index>(), bit in 0..8u8) {
        let log = lab();
        let mut entries = log.entries_from_start(100);
        let mut last = entries.pop().expect("three entries");
        let (at, length) = (at.index(last.body.len() + 64), last.body.len());
        if at < length {
            last.body[at] ^= 1 << bit;
        } else {
            let mut signature = *last.signature.as_bytes();
            signature[at - length] ^= 1 << bit;
            last.signature = covey_crypto::Signature::from_bytes(signature);
        }
        let mut prefix = Log::verify(log.group(), entries).expect("valid");
        let outcome = prefix.apply(last);
        prop_assert!(matches!(outcome, Outcome::Rejected(_) | Outcome::Gap), "{:?}", outcome);
        prop_assert!(!prefix.is_frozen());
    }
}
