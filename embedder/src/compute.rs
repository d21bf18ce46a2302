//! Where transformers compute and adapters are trained: on the processor, or on a graphics card.
//!
//! Start from [`Compute`]: parse one from what a person wrote, and hand it to [`ModelStore::on`](crate::ModelStore::on).
//! A card is reached through one of `burn`'s backends, each behind a cargo feature of the same name, and computes in
//! f32 by the tensor library's pass. Without the feature, and where there is no such card, loading fails and says so.

mod backend;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use backend::Backend;

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Compute {
    /// The processor, with kernels of our own.
    #[default]
    Cpu,
    /// NVIDIA's card of this number, through CUDA.
    Cuda(u16),
    /// The adapter of this number that Vulkan (or else OpenGL, Metal) lists.
    Wgpu(u16),
}

/// A text that names no place to compute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no device; write cpu, cuda or wgpu, and the number of the card where there are several, as in cuda:1"
)]
pub struct ParseComputeError(String);

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// This program was built without it.
    #[error(
        "this covey was built without {feature}, so it cannot compute on {compute}; \
         build one with `cargo build --release --features {feature}`, or compute on the device cpu"
    )]
    NotBuilt {
        /// What was asked for.
        compute: Compute,
        /// The cargo feature that it needs.
        feature: &'static str,
    },
    /// There is no such card, or its driver is not installed.
    #[error(
        "there is no device {compute}: {feature} finds {} here; \
         check that the card's driver is installed, or compute on the device cpu", cards(*.found)
    )]
    Missing {
        /// What was asked for.
        compute: Compute,
        /// How it was looked for.
        feature: &'static str,
        /// How many there are.
        found: usize,
    },
    /// The card is there and does not work.
    #[error(
        "the device {compute} cannot be used: {reason}; check the card's driver, or compute on the device cpu"
    )]
    Failed {
        /// What was asked for.
        compute: Compute,
        /// What the backend said.
        reason: String,
    },
}

impl Compute {
    /// Whether this program was built with what it needs; the processor needs nothing.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::Cpu => true,
            Self::Cuda(_) => cfg!(feature = "cuda"),
            Self::Wgpu(_) => cfg!(feature = "wgpu"),
        }
    }

    /// Uses the device for a moment, to find out whether it works, and gives the name that it has for itself.
    ///
    /// # Errors
    ///
    /// When the program was built without it, there is none, or it does not work.
    pub fn check(self) -> Result<String, ComputeError> {
        Backend::open(self).map(|backend| backend.name())
    }

    /// The kind of device, which is the cargo feature's name too.
    const fn kind(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
            Self::Wgpu(_) => "wgpu",
        }
    }
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str(self.kind()),
            Self::Cuda(index) | Self::Wgpu(index) => write!(f, "{}:{index}", self.kind()),
        }
    }
}

impl FromStr for Compute {
    type Err = ParseComputeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseComputeError(text.chars().take(80).collect());
        let (kind, index) = match text.split_once(':') {
            // A sign would be a number, too.
            Some((kind, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
                (kind, Some(index.parse().map_err(|_| unknown())?))
            }
            Some(_) => return Err(unknown()),
            None => (text, None),
        };
        match (kind, index) {
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            ("wgpu", index) => Ok(Self::Wgpu(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Compute {
    type Error = ParseComputeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Compute> for String {
    fn from(compute: Compute) -> Self {
        compute.to_string()
    }
}

fn cards(found: usize) -> String {
    match found {
        0 => "none".to_owned(),
        1 => "one, which is number 0,".to_owned(),
        found => format!("{found}, numbered from 0,"),
    }
}
