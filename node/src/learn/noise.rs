//! How loud a round's noise is beside what is learnt.

use covey_privacy::encode::Layout;
use covey_privacy::noise::NoiseMode;
use covey_privacy::plan::noise_over_signal;

use crate::api::NoiseInfo;

/// For the sum of `cohort` updates, or of as many documents of each, at best: all as long as they may be, and pointing the same way. Nothing where no
/// noise is added.
pub(super) fn over_signal(layout: &Layout, cohort: u32, documents: u32) -> Option<NoiseInfo> {
    let (multiplier, mode) = layout.noise?;
    // Each adds the share that so few would have to add; more participants are more noise.
    let shares = match mode {
        NoiseMode::Distributed(sharers) => f64::from(cohort.max(1)) / f64::from(sharers.honest()),
        NoiseMode::Central => 1.0,
    };
    let more = shares.sqrt();
    let values = layout.dimension as u64;
    Some(NoiseInfo {
        over_signal: noise_over_signal(multiplier, values, cohort) * more / f64::from(layout.units),
        cohort,
        documents,
        values,
        multiplier: multiplier.get(),
        total: multiplier.get() * more,
    })
}

#[cfg(test)]
mod tests {
    use covey_privacy::encode::Encoding;
    use covey_privacy::{ClipNorm, NoiseMultiplier, Sharers};

    use super::*;

    fn layout(values: usize, honest: u32) -> Layout {
        let sharers = Sharers::new(honest, 0).expect("somebody");
        let noise = NoiseMultiplier::new(2.0).expect("a multiplier");
        Layout {
            dimension: values,
            clip: ClipNorm::new(0.5).expect("a norm"),
            clients: 200,
            noise: Some((noise, NoiseMode::Distributed(sharers))),
            rotation: None,
            units: 1,
            extras: vec![],
        }
    }

    #[test]
    fn as_the_benchmark_has_it() {
        // Multiplier 2, where all who take part have to add noise: values, and the ratio by participants.
        for (values, ratios) in [(73_728, [54.3, 10.86, 2.715]), (9_216, [19.2, 3.84, 0.96])] {
            for (cohort, expected) in [10, 50, 200].into_iter().zip(ratios) {
                let found = over_signal(&layout(values, cohort), cohort, 0).expect("noise");
                let ratio = found.over_signal;
                assert!((ratio / expected - 1.0).abs() < 1e-3, "{values} {cohort}: {ratio}");
                assert_eq!((found.total, found.cohort), (2.0, cohort));
            }
        }
        assert_eq!(over_signal(&Layout { noise: None, ..layout(10, 5) }, 5, 0), None);
        // Of sixteen documents each there is sixteen times as much to hear, beside the same noise.
        let documents = Layout { units: 16, ..layout(9_216, 50) };
        let found = over_signal(&documents, 50, 16).expect("noise");
        assert!((found.over_signal / (3.84 / 16.0) - 1.0).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn those_beyond_the_fewest_are_louder_than_promised() {
        // Shares that 5 suffice for: 50 add up to the square root of ten times as much.
        let layout = layout(9_216, 5);
        let found = over_signal(&layout, 50, 0).expect("noise");
        assert!((found.total - 2.0 * 10.0_f64.sqrt()).abs() < 1e-12, "{found:?}");
        // By what is really added: its deviation on each value of the sum, in grid points.
        let encoding = Encoding::new(layout).expect("sound");
        let noise = encoding.noise().expect("noise").deviation(50);
        let clip = 0.5 * encoding.scale().get();
        let ratio = noise * 9_216.0_f64.sqrt() / (50.0 * clip);
        assert!((found.over_signal / ratio - 1.0).abs() < 1e-6, "{found:?} {ratio}");
    }
}
