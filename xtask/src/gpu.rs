//! Graphics cards, which CI has none of: builds Covey with its backends for them, and compares what a card computes
//! with the processor.
//!
//! Everything goes to a target folder of its own, so that the other builds keep burn as they have it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

/// Every cargo feature for graphics cards.
const FEATURES: [&str; 2] = ["cuda", "wgpu"];

#[derive(Args)]
pub struct Options {
    /// The devices to check (cuda, cuda:1, wgpu), each once; without, the first of each kind that is there
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<String>,
    /// Build only with these features; by default with those that the devices need, or all
    #[arg(long = "feature", value_name = "FEATURE", value_parser = FEATURES)]
    features: Vec<String>,
    /// Seconds to measure each way of computing
    #[arg(long, value_name = "N", default_value_t = 4.0)]
    seconds: f64,
    /// Only see that it compiles; no card is needed
    #[arg(long, conflicts_with_all = ["devices", "seconds"])]
    check_only: bool,
}

/// Builds or checks, then compares.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let features = options.features();
    let subcommand = if options.check_only { "check" } else { "build" };
    let listed = features.iter().map(|feature| format!("covey/{feature}")).collect::<Vec<_>>();
    let target = root.join("target/gpu");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).arg(subcommand).args(["--release", "--target-dir"]).arg(&target);
    cargo.args(["-p", "covey", "-p", "covey-embedder", "--bin", "covey", "--example", "device"]);
    cargo.args(["--features", &listed.join(",")]);
    if options.check_only {
        // Has burn's CUDA backend leave out LLVM, which it downloads otherwise and which only linking needs.
        cargo.env("DOCS_RS", "1");
    }
    succeed(&mut cargo, "Covey does not build with the features for graphics cards")?;
    if options.check_only {
        println!("compiles with {}", features.join(" and "));
        return Ok(());
    }
    let mut compare = Command::new(target.join("release/examples/device"));
    compare.args(["--seconds", &options.seconds.to_string()]).args(&options.devices);
    succeed(&mut compare, "no card was found to agree with the processor")
}

impl Options {
    /// Features to build with, each once.
    fn features(&self) -> Vec<&str> {
        let wanted = |feature: &&str| {
            let for_device =
                self.devices.iter().any(|device| device.split(':').next() == Some(*feature));
            let any = self.features.is_empty() && self.devices.is_empty();
            any || for_device || self.features.iter().any(|it| it == feature)
        };
        let features: Vec<&str> = FEATURES.into_iter().filter(wanted).collect();
        // What is no device is told by the program that knows them.
        if features.is_empty() { FEATURES.into() } else { features }
    }
}

fn succeed(command: &mut Command, failure: &'static str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "{failure}, see above");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_those_that_devices_need() {
        let cases: [(&[&str], &[&str], &[&str]); 6] = [
            (&[], &[], &["cuda", "wgpu"]),
            (&["wgpu:1", "wgpu"], &[], &["wgpu"]),
            (&["wgpu", "cuda:1"], &[], &["cuda", "wgpu"]),
            (&[], &["cuda"], &["cuda"]),
            (&["wgpu"], &["cuda"], &["cuda", "wgpu"]),
            (&["gpu"], &[], &["cuda", "wgpu"]),
        ];
        let owned = |all: &[&str]| all.iter().map(|&it| it.to_owned()).collect();
        for (devices, features, expected) in cases {
            let (devices, features) = (owned(devices), owned(features));
            let options = Options { devices, features, seconds: 1.0, check_only: false };
            assert_eq!(
                options.features(),
                expected,
                "{:?} {:?}",
                options.devices,
                options.features
            );
        }
    }
}
