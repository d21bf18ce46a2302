//! Groups: founding, joining, membership.

use std::io::{BufRead, Read};

use clap::{Args, Subcommand};
use covey_node::api::{ApiError, Call, ErrorCode};
use covey_protocol::ids::Name;

use super::collections::done;
use crate::session::Session;
use crate::text::parse_seconds;

/// More of standard input than this is no invite code.
const MAX_TYPED: u64 = 64 * 1024;

/// Found a group, see and change its membership
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Found a group with this node as its owner
    Create {
        /// The group's name
        group: Name,
        /// The name members see for this node (by default the node's)
        #[arg(long = "as", value_name = "NAME")]
        member: Option<Name>,
    },
    /// List your groups
    List,
    /// List the members of a group
    Members {
        /// The group
        group: Name,
    },
    /// Leave a group; an owner transfers it first
    Leave {
        /// The group
        group: Name,
    },
    /// Remove a member; owners may remove anybody, admins plain members
    Remove {
        /// The group
        group: Name,
        /// The member's name, or the beginning of its node id
        member: String,
    },
    /// Make another member the owner
    Transfer {
        /// The group
        group: Name,
        /// The member's name, or the beginning of its node id
        member: String,
    },
    /// Make a member an admin, who may invite and remove, or a plain member again
    Role {
        /// The group
        group: Name,
        /// The member's name, or the beginning of its node id
        member: String,
        /// The role
        #[arg(value_parser = ["admin", "member"])]
        role: String,
    },
    /// Say whose node coordinates the group's rounds of learning; owners only
    Coordinator {
        /// The group
        group: Name,
        /// The member's name, or the beginning of its node id
        #[arg(required_unless_present = "nobody")]
        member: Option<String>,
        /// Let nobody coordinate any more
        #[arg(long, conflicts_with = "member")]
        nobody: bool,
    },
    /// Say what a release of the shared model needs before it becomes the group's; owners only
    ///
    /// With a quorum the coordinator asks members what a release does to held-out pairs of their own, and learns the sum only. It becomes a
    /// release if so many took part and more than half of them do no worse. Every node checks that when it adopts one.
    #[command(after_help = "Example: covey group policy lab --quorum 5")]
    Policy {
        /// The group
        group: Name,
        /// Fewest members that evaluate a release; 0 to ask nobody
        #[arg(long, value_name = "N")]
        quorum: u32,
    },
}

impl Group {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        match self {
            Self::Create { group, member } => {
                session.ensure_node(member.clone())?;
                let next = format!("Next: covey invite {group}");
                session.show(Call::GroupCreate { group, member }, "founding")?;
                session.output.notice(&next);
                Ok(())
            }
            Self::List => session.show(Call::GroupList, "looking"),
            Self::Members { group } => session.show(Call::GroupMembers { group }, "looking"),
            Self::Leave { group } => {
                let notice = format!("Left {group}.");
                done(session, Call::GroupLeave { group }, &notice)
            }
            Self::Remove { group, member } => {
                let notice = format!("Removed {member} from {group}.");
                done(session, Call::GroupRemove { group, member }, &notice)
            }
            Self::Transfer { group, member } => {
                let notice = format!("{member} now owns {group}.");
                done(session, Call::GroupTransfer { group, member }, &notice)
            }
            Self::Role { group, member, role } => {
                let admin = role == "admin";
                let what = if admin { "an admin" } else { "a plain member" };
                let notice = format!("In {group}, {member} is now {what}.");
                done(session, Call::GroupRole { group, member, admin }, &notice)
            }
            Self::Coordinator { group, member, nobody: _ } => {
                let notice = match &member {
                    Some(member) => format!("{member} coordinates the rounds of {group} now."),
                    None => format!("Nobody coordinates the rounds of {group} now."),
                };
                done(session, Call::GroupCoordinator { group, member }, &notice)
            }
            Self::Policy { group, quorum } => {
                let notice = match quorum {
                    0 => {
                        format!("Releases of {group} are evaluated by nobody before they are made.")
                    }
                    1 => format!(
                        "A release of {group} is evaluated by a member at least from now on."
                    ),
                    _ => format!(
                        "A release of {group} is evaluated by {quorum} members at least from now on."
                    ),
                };
                done(session, Call::GroupPolicy { group, quorum }, &notice)
            }
        }
    }
}

/// Print a one-use code with which somebody can join a group
///
/// The code holds this node's addresses, so the daemon should be running. Whoever has the code can join:
/// send it over a channel you trust.
#[derive(Debug, Args)]
#[command(after_help = "Example: covey invite lab --expires 2h")]
pub struct Invite {
    /// The group
    group: Name,
    /// When the code stops working: 90s, 15m, 2h or 7d (a day by default, 30 days at most)
    #[arg(long, short, value_parser = parse_seconds)]
    expires: Option<u64>,
}

impl Invite {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let call = Call::Invite { group: self.group, expires_s: self.expires };
        session.show(call, "inviting")?;
        session
            .notice_without_daemon("Nobody can use the code until this node runs: `covey daemon`")
    }
}

/// Join the group that a code invites to
///
/// Whoever made the code must be online: the node that issued an invite is the only one to redeem it.
#[derive(Debug, Args)]
#[command(after_help = "Example: covey join covey1… --as ben")]
pub struct Join {
    /// The code, as `covey invite` printed it; `-` reads it from standard input, where other users of this
    /// machine cannot see it
    code: String,
    /// The name members see for this node (by default the node's)
    #[arg(long = "as", value_name = "NAME")]
    member: Option<Name>,
    /// How long to keep trying while the inviter cannot be reached: 90s, 15m, … (30s by default)
    #[arg(long, value_parser = parse_seconds)]
    wait: Option<u64>,
}

impl Join {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let code = if self.code == "-" { read_code()? } else { self.code };
        session.ensure_node(self.member.clone())?;
        let call = Call::Join { code, member: self.member, wait_s: self.wait };
        session.show(call, "joining")?;
        session.notice_without_daemon(
            "Run `covey daemon` so that the others can search what you share",
        )
    }
}

/// One line of standard input, of bounded length.
fn read_code() -> Result<String, ApiError> {
    let mut line = String::new();
    std::io::stdin().lock().take(MAX_TYPED).read_line(&mut line).map_err(|error| {
        ApiError::new(ErrorCode::Usage, format!("cannot read the code: {error}"))
    })?;
    Ok(line.trim().to_owned())
}
