//! `covey`: search your own files, and those that friends and colleagues share with you.
//!
//! This binary holds no logic: it parses a command ([`args`]), lets the node carry it out
//! ([`session`] asks the running daemon, or opens the home itself), and prints the result ([`show`]).
#![forbid(unsafe_code)]

mod args;
mod commands;
mod demo;
mod logfile;
mod output;
mod place;
mod progress;
mod session;
mod show;
mod text;

use std::process::ExitCode;

use clap::Parser;
use covey_node::api::{ApiError, ErrorCode};

use crate::args::Cli;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let output = Output::new(cli.global.json, cli.global.quiet);
    match commands::run(cli, &output) {
        Ok(code) => code,
        Err(error) => {
            output.failed(&error);
            ExitCode::from(error.code.exit_code())
        }
    }
}

/// Help and version go to stdout with success; a mistake goes where errors go.
fn usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && wants_json {
        let message = error.render().to_string();
        let message = message.trim_start_matches("error: ").trim_end();
        Output::new(true, false).failed(&ApiError::new(ErrorCode::Usage, message));
    } else {
        // Nobody left to read it is no reason to fail differently.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
