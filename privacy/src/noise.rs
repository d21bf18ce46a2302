//! Who adds how much noise to a sum, and what the sum then costs.
//!
//! Distributed: every client adds a share, so large that the shares of the honest among the fewest
//! survivors make the promised variance; each further share only adds to it. Central: a trusted
//! coordinator adds it all. The cost is that of Kairouz, Liu and Steinke 2021 (proposition 14),
//! whose tau accounts for a sum of discrete Gaussians being none.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::grid::{Scale, Sensitivity};
use crate::sample::Variance;
use crate::sharers::Sharers;
use crate::types::{ClipNorm, NoiseMultiplier, Rho, Shown};

/// Most clients in one sum.
pub const MAX_CLIENTS: u32 = 1 << 20;

/// Who adds the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoiseMode {
    /// Each client its share.
    Distributed(Sharers),
    /// The coordinator, which everybody has to trust: it sees the sum without noise.
    Central,
}

/// Why there can be no such noise.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NoiseError {
    /// N2: nobody honest would be left.
    #[error(
        "of {survivors} survivors {colluders} may collude: at least one honest share is needed"
    )]
    NobodyHonest {
        /// The fewest survivors.
        survivors: u32,
        /// Those among them who count for nothing.
        colluders: u32,
    },
    /// N4: more clients than a sum takes.
    #[error("{0} clients are more than {MAX_CLIENTS}")]
    TooMany(u32),
    /// N14: a plan that counts on more noise than the secure sum makes certain.
    #[error(
        "the plan's noise counts on {counted} clients where the secure sum makes {certain} certain: \
         it would promise more than it keeps; plan for {certain}"
    )]
    CountsOnMore {
        /// How many the plan counts on.
        counted: u32,
        /// How many are certain.
        certain: u32,
    },
    /// N3: a standard deviation that the sampler or the accounting does not take.
    #[error(
        "a share of noise would have a standard deviation of {} grid points, and needs from 1/2 to 2^40; \
         take a finer scale or more noise", Shown(*.0)
    )]
    OutOfRange(f64),
}

/// The noise of one kind of round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    mode: NoiseMode,
    promised: Variance,
    share: Variance,
    honest: u32,
}

impl Noise {
    /// Noise of standard deviation `multiplier` x `clip` on the sum, on the grid of `scale`.
    /// Variances round up.
    ///
    /// # Errors
    /// [`NoiseError`] where a share would be too small to account for.
    pub fn new(
        mode: NoiseMode,
        multiplier: NoiseMultiplier,
        clip: ClipNorm,
        scale: Scale,
    ) -> Result<Self, NoiseError> {
        let honest = match mode {
            NoiseMode::Distributed(sharers) => sharers.honest(),
            NoiseMode::Central => 1,
        };
        // In units of 2^-16 grid points, rounded up; the variance is then exact.
        let sigma = product_above(multiplier.get(), clip.get()) * scale.get();
        let per_share = sigma / f64::from(honest).sqrt();
        let out_of_range = NoiseError::OutOfRange(per_share);
        if !(0.5..=TOO_LARGE).contains(&per_share) || sigma > TOO_LARGE {
            return Err(out_of_range);
        }
        let sixteenths = (sigma * f64::from(1_u32 << 16)).ceil() as u128;
        let (over, under) = (sixteenths * sixteenths, 1_u64 << 32);
        Ok(Self {
            mode,
            promised: Variance::new(over, under).map_err(|_| out_of_range)?,
            share: Variance::new(over, under * u64::from(honest)).map_err(|_| out_of_range)?,
            honest,
        })
    }

    /// Who adds it.
    pub const fn mode(&self) -> NoiseMode {
        self.mode
    }

    /// The sigma^2 that the sum carries at least, in squared grid points.
    pub const fn promised(&self) -> Variance {
        self.promised
    }

    /// The sigma^2 that each client adds, if clients add any.
    pub const fn client_share(&self) -> Option<Variance> {
        match self.mode {
            NoiseMode::Distributed(_) => Some(self.share),
            NoiseMode::Central => None,
        }
    }

    /// The sigma^2 that the coordinator adds, if it adds any.
    pub const fn coordinator_share(&self) -> Option<Variance> {
        match self.mode {
            NoiseMode::Distributed(_) => None,
            NoiseMode::Central => Some(self.promised),
        }
    }

    /// The standard deviation of the sum if `clients` added what they ought to, in grid points.
    pub fn deviation(&self, clients: u32) -> f64 {
        match self.mode {
            NoiseMode::Distributed(_) => (self.share.to_f64() * f64::from(clients)).sqrt(),
            NoiseMode::Central => self.promised.to_f64().sqrt(),
        }
    }

    /// The cost of publishing one sum, in zCDP, rounded up.
    pub fn cost(&self, sensitivity: Sensitivity) -> Rho {
        self.cost_with(sensitivity, self.honest)
    }

    /// The cost if `honest` clients added their share, who may be fewer than were counted on. None
    /// at all: the largest number, which no budget allows. In central mode the number of clients
    /// makes no difference.
    pub fn cost_with(&self, sensitivity: Sensitivity, honest: u32) -> Rho {
        let shares = match self.mode {
            NoiseMode::Distributed(_) => honest,
            NoiseMode::Central => 1,
        };
        let rho = zcdp(self.share.to_f64(), shares, sensitivity);
        // What was rounded on the way is under 10^-12 of it.
        let rho = (rho * (1.0 + 1e-12)).next_up();
        Rho::new(rho.min(f64::MAX)).expect("finite and not negative: a minimum of sums of such")
    }
}

/// The product, rounded up: the fused product minus the rounded one is what rounding took.
fn product_above(a: f64, b: f64) -> f64 {
    let product = a * b;
    if a.mul_add(b, -product) > 0.0 { product.next_up() } else { product }
}

const TOO_LARGE: f64 = (1_u64 << 40) as f64;

/// The least rho for which D_alpha is at most alpha rho by the three bounds of proposition 14.
fn zcdp(share: f64, shares: u32, sensitivity: Sensitivity) -> f64 {
    if shares == 0 {
        return f64::MAX;
    }
    let squared = sensitivity.squared_l2 as f64;
    let d = sensitivity.dimension as f64;
    let ratio = squared / (share * f64::from(shares));
    let tau = tau(share, shares);
    // For whole numbers |x| is at most x^2.
    let l1 = (d * squared).sqrt().min(squared);
    let l1_ratio = l1 / (share * f64::from(shares)).sqrt();
    let additive = ratio / 2.0 + tau * d;
    let mixed = (ratio + 2.0 * l1_ratio * tau + tau * tau * d) / 2.0;
    let plain = (ratio.sqrt() + tau * d.sqrt()).powi(2) / 2.0;
    additive.min(mixed).min(plain)
}

/// 10 times the sum over k from 1 to `shares` - 1 of exp(-2 pi^2 sigma^2 k / (k + 1)).
fn tau(share: f64, shares: u32) -> f64 {
    let term = |k: u32| {
        let k = f64::from(k);
        libm::exp(-2.0 * PI * PI * share * k / (k + 1.0))
    };
    10.0 * (1..shares).map(term).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::normal_below;

    fn noise(
        multiplier: f64,
        scale: i8,
        survivors: u32,
        colluders: u32,
    ) -> Result<Noise, NoiseError> {
        Noise::new(
            NoiseMode::Distributed(Sharers::new(survivors, colluders)?),
            NoiseMultiplier::new(multiplier).unwrap(),
            ClipNorm::new(1.0).unwrap(),
            Scale::from_exponent(scale).unwrap(),
        )
    }

    fn sensitivity(scale: i8) -> Sensitivity {
        let scale = Scale::from_exponent(scale).unwrap();
        Sensitivity::of_rounding(ClipNorm::new(1.0).unwrap(), scale, 75_000)
    }

    /// Epsilon at delta 10^-5 by Renyi divergences of the orders that `dp-accounting` tries: 2 to
    /// 128, and 256.
    fn epsilon_by_orders(rho: f64) -> f64 {
        let delta = 1e-5_f64;
        (2..=128)
            .chain([256])
            .map(f64::from)
            .map(|a| a * rho + ((a - 1.0) / a).ln() - (delta.ln() + a.ln()) / (a - 1.0))
            .fold(f64::INFINITY, f64::min)
    }

    /// Epsilon at delta 10^-5 of a Gaussian that costs `rho`, exactly (Balle and Wang 2018).
    fn epsilon_of_gaussian(rho: f64) -> f64 {
        let mu = (2.0 * rho).sqrt();
        let delta =
            |e: f64| normal_below(mu / 2.0 - e / mu) - e.exp() * normal_below(-mu / 2.0 - e / mu);
        let (mut low, mut high) = (0.0, 100.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if delta(middle) > 1e-5 { low = middle } else { high = middle }
        }
        high
    }

    #[test]
    fn ten_rounds_of_fifty_peers_cost_what_the_reference_says() {
        for (scale, epsilon) in [(16, 8.08796), (10, 8.1828), (6, 24.19)] {
            let rho = noise(2.0, scale, 50, 0).unwrap().cost(sensitivity(scale)).get();
            let computed = epsilon_by_orders(10.0 * rho);
            assert!((computed / epsilon - 1.0).abs() < 2e-4, "2^{scale}: {computed}");
        }
    }

    #[test]
    fn fewer_survivors_than_counted_on_cost_more() {
        let noise = noise(2.0, 22, 50, 0).unwrap();
        for (honest, epsilon) in [(50, 7.51), (45, 8.00), (35, 9.33), (25, 11.48)] {
            let rho = noise.cost_with(sensitivity(22), honest).get();
            let computed = epsilon_of_gaussian(10.0 * rho);
            assert!((computed - epsilon).abs() < 0.0051, "{honest}: {computed}");
        }
        assert_eq!(noise.cost_with(sensitivity(22), 0).get(), f64::MAX);
    }

    #[test]
    fn replacing_one_costs_four_times_as_much() {
        let noise = noise(2.0, 16, 50, 0).unwrap();
        let (zero, one) = (sensitivity(16), sensitivity(16).replace_one());
        let ratio = noise.cost(one).get() / noise.cost(zero).get();
        assert!((ratio - 4.0).abs() < 1e-9, "{ratio}");
    }

    #[test]
    fn tau_counts_where_shares_are_small() {
        // Shares of 0.25: tau = 10 (exp(-pi^2/4) + exp(-pi^2/3)) for three of them.
        let expected = 10.0 * ((-PI * PI / 4.0).exp() + (-PI * PI / 3.0).exp());
        assert!((tau(0.25, 3) - expected).abs() < 1e-12);
        assert_eq!(tau(0.25, 1), 0.0);
        let one = Sensitivity { squared_l2: 1, dimension: 1 };
        let unit = ClipNorm::new(1.0).unwrap();
        let cost = |shares: u32| {
            let mode = NoiseMode::Distributed(Sharers::new(shares, 0).unwrap());
            let multiplier = NoiseMultiplier::new(2.0).unwrap();
            let scale = Scale::from_exponent(0).unwrap();
            Noise::new(mode, multiplier, unit, scale).unwrap().cost(one).get()
        };
        assert!((cost(1) - 0.125).abs() < 1e-9);
        assert!(cost(16) > cost(4) && cost(4) >= cost(1));
    }

    #[test]
    fn central_noise_is_all_of_it_at_one_place() {
        let central = Noise::new(
            NoiseMode::Central,
            NoiseMultiplier::new(2.0).unwrap(),
            ClipNorm::new(1.0).unwrap(),
            Scale::from_exponent(16).unwrap(),
        )
        .unwrap();
        assert_eq!(central.client_share(), None);
        assert_eq!(central.coordinator_share(), Some(central.promised()));
        let spread = noise(2.0, 16, 50, 0).unwrap();
        assert_eq!(spread.promised(), central.promised());
        assert!(spread.coordinator_share().is_none());
        assert!(central.cost(sensitivity(16)) <= spread.cost(sensitivity(16)));
    }

    /// N2, N3, N4.
    #[test]
    fn refusals() {
        let case = |survivors, colluders| noise(2.0, 16, survivors, colluders).unwrap_err();
        assert_eq!(case(3, 3), NoiseError::NobodyHonest { survivors: 3, colluders: 3 });
        assert_eq!(case(0, 0), NoiseError::NobodyHonest { survivors: 0, colluders: 0 });
        assert_eq!(case(u32::MAX, 0), NoiseError::TooMany(u32::MAX));
        assert!(matches!(noise(2.0, -2, 2, 0), Err(NoiseError::OutOfRange(_))));
        assert!(matches!(noise(1e300, 22, 2, 0), Err(NoiseError::OutOfRange(_))));
    }

    proptest! {
        #[test]
        fn honest_shares_make_the_promised_variance(
            multiplier in 0.01_f64..1000.0,
            scale in 8_i8..=22,
            survivors in 1_u32..400,
            colluders in 0_u32..400,
        ) {
            let Ok(noise) = noise(multiplier, scale, survivors, colluders) else { return Ok(()) };
            let honest = u64::from(survivors - colluders);
            let (share, promised) = (noise.client_share().unwrap(), noise.promised());
            prop_assert_eq!(share.fraction().0, promised.fraction().0);
            prop_assert_eq!(share.fraction().1, promised.fraction().1 * honest);
            let wanted = multiplier * Scale::from_exponent(scale).unwrap().get();
            let carried = noise.promised().to_f64().sqrt();
            prop_assert!(carried >= wanted && carried < wanted * (1.0 + 1e-4));
        }
    }
}
