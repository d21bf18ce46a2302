//! The coordinator's shell: requests in, answers out, and what is due.

use std::sync::Arc;
use std::time::Duration;

use covey_coordinator::{Coordinator, GroupView};
use covey_net::{Events, Inbound, LinkEvent, Protocol};
use covey_node::env::Env;
use covey_node::rounds::{Answers, Held, serve};
use covey_protocol::ids::NodeId;
use covey_protocol::wire::v1::round::{RoundAnswer, RoundRefusal, RoundReply, RoundRequest};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::crooked::Crooked;

/// The longest that a coordinator is not looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A coordinator and what it needs.
pub(super) struct Host {
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) view: GroupView,
    pub(super) env: Env,
    /// What answers in its place, where it lies or some collude with it.
    pub(super) crooked: Option<Arc<Crooked>>,
    held: Held,
    /// Something is due earlier than it was.
    woken: Notify,
    /// It was looked at.
    looked: Notify,
}

impl Host {
    pub(super) fn new(
        coordinator: Arc<Coordinator>,
        crooked: Option<Arc<Crooked>>,
        view: GroupView,
        env: Env,
    ) -> Self {
        let (woken, looked) = (Notify::new(), Notify::new());
        Self { coordinator, view, env, crooked, held: Held::default(), woken, looked }
    }

    /// Rounds were started.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until the campaign is over.
    pub(super) async fn over(&self) {
        while self.coordinator.at().is_some() || self.coordinator.status().left.is_some() {
            self.looked.notified().await;
        }
    }

    /// Answers requests, for as long as the network is there.
    pub(super) async fn serve(self: Arc<Self>, mut events: Events) {
        while let Some(event) = events.recv().await {
            let LinkEvent::Request(inbound) = event else { continue };
            let host = Arc::clone(&self);
            tokio::spawn(async move {
                let Inbound { from, protocol, body, reply } = inbound;
                reply.send(match protocol {
                    Protocol::Round => host.reply(from, body).await,
                    // Nobody asks a mere coordinator anything else.
                    Protocol::Group | Protocol::Search => Vec::new(),
                });
            });
        }
    }

    async fn reply(&self, from: NodeId, body: Vec<u8>) -> Vec<u8> {
        serve(&self.env, body, |request| self.held.answer(self, from, request)).await
    }

    /// Does what is due, for as long as it is polled.
    pub(super) async fn run(self: Arc<Self>) {
        let mut last = None;
        loop {
            let now = self.env.now();
            if let Err(error) = self.coordinator.tick(&self.view, now) {
                tracing::warn!(%error, "the coordinator cannot go on");
            }
            let at = self.coordinator.at();
            if std::mem::replace(&mut last, at) != at {
                self.held.moved();
            }
            self.looked.notify_one();
            let left = self.coordinator.wake_at().map(|at| at.0.saturating_sub(now.0));
            let next = left.map_or(LOOK_EVERY, Duration::from_millis);
            tokio::select! {
                biased;
                () = self.woken.notified() => {}
                () = sleep(next.clamp(Duration::from_millis(1), LOOK_EVERY)) => {}
            }
        }
    }
}

impl Answers for Host {
    async fn answer_now(
        &self,
        from: NodeId,
        request: RoundRequest,
    ) -> (RoundReply, Option<Arc<Coordinator>>) {
        if self.view.members.seat(&from).is_none() {
            let answer = RoundAnswer::Refused(RoundRefusal::NotHere);
            return (RoundReply { id: request.id, answer }, None);
        }
        let before = (self.coordinator.wake_at(), self.coordinator.at());
        let reply = match &self.crooked {
            Some(crooked) => crooked.answer(&from, request, self.env.now()),
            None => self.coordinator.serve(&from, request, self.env.now()),
        };
        let (wake_at, at) = (self.coordinator.wake_at(), self.coordinator.at());
        if at != before.1 {
            self.held.moved();
        }
        if (wake_at, at) != before {
            self.woken.notify_one();
        }
        // What one that lies has people wait for is not what the honest one comes to.
        let lies = self.crooked.as_ref().is_some_and(|crooked| crooked.lies());
        (reply, (!lies).then(|| Arc::clone(&self.coordinator)))
    }
}
