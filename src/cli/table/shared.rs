//! Flags that several subcommands have. Those without a `set` get it from the subcommand.

use std::convert::Infallible;
use std::path::PathBuf;

use super::row::{FLAG, Flag, Kind, Variable, choose, put};
use crate::net::address;
use crate::protocol::framing::Codec;

/// `--config`, where a subcommand can be configured by a file.
pub const CONFIG: Flag = Flag {
    name: "config",
    value: "FILE",
    help: "Read flags from FILE, one line `name = value` each.",
    more: "A # at the start of a line or after white space begins a comment. A flag \
           that can be repeated has one line for each value; a flag without a value is set to true \
           or false. The command line and the environment override the file.",
    set: |v, text| put(&mut v.config, path(&v.home, text).map(Some)),
    config: false,
    ..FLAG
};

/// `--color`, where something is printed in colours.
pub const COLOR: Flag = Flag {
    name: "color",
    kind: Kind::Choice(&["auto", "always", "never"]),
    value: "WHEN",
    help: "When to use colours: auto (on a terminal), always or never.",
    default: Some("auto"),
    config: false,
    ..FLAG
};

/// `NO_COLOR`, where something is printed in colours.
pub const NO_COLOR: Variable = Variable {
    name: "NO_COLOR",
    help: "If not empty, there are no colours, unless --color=always.",
};

/// `--servers`, where a command goes to the peers' port.
pub const PEERS: Flag = Flag {
    name: "servers",
    value: "HOST[:PORT],...",
    help: "Peer addresses of one or more servers, as in --cluster of chatctl serve.",
    more: "The command finds the other servers through these.",
    set: |v, text| put(&mut v.target.servers, peer_addresses(text)),
    default: Some("127.0.0.1:7263"),
    env: Some("CHATCTL_PEERS"),
    ..FLAG
};

/// `--data-dir`, where a command asks the server on this machine.
pub const OPERATED: Flag = Flag {
    name: "data-dir",
    value: "DIR",
    help: "Ask the server that runs on DIR on this machine, without a secret, through a socket in \
           DIR.",
    more: "That server asks the others. --servers and --cluster-secret-file are then ignored.",
    set: |v, text| put(&mut v.target.data_dir, path(&v.home, text).map(Some)),
    ..FLAG
};

/// `--cluster-secret-file`, where a command goes to the peers' port.
pub const SECRET: Flag = Flag {
    name: "cluster-secret-file",
    value: "FILE",
    help: "File with the cluster's secret; must have mode 0600.",
    set: |v, text| put(&mut v.target.cluster_secret_file, path(&v.home, text).map(Some)),
    ..FLAG
};

/// `--servers`, where a command is a client.
pub const SERVERS: Flag = Flag {
    name: "servers",
    value: "ADDRESS,...",
    help: "Servers to try in turn, separated by commas: HOST[:PORT] or unix:PATH; the default port \
           is 7262.",
    default: Some("127.0.0.1:7262"),
    env: Some("CHATCTL_SERVERS"),
    ..FLAG
};

/// `--json`, where the output is lines.
pub const JSON: Flag = Flag {
    name: "json",
    kind: Kind::Switch,
    help: "Print JSON, one object per line.",
    config: false,
    ..FLAG
};

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
