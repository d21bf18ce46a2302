//! Masked vectors on their way in.

use std::collections::BTreeMap;

use super::{Effect, Taken, out_of_turn};
use crate::ids::NodeId;
use crate::secagg::{Check, Culprit, Fault};
use crate::wire::v1::round::ServerMessage;
use crate::wire::v1::secagg::Upload;

/// What has come of each vector that was announced.
#[derive(Debug, Default)]
pub(super) struct Uploads(BTreeMap<NodeId, Part>);

#[derive(Debug)]
struct Part {
    upload: Upload,
    have: usize,
    summed: bool,
    bad: bool,
}

impl Uploads {
    /// A vector is announced; whoever comes again goes on where it was.
    pub(super) fn announce(&mut self, from: &NodeId, upload: Upload) -> Result<Taken, Fault> {
        let part =
            self.0.entry(*from).or_insert(Part { upload, have: 0, summed: false, bad: false });
        if part.upload != upload {
            return Err(Fault::new(Check::Repeated, Culprit::Client(*from)));
        }
        Ok(Taken::Answered(part.progress()))
    }

    /// The next bytes of it. Any that do not follow those before are left; the answer says where to go on.
    pub(super) fn piece(
        &mut self,
        from: &NodeId,
        (offset, bytes): (u64, Vec<u8>),
        entries: usize,
        effects: &mut Vec<Effect>,
    ) -> Result<Taken, Fault> {
        let part = self.0.get_mut(from).filter(|part| !part.bad);
        let part = part.ok_or_else(|| out_of_turn(from))?;
        if part.summed || usize::try_from(offset) != Ok(part.have) || bytes.is_empty() {
            return Ok(Taken::Answered(part.progress()));
        }
        if part.have + bytes.len() > 4 * entries {
            return Err(Fault::new(Check::VectorLength, Culprit::Client(*from)));
        }
        part.have += bytes.len();
        effects.push(Effect::Store { from: *from, offset, bytes });
        if part.have == 4 * entries {
            effects.push(Effect::Add(*from));
        }
        Ok(Taken::Answered(part.progress()))
    }

    /// Vectors that are on their way, by whom, each to be told how much of it lies on disk.
    pub(super) fn found(&mut self, entries: usize, on_disk: impl Fn(&NodeId) -> usize) {
        for (from, part) in self.0.iter_mut().filter(|(_, part)| !part.summed) {
            // The last word comes again, so that there is something to add the vector after.
            part.have = on_disk(from).min(4 * entries - 4);
        }
    }

    /// What a participant said its vector would be.
    pub(super) fn announced(&self, from: &NodeId) -> Option<&Upload> {
        self.0.get(from).map(|part| &part.upload)
    }

    /// It is in the sum, or was not what it should be.
    pub(super) fn taken(&mut self, from: &NodeId, summed: bool) {
        if let Some(part) = self.0.get_mut(from) {
            part.summed = summed;
            if !summed {
                // Not the vector that was announced: nothing more is taken of this one.
                part.bad = true;
            }
        }
    }
}

impl Part {
    fn progress(&self) -> ServerMessage {
        match self.summed {
            true => ServerMessage::Summed,
            false => ServerMessage::Have(self.have as u64),
        }
    }
}
