//! A participant's side of one attempt at a round.

use covey_crypto::{Digest, SecretKey};
use covey_privacy::Rho;
use covey_privacy::encode::Noised;
use covey_privacy::ledger::Spent;
use covey_privacy::rng::Randomness;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::record::{At, AtRef, Record};
use super::{Checked, Company, Limits, Strangers};
use crate::limits::{MAX_PIECE, MAX_ROUND_REQUEST};
use crate::secagg::client::{Agreed, Choosing, Dealt, Enrolled, Joining, Masked, Masking};
use crate::secagg::{Fault, Members, Parameters, SeatSet};
use crate::wire;
use crate::wire::v1::round::{Awaited, ClientMessage, Over, ServerMessage};
use crate::wire::v1::secagg::{Advertisement, Agreement, Choice, Dealing, Opening, Upload};

/// Entries that are masked at a time.
const PIECE: usize = MAX_PIECE / 4;

/// One attempt at a round, from checking in to its end.
///
/// The shell sends [`Participant::message`], hands the answer to [`Participant::answer`], and does what that says.
#[derive(Debug)]
pub struct Participant {
    terms: Digest,
    /// What has to be paid before anything is masked.
    cost: Option<Rho>,
    /// What the cohort has to be, where that is demanded.
    company: Option<(Company, Parameters)>,
    stage: Stage,
    /// Whether the coordinator has heard what this stage has to say.
    heard: bool,
}

#[derive(Debug)]
enum Stage {
    Joining(Box<Joining>, Advertisement),
    Choosing(Box<Choosing>, Choice),
    Dealt(Box<Dealt>, Dealing),
    Ready(Masking),
    Masked(Masked, Upload),
    Agreed(Agreed, Agreement),
    /// Encoded, as shares are not copied; they are no secret from the coordinator.
    Opened(Zeroizing<Vec<u8>>),
    Over(Over),
}

/// What a participant's shell does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send [`Participant::message`].
    Send,
    /// Send it after so many milliseconds.
    Later(u32),
    /// Pay, encode the update, add noise, and call [`Participant::mask`].
    Mask,
    /// Write [`Participant::record`] down durably, in place of the one before. Then send.
    Keep,
    /// Send [`Participant::piece`] of the masked vector from here on.
    Piece(u64),
    /// It is over; delete record and masked vector.
    Over(Over),
}

/// Why a participant goes no further in an attempt. It sends nothing more in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Standstill {
    /// A check of the secure sum failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The coordinator answered something else than was awaited.
    #[error("the coordinator answered something else than was awaited")]
    Unexpected,
    /// The cohort is not what this participant demands.
    #[error(transparent)]
    Strangers(#[from] Strangers),
}

/// A mistake of the shell's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// There is nothing to mask now.
    #[error("there is nothing to mask in this stage")]
    NotNow,
    /// The attempt costs privacy, and what was spent was not for it.
    #[error("the attempt is not paid for")]
    Unpaid,
    /// The update has another number of words than the sum.
    #[error("the update has another number of words than the sum; nothing of it was sent")]
    Length,
}

impl Participant {
    /// Checks in to attempt number `attempt` at `plan`, which [`Limits::check`] let pass.
    ///
    /// # Errors
    /// A1, A2 or A8.
    pub fn check_in(
        plan: &Checked,
        attempt: u32,
        members: &Members,
        limits: &Limits,
        identity: &SecretKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Fault> {
        let terms = plan.terms(attempt);
        let (joining, keys) = Joining::start(&terms, members, limits.demands, identity, rng)?;
        Ok(Self {
            terms: terms.digest(),
            cost: plan.cost(),
            company: None,
            stage: Stage::Joining(Box::new(joining), keys),
            heard: false,
        })
    }

    /// Demands a cohort of such members: without them it deals no shares.
    #[must_use]
    pub fn among(mut self, company: Company, plan: &Checked) -> Self {
        self.company = Some((company, plan.plan().sum));
        self
    }

    /// Goes on from a record.
    pub fn resume(record: Record, identity: &SecretKey) -> Self {
        let stage = match record.at {
            At::Masked(masked, upload) => Stage::Masked(masked, upload),
            At::Agreed(agreed) => {
                let agreement = agreed.agreement(identity);
                Stage::Agreed(agreed, agreement)
            }
        };
        Self { terms: record.terms, cost: None, company: None, stage, heard: false }
    }

    /// The digest of the attempt's terms.
    pub const fn terms(&self) -> Digest {
        self.terms
    }

    /// What to send now. The same again until it is answered.
    pub fn message(&self) -> ClientMessage {
        let waits = |awaited| ClientMessage::Waits(awaited);
        match &self.stage {
            Stage::Joining(..) if self.heard => waits(Awaited::Cohort),
            Stage::Joining(_, keys) => ClientMessage::Keys(*keys),
            Stage::Choosing(..) if self.heard => waits(Awaited::Neighbours),
            Stage::Choosing(_, choice) => ClientMessage::Choice(choice.clone()),
            Stage::Dealt(..) | Stage::Ready(_) if self.heard => waits(Awaited::Inbox),
            Stage::Dealt(_, dealing) => ClientMessage::Dealing(dealing.clone()),
            Stage::Ready(_) => waits(Awaited::Inbox),
            Stage::Masked(..) if self.heard => waits(Awaited::Survivors),
            Stage::Masked(_, upload) => ClientMessage::Upload(*upload),
            Stage::Agreed(..) if self.heard => waits(Awaited::Agreements),
            Stage::Agreed(_, agreement) => ClientMessage::Agreement(*agreement),
            Stage::Opened(_) if self.heard => waits(Awaited::End),
            Stage::Opened(opening) => wire::decode::<Opening>(opening, MAX_ROUND_REQUEST)
                .map_or(waits(Awaited::End), ClientMessage::Opening),
            Stage::Over(_) => waits(Awaited::End),
        }
    }

    /// A piece of the masked vector, from `offset` on, as [`Next::Piece`] asked for. At most
    /// [`MAX_PIECE`] of `bytes` are taken.
    pub fn piece(offset: u64, bytes: &[u8]) -> ClientMessage {
        let bytes = bytes[..bytes.len().min(MAX_PIECE)].to_vec();
        ClientMessage::Piece { offset, bytes }
    }

    /// Takes the coordinator's answer to the last message.
    ///
    /// # Errors
    /// Why this participant goes no further.
    pub fn answer(
        &mut self,
        answer: ServerMessage,
        identity: &SecretKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(Next, Vec<Fault>), Standstill> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over(Over::Failed));
        let mut faults = Vec::new();
        let same = |next, stage, heard| Ok((next, stage, heard));
        let (next, stage, heard) = match (stage, answer) {
            (_, ServerMessage::Over(over)) => same(Next::Over(over), Stage::Over(over), true),
            (Stage::Over(over), _) => same(Next::Over(over), Stage::Over(over), true),
            (stage, ServerMessage::Later { ms }) => same(Next::Later(ms), stage, true),
            (Stage::Joining(joining, _), ServerMessage::Roster(roster)) => {
                let enrolled = joining.roster(&roster)?;
                self.check_company(&roster.head.cohort)?;
                Ok(deal(enrolled, identity, rng))
            }
            (Stage::Joining(joining, _), ServerMessage::Place(place)) => {
                let (choosing, choice) = joining.place(&place, rng)?;
                self.check_company(&place.head.cohort)?;
                same(Next::Send, Stage::Choosing(Box::new(choosing), choice), false)
            }
            (Stage::Choosing(choosing, _), ServerMessage::Neighbours(neighbours)) => {
                Ok(deal(choosing.neighbours(&neighbours)?, identity, rng))
            }
            (Stage::Dealt(dealt, _), ServerMessage::Inbox(inbox)) => {
                let (masking, found) = dealt.inbox(&inbox)?;
                faults = found;
                same(Next::Mask, Stage::Ready(masking), true)
            }
            (Stage::Masked(masked, upload), ServerMessage::Have(offset)) => {
                same(Next::Piece(offset), Stage::Masked(masked, upload), false)
            }
            (Stage::Masked(masked, upload), ServerMessage::Summed) => {
                same(Next::Send, Stage::Masked(masked, upload), true)
            }
            (Stage::Masked(masked, _), ServerMessage::Survivors(survivors)) => {
                let (agreed, agreement) = masked.survivors(&survivors, identity)?;
                same(Next::Keep, Stage::Agreed(agreed, agreement), false)
            }
            (Stage::Agreed(agreed, _), ServerMessage::Survivors(survivors)) => {
                let agreement = agreed.survivors(&survivors, identity)?;
                same(Next::Send, Stage::Agreed(agreed, agreement), false)
            }
            (Stage::Agreed(agreed, _), ServerMessage::Agreements(agreements)) => {
                let opening = Zeroizing::new(wire::encode(&agreed.agreements(&agreements)?));
                same(Next::Send, Stage::Opened(opening), false)
            }
            (
                Stage::Joining(..)
                | Stage::Choosing(..)
                | Stage::Dealt(..)
                | Stage::Ready(_)
                | Stage::Masked(..)
                | Stage::Agreed(..)
                | Stage::Opened(_),
                _,
            ) => Err(Standstill::Unexpected),
        }?;
        (self.stage, self.heard) = (stage, heard);
        Ok((next, faults))
    }

    fn check_company(&self, cohort: &SeatSet) -> Result<(), Strangers> {
        match &self.company {
            Some((company, parameters)) => company.check(cohort, parameters),
            None => Ok(()),
        }
    }

    /// The one way out for an update: masks it, if it is paid for, and gives the masked bytes. Write them down durably, and then
    /// [`Participant::record`], before anything is sent.
    ///
    /// # Errors
    /// [`Broken`]; nothing can be masked in this attempt then.
    pub fn mask<R: Randomness>(
        &mut self,
        update: &Noised<R>,
        paid: Option<Spent>,
        identity: &SecretKey,
    ) -> Result<Vec<u8>, Broken> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over(Over::Failed));
        let Stage::Ready(mut masking) = stage else {
            self.stage = stage;
            return Err(Broken::NotNow);
        };
        if self.cost.is_some() && paid.is_none_or(|paid| paid.terms != self.terms) {
            return Err(Broken::Unpaid);
        }
        let mut bytes = Vec::with_capacity(4 * update.words().len());
        for words in update.words().chunks(PIECE) {
            bytes.extend(masking.next(words).map_err(|_| Broken::Length)?);
        }
        let (masked, upload) = masking.finish(identity).map_err(|_| Broken::Length)?;
        self.stage = Stage::Masked(masked, upload);
        self.heard = false;
        Ok(bytes)
    }

    /// The record to keep, in the stages that have one.
    pub fn record(&self) -> Option<Zeroizing<Vec<u8>>> {
        let at = match &self.stage {
            Stage::Masked(masked, upload) => AtRef::Masked(masked, upload),
            Stage::Agreed(agreed, _) => AtRef::Agreed(agreed),
            Stage::Joining(..)
            | Stage::Choosing(..)
            | Stage::Dealt(..)
            | Stage::Ready(_)
            | Stage::Opened(_)
            | Stage::Over(_) => return None,
        };
        Some(Record::encode(&self.terms, &at))
    }
}

/// The neighbours are known: deals shares to them.
fn deal(enrolled: Enrolled, identity: &SecretKey, rng: &mut impl CryptoRng) -> (Next, Stage, bool) {
    let (dealt, dealing) = enrolled.deal(identity, rng);
    (Next::Send, Stage::Dealt(Box::new(dealt), dealing), false)
}
