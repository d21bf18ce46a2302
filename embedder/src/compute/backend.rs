//! A device of the tensor library that was seen to work.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, DeviceType, Tensor, TensorData};

use super::{Compute, ComputeError};
use crate::EmbedError;

/// Most positions (padding included) of a pass on the processor: passes that fit its cache are faster.
const POSITIONS: usize = 512;
/// The same where what is kept for gradients does not fit it anyway.
const TRAINED_POSITIONS: usize = 1024;
/// On a card, which wants work for thousands of threads. MiniLM's largest tensor of a pass, the weights of
/// attention over 32 texts of 256 tokens, then takes 100 MB.
const CARD_POSITIONS: usize = 8192;
/// On a card lengths are multiples of this.
const CARD_LENGTH: usize = 32;

/// Where tensors live.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    compute: Compute,
    device: Device,
}

impl Backend {
    pub(crate) fn cpu() -> Self {
        Self { compute: Compute::Cpu, device: Device::flex() }
    }

    /// Finds the device and uses it for a moment, as some drivers fail no sooner.
    pub(crate) fn open(compute: Compute) -> Result<Self, ComputeError> {
        if compute == Compute::Cpu {
            return Ok(Self::cpu());
        }
        let feature = compute.kind();
        let (Some(kind), Compute::Cuda(index) | Compute::Wgpu(index)) = (kind(compute), compute)
        else {
            return Err(ComputeError::NotBuilt { compute, feature });
        };
        let failed = |reason| ComputeError::Failed { compute, reason };
        let devices = caught(|| Device::enumerate(kind).into_vec()).map_err(failed)?;
        let found = devices.len();
        let device = devices.into_iter().nth(index.into());
        let device = device.ok_or(ComputeError::Missing { compute, feature, found })?;
        let doubled = caught(|| {
            let ones = Tensor::<1>::from_data(TensorData::new(vec![1.0_f32; 2], [2]), &device);
            (ones.clone() + ones).try_into_vec_as::<f32>().map_err(|error| error.to_string())
        });
        match doubled.flatten() {
            Ok(doubled) if doubled == [2.0, 2.0] => Ok(Self { compute, device }),
            Ok(doubled) => Err(failed(format!("it says that one and one are {doubled:?}"))),
            Err(reason) => Err(failed(reason)),
        }
    }

    /// What the device calls itself.
    pub(crate) fn name(&self) -> String {
        #[cfg(any(feature = "cuda", feature = "wgpu"))]
        if let Some(identity) = self.device.identity() {
            return identity.name;
        }
        if self.is_cpu() { "the processor".to_owned() } else { self.compute.to_string() }
    }

    pub(crate) fn is_cpu(&self) -> bool {
        self.compute == Compute::Cpu
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The same, for tensors that remember what is done with them.
    pub(crate) fn autodiff(&self) -> Device {
        self.device.clone().autodiff()
    }

    /// What a pass of `rows` texts, the longest of them `longest` positions, is padded to. A card's kernels are chosen by trying them
    /// (which takes seconds) for sizes they have not met, so there shall be few; the processor takes what it gets.
    pub(crate) fn padded(&self, rows: usize, longest: usize) -> [usize; 2] {
        if self.is_cpu() { [rows, longest] } else { card_shape(rows, longest) }
    }

    /// Most positions of a pass forwards.
    pub(crate) fn positions(&self) -> usize {
        if self.is_cpu() { POSITIONS } else { CARD_POSITIONS }
    }

    /// Most positions of a pass whose states are kept for the way back.
    pub(crate) fn trained_positions(&self) -> usize {
        if self.is_cpu() { TRAINED_POSITIONS } else { CARD_POSITIONS }
    }

    /// Runs `run`. A card that runs out of memory or is gone makes its driver's library panic, which is an error
    /// here.
    pub(crate) fn guarded<T, E: From<EmbedError>>(
        &self,
        run: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.is_cpu() {
            return run();
        }
        caught(run).unwrap_or_else(|reason| {
            Err(EmbedError::Backend(format!("{} failed: {reason}", self.compute)).into())
        })
    }
}

/// Rows to a power of two, positions to a multiple of [`CARD_LENGTH`].
pub(super) fn card_shape(rows: usize, longest: usize) -> [usize; 2] {
    [rows.next_power_of_two(), longest.next_multiple_of(CARD_LENGTH)]
}

/// How the tensor library lists such devices, if it was built with them.
fn kind(compute: Compute) -> Option<DeviceType> {
    match compute {
        #[cfg(feature = "cuda")]
        Compute::Cuda(_) => Some(DeviceType::Cuda),
        #[cfg(feature = "wgpu")]
        Compute::Wgpu(_) => Some(DeviceType::Wgpu),
        _ => None,
    }
}

/// What `run` returns, or what it panicked with.
pub(super) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| told(payload.as_ref()))
}

fn told(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("the backend panicked").to_owned()
}
