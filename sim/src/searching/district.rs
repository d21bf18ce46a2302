//! What a town is divided into: groups enough to keep a thread busy, and few enough for their nodes to fit into memory.

use std::collections::BTreeMap;
use std::ops::Range;

use super::town::Role;
use crate::scenario::{Attack, Scenario};
use crate::seed::{Draw, derive_u64};

/// Most peers of a district, unless one group has more.
const MOST_PEERS: usize = 200;
/// Groups of a town whose questions are compared with what there is to find.
const COMPARED: usize = 200;

/// Some of a town's groups, which nobody else's nodes talk to.
pub(super) struct District {
    /// Which.
    pub(super) number: usize,
    /// What everything in it follows from.
    pub(super) seed: u64,
    /// How many members each group has.
    pub(super) groups: Vec<usize>,
    /// So many of them are compared with what there is to find.
    pub(super) compared: usize,
    /// Members that do harm, by their numbers in the district.
    pub(super) roles: BTreeMap<usize, Role>,
}

impl District {
    /// All of a scenario's.
    pub(super) fn all(scenario: &Scenario, seed: u64) -> Vec<Self> {
        let (peers, size) = (scenario.peers as usize, group_size(scenario));
        let (groups, each) = (peers.div_ceil(size), (MOST_PEERS / size).max(1));
        let roles = roles(scenario, seed);
        let district = |number: usize| {
            let its: Range<usize> = number * each..groups.min((number + 1) * each);
            let (first, behind) = (its.start * size, peers.min(its.end * size));
            let of = roles.range(first..behind).map(|(peer, role)| (peer - first, *role));
            Self {
                number,
                seed: derive_u64(seed, "district", number as u64, 0),
                groups: its.clone().map(|group| size.min(peers - group * size)).collect(),
                compared: COMPARED.saturating_sub(its.start).min(its.len()),
                roles: of.collect(),
            }
        };
        (0..groups.div_ceil(each)).map(district).collect()
    }
}

/// Peers of a group; the last may have fewer.
fn group_size(scenario: &Scenario) -> usize {
    scenario.search.group.max(2) as usize
}

/// Who does harm, by the numbers that founding the groups gives: so many of the whole town, in whichever groups. Never an owner: without it nobody joins.
fn roles(scenario: &Scenario, seed: u64) -> BTreeMap<usize, Role> {
    let (peers, size) = (scenario.peers as usize, group_size(scenario));
    let mut roles = Vec::new();
    for adversary in &scenario.adversaries {
        let role = match adversary.attack {
            Attack::ForgeScores => Role::Forger(adversary.strength),
            Attack::Flood => Role::Flooder(adversary.strength),
            Attack::Scale
            | Attack::SignFlip
            | Attack::Garbage
            | Attack::Poison
            | Attack::Collude => continue,
        };
        let count = (adversary.share * peers as f64).round() as usize;
        roles.extend(std::iter::repeat_n(role, count));
    }
    let members: Vec<usize> = (0..peers).filter(|peer| !peer.is_multiple_of(size)).collect();
    let mut draw = Draw::new(seed, "bad members", 0, 0);
    let mut bad = draw.some(roles.len(), members.len());
    // They come in the order of their numbers, and kinds are not to be neighbours.
    draw.shuffle(&mut bad);
    bad.into_iter().map(|place| members[place]).zip(roles).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Adversary, Search};

    #[test]
    fn so_many_of_the_town_do_harm_in_whichever_groups_and_no_owner() {
        let of = |attack, share, strength| Adversary { attack, share, strength };
        let scenario = Scenario {
            peers: 200,
            search: Search { group: 10, ..Search::default() },
            // A twentieth of each group would be rounded to one in all of them or none.
            adversaries: vec![
                of(Attack::ForgeScores, 0.03, 0.9),
                of(Attack::Flood, 0.02, 20.0),
                of(Attack::Flood, 0.01, 5.0),
                of(Attack::Scale, 0.1, 2.0),
            ],
            ..Scenario::default()
        };
        let roles = roles(&scenario, 3);
        assert!(roles.keys().all(|peer| *peer < 200 && peer % 10 != 0), "{roles:?}");
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for role in roles.values() {
            let name = match role {
                Role::Forger(score) => format!("forger {score}"),
                Role::Flooder(more) => format!("flooder {more}"),
            };
            *counts.entry(name).or_insert(0) += 1;
        }
        let expected = [("flooder 20", 4), ("flooder 5", 2), ("forger 0.9", 6)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(counts, BTreeMap::from(expected));
        let forgers: Vec<usize> = roles
            .iter()
            .filter(|(_, role)| matches!(role, Role::Forger(_)))
            .map(|(peer, _)| *peer)
            .collect();
        assert!(forgers.iter().any(|peer| *peer > 100), "not all in the first groups: {forgers:?}");
    }

    #[test]
    fn districts_have_all_groups_and_all_who_do_harm() {
        let scenario = Scenario {
            peers: 830,
            search: Search { group: 60, ..Search::default() },
            adversaries: vec![Adversary { attack: Attack::Flood, share: 0.1, strength: 2.0 }],
            ..Scenario::default()
        };
        let districts = District::all(&scenario, 3);
        let groups: Vec<usize> = districts.iter().map(|it| it.groups.len()).collect();
        assert_eq!(groups, [3, 3, 3, 3, 2]);
        let peers = |district: &District| district.groups.iter().sum::<usize>();
        assert_eq!(districts.iter().map(peers).sum::<usize>(), 830);
        assert_eq!(districts[4].groups, [60, 50], "the last has what is left");
        assert_eq!(districts.iter().map(|it| it.roles.len()).sum::<usize>(), 83);
        for district in &districts {
            let is_member = |peer: &usize| *peer < peers(district) && !peer.is_multiple_of(60);
            assert!(district.roles.keys().all(is_member), "{:?}", district.roles);
            assert_eq!(district.compared, district.groups.len(), "14 groups are few");
        }
        let seeds: std::collections::BTreeSet<u64> = districts.iter().map(|it| it.seed).collect();
        assert_eq!(seeds.len(), 5);
        // One group may be more than a district should be.
        let large = Search { group: 1_500, ..Search::default() };
        let scenario = Scenario { peers: 3_001, search: large, ..scenario };
        let groups = District::all(&scenario, 3).into_iter().map(|it| it.groups);
        assert_eq!(groups.collect::<Vec<_>>(), [[1_500], [1_500], [1]]);
    }
}
