//! Groups of peers, and what each peer has.

use std::collections::BTreeMap;
use std::sync::Arc;

use covey_net::memory::MemoryLink;
use covey_node::api::{Call, Reveal};
use covey_node::cancel::CancelFlag;
use covey_node::models::Models;
use covey_protocol::ids::Name;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::task::JoinHandle;

use super::Made;
use super::forger;
use super::tally::Harvest;
use super::truth::Truth;
use crate::data::MadeUp;
use crate::scenario::{Attack, Scenario};
use crate::seed::{Draw, derive};
use crate::{SimError, World};

/// Groups whose questions are compared with what there is to find.
const COMPARED: usize = 200;

/// One group: its peers by their numbers, the owner first.
pub(super) struct Group {
    pub(super) name: Name,
    pub(super) peers: Vec<usize>,
    /// What there is to find, where that is compared.
    pub(super) truth: Option<Truth>,
}

/// How a member does harm.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// It answers with ads that it says have this score.
    Forger(f64),
    /// It asks so many times as much as others.
    Flooder(f64),
}

/// All groups.
pub(super) struct Town {
    pub(super) world: World,
    pub(super) groups: Vec<Group>,
    pub(super) made_up: MadeUp,
    pub(super) seed: u64,
    models: Arc<dyn Models>,
    /// Members that do harm, by their numbers. They stay for as long as the town does.
    pub(super) roles: BTreeMap<usize, Role>,
    /// What flooders have got so far.
    pub(super) harvest: Harvest,
    /// What forgers answer with.
    forging: Vec<(MemoryLink, JoinHandle<()>)>,
    /// Peers there were so far, for their names.
    born: u64,
}

impl Town {
    /// Founds the groups: members join by invites and share what they have.
    pub(super) async fn found(
        world: World,
        scenario: &Scenario,
        seed: u64,
        models: &Arc<dyn Models>,
        cancel: &CancelFlag,
        made: Made<'_>,
    ) -> Result<Self, SimError> {
        let made_up = MadeUp::new(scenario.data.topics, seed);
        let mut town = Self {
            world,
            groups: Vec::new(),
            made_up,
            seed,
            models: Arc::clone(models),
            roles: roles(scenario, seed),
            harvest: Harvest::new(),
            forging: Vec::new(),
            born: 0,
        };
        let (peers, size) = (scenario.peers as usize, group_size(scenario));
        let count = peers.div_ceil(size);
        for group in 0..count {
            crate::training::cancelled(cancel)?;
            made(group, count);
            let members = size.min(peers - group * size);
            town.add_group(scenario, group, members).await?;
        }
        made(count, count);
        Ok(town)
    }

    async fn add_group(
        &mut self,
        scenario: &Scenario,
        number: usize,
        members: usize,
    ) -> Result<(), SimError> {
        let name: Name = "town".parse()?;
        let truth = (number < COMPARED).then(|| Truth::new(Arc::clone(&self.models)));
        self.groups.push(Group { name: name.clone(), peers: Vec::new(), truth });
        for place in 0..members {
            let peer = self.add_peer()?;
            if place == 0 {
                let create = Call::GroupCreate { group: name.clone(), member: None };
                self.world.must(peer, create).await?;
            } else {
                let owner = self.groups[number].peers[0];
                self.world.invite(owner, peer, &name).await?;
            }
            self.groups[number].peers.push(peer);
            self.furnish(scenario, number, peer).await?;
        }
        for peer in self.groups[number].peers.clone() {
            if let Some(Role::Forger(score)) = self.roles.get(&peer).copied() {
                let (link, events) = self.world.take_over(peer);
                let task = tokio::spawn(forger::answer_all(events, score));
                self.forging.push((link, task));
            }
        }
        Ok(())
    }

    /// All flooders: their groups, and their numbers.
    pub(super) fn flooders(&self) -> impl Iterator<Item = (usize, usize)> {
        let floods = |peer: &usize| matches!(self.roles.get(peer), Some(Role::Flooder(_)));
        self.groups.iter().enumerate().flat_map(move |(number, group)| {
            group.peers.iter().copied().filter(floods).map(move |peer| (number, peer))
        })
    }

    fn add_peer(&mut self) -> Result<usize, SimError> {
        let name = format!("p{}", self.born);
        self.born += 1;
        self.world.add(&name)
    }

    /// Gives a peer its passages, and lets it share them, if it is one who shares.
    async fn furnish(
        &mut self,
        scenario: &Scenario,
        group: usize,
        peer: usize,
    ) -> Result<(), SimError> {
        let mut draw = Draw::new(self.seed, "passages", peer as u64, 0);
        let passages = scenario.search.passages;
        if passages == 0 || draw.share() >= scenario.search.sharing {
            return Ok(());
        }
        let seed = derive(self.seed, "texts", peer as u64, 0);
        let mut rng = ChaCha20Rng::from_seed(seed);
        for number in 0..passages {
            let subject = draw.below(self.made_up.subjects().max(1) as usize) as u32;
            let text = self.made_up.passage(subject, &mut rng);
            self.world.write(peer, &format!("docs/{number}.txt"), &text);
            if let Some(truth) = &mut self.groups[group].truth {
                truth.add(peer, text)?;
            }
        }
        let name = self.groups[group].name.clone();
        self.world.share(peer, "docs", &name, Reveal::Full).await
    }

    /// Replaces members by new ones: so large a share of each group, but neither its owner nor those who do harm, whose turn passes.
    pub(super) async fn churn(&mut self, scenario: &Scenario, hour: u32) -> Result<(), SimError> {
        let share = scenario.availability.churn_per_hour;
        if share <= 0.0 {
            return Ok(());
        }
        for group in 0..self.groups.len() {
            let mut draw = Draw::new(self.seed, "churn", group as u64, hour.into());
            let others = self.groups[group].peers.len().saturating_sub(1);
            // So that small groups lose somebody now and then.
            let count = draw.about(share * others as f64);
            for place in draw.some(count, others) {
                let (owner, gone) =
                    (self.groups[group].peers[0], self.groups[group].peers[place + 1]);
                if self.roles.contains_key(&gone) {
                    continue;
                }
                let name = self.groups[group].name.clone();
                self.world.bring_up(gone);
                self.world.must(gone, Call::GroupLeave { group: name.clone() }).await?;
                self.world.remove(gone);
                if let Some(truth) = &mut self.groups[group].truth {
                    truth.forget(gone);
                }
                let peer = self.add_peer()?;
                self.world.invite(owner, peer, &name).await?;
                self.groups[group].peers[place + 1] = peer;
                self.furnish(scenario, group, peer).await?;
            }
        }
        Ok(())
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
    for last in (1..bad.len()).rev() {
        bad.swap(last, draw.below(last + 1));
    }
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
}
