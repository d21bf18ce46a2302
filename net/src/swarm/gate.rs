//! Who may connect: nodes with an Ed25519 key, and of those that are no members only so many.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};

use super::identity;
use crate::book::Book;
use crate::limits::MAX_STRANGER_CONNECTIONS;
use crate::lock;

/// Denies connections; has no protocol of its own.
pub(super) struct Gate {
    book: Arc<Mutex<Book>>,
    strangers: BTreeSet<ConnectionId>,
}

/// Why a connection was denied.
#[derive(Debug, thiserror::Error)]
enum Denied {
    #[error("its key is no Ed25519 key")]
    Key,
    #[error("too many nodes that are no members are connected")]
    Strangers,
}

impl Gate {
    pub(super) fn new(book: Arc<Mutex<Book>>) -> Self {
        Self { book, strangers: BTreeSet::new() }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let node = identity::to_node(&peer).ok_or_else(|| ConnectionDenied::new(Denied::Key))?;
        if lock(&self.book).is_member(&node) {
            return Ok(dummy::ConnectionHandler);
        }
        if self.strangers.len() >= MAX_STRANGER_CONNECTIONS {
            return Err(ConnectionDenied::new(Denied::Strangers));
        }
        self.strangers.insert(connection);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        identity::to_node(&peer).ok_or_else(|| ConnectionDenied::new(Denied::Key))?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => {
                self.strangers.remove(&closed.connection_id);
            }
            // Another behaviour may deny what this one has let in.
            FromSwarm::ListenFailure(failure) => {
                self.strangers.remove(&failure.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
