//! Holding answers back: who waits for something of a coordinator hears of it when it is there, without asking time and again.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use covey_coordinator::Coordinator;
use covey_crypto::Digest;
use covey_net::Link;
use covey_protocol::ids::{GroupId, NodeId};
use covey_protocol::round::Phase;
use covey_protocol::wire::v1::round::{
    Awaited, ClientMessage, RoundAnswer, RoundAsk, RoundReply, RoundRequest, ServerMessage,
};
use tokio::time::{Instant, sleep_until};

use crate::node::Node;

/// The longest that an answer is held back. Well below what askers have patience for.
const LONGEST: Duration = Duration::from_secs(20);
/// Answers held back at once, one for each member and group; whoever comes beyond is told at once when to come again.
const MAX_HELD: usize = 256;

/// Whose answers are held back.
#[derive(Default)]
pub(super) struct Held(Mutex<BTreeSet<(GroupId, NodeId)>>);

/// A place among them, until it is dropped.
struct Place {
    held: Arc<Held>,
    whose: (GroupId, NodeId),
}

impl Held {
    fn place(self: &Arc<Self>, whose: (GroupId, NodeId)) -> Option<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = places.len() < MAX_HELD && places.insert(whose);
        taken.then(|| Place { held: Arc::clone(self), whose })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.whose);
    }
}

impl<L: Link> Node<L> {
    /// The answer to one request about a round, when there is one that says more than to wait, or after [`LONGEST`].
    pub(super) async fn answer_round(&self, from: NodeId, request: RoundRequest) -> RoundReply {
        let until = Instant::now() + LONGEST;
        let (id, group) = (request.id, request.group);
        let waiting = waiting(&request.ask);
        let (mut request, mut place) = (request, None);
        loop {
            // Before anything is looked at, so that nothing is missed.
            let mut moved = pin!(self.learning.moved.notified());
            moved.as_mut().enable();
            let (reply, coordinator) = self.answer_now(from, request).await;
            if !coordinator.is_some_and(|coordinator| awaits(&coordinator, &reply.answer)) {
                return reply;
            }
            let Some(waiting) = waiting else { return reply };
            place = place.or_else(|| self.learning.held.place((group, from)));
            if place.is_none() {
                return reply;
            }
            tokio::select! {
                () = &mut moved => {}
                () = sleep_until(until) => return reply,
            }
            // What was said has been heard.
            request = RoundRequest { id, group, ask: waiting.again() };
        }
    }
}

/// What somebody waits for.
#[derive(Clone, Copy)]
enum Waiting {
    Plan,
    Step { terms: Digest, awaited: Awaited },
}

impl Waiting {
    /// Asks for nothing else.
    fn again(self) -> RoundAsk {
        match self {
            Self::Plan => RoundAsk::Status,
            Self::Step { terms, awaited } => {
                RoundAsk::Step { terms, message: Box::new(ClientMessage::Waits(awaited)) }
            }
        }
    }
}

/// What the sender of a request waits for, if it can be anything.
fn waiting(ask: &RoundAsk) -> Option<Waiting> {
    match ask {
        RoundAsk::Status => Some(Waiting::Plan),
        RoundAsk::Step { terms, message } => {
            Some(Waiting::Step { terms: *terms, awaited: message.awaits() })
        }
        RoundAsk::Values { .. } | RoundAsk::Manifest { .. } => None,
    }
}

/// Whether an answer says no more than to wait.
fn awaits(coordinator: &Coordinator, answer: &RoundAnswer) -> bool {
    match answer {
        // Of an attempt that is over, what comes of it has yet to be worked out.
        RoundAnswer::Status(_) => coordinator.at().is_none_or(|(_, _, phase)| phase == Phase::Over),
        RoundAnswer::Step(ServerMessage::Later { .. }) => true,
        RoundAnswer::Step(_)
        | RoundAnswer::Values { .. }
        | RoundAnswer::Manifest(_)
        | RoundAnswer::Refused(_) => false,
    }
}
