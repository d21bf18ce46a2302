//! The invites that this node issued.

use covey_protocol::group::{Admission, Code, InviteRefusal, InviteSecret, Role, admit};
use covey_protocol::ids::{GroupId, Name, NodeId, UnixMillis};
use covey_protocol::wire;

use super::{Groups, INVITES_KEY, State, errors};
use crate::api::{ApiError, ErrorCode};
use crate::store::{StoreError, Table, Write};

impl Groups {
    /// Issues an invite that lives for `life_ms`: the code to paste, and when it ends.
    pub(crate) fn invite(
        &self,
        id: GroupId,
        life_ms: u64,
        addresses: Vec<String>,
    ) -> Result<(String, UnixMillis), ApiError> {
        let mut state = self.lock();
        let group = state.groups.get(&id).ok_or_else(errors::gone)?;
        if group.log().is_frozen() {
            return Err(errors::frozen(&group.name));
        }
        if group.log().role_of(self.me).is_none_or(|role| role < Role::Admin) {
            let message = format!("only the owner and admins of {} may invite", group.name);
            return Err(ApiError::new(ErrorCode::Forbidden, message)
                .hint("ask one of them: `covey group members` shows who they are"));
        }
        let name = group.log().name().clone();
        let now = self.env.now();
        let issued = self.env.with_rng(|rng| state.book.issue(id, now, life_ms, rng));
        let (secret, expires) =
            issued.map_err(|error| ApiError::new(ErrorCode::Usage, error.to_string()))?;
        self.save_book(&state)?;
        let code = Code { group: id, name, issuer: self.me, addresses, secret, expires };
        Ok((code.to_text().to_string(), expires))
    }

    /// Decides about a node that redeems an invite; the decision is stored when this returns.
    /// `None`: no such group here.
    pub(super) fn admit(
        &self,
        id: GroupId,
        node: NodeId,
        secret: &InviteSecret,
        name: &Name,
    ) -> Result<Option<Result<Admission, InviteRefusal>>, StoreError> {
        let mut state = self.lock();
        let State { groups, book, .. } = &mut *state;
        let Some(group) = groups.get(&id) else { return Ok(None) };
        let decided = admit(book, group.log(), self.me, node, secret, name, self.env.now());
        if decided.is_ok() {
            self.save_book(&state)?;
        }
        Ok(Some(decided))
    }

    fn save_book(&self, state: &State) -> Result<(), StoreError> {
        let book = wire::encode(&state.book);
        self.kv.write(vec![Write::Put(Table::Groups, INVITES_KEY.to_vec(), book)])
    }
}
