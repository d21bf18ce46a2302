//! From an update to integers modulo 2^32, and from their sum back to a mean.
//!
//! A [`Layout`] is what everybody in a round agrees on; [`Encoding`] is derived from it, the same
//! everywhere, and refuses what cannot be kept: every entry of every client, and eight standard
//! deviations of noise, fit in 32 bits. A client's way is `Encoding::encode` -> [`Encoded`] ->
//! [`Noised`], and only a [`Noised`] gives its words away. The coordinator's is [`Sum`] ->
//! [`Decoded`]. docs/spec/noise.md numbers the checks.
//!
//! Distributed noise keeps its promise only if the secure sum makes those it counts on certain (N14). A round of
//! `covey_protocol` checks that; whoever uses its secure sum alone has to take the layout's [`Sharers`](crate::Sharers) from
//! `Parameters::sharers` of `covey_protocol::secagg`, or to hold a plan's against them with
//! [`Sharers::within`](crate::Sharers::within), as `protocol/examples/secure_sum.rs` does.

mod client;
mod rotate;
mod server;

use serde::{Deserialize, Serialize};

use crate::grid::{NOISE_ROOM, SIGNED_LIMIT, Scale, ScaleError, Sensitivity};
use crate::noise::{MAX_CLIENTS, Noise, NoiseError, NoiseMode};
use crate::sample::Sampler;
use crate::types::{ClipNorm, NoiseMultiplier, Rho};

pub use client::{EncodeError, Encoded, Noised};
pub use server::{DecodeError, Decoded, Sum};

/// Most words of a masked vector: what a secure sum takes.
pub const MAX_WORDS: usize = 25_000_000;
/// Most extra entries.
pub const MAX_EXTRAS: usize = 16;
/// Most units of a client.
pub const MAX_UNITS: u32 = 4096;

/// One entry beyond the update: a loss, a count of examples, the adaptive clip's bit. It is
/// bounded, noised and part of the sensitivity like the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "(f64, f64)", into = "(f64, f64)")]
pub struct Extra {
    bound: f64,
    weight: f64,
}

/// An extra entry that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "an extra entry bounded by {bound} with weight {weight}: the bound must be finite and above 0, \
     the weight above 0 and at most 1"
)]
pub struct ExtraError {
    /// Its bound.
    pub bound: f64,
    /// Its weight.
    pub weight: f64,
}

impl Extra {
    /// A value from -`bound` to `bound`, which at its largest is as long as `weight` times the clip
    /// norm. More weight: less noise on this entry, and a higher cost of the whole, by weight^2.
    ///
    /// # Errors
    /// [`ExtraError`] unless the bound is finite and above 0, and the weight above 0 and at most 1.
    pub fn new(bound: f64, weight: f64) -> Result<Self, ExtraError> {
        if bound.is_finite() && bound > 0.0 && weight > 0.0 && weight <= 1.0 {
            Ok(Self { bound, weight })
        } else {
            Err(ExtraError { bound, weight })
        }
    }
}

impl TryFrom<(f64, f64)> for Extra {
    type Error = ExtraError;

    fn try_from((bound, weight): (f64, f64)) -> Result<Self, ExtraError> {
        Self::new(bound, weight)
    }
}

impl From<Extra> for (f64, f64) {
    fn from(extra: Extra) -> Self {
        (extra.bound, extra.weight)
    }
}

/// What a round's participants agree on before they encode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    /// Entries of an update; none where all that is summed are extra entries.
    pub dimension: usize,
    /// Longest update.
    pub clip: ClipNorm,
    /// Most clients that may be in the sum.
    pub clients: u32,
    /// Most units of one client, each of which is clipped and rounded by itself: 1 where the client is the unit.
    pub units: u32,
    /// Noise on the sum in multiples of the clip norm, and who adds it. None: no differential privacy.
    pub noise: Option<(NoiseMultiplier, NoiseMode)>,
    /// Seed of a random rotation, which evens the entries out, for the round.
    pub rotation: Option<[u8; 32]>,
    /// Entries beyond the update.
    pub extras: Vec<Extra>,
}

/// Why a layout cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum LayoutError {
    /// N4: nobody, or more than [`MAX_CLIENTS`].
    #[error("{0} clients: from 1 to {MAX_CLIENTS} may be in a sum")]
    Clients(u32),
    /// N4: nothing at all, or more than [`MAX_WORDS`].
    #[error(
        "{0} entries: an update has up to {MAX_WORDS}, and at least one if there are no extra entries"
    )]
    Dimension(usize),
    /// N4: with what rotation pads and the extra entries, more than [`MAX_WORDS`].
    #[error(
        "an update of {dimension} entries travels as {words} words, more than {MAX_WORDS} (rotation pads it to a power \
         of two, and extra entries are added): leave rotation out, or train fewer parameters"
    )]
    Words {
        /// Entries of the update.
        dimension: usize,
        /// Words they become, extra entries included.
        words: usize,
    },
    /// N4: more than [`MAX_EXTRAS`].
    #[error("{0} extra entries are more than {MAX_EXTRAS}")]
    Extras(usize),
    /// N5: an extra entry's weight is under one grid point.
    #[error("extra entry {0} has so little weight that the grid cannot hold it; give it more")]
    ExtraTooFine(usize),
    /// N4: none, more than [`MAX_UNITS`], or several with extra entries, which are of a client and not of a unit.
    #[error(
        "{0} units of a client: from 1 to {MAX_UNITS} may be in a sum, and of several no extra entries"
    )]
    Units(u32),
    /// N4: a round may not finish with more clients than it has.
    #[error("at least {survivors} survivors of {clients} clients")]
    Survivors {
        /// The fewest survivors of the noise mode.
        survivors: u32,
        /// All clients.
        clients: u32,
    },
    /// No grid fits.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// No such noise.
    #[error(transparent)]
    Noise(#[from] NoiseError),
}

/// A checked layout, with everything that follows from it. Made once a round: it holds the
/// sampler's table.
#[derive(Debug, Clone)]
pub struct Encoding {
    layout: Layout,
    scale: Scale,
    noise: Option<Noise>,
    /// Draws the share of whoever adds noise.
    sampler: Option<Sampler>,
    /// Bound of the update's squared norm, on its own.
    update_bound: u128,
    /// The largest magnitude of each extra entry, in grid points.
    caps: Vec<u32>,
    sensitivity: Sensitivity,
}

impl Layout {
    /// Words of a masked vector: the update, padded where it is rotated, and the extra entries.
    pub fn words(&self) -> usize {
        rotate::padded(self) + self.extras.len()
    }

    /// What [`Encoding::cost`] would be, without a sampler's table.
    ///
    /// # Errors
    /// Those of [`Encoding::new`].
    pub fn cost(&self) -> Result<Option<Rho>, LayoutError> {
        Ok(Encoding::without_sampler(self.clone())?.cost())
    }
}

impl Encoding {
    /// Derives scale, noise and sensitivity.
    ///
    /// # Errors
    /// [`LayoutError`] where a number is out of its range, or 32 bits do not hold the sum.
    pub fn new(layout: Layout) -> Result<Self, LayoutError> {
        let encoding = Self::without_sampler(layout)?;
        let share =
            encoding.noise.and_then(|noise| noise.client_share().or(noise.coordinator_share()));
        Ok(Self { sampler: share.map(Sampler::new), ..encoding })
    }

    fn without_sampler(layout: Layout) -> Result<Self, LayoutError> {
        let &Layout { dimension, clip, clients, units, .. } = &layout;
        if !(1..=MAX_CLIENTS).contains(&clients) {
            return Err(LayoutError::Clients(clients));
        }
        if !(1..=MAX_UNITS).contains(&units) || (units > 1 && !layout.extras.is_empty()) {
            return Err(LayoutError::Units(units));
        }
        if dimension > MAX_WORDS || (dimension == 0 && layout.extras.is_empty()) {
            return Err(LayoutError::Dimension(dimension));
        }
        if layout.extras.len() > MAX_EXTRAS {
            return Err(LayoutError::Extras(layout.extras.len()));
        }
        let words = layout.words();
        if words > MAX_WORDS {
            return Err(LayoutError::Words { dimension, words });
        }
        // Both are bounded: at most 2^32.
        let contributions = u64::from(clients) * u64::from(units);
        let scale = Scale::finest(contributions, clip, deviation(&layout)?)?;
        let noise =
            layout.noise.map(|(multiplier, mode)| Noise::new(mode, multiplier, clip, scale));
        let noise = noise.transpose()?;
        let update = Sensitivity::of_rounding(clip, scale, rotate::padded(&layout) as u64);
        let mut sensitivity = update;
        let mut caps = Vec::with_capacity(layout.extras.len());
        for (i, extra) in layout.extras.iter().enumerate() {
            let cap = (extra.weight * clip.get() * scale.get()) as u32;
            if cap == 0 {
                return Err(LayoutError::ExtraTooFine(i));
            }
            sensitivity = sensitivity.with_entry(cap);
            caps.push(cap);
        }
        let encoding = Self {
            scale,
            noise,
            sampler: None,
            update_bound: update.squared_l2,
            caps,
            sensitivity,
            layout,
        };
        assert!(encoding.fits(), "Scale::finest leaves room for every entry and the noise");
        Ok(encoding)
    }

    /// N7 once more, with the noise as it is: the largest entries of all clients' units and the room
    /// for noise.
    fn fits(&self) -> bool {
        let noise = self.noise.map_or(0.0, |noise| noise.deviation(self.layout.clients));
        let contributions = u64::from(self.layout.clients) * u64::from(self.layout.units);
        let entries = contributions * u64::from(self.largest_entry());
        // The deviation is up to 2^-16 grid points above the one the scale was chosen for.
        entries as f64 + (NOISE_ROOM * noise).floor() <= SIGNED_LIMIT
    }

    /// No entry of a unit's part in an [`Encoded`] is larger, in grid points.
    pub fn largest_entry(&self) -> u32 {
        (self.layout.clip.get() * self.scale.get()).ceil() as u32
    }

    /// The layout it was made from.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Grid points a unit of the update.
    pub const fn scale(&self) -> Scale {
        self.scale
    }

    /// The noise, if the round has any.
    pub const fn noise(&self) -> Option<&Noise> {
        self.noise.as_ref()
    }

    /// How far one unit can move the sum: a client with its extra entries, or one of a client's units.
    pub const fn sensitivity(&self) -> Sensitivity {
        self.sensitivity
    }

    /// Who adds noise, if anybody.
    fn mode(&self) -> Option<NoiseMode> {
        self.noise.map(|noise| noise.mode())
    }

    /// What the round costs each unit, in zCDP for zero-out adjacency; None where there is no noise.
    pub fn cost(&self) -> Option<Rho> {
        self.noise.map(|noise| noise.cost(self.sensitivity))
    }

    /// What it costs where a contribution may be replaced by any other.
    pub fn replace_one_cost(&self) -> Option<Rho> {
        self.noise.map(|noise| noise.cost(self.sensitivity.replace_one()))
    }

    /// Words in a masked vector: the update, padded to a power of two where it is rotated, and the
    /// extra entries.
    pub fn words(&self) -> usize {
        self.layout.words()
    }
}

/// The standard deviation of the sum if every client adds its share, in the update's units.
fn deviation(layout: &Layout) -> Result<f64, LayoutError> {
    let Some((multiplier, mode)) = layout.noise else { return Ok(0.0) };
    let promised = multiplier.get() * layout.clip.get();
    let NoiseMode::Distributed(sharers) = mode else { return Ok(promised) };
    let (survivors, clients) = (sharers.survivors(), layout.clients);
    if survivors > clients {
        return Err(LayoutError::Survivors { survivors, clients });
    }
    Ok(promised * (f64::from(clients) / f64::from(sharers.honest())).sqrt())
}

#[cfg(test)]
mod tests;
