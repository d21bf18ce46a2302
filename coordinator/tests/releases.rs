//! From checkpoints to releases: when one is due, what it says, whom it takes, and what it costs.

use covey_coordinator::{
    Came, Campaign, CampaignError, Candidate, CoordinatorError, GroupView, Promote,
};
use covey_crypto::Digest;
use covey_privacy::ledger::Unit;
use covey_privacy::rng::SimulationRng;
use covey_privacy::{Delta, NoiseMultiplier};
use covey_protocol::group::{CurrentRelease, Release};
use covey_protocol::ids::{ModelId, UnixMillis};
use covey_protocol::round::{Learning, Manifest, Rule, Task, Weighting};
use covey_protocol::wire::v1::round::{RoundAnswer, RoundAsk};

use rand_chacha::rand_core::Rng;

use crate::world::{NOW, World, campaign, model};

const DAY: u64 = 24 * 3_600_000;

fn better(n: u8) -> ModelId {
    ModelId { release: Digest::sha256(&[n]), ..model() }
}

/// A campaign whose checkpoints become releases by themselves, at most one in a week.
fn weekly(rounds: u32) -> Campaign {
    Campaign { release_every_ms: Some(7 * DAY), ..campaign(rounds) }
}

impl World {
    /// Lets all of a group of four learn for a round.
    fn learn(&mut self) {
        self.announced(1).expect("a plan");
        self.attempt(&[0, 1, 2, 3], &[]);
        self.wait(5_000);
    }

    fn promote(&self, by_hand: bool) -> Promote {
        self.coordinator.promote(&self.view, by_hand, self.now).expect("can be asked")
    }

    fn judge(&self, candidate: &Candidate, worse: Option<&str>) {
        let worse = worse.map(str::to_owned);
        self.coordinator.judged(&candidate.digest, worse, &self.view, self.now).expect("told");
    }

    fn make(&self, candidate: &Candidate, to: ModelId) -> Release {
        let made = self.coordinator.release(to, &candidate.digest, &self.view, self.now);
        made.expect("made")
    }

    /// Has the log name it.
    fn log(&mut self, release: Release) {
        let quorum = self.view.quorum;
        self.view.release = Some(CurrentRelease { release, at: self.now, quorum });
    }

    fn manifest(&mut self, release: &Release) -> Manifest {
        let RoundAnswer::Manifest(signed) =
            self.ask(2, RoundAsk::Manifest { of: release.manifest })
        else {
            panic!("no manifest")
        };
        assert_eq!(signed.digest(), release.manifest);
        let manifest = signed.verify().expect("signed");
        let quorum = self.view.quorum;
        let current = CurrentRelease { release: *release, at: self.now, quorum };
        manifest.check(release.manifest, self.view.group, &current).expect("as the log names it");
        manifest
    }

    /// Proposed, let pass by own pairs, made and named.
    fn released(&mut self, to: ModelId) -> Release {
        let Promote::Judge(candidate) = self.promote(false) else { panic!("it is due") };
        self.judge(&candidate, None);
        let Promote::Release(candidate) = self.promote(false) else { panic!("it passed") };
        let release = self.make(&candidate, to);
        self.log(release);
        release
    }

    fn held_back(&self) -> String {
        let candidate = self.coordinator.status().candidate.expect("one");
        candidate.strip_prefix("is held back: ").expect("held back").to_owned()
    }
}

#[test]
fn a_release_says_what_it_is_made_of() {
    let mut world = World::new(4, false);
    let by_hand = |world: &World| world.coordinator.promote(&world.view, true, NOW);
    assert!(matches!(by_hand(&world), Err(CoordinatorError::NoCheckpoint)));
    world.begin(campaign(1), &[0.0_f32; 50]);
    assert!(matches!(by_hand(&world), Err(CoordinatorError::NoCheckpoint)), "nothing learnt yet");
    world.learn();
    // By itself nothing happens: the campaign says never.
    assert_eq!(world.promote(false), Promote::Nothing);
    // Also once the campaign was stopped.
    world.coordinator.stop(NOW).expect("stops");
    let Promote::Release(candidate) = world.promote(true) else { panic!("at once") };
    assert_eq!(candidate.before, [0.0_f32; 50]);
    let other = Digest::sha256(b"other");
    let stale = world.coordinator.release(better(1), &other, &world.view, NOW);
    assert!(matches!(stale, Err(CoordinatorError::Moved)));
    let release = world.make(&candidate, better(1));
    assert_eq!(release.number, 1);
    // The same again for as long as the log does not name it.
    world.now = world.now.plus(DAY);
    let Promote::Release(again) = world.promote(false) else { panic!("still to be named") };
    assert_eq!(world.make(&again, better(1)), release);
    world.log(release);
    assert_eq!(world.promote(false), Promote::Nothing);
    assert_eq!(world.coordinator.status().candidate, None);
    assert!(matches!(by_hand(&world), Err(CoordinatorError::NothingNew)));
    let manifest = world.manifest(&release);
    assert_eq!((manifest.rounds, manifest.cohort, manifest.model), (1, 4, better(1)));
    assert_eq!((manifest.parent, manifest.unit), (None, Unit::Peer));
    assert_eq!((manifest.evaluation, manifest.cost), (None, None));
    world.values(2, manifest.values);
    assert_eq!(world.coordinator.status().released, Some((1, true)));
}

#[test]
fn unit_and_delta_are_those_of_the_rounds_in_it() {
    let mut world = World::new(4, true);
    world.begin(campaign(1), &[0.0_f32; 50]);
    world.learn();
    world.wait(5_000);
    let other = |unit, delta| {
        let mut other = campaign(1);
        if unit == Unit::Document {
            other.learning = Learning::by_document(8, 16, 64);
            other.contribution.weighting = Weighting::Uniform;
            other.contribution.measures.clear();
        }
        other.contribution.unit = unit;
        other.contribution.delta = Delta::new(delta).expect("a delta");
        other
    };
    // Rounds that protect something else do not come on top.
    let documents = other(Unit::Document, 1e-5);
    let error = world.coordinator.start(documents.clone(), &[0.0; 50], &world.view, world.now);
    let error = error.expect_err("refused");
    assert!(matches!(error, CoordinatorError::Unit { rounds: 1, unit: Unit::Peer }), "{error}");
    // With another adapter they begin anew.
    let anew = Campaign { adapter: b"{\"rank\":2}".to_vec(), ..documents };
    // Nobody can be asked what such a release is worth, so none is begun that would have to be.
    let asking = GroupView { quorum: 3, ..world.view.clone() };
    let error = world.coordinator.start(anew.clone(), &[0.0; 50], &asking, world.now);
    let error = error.expect_err("no evaluation");
    assert!(matches!(error, CoordinatorError::Campaign(CampaignError::Evaluation)), "{error}");
    world.begin(anew, &[0.0_f32; 50]);
    world.coordinator.stop(world.now).expect("stops");
    // A delta may be another one; the smallest is told.
    let mut world = World::new(4, true);
    world.begin(campaign(1), &[0.0_f32; 50]);
    world.learn();
    for delta in [1e-7, 1e-4] {
        world.wait(5_000);
        world.begin(other(Unit::Peer, delta), &[0.0_f32; 50]);
        world.learn();
    }
    let Promote::Release(candidate) = world.promote(true) else { panic!("at once") };
    let release = world.make(&candidate, better(1));
    let manifest = world.manifest(&release);
    assert_eq!((manifest.rounds, manifest.delta.get()), (3, 1e-7));
}

#[test]
fn one_is_made_by_itself_and_the_next_a_week_later() {
    let mut world = World::new(4, true);
    world.begin(weekly(2), &[0.0_f32; 50]);
    world.learn();
    assert_eq!(world.promote(false), Promote::Nothing, "the campaign goes on");
    world.learn();
    world.wait(5_000);
    assert_eq!(world.coordinator.status().left, None);
    let first = world.released(better(1));
    let at = world.now;
    assert_eq!(world.promote(false), Promote::Nothing, "nothing was learnt since");
    // Another campaign, of any number of rounds.
    world.begin(weekly(100), &[0.0_f32; 50]);
    world.learn();
    world.now = UnixMillis(at.0 + 7 * DAY - 1);
    world.restart();
    assert_eq!(world.promote(false), Promote::Nothing);
    world.now = world.now.plus(60_000);
    let Promote::Judge(candidate) = world.promote(false) else { panic!("a week has passed") };
    let before = world.manifest(&first).values;
    assert_eq!(candidate.before, world.values(1, before), "it is compared with the last");
    // By hand at any time, without being judged.
    let Promote::Release(candidate) = world.promote(true) else { panic!("by hand") };
    let second = world.make(&candidate, better(2));
    assert_eq!(second.number, 2);
    world.log(second);
    assert_eq!(world.manifest(&second).parent, Some(better(1)));
    // Nobody makes one by itself where the person says never.
    world.coordinator.stop(world.now).expect("stops");
    world.begin(campaign(1), &[0.0_f32; 50]);
    world.learn();
    world.now = world.now.plus(30 * DAY);
    assert_eq!(world.promote(false), Promote::Nothing);
}

#[test]
fn what_does_worse_is_held_back_until_something_else_was_learnt() {
    let mut world = World::new(4, true);
    world.begin(weekly(1), &[0.0_f32; 50]);
    world.learn();
    world.wait(5_000);
    let Promote::Judge(candidate) = world.promote(false) else { panic!("it is due") };
    world.judge(&candidate, Some("it does worse"));
    assert_eq!(world.held_back(), "it does worse");
    world.now = world.now.plus(30 * DAY);
    assert_eq!(world.promote(false), Promote::Nothing);
    world.begin(weekly(1), &[0.0_f32; 50]);
    world.learn();
    world.wait(5_000);
    let Promote::Judge(next) = world.promote(false) else { panic!("there is something new") };
    assert_ne!(next.digest, candidate.digest);
    // What is said of the one before is not heard.
    world.judge(&candidate, Some("it does worse"));
    assert!(matches!(world.promote(false), Promote::Judge(_)));
}

/// A group of four that wants `quorum` evaluations, once there is something to evaluate.
fn asking(quorum: u32, campaign: Campaign) -> World {
    let mut world = World::new(4, true);
    world.begin(campaign, &[0.0_f32; 50]);
    world.learn();
    world.wait(5_000);
    world.view.quorum = quorum;
    let Promote::Judge(candidate) = world.promote(false) else { panic!("it is due") };
    world.judge(&candidate, None);
    assert_eq!(world.promote(false), Promote::Ask);
    world.wait(1);
    world
}

#[test]
fn members_are_asked_and_more_than_half_have_to_agree() {
    let mut world = asking(4, weekly(1));
    let plan = world.announced(1).expect("a plan").plan.verify(&world.view.coordinator);
    let plan = plan.expect("sound");
    assert!(matches!(plan.plan().task, Task::Evaluate { .. }));
    assert_eq!((plan.plan().sum.entries, plan.plan().sum.min_cohort), (3, 4));
    world.worse.insert(3);
    world.attempt(&[0, 1, 2, 3], &[]);
    world.wait(1);
    let Promote::Release(candidate) = world.promote(false) else { panic!("three of four") };
    let release = world.make(&candidate, better(1));
    let manifest = world.manifest(&release);
    let evaluation = manifest.evaluation.expect("asked");
    assert_eq!((evaluation.members, evaluation.plan), (4, plan.digest()));
    assert!((evaluation.no_worse - 0.75).abs() < 1e-3, "{evaluation:?}");
    assert!((evaluation.loss_before - 2.0).abs() < 1e-3, "{evaluation:?}");
    assert!((evaluation.loss_after - 1.5).abs() < 1e-3, "{evaluation:?}");
    // It is no round of training.
    assert_eq!((manifest.rounds, manifest.round), (1, 1));
    let records = world.coordinator.records().expect("records");
    assert!(matches!(records[..].last().expect("two").came, Came::Evaluated(_)));
    // A group that has come to want more has members asked again.
    world.view.quorum = 5;
    assert_eq!(world.promote(false), Promote::Ask);
}

#[test]
fn a_quorum_may_be_larger_than_the_cohorts_that_train() {
    let mut small = weekly(1);
    small.sum.max_cohort = 4;
    let mut world = World::new(5, true);
    world.begin(small, &[0.0_f32; 50]);
    world.learn();
    world.wait(5_000);
    world.view.quorum = 5;
    let Promote::Judge(candidate) = world.promote(false) else { panic!("it is due") };
    world.judge(&candidate, None);
    world.wait(1);
    world.announced(1).expect("a plan");
    world.attempt(&[0, 1, 2, 3, 4], &[]);
    world.wait(1);
    let Promote::Release(candidate) = world.promote(false) else { panic!("all five") };
    let release = world.make(&candidate, better(1));
    assert_eq!(world.manifest(&release).evaluation.expect("asked").members, 5);
}

#[test]
fn half_of_the_members_are_too_few() {
    let mut world = asking(4, weekly(1));
    world.worse.extend([0, 3]);
    world.announced(1).expect("a plan");
    world.attempt(&[0, 1, 2, 3], &[]);
    world.wait(1);
    assert_eq!(world.promote(false), Promote::Nothing);
    let why = world.held_back();
    assert!(why.starts_with("50% of 4 members do no worse"), "{why}");
    world.now = world.now.plus(30 * DAY);
    assert_eq!(world.promote(false), Promote::Nothing, "it is as it is");
}

#[test]
fn without_a_quorum_nobody_pays_and_it_is_tried_again() {
    let mut world = asking(4, weekly(1));
    world.announced(1).expect("a plan");
    let members = world.view.members.len();
    assert_eq!(members, 4);
    // Three check in; the cohort is not made, in either attempt.
    for _ in 0..2 {
        world.attempt_until_over(&[0, 1, 2]);
    }
    assert!(world.sent.len() == 4, "what was sent, was sent in the round before");
    assert_eq!(world.promote(false), Promote::Nothing);
    let why = world.held_back();
    assert!(why.starts_with("its evaluation failed"), "{why}");
    world.now = world.now.plus(DAY);
    assert!(matches!(world.promote(false), Promote::Judge(_)), "a day later");
    // More than there are members.
    let world = asking(5, weekly(1));
    let why = world.held_back();
    assert!(why.contains("the group has 4 members"), "{why}");
}

#[test]
fn an_evaluation_is_paid_for_and_the_release_says_so() {
    let mut noisy = weekly(1);
    noisy.contribution.noise = NoiseMultiplier::new(0.01).ok();
    noisy.contribution.weighting = Weighting::Uniform;
    noisy.contribution.measures = vec![];
    noisy.rule = Rule::Average { rate: 1.0 };
    let mut world = asking(4, noisy);
    let round = world.coordinator.status().cost.expect("noise");
    let plan = world.announced(1).expect("a plan").plan.verify(&world.view.coordinator);
    let evaluation = plan.expect("sound").cost().expect("noise");
    assert!(evaluation <= round, "no more than an update");
    assert!(evaluation.get() > 0.9 * round.get());
    world.attempt(&[0, 1, 2, 3], &[]);
    world.wait(1);
    let Promote::Release(candidate) = world.promote(false) else { panic!("all of four") };
    let release = world.make(&candidate, better(1));
    let cost = world.manifest(&release).cost.expect("noise").get();
    assert!(cost >= round.get() + evaluation.get(), "{cost}");
    assert!(cost < (round.get() + evaluation.get()) * 1.000_001, "{cost}");
    assert_eq!(world.coordinator.status().cost.expect("noise").get(), cost);
}

#[test]
fn rounds_go_on_while_a_candidate_is_evaluated() {
    let mut world = World::new(4, true);
    let often = Campaign { release_every_ms: Some(1), ..campaign(3) };
    world.begin(often, &[0.0_f32; 50]);
    world.learn();
    world.view.quorum = 4;
    let Promote::Judge(candidate) = world.promote(false) else { panic!("it is due") };
    world.judge(&candidate, None);
    // The next round of training had begun before members were asked.
    world.learn();
    let asked = world.announced(1).expect("a plan").plan.verify(&world.view.coordinator);
    let Task::Evaluate { of } = asked.expect("sound").plan().task else { panic!("now") };
    assert_eq!(of.digest, candidate.digest, "what was proposed");
    world.attempt(&[0, 1, 2, 3], &[]);
    world.wait(5_000);
    let Promote::Release(ready) = world.promote(false) else { panic!("evaluated") };
    assert_eq!(ready.digest, candidate.digest);
    let release = world.make(&ready, better(1));
    assert_eq!(world.manifest(&release).rounds, 1);
    world.log(release);
    // And the third.
    world.learn();
    assert_eq!(world.coordinator.status().rounds, 3);
    // What is left of values: the checkpoint's, what it began with, and the release's.
    let Promote::Judge(next) = world.promote(false) else { panic!("the next") };
    assert_ne!(next.digest, ready.digest);
}

/// Whatever is learnt and judged, and whenever it is looked: releases that make themselves are a week apart, and each has learnt more.
#[test]
fn however_it_goes_releases_are_a_week_apart() {
    for seed in 0..6_u64 {
        let mut world = World::new(4, false);
        let mut rng = SimulationRng::numbered(seed, 1);
        let mut made: Vec<(UnixMillis, u32)> = Vec::new();
        for _ in 0..40 {
            match rng.next_u64() % 5 {
                0 | 1 => {
                    if world.coordinator.status().left.is_none() {
                        world.begin(weekly(1), &[0.0_f32; 50]);
                        world.learn();
                        world.wait(5_000);
                    }
                }
                2 => world.now = world.now.plus(rng.next_u64() % (4 * DAY)),
                3 => world.restart(),
                _ => match world.promote(false) {
                    Promote::Judge(candidate) => {
                        let worse = rng.next_u64().is_multiple_of(3).then_some("worse");
                        world.judge(&candidate, worse);
                    }
                    Promote::Release(candidate) => {
                        let release = world.make(&candidate, better(made.len() as u8));
                        let rounds = world.manifest(&release).rounds;
                        made.push((world.now, rounds));
                        world.log(release);
                    }
                    Promote::Nothing => {}
                    Promote::Ask => panic!("nobody is to be asked"),
                },
            }
        }
        for pair in made.windows(2) {
            let apart = pair[1].0.0 - pair[0].0.0;
            assert!(apart >= 7 * DAY - 1_000, "seed {seed}: {apart} ms apart");
            assert!(pair[1].1 > pair[0].1, "seed {seed}: {made:?}");
        }
    }
}
