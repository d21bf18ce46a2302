//! Requests of ours that wait for an answer, and requests of others that we work on.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use covey_protocol::ids::NodeId;
use covey_protocol::limits::MAX_ADDRESSES;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use libp2p::PeerId;
use libp2p::request_response::{
    Event, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
};
use libp2p::swarm::DialError;
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::behaviour::Behaviour;
use super::codec::{Answer, Request};
use super::{dial_error, identity};
use crate::book::Book;
use crate::limits::{EVENT_RESERVE, MAX_OUTBOUND, MAX_OUTBOUND_PER_NODE};
use crate::slots::{Slot, Slots};
use crate::{Addr, Inbound, LinkError, LinkEvent, Protocol, Reply, lock};

/// What a handle asks of the task.
pub(super) enum Ask {
    /// Carry out an exchange.
    Request {
        to: NodeId,
        protocol: Protocol,
        body: Vec<u8>,
        deadline: Instant,
        reply: oneshot::Sender<Answer>,
    },
    /// End.
    Shutdown(oneshot::Sender<()>),
}

/// The exchanges under way, in both directions.
pub(super) struct Exchanges {
    book: Arc<Mutex<Book>>,
    events: Sender<LinkEvent>,
    asked: HashMap<(Protocol, OutboundRequestId), Asked>,
    slots: Slots,
    working: HashMap<(Protocol, InboundRequestId), Arc<Hold>>,
    replies: FuturesUnordered<BoxFuture<'static, Finished>>,
}

/// A request of ours.
struct Asked {
    to: NodeId,
    body: Arc<Vec<u8>>,
    deadline: Instant,
    /// Why the last attempt to connect failed.
    reason: Option<String>,
    /// Addresses at which another node was found.
    wrong: Vec<Addr>,
    /// The last attempt found another node; the addresses left are worth one more.
    again: bool,
    reply: oneshot::Sender<Answer>,
}

/// What a request of another node takes up, from when it was read until its answer was written or
/// given up, and the node's service has let go of it.
struct Hold {
    _slot: Slot,
    _bytes: Option<OwnedSemaphorePermit>,
}

/// The service answered, or dropped the request.
pub(super) struct Finished {
    protocol: Protocol,
    channel: ResponseChannel<Answer>,
    body: Option<Vec<u8>>,
}

impl Exchanges {
    pub(super) fn new(book: Arc<Mutex<Book>>, events: Sender<LinkEvent>) -> Self {
        Self {
            book,
            events,
            asked: HashMap::new(),
            slots: Slots::default(),
            working: HashMap::new(),
            replies: FuturesUnordered::new(),
        }
    }

    /// Sends a request, connecting first where necessary.
    pub(super) fn ask(
        &mut self,
        behaviour: &mut Behaviour,
        to: NodeId,
        protocol: Protocol,
        body: Vec<u8>,
        deadline: Instant,
        reply: oneshot::Sender<Answer>,
    ) {
        let to_node = self.asked.values().filter(|asked| asked.to == to).count();
        if self.asked.len() >= MAX_OUTBOUND || to_node >= MAX_OUTBOUND_PER_NODE {
            // The caller may have given up.
            let _ = reply.send(Err(LinkError::Busy));
            return;
        }
        let (body, wrong) = (Arc::new(body), Vec::new());
        let asked = Asked { to, body, deadline, reason: None, wrong, again: false, reply };
        self.send(behaviour, protocol, asked);
    }

    /// Hands a request to libp2p, with the addresses at which no other node was found.
    fn send(&mut self, behaviour: &mut Behaviour, protocol: Protocol, asked: Asked) {
        let addresses = self.untried(&asked).iter().map(Addr::to_multiaddr).collect();
        let request = Request::Out { body: Arc::clone(&asked.body), deadline: asked.deadline };
        let peer = identity::to_peer(&asked.to);
        let exchange = behaviour.exchange(protocol);
        let id = exchange.send_request_with_addresses(&peer, request, addresses);
        self.asked.insert((protocol, id), asked);
    }

    fn untried(&self, asked: &Asked) -> Vec<Addr> {
        let book = lock(&self.book);
        let known = book.addresses(&asked.to).iter();
        known.filter(|addr| !asked.wrong.contains(addr)).cloned().collect()
    }

    /// Remembers for those that wait for `peer` why it could not be reached.
    ///
    /// libp2p gives up at the first address where another node answers, although the others may be
    /// right: an invite names loopback addresses too, where on this machine somebody else listens.
    pub(super) fn not_reached(&mut self, peer: PeerId, error: &DialError) {
        let wrong = match error {
            DialError::WrongPeerId { address, .. } | DialError::LocalPeerId { address } => {
                Addr::from_multiaddr(address).ok()
            }
            DialError::NoAddresses
            | DialError::DialPeerConditionFalse(_)
            | DialError::Aborted
            | DialError::Denied { .. }
            | DialError::Transport(_) => None,
        };
        let reason = dial_error::describe(error);
        let waiting = |asked: &&mut Asked| identity::to_peer(&asked.to) == peer;
        for asked in self.asked.values_mut().filter(waiting) {
            asked.reason = Some(reason.clone());
            if let Some(addr) = wrong.clone().filter(|addr| !asked.wrong.contains(addr)) {
                asked.wrong.push(addr);
                asked.again = asked.wrong.len() < MAX_ADDRESSES;
            }
        }
    }

    /// Takes note of what libp2p says about the exchanges on `protocol`.
    pub(super) fn on_event(
        &mut self,
        behaviour: &mut Behaviour,
        protocol: Protocol,
        event: Event<Request, Answer>,
    ) {
        match event {
            Event::Message {
                peer,
                message: Message::Request { request_id, request, channel },
                ..
            } => self.on_request(behaviour, protocol, peer, request_id, request, channel),
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                if let Some(asked) = self.asked.remove(&(protocol, request_id)) {
                    // The caller may have given up.
                    let _ = asked.reply.send(response);
                }
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some(mut asked) = self.asked.remove(&(protocol, request_id)) {
                    let again = std::mem::take(&mut asked.again) && !asked.reply.is_closed();
                    let not_reached = matches!(error, OutboundFailure::DialFailure);
                    if again && not_reached && !self.untried(&asked).is_empty() {
                        self.send(behaviour, protocol, asked);
                        return;
                    }
                    let error = self.translate(&asked, error);
                    // The caller may have given up.
                    let _ = asked.reply.send(Err(error));
                }
            }
            Event::InboundFailure { request_id, .. } | Event::ResponseSent { request_id, .. } => {
                self.working.remove(&(protocol, request_id));
            }
        }
    }

    /// The next answer of the node's service. Pending while there is none.
    pub(super) async fn next_finished(&mut self) -> Finished {
        match self.replies.next().await {
            Some(finished) => finished,
            None => std::future::pending().await,
        }
    }

    /// Sends an answer of the node's service on its way.
    pub(super) fn finish(&mut self, behaviour: &mut Behaviour, finished: Finished) {
        let Finished { protocol, channel, body } = finished;
        let limit = protocol.max_response();
        let answer = match body {
            None => Err(LinkError::Refused),
            Some(body) if body.len() > limit => {
                tracing::error!(%protocol, length = body.len(), "a reply is over the limit");
                Err(LinkError::TooLarge { limit })
            }
            Some(body) => Ok(body),
        };
        // An error means that the asker has gone.
        let _ = behaviour.exchange(protocol).send_response(channel, answer);
    }

    fn on_request(
        &mut self,
        behaviour: &mut Behaviour,
        protocol: Protocol,
        peer: PeerId,
        id: InboundRequestId,
        request: Request,
        channel: ResponseChannel<Answer>,
    ) {
        let admitted = identity::to_node(&peer)
            .ok_or(LinkError::Refused)
            .and_then(|from| self.admit(from, request));
        let (from, body, hold) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => {
                // An error means that the asker has gone.
                let _ = behaviour.exchange(protocol).send_response(channel, Err(error));
                return;
            }
        };
        self.working.insert((protocol, id), Arc::clone(&hold));
        let (answered, answer) = oneshot::channel();
        let reply = Reply::new(move |body| {
            // An error means that the swarm has ended.
            let _ = answered.send(body);
            drop(hold);
        });
        self.replies.push(Box::pin(async move {
            let body = answer.await.ok().flatten();
            Finished { protocol, channel, body }
        }));
        let request = LinkEvent::Request(Inbound { from, protocol, body, reply });
        if self.events.try_send(request).is_err() {
            tracing::debug!("a request was refused: nobody takes events any more");
        }
    }

    /// Finds a place for a request, or says why there is none.
    fn admit(
        &self,
        from: NodeId,
        request: Request,
    ) -> Result<(NodeId, Vec<u8>, Arc<Hold>), LinkError> {
        let Request::In { body, hold } = request else { return Err(LinkError::Refused) };
        let body = body?;
        if self.events.capacity() <= EVENT_RESERVE {
            return Err(LinkError::Busy);
        }
        let member = lock(&self.book).is_member(&from);
        let slot = self.slots.take(from, member).ok_or(LinkError::Busy)?;
        Ok((from, body, Arc::new(Hold { _slot: slot, _bytes: hold })))
    }

    fn translate(&self, asked: &Asked, error: OutboundFailure) -> LinkError {
        match error {
            OutboundFailure::DialFailure => {
                LinkError::Unreachable { reason: self.unreachable(asked) }
            }
            OutboundFailure::Timeout => LinkError::Timeout,
            OutboundFailure::ConnectionClosed => LinkError::Closed,
            OutboundFailure::UnsupportedProtocols => {
                LinkError::Bad { reason: "it does not speak this version of the protocol" }
            }
            OutboundFailure::Io(error) => match error.kind() {
                io::ErrorKind::TimedOut => LinkError::Timeout,
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => LinkError::Closed,
                _ => LinkError::Io { reason: error.to_string() },
            },
        }
    }

    fn unreachable(&self, asked: &Asked) -> String {
        match &asked.reason {
            Some(reason) => reason.clone(),
            None if !self.untried(asked).is_empty() => "no connection could be begun".to_owned(),
            None => dial_error::NO_ADDRESS.to_owned(),
        }
    }
}
