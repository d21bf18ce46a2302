//! The command line: every command with its options and help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::{
    audit, backup, collections, coordinator, daemon, eval, group, index, init, logs, model, open,
    privacy, search, service, sim, train, tune, watch,
};

const EXAMPLES: &str = "\
First steps:
  covey demo                              three members search each other's notes
  covey add ~/notes                       index a folder
  covey search \"how to prune a pear tree\"

With others:
  covey daemon                            stay reachable (or: covey service install)
  covey group create lab                  found a group
  covey share notes --group lab --reveal snippet
  covey invite lab                        prints a code; on the other machine: covey join CODE
  covey search --group lab \"question\"

Exit codes: 0 success, 1 internal error, 2 usage, 10 not found, 11 exists already, 12 forbidden,
13 bad invite, 14 unreachable, 15 timeout, 16 wrong model, 17 disk, 18 damaged file, 19 busy,
20 frozen group, 130 interrupted.";

/// Search your own files, and those that friends and colleagues share with you.
#[derive(Debug, Parser)]
#[command(name = "covey", version, about, after_help = EXAMPLES, max_term_width = 100)]
#[command(propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Keep everything below DIR instead of the XDG folders
    #[arg(long, global = true, value_name = "DIR", env = "COVEY_HOME")]
    pub home: Option<PathBuf>,
    /// Print one line of JSON (docs/spec/local-api.md), errors included
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress, no hints
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create this node's identity, configuration and folders
    Init(init::Init),
    /// Index a file or folder, or bring its index up to date
    Add(collections::Add),
    /// Forget a collection, or one folder of it; your files stay untouched
    Remove(collections::Remove),
    /// Rebuild collections with the current model
    Reindex(collections::Reindex),
    /// Keep collections up to date while their files change
    Watch(watch::Watch),
    /// Build, see, check, shrink, tune and export indexes
    #[command(subcommand)]
    Index(index::Index),
    /// Find settings for a collection that reach what you want with the least disk
    Tune(tune::Tune),
    /// Search your own files, or a group's
    Search(search::Search),
    Open(open::Open),
    Opened(open::Opened),
    /// Let the members of a group search a collection
    Share(collections::Share),
    /// Take a share back
    Unshare(collections::Unshare),
    /// Run the node, so that others can reach it
    Daemon(daemon::Daemon),
    Coordinator(coordinator::Coordinator),
    /// End the running daemon
    Stop,
    /// Found a group, see and change its membership
    #[command(subcommand)]
    Group(group::Group),
    /// Print a one-use code with which somebody can join a group
    Invite(group::Invite),
    /// Join the group that a code invites to
    Join(group::Join),
    /// Show this node, its collections, groups and connections
    Status,
    /// Show connected peers and known members
    Peers,
    /// Check this node and say what to do about what is wrong
    Doctor,
    /// See who was told what, and check that the record is whole
    #[command(subcommand)]
    Audit(audit::Audit),
    /// List, get, choose, make and measure embedding models
    #[command(subcommand)]
    Model(model::Model),
    Eval(eval::Eval),
    #[command(subcommand)]
    Train(train::Train),
    #[command(subcommand)]
    Privacy(privacy::Privacy),
    #[command(subcommand)]
    Sim(sim::Sim),
    /// Write identity and state to one file
    Backup(backup::Backup),
    /// Bring identity and state back from a backup, into an empty home
    Restore(backup::Restore),
    /// Show the daemon's log
    Logs(logs::Logs),
    /// Start the daemon with your session, by systemd
    #[command(subcommand)]
    Service(service::Service),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Watch three members search each other's notes; leaves nothing behind
    Demo,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_tree_is_sound_and_every_command_says_what_it_does() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        let command = Cli::command();
        command.clone().debug_assert();
        check(&command);
    }

    /// The lines of a help text's examples: what begins with `covey`, without what a note in parentheses or after several
    /// spaces says of it; each command of several that are joined.
    fn examples(help: &str) -> Vec<String> {
        let Some(at) = help.find("Example") else { return vec![] };
        let lines = help[at..].lines().map(|line| {
            let line = line.trim_start_matches("Examples:").trim_start_matches("Example:").trim();
            line.split("  ").next().unwrap_or(line).split(" (").next().unwrap_or(line).to_owned()
        });
        let commands = lines
            .flat_map(|line| line.split(" && ").map(|it| it.trim().to_owned()).collect::<Vec<_>>());
        commands.filter(|line| line.starts_with("covey ")).collect()
    }

    /// Words as a shell would see them, as far as examples go: double and single quotes.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for c in line.chars() {
            match (quote, c) {
                (None, ' ') => words.push(std::mem::take(&mut word)),
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (_, c) => word.push(c),
            }
        }
        assert_eq!(quote, None, "{line}");
        words.push(word);
        words
    }

    #[test]
    fn every_example_is_a_command_that_parses() {
        fn check(command: &clap::Command, seen: &mut usize) {
            let help = [command.get_after_help(), command.get_after_long_help()];
            for example in help.into_iter().flatten().flat_map(|it| examples(&it.to_string())) {
                *seen += 1;
                let parsed = Cli::try_parse_from(words(&example));
                assert!(parsed.is_ok(), "{}: `{example}`: {parsed:?}", command.get_name());
            }
            command.get_subcommands().for_each(|command| check(command, seen));
        }
        let mut seen = 0;
        check(&Cli::command(), &mut seen);
        assert!(seen > 50, "{seen} examples");
        assert_eq!(words("covey search \"a b\" c"), ["covey", "search", "a b", "c"]);
    }
}
