//! The configuration file: what a person may set, with its defaults and its commented text.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use covey_embedder::Compute;
use covey_net::Addr;
use covey_protocol::ids::{Name, NodeId};
use serde::{Deserialize, Deserializer, de};

use crate::durable;
use crate::store::StoreError;

/// Largest configuration file read, in bytes.
pub(crate) const MAX_CONFIG: u64 = 256 * 1024;
/// First of the ports a new node draws its own from. They end below 32768, where Linux starts to
/// take ports for outgoing connections.
const FIRST_PORT: u16 = 16_384;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is none.
    #[error("there is no configuration at {path}; run: covey init")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It does not make sense.
    #[error("{path} cannot be understood; correct it and try again:\n{what}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The place and the reason.
        what: String,
    },
    /// The disk said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person may set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name that new groups are offered for this node.
    pub name: Name,
    /// Where the daemon listens; any free TCP and QUIC port if empty.
    #[serde(default)]
    pub listen: Vec<Addr>,
    /// Whether to announce this node on the local network and to look for others there.
    #[serde(default = "yes")]
    pub mdns: bool,
    /// Whether to relay for members of the own groups.
    #[serde(default)]
    pub relay: bool,
    /// Relays to be reachable through.
    #[serde(default)]
    pub relays: Vec<Relay>,
    /// What the daemon's log tells.
    #[serde(default)]
    pub log: LogLevel,
    /// How it is written.
    #[serde(default)]
    pub log_format: LogFormat,
    /// Where the daemon tells metrics, if it does.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Whether other machines may read them.
    #[serde(default)]
    pub metrics_public: bool,
    /// Larger files are not indexed, in MiB.
    #[serde(default)]
    pub max_file_mib: MaxFileMib,
    /// The model for new collections until `covey model use` names one; the built-in one by default.
    #[serde(default)]
    pub model: Option<String>,
    /// Where transformers compute, and models are trained.
    #[serde(default)]
    pub device: Compute,
}

impl Config {
    /// The defaults, for a node called `name` that listens on `port` everywhere.
    pub fn new(name: Name, port: u16) -> Self {
        let listen = [
            format!("/ip4/0.0.0.0/tcp/{port}"),
            format!("/ip6/::/tcp/{port}"),
            format!("/ip4/0.0.0.0/udp/{port}/quic-v1"),
            format!("/ip6/::/udp/{port}/quic-v1"),
        ];
        let listen = listen.map(|text| text.parse().expect("a constant, valid address")).to_vec();
        Self {
            name,
            listen,
            mdns: true,
            relay: false,
            relays: Vec::new(),
            log: LogLevel::default(),
            log_format: LogFormat::default(),
            metrics: None,
            metrics_public: false,
            max_file_mib: MaxFileMib::default(),
            model: None,
            device: Compute::Cpu,
        }
    }

    /// A port for a new node, from 16384 to 32767. It is kept in the configuration, so that invites and
    /// firewall rules stay true.
    pub const fn pick_port(random: u64) -> u16 {
        FIRST_PORT + (random % FIRST_PORT as u64) as u16
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it is missing, unreadable, or holds something else than a configuration.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = match durable::read_bounded(path, MAX_CONFIG) {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(ConfigError::Missing { path: path.to_owned() });
            }
            other => other?,
        };
        let invalid = |what| ConfigError::Invalid { path: path.to_owned(), what };
        let text = String::from_utf8(bytes).map_err(|_| invalid("it is no UTF-8".into()))?;
        toml::from_str(&text).map_err(|error| invalid(error.to_string()))
    }

    /// Writes the file at `path`, comments included, in one step.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        durable::replace(path, self.to_text().as_bytes())
    }

    /// The file's text, with a comment on every setting.
    pub fn to_text(&self) -> String {
        let listen = list(&self.listen);
        let relays = list(&self.relays);
        let model = match &self.model {
            Some(model) => format!("model = {}", quote(model)),
            None => "# model = \"...\"".to_owned(),
        };
        let metrics = match &self.metrics {
            Some(at) => format!("metrics = \"{at}\""),
            None => "# metrics = \"127.0.0.1:9464\"".to_owned(),
        };
        format!(
            "\
# Covey's configuration. After a change, restart the daemon.

# The name that new groups are offered for this node.
name = {name}

# Where the daemon listens. The port was drawn when this node was made and should stay, as invites
# hold it. With an empty list it is any free port, another one at every start.
listen = {listen}

# Announce this node on the local network, and look for others there.
mdns = {mdns}

# Relay for members of the own groups (for a machine with a public address).
relay = {relay}

# Relays to be reachable through, each as \"NODE@ADDRESS\".
relays = {relays}

# What the daemon's log tells: error, warn, info, debug or trace.
log = \"{log}\"

# How it is written: text, or json with one object a line.
log_format = \"{log_format}\"

# Where the daemon tells metrics to a Prometheus, at /metrics; nowhere unless an address is given.
{metrics}

# Let other machines read them. Without it, only an address of this machine alone is taken.
metrics_public = {metrics_public}

# Larger files are not indexed, in MiB (1 to 1024).
max_file_mib = {max_file_mib}

# The model for new collections until `covey model use` names one. Without it, the built-in one.
{model}

# Where transformers compute: cpu; or a graphics card, cuda or wgpu, in a covey that was built with it. cuda:1
# is the second card.
device = \"{device}\"
",
            name = quote(self.name.as_str()),
            mdns = self.mdns,
            relay = self.relay,
            log = self.log,
            log_format = self.log_format,
            metrics_public = self.metrics_public,
            max_file_mib = self.max_file_mib.0,
            device = self.device,
        )
    }
}

/// A node that relays, and where it is: `NODE@ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The node.
    pub node: NodeId,
    /// Its address.
    pub addr: Addr,
}

/// A text that names no relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a relay: {0}; write NODE@ADDRESS")]
pub struct ParseRelayError(String);

impl FromStr for Relay {
    type Err = ParseRelayError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (node, addr) =
            text.split_once('@').ok_or_else(|| ParseRelayError("there is no @ in it".into()))?;
        let node = node.parse().map_err(|error| ParseRelayError(format!("{error}")))?;
        let addr = addr.parse().map_err(|error| ParseRelayError(format!("{error}")))?;
        Ok(Self { node, addr })
    }
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node, self.addr)
    }
}

impl<'de> Deserialize<'de> for Relay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// How much a log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what looks wrong.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And the details of it.
    Debug,
    /// And everything, question texts and file names included.
    Trace,
}

impl LogLevel {
    /// As `tracing` filters write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object on each line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// A size of files in MiB, from 1 to 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxFileMib(u32);

impl MaxFileMib {
    /// The size, if it is from 1 to 1024.
    pub const fn new(mib: u32) -> Option<Self> {
        match mib {
            1..=1024 => Some(Self(mib)),
            _ => None,
        }
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0 as u64 * 1024 * 1024
    }
}

impl Default for MaxFileMib {
    fn default() -> Self {
        Self(64)
    }
}

impl<'de> Deserialize<'de> for MaxFileMib {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?)
            .ok_or_else(|| de::Error::custom("max_file_mib must be from 1 to 1024"))
    }
}

const fn yes() -> bool {
    true
}

fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "[]".to_owned();
    }
    let items: String =
        items.iter().map(|item| format!("    {},\n", quote(&item.to_string()))).collect();
    format!("[\n{items}]")
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;

    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).expect("writes");
        Config::load(&path)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let node = NodeId::new(SecretKey::from_seed(&[1; 32]).public());
        let mut config = Config::new("Ada \"the\" first".parse().expect("a name"), 20_000);
        assert_eq!(load(&config.to_text()).expect("reads"), config);
        config.mdns = false;
        config.relay = true;
        config.relays =
            vec![Relay { node, addr: "/ip4/192.0.2.7/tcp/4600".parse().expect("an address") }];
        config.log = LogLevel::Debug;
        config.log_format = LogFormat::Json;
        config.metrics = Some("[::1]:9464".parse().expect("an address"));
        config.metrics_public = true;
        config.max_file_mib = MaxFileMib::new(7).expect("in range");
        config.model = Some("all-MiniLM-L6-v2".into());
        config.device = Compute::Cuda(1);
        config.listen.clear();
        assert_eq!(load(&config.to_text()).expect("reads"), config);
    }

    #[test]
    fn only_the_name_is_needed() {
        let config = load("name = 'ada'").expect("reads");
        let defaults = Config { listen: Vec::new(), ..Config::new(config.name.clone(), 1) };
        assert_eq!(config, defaults);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("", "missing field `name`"),
            ("name = 'a/b'", "path separator"),
            ("name = 'ada'\nmdsn = true", "unknown field `mdsn`"),
            ("name = 'ada'\nmdns = 'no'", "expected a boolean"),
            ("name = 'ada'\nmax_file_mib = 0", "from 1 to 1024"),
            ("name = 'ada'\ndevice = 'gpu'", "write cpu, cuda or wgpu"),
            ("name = 'ada'\nlog = 'loud'", "unknown variant `loud`"),
            ("name = 'ada'\nlog_format = 'xml'", "unknown variant `xml`"),
            ("name = 'ada'\nmetrics = 'localhost'", "socket address"),
            ("name = 'ada'\nlisten = ['4600']", "not an address"),
            ("name = 'ada'\nrelays = ['/ip4/192.0.2.7/tcp/1']", "there is no @"),
            ("name = 'ada'\nrelays = ['x@/ip4/192.0.2.7/tcp/1']", "node id"),
        ];
        for (text, expected) in cases {
            let error = load(text).expect_err("is wrong").to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let missing = Config::load(Path::new("/nonexistent/config.toml")).expect_err("is missing");
        assert!(matches!(missing, ConfigError::Missing { .. }));
    }

    #[test]
    fn ports_stay_in_range() {
        for (random, port) in [(0, 16_384), (16_383, 32_767), (16_384, 16_384), (u64::MAX, 32_767)]
        {
            assert_eq!(Config::pick_port(random), port);
        }
    }
}
