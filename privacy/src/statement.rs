//! What may be said about a release, and to whom it applies.
//!
//! [`Statement`] is for everybody, the coordinator and the cohort included: who joined a round is no secret from them, so
//! each joined round counts in full (q = 1). [`OutsiderStatement`] is another type, for those who see only what is released; it exists
//! only for truly Poisson sampling.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::accountant::{AccountingError, Mu, PoissonRate, Rounds, SampledRounds, pld, zcdp};
use crate::ledger::{Charge, Unit, Up};
use crate::{Delta, Epsilon, NoiseMultiplier, Rho, Sharers};

/// What two neighbouring inputs differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjacency {
    /// One unit's contribution is replaced by zero: the sensitivity is the clip norm.
    ZeroOut,
    /// It is replaced by any other: twice the clip norm.
    ReplaceOne,
    /// A unit is there or is not, and nobody is told which; for outsiders.
    AddOrRemove,
}

impl fmt::Display for Adjacency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroOut => "with its contribution replaced by zero",
            Self::ReplaceOne => "with its contribution replaced by any other",
            Self::AddOrRemove => "with it added or removed",
        })
    }
}

/// What a claim takes for granted, beyond correct software and a sum that carries at least the noise it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assumption {
    /// Nothing more: proved for discrete Gaussian noise and rounds chosen in the light of earlier ones.
    Concentrated,
    /// The noise is a continuous Gaussian; the discrete one on a fine grid is close to it, which is not proved.
    ContinuousGaussian,
    /// That, and Poisson sampling whose outcome the reader does not know.
    SecretPoissonSample,
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Concentrated => "by zero-concentrated DP, for Gaussian noise, discrete or not",
            Self::ContinuousGaussian => "taking the noise for a continuous Gaussian",
            Self::SecretPoissonSample => {
                "taking the noise for a continuous Gaussian and each round's sample for Poisson, drawn anew and kept secret"
            }
        })
    }
}

/// One figure with all that it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose presence is hidden.
    pub unit: Unit,
    /// Epsilon, rounded up.
    pub epsilon: Epsilon,
    /// Delta.
    pub delta: Delta,
    /// What neighbours differ in.
    pub adjacency: Adjacency,
    /// What is taken for granted.
    pub assumption: Assumption,
    /// Over how many rounds.
    pub rounds: Rounds,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.rounds.get();
        let rounds_of =
            if rounds == 1 { "1 round hides".to_owned() } else { format!("{rounds} rounds hide") };
        let who = match self.unit {
            Unit::Peer => "everything one peer holds",
            Unit::Document => "all pairs of one document",
        };
        let (epsilon, delta) = (Up(self.epsilon.get()), self.delta);
        write!(
            f,
            "{rounds_of} {who} up to epsilon {epsilon} at delta {delta}, {}, {}",
            self.adjacency, self.assumption
        )
    }
}

/// What holds against everybody, for rounds that were joined, on a condition that its text says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Statement {
    zero_out: Claim,
    replace_one: Claim,
    /// Whose noise it counts on, where that is known.
    sharers: Option<Sharers>,
}

impl Statement {
    /// For `rounds` joined rounds with `noise` on the sum, as a multiple of the clip norm.
    ///
    /// # Errors
    /// If there is no finite bound.
    pub fn joined(
        unit: Unit,
        noise: NoiseMultiplier,
        rounds: Rounds,
        delta: Delta,
    ) -> Result<Self, AccountingError> {
        let mu = Mu::of(noise, rounds);
        let by = |adjacency, rho| concentrated(unit, adjacency, rho, rounds, delta);
        let zero_out = by(Adjacency::ZeroOut, mu.rho()?)?;
        let replace_one = by(Adjacency::ReplaceOne, mu.doubled().rho()?)?;
        Ok(Self { zero_out, replace_one, sharers: None })
    }

    /// For what a ledger has charged over `rounds` joined rounds. Twice the distance is four times the rho.
    ///
    /// At peer level `spent` must be that of [`Account::Peer`](crate::ledger::Account::Peer): a collection's account holds the
    /// rounds on that collection only.
    ///
    /// # Errors
    /// If there is no finite bound.
    pub fn charged(
        unit: Unit,
        spent: Charge,
        rounds: Rounds,
        delta: Delta,
    ) -> Result<Self, AccountingError> {
        let rho = spent.rho();
        let four =
            Rho::new(4.0 * rho.get()).map_err(|_| AccountingError::Unbounded("so large a rho"))?;
        let by = |adjacency, rho| concentrated(unit, adjacency, rho, rounds, delta);
        Ok(Self {
            zero_out: by(Adjacency::ZeroOut, rho)?,
            replace_one: by(Adjacency::ReplaceOne, four)?,
            sharers: None,
        })
    }

    /// The same, for rounds whose noise is made by these.
    #[must_use]
    pub const fn shared_by(self, sharers: Sharers) -> Self {
        Self { sharers: Some(sharers), ..self }
    }

    /// The figure to quote.
    pub const fn zero_out(&self) -> &Claim {
        &self.zero_out
    }

    /// The figure to print beside it.
    pub const fn replace_one(&self) -> &Claim {
        &self.replace_one
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = Up(self.replace_one.epsilon.get());
        f.write_str("Against everybody, the coordinator included, as long as ")?;
        match self.sharers {
            Some(sharers) => write!(
                f,
                "at least {} of the {} or more in each sum add their share of its noise and keep it to themselves",
                sharers.honest(),
                sharers.survivors()
            )?,
            None => f.write_str(
                "each sum carries at least its noise, of which whoever reads it knows nothing",
            )?,
        }
        write!(f, ": {} (epsilon {other} {}).", self.zero_out, self.replace_one.adjacency)
    }
}

fn concentrated(
    unit: Unit,
    adjacency: Adjacency,
    rho: Rho,
    rounds: Rounds,
    delta: Delta,
) -> Result<Claim, AccountingError> {
    let epsilon = zcdp::epsilon(rho, delta)?;
    let assumption = Assumption::Concentrated;
    Ok(Claim { unit, epsilon, delta, adjacency, assumption, rounds })
}

/// What holds only against those who see released models and cannot tell who took part. Never charged to a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OutsiderStatement(Claim);

impl OutsiderStatement {
    /// For `rounds` rounds in which each unit takes part by an independent, secret draw at `rate`.
    ///
    /// # Errors
    /// If there is no finite bound.
    pub fn sampled(
        unit: Unit,
        rate: PoissonRate,
        noise: NoiseMultiplier,
        rounds: Rounds,
        delta: Delta,
    ) -> Result<Self, AccountingError> {
        let epsilon = pld::epsilon(&[SampledRounds { rate, noise, rounds }], delta)?;
        let (adjacency, assumption) = (Adjacency::AddOrRemove, Assumption::SecretPoissonSample);
        Ok(Self(Claim { unit, epsilon, delta, adjacency, assumption, rounds }))
    }

    /// The figure.
    pub const fn claim(&self) -> &Claim {
        &self.0
    }
}

impl fmt::Display for OutsiderStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Against outsiders only, not against the coordinator or anybody in a cohort: {}.",
            self.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_say_what_they_depend_on() {
        let noise = NoiseMultiplier::new(2.0).unwrap();
        let (rounds, delta) = (Rounds::new(10).unwrap(), Delta::new(1e-5).unwrap());
        let statement = Statement::joined(Unit::Peer, noise, rounds, delta).unwrap();
        assert_eq!(
            statement.to_string(),
            "Against everybody, the coordinator included, as long as each sum carries at least its noise, of which whoever reads \
             it knows nothing: 10 rounds hide everything one peer holds up to epsilon 8.08 at delta 1e-5, with its contribution replaced by zero, by zero-concentrated DP, for Gaussian noise, discrete or \
             not (epsilon 19.05 with its contribution replaced by any other)."
        );
        let sharers = Sharers::new(45, 5).unwrap();
        let text = statement.shared_by(sharers).to_string();
        let condition = "as long as at least 40 of the 45 or more in each sum add their share of its noise and keep it to themselves: 10";
        assert!(text.contains(condition), "{text}");
        let one = Statement::joined(Unit::Peer, noise, Rounds::ONE, delta).unwrap();
        assert!(one.to_string().contains(": 1 round hides everything"), "{one}");
        let rate = PoissonRate::new(0.1).unwrap();
        let outsider =
            OutsiderStatement::sampled(Unit::Document, rate, noise, rounds, delta).unwrap();
        let text = outsider.to_string();
        assert!(text.starts_with("Against outsiders only") && text.contains("Poisson"), "{text}");
        assert!(outsider.claim().epsilon < statement.zero_out().epsilon);
    }

    #[test]
    fn a_ledger_says_at_least_what_its_rounds_cost() {
        let noise = NoiseMultiplier::new(3.0).unwrap();
        let (rounds, delta) = (Rounds::new(7).unwrap(), Delta::new(1e-6).unwrap());
        let once = Charge::of(zcdp::gaussian(noise, Rounds::ONE).unwrap());
        let spent = (0..7).fold(Charge::NONE, |spent, _| spent.and(once));
        let charged = Statement::charged(Unit::Peer, spent, rounds, delta).unwrap();
        let joined = Statement::joined(Unit::Peer, noise, rounds, delta).unwrap();
        for (charged, joined) in
            [(charged.zero_out(), joined.zero_out()), (charged.replace_one(), joined.replace_one())]
        {
            assert!(charged.epsilon.get() >= joined.epsilon.get() * (1.0 - 1e-12));
            assert!(charged.epsilon.get() < joined.epsilon.get() + 1e-6);
        }
    }
}
