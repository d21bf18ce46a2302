//! `covey train`: learning together with a group.

mod limits;
mod watch;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use covey_node::api::{ApiError, Call, DEFAULT_MAX_BYTES, OptIn, StartRounds};
use covey_privacy::ledger::Unit;
use covey_protocol::ids::Name;

use self::limits::{LimitsArgs, ScheduleArgs};
use self::watch::WatchArgs;
use super::collections::{done, existing};
use crate::session::Session;
use crate::text::{parse_pause, parse_permille, parse_seconds, parse_size};

/// Learn together: take part in a group's rounds, or coordinate them
///
/// Members train a small adapter of the shared model on pairs from their own files, and the coordinator learns the sum of their
/// updates only. Nothing is learnt from unless you opt in.
#[derive(Debug, Subcommand)]
pub enum Train {
    OptIn(Box<OptInArgs>),
    /// Take no part any more; training that is under way ends
    OptOut {
        /// The group
        group: Name,
    },
    Limits(Box<LimitsArgs>),
    /// Show who coordinates, what this node does, and how rounds went
    Status {
        /// The group (all by default)
        group: Option<Name>,
    },
    Watch(WatchArgs),
    Start(Box<StartArgs>),
    /// As the coordinator: end the rounds, the one under way included
    Stop {
        /// The group
        group: Name,
    },
}

const OPT_IN: &str = "\
Examples: covey train opt-in lab --collections notes --epsilon 8
          covey train opt-in lab --collections notes,papers --without-noise
          covey train opt-in lab --pairs ~/pairs.jsonl --epsilon 8
          covey train opt-in lab --collections notes --epsilon 4 --unit document
          covey train opt-in lab --collections notes --epsilon 8 --when idle,mains --hours 22:00-06:00";

/// Take part in a group's rounds from now on, on these terms
///
/// With --epsilon this node takes part only in rounds that add noise, and its own ledger, which never forgets what was spent, refuses
/// whatever would exceed it: `covey privacy report` shows how much that is. Without noise the coordinator still sees sums only, but
/// what a sum gives away of one member has no bound. With --unit document epsilon is for any one document, that is a file,
/// of a collection: far less noise hides that, but what rounds give away of all your documents together has no bound.
#[derive(Debug, Args)]
#[command(after_help = OPT_IN, group(ArgGroup::new("noise").required(true)))]
pub struct OptInArgs {
    /// The group
    group: Name,
    /// The collections that are learnt from, with commas
    #[arg(
        long,
        value_delimiter = ',',
        required_unless_present = "pairs",
        value_name = "COLLECTION"
    )]
    collections: Vec<Name>,
    /// A file of pairs to learn from, as `covey model mine` writes it; may be given several times. It is read when training begins.
    /// In the ledger it is an account of its own, by its path: a copy elsewhere is another one
    #[arg(long, value_name = "FILE")]
    pairs: Vec<PathBuf>,
    /// What the rounds protect: peer, all that you have; or document, each document by itself, and nothing of what they have in common
    #[arg(long, default_value = "peer", value_parser = UNITS)]
    unit: String,
    /// The most that all rounds together may give away of it
    #[arg(long, group = "noise")]
    epsilon: Option<f64>,
    /// Take part without noise, and without a bound on what sums give away
    #[arg(long, group = "noise")]
    without_noise: bool,
    /// The chance that they give away more
    #[arg(long, default_value_t = 1e-5)]
    delta: f64,
    /// The most that one round may give away (as much as all by default)
    #[arg(long, requires = "epsilon")]
    round_epsilon: Option<f64>,
    /// Fewest honest members whose updates are summed, yours included
    #[arg(long, default_value_t = 3)]
    min_honest: u32,
    /// Share of the members that may collude with the coordinator without harm, from 0 to below 0.5
    #[arg(long, default_value = "0.1", value_parser = parse_permille, value_name = "SHARE")]
    collusion: u16,
    /// Count towards --min-honest only members who have been in the group so long, and whom the coordinator did not invite
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    known_for: Option<u64>,
    /// Most steps of training in a round
    #[arg(long, default_value_t = 1_000)]
    max_steps: u32,
    /// Most bytes of values and masked update in a round, such as 64MiB (512MiB by default)
    #[arg(long, value_parser = parse_size)]
    max_bytes: Option<u64>,
    #[command(flatten)]
    schedule: ScheduleArgs,
    /// What becomes of new releases of the model: auto checks them, tries them on your own pairs and uses them; ask leaves it to you
    /// (by default what `covey model follow` said last, else auto)
    #[arg(long, value_parser = super::model::ADOPT)]
    adopt: Option<String>,
}

const START: &str = "\
Examples: covey group coordinator lab ann          (by the owner: ann's node coordinates)
          covey train start lab --rounds 10 --epsilon 8
          covey train start lab --rounds 5 --without-noise --window 10m
          covey train start lab --rounds 30 --epsilon 4 --unit document --rule adam --server-rate 0.01";

/// As the coordinator: begin rounds
///
/// Noise is chosen so that all rounds together cost epsilon, however many take part. The plan is signed and says everything that
/// participants agree to; each checks it against its own limits. With --unit document a round is one step: each participant sums the gradients of its
/// documents, each clipped by itself, and --server-rate says how far the step goes. Members take part who have opted in with the same unit.
#[derive(Debug, Args)]
#[command(after_help = START, group(ArgGroup::new("noise").required(true)))]
pub struct StartArgs {
    /// The group
    group: Name,
    /// How many rounds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The model to start from (by default your current one, or what that is a release of)
    #[arg(long)]
    model: Option<String>,
    /// What the rounds protect: peer, all that a participant has, or document, each of its documents by itself
    #[arg(long, default_value = "peer", value_parser = UNITS)]
    unit: String,
    /// With --unit document: most documents of a participant that count in a round (32 by default)
    #[arg(long)]
    documents: Option<u32>,
    /// What all rounds together cost a participant, or each of its documents
    #[arg(long, group = "noise")]
    epsilon: Option<f64>,
    /// Add no noise: sums stay secret but for themselves, and have no bound on what they give away
    #[arg(long, group = "noise")]
    without_noise: bool,
    /// The chance that they give away more
    #[arg(long, default_value_t = 1e-5)]
    delta: f64,
    /// Longest update: 1 by default, and 20 without noise, which grows with it; longest gradient of a document (1 by default)
    #[arg(long)]
    clip: Option<f64>,
    /// Rank of the adapter: 8 by default, and a full map for a static model without noise
    #[arg(long)]
    rank: Option<u16>,
    /// FedProx's mu: how hard updates are pulled back to where they started; 0 for FedAvg
    #[arg(long, default_value_t = 0.0)]
    proximal: f64,
    /// Times that each participant looks at its pairs in a round
    #[arg(long, default_value_t = 1)]
    epochs: u16,
    /// Most steps of training in a round
    #[arg(long, default_value_t = 200)]
    max_steps: u32,
    /// Learning rate: .0002 for a transformer by default, .001 for a static model
    #[arg(long)]
    rate: Option<f64>,
    /// What becomes of the mean update
    #[arg(long, default_value = "average", value_parser = ["average", "momentum", "adagrad", "adam", "yogi"])]
    rule: String,
    /// How much of it is used
    #[arg(long, default_value_t = 1.0)]
    server_rate: f64,
    /// Fewest participants of a round
    #[arg(long, default_value_t = 4)]
    min_cohort: u32,
    /// Most participants of a round, which begins as soon as so many have checked in (100 by default). In larger ones each shares with some
    /// of the others instead of with all
    #[arg(long)]
    max_cohort: Option<u32>,
    /// Share of them that may collude with the coordinator without harm, from 0 to below 0.5
    #[arg(long, default_value = "0.1", value_parser = parse_permille, value_name = "SHARE")]
    collusion: u16,
    /// Share of them that may drop out, from 0 to below 0.5
    #[arg(long, default_value = "0.1", value_parser = parse_permille, value_name = "SHARE")]
    dropout: u16,
    /// Time to train, until participants check in: 90s, 15m, 2h or 7d
    #[arg(long, default_value = "1h", value_parser = parse_seconds)]
    window: u64,
    /// How long a phase of the sum waits for those who are missing
    #[arg(long, default_value = "60s", value_parser = parse_seconds)]
    phase: u64,
    /// How long masked vectors are waited for (four times as long by default)
    #[arg(long, value_parser = parse_seconds)]
    upload: Option<u64>,
    /// From the end of a round to the next plan
    #[arg(long, default_value = "1m", value_parser = parse_pause)]
    pause: u64,
    /// How often what was learnt becomes a release by itself, at most: weekly, never, or a time such as 12h or 3d
    #[arg(long, default_value = "weekly", value_parser = parse_release)]
    release: Often,
    /// The first round's number at least: above what members say that they have seen, where what this coordinator kept is lost
    #[arg(long, value_name = "NUMBER")]
    first_round: Option<u64>,
}

/// What rounds can protect.
const UNITS: [&str; 2] = ["peer", "document"];

fn unit(name: &str) -> Unit {
    if name == "document" { Unit::Document } else { Unit::Peer }
}

/// A shortest time between releases, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Often(Option<u64>);

fn parse_release(text: &str) -> Result<Often, String> {
    match text {
        "weekly" => Ok(Often(Some(7 * 86_400))),
        "never" => Ok(Often(None)),
        text => parse_seconds(text)
            .map(|seconds| Often(Some(seconds)))
            .map_err(|_| format!("`{text}` is neither weekly, never nor a time such as 12h or 3d")),
    }
}

impl Train {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        match self {
            Self::OptIn(args) => {
                let args = *args;
                let pairs =
                    args.pairs.iter().map(|file| existing(file)).collect::<Result<_, _>>()?;
                let choice = OptIn {
                    group: args.group,
                    collections: args.collections,
                    unit: unit(&args.unit),
                    epsilon: args.epsilon,
                    delta: args.delta,
                    round_epsilon: args.round_epsilon,
                    min_honest: args.min_honest,
                    collusion_permille: args.collusion,
                    known_for_s: args.known_for,
                    max_steps: args.max_steps,
                    max_bytes: args.max_bytes.unwrap_or(DEFAULT_MAX_BYTES),
                    schedule: args.schedule.schedule(),
                    adopt: args.adopt.as_deref().map(super::model::adopt),
                    pairs,
                };
                session.show(Call::TrainOptIn(choice), "opting in")?;
                session.notice_without_daemon(
                    "Rounds are followed while this node runs: `covey daemon`",
                )
            }
            Self::OptOut { group } => {
                let notice = format!("This node takes no part in the rounds of {group} any more.");
                done(session, Call::TrainOptOut { group }, &notice)
            }
            Self::Limits(args) => args.run(session),
            Self::Watch(args) => args.run(session),
            Self::Status { group } => session.show(Call::TrainStatus { group }, "looking"),
            Self::Start(args) => {
                let args = *args;
                let call = StartRounds {
                    group: args.group,
                    rounds: args.rounds,
                    model: args.model,
                    unit: unit(&args.unit),
                    documents: args.documents,
                    epsilon: args.epsilon,
                    delta: args.delta,
                    clip: args.clip,
                    rank: args.rank,
                    proximal: args.proximal,
                    epochs: args.epochs,
                    max_steps: args.max_steps,
                    rate: args.rate,
                    rule: args.rule,
                    server_rate: args.server_rate,
                    min_cohort: args.min_cohort,
                    max_cohort: args.max_cohort,
                    collusion_permille: args.collusion,
                    dropout_permille: args.dropout,
                    window_s: args.window,
                    phase_s: whole(args.phase),
                    upload_s: args.upload.map(whole),
                    pause_s: args.pause,
                    release_every_s: args.release.0,
                    first_round: args.first_round,
                };
                session.show(Call::RoundsStart(call), "planning")?;
                session
                    .notice_without_daemon("Rounds take place while this node runs: `covey daemon`")
            }
            Self::Stop { group } => {
                let notice = format!("The rounds of {group} have ended.");
                done(session, Call::RoundsStop { group }, &notice)
            }
        }
    }
}

fn whole(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
