//! Flags that several subcommands have. Those without a `set` get it from the subcommand.

use std::convert::Infallible;
use std::path::PathBuf;

use super::row::{Flag, Variable, choice, choose, put, switch, text};
use crate::net::address;
use crate::protocol::framing::Codec;

/// `--config`, where a subcommand can be configured by a file.
pub const CONFIG: Flag = text("config", "FILE")
    .help("Read flags from FILE, one line `name = value` each.")
    .more(
        "A # at the start of a line or after white space begins a comment. A flag \
         that can be repeated has one line for each value; a flag without a value is set to true \
         or false. The command line and the environment override the file.",
    )
    .sets(|v, text| put(&mut v.config, path(&v.home, text).map(Some)))
    .not_in_config();

/// `--color`, where something is printed in colours.
pub const COLOR: Flag = choice("color", "WHEN", &["auto", "always", "never"])
    .help("When to use colours: auto (on a terminal), always or never.")
    .default("auto")
    .not_in_config();

/// `NO_COLOR`, where something is printed in colours.
pub const NO_COLOR: Variable = Variable {
    name: "NO_COLOR",
    help: "If not empty, there are no colours, unless --color=always.",
};

/// `--servers`, where a command goes to the peers' port.
pub const PEERS: Flag = text("servers", "HOST[:PORT],...")
    .help("Peer addresses of one or more servers, as in --cluster of chatctl serve.")
    .more("The command finds the other servers through these.")
    .sets(|v, text| put(&mut v.target.servers, peer_addresses(text)))
    .default("127.0.0.1:7263")
    .env("CHATCTL_PEERS");

/// `--data-dir`, where a command asks the server on this machine.
pub const OPERATED: Flag = text("data-dir", "DIR")
    .help(
        "Ask the server that runs on DIR on this machine, without a secret, through a socket in \
         DIR.",
    )
    .more("That server asks the others. --servers and --cluster-secret-file are then ignored.")
    .sets(|v, text| put(&mut v.target.data_dir, path(&v.home, text).map(Some)));

/// `--cluster-secret-file`, where a command goes to the peers' port.
pub const SECRET: Flag = text("cluster-secret-file", "FILE")
    .help("File with the cluster's secret; must have mode 0600.")
    .sets(|v, text| put(&mut v.target.cluster_secret_file, path(&v.home, text).map(Some)));

/// `--servers`, where a command is a client.
pub const SERVERS: Flag = text("servers", "ADDRESS,...")
    .help(
        "Servers to try in turn, separated by commas: HOST[:PORT] or unix:PATH; the default port \
         is 7262.",
    )
    .default("127.0.0.1:7262")
    .env("CHATCTL_SERVERS");

/// `--json`, where the output is lines.
pub const JSON: Flag = switch("json").help("Print JSON, one object per line.").not_in_config();

/// The path that a text names. A `~` at its beginning is the home directory, also where no shell has
/// replaced it: in a configuration file, in the environment, after a `=`.
pub fn path(home: &Option<PathBuf>, text: &str) -> Result<PathBuf, Infallible> {
    let below_home = match text.strip_prefix('~') {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix('/'),
        None => None,
    };
    Ok(match (below_home, home) {
        (Some(below), Some(home)) => home.join(below),
        _ => PathBuf::from(text),
    })
}

/// The client addresses of a list: `HOST`, `HOST:PORT` or `unix:PATH`, with the default port if there
/// is none. Only connecting shows whether a server is there.
pub fn client_addresses(list: &str) -> Result<Vec<String>, String> {
    let address = |text: &str| {
        let address = address::with_port(text, address::CLIENT_PORT);
        match address::client_address(&address) {
            Ok(()) => Ok(address),
            Err(why) => {
                Err(format!("'{}' is not HOST[:PORT] or unix:PATH: {why}", text.escape_debug()))
            }
        }
    };
    list.split(',').map(|text| address(text.trim())).collect()
}

/// The peer addresses of a list: `HOST` or `HOST:PORT`, with the default port if there is none.
pub fn peer_addresses(list: &str) -> Result<Vec<String>, Infallible> {
    Ok(list.split(',').map(|at| address::with_port(at.trim(), address::PEER_PORT)).collect())
}

/// The codec of `--protocol`.
pub fn codec(word: &str) -> Result<Codec, String> {
    choose(word, &[("json", Codec::Json), ("binary", Codec::Binary)])
}

/// The value of [`COLOR`]: whether to print in colours; `None`: as the terminal can.
pub fn colour(word: &str) -> Result<Option<bool>, String> {
    choose(word, &[("auto", None), ("always", Some(true)), ("never", Some(false))])
}
