//! The arithmetic under the models: safe functions over slices, each in a portable form
//! and in forms for what x86-64 processors offer, chosen while the program runs.
//!
//! Start from [`Level::best`]. Matrix products work on panels of [`WIDTH`] columns:
//! [`matmul`] on f32, [`matmul_int`] on whole numbers, which is exact and so the same everywhere.
//! [`rows`] has what is done to one row at a time, [`whole`] the same around [`matmul_int`], [`back`] and [`steps`] what training adds. All levels agree up to the rounding of
//! f32, and in [`ordered`] to the bit; tests compare each with the portable one.
//!
//! `unsafe` is confined to this folder: calls of functions compiled for a processor's
//! features, which a [`Level`] vouches for, and loads through pointers in `x86` and `x86_int`, whose
//! bounds the safe functions check, and arrays of numbers taken as registers.

pub(crate) mod back;
mod level;
pub(crate) mod matmul;
pub(crate) mod matmul_int;
pub(crate) mod ordered;
pub(crate) mod peak;
mod portable;
pub(crate) mod rows;
pub(crate) mod steps;
mod versions;
pub(crate) mod whole;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_int;
#[cfg(target_arch = "x86_64")]
mod x86_peak;
#[cfg(target_arch = "x86_64")]
mod x86_rows;

pub(crate) use level::{Level, Numbers};

/// Columns of a panel.
pub(crate) const WIDTH: usize = 32;

/// Most rows that one pass over a panel takes.
pub(crate) const TILE: usize = 12;

#[cfg(test)]
mod tests;
