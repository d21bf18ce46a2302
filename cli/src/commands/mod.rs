//! The commands, one file for each family. Each turns its options into calls and prints the replies.

pub mod audit;
pub mod backup;
pub mod collections;
pub mod coordinator;
pub mod daemon;
pub mod eval;
pub mod group;
pub mod index;
pub mod init;
pub mod logs;
pub mod model;
pub mod open;
pub mod privacy;
pub mod search;
pub mod service;
pub mod sim;
pub mod train;
pub mod tune;
pub mod watch;

use std::process::ExitCode;

use clap::CommandFactory;
use covey_node::api::{ApiError, Call, Reply};

use crate::args::{Cli, Command};
use crate::demo;
use crate::output::Output;
use crate::session::Session;

/// Carries a command out.
pub fn run(cli: Cli, output: &Output) -> Result<ExitCode, ApiError> {
    let session = || Session::new(cli.global.home.as_deref(), output);
    let done = match cli.command {
        Command::Init(it) => it.run(&session()?),
        Command::Add(it) => it.run(&session()?),
        Command::Remove(it) => it.run(&session()?),
        Command::Reindex(it) => it.run(&session()?),
        Command::Index(it) => it.run(&session()?),
        Command::Watch(it) => it.run(&session()?),
        Command::Tune(it) => it.run(&session()?),
        Command::Search(it) => it.run(&session()?),
        Command::Open(it) => it.run(&session()?),
        Command::Opened(it) => it.run(&session()?),
        Command::Share(it) => it.run(&session()?),
        Command::Unshare(it) => it.run(&session()?),
        Command::Daemon(it) => it.run(&session()?),
        Command::Coordinator(it) => it.run(&session()?),
        Command::Stop => daemon::stop(&session()?),
        Command::Group(it) => it.run(&session()?),
        Command::Invite(it) => it.run(&session()?),
        Command::Join(it) => it.run(&session()?),
        Command::Status => session()?.show(Call::Status, "looking"),
        Command::Peers => session()?.show(Call::Peers, "looking"),
        Command::Doctor => return doctor(&session()?),
        Command::Audit(it) => it.run(&session()?),
        Command::Model(it) => it.run(&session()?),
        Command::Eval(it) => it.run(&session()?),
        Command::Sim(it) => it.run(output),
        Command::Train(it) => it.run(&session()?),
        Command::Privacy(privacy::Privacy::Report) => {
            session()?.show(Call::PrivacyReport, "looking")
        }
        Command::Privacy(privacy::Privacy::Plan(it)) => it.run(output),
        Command::Backup(it) => it.run(&session()?),
        Command::Restore(it) => it.run(&session()?),
        Command::Logs(it) => it.run(&session()?),
        Command::Service(it) => it.run(&session()?),
        Command::Completions { shell } => completions(shell, output),
        Command::Demo => demo::run(output),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Prints all checks, and fails if one of them did.
fn doctor(session: &Session<'_>) -> Result<ExitCode, ApiError> {
    let reply = session.call(Call::Doctor, "checking")?;
    let failed = match &reply {
        Reply::Doctor { checks } => checks.iter().filter(|check| !check.ok).count(),
        _ => 0,
    };
    session.output.done(reply)?;
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn completions(shell: clap_complete::Shell, output: &Output) -> Result<(), ApiError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "covey", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end()).map(|_| ())
}
