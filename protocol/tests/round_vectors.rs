//! Pinned bytes of plans and manifests (protocol/vectors/round.json).

use covey_crypto::Digest;
use covey_privacy::ledger::Unit;
use covey_privacy::{Delta, Rho};
use covey_protocol::ids::{NodeId, RequestId};
use covey_protocol::round::{
    Evaluation, MANIFEST_VERSION, Manifest, Measure, Rule, SignedManifest, Start, Weighting,
};
use covey_protocol::secagg::{Bounds, Topology};
use covey_protocol::wire::encode;
use covey_protocol::wire::v1::round::{
    Announced, Awaited, ClientMessage, Over, RoundAnswer, RoundAsk, RoundRefusal, RoundReply,
    RoundRequest, ServerMessage,
};
use serde_json::json;

use crate::common::model;
use crate::round_world::{NOW, by_document, evaluating, noisy, plan, signed};
use crate::secagg_round::coordinator;
use crate::vectors::{hex, pinned};

fn manifest() -> SignedManifest {
    let plan = plan(Topology::Complete, 10, Bounds::default());
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        group: plan.group,
        coordinator: NodeId::new(coordinator().public()),
        number: 2,
        model: model("better"),
        base: plan.model,
        adapter: plan.adapter.clone(),
        values: Start { values: 3, digest: Start::digest(&[0.0, -1.5, 2.0]) },
        parent: Some(model("good")),
        plan: signed(&plan).digest(),
        round: 7,
        rounds: 4,
        cohort: 9,
        cost: Rho::new(0.5).ok(),
        unit: Unit::Peer,
        delta: Delta::new(1e-5).expect("a delta"),
        measured: vec![(Measure::LossAfter, 1.25)],
        evaluation: Some(Evaluation {
            plan: Digest::sha256(b"evaluation"),
            members: 8,
            loss_before: 1.5,
            loss_after: 1.25,
            no_worse: 0.875,
        }),
        at: NOW,
    };
    let signed = SignedManifest::sign(&manifest, &coordinator());
    assert_eq!(signed.verify(), Ok(manifest));
    signed
}

#[test]
fn plans_manifests_and_messages_are_pinned() {
    let mut plan = plan(Topology::Complete, 10, Bounds::default());
    noisy(&mut plan, 2.0);
    plan.contribution.rotate = true;
    plan.contribution.weighting = Weighting::Pairs { cap: 100 };
    plan.contribution.measures = vec![Measure::LossBefore, Measure::Clipped];
    plan.rule = Rule::Adam { rate: 0.1, beta1: 0.9, beta2: 0.99, tau: 1e-3 };
    plan.sum.entries = 512 + 3;
    let plan = signed(&plan);
    let checked = plan.verify(&NodeId::new(coordinator().public())).expect("sound");
    let terms = checked.terms(1);
    let mut asked = crate::round_world::plan(Topology::Complete, 10, Bounds::default());
    noisy(&mut asked, 2.0);
    evaluating(&mut asked);
    let asked = signed(&asked);
    let weighed = asked.verify(&NodeId::new(coordinator().public())).expect("sound");
    let mut documents = crate::round_world::plan(Topology::Complete, 10, Bounds::default());
    noisy(&mut documents, 2.0);
    by_document(&mut documents);
    let documents = signed(&documents);
    let by_document = documents.verify(&NodeId::new(coordinator().public())).expect("sound");
    let manifest = manifest();
    let ask = |ask| hex(&encode(&RoundRequest { id: RequestId(9), group: terms.group, ask }));
    let answer = |answer| hex(&encode(&RoundReply { id: RequestId(9), answer }));
    let step = |message| ask(RoundAsk::Step { terms: terms.digest(), message: Box::new(message) });
    let announced = Announced { plan: plan.clone(), attempt: 1, open: true };
    let of = Digest::sha256(b"values");
    let made = json!({
        "plan": {
            "body": hex(&plan.body),
            "signature": hex(plan.signature.as_bytes()),
            "digest": plan.digest().to_string(),
            "terms": hex(&encode(&terms)),
            "terms digest": terms.digest().to_string(),
            "cost (rho)": checked.cost().map(Rho::get),
            "rotation": hex(&checked.layout().rotation.expect("rotates")),
        },
        "evaluation": {
            "body": hex(&asked.body),
            "signature": hex(asked.signature.as_bytes()),
            "digest": asked.digest().to_string(),
            "cost (rho)": weighed.cost().map(Rho::get),
        },
        "by document": {
            "body": hex(&documents.body),
            "signature": hex(documents.signature.as_bytes()),
            "digest": documents.digest().to_string(),
            "cost (rho)": by_document.cost().map(Rho::get),
        },
        "values": {
            "of": [0.0, -1.5, 2.0],
            "digest": Start::digest(&[0.0, -1.5, 2.0]).to_string(),
        },
        "manifest": {
            "body": hex(&manifest.body),
            "signature": hex(manifest.signature.as_bytes()),
            "digest": manifest.digest().to_string(),
        },
        "requests": [
            ask(RoundAsk::Status),
            ask(RoundAsk::Values { of, offset: 1 << 18 }),
            ask(RoundAsk::Manifest { of }),
            step(ClientMessage::Piece { offset: 8, bytes: vec![1, 2, 3, 4] }),
            step(ClientMessage::Waits(Awaited::Survivors)),
        ],
        "replies": [
            answer(RoundAnswer::Status(None)),
            answer(RoundAnswer::Status(Some(Box::new(announced)))),
            answer(RoundAnswer::Values { total: 12, bytes: vec![0; 12] }),
            answer(RoundAnswer::Manifest(manifest)),
            answer(RoundAnswer::Step(ServerMessage::Later { ms: 250 })),
            answer(RoundAnswer::Step(ServerMessage::Have(8))),
            answer(RoundAnswer::Step(ServerMessage::Over(Over::Without))),
            answer(RoundAnswer::Refused(RoundRefusal::Busy)),
        ],
    });
    pinned("round.json", &made);
}
