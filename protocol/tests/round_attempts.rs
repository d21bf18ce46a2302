//! Whole attempts at a round: messages get lost, participants and the coordinator are killed, and the sum is the
//! plain one or the attempt ends in a named error.

use covey_protocol::ids::NodeId;
use covey_protocol::round::{Measure, Phase, Weighting};
use covey_protocol::secagg::{Bounds, Check, Topology};
use covey_protocol::wire::v1::round::Over;
use proptest::prelude::*;

use crate::round_world::{Fate, Outcome, World, noisy, plan};
use crate::secagg_round::{LOOSE, identity};

fn id(n: usize) -> NodeId {
    NodeId::new(identity(n).public())
}

fn bounds() -> Bounds {
    Bounds { collusion_permille: 0, ..LOOSE }
}

fn sums(outcome: &Outcome) {
    let summed = outcome.ended.as_ref().expect("sums");
    assert_eq!(summed.sum, outcome.plain);
    for survivor in &summed.survivors {
        assert_eq!(outcome.paid[survivor], 1, "masked once");
    }
}

#[test]
fn everybody_stays_and_all_are_told() {
    for topology in [Topology::Complete, Topology::Sparse] {
        let plan = plan(topology, 24, bounds());
        let outcome = World::new(&plan, &[Fate::Stays; 24], 1).run();
        sums(&outcome);
        assert_eq!(outcome.ended.as_ref().map(|summed| summed.survivors.len()), Ok(24));
        assert_eq!(outcome.silent, []);
        // Whoever comes back once all is done hears so; others were sent home by the end itself.
        assert!(outcome.told.values().all(|over| *over == Some(Over::Done)));
        let neighbours = topology == Topology::Sparse;
        assert_eq!(outcome.phases.contains(&Phase::Neighbours), neighbours);
    }
}

#[test]
fn nobody_waits_for_a_deadline_when_everybody_is_there() {
    let mut plan = plan(Topology::Complete, 5, bounds());
    plan.timing.phase_ms = 1_000_000;
    plan.timing.upload_ms = 1_000_000;
    plan.timing.check_in_by = plan.timing.opens.plus(1_000_000);
    let world = World::new(&plan, &[Fate::Stays; 5], 2);
    sums(&world.run());
}

#[test]
fn noise_weights_and_measures_travel_in_the_sum() {
    let mut plan = plan(Topology::Complete, 6, bounds());
    noisy(&mut plan, 2.0);
    plan.contribution.rotate = true;
    plan.contribution.weighting = Weighting::Pairs { cap: 100 };
    plan.contribution.measures = vec![Measure::LossBefore, Measure::Clipped];
    plan.sum.entries = 512 + 3;
    let outcome = World::new(&plan, &[Fate::Stays; 6], 3).run();
    sums(&outcome);
}

#[test]
fn too_few_are_left_and_the_attempt_ends() {
    let plan = plan(Topology::Complete, 6, bounds());
    // Two of six may drop out by the bounds; three do, each phase in turn.
    for messages in [1, 2, 4] {
        let mut fates = [Fate::Stays; 6];
        fates[..4].fill(Fate::Leaves(messages));
        let outcome = World::new(&plan, &fates, 4).run();
        assert_eq!(outcome.ended.as_ref().expect_err("too few").check, Check::TooFew);
        // It is known who was silent, and nobody else is named. One may have been quicker than its end.
        let gone: Vec<NodeId> = (0..4).map(id).collect();
        assert!(outcome.silent.len() >= 3, "{:?} after {messages}", outcome.silent);
        assert!(outcome.silent.iter().all(|silent| gone.contains(silent)));
        assert!(outcome.told.values().all(|over| matches!(over, None | Some(Over::Failed))));
    }
}

#[test]
fn who_is_killed_before_it_masked_is_out_and_after_it_goes_on() {
    let plan = plan(Topology::Complete, 8, bounds());
    for messages in 0..14 {
        let mut fates = [Fate::Stays; 8];
        fates[3] = Fate::Restarts(messages);
        let outcome = World::new(&plan, &fates, 5).run();
        sums(&outcome);
        let survived = outcome.ended.expect("sums").survivors.contains(&id(3));
        assert_eq!(survived, outcome.paid[&id(3)] == 1, "{messages}");
    }
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Stays),
        1 => (0_u32..20).prop_map(Fate::Leaves),
        2 => (0_u32..20).prop_map(Fate::Restarts),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn lost_messages_and_killed_machines_change_no_sum(
        fates in prop::collection::vec(fates(), 4..26), loses in 0_u32..30, kills in 0_u32..30, seed: u64,
    ) {
        let topology = if fates.len() < 18 { Topology::Complete } else { Topology::Sparse };
        let plan = plan(topology, fates.len() as u32, bounds());
        let mut world = World::new(&plan, &fates, seed);
        (world.loses, world.kills) = (loses, kills);
        let outcome = world.run();
        match &outcome.ended {
            Ok(summed) => {
                prop_assert_eq!(&summed.sum, &outcome.plain);
                prop_assert!(summed.survivors.iter().all(|it| outcome.paid[it] == 1));
            }
            Err(fault) => prop_assert!(
                fates.iter().any(|fate| *fate != Fate::Stays), "{} with everybody there", fault
            ),
        }
        prop_assert!(outcome.paid.values().all(|times| *times <= 1));
    }
}
