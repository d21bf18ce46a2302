//! What can become of a request.

/// Why a request got no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No connection could be made: the node is offline, or no address of it is known.
    #[error("the node cannot be reached: {reason}")]
    Unreachable {
        /// What was tried and how it failed.
        reason: String,
    },
    /// No reply within the caller's time. The request may have been carried out.
    #[error("no reply in time")]
    Timeout,
    /// The request or the reply is larger than the protocol allows.
    #[error("the message is larger than the {limit} bytes that the protocol allows")]
    TooLarge {
        /// The protocol's limit, in bytes.
        limit: usize,
    },
    /// The node declined to answer and said so.
    #[error("the node refused to answer")]
    Refused,
    /// The node (or this link) has too many requests at hand. Worth another try later.
    #[error("the node is busy")]
    Busy,
    /// The connection, or this link itself, closed before the reply. The request may have been
    /// carried out.
    #[error("the connection closed before the reply arrived")]
    Closed,
    /// The node sent something that this protocol does not allow.
    #[error("the node broke the protocol: {reason}")]
    Bad {
        /// The rule it broke.
        reason: &'static str,
    },
    /// The stream failed.
    #[error("the stream failed: {reason}")]
    Io {
        /// The transport's own words.
        reason: String,
    },
}
