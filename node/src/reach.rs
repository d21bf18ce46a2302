//! Why a node could not be reached, for people: the transport names every address it tried.

use covey_net::LinkError;

/// The causes in `reason`, each once, without addresses and the system's error numbers.
///
/// `/ip4/192.0.2.7/tcp/1: Connection refused (os error 111); /ip6/…: Connection refused …` becomes
/// `connection refused`. The whole of it goes to the log, at debug level.
pub(crate) fn why_unreachable(reason: &str) -> String {
    tracing::debug!(reason, "a node could not be reached");
    let mut causes: Vec<String> = Vec::new();
    for attempt in reason.split("; ") {
        let cause = cause(attempt);
        if !cause.is_empty() && !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    causes.join(", ")
}

/// [`why_unreachable`] for any failure of a link.
pub(crate) fn why_failed(error: &LinkError) -> String {
    match error {
        LinkError::Unreachable { reason } => why_unreachable(reason),
        other => other.to_string(),
    }
}

fn cause(attempt: &str) -> String {
    if attempt.starts_with("and ") && attempt.ends_with(" more") {
        return String::new();
    }
    let cause = match attempt.split_once(": ") {
        Some((address, cause)) if address.starts_with('/') => cause,
        _ => attempt,
    };
    let cause = cause.split(" (os error ").next().unwrap_or(cause);
    let mut letters = cause.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_and_names_no_address() {
        let refused = "/ip4/192.0.2.7/tcp/1/p2p/12D3Koo: Connection refused (os error 111)";
        let refused6 = "/ip6/fd00::2/tcp/1/p2p/12D3Koo: Connection refused (os error 111)";
        let timeout = "/ip4/192.0.2.7/udp/1/quic-v1: Handshake timed out";
        let cases = [
            (refused.to_owned(), "connection refused"),
            (format!("{refused}; {refused6}; and 7 more"), "connection refused"),
            (format!("{refused}; {timeout}"), "connection refused, handshake timed out"),
            ("no address is known".to_owned(), "no address is known"),
            (String::new(), ""),
        ];
        for (reason, expected) in cases {
            assert_eq!(why_unreachable(&reason), expected, "{reason}");
        }
    }
}
