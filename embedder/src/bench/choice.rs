//! Which numbers to compute with, from what was measured.

use crate::Precision;

/// Times another way has to be as fast for a change to be worth it; less is noise.
const WORTH: f64 = 1.05;

/// What measuring says about a model's numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The fastest that is no less exact than [`Precision::Auto`] here; that one itself where none is clearly faster.
    pub pick: Precision,
    /// The fastest of all, where that is less exact, and how many times as fast it is as `pick`.
    pub faster: Option<(Precision, f64)>,
}

impl Choice {
    /// Chooses among ways with their chunks a second; `default` is what [`Precision::Auto`] stands for. `None` if
    /// that one was not measured.
    #[must_use]
    pub fn among(default: Precision, speeds: &[(Precision, f64)]) -> Option<Self> {
        let &(_, default_speed) = speeds.iter().find(|(way, _)| *way == default)?;
        let best = |least: u8| {
            let enough = speeds.iter().filter(|(way, _)| exactness(*way) >= least);
            enough.copied().max_by(|a, b| a.1.total_cmp(&b.1))
        };
        let (pick, speed) = best(exactness(default))
            .filter(|(_, speed)| *speed >= WORTH * default_speed)
            .unwrap_or((default, default_speed));
        let faster = best(0).map(|(way, other)| (way, other / speed));
        let faster =
            faster.filter(|(way, times)| exactness(*way) < exactness(default) && *times >= WORTH);
        Some(Self { pick, faster })
    }
}

/// The more, the nearer to the reference implementation: see [`Precision`].
fn exactness(way: Precision) -> u8 {
    match way.here() {
        Precision::Int8 | Precision::Auto => 0,
        Precision::Int16 => 1,
        Precision::F32 | Precision::Reference => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Precision::{F32, Int8, Int16, Reference};

    #[test]
    fn the_fastest_that_is_exact_enough_is_picked() {
        let speeds =
            |f32, int16, int8| [(F32, f32), (Int16, int16), (Int8, int8), (Reference, 5.0)];
        let cases = [
            // Default, speeds, pick, and what would be faster.
            (Int16, speeds(10.0, 15.0, 18.0), Int16, Some((Int8, 1.2))),
            (Int16, speeds(20.0, 15.0, 18.0), F32, None),
            (Int16, speeds(10.0, 15.0, 15.5), Int16, None),
            (Int16, speeds(15.5, 15.0, 14.0), Int16, None),
            (Int8, speeds(10.0, 15.0, 40.0), Int8, None),
            (Int8, speeds(10.0, 45.0, 40.0), Int16, None),
            (F32, speeds(10.0, 15.0, 12.0), F32, Some((Int16, 1.5))),
        ];
        for (default, speeds, pick, faster) in cases {
            let choice = Choice::among(default, &speeds);
            assert_eq!(choice, Some(Choice { pick, faster }), "{default:?} {speeds:?}");
        }
        assert_eq!(Choice::among(Int16, &[(F32, 1.0)]), None);
    }
}
