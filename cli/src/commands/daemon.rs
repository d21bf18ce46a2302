//! `covey daemon` and `covey stop`.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use covey_net::Addr;
use covey_node::api::client::Client;
use covey_node::api::{ApiError, Call, ErrorCode};
use covey_node::cancel::CancelFlag;
use covey_node::config::{Config, LogFormat};
use covey_node::daemon::{self, DaemonOptions, Ready};
use covey_node::home::HomeError;
use covey_node::node::Role;

use crate::logfile;
use crate::session::{Interrupts, Session, block_on};

/// How long `covey stop` waits for the daemon to be gone.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
const STOP_RETRY: Duration = Duration::from_millis(50);

/// Run the node, so that others can reach it
///
/// It runs until `covey stop` or Ctrl-C. `covey service install` lets systemd start it with your session.
#[derive(Debug, Args)]
#[command(after_help = "Example: covey daemon --listen /ip4/0.0.0.0/tcp/4600 --relay")]
pub struct Daemon {
    #[command(flatten)]
    serve: Serve,
    /// Relay for members of your groups (for a machine with a public address)
    #[arg(long)]
    relay: bool,
}

/// What every kind of daemon takes.
#[derive(Debug, Args)]
pub struct Serve {
    /// Listen here instead of where the configuration says; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<Addr>,
    /// Neither announce this node on the local network nor look for others there
    #[arg(long)]
    no_mdns: bool,
    /// Tell metrics to a Prometheus at this address of this machine, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Let other machines read the metrics
    #[arg(long)]
    metrics_public: bool,
    /// How the log is written (text by default, or what the configuration says)
    #[arg(long, value_parser = log_format, value_name = "text|json")]
    log_format: Option<LogFormat>,
    /// End when standard input does
    #[arg(long, hide = true, help = "End when standard input does")]
    exit_with_stdin: bool,
}

impl Daemon {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        self.serve.run(session, self.relay, Role::Full, &|_| {
            "covey is running; Ctrl-C ends it.".to_owned()
        })
    }
}

impl Serve {
    /// Runs the node until it is told to end; `greet` says what it is once it is up.
    pub fn run(
        self,
        session: &Session<'_>,
        relay: bool,
        role: Role,
        greet: &dyn Fn(&Ready) -> String,
    ) -> Result<(), ApiError> {
        session.require_node()?;
        session.home.create()?;
        let config = Config::load(&session.home.config_path())?;
        let lock = session.home.lock().map_err(already_running)?;
        let log = session.home.log_path();
        let format = self.log_format.unwrap_or(config.log_format);
        logfile::start(&log, config.log.as_str(), format).map_err(|error| {
            ApiError::new(ErrorCode::Storage, format!("cannot write {}: {error}", log.display()))
                .hint("check free space and permissions")
        })?;
        let options = DaemonOptions {
            listen: (!self.listen.is_empty()).then_some(self.listen),
            relay,
            no_mdns: self.no_mdns,
            metrics: self.metrics,
            metrics_public: self.metrics_public,
            role,
        };
        let stop = CancelFlag::new();
        if self.exit_with_stdin {
            stop_at_end_of_input(stop.clone());
        }
        block_on(async {
            tokio::spawn(stop_when_interrupted(Interrupts::catch()?, stop.clone()));
            daemon::run(&session.home, lock, options, stop, |ready| {
                let listed: Vec<_> = ready.addresses.iter().map(|it| format!("  {it}")).collect();
                let mut notice = format!("{}\nListening at\n{}", greet(ready), listed.join("\n"));
                if let Some(at) = ready.metrics {
                    notice.push_str(&format!("\nMetrics at http://{at}/metrics"));
                }
                session.output.notice(&notice);
            })
            .await
        })
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("write text or json".to_owned()),
    }
}

/// The first signal ends the daemon in good order, the second one at once.
async fn stop_when_interrupted(mut interrupts: Interrupts, stop: CancelFlag) {
    interrupts.next().await;
    stop.cancel();
    interrupts.next().await;
    std::process::exit(ErrorCode::Cancelled.exit_code().into());
}

/// A thread of its own: reading standard input blocks until whoever started us is gone.
fn stop_at_end_of_input(stop: CancelFlag) {
    std::thread::spawn(move || {
        let mut sink = [0; 64];
        while matches!(std::io::stdin().read(&mut sink), Ok(n) if n > 0) {}
        stop.cancel();
    });
}

/// What it means for a command that needs the home for itself that somebody has it.
pub fn already_running(error: HomeError) -> ApiError {
    match error {
        HomeError::Busy { pid, .. } => {
            let pid = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            ApiError::new(
                ErrorCode::Busy,
                format!("a daemon or another command uses this home already{pid}"),
            )
            .hint("`covey status` shows a running daemon, `covey stop` ends it")
        }
        other => other.into(),
    }
}

/// Ends the running daemon, and waits until it is gone.
pub fn stop(session: &Session<'_>) -> Result<(), ApiError> {
    session.require_node()?;
    let socket = session.home.socket_path()?;
    block_on(async {
        let client = Client::connect(&socket)
            .await?
            .ok_or_else(|| ApiError::new(ErrorCode::NotFound, "no daemon is running"))?;
        let reply = client.call(&Call::Stop, &mut |_| {}).await?;
        let gone = async {
            // It gives the lock back last.
            while session.home.lock().is_err() {
                tokio::time::sleep(STOP_RETRY).await;
            }
        };
        tokio::time::timeout(STOP_PATIENCE, gone).await.map_err(|_| {
            ApiError::new(ErrorCode::Timeout, "the daemon was told to stop but still runs")
                .hint("`covey logs` may tell why")
        })?;
        session.output.notice("Stopped.");
        session.output.done(reply)
    })
}
