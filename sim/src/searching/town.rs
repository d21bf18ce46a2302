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

/// All groups.
pub(super) struct Town {
    pub(super) world: World,
    pub(super) groups: Vec<Group>,
    pub(super) made_up: MadeUp,
    pub(super) seed: u64,
    models: Arc<dyn Models>,
    /// Peers that forge scores, by their numbers.
    pub(super) forgers: BTreeMap<usize, (MemoryLink, JoinHandle<()>)>,
    /// Peers that ask more than others, and how many times as much.
    pub(super) flooders: BTreeMap<usize, f64>,
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
            forgers: BTreeMap::new(),
            flooders: BTreeMap::new(),
            born: 0,
        };
        let (peers, size) = (scenario.peers as usize, scenario.search.group.max(2) as usize);
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
        let wanted = |attack| -> f64 {
            let of = scenario.adversaries.iter().filter(|it| it.attack == attack);
            of.map(|it| it.share).sum()
        };
        // Never the owner: without it nobody joins.
        let mut draw = Draw::new(self.seed, "bad members", number as u64, 0);
        let count = |share: f64| (share * members as f64).round() as usize;
        let (forge, flood) = (count(wanted(Attack::ForgeScores)), count(wanted(Attack::Flood)));
        let bad = draw.some(forge + flood, members.saturating_sub(1));
        for (place, peer) in
            bad.into_iter().map(|place| self.groups[number].peers[place + 1]).enumerate()
        {
            if place < forge {
                let (link, events) = self.world.take_over(peer);
                let task = tokio::spawn(forger::answer_all(events));
                self.forgers.insert(peer, (link, task));
            } else {
                let of = scenario.adversaries.iter().find(|it| it.attack == Attack::Flood);
                self.flooders.insert(peer, of.map_or(1.0, |it| it.strength));
            }
        }
        Ok(())
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

    /// Replaces members by new ones: so large a share of each group, the owner never.
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
                if self.forgers.contains_key(&gone) {
                    continue;
                }
                let name = self.groups[group].name.clone();
                self.world.bring_up(gone);
                self.world.must(gone, Call::GroupLeave { group: name.clone() }).await?;
                self.world.remove(gone);
                self.flooders.remove(&gone);
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
