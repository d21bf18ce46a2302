//! Checks, before libp2p listens, that an address is free.
//!
//! libp2p binds its TCP sockets with `SO_REUSEPORT` (hole punching needs it), so a second daemon on
//! the same port would start without an error and share the first one's connections.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use libp2p::multiaddr::Protocol;

use super::NetError;
use crate::Addr;

/// Fails if somebody listens on `addr`.
pub(super) fn check_free(addr: &Addr) -> Result<(), NetError> {
    let unusable = |reason: &str| NetError::Listen {
        address: addr.clone(),
        source: io::Error::new(io::ErrorKind::InvalidInput, reason),
    };
    if addr.is_relayed() {
        return Err(unusable("a circuit is not listened on; name its relay instead"));
    }
    let ip = addr.ip().ok_or_else(|| unusable("listening needs an IP address, not a name"))?;
    let bound = match addr.to_multiaddr().iter().nth(1) {
        Some(Protocol::Tcp(port)) => TcpListener::bind(SocketAddr::new(ip, port)).map(drop),
        Some(Protocol::Udp(port)) => UdpSocket::bind(SocketAddr::new(ip, port)).map(drop),
        _ => return Err(unusable("it has no port")),
    };
    bound.map_err(|source| failed(addr, source))
}

/// The error of listening on `addr`.
pub(super) fn failed(addr: &Addr, source: io::Error) -> NetError {
    match source.kind() {
        io::ErrorKind::AddrInUse => NetError::AddressInUse { address: addr.clone() },
        _ => NetError::Listen { address: addr.clone(), source },
    }
}
