//! Says in one line why a node could not be reached.

use std::error::Error;

use libp2p::core::transport::TransportError;
use libp2p::swarm::DialError;

use super::identity;

/// Addresses named in one message.
const SHOWN: usize = 3;

/// What went wrong, by address, with the innermost cause of each failure.
pub(super) fn describe(error: &DialError) -> String {
    match error {
        DialError::NoAddresses => NO_ADDRESS.to_owned(),
        DialError::LocalPeerId { address } => format!("{address} is this node itself"),
        DialError::WrongPeerId { obtained, address } => match identity::to_node(obtained) {
            Some(node) => format!("at {address} there is another node, {}", node.short()),
            None => format!("at {address} there is something else"),
        },
        DialError::Aborted => "the attempt was given up".to_owned(),
        DialError::DialPeerConditionFalse(_) => "another attempt is under way".to_owned(),
        DialError::Denied { cause } => root(cause),
        DialError::Transport(failures) => {
            let mut lines: Vec<String> = failures
                .iter()
                .take(SHOWN)
                .map(|(address, error)| match error {
                    TransportError::MultiaddrNotSupported(_) => {
                        format!("{address}: no transport for it")
                    }
                    TransportError::Other(error) => format!("{address}: {}", root(error)),
                })
                .collect();
            if failures.len() > SHOWN {
                lines.push(format!("and {} more", failures.len() - SHOWN));
            }
            lines.join("; ")
        }
    }
}

/// What is said of a node that nobody has told us how to reach.
pub(super) const NO_ADDRESS: &str = "no address of it is known";

/// The innermost cause, which names the reason; the layers around it name types.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
