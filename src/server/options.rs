//! What a server is told at its start.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::cluster::Listed;
use crate::net::Listen;

/// How much a line on standard error matters, and how much a server tells there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceLevel {
    /// Something failed, and an operator must act.
    Error,
    /// Something may need an operator, or is worse than it should be.
    Warning,
    /// Something changed: start, stop, roles, members.
    #[default]
    Info,
    /// Details, such as every connection.
    Debug,
}

impl fmt::Display for TraceLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TraceLevel::Error => "error",
            TraceLevel::Warning => "warning",
            TraceLevel::Info => "info",
            TraceLevel::Debug => "debug",
        })
    }
}

impl FromStr for TraceLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<TraceLevel, String> {
        match text {
            "error" => Ok(TraceLevel::Error),
            "warning" => Ok(TraceLevel::Warning),
            "info" => Ok(TraceLevel::Info),
            "debug" => Ok(TraceLevel::Debug),
            _ => Err(format!("unknown level {text:?}: use error, warning, info or debug")),
        }
    }
}

/// The options of `chatctl serve`, whose table of flags has the defaults.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where clients come; at least one.
    pub listen: Vec<Listen>,
    /// The data directory, made when it is not there.
    pub data_dir: PathBuf,
    /// PBKDF2 iterations of new passwords.
    pub password_iterations: u32,
    /// How long a token is good, days.
    pub token_days: u32,
    /// Silence after which a connection is closed, milliseconds.
    pub idle_timeout_ms: u64,
    /// Time that a connection has to log in, milliseconds.
    pub login_timeout_ms: u64,
    /// Size of a segment of the log, MiB.
    pub segment_mib: u32,
    /// Most connections at a time; more wait to be accepted.
    pub max_connections: usize,
    /// Maximum number of logged-in connections of one network.
    pub max_sessions_per_address: usize,
    /// Maximum number of connections of one network that have not logged in.
    pub max_unauthenticated_per_address: usize,
    /// Maximum number of sessions of one account.
    pub max_sessions_per_account: usize,
    /// Most password checks a minute for one address; 0 for any number.
    pub logins_per_minute: u32,
    /// Whether a server without a majority lets anyone log in.
    pub read_only_logins: bool,
    /// How much is told.
    pub trace: TraceLevel,
    /// This server's name.
    pub id: Option<String>,
    /// The cluster's servers, by name; none for a server that is alone, or to take the log's.
    pub cluster: Vec<Listed>,
    /// Where clients are sent to reach this server, when it is not where it listens.
    pub advertise: Option<String>,
    /// The file with the cluster's secret.
    pub cluster_secret_file: Option<PathBuf>,
    /// The shortest silence of the PRIMARY before a backup stands for election, milliseconds.
    pub election_timeout_ms: u64,
    /// Between two heartbeats, milliseconds.
    pub heartbeat_ms: u64,
    /// How long requests are held while no server is PRIMARY, before it is read-only, milliseconds.
    pub read_only_after_ms: u64,
}
