//! How many directions to keep and how finely: bits go where they lower the error of a score most.
//!
//! After a principal component analysis the error of an estimated inner product is, for a band of
//! `m` directions of mean variance `v`, and `q` of the questions, coded with `b` bits after a rotation within
//! the band, `m q v D(b)`, where `D` is the distortion of a `b`-bit grid over a Gaussian; a dropped direction
//! costs twice its `q v`. This is reverse water-filling (Cover and Thomas, 10.3) with two levels.

use super::Band;

/// Most bits of one direction.
pub(crate) const MAX_BITS: u8 = 8;

/// Distortion of the best uniform grid of 2^b levels over a unit Gaussian, for b = 1 to 8
/// (Max, "Quantizing for minimum distortion", 1960).
const DISTORTION: [f64; 8] =
    [0.3634, 0.1188, 0.03744, 0.01154, 0.003_495, 0.001_041, 0.000_304, 0.000_088];

/// The step of that grid, in standard deviations.
const STEP: [f32; 8] = [1.596, 0.9957, 0.586, 0.3352, 0.1881, 0.1041, 0.0569, 0.0308];

/// Questions are spread more evenly than chunks: their variance along a direction is a power of the chunks'. Fitted
/// over all directions the power is .6 (built-in model) to .8 (MiniLM); this, with [`DROPPED`], is what finds most
/// with either.
const QUESTIONS: f64 = 0.4;
/// How much more a dropped direction costs than noise of the same size: the chunks that belong to an answer agree
/// with the question along all directions, so that what is dropped is theirs to lose.
const DROPPED: f64 = 2.0;
/// With so many bits a direction and more, nothing that matters is dropped, and bands that part the variances evenly
/// have the better first planes: there both are 1.
const FINE: f64 = 4.0;

/// The best step of a grid of 2^`bits` levels over a unit Gaussian.
pub(super) fn step(bits: u8) -> f32 {
    STEP[usize::from(bits.clamp(1, MAX_BITS)) - 1]
}

/// Distortion of that grid, for a variance of 1.
pub(super) fn distortion(bits: u8) -> f32 {
    DISTORTION[usize::from(bits.clamp(1, MAX_BITS)) - 1] as f32
}

/// The bands that lose least within `budget` bits a vector, given the variance along each
/// principal direction, largest first, where keeping one direction at all costs `upkeep` bits a
/// vector (its share of the stored basis).
pub(super) fn bands(variances: &[f64], budget: f64, upkeep: f64) -> Vec<Band> {
    let fine = budget >= FINE * variances.len() as f64;
    let (power, dropped) = if fine { (1.0, 1.0) } else { (QUESTIONS, DROPPED) };
    let spectrum = Spectrum::new(variances, power, dropped);
    let wanted = variances.len() / 8;
    let mut best = (f64::INFINITY, Vec::new());
    for first in 1..=wanted {
        for second in 0..=wanted - first {
            let kept = 8 * (first + second);
            let left = budget - upkeep * kept as f64;
            for bits in 1..=MAX_BITS {
                let lower = if second == 0 { 0..=0 } else { 1..=bits.saturating_sub(1) };
                for fewer in lower {
                    let cost = 8 * (first * usize::from(bits) + second * usize::from(fewer));
                    if cost as f64 > left {
                        continue;
                    }
                    let bands = [(8 * first, bits), (8 * second, fewer)];
                    let loss = spectrum.loss(bands);
                    if loss < best.0 {
                        best = (loss, bands.to_vec());
                    }
                }
            }
        }
    }
    let bands = best.1.into_iter().filter(|&(dims, _)| dims > 0);
    bands.map(|(dims, bits)| Band { dims: dims as u32, bits }).collect()
}

/// Running sums over the directions.
struct Spectrum {
    /// Of the chunks' variances.
    chunks: Vec<f64>,
    /// Of the questions'.
    questions: Vec<f64>,
    /// Of the products of both.
    products: Vec<f64>,
    /// What a dropped direction counts.
    dropped: f64,
}

impl Spectrum {
    fn new(variances: &[f64], power: f64, dropped: f64) -> Self {
        let running = |f: &dyn Fn(f64) -> f64| {
            let mut sum = 0.0;
            let sums = variances.iter().map(|&v| {
                sum += f(v.max(0.0));
                sum
            });
            [0.0].into_iter().chain(sums).collect::<Vec<f64>>()
        };
        let question = |v: f64| v.powf(power);
        Self {
            chunks: running(&|v| v),
            questions: running(&question),
            products: running(&|v| v * question(v)),
            dropped,
        }
    }

    fn loss(&self, bands: [(usize, u8); 2]) -> f64 {
        let (mut at, mut loss) = (0, 0.0);
        for (dims, bits) in bands {
            if dims > 0 {
                let of = |sums: &[f64]| sums[at + dims] - sums[at];
                let product = of(&self.chunks) * of(&self.questions) / dims as f64;
                loss += product * DISTORTION[usize::from(bits) - 1];
                at += dims;
            }
        }
        loss + self.dropped * (self.products[self.products.len() - 1] - self.products[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bits_go_where_there_is_more_variance_and_the_budget_holds() {
        let falling: Vec<f64> = (0..384).map(|i| 0.98f64.powi(i)).collect();
        for budget in [64.0, 96.0, 300.0, 400.0, 1100.0, 4000.0] {
            let bands = bands(&falling, budget, 0.0);
            let cost: u32 = bands.iter().map(|band| band.dims * u32::from(band.bits)).sum();
            assert!(f64::from(cost) <= budget && f64::from(cost) > 0.8 * budget.min(2500.0));
            assert!(bands.is_sorted_by(|a, b| a.bits > b.bits), "{bands:?}");
        }
    }

    #[test]
    fn a_flat_spectrum_keeps_every_direction_alike() {
        let bands = bands(&[1.0; 64], 128.0, 0.0);
        assert_eq!(bands, [Band { dims: 64, bits: 2 }]);
    }

    /// What fitted best of what was measured on the vectors of two models (spectra of this kind).
    #[test]
    fn few_bits_go_to_many_directions_rather_than_many_to_few() {
        let falling: Vec<f64> = (1..=256).map(|i| f64::from(i).powf(-0.7)).collect();
        let kept = |budget| bands(&falling, budget, 0.0).iter().map(|band| band.dims).sum::<u32>();
        assert!(kept(104.0) >= 80, "{:?}", bands(&falling, 104.0, 0.0));
        assert!(kept(430.0) >= 240, "{:?}", bands(&falling, 430.0, 0.0));
    }

    #[test]
    fn directions_that_cost_more_to_keep_are_fewer() {
        let falling: Vec<f64> = (0..384).map(|i| 0.98f64.powi(i)).collect();
        let kept = |upkeep| bands(&falling, 200.0, upkeep).iter().map(|b| b.dims).sum::<u32>();
        assert!(kept(1.0) < kept(0.0));
        assert!(bands(&falling, 4.0, 0.0).is_empty(), "nothing fits");
    }
}
