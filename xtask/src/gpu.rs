//! Graphics cards, which CI has none of: builds Covey with a backend for them, compares what a card computes with the
//! processor, and types the commands that name one.
//!
//! Everything goes to a target folder of its own, so that the other builds keep burn as they have it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use covey_embedder::{default_cache, testing};
use covey_node::home::Home;

/// Every cargo feature for graphics cards.
const FEATURES: [&str; 2] = ["wgpu", "cuda"];

#[derive(Args)]
pub struct Options {
    /// The devices to check (wgpu, wgpu:1, cuda), each once; without, the first of each kind that is there
    #[arg(long = "device", value_name = "DEVICE")]
    devices: Vec<String>,
    /// Build with these features; by default with those that the devices need, or wgpu
    #[arg(long = "feature", value_name = "FEATURE", value_parser = FEATURES)]
    features: Vec<String>,
    /// Seconds that `covey model bench` measures each way of computing
    #[arg(long, value_name = "N", default_value_t = 4.0)]
    seconds: f64,
    /// Only see that the embedder compiles, by default with all features; no card is needed
    #[arg(long, conflicts_with_all = ["devices", "seconds"])]
    check_only: bool,
}

/// Checks, or builds and compares.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let target = target(root);
    if options.check_only {
        return check(&options.features(), root, &target);
    }
    let features = options.features();
    let listed = features.iter().map(|feature| format!("covey/{feature}")).collect::<Vec<_>>();
    let mut cargo = cargo("build", root, &target);
    cargo.args(["-p", "covey", "-p", "covey-embedder", "--bin", "covey", "--example", "device"]);
    cargo.args(["--features", &listed.join(",")]);
    succeed(&mut cargo, "Covey does not build with the features for graphics cards")?;

    let compare = target.join("release/examples/device");
    let devices = options.devices(&compare)?;
    let commands = Commands::new(&target.join("release/covey"))?;
    succeed(
        Command::new(&compare).args(&devices),
        "what a card computes was not found to agree with the processor",
    )?;
    for device in &devices {
        commands.bench(device, options.seconds)?;
    }
    commands.failures(&features)
}

/// Whether the embedder compiles with `features`.
fn check(features: &[&str], root: &Path, target: &Path) -> Result<()> {
    let mut cargo = cargo("check", root, target);
    cargo.args(["-p", "covey-embedder", "--lib", "--example", "device"]);
    cargo.args(["--features", &features.join(",")]);
    // Has burn's CUDA backend leave out LLVM, which it downloads otherwise and which only linking needs.
    cargo.env("DOCS_RS", "1");
    succeed(&mut cargo, "the embedder does not compile with the features for graphics cards")?;
    println!("the embedder compiles with {}", features.join(" and "));
    Ok(())
}

impl Options {
    /// Features to build with, each once.
    fn features(&self) -> Vec<&'static str> {
        let wanted = |feature: &&'static str| {
            let for_device =
                self.devices.iter().any(|device| device.split(':').next() == Some(*feature));
            for_device || self.features.iter().any(|it| it == feature)
        };
        let features: Vec<_> = FEATURES.into_iter().filter(wanted).collect();
        match (features.is_empty(), self.check_only) {
            (false, _) => features,
            (true, true) => FEATURES.into(),
            (true, false) => vec!["wgpu"],
        }
    }

    /// The devices that were named, else those that `compare` finds.
    fn devices(&self, compare: &Path) -> Result<Vec<String>> {
        if !self.devices.is_empty() {
            return Ok(self.devices.clone());
        }
        let found = Command::new(compare).arg("--found").output();
        let found = found.with_context(|| format!("cannot start {}", compare.display()))?;
        eprint!("{}", String::from_utf8_lossy(&found.stderr));
        ensure!(found.status.success(), "there is no graphics card to check, see above");
        Ok(String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect())
    }
}

/// `covey` in a home of its own that has a transformer.
struct Commands {
    covey: PathBuf,
    home: tempfile::TempDir,
}

impl Commands {
    fn new(covey: &Path) -> Result<Self> {
        let home = tempfile::tempdir()?;
        testing::store_with_minilm().context("MiniLM cannot be fetched, see above")?;
        let cache = default_cache().context("neither COVEY_MODEL_CACHE nor HOME is set")?;
        let models = Home::below(home.path())?.models_dir();
        std::fs::create_dir_all(&models)?;
        symlink(cache.join(testing::MINILM_NAME), models.join(testing::MINILM_NAME))?;
        Ok(Self { covey: covey.to_owned(), home })
    }

    fn bench(&self, device: &str, seconds: f64) -> Result<()> {
        let seconds = seconds.to_string();
        let model = testing::MINILM_NAME;
        let arguments = ["--model", model, "--device", device, "--seconds", &seconds];
        let output = self.model_bench(&arguments)?;
        let (shown, said) = texts(&output);
        ensure!(output.status.success(), "covey model bench --device {device} failed: {said}");
        println!("covey model bench --device {device}\n{shown}{said}");
        Ok(())
    }

    /// What is no device, a card that is not there, and features that were not built each fail, and say what to do.
    fn failures(&self, features: &[&str]) -> Result<()> {
        let mut cases = vec![("gpu".to_owned(), "write cpu, cuda or wgpu".to_owned())];
        for feature in FEATURES {
            let device = format!("{feature}:65535");
            let expected = if features.contains(&feature) {
                format!("there is no device {device}")
            } else {
                format!("cargo build --release --features {feature}")
            };
            cases.push((device, expected));
        }
        for (device, expected) in cases {
            let output = self.model_bench(&["--device", &device])?;
            let (_, said) = texts(&output);
            println!("covey model bench --device {device}\n{said}");
            if output.status.success() || !said.contains(&expected) || said.contains("panicked") {
                bail!("covey should fail and say \"{expected}\"");
            }
        }
        Ok(())
    }

    fn model_bench(&self, arguments: &[&str]) -> Result<Output> {
        let mut covey = Command::new(&self.covey);
        covey.arg("--home").arg(self.home.path()).args(["model", "bench"]).args(arguments);
        covey.output().with_context(|| format!("cannot start {}", self.covey.display()))
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Where everything is built: beside what other builds made.
fn target(root: &Path) -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR");
    // A relative one is relative to where cargo was started, as is the program's own folder.
    named.map_or_else(|| root.join("target"), PathBuf::from).join("gpu")
}

fn cargo(subcommand: &str, root: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(subcommand).args(["--release", "--manifest-path"]).arg(root.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target);
    cargo
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
        /// Devices, features, whether it is compiled only, and the features that come of it.
        type Case<'a> = (&'a [&'a str], &'a [&'a str], bool, &'a [&'a str]);
        let cases: [Case<'_>; 7] = [
            (&[], &[], false, &["wgpu"]),
            (&[], &[], true, &["wgpu", "cuda"]),
            (&["wgpu:1", "wgpu"], &[], false, &["wgpu"]),
            (&["wgpu", "cuda:1"], &[], false, &["wgpu", "cuda"]),
            (&[], &["cuda"], true, &["cuda"]),
            (&["wgpu"], &["cuda"], false, &["wgpu", "cuda"]),
            (&["gpu"], &[], false, &["wgpu"]),
        ];
        let owned = |all: &[&str]| all.iter().map(|&it| it.to_owned()).collect();
        for (devices, features, check_only, expected) in cases {
            let (devices, features) = (owned(devices), owned(features));
            let options = Options { devices, features, seconds: 1.0, check_only };
            let (devices, features) = (&options.devices, &options.features);
            assert_eq!(options.features(), expected, "{devices:?} {features:?} {check_only}");
        }
    }
}
