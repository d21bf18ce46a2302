//! exp(-y) in integers: bounds to any precision, and quick bounds for small y.

use num_bigint::BigUint;

/// Bounds of exp(-`over` / `under`) in units of 2^-`bits`: the value is at least the first and at
/// most the second. Both are exact for `over` = 0. `under` is not zero.
///
/// y is halved s times until it is under 1/2, the alternating series is summed there, and the sum
/// is squared s times, each step rounding down for the lower bound and up for the upper one.
pub fn bounds(over: &BigUint, under: &BigUint, bits: u64) -> (BigUint, BigUint) {
    let one = BigUint::from(1_u8) << bits;
    if *over == BigUint::ZERO {
        return (one.clone(), one);
    }
    // exp(-y) < 2^-y, so beyond y = bits it is under one unit.
    if *over >= under * bits {
        return (BigUint::ZERO, BigUint::from(1_u8));
    }
    let halvings = (over.bits() + 2).saturating_sub(under.bits());
    let precision = bits + halvings + 32;
    let low_y = (over << (precision - halvings)) / under;
    let high_y = &low_y + 1_u8;
    let mut low = series(&high_y, precision).0;
    let mut high = series(&low_y, precision).1;
    for _ in 0..halvings {
        low = (&low * &low) >> precision;
        high = ((&high * &high) >> precision) + 1_u8;
    }
    let spare = precision - bits;
    (low >> spare, (high >> spare) + 1_u8)
}

/// Bounds of exp(-`y`), all in units of 2^-`precision`, for y up to a half.
///
/// Each term is the one before times y/k, rounded down, so it is short by less than two units; and
/// the first term left out is under two, and bounds the rest of the alternating series.
fn series(y: &BigUint, precision: u64) -> (BigUint, BigUint) {
    let mut term = BigUint::from(1_u8) << precision;
    let (mut plus, mut minus) = (term.clone(), BigUint::ZERO);
    let mut count = 0_u32;
    while term != BigUint::ZERO {
        count += 1;
        term = ((term * y) >> precision) / count;
        if count % 2 == 1 {
            minus += &term;
        } else {
            plus += &term;
        }
    }
    let sum = plus - minus;
    let slack = BigUint::from(2 * count + 2);
    let low = if sum > slack { &sum - &slack } else { BigUint::ZERO };
    (low, sum + slack)
}

/// How far [`quick`] may be from the truth, in units of 2^-63.
pub const QUICK_ERROR: u64 = 48;

/// 2^63 / k! for k from 1 to 21, rounded down. What is left out is under 2^-69.
const COEFFICIENTS: [u64; 21] = {
    let mut all = [0; 21];
    let (mut k, mut factorial) = (1, 1_u128);
    while k <= 21 {
        factorial *= k;
        all[k as usize - 1] = ((1_u128 << 63) / factorial) as u64;
        k += 1;
    }
    all
};

/// exp(-`y` / 2^64) in units of 2^-63, within [`QUICK_ERROR`].
///
/// Horner's rule from the last coefficient inwards. A step adds under one unit for the coefficient
/// and under one for the product, and shrinks what it inherits: 21 steps stay under 43 units, and
/// the rest of the series adds less than one.
pub fn quick(y: u64) -> u64 {
    let mut inner = 0;
    for &coefficient in COEFFICIENTS.iter().rev() {
        inner = coefficient - high_half(inner, y);
    }
    (1 << 63) - high_half(inner, y)
}

fn high_half(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(over: u64, under: u64) {
        let bits = 200;
        let (low, high) = bounds(&over.into(), &under.into(), bits);
        assert!(low <= high && &high - &low <= BigUint::from(2_u8), "{over}/{under}");
        let value =
            |n: &BigUint| (n >> (bits - 60)).to_string().parse::<f64>().unwrap() / 2f64.powi(60);
        let expected = (-(over as f64) / under as f64).exp();
        assert!((value(&low) - expected).abs() < 1e-15, "{over}/{under}: {expected}");
    }

    #[test]
    fn bounds_hold_the_value_and_are_narrow() {
        for (over, under) in
            [(0, 1), (1, 1), (1, 2), (1, u64::MAX), (u64::MAX, 1), (199, 1), (200, 1), (77, 3)]
        {
            check(over, under);
        }
        // e^-1 to 64 bits (OEIS A068985).
        let (low, _) = bounds(&1_u8.into(), &1_u8.into(), 64);
        assert_eq!(low, BigUint::from(0x5E2D_58D8_B3BC_DF1A_u64));
    }

    proptest! {
        #[test]
        fn more_bits_stay_within_fewer(over in 0_u64..1 << 40, under in 1_u64..1 << 36) {
            let (low, high) = bounds(&over.into(), &under.into(), 64);
            let (finer_low, finer_high) = bounds(&over.into(), &under.into(), 192);
            prop_assert!(&low << 128 <= finer_low && finer_high <= &high << 128);
        }

        #[test]
        fn quick_is_within_its_error(y in any::<u64>()) {
            let (low, high) = bounds(&y.into(), &(BigUint::from(1_u8) << 64), 63);
            let quick = BigUint::from(quick(y));
            prop_assert!(&quick + QUICK_ERROR >= high && quick <= low + QUICK_ERROR);
        }
    }
}
