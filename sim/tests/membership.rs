//! Joining, leaving, handing over, and what goes wrong with it.

use std::time::Duration;

use crate::common::{code_of, invite, join, lab, name, scenario, share_note};
use covey_node::api::{Call, ErrorCode, Reply, Reveal};
use covey_protocol::group::{Code, InviteSecret};
use covey_sim::World;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

#[test]
fn an_invite_lets_one_node_in_once() {
    scenario(async {
        let (mut world, lab) = lab(1, 1).await;
        let (guest, thief) =
            (world.add("guest").expect("opens"), world.add("thief").expect("opens"));
        let code = invite(&world, 0, &lab, None).await;
        join(&world, guest, &code, 5).await.expect("joins");
        assert_eq!(code_of(join(&world, guest, &code, 5).await), ErrorCode::Exists);
        let replayed = join(&world, thief, &code, 5).await.expect_err("is refused");
        assert_eq!(replayed.code, ErrorCode::BadInvite);
        assert!(replayed.message.contains("already used"), "{}", replayed.message);
        assert_eq!(world.group(0, &lab).await.expect("is there").members, 2);
    });
}

#[test]
fn expired_forged_and_mistyped_codes_are_refused_with_the_reason() {
    scenario(async {
        let (mut world, lab) = lab(2, 1).await;
        let guest = world.add("guest").expect("opens");

        let code = invite(&world, 0, &lab, Some(60)).await;
        world.pass(Duration::from_secs(61)).await;
        let expired = join(&world, guest, &code, 5).await.expect_err("is refused");
        assert_eq!(expired.code, ErrorCode::BadInvite);
        assert!(expired.message.contains("expired"), "{}", expired.message);

        // Everything right but the secret.
        let mut forged = Code::parse(&invite(&world, 0, &lab, None).await).expect("a code");
        forged.secret = InviteSecret::draw(&mut ChaCha20Rng::seed_from_u64(5));
        let unknown = join(&world, guest, &forged.to_text(), 5).await.expect_err("is refused");
        assert_eq!(unknown.code, ErrorCode::BadInvite);
        assert!(unknown.message.contains("did not issue"), "{}", unknown.message);

        let code = invite(&world, 0, &lab, None).await;
        let bent = code.replacen(&code[30..31], if &code[30..31] == "a" { "b" } else { "a" }, 1);
        assert_eq!(code_of(join(&world, guest, &bent, 5).await), ErrorCode::BadInvite);
        assert_eq!(world.group(0, &lab).await.expect("is there").members, 1);
    });
}

#[test]
fn joining_waits_for_the_inviter_and_says_so() {
    scenario(async {
        let (mut world, lab) = lab(3, 1).await;
        let guest = world.add("guest").expect("opens");
        let code = invite(&world, 0, &lab, None).await;
        world.take_down(0);
        let error = join(&world, guest, &code, 5).await.expect_err("nobody is there");
        assert_eq!(error.code, ErrorCode::Unreachable);
        assert!(error.hint.expect("a hint").contains("online"));

        let back = async {
            world.pass(Duration::from_secs(20)).await;
            world.bring_up(0);
        };
        let (joined, ()) = tokio::join!(join(&world, guest, &code, 60), back);
        joined.expect("joins once the inviter is back");
    });
}

#[test]
fn an_admins_invite_needs_the_owner_who_may_be_away_for_a_while() {
    scenario(async {
        let (mut world, lab) = lab(4, 2).await;
        let guest = world.add("guest").expect("opens");
        let forbidden = Call::Invite { group: lab.clone(), expires_s: None };
        assert_eq!(code_of(world.call(1, forbidden).await), ErrorCode::Forbidden);
        let role = Call::GroupRole { group: lab.clone(), member: "node-1".into(), admin: true };
        world.call(0, role).await.expect("becomes an admin");
        let code = invite(&world, 1, &lab, None).await;

        world.take_down(0);
        let pending = join(&world, guest, &code, 5).await.expect_err("the owner is away");
        assert_eq!(pending.code, ErrorCode::Unreachable);
        assert!(pending.message.contains("owner"), "{}", pending.message);

        world.bring_up(0);
        join(&world, guest, &code, 30).await.expect("joins with the same code");
        world.pass(Duration::from_secs(120)).await;
        for number in 0..3 {
            assert_eq!(world.group(number, &lab).await.expect("is there").members, 3, "{number}");
        }
    });
}

#[test]
fn ownership_moves_and_the_old_owner_may_leave() {
    scenario(async {
        let (world, lab) = lab(5, 3).await;
        let leave = || Call::GroupLeave { group: lab.clone() };
        assert_eq!(code_of(world.call(0, leave()).await), ErrorCode::Forbidden);
        let transfer = Call::GroupTransfer { group: lab.clone(), member: "node-1".into() };
        assert_eq!(code_of(world.call(2, transfer.clone()).await), ErrorCode::Forbidden);
        world.call(0, transfer).await.expect("hands over");
        assert_eq!(world.group(1, &lab).await.expect("is there").role, "owner");
        world.call(0, leave()).await.expect("leaves");
        assert_eq!(
            code_of(world.call(0, Call::GroupMembers { group: lab.clone() }).await),
            ErrorCode::NotFound
        );
        world.pass(Duration::from_secs(120)).await;
        for number in 1..3 {
            assert_eq!(world.group(number, &lab).await.expect("is there").members, 2, "{number}");
        }
    });
}

#[test]
fn leaving_needs_the_owner_and_says_who() {
    scenario(async {
        let (world, lab) = lab(6, 2).await;
        world.take_down(0);
        let error =
            world.call(1, Call::GroupLeave { group: lab.clone() }).await.expect_err("is alone");
        assert_eq!(error.code, ErrorCode::Unreachable);
        assert!(error.message.contains("node-0"), "{}", error.message);
        world.bring_up(0);
        world.call(1, Call::GroupLeave { group: lab.clone() }).await.expect("leaves");
        assert_eq!(world.group(0, &lab).await.expect("is there").members, 1);
    });
}

#[test]
fn a_member_that_was_away_hears_of_everything_when_it_is_back() {
    scenario(async {
        let (mut world, lab) = lab(7, 3).await;
        world.split([2]);
        let late = world.add("late").expect("opens");
        world.invite(0, late, &lab).await.expect("joins");
        let remove = Call::GroupRemove { group: lab.clone(), member: "node-1".into() };
        world.call(0, remove).await.expect("removes");
        assert_eq!(world.group(2, &lab).await.expect("is there").members, 3);
        world.heal();
        world.pass(Duration::from_secs(300)).await;
        let heads: Vec<_> = {
            let mut heads = Vec::new();
            for number in [0, 2, late] {
                let info = world.group(number, &lab).await.expect("is there");
                heads.push((info.epoch, info.members));
            }
            heads
        };
        assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
        assert_eq!(world.group(1, &lab).await.expect("is there").role, "removed");
    });
}

#[test]
fn a_removed_member_may_come_back_with_a_new_invite() {
    scenario(async {
        let (world, lab) = lab(8, 3).await;
        share_note(&world, 1, &lab, Reveal::Full).await;
        let remove = Call::GroupRemove { group: lab.clone(), member: "node-1".into() };
        world.call(0, remove).await.expect("removes");
        let call =
            Call::Share { collection: name("notes"), group: lab.clone(), reveal: Reveal::Full };
        assert_eq!(code_of(world.call(1, call).await), ErrorCode::Forbidden);
        world.invite(0, 1, &lab).await.expect("joins again");
        assert_eq!(world.group(1, &lab).await.expect("is there").role, "member");
        let report = world.ask(0, &lab, "When are apple trees pruned?").await.expect("asks");
        assert!(report.results.is_empty(), "what was shared before is not shared again by itself");
    });
}

#[test]
fn a_restart_keeps_groups_shares_and_the_audit_chain() {
    scenario(async {
        let (mut world, lab) = lab(9, 3).await;
        share_note(&world, 1, &lab, Reveal::Snippet).await;
        let before = world.group(1, &lab).await.expect("is there");
        world.ask(0, &lab, "When are apple trees pruned?").await.expect("asks");
        world.restart(1).await.expect("opens again");
        assert_eq!(world.group(1, &lab).await.expect("is there"), before);
        let report = world.ask(2, &lab, "When are apple trees pruned?").await.expect("asks");
        assert_eq!(report.results.len(), 1, "{report:?}");
        match world.call(1, Call::AuditVerify).await {
            Ok(Reply::AuditVerified { records, .. }) => assert_eq!(records, 2),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn two_groups_of_one_name_are_told_apart() {
    scenario(async {
        let mut world = World::new(10).expect("a world");
        for number in 0..3 {
            world.add(&format!("node-{number}")).expect("opens");
        }
        let lab = name("lab");
        for founder in [0, 1] {
            let create = Call::GroupCreate { group: lab.clone(), member: None };
            world.call(founder, create.clone()).await.expect("founds");
            assert_eq!(code_of(world.call(founder, create).await), ErrorCode::Exists);
        }
        world.invite(0, 2, &lab).await.expect("joins");
        let second = world.invite(1, 2, &lab).await.expect("joins");
        assert_eq!(second.name, name("lab-2"));
        assert_eq!(world.group(2, &name("lab-2")).await.expect("is there").id, second.id);
    });
}
