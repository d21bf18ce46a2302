//! Refusals, which a person reads, and what is wrong with a chain.

use std::fmt;

use crate::{Delta, Epsilon};

use super::{Account, MAX_ACCOUNTS, MAX_ENTRIES, Time};

/// Why a round, or a budget, was not taken. Nothing was charged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Nobody said how much may be spent.
    #[error(
        "{account} has no privacy budget, so it takes no part in training; set one, or leave it out"
    )]
    NoBudget {
        /// Which.
        account: Account,
    },
    /// The budget would be exceeded.
    #[error(
        "{account} has spent epsilon {} of its budget of {} at delta {delta}, and this round would bring it to {}; \
         a budget does not grow back while the data is here: leave this collection out, join rounds with more noise, \
         or raise the budget knowing what that gives away", Spent(spent), Up(epsilon.get()), Spent(after)
    )]
    Budget {
        /// Which.
        account: Account,
        /// Its budget.
        epsilon: Epsilon,
        /// Its budget's delta.
        delta: Delta,
        /// Spent so far, if that is finite.
        spent: Option<Epsilon>,
        /// Spent with this round, if that is finite.
        after: Option<Epsilon>,
    },
    /// A round without noise, of which there is no bound on what it gives away.
    #[error(
        "{account} has a privacy budget, and a round without noise gives away more than any: join rounds with noise, or learn from what has no budget, \
         on a node of its own"
    )]
    WithoutNoise {
        /// Which.
        account: Account,
    },
    /// A round that protects single documents, of which there is no bound on what it gives away of all together.
    #[error(
        "{account} has a privacy budget as a whole, and a round that protects single documents promises nothing of all of them together: join \
         rounds that protect a peer, or learn by document from what has no such budget, on a node of its own"
    )]
    DocumentsAlone {
        /// Which.
        account: Account,
    },
    /// It fits, but not yet.
    #[error(
        "{account} may take part again from {until}: it has its own limit on how fast its budget is spent"
    )]
    NotBefore {
        /// Which.
        account: Account,
        /// From when on.
        until: Time,
    },
    /// It never fits the pace.
    #[error(
        "one such round costs {account} more than it may spend in any stretch of time; join rounds with more noise, or relax that limit"
    )]
    AbovePace {
        /// Which.
        account: Account,
    },
    /// The ledger has no room.
    #[error(
        "the privacy ledger is full ({MAX_ENTRIES} entries); this node can take no part in further rounds"
    )]
    Full,
    /// Too many accounts.
    #[error(
        "the privacy ledger keeps at most {MAX_ACCOUNTS} budgets; use fewer collections for training"
    )]
    TooManyAccounts,
}

/// A chain that cannot be trusted. The number is the check's in docs/spec/privacy.md.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// P1 to P3, P6 to P9: an entry's bytes.
    #[error(
        "entry {place} of the privacy ledger cannot be read ({check}: {what}); restore it from a backup"
    )]
    Unreadable {
        /// Its place.
        place: u64,
        /// Which check.
        check: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// P4: an entry stands elsewhere than it says.
    #[error(
        "the privacy ledger has entry {found} where {expected} belongs (P4); restore it from a backup"
    )]
    Place {
        /// Where it is.
        expected: u64,
        /// Where it says it belongs.
        found: u64,
    },
    /// P5: an entry does not follow the one before.
    #[error(
        "entry {place} of the privacy ledger does not follow the one before it (P5); restore it from a backup"
    )]
    Chain {
        /// Its place.
        place: u64,
    },
    /// P10: the chain is not the one that was noted.
    #[error(
        "the privacy ledger does not pass through entry {noted} as noted before (P10): it was cut or replaced; restore it from a backup"
    )]
    Head {
        /// How many entries were noted.
        noted: u64,
    },
}

struct Spent<'a>(&'a Option<Epsilon>);

impl fmt::Display for Spent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(epsilon) => Up(epsilon.get()).fmt(f),
            None => f.write_str("without bound"),
        }
    }
}

/// An epsilon for people: two decimals, or three digits below one, rounded up.
pub(crate) struct Up(pub f64);

impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value == 0.0 {
            return f.write_str("0");
        }
        if value >= 1e12 {
            return write!(f, "{:.3e}", value * 1.001);
        }
        let decimals =
            if value >= 1.0 { 2 } else { 2 + (-value.log10()).ceil().clamp(1.0, 300.0) as usize };
        let shown = format!("{value:.decimals$}");
        // Formatting rounds to nearest; half a place more and it rounds up.
        if shown.parse().is_ok_and(|shown: f64| shown >= value) {
            return f.write_str(&shown);
        }
        let place = 10_f64.powi(-(decimals as i32));
        write!(f, "{:.decimals$}", value + place / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilons_are_shown_rounded_up() {
        for (value, expected) in [
            (4.377_178, "4.38"),
            (8.0, "8.00"),
            (7.999_999, "8.00"),
            (1.001, "1.01"),
            (0.021_833, "0.0219"),
            (0.5, "0.500"),
            (0.0, "0"),
        ] {
            assert_eq!(Up(value).to_string(), expected);
        }
        for value in [0.0, 1e-320, 1e300, f64::MAX, 5e11] {
            assert!(Up(value).to_string().len() < 400);
        }
    }
}
