//! Groups, members, invites and peers.

use std::io::{self, Write};
use std::time::Duration;

use covey_node::api::{GroupInfo, MemberInfo, PeerInfo};
use covey_protocol::ids::UnixMillis;

use super::Style;
use crate::text::{clean, count, duration, time};

/// One group in a line.
pub fn group(group: &GroupInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let frozen =
        if group.frozen { style.bad("  FROZEN: its log was forked") } else { String::new() };
    let you = match group.role.as_str() {
        "owner" => "you are the owner".to_owned(),
        "admin" => "you are an admin".to_owned(),
        "member" => "you are a member".to_owned(),
        "removed" => "you are no member any more".to_owned(),
        other => format!("you are {}", clean(other)),
    };
    writeln!(
        out,
        "{}  {}, {you}{frozen}",
        style.bold(group.name.as_str()),
        count(group.members.into(), "member"),
    )?;
    match group.quorum {
        0 => Ok(()),
        quorum => writeln!(
            out,
            "  A release of its model is evaluated by {} at least.",
            count(quorum.into(), "member")
        ),
    }
}

/// All groups.
pub fn groups(groups: &[GroupInfo], out: &mut dyn Write, style: Style) -> io::Result<()> {
    if groups.is_empty() {
        writeln!(
            out,
            "No groups yet. `covey group create NAME` founds one; `covey join CODE` joins one."
        )?;
    }
    groups.iter().try_for_each(|it| group(it, out, style))
}

/// The members of a group.
pub fn members(
    it: &GroupInfo,
    members: &[MemberInfo],
    out: &mut dyn Write,
    style: Style,
) -> io::Result<()> {
    group(it, out, style)?;
    let width = members.iter().map(|m| m.name.as_str().chars().count()).max().unwrap_or(0);
    for member in members {
        let presence = match (member.you, member.online) {
            (true, _) => "this node",
            (false, true) => "online",
            (false, false) => "not connected",
        };
        writeln!(
            out,
            "  {:width$}  {:6}  {:13}  {}  since {}",
            member.name,
            clean(&member.role),
            presence,
            style.dim(&member.node.short()),
            time(member.since.0),
        )?;
    }
    Ok(())
}

/// An invite: the code alone on its line, easy to copy.
pub fn invite(code: &str, expires: UnixMillis, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{code}\n")?;
    writeln!(out, "On the other machine: covey join CODE")?;
    writeln!(out, "It works once, until {}, while this node is running.", time(expires.0))
}

/// Peers and known members.
pub fn peers(peers: &[PeerInfo], out: &mut dyn Write, style: Style) -> io::Result<()> {
    if peers.is_empty() {
        writeln!(out, "No peers yet: join a group, or invite somebody.")?;
    }
    for peer in peers {
        let names: Vec<_> = peer.members_of.iter().map(|name| clean(name)).collect();
        let who = if names.is_empty() { "in no common group".to_owned() } else { names.join(", ") };
        let state = match (peer.connected, peer.relayed) {
            (true, false) => style.good("connected"),
            (true, true) => style.good("connected through a relay"),
            (false, _) => "not connected".to_owned(),
        };
        let rtt = peer.rtt_us.map(|us| format!(", {}", duration(Duration::from_micros(us))));
        writeln!(
            out,
            "{}  {}  {state}{}",
            peer.node.short(),
            style.bold(&who),
            rtt.unwrap_or_default()
        )?;
        for address in &peer.addresses {
            writeln!(out, "    {}", style.dim(&clean(address)))?;
        }
    }
    Ok(())
}
