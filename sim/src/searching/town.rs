//! Groups of peers, and what each peer has.

use std::collections::BTreeMap;
use std::sync::Arc;

use covey_net::memory::MemoryLink;
use covey_node::api::{Call, Reveal};
use covey_node::models::Models;
use covey_protocol::ids::Name;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::task::JoinHandle;

use super::district::District;
use super::forger;
use super::tally::Harvest;
use super::truth::Truth;
use crate::data::MadeUp;
use crate::scenario::Scenario;
use crate::seed::{Draw, derive};
use crate::{SimError, World};

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

/// A district's groups.
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
    /// A district without its groups.
    pub(super) fn new(
        world: World,
        district: &District,
        scenario: &Scenario,
        models: &Arc<dyn Models>,
    ) -> Self {
        Self {
            world,
            groups: Vec::new(),
            made_up: MadeUp::new(scenario.data.topics, district.seed),
            seed: district.seed,
            models: Arc::clone(models),
            roles: district.roles.clone(),
            harvest: Harvest::new(),
            forging: Vec::new(),
            born: 0,
        }
    }

    /// Founds the next group: members join by invites and share what they have.
    pub(super) async fn add_group(
        &mut self,
        scenario: &Scenario,
        district: &District,
    ) -> Result<(), SimError> {
        let name: Name = "town".parse()?;
        let number = self.groups.len();
        let is_compared = number < district.compared;
        let truth = is_compared.then(|| Truth::new(Arc::clone(&self.models)));
        self.groups.push(Group { name: name.clone(), peers: Vec::new(), truth });
        for place in 0..district.groups[number] {
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
