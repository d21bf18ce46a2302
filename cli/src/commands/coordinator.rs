//! `covey coordinator`: the daemon as a group's coordinator and nothing else.

use clap::Args;
use covey_node::api::ApiError;
use covey_node::daemon::Ready;
use covey_node::node::Role;

use super::daemon::Serve;
use crate::session::Session;

const EXAMPLES: &str = "\
On the server:      covey init --name server
                    covey join CODE                        (of `covey invite lab`)
                    covey coordinator --listen /ip4/0.0.0.0/tcp/4600 --metrics 127.0.0.1:9464
Then, by the owner: covey group coordinator lab server
On the server:      covey train start lab --rounds 10 --epsilon 8
                    covey train watch lab";

/// Run the node as a coordinator of rounds alone, on a server
///
/// It answers what groups and their rounds need and nothing else: questions are refused, nothing is indexed and nothing is learnt from. The
/// node has to have joined a group. It learns sums of updates only, whatever it is run as.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Coordinator {
    #[command(flatten)]
    serve: Serve,
}

impl Coordinator {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        self.serve.run(session, false, Role::Coordinator, &|ready| {
            format!("This node coordinates and does nothing else.\n{}", naming(ready))
        })
    }
}

/// How the owners of its groups name it.
fn naming(ready: &Ready) -> String {
    let lines: Vec<String> = ready
        .groups
        .iter()
        .map(|(group, name)| format!("  covey group coordinator {group} {name}"))
        .collect();
    format!(
        "For it to coordinate a group, the group's owner says so (it is {}):\n{}",
        ready.node,
        lines.join("\n")
    )
}
