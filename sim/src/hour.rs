//! The scenario every change is held against: a group founded by invites, an hour of questions and
//! mishaps, and logs that agree in the end.

use std::time::Duration;

use covey_crypto::Digest;
use covey_node::api::{Call, Coverage, Reveal};
use covey_protocol::ids::Name;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde::Serialize;

use crate::{SimError, Topic, World, document};

/// How big and how long.
#[derive(Debug, Clone, Copy)]
pub struct Hour {
    /// Nodes in the group.
    pub nodes: usize,
    /// Questions asked, evenly spread.
    pub questions: usize,
    /// Time that passes.
    pub length: Duration,
}

impl Default for Hour {
    fn default() -> Self {
        Self { nodes: 50, questions: 60, length: Duration::from_secs(3_600) }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HourReport {
    /// Messages delivered.
    pub messages: u64,
    /// Digest over every delivery.
    pub transcript: Digest,
    /// Questions by what the asked members did, summed.
    pub asked: u64,
    /// See [`Coverage::answered`].
    pub answered: u64,
    /// See [`Coverage::refused`].
    pub refused: u64,
    /// See [`Coverage::timed_out`].
    pub timed_out: u64,
    /// See [`Coverage::offline`].
    pub offline: u64,
    /// Questions whose best result was about their topic.
    pub on_topic: u64,
    /// Heads of the logs in the end, of everybody in the group: one if all agree.
    pub heads: usize,
    /// Members in the end.
    pub members: u32,
}

impl Hour {
    /// Lives through it in a world of `seed`. Member 1 is offline for a while, the network is split
    /// and healed, one node restarts, and the last member is removed half-way.
    ///
    /// # Errors
    /// If a node refuses what the scenario needs.
    pub async fn live(self, seed: u64) -> Result<HourReport, SimError> {
        let mut world = World::new(seed)?;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let group = self.found(&mut world, &mut rng).await?;
        let mut report = HourReport {
            messages: 0,
            transcript: Digest::ZERO,
            asked: 0,
            answered: 0,
            refused: 0,
            timed_out: 0,
            offline: 0,
            on_topic: 0,
            heads: 0,
            members: 0,
        };
        let pause = self.length / u32::try_from(self.questions.max(1)).unwrap_or(u32::MAX);
        for question in 0..self.questions {
            self.mishap(&mut world, &group, question).await?;
            // The removed member asks no more; who is offline or apart still may.
            let asker = pick(&mut rng, self.nodes - 1);
            let topic = &Topic::ALL[pick(&mut rng, Topic::ALL.len())];
            let answer = world.ask(asker, &group, topic.question).await?;
            report.count(&answer.coverage);
            let best = answer.results.first().and_then(|hit| hit.from.first());
            report.on_topic += u64::from(best.is_some_and(|from| from.collection == topic.name));
            world.pass(pause).await;
        }
        world.heal();
        // Two rounds of the periodic sync reach everybody.
        world.pass(Duration::from_secs(300)).await;
        let mut heads = Vec::new();
        for number in 0..self.nodes - 1 {
            let info = world.group(number, &group).await?;
            report.members = info.members;
            heads.push((info.epoch, info.members, info.frozen));
        }
        heads.sort_unstable();
        heads.dedup();
        report.heads = heads.len();
        let transcript = world.transcript();
        (report.messages, report.transcript) = (transcript.count, transcript.digest);
        Ok(report)
    }

    /// The first node founds the group, everybody is invited, and everybody shares a note or two.
    async fn found(self, world: &mut World, rng: &mut ChaCha20Rng) -> Result<Name, SimError> {
        let group: Name = "covey".parse()?;
        for number in 0..self.nodes {
            world.add(&format!("member-{number}"))?;
        }
        let create = Call::GroupCreate { group: group.clone(), member: None };
        world.call(0, create).await.map_err(|error| world.failed(0, error))?;
        for guest in 1..self.nodes {
            // The second member becomes an admin and invites every third guest.
            let inviter = usize::from(guest > 2 && guest % 3 == 0);
            world.invite(inviter, guest, &group).await?;
            if guest == 1 {
                let member = world.peer(1).name.to_string();
                let call = Call::GroupRole { group: group.clone(), member, admin: true };
                world.call(0, call).await.map_err(|error| world.failed(0, error))?;
            }
        }
        for number in 0..self.nodes {
            let topic = &Topic::ALL[number % Topic::ALL.len()];
            let author = world.peer(number).name.to_string();
            for note in 0..2 {
                let text = document(topic, &author, rng);
                world.write(number, &format!("{}/note-{note}.md", topic.name), &text);
            }
            let reveal = [Reveal::Full, Reveal::Snippet, Reveal::Score][number % 3];
            world.share(number, topic.name, &group, reveal).await?;
        }
        Ok(group)
    }

    async fn mishap(
        self,
        world: &mut World,
        group: &Name,
        question: usize,
    ) -> Result<(), SimError> {
        let at = |tenths: usize| question == self.questions * tenths / 10;
        if at(1) {
            world.take_down(1);
        }
        if at(3) {
            world.bring_up(1);
        }
        if at(4) {
            world.split(self.nodes / 2..self.nodes);
        }
        if at(5) {
            let member = world.peer(self.nodes - 1).name.to_string();
            let call = Call::GroupRemove { group: group.clone(), member };
            world.call(0, call).await.map_err(|error| world.failed(0, error))?;
        }
        if at(6) {
            world.heal();
        }
        if at(7) {
            world.restart(2).await?;
        }
        Ok(())
    }
}

impl HourReport {
    fn count(&mut self, coverage: &Coverage) {
        self.asked += u64::from(coverage.asked);
        self.answered += u64::from(coverage.answered);
        self.refused += u64::from(coverage.refused);
        self.timed_out += u64::from(coverage.timed_out);
        self.offline += u64::from(coverage.offline);
    }
}

fn pick(rng: &mut ChaCha20Rng, below: usize) -> usize {
    usize::try_from(rng.next_u64() % below as u64).unwrap_or_default()
}
