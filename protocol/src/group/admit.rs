//! What the issuer of an invite does with whoever redeems it.

use super::{InviteBook, InviteRefusal, InviteSecret, Log, Role, Wish};
use crate::ids::{Name, NodeId, UnixMillis};

/// Someone with a good invite.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// It is in already (an earlier reply was lost, say): send it the log.
    AlreadyIn,
    /// It is to be added: [`Log::sequence`] this if the issuer owns the group, or else
    /// [`Log::wish`] it and submit it to the owner.
    Add(Wish),
}

/// Decides about a node that redeems an invite of `me`. Changes only `book`; write that to disk
/// before replying.
///
/// # Errors
/// [`InviteRefusal`], to be sent to the node.
pub fn admit(
    book: &mut InviteBook,
    log: &Log,
    me: NodeId,
    node: NodeId,
    secret: &InviteSecret,
    name: &Name,
    now: UnixMillis,
) -> Result<Admission, InviteRefusal> {
    if log.role_of(node).is_some() {
        // Not bound to it: it would keep the invite for coming back after a removal.
        return book.check(log.group(), node, secret, now).map(|_| Admission::AlreadyIn);
    }
    if log.role_of(me).is_none_or(|role| role < Role::Admin) {
        // Whoever does not know the secret is told nothing about the group.
        return Err(match book.check(log.group(), node, secret, now) {
            Ok(_) => InviteRefusal::InviterNotAllowed,
            Err(_) => InviteRefusal::UnknownOrForged,
        });
    }
    let invite = book.redeem(log.group(), node, secret, now)?;
    if log.invite_used(&invite) {
        return Err(InviteRefusal::AlreadyUsed);
    }
    Ok(Admission::Add(Wish::Add { node, name: log.free_name(name), invite }))
}
