//! The one vector operation that both families end with.

/// Scales `row` to unit length in place; a row of zeros stays zeros.
pub(crate) fn normalise(row: &mut [f32]) {
    let norm = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if norm > 0.0 {
        let scale = 1.0 / norm;
        for x in row {
            *x = (f64::from(*x) * scale) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_unit_length_and_zero_stays_zero() {
        let mut row = [3.0, 0.0, -4.0];
        normalise(&mut row);
        assert_eq!(row, [0.6, 0.0, -0.8]);
        let mut zero = [0.0; 3];
        normalise(&mut zero);
        assert_eq!(zero, [0.0; 3]);
    }
}
