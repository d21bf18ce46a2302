//! `covey service`.

use std::path::Path;

use clap::Subcommand;
use covey_node::api::{ApiError, ErrorCode, Reply, ServiceInfo};
use covey_node::unit::{self, Unit};

use crate::session::Session;

/// Start the daemon with your session, by systemd
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Write a systemd user unit that runs `covey daemon`
    Install,
    /// Remove that unit
    Uninstall,
}

impl Service {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let path = unit::default_path()?;
        let reload = "systemctl --user daemon-reload".to_owned();
        let info = match self {
            Self::Install => {
                session.require_node()?;
                unit::install(&path, &Unit::new(&program()?, session.explicit_home.as_deref()))?;
                let next = vec![reload, "systemctl --user enable --now covey".to_owned()];
                ServiceInfo { unit: path, installed: true, next }
            }
            Self::Uninstall => {
                unit::uninstall(&path)?;
                let next = vec!["systemctl --user disable --now covey".to_owned(), reload];
                ServiceInfo { unit: path, installed: false, next }
            }
        };
        session.output.done(Reply::Service(info))
    }
}

/// This very program, by its full path.
fn program() -> Result<std::path::PathBuf, ApiError> {
    std::env::current_exe().and_then(|path| Path::canonicalize(&path)).map_err(|error| {
        ApiError::new(ErrorCode::Internal, format!("cannot tell where this program is: {error}"))
    })
}
