//! The step function over the half line, the alias table that picks a strip, and the draw within it.

use num_bigint::BigUint;
use rand_core::Rng;

use super::{Variance, decide, exp};

/// Columns of the alias table: strips, the tail, and one that means "again".
const COLUMNS: usize = 256;
/// The weights of all columns sum to 2^48.
const WEIGHT_BITS: u32 = 48;
/// Precision of the exponentials that the table is made from.
const BITS: u64 = 192;
/// The offset within a strip has at most so many bits, because sigma is at most 2^40.
const MAX_SHIFT: u32 = 36;

/// Where the tail starts. Tests move it inwards, to see it at work.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Strips before the tail.
    pub strips: usize,
    /// The tail comes in blocks of 2^this strips, each half as high as the one before.
    pub block_shift: u32,
}

impl Shape {
    /// The tail starts 254 L out, at least 7.9 sigma. There exp(-x^2 / 2 sigma^2) falls within 4 L
    /// by more than a factor of exp(254 * 4 L^2 / sigma^2), over 2.69: halving the block's height
    /// is safe.
    pub const STANDARD: Self = Self { strips: 254, block_shift: 2 };
}

#[derive(Clone, Copy)]
struct Column {
    /// The column stands for itself under this, of 2^48, and otherwise for its alias.
    threshold: u64,
    alias: u16,
}

/// A strip, with its bounds of the probability of staying in units of 2^-64.
#[derive(Clone, Copy)]
struct Strip {
    height: u64,
    /// At its first integer: at least.
    low: u64,
    /// At its first integer: at most, with 2^64 written as 2^64 - 1.
    high: u64,
    /// At each of its integers: at least.
    always: u64,
}

/// What came of one proposal.
pub enum Drawn {
    Kept(i64),
    Rejected,
}

#[derive(Clone)]
pub struct Table {
    variance: Variance,
    shape: Shape,
    columns: Vec<Column>,
    strips: Vec<Strip>,
    tail_height: u64,
    /// Heights are exp(-a^2 / 2 sigma^2) times this, rounded up.
    scale: u64,
    /// A strip has 2^this integers.
    shift: u32,
    /// y = x^2 - a^2 becomes 2^64 y / 2 sigma^2 as ((y >> drop) * factor) >> place.
    drop: u32,
    factor: u64,
    place: u32,
    /// Added to the errors of the quick bounds. Not zero only in tests.
    pub extra_error: u64,
}

impl Table {
    pub fn new(variance: Variance, shape: Shape) -> Self {
        let shift = strip_shift(variance);
        let strips = shape.strips;
        let exps = exps_of_starts(variance, shift, strips);
        let (tail_weight, tail) = (2_u64 << shape.block_shift, &exps[strips]);
        // All heights times the scale, and at most 2 more for each unit of weight, fit in 2^48.
        let total =
            exps[..strips].iter().map(|(_, high)| high).sum::<BigUint>() + &tail.1 * tail_weight;
        let spare = 2 * (strips as u64 + tail_weight);
        let scale = low_u64(&((BigUint::from((1_u64 << WEIGHT_BITS) - spare) << BITS) / total));
        let height = |high: &BigUint| low_u64(&((high * scale) >> BITS)) + 1;
        let (drop, factor, place) = reciprocal(variance, shift);
        let mut table = Self {
            variance,
            shape,
            columns: Vec::new(),
            strips: Vec::with_capacity(strips),
            tail_height: height(&tail.1),
            scale,
            shift,
            drop,
            factor,
            place,
            extra_error: 0,
        };
        for (low, high) in &exps[..strips] {
            let height = height(high);
            let ratio = |bound: &BigUint| ((bound * scale) << 64) / (BigUint::from(height) << BITS);
            let high = low_u64(&(ratio(high) + 1_u8));
            table.strips.push(Strip { height, low: low_u64(&ratio(low)), high, always: 0 });
        }
        for i in 0..strips {
            table.strips[i].always = table.quick(i, (1 << shift) - 1).0;
        }
        let mut weights: Vec<u64> = table.strips.iter().map(|strip| strip.height).collect();
        weights.push(table.tail_height * tail_weight);
        let used: u64 = weights.iter().sum();
        weights.push((1 << WEIGHT_BITS) - used);
        weights.resize(COLUMNS, 0);
        table.columns = alias_table(&weights);
        table
    }

    pub const fn variance(&self) -> Variance {
        self.variance
    }

    /// The strip that a uniform 64-bit number picks, and its sign.
    #[inline]
    pub fn pick(&self, random: u64) -> (usize, bool) {
        let index = (random as usize) % COLUMNS;
        let column = &self.columns[index];
        let own = random >> (64 - WEIGHT_BITS) < column.threshold;
        (if own { index } else { usize::from(column.alias) }, random & COLUMNS as u64 != 0)
    }

    /// Draws an integer of strip `index`, which stays with the probability that makes the whole exact.
    #[inline]
    pub fn draw<R: Rng + ?Sized>(&self, index: usize, rng: &mut R) -> Drawn {
        let Some(strip) = self.strips.get(index) else {
            return self.draw_tail(index, rng);
        };
        let random = rng.next_u64();
        let mask = (1 << self.shift) - 1;
        let offset = random & mask;
        let magnitude = ((index as u64) << self.shift) + offset;
        // The uniform number starts with the other bits of `random`; here it is taken at its largest.
        if random | mask < strip.always {
            return Drawn::Kept(magnitude as i64);
        }
        self.draw_closely(index, random, rng)
    }

    /// Tosses the coin that `draw` could not decide at once.
    #[inline(never)]
    pub fn draw_closely<R: Rng + ?Sized>(&self, index: usize, random: u64, rng: &mut R) -> Drawn {
        let mask = (1 << self.shift) - 1;
        let offset = random & mask;
        let uniform = random & !mask | rng.next_u64() & mask;
        let (low, high) = self.quick(index, offset);
        let magnitude = ((index as u64) << self.shift) + offset;
        let stays = if uniform < low {
            true
        } else if u128::from(uniform) >= high {
            false
        } else {
            let fraction = [self.scale, self.strips[index].height];
            decide(self.variance, magnitude.into(), fraction, 0, uniform, rng)
        };
        if stays { Drawn::Kept(magnitude as i64) } else { Drawn::Rejected }
    }

    /// A draw from the tail: block j with probability 2^-(j+1), an integer within it, and the exact
    /// coin.
    #[cold]
    fn draw_tail<R: Rng + ?Sized>(&self, index: usize, rng: &mut R) -> Drawn {
        if index > self.shape.strips {
            return Drawn::Rejected;
        }
        let mut block = 0_u64;
        loop {
            let ones = rng.next_u64().trailing_ones();
            block += u64::from(ones);
            if ones < 64 {
                break;
            }
        }
        let block_bits = self.shift + self.shape.block_shift;
        let offset = rng.next_u64() & ((1 << block_bits) - 1);
        let start = (self.shape.strips as u128) << self.shift;
        let x = start + (u128::from(block) << block_bits) + u128::from(offset);
        let fraction = [self.scale, self.tail_height];
        if decide(self.variance, x, fraction, block, rng.next_u64(), rng) {
            Drawn::Kept(i64::try_from(x).unwrap_or(i64::MAX))
        } else {
            Drawn::Rejected
        }
    }

    /// Bounds, in units of 2^-64, of the probability that the integer at `offset` in strip `index`
    /// stays.
    fn quick(&self, index: usize, offset: u64) -> (u64, u128) {
        let strip = &self.strips[index];
        // x^2 - a^2 = t (2a + t), under 2^81.
        let t = u128::from(offset);
        let y = t * (((index as u128) << (self.shift + 1)) + t);
        let y = (((y >> self.drop) * u128::from(self.factor)) >> self.place) as u64;
        let exp = exp::quick(y);
        let error = exp::QUICK_ERROR + self.extra_error;
        // y is short by under 8 units of 2^-64 (see `reciprocal`): 4 of 2^-63.
        let low = (u128::from(strip.low) * u128::from(exp.saturating_sub(error + 4))) >> 63;
        let high = ((u128::from(strip.high) * u128::from(exp + error)) >> 63) + 2;
        (low as u64, high)
    }
}

/// The largest s for which 2^s is at most sigma/16; 0 where there is none.
fn strip_shift(variance: Variance) -> u32 {
    let (over, under) = variance.fraction();
    let whole = over / u128::from(under) / 256;
    if whole == 0 { 0 } else { (whole.ilog2() / 2).min(MAX_SHIFT) }
}

/// How to multiply by 2^64 / 2 sigma^2: the bits to drop first, a factor, and the bits to drop after.
///
/// Products of a strip are under 2^(2s + 9), so what is left after the first drop has 64 bits; and
/// since y is under 2 sigma^2 the result is too. What was dropped is worth at most two units of the
/// result, the rounding of the factor two, that of the product one: under 8 together.
fn reciprocal(variance: Variance, shift: u32) -> (u32, u64, u32) {
    if shift == 0 {
        return (0, 0, 0); // Strips of one integer: y is 0.
    }
    let (over, under) = variance.fraction();
    let drop = (2 * shift + 9).saturating_sub(64);
    let at =
        |place: u32| (BigUint::from(under) << (64 + drop + place)) / (BigUint::from(over) * 2_u8);
    let place = (0..=64).rev().find(|&place| at(place).bits() <= 64).unwrap_or(0);
    (drop, low_u64(&at(place)), place)
}

/// Bounds of exp(-x^2 / 2 sigma^2), in units of 2^-[`BITS`], for x = iL and i from 0 to `count`.
///
/// With g = exp(-L^2 / 2 sigma^2) it is g^(i^2), and each next one is the last times an odd power
/// of g. Rounding outwards widens the bounds by i units or fewer at step i: together under 2^16
/// units.
fn exps_of_starts(variance: Variance, shift: u32, count: usize) -> Vec<(BigUint, BigUint)> {
    type Bounds = (BigUint, BigUint);
    let times = |a: &Bounds, b: &Bounds| -> Bounds {
        ((&a.0 * &b.0) >> BITS, ((&a.1 * &b.1) >> BITS) + 1_u8)
    };
    let (over, under) = variance.fraction();
    let length = BigUint::from(1_u8) << shift;
    let first = exp::bounds(&(length.pow(2) * under), &(BigUint::from(over) * 2_u8), BITS);
    let square = times(&first, &first);
    let one = BigUint::from(1_u8) << BITS;
    let (mut odd, mut exps) = (first, vec![(one.clone(), one)]);
    for i in 0..count {
        exps.push(times(&exps[i], &odd));
        odd = times(&odd, &square);
    }
    exps
}

/// The number, or 2^64 - 1 where it is larger.
fn low_u64(n: &BigUint) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Walker's alias table in integers (Vose's order): picking a column uniformly, then itself under
/// its threshold of 2^48 and its alias otherwise, gives column i with probability `weights[i]` /
/// 2^48 exactly.
fn alias_table(weights: &[u64]) -> Vec<Column> {
    let full = 1_u64 << WEIGHT_BITS;
    let mut left: Vec<u64> = weights.iter().map(|weight| weight * COLUMNS as u64).collect();
    let mut columns: Vec<Column> =
        (0..COLUMNS).map(|i| Column { threshold: full, alias: i as u16 }).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..COLUMNS).partition(|&i| left[i] < full);
    while let (Some(short), Some(&long)) = (small.pop(), large.last()) {
        columns[short] = Column { threshold: left[short], alias: long as u16 };
        left[long] -= full - left[short];
        if left[long] < full {
            large.pop();
            small.push(long);
        }
    }
    columns
}

#[cfg(test)]
impl Table {
    /// The weight of each column, added up from the alias table.
    pub fn weights(&self) -> Vec<u64> {
        let mut weights = vec![0; COLUMNS];
        for (i, column) in self.columns.iter().enumerate() {
            weights[i] += column.threshold;
            weights[usize::from(column.alias)] += (1 << WEIGHT_BITS) - column.threshold;
        }
        weights.iter().map(|weight| weight / COLUMNS as u64).collect()
    }

    pub fn heights(&self) -> Vec<u64> {
        self.strips.iter().map(|strip| strip.height).collect()
    }

    /// A word that puts the coin of the integer which `random` picks at the edge of its probability.
    pub fn edge(&self, index: usize, random: u64) -> u64 {
        let mask = (1 << self.shift) - 1;
        self.quick(index, random & mask).0 & !mask | random & mask
    }

    /// The bits of a word that choose the integer.
    pub fn mask(&self) -> u64 {
        (1 << self.shift) - 1
    }
}
