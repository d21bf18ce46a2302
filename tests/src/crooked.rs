//! A coordinator that lies ([`covey_sim::crooked`]): it has the key of a member that the group's log names, and serves the members' real daemons over the
//! network.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use covey_coordinator::store::MemoryStore;
use covey_coordinator::{Campaign, Coordinator, GroupView};
use covey_crypto::SecretKey;
use covey_net::{Inbound, LinkEvent};
use covey_protocol::ids::{NodeId, UnixMillis};
use covey_protocol::limits::MAX_ROUND_REQUEST;
use covey_protocol::round::Plan;
use covey_protocol::wire::v1::round::{Announced, RoundAsk, RoundRequest};
use covey_protocol::wire::{decode, encode};
use covey_sim::crooked;
pub use covey_sim::crooked::{Lie, Saw};

use crate::{Facts, Puppet};

/// A running coordinator that lies.
pub struct Crooked {
    puppet: Arc<Puppet>,
    state: Arc<State>,
}

struct State {
    honest: Arc<Coordinator>,
    crooked: crooked::Crooked,
    view: GroupView,
    campaign: Campaign,
    values: Vec<f32>,
    /// How many are to take part.
    cohort: usize,
}

impl Crooked {
    /// Takes the place of the coordinator with `puppet`'s key. Plans are like `plan`, for a cohort of `cohort`; they start from `values`.
    pub fn start(
        mut puppet: Puppet,
        facts: &Facts,
        plan: &Plan,
        values: Vec<f32>,
        cohort: u32,
    ) -> Self {
        let key = Arc::new(again(&puppet.key));
        let store = Arc::new(MemoryStore::default());
        let honest = Arc::new(Coordinator::open(Arc::clone(&key), store).expect("opens"));
        let mut sum = plan.sum;
        sum.max_cohort = cohort;
        let campaign = Campaign {
            rounds: 1,
            attempts: 2,
            model: plan.model,
            adapter: plan.adapter.clone(),
            learning: plan.learning,
            contribution: plan.contribution.clone(),
            sum,
            rule: plan.rule,
            window_ms: 60_000,
            phase_ms: 20_000,
            upload_ms: 20_000,
            pause_ms: 1_000,
            release_every_ms: None,
        };
        let view = GroupView {
            group: facts.group,
            epoch: facts.epoch,
            coordinator: puppet.id,
            members: facts.members.clone(),
            release: None,
            quorum: 0,
        };
        let crooked = crooked::Crooked::new(key, Arc::clone(&honest), view.clone());
        let cohort = cohort as usize;
        let state = Arc::new(State { honest, crooked, view, campaign, values, cohort });
        let (_, nothing) = tokio::sync::mpsc::channel(1);
        let mut events = std::mem::replace(&mut puppet.events, nothing);
        let serving = Arc::clone(&state);
        puppet.runtime.spawn(async move {
            loop {
                let tick = tokio::time::sleep(Duration::from_millis(100));
                tokio::select! {
                    event = events.recv() => match event {
                        Some(LinkEvent::Request(inbound)) => serving.serve(inbound),
                        Some(_) => {}
                        None => return,
                    },
                    () = tick => {}
                }
                serving.honest.tick(&serving.view, now()).expect("ticks");
            }
        });
        Self { puppet: Arc::new(puppet), state }
    }

    /// Connects to a member, so that it knows where to ask.
    pub fn call(&self, member: NodeId) {
        let group = self.state.view.group;
        drop(self.puppet.ask(member, group, RoundAsk::Status));
    }

    /// Begins a round with a lie.
    pub fn begin(&self, lie: Lie) {
        let State { honest, crooked, view, campaign, values, cohort } = &*self.state;
        honest.stop(now()).expect("stops");
        let replays = matches!(lie, Lie::Replay(_));
        crooked.begin(lie, *cohort);
        if !replays {
            honest.start(campaign.clone(), values, view, now()).expect("starts");
        }
    }

    /// What it has seen since.
    pub fn saw(&self) -> Saw {
        self.state.crooked.saw()
    }

    /// Members whose updates it could open with that.
    pub fn exposed(&self) -> BTreeSet<NodeId> {
        self.state.crooked.exposed()
    }

    /// The plan that an honest coordinator would announce now.
    pub fn announced(&self) -> Option<Announced> {
        self.state.crooked.announced(now())
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    UnixMillis(u64::try_from(since.as_millis()).expect("before the end of time"))
}

impl State {
    fn serve(&self, inbound: Inbound) {
        let Ok(request) = decode::<RoundRequest>(&inbound.body, MAX_ROUND_REQUEST) else { return };
        let reply = self.crooked.answer(&inbound.from, request, now());
        self.honest.tick(&self.view, now()).expect("ticks");
        inbound.reply.send(encode(&reply));
    }
}

/// A key is no `Clone`, for good reasons that do not hold for a test's.
fn again(key: &SecretKey) -> SecretKey {
    SecretKey::from_seed(&key.seed())
}
