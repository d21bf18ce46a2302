//! `covey doctor`: what this node can find out about itself, and what to do about it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use covey_embedder::Compute;
use covey_net::Link;

use crate::api::{ApiError, Call, Check, Reply, Status};
use crate::cancel::CancelFlag;
use crate::config::Config;
use crate::home::Home;
use crate::identity;
use crate::models::compute_error;
use crate::node::Node;

/// Less free space than this deserves a word, in MiB.
const LOW_SPACE_MIB: u64 = 256;

/// Examines an open node and its home.
pub async fn examine<L: Link>(home: &Home, node: &Node<L>, daemon: bool) -> Vec<Check> {
    let mut checks = of_home(home);
    checks.push(if daemon {
        good("daemon", "running")
    } else {
        bad(
            "daemon",
            "not running, so nobody can reach this node",
            "covey daemon, or covey service install",
        )
    });
    match ask(node, Call::Status).await {
        Ok(Reply::Status(status)) => of_status(&status, daemon, &mut checks),
        Ok(_) => {}
        Err(error) => checks.push(failed("status", &error)),
    }
    // What the node can check without looking at its home: indexes, groups, the audit chain.
    match ask(node, Call::Doctor).await {
        Ok(Reply::Doctor { checks: own }) => checks.extend(own),
        Ok(_) => {}
        Err(error) => checks.push(failed("node", &error)),
    }
    checks
}

/// Examines the home of a node that does not open because of `error`.
pub fn unopened(home: &Home, error: &ApiError) -> Vec<Check> {
    let mut checks = of_home(home);
    checks.push(failed("node", error));
    checks
}

async fn ask<L: Link>(node: &Node<L>, call: Call) -> Result<Reply, ApiError> {
    node.call(call, &mut |_| {}, CancelFlag::new()).await
}

fn of_home(home: &Home) -> Vec<Check> {
    let folders = [
        ("configuration folder", home.config_dir()),
        ("state folder", home.state_dir()),
        ("data folder", home.data_dir()),
        ("runtime folder", home.runtime_dir()),
    ];
    let mut checks: Vec<_> = folders.iter().map(|(name, dir)| folder(name, dir)).collect();
    checks.push(space(home.data_dir()));
    match Config::load(&home.config_path()) {
        Ok(config) => {
            let detail = format!("{}, log level {}", config.name, config.log);
            checks.push(good("configuration", &detail));
            checks.extend(device(config.device));
        }
        Err(error) => checks.push(failed("configuration", &error.into())),
    }
    checks.push(match identity::load(&home.identity_path()) {
        Ok(_) => good("identity", "readable by you alone, and whole"),
        Err(error) => failed("identity", &error.into()),
    });
    checks.push(match home.socket_path() {
        Ok(path) => good("socket", &path.display().to_string()),
        Err(error) => failed("socket", &error.into()),
    });
    checks
}

/// Whether the device that the configuration names works; the processor does.
fn device(device: Compute) -> Option<Check> {
    let name = "device";
    if device == Compute::Cpu {
        return None;
    }
    match device.check() {
        Ok(called) => Some(good(name, &format!("{device}, {called}"))),
        Err(error) => Some(failed(name, &compute_error(&error))),
    }
}

/// Whether a folder is private and can be written.
fn folder(name: &str, dir: &Path) -> Check {
    let shown = dir.display();
    let mode = match fs::metadata(dir) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(error) => {
            return bad(name, &format!("{shown}: {error}"), &format!("mkdir -m 700 '{shown}'"));
        }
    };
    if mode & 0o077 != 0 {
        let detail = format!("{shown} is open to other users (mode {mode:03o})");
        return bad(name, &detail, &format!("chmod 700 '{shown}'"));
    }
    match try_writing(dir) {
        Ok(()) => good(name, &shown.to_string()),
        Err(error) => bad(
            name,
            &format!("{shown} cannot be written: {error}"),
            "free space, or correct its owner and permissions",
        ),
    }
}

fn try_writing(dir: &Path) -> io::Result<()> {
    let probe = dir.join(format!(".covey-doctor-{}", std::process::id()));
    let written = fs::write(&probe, [0; 4096]);
    let removed = fs::remove_file(&probe);
    written.and(removed)
}

fn space(dir: &Path) -> Check {
    let name = "free space";
    match rustix::fs::statvfs(dir) {
        Ok(it) => {
            let free = it.f_bavail.saturating_mul(it.f_frsize) >> 20;
            let shown = match free {
                0..10_240 => format!("{free} MiB"),
                _ => format!("{} GiB", free >> 10),
            };
            let detail = format!("{shown} at {}", dir.display());
            if free < LOW_SPACE_MIB {
                bad(name, &detail, "make room before indexing more")
            } else {
                good(name, &detail)
            }
        }
        Err(error) => bad(name, &format!("{}: {error}", dir.display()), "check the disk"),
    }
}

fn of_status(status: &Status, daemon: bool, checks: &mut Vec<Check>) {
    checks.push(good("model", &format!("{} ({})", status.model.name, status.model.family)));
    if daemon {
        checks.push(match status.addresses.as_slice() {
            [] => bad(
                "addresses",
                "listening nowhere: others cannot connect to this node",
                "set `listen` in config.toml",
            ),
            addresses if addresses.iter().all(|it| is_loopback(it)) => {
                good("addresses", "reachable from this machine only")
            }
            addresses => good("addresses", &addresses.join(", ")),
        });
    }
    for collection in &status.collections {
        for root in collection.roots.iter().filter(|root| !root.exists()) {
            let root = root.display();
            checks.push(bad(
                &format!("folder of {}", collection.name),
                &format!("{root} is not there any more"),
                &format!("bring it back, or covey remove {} '{root}'", collection.name),
            ));
        }
    }
    for group in status.groups.iter().filter(|group| group.role == "removed") {
        let name = format!("membership of {}", group.name);
        let fix = format!("covey group leave {}, or ask for a new invite", group.name);
        checks.push(bad(&name, "this node was removed", &fix));
    }
}

fn is_loopback(address: &str) -> bool {
    address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/")
}

fn good(name: &str, detail: &str) -> Check {
    Check { name: name.to_owned(), ok: true, detail: detail.to_owned(), fix: None }
}

fn bad(name: &str, detail: &str, fix: &str) -> Check {
    Check { name: name.to_owned(), ok: false, detail: detail.to_owned(), fix: Some(fix.to_owned()) }
}

fn failed(name: &str, error: &ApiError) -> Check {
    Check {
        name: name.to_owned(),
        ok: false,
        detail: error.message.clone(),
        fix: error.hint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ErrorCode;

    #[test]
    fn a_home_that_others_can_read_or_that_holds_nothing_is_reported() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home::below(dir.path()).expect("an absolute path");
        home.create().expect("makes folders");
        fs::set_permissions(home.data_dir(), fs::Permissions::from_mode(0o755)).expect("opens it");
        let checks = unopened(&home, &ApiError::new(ErrorCode::Corrupt, "broken").hint("restore"));
        let failing: Vec<_> =
            checks.iter().filter(|it| !it.ok).map(|it| it.name.as_str()).collect();
        assert_eq!(failing, ["data folder", "configuration", "identity", "node"]);
        assert!(
            checks
                .iter()
                .filter(|it| !it.ok)
                .all(|it| it.name == "identity" || it.name == "configuration" || it.fix.is_some())
        );
        fs::set_permissions(home.data_dir(), fs::Permissions::from_mode(0o700)).expect("closes it");
        assert!(folder("data folder", home.data_dir()).ok);
        assert!(
            fs::read_dir(home.data_dir()).expect("lists").next().is_none(),
            "the probe is gone"
        );
    }
}
