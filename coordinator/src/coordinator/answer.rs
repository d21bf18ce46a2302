//! What members ask, and what they are told.

use std::sync::Arc;

use covey_crypto::Digest;
use covey_protocol::ids::{NodeId, UnixMillis};
use covey_protocol::limits::{MAX_PIECE, MAX_ROUND_REQUEST};
use covey_protocol::round::values_to_bytes;
use covey_protocol::wire;
use covey_protocol::wire::v1::round::{RoundAnswer, RoundAsk, RoundRefusal, ServerMessage};

use super::{Coordinator, CoordinatorError, Inner};
use crate::run::Run;
use crate::store::Key;

impl Coordinator {
    pub(super) fn answer(
        &self,
        inner: &mut Inner,
        from: &NodeId,
        ask: RoundAsk,
        now: UnixMillis,
    ) -> Result<RoundAnswer, CoordinatorError> {
        Ok(match ask {
            RoundAsk::Status => RoundAnswer::Status(inner.announced().map(Box::new)),
            RoundAsk::Values { of, offset } => match self.values(inner, &of)? {
                Some(values) => piece(&values, offset),
                None => RoundAnswer::Refused(RoundRefusal::NoSuchValues),
            },
            RoundAsk::Manifest { of } => match self.store.get(Key::Manifest(of))? {
                Some(bytes) => RoundAnswer::Manifest(
                    wire::decode(&bytes, MAX_ROUND_REQUEST)
                        .map_err(|_| CoordinatorError::Damaged)?,
                ),
                None => RoundAnswer::Refused(RoundRefusal::NoSuchValues),
            },
            RoundAsk::Step { terms, message } => {
                if let Some((last, over)) = inner.state.last.filter(|(last, _)| *last == terms) {
                    tracing::debug!(attempt = %last.short(), "asked about an attempt that is over");
                    return Ok(RoundAnswer::Step(ServerMessage::Over(over)));
                }
                let run = self.run(inner)?.filter(|run| run.terms == terms);
                let Some(run) = run else {
                    return Ok(RoundAnswer::Refused(RoundRefusal::NoSuchAttempt));
                };
                let reply = run.step(from, *message, &self.key, &*self.store, now)?;
                RoundAnswer::Step(reply)
            }
        })
    }

    /// The attempt that is on, read from its journal where that has to be.
    pub(super) fn run<'a>(
        &self,
        inner: &'a mut Inner,
    ) -> Result<Option<&'a mut Run>, CoordinatorError> {
        if inner.run.is_none()
            && let Some(current) = &inner.state.current
        {
            inner.run = Some(Run::open(current, &self.key, &*self.store)?);
        }
        Ok(inner.run.as_mut())
    }

    fn values(
        &self,
        inner: &mut Inner,
        of: &Digest,
    ) -> Result<Option<Arc<[f32]>>, CoordinatorError> {
        if let Some((digest, values)) = &inner.values
            && digest == of
        {
            return Ok(Some(Arc::clone(values)));
        }
        let Some(values) = self.store.values(of)? else { return Ok(None) };
        let values: Arc<[f32]> = values.into();
        inner.values = Some((*of, Arc::clone(&values)));
        Ok(Some(values))
    }
}

/// The bytes of `values` from `offset` on, as many as a message takes.
fn piece(values: &[f32], offset: u64) -> RoundAnswer {
    let total = 4 * values.len() as u64;
    if !offset.is_multiple_of(4) || offset > total {
        return RoundAnswer::Refused(RoundRefusal::BadRequest);
    }
    let from = usize::try_from(offset / 4).unwrap_or(usize::MAX);
    let to = values.len().min(from + MAX_PIECE / 4);
    RoundAnswer::Values { total, bytes: values_to_bytes(&values[from..to]) }
}
