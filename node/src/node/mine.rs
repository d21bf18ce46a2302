//! Calls about what is learnt from: mining pairs, and the results that the person opened.

use covey_net::Link;

use super::Node;
use super::local::metered;
use crate::api::{ApiError, MineCall, OpenedCall, Progress, Reply};
use crate::cancel::CancelFlag;
use crate::collections::Meter;

impl<L: Link> Node<L> {
    pub(super) async fn mine(
        &self,
        call: MineCall,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let (collections, opened) = (self.collections.clone(), self.opened.list()?);
        let work = move |meter: Meter<'_>| collections.mine(&call, &opened, meter, &cancel);
        metered(&self.env, progress, work).await.map(Reply::Mined)
    }

    pub(super) fn opened_add(&self, call: &OpenedCall) -> Result<Reply, ApiError> {
        self.opened.add(call, self.env.now())?;
        Ok(Reply::Ok)
    }

    pub(super) fn opened_list(&self) -> Result<Reply, ApiError> {
        Ok(Reply::Opened { results: self.opened.list()? })
    }

    pub(super) fn opened_clear(&self) -> Result<Reply, ApiError> {
        self.opened.clear()?;
        Ok(Reply::Ok)
    }
}
