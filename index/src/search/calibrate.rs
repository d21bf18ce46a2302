//! How estimates relate to what they estimate, for one query: learnt while it is answered.
//!
//! A codec knows how far its estimates are off for its own chunks as queries. A person's question is
//! another kind of text, for which they may be off by more, and on one side. Each time that the truth
//! about an estimate comes out, the next ones are taken accordingly.

/// What the codec says counts as much as so many observations.
const PRIOR: f32 = 8.0;

/// What has been seen so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calibration {
    /// What the codec says.
    sigma: f32,
    count: f32,
    sum: f32,
    squares: f32,
}

impl Calibration {
    /// Nothing is known but a standard deviation.
    pub(super) fn new(sigma: f32) -> Self {
        Self { sigma, count: 0.0, sum: 0.0, squares: 0.0 }
    }

    /// The truth was this much above the estimate.
    pub(super) fn note(&mut self, above: f32) {
        if above.is_finite() {
            self.count += 1.0;
            self.sum += above;
            self.squares += above * above;
        }
    }

    /// How much above the estimate the truth is on average.
    pub(super) fn shift(&self) -> f32 {
        self.sum / (self.count + PRIOR)
    }

    /// The standard deviation around that; never less than the codec says.
    pub(super) fn sigma(&self) -> f32 {
        let shift = self.shift();
        let around = self.squares - 2.0 * shift * self.sum + self.count * shift * shift;
        let variance = (PRIOR * self.sigma * self.sigma + around) / (self.count + PRIOR);
        variance.max(0.0).sqrt().max(self.sigma)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_from_what_the_codec_says_to_what_is_seen() {
        let mut seen = Calibration::new(0.1);
        assert_eq!((seen.shift(), seen.sigma()), (0.0, 0.1));
        for i in 0..1000 {
            seen.note(if i % 2 == 0 { 0.7 } else { 0.3 });
        }
        assert!((seen.shift() - 0.5).abs() < 0.01 && (seen.sigma() - 0.2).abs() < 0.01);
        seen.note(f32::NAN);
        assert!(seen.shift().is_finite());
        let mut exact = Calibration::new(0.1);
        (0..1000).for_each(|_| exact.note(0.0));
        assert_eq!(exact.sigma(), 0.1, "luck makes nothing surer");
    }
}
