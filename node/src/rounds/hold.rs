//! Holding answers back: who waits for something of a coordinator hears of it when it is there, without asking time and again.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use covey_coordinator::Coordinator;
use covey_crypto::Digest;
use covey_protocol::ids::{GroupId, NodeId};
use covey_protocol::round::Phase;
use covey_protocol::wire::v1::round::{
    Awaited, ClientMessage, RoundAnswer, RoundAsk, RoundReply, RoundRequest, ServerMessage,
};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The longest that an answer is held back. Well below what askers have patience for.
const LONGEST: Duration = Duration::from_secs(20);
/// Answers held back at once, one for each member and group; whoever comes beyond is told at once when to come again.
const MAX_HELD: usize = 256;

/// Whoever answers for coordinators.
pub trait Answers: Sync {
    /// What there is to say to a request right now, and the coordinator that says it, if one does.
    fn answer_now(
        &self,
        from: NodeId,
        request: RoundRequest,
    ) -> impl Future<Output = (RoundReply, Option<Arc<Coordinator>>)> + Send;
}

/// Answers that are held back.
#[derive(Default)]
pub struct Held {
    places: Arc<Places>,
    /// A coordinator has come to another phase, attempt or round.
    moved: Notify,
}

/// Whose they are.
#[derive(Default)]
struct Places(Mutex<BTreeSet<(GroupId, NodeId)>>);

/// A place among them, until it is dropped.
struct Place {
    places: Arc<Places>,
    whose: (GroupId, NodeId),
}

impl Held {
    /// A coordinator has come to another phase, attempt or round: whoever waits looks again.
    pub fn moved(&self) {
        self.moved.notify_waiters();
    }

    /// The answer to one request about a round, when there is one that says more than to wait, or after a while.
    pub async fn answer<A: Answers>(
        &self,
        answers: &A,
        from: NodeId,
        request: RoundRequest,
    ) -> RoundReply {
        let until = Instant::now() + LONGEST;
        let (id, group) = (request.id, request.group);
        let waiting = waiting(&request.ask);
        let (mut request, mut place) = (request, None);
        loop {
            // Before anything is looked at, so that nothing is missed.
            let mut moved = pin!(self.moved.notified());
            moved.as_mut().enable();
            let (reply, coordinator) = answers.answer_now(from, request).await;
            if !coordinator.is_some_and(|coordinator| awaits(&coordinator, &reply.answer)) {
                return reply;
            }
            let Some(waiting) = waiting else { return reply };
            place = place.or_else(|| Places::take(&self.places, (group, from)));
            if place.is_none() {
                return reply;
            }
            tokio::select! {
                biased;
                () = &mut moved => {}
                () = sleep_until(until) => return reply,
            }
            // What was said has been heard.
            request = RoundRequest { id, group, ask: waiting.again() };
        }
    }
}

impl Places {
    fn take(places: &Arc<Self>, whose: (GroupId, NodeId)) -> Option<Place> {
        let mut all = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.len() < MAX_HELD && all.insert(whose);
        taken.then(|| Place { places: Arc::clone(places), whose })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.whose);
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
