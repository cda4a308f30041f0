//! What a server is told at its start.

use std::path::PathBuf;

use super::error::Error;
use super::secret;
use super::trace::Trace;
use crate::limits;
use crate::net::Listen;
use crate::net::address::{CLIENT_PORT, with_port};
use crate::node::lines::TraceLevel;
use crate::node::members::LONE;
use crate::node::{End, Flags, Listed, clients};
use crate::raft;

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

/// That the flags of a server of a cluster fit each other; a sentence where they do not.
pub fn check_flags(options: &Options) -> Result<(), String> {
    raft::check_timeouts(options.election_timeout_ms, options.heartbeat_ms)
        .map_err(|wrong| wrong.to_string())?;
    let Some(first) = options.cluster.first() else { return Ok(()) };
    let Some(id) = &options.id else {
        let example = &first.name;
        return Err(format!(
            "--cluster needs --id, the name of this server in it, as in --id {example}"
        ));
    };
    if !options.cluster.iter().any(|listed| listed.name == *id) {
        let names: Vec<&str> = options.cluster.iter().map(|listed| listed.name.as_str()).collect();
        let names = names.join(", ");
        return Err(format!("--id {id} is not in --cluster, which lists {names}"));
    }
    if options.cluster_secret_file.is_none() {
        return Err("--cluster needs --cluster-secret-file; make one with chatctl serve \
                    --new-secret FILE, and give every server a copy"
            .to_owned());
    }
    Ok(())
}

/// Where clients are sent to reach this server: what the flag says, else the first address it listens
/// at that may be reached from elsewhere.
pub(super) fn client_address(
    options: &Options,
    addresses: &[String],
    trace: Trace,
) -> Result<String, Error> {
    if let Some(address) = &options.advertise {
        let address = with_port(address, CLIENT_PORT);
        let printable = address.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || address.len() > limits::PEER_ADDRESS_BYTES {
            return Err(Error::Node(End::Cluster(
                "--advertise must be the HOST[:PORT] at which clients reach this server".to_owned(),
            )));
        }
        return Ok(address);
    }
    let is_unix = |address: &&String| address.starts_with("unix:");
    let tcp = addresses.iter().find(|address| !is_unix(address));
    let address = tcp.or(addresses.first()).cloned().unwrap_or_default();
    let everywhere = address.starts_with("0.0.0.0:") || address.starts_with("[::]:");
    if everywhere && options.cluster_secret_file.is_some() {
        trace.warning(format_args!(
            "the other servers send clients to {address}, which clients cannot reach: give \
             --advertise"
        ));
    }
    Ok(address)
}

/// What the node is told.
pub(super) fn flags(options: &Options, client_address: String) -> Flags {
    let secret = options.cluster_secret_file.as_ref().map(|file| secret::read(file));
    let core = raft::Config {
        election_timeout_ms: options.election_timeout_ms,
        heartbeat_ms: options.heartbeat_ms,
        ..raft::Config::new(LONE, vec![LONE], 0)
    };
    let clients = clients::Settings {
        id: String::new(),
        peers: Vec::new(),
        read_only_after_ms: options.read_only_after_ms,
        address: client_address,
        password_iterations: options.password_iterations,
        token_days: options.token_days,
        idle_timeout_ms: options.idle_timeout_ms,
        login_timeout_ms: options.login_timeout_ms,
        max_sessions_per_address: options.max_sessions_per_address,
        max_unauthenticated_per_address: options.max_unauthenticated_per_address,
        max_sessions_per_account: options.max_sessions_per_account,
        read_only_logins: options.read_only_logins,
        logins_per_minute: options.logins_per_minute,
        tell_details: options.trace >= TraceLevel::Debug,
    };
    Flags {
        id: options.id.clone(),
        cluster: options.cluster.clone(),
        secret: secret.map(|secret| secret.map_err(|why| why.to_string())),
        directory: options.data_dir.display().to_string(),
        segment_bytes: options.segment_mib << 20,
        core,
        clients,
        max_connections: options.max_connections,
        clock_stands_ms: limits::CLOCK_STANDS_MS,
        id_window: limits::ID_WINDOW,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Options for tests of what stands above them.
    pub fn options() -> Options {
        Options {
            listen: Vec::new(),
            data_dir: PathBuf::new(),
            password_iterations: 1,
            token_days: 7,
            idle_timeout_ms: 60_000,
            login_timeout_ms: 60_000,
            segment_mib: 1,
            max_connections: 100,
            max_sessions_per_address: 100,
            max_unauthenticated_per_address: 100,
            max_sessions_per_account: 100,
            logins_per_minute: 0,
            read_only_logins: true,
            trace: TraceLevel::Error,
            id: None,
            cluster: Vec::new(),
            advertise: None,
            cluster_secret_file: None,
            election_timeout_ms: limits::RAFT_ELECTION_TIMEOUT_MS,
            heartbeat_ms: limits::RAFT_HEARTBEAT_MS,
            read_only_after_ms: limits::READ_ONLY_AFTER_MS,
        }
    }
}
