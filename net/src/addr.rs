//! Where a node may be reached: a checked multiaddress.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use covey_protocol::limits::MAX_ADDRESS;
use libp2p::multiaddr::{Multiaddr, Protocol};
use serde::{Deserialize, Deserializer, Serialize, de};

/// An address of a node: `HOST/tcp/PORT` or `HOST/udp/PORT/quic-v1`, optionally followed by
/// `/p2p/RELAY/p2p-circuit`, where `HOST` is `/ip4/..`, `/ip6/..`, `/dns/..`, `/dns4/..` or
/// `/dns6/..`. It does not end in the node's own `/p2p/..`: an address is always kept with its node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Addr(String);

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address: {why}; write for example /ip4/192.0.2.7/tcp/4600 or /ip4/192.0.2.7/udp/4600/quic-v1"
)]
pub struct ParseAddrError {
    why: &'static str,
}

impl Addr {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it leads through a relay.
    pub fn is_relayed(&self) -> bool {
        self.0.ends_with("/p2p-circuit")
    }

    /// Takes what libp2p reports. A last `/p2p/..` (the node itself) is cut off.
    pub(crate) fn from_multiaddr(addr: &Multiaddr) -> Result<Self, ParseAddrError> {
        let mut addr = addr.clone();
        if let Some(Protocol::P2p(_)) = addr.iter().last() {
            addr.pop();
        }
        let text = addr.to_string();
        // A peer may put more into a name than a name: then its text says something else.
        match text.parse::<Self>() {
            Ok(parsed) if parsed.to_multiaddr() == addr => Ok(parsed),
            Ok(_) => Err(ParseAddrError { why: "a name in it is not one" }),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn to_multiaddr(&self) -> Multiaddr {
        self.0.parse().expect("an Addr was parsed when it was made")
    }

    /// The host, where it is an IP address.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self.to_multiaddr().iter().next() {
            Some(Protocol::Ip4(ip)) => Some(ip.into()),
            Some(Protocol::Ip6(ip)) => Some(ip.into()),
            _ => None,
        }
    }
}

/// Checks the grammar that [`Addr`] documents.
fn check_shape(addr: &Multiaddr) -> Result<(), ParseAddrError> {
    let error = |why| Err(ParseAddrError { why });
    let mut parts = addr.iter();
    match parts.next() {
        Some(
            Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_),
        ) => {}
        _ => return error("it must start with /ip4, /ip6 or /dns"),
    }
    match (parts.next(), addr.iter().nth(2)) {
        (Some(Protocol::Tcp(_)), _) => {}
        (Some(Protocol::Udp(_)), Some(Protocol::QuicV1)) => {
            parts.next();
        }
        _ => return error("after the host comes /tcp/PORT or /udp/PORT/quic-v1"),
    }
    match (parts.next(), parts.next(), parts.next()) {
        (None, None, None) => Ok(()),
        (Some(Protocol::P2p(_)), Some(Protocol::P2pCircuit), None) => Ok(()),
        (Some(Protocol::P2p(_)), None, None) => error("leave out the /p2p at its end"),
        _ => error("only /p2p/RELAY/p2p-circuit may follow the port"),
    }
}

impl FromStr for Addr {
    type Err = ParseAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_ADDRESS {
            return Err(ParseAddrError { why: "it is longer than 256 bytes" });
        }
        let addr: Multiaddr =
            text.parse().map_err(|_| ParseAddrError { why: "it is no multiaddress" })?;
        check_shape(&addr)?;
        Ok(Self(addr.to_string()))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Addr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    #[test]
    fn the_grammar() {
        let long = format!("/dns/{}/tcp/1", "a".repeat(300));
        let cases = [
            ("/ip4/127.0.0.1/tcp/4600".to_owned(), true),
            ("/ip6/::1/udp/4600/quic-v1".to_owned(), true),
            ("/dns4/relay.example/tcp/443".to_owned(), true),
            (format!("/ip4/192.0.2.1/tcp/1{RELAY}/p2p-circuit"), true),
            (format!("/ip4/192.0.2.1/udp/1/quic-v1{RELAY}/p2p-circuit"), true),
            (String::new(), false),
            ("127.0.0.1:4600".to_owned(), false),
            ("/ip4/127.0.0.1".to_owned(), false),
            ("/tcp/1".to_owned(), false),
            ("/ip4/127.0.0.1/udp/4600".to_owned(), false),
            ("/ip4/127.0.0.1/tcp/1/ws".to_owned(), false),
            ("/memory/7".to_owned(), false),
            (format!("/ip4/192.0.2.1/tcp/1{RELAY}"), false),
            (format!("/ip4/192.0.2.1/tcp/1/p2p-circuit{RELAY}"), false),
            (format!("/ip4/192.0.2.1/tcp/1{RELAY}/p2p-circuit{RELAY}"), false),
            (long, false),
        ];
        for (text, valid) in cases {
            let parsed = text.parse::<Addr>();
            assert_eq!(parsed.is_ok(), valid, "{text}: {parsed:?}");
            let json = serde_json::to_string(&text).expect("encodes");
            assert_eq!(serde_json::from_str::<Addr>(&json).is_ok(), valid, "{json}");
        }
    }

    #[test]
    fn what_a_relay_reports_is_an_address_only_if_its_text_is_one() {
        let names = [("relay.example", true), ("a/b", false), ("a/tcp/1", false)];
        for (name, valid) in names {
            let reported = Multiaddr::empty()
                .with(Protocol::Dns(name.into()))
                .with(Protocol::Tcp(1))
                .with(RELAY["/p2p/".len()..].parse().map(Protocol::P2p).expect("a peer id"))
                .with(Protocol::P2pCircuit);
            let addr = Addr::from_multiaddr(&reported).map(|addr| addr.to_multiaddr());
            assert_eq!(addr.ok(), valid.then_some(reported));
        }
    }

    #[test]
    fn the_nodes_own_id_is_cut_off_what_the_transport_reports() {
        let full: Multiaddr = format!("/ip4/192.0.2.1/tcp/1{RELAY}").parse().expect("valid");
        let addr = Addr::from_multiaddr(&full).expect("an address");
        assert_eq!(addr.as_str(), "/ip4/192.0.2.1/tcp/1");
        assert_eq!(addr.ip(), Some("192.0.2.1".parse().expect("valid")));
    }
}
