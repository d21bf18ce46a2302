//! What is done to vectors and matrices everywhere.

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

/// The transpose of a matrix of `rows` rows and `columns` columns, row by row.
pub(crate) fn turned(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    /// A square of so many fits where reading and writing are fast.
    const SIDE: usize = 16;
    let mut out = vec![0.0; rows * columns];
    for first_row in (0..rows).step_by(SIDE) {
        for first in (0..columns).step_by(SIDE) {
            for column in first..columns.min(first + SIDE) {
                let to = &mut out[column * rows..][..rows];
                for row in first_row..rows.min(first_row + SIDE) {
                    to[row] = matrix[row * columns + column];
                }
            }
        }
    }
    out
}

/// The sum of the squares of `row`, in numbers of 64 bits.
pub(crate) fn sum_of_squares(row: &[f32]) -> f64 {
    /// Sums that do not wait for each other.
    const STRANDS: usize = 16;
    let (chunks, rest) = row.as_chunks::<STRANDS>();
    let mut sums = [0.0_f64; STRANDS];
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let rest = rest.iter().map(|&x| f64::from(x) * f64::from(x));
    sums.into_iter().chain(rest).sum()
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

    #[test]
    fn matrices_are_turned_and_squares_added() {
        let matrix: Vec<f32> = (0..37 * 21).map(|i| (i % 89) as f32).collect();
        let turned = turned(&matrix, 37, 21);
        for (row, column) in [(0, 0), (36, 20), (15, 16), (17, 3)] {
            assert_eq!(turned[column * 37 + row], matrix[row * 21 + column]);
        }
        let squares: f32 = matrix.iter().map(|x| x * x).sum();
        assert_eq!(sum_of_squares(&matrix), f64::from(squares));
    }
}
