//! Joining a group with a code: the issuer lets us in, or says why not.

use std::time::Duration;

use covey_net::{Addr, Link};
use covey_protocol::group::sync::{Next, Pull};
use covey_protocol::group::{Code, Head, Log};
use covey_protocol::ids::{GroupId, Name, NodeId};
use covey_protocol::limits::{MAX_CLOCK_SKEW_MS, MAX_ENTRIES_PER_REPLY, MAX_LOG_ENTRIES};
use covey_protocol::wire::v1::group::{GroupRefusal, GroupReply, GroupRequest, Hint};
use tokio::time::{Instant, sleep, timeout_at};

use super::errors;
use crate::addresses::SaidBy;
use crate::api::{ApiError, ErrorCode, Progress, Reply};
use crate::cancel::CancelFlag;
use crate::node::{Job, Node};
use crate::reach::why_failed;
use crate::sync::{GROUP_TIMEOUT, Unanswered};

/// How long to keep trying, unless the person says otherwise.
const WAIT_S: u64 = 30;
/// Longest wait that a person may ask for: a day.
const MAX_WAIT_S: u64 = 24 * 3_600;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// What the issuer sent to let us in.
struct Welcome {
    log: Log,
    head: Head,
    hints: Vec<Hint>,
}

/// What came of one attempt.
enum Attempt {
    In(Box<Welcome>),
    /// Worth another try; this is what stands in the way.
    Later(String),
}

impl<L: Link> Node<L> {
    pub(crate) async fn join(
        &self,
        text: &str,
        member: Option<Name>,
        wait_s: Option<u64>,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let code = Code::parse(text)
            .map_err(|error| ApiError::new(ErrorCode::BadInvite, error.to_string()))?;
        self.check_code(&code)?;
        let addresses: Vec<Addr> = code.addresses.iter().filter_map(|it| it.parse().ok()).collect();
        self.link.learn(code.issuer, &addresses);
        let name = member.unwrap_or_else(|| self.settings.name.clone());
        let wait = Duration::from_secs(wait_s.unwrap_or(WAIT_S).min(MAX_WAIT_S));
        let deadline = Instant::now() + wait;
        let welcome = loop {
            let attempt = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(interrupted()),
                attempt = self.redeem(&code, name.clone()) => attempt?,
            };
            let why = match attempt {
                Attempt::In(welcome) => break *welcome,
                Attempt::Later(why) => why,
            };
            if Instant::now() + PAUSE > deadline {
                return Err(out_of_patience(&code, &why));
            }
            progress(Progress {
                stage: "waiting for the one who invited you".to_owned(),
                done: (wait - (deadline - Instant::now())).as_secs(),
                total: Some(wait.as_secs()),
                item: Some(why),
            });
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(interrupted()),
                () = sleep(PAUSE) => {}
            }
        };
        let id = self.settle(code.issuer, welcome).await?;
        self.learn(code.issuer, &code.addresses, SaidBy::Itself);
        self.announce_briefly(id, None).await;
        self.group_reply(id)
    }

    fn check_code(&self, code: &Code) -> Result<(), ApiError> {
        if code.issuer == self.id() {
            return Err(ApiError::new(ErrorCode::BadInvite, "this node issued that invite itself")
                .hint("give it to somebody else"));
        }
        let me = self.id();
        if self.groups.view(code.group, |log| log.role_of(me)).flatten().is_some() {
            let name = self.groups.name_of(code.group).unwrap_or_else(|| code.name.clone());
            let message = format!("this node is in that group already, as {name} here");
            return Err(ApiError::new(ErrorCode::Exists, message));
        }
        let ended = code.expires.plus(MAX_CLOCK_SKEW_MS);
        if self.env.now() > ended {
            return Err(ApiError::new(ErrorCode::BadInvite, "the invite has expired")
                .hint("ask for a new one"));
        }
        Ok(())
    }

    /// Shows the secret to the issuer once.
    async fn redeem(&self, code: &Code, name: Name) -> Result<Attempt, ApiError> {
        let request = code.redeem(self.request_id(), name, self.own_hints());
        match self.ask_group(code.issuer, request, GROUP_TIMEOUT).await {
            Ok(GroupReply::Joined { entries, head, hints, .. }) => {
                let log =
                    Log::verify(code.group, entries).map_err(|error| untrue(&error.to_string()))?;
                Ok(Attempt::In(Box::new(Welcome { log, head, hints })))
            }
            Ok(GroupReply::Refused { refusal, .. }) => match refusal {
                GroupRefusal::OwnerOffline | GroupRefusal::Busy => {
                    Ok(Attempt::Later(refusal.to_string()))
                }
                GroupRefusal::NotAMember => {
                    let message = format!(
                        "the one who invited you is not in {} any more, or never was",
                        code.name
                    );
                    Err(ApiError::new(ErrorCode::BadInvite, message).hint("ask for a new invite"))
                }
                refusal => Err(errors::refused(refusal)),
            },
            Ok(GroupReply::Frozen { .. }) => Err(errors::frozen(&code.name)),
            Ok(GroupReply::Entries { .. } | GroupReply::Accepted { .. })
            | Err(Unanswered::Unreadable) => Err(untrue("the reply makes no sense")),
            Err(Unanswered::Link(error)) => Ok(Attempt::Later(why_failed(&error))),
        }
    }

    /// Fetches what is left of the log, checks that this node is in it, and takes the group in.
    async fn settle(&self, issuer: NodeId, welcome: Welcome) -> Result<GroupId, ApiError> {
        let Welcome { mut log, head, hints } = welcome;
        self.fetch_rest(issuer, &mut log, head).await?;
        if log.role_of(self.id()).is_none() {
            return Err(untrue("this node is not in the membership log that was sent"));
        }
        let id = log.group();
        if self.groups.name_of(id).is_some() {
            // Known from before a removal: what is new follows what is here.
            let entries = log.entries_from_start(usize::MAX);
            let next =
                self.apply(id, |known| Pull::new(known).take(known, entries, log.head()).next)?;
            if matches!(next, Next::Frozen(_) | Next::Bad(_)) {
                return Err(untrue("the membership log differs from the one that is known here"));
            }
        } else {
            self.groups.adopt(log)?;
        }
        self.group_changed(id);
        self.take_hints(id, issuer, hints);
        self.schedule(Job::Sync { group: id, with: issuer, gap: Duration::ZERO });
        Ok(id)
    }

    async fn fetch_rest(&self, issuer: NodeId, log: &mut Log, head: Head) -> Result<(), ApiError> {
        let deadline = Instant::now() + 3 * GROUP_TIMEOUT;
        let pages = MAX_LOG_ENTRIES / MAX_ENTRIES_PER_REPLY as u64 + 2;
        let mut pull = Pull::new(log);
        for _ in 0..pages {
            if log.head().epoch >= head.epoch {
                return Ok(());
            }
            let request = GroupRequest::Sync {
                id: self.request_id(),
                group: log.group(),
                head: pull.head(),
                addresses: self.own_hints(),
            };
            let reply = timeout_at(deadline, self.ask_group(issuer, request, GROUP_TIMEOUT)).await;
            let Ok(Ok(GroupReply::Entries { entries, head, .. })) = reply else {
                return Err(ApiError::new(
                    ErrorCode::Unreachable,
                    "you were let in, but the membership log could not be fetched",
                )
                .hint("run the same `covey join` again"));
            };
            if !matches!(pull.take(log, entries, head).next, Next::AskAgain | Next::Done) {
                return Err(untrue("the membership log is not valid"));
            }
        }
        Err(untrue("the membership log does not end"))
    }
}

fn interrupted() -> ApiError {
    ApiError::new(ErrorCode::Cancelled, "interrupted before the invite was redeemed")
        .hint("run the same `covey join` again; the code is still yours")
}

fn untrue(what: &str) -> ApiError {
    ApiError::new(
        ErrorCode::Internal,
        format!("the one who invited you sent something wrong: {what}"),
    )
    .hint("both sides may need the same Covey version")
}

fn out_of_patience(code: &Code, why: &str) -> ApiError {
    let message = format!(
        "nobody let this node into {} yet: {why} (invited by node {})",
        code.name,
        code.issuer.short()
    );
    ApiError::new(ErrorCode::Unreachable, message).hint(
        "the one who invited you must be online (`covey daemon`); then run the same `covey join` again, \
         or wait longer, as with `--wait 10m`",
    )
}
