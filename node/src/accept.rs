//! Taking connections one after the other.

use std::io;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::cancel::CancelFlag;

/// How long nothing is accepted after that failed: out of file descriptors, most likely, so some connections have to end first.
const PAUSE: Duration = Duration::from_millis(100);

/// The next connection that `accept` gives for `what`; nothing once `stop` is raised. Tasks that have ended are taken out of `serving`.
pub(crate) async fn next<S, A, F>(
    what: &'static str,
    accept: impl Fn() -> F,
    serving: &mut JoinSet<()>,
    stop: &CancelFlag,
) -> Option<S>
where
    F: Future<Output = io::Result<(S, A)>>,
{
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            Some(_) = serving.join_next() => {}
            accepted = accept() => match accepted {
                Ok((stream, _)) => return Some(stream),
                Err(error) => {
                    tracing::warn!(%error, what, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}
