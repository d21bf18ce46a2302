//! What a round is about: everything that its keys, signatures and shares are bound to.

use covey_crypto::Digest;
use covey_privacy::Sharers;
use serde::{Deserialize, Serialize};

use super::fault::{Check, Fault};
use super::thresholds::Thresholds;
use crate::ids::{GroupId, ModelId, NodeId};
use crate::limits::{MAX_COHORT, MAX_COMPLETE_COHORT, MAX_ENTRIES};
use crate::wire;

/// Who shares secrets and masks with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Topology {
    /// Everybody with everybody (Bonawitz et al. 2017).
    Complete,
    /// Each client with neighbours it draws itself, and with those who drew it (Bell et al. 2020).
    Sparse,
}

/// What a round must withstand, and how surely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bounds {
    /// Largest share of the cohort that may collude with the coordinator, in thousandths.
    pub collusion_permille: u16,
    /// Largest share of the cohort that may drop out, in thousandths.
    pub dropout_permille: u16,
    /// On a sparse graph: privacy fails with a probability of at most 2 to the minus this.
    pub security_bits: u8,
    /// On a sparse graph: the sum is lost with a probability of at most 2 to the minus this.
    pub correctness_bits: u8,
}

impl Default for Bounds {
    /// A tenth may collude, a tenth may drop out; 2^-40 and 2^-20.
    fn default() -> Self {
        Self {
            collusion_permille: 100,
            dropout_permille: 100,
            security_bits: 40,
            correctness_bits: 20,
        }
    }
}

impl Bounds {
    /// Most colluders of a cohort of `n`: at least one.
    pub fn colluders(&self, n: u32) -> u32 {
        share(n, self.collusion_permille).max(1)
    }

    /// Fewest clients of a cohort of `n` that stay to the end.
    pub fn survivors(&self, n: u32) -> u32 {
        n - self.dropouts(n).min(n)
    }

    /// Most clients of a cohort of `n` that may drop out after sharing.
    pub fn dropouts(&self, n: u32) -> u32 {
        share(n, self.dropout_permille)
    }
}

/// `permille` thousandths of `n`, rounded down.
fn share(n: u32, permille: u16) -> u32 {
    u32::try_from(u64::from(n) * u64::from(permille) / 1000).unwrap_or(u32::MAX)
}

/// The sizes and bounds of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parameters {
    /// Who shares with whom.
    pub topology: Topology,
    /// Entries of each vector.
    pub entries: u32,
    /// Fewest clients that a round starts with.
    pub min_cohort: u32,
    /// Most clients that a round takes.
    pub max_cohort: u32,
    /// What it withstands.
    pub bounds: Bounds,
}

impl Parameters {
    /// Whether a round may have these at all.
    ///
    /// # Errors
    /// A1, against the coordinator, who chose them.
    pub fn check(&self) -> Result<(), Fault> {
        let most = match self.topology {
            Topology::Complete => MAX_COMPLETE_COHORT,
            Topology::Sparse => MAX_COHORT,
        };
        let sizes = (1..=MAX_ENTRIES).contains(&self.entries)
            && 3 <= self.min_cohort
            && self.min_cohort <= self.max_cohort
            && self.max_cohort <= most;
        let bounds = self.bounds.collusion_permille < 500
            && self.bounds.dropout_permille < 500
            && (20..=128).contains(&self.bounds.security_bits)
            && (10..=128).contains(&self.bounds.correctness_bits);
        if sizes && bounds { Ok(()) } else { Err(Fault::coordinator(Check::Parameters)) }
    }

    /// The fewest honest clients that a sum of any cohort this round may have is of: what noise that
    /// clients share must be calibrated for.
    ///
    /// # Errors
    /// A1 if some cohort has no graph that keeps the bounds.
    pub fn fewest_honest(&self) -> Result<u32, Fault> {
        let honest = |n| self.thresholds(n).map(|thresholds| thresholds.honest);
        // More clients never make fewer honest ones but for rounding, so the smallest few decide.
        let smallest = self.min_cohort..=self.max_cohort.min(self.min_cohort + 20);
        smallest.map(honest).try_fold(u32::MAX, |least, honest| Ok(least.min(honest?)))
    }

    /// The fewest clients that a sum of any cohort this round may have is of.
    pub fn fewest_survivors(&self) -> u32 {
        // More clients are never fewer survivors: at most one more of two drops out.
        self.bounds.survivors(self.min_cohort)
    }

    /// Those whose noise is in the sum of any cohort this round may have: what noise that clients share must be made for (N14 of
    /// docs/spec/noise.md). A [`round`](crate::round) sees to it by itself.
    ///
    /// # Errors
    /// A1 if the parameters are out of range, some cohort has no graph that keeps the bounds, or nobody honest is left.
    pub fn sharers(&self) -> Result<Sharers, Fault> {
        self.check()?;
        Sharers::of_sum(self.fewest_survivors(), self.fewest_honest()?)
            .map_err(|_| Fault::coordinator(Check::Parameters))
    }

    /// Neighbours, threshold and fewest survivors for a cohort of `n`.
    ///
    /// # Errors
    /// A3 if the cohort is too small or too large, A1 if no graph of it keeps the bounds.
    pub fn thresholds(&self, n: u32) -> Result<Thresholds, Fault> {
        if !(self.min_cohort..=self.max_cohort).contains(&n) {
            return Err(Fault::coordinator(Check::CohortSize));
        }
        Thresholds::of(self.topology, &self.bounds, n).map_err(Fault::unreachable)
    }
}

/// What one client insists on, whatever the plan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demands {
    /// Fewest honest clients whose vectors are summed with this one's, this one included.
    pub min_honest: u32,
    /// Share of the cohort that must be allowed to collude without harm, in thousandths.
    pub collusion_permille: u16,
    /// Number of clients that must be: a coordinator that chooses the cohort can gather all of its
    /// colluders in a small one.
    pub colluders: u32,
    /// On a sparse graph: at least this much security.
    pub security_bits: u8,
}

impl Default for Demands {
    /// Three honest clients, a tenth colluding and at least one, 2^-40.
    fn default() -> Self {
        let Bounds { collusion_permille, security_bits, .. } = Bounds::default();
        Self { min_honest: 3, collusion_permille, colluders: 1, security_bits }
    }
}

impl Demands {
    /// Whether these parameters are strong enough.
    ///
    /// # Errors
    /// A2.
    pub fn check(&self, parameters: &Parameters) -> Result<(), Fault> {
        let bounds = &parameters.bounds;
        let sparse_enough = match parameters.topology {
            Topology::Complete => true,
            Topology::Sparse => bounds.security_bits >= self.security_bits,
        };
        let enough = bounds.collusion_permille >= self.collusion_permille && sparse_enough;
        if enough { Ok(()) } else { Err(Fault::coordinator(Check::Demands)) }
    }

    /// Whether a cohort with these thresholds hides this client among enough honest ones.
    ///
    /// # Errors
    /// A2.
    pub fn check_cohort(&self, thresholds: &Thresholds) -> Result<(), Fault> {
        let enough = thresholds.honest >= self.min_honest && thresholds.colluders >= self.colluders;
        if enough { Ok(()) } else { Err(Fault::coordinator(Check::Demands)) }
    }
}

/// What one round is about. All keys, signatures and shares are bound to its digest, so clients
/// that were shown different terms (another model, say) cannot be summed with one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The group.
    pub group: GroupId,
    /// Who may take part: [`super::Members::digest`].
    pub members: Digest,
    /// Hash of the signed plan.
    pub plan: Digest,
    /// The model that updates are made from.
    pub model: ModelId,
    /// Number of the round.
    pub round: u64,
    /// Which try at this round: each has fresh keys, rounding and noise.
    pub attempt: u32,
    /// Who coordinates.
    pub coordinator: NodeId,
    /// Sizes and bounds.
    pub parameters: Parameters,
}

impl Terms {
    /// The digest that everything in the round is bound to.
    pub fn digest(&self) -> Digest {
        Digest::of("covey/secagg/v1/terms", &[&wire::encode(self)])
    }
}
