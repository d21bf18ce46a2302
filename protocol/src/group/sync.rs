//! What two members tell each other about the log: pure decisions on heads and pages.
//!
//! The one who is asked calls [`answer`]. The one who asks keeps a [`Pull`]: it says which head to
//! ask with, takes each page, and finds out whether to go on, to push, or that the logs have
//! forked. A fork is settled by reading the other's log from the first entry: where the two part
//! lies the proof against the owner.

use super::{Entry, Equivocation, Head, Log, Outcome, Rejection, Standing};
use crate::ids::{Epoch, NodeId};
use crate::limits::{MAX_ENTRIES_PER_PUSH, MAX_ENTRIES_PER_REPLY};

/// What to reply to a peer that shows its head.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// The next page, possibly empty, and the head as far as the peer may know it.
    Entries {
        /// What follows the peer's head.
        entries: Vec<Entry>,
        /// This node's head; for a removed peer, the entry that removed it.
        head: Head,
        /// The peer, a member, claims to be further: pull from it.
        peer_is_ahead: bool,
    },
    /// The peer's head is not on this chain: refuse, and pull from it to find out why.
    Forked,
    /// The peer is no business of this group: refuse, as for a group that does not exist.
    NotAMember,
    /// The group is frozen: send the proof.
    Frozen(Box<Equivocation>),
}

/// Decides what `from`, whose log ends at `theirs`, is told.
pub fn answer(log: &Log, from: NodeId, theirs: Head) -> Answer {
    let (visible, is_member) = match log.standing(from) {
        Standing::Member(_) => (log.head(), true),
        Standing::Removed(epoch) => (log.head_at(epoch).unwrap_or(log.head()), false),
        Standing::Stranger => return Answer::NotAMember,
    };
    let far = theirs.epoch.min(visible.epoch);
    if let Some(evidence) = log.evidence()
        && evidence.parent_epoch().is_some_and(|parent| far >= parent)
    {
        return Answer::Frozen(Box::new(evidence.clone()));
    }
    if theirs.epoch > visible.epoch {
        let peer_is_ahead = is_member && theirs.epoch > log.head().epoch;
        return Answer::Entries { entries: Vec::new(), head: visible, peer_is_ahead };
    }
    if log.head_at(theirs.epoch) != Some(theirs) {
        return Answer::Forked;
    }
    let left = usize::try_from(visible.epoch.0 - theirs.epoch.0).unwrap_or(usize::MAX);
    let entries = log.entries_after(theirs.epoch, left.min(MAX_ENTRIES_PER_REPLY));
    Answer::Entries { entries, head: visible, peer_is_ahead: false }
}

/// Takes entries that a peer pushes without being asked, and its head. [`Next::AskAgain`] means
/// that there is more, or something in between: start a [`Pull`] from that peer. Valid entries are
/// welcome from anybody; where they are not, a stranger is refused as for no such group.
pub fn take_push(log: &mut Log, page: Vec<Entry>, theirs: Head) -> Taken {
    let (new, applied) = apply_page(log, page);
    let next = match applied {
        Ok(_) if log.head_at(theirs.epoch) == Some(theirs) => Next::Done,
        Ok(_) | Err(Stop::Gap) => Next::AskAgain,
        Err(Stop::Rejected(rejection)) => Next::Bad(Some(rejection)),
        Err(Stop::Frozen(proof)) => Next::Frozen(proof),
    };
    Taken { new, next }
}

/// One conversation with one peer, from this node's head to the peer's.
#[derive(Debug, Clone)]
pub struct Pull {
    cursor: Head,
    restarted: bool,
}

/// What a page of a peer's log led to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Taken {
    /// Entries that are new here and now applied, oldest first: write them down.
    pub new: Vec<Entry>,
    /// What to do next.
    pub next: Next,
}

/// How a [`Pull`] goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask again, with [`Pull::head`].
    AskAgain,
    /// Both have the same log now.
    Done,
    /// The peer lacks these entries.
    Push(Vec<Entry>),
    /// The owner signed two histories: write the proof down and show it to everybody.
    Frozen(Box<Equivocation>),
    /// The peer sent what is not a log; stop, and think less of it.
    Bad(Option<Rejection>),
}

impl Pull {
    /// Starts from this node's head.
    pub fn new(log: &Log) -> Self {
        Self { cursor: log.head(), restarted: false }
    }

    /// The head to ask with.
    pub fn head(&self) -> Head {
        self.cursor
    }

    /// Takes a page that the peer sent in reply to [`Pull::head`], and the peer's head.
    pub fn take(&mut self, log: &mut Log, page: Vec<Entry>, theirs: Head) -> Taken {
        let (new, applied) = apply_page(log, page);
        let next = match applied {
            Ok(last) => {
                let advanced = last.filter(|last| last.epoch > self.cursor.epoch);
                self.cursor = advanced.unwrap_or(self.cursor);
                self.next(log, theirs, advanced.is_some())
            }
            Err(Stop::Gap) => Next::Bad(None),
            Err(Stop::Rejected(rejection)) => Next::Bad(Some(rejection)),
            Err(Stop::Frozen(proof)) => Next::Frozen(proof),
        };
        Taken { new, next }
    }

    /// The peer refused because its log has forked from ours.
    pub fn forked(&mut self, log: &Log) -> Next {
        self.compare_from_start(log)
    }

    fn next(&mut self, log: &Log, theirs: Head, advanced: bool) -> Next {
        if theirs.epoch > self.cursor.epoch {
            return if advanced { Next::AskAgain } else { Next::Bad(None) };
        }
        if log.head_at(theirs.epoch) != Some(theirs) {
            return self.compare_from_start(log);
        }
        let missing = log.entries_after(theirs.epoch, MAX_ENTRIES_PER_PUSH);
        if missing.is_empty() { Next::Done } else { Next::Push(missing) }
    }

    fn compare_from_start(&mut self, log: &Log) -> Next {
        match log.head_at(Epoch(0)) {
            Some(first) if !self.restarted => {
                self.cursor = first;
                self.restarted = true;
                Next::AskAgain
            }
            Some(_) | None => Next::Bad(None),
        }
    }
}

/// Why the rest of a page is not looked at.
enum Stop {
    Gap,
    Rejected(Rejection),
    Frozen(Box<Equivocation>),
}

/// Applies entries in order. Gives those that were new, and the last one of the page, new or not.
fn apply_page(log: &mut Log, page: Vec<Entry>) -> (Vec<Entry>, Result<Option<Head>, Stop>) {
    let (mut new, mut last) = (Vec::new(), None);
    for entry in page {
        match log.apply(entry.clone()) {
            Outcome::Applied => {
                last = Some(log.head());
                new.push(entry);
            }
            Outcome::AlreadyKnown => match entry.decode() {
                Ok(decoded) => last = Some(decoded.head()),
                Err(rejection) => return (new, Err(Stop::Rejected(rejection))),
            },
            Outcome::Gap => return (new, Err(Stop::Gap)),
            Outcome::Rejected(rejection) => return (new, Err(Stop::Rejected(rejection))),
            Outcome::Equivocation(proof) => return (new, Err(Stop::Frozen(proof))),
        }
    }
    (new, Ok(last))
}
