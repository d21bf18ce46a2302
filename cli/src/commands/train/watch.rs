//! `covey train watch`: what changes in a group's rounds, as it does.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use covey_node::api::client::Client;
use covey_node::api::{ApiError, Call, ErrorCode, LearnInfo, Progress, Reply, Watched, Watcher};
use covey_node::env::{Clock, WallClock};
use covey_protocol::ids::{Name, UnixMillis};
use tokio::time::{MissedTickBehavior, interval};

use crate::progress::Bar;
use crate::session::{Interrupts, Session, block_on};
use crate::show;

/// How often it is looked how learning stands.
const LOOK: Duration = Duration::from_millis(200);

/// Follow a group's rounds as they go on, until Ctrl-C
///
/// One line a change: what this node does for a round and how far training is; for the coordinator, phases with who is done, and how
/// each attempt ended. With --json, one event a line. A daemon has to run.
#[derive(Debug, Args)]
#[command(after_help = "Example: covey train watch lab")]
pub struct WatchArgs {
    /// The group
    group: Name,
}

impl WatchArgs {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        session.require_node()?;
        block_on(async {
            let mut interrupts = Interrupts::catch()?;
            tokio::select! {
                ended = watch(session, &self.group) => ended,
                () = interrupts.next() => Ok(()),
            }
        })
    }
}

async fn watch(session: &Session<'_>, group: &Name) -> Result<(), ApiError> {
    let mut watcher = Watcher::default();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Where lines are for a terminal, what goes on now stays below them.
    let live = std::io::stdout().is_terminal() && !session.output.is_json();
    let mut bar = live.then(|| Bar::start("watching", session.output));
    loop {
        ticks.tick().await;
        let now = look(session, group).await?;
        if let Some(bar) = &mut bar {
            bar.update(at_present(&now, WallClock.now()));
        }
        for change in watcher.look(now) {
            let watched = Watched { group: group.clone(), at: WallClock.now(), change };
            let print = || session.output.one_of_many(Reply::Watched(watched));
            let read = match &bar {
                Some(bar) => bar.above(print)?,
                None => print()?,
            };
            if !read {
                return Ok(());
            }
        }
    }
}

async fn look(session: &Session<'_>, group: &Name) -> Result<LearnInfo, ApiError> {
    let client = Client::connect(&session.home.socket_path()?).await?.ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, "no daemon is running, so no rounds go on here")
            .hint("start it with `covey daemon`")
    })?;
    let call = Call::TrainStatus { group: Some(group.clone()) };
    match client.call(&call, &mut |_| {}).await? {
        Reply::Learning { mut groups } if groups.len() == 1 => Ok(groups.remove(0)),
        _ => Err(ApiError::new(ErrorCode::Internal, "the node answered something else")),
    }
}

/// What goes on now, as a bar shows it.
fn at_present(it: &LearnInfo, now: UnixMillis) -> Progress {
    let campaign = it.campaign.as_ref();
    let (stage, done, total) = match (campaign.and_then(|it| it.round.as_ref()), it.training) {
        (_, Some(steps)) => ("training".to_owned(), steps.done, Some(steps.total)),
        (Some(round), None) => {
            (show::learn::phase(round, now), round.done, Some(round.participants))
        }
        (None, None) => (it.doing.clone().unwrap_or_else(|| "no round is on".to_owned()), 0, None),
    };
    Progress { stage, done, total, item: None }
}
