//! What a server is told at its start, as far as the node needs it.

use std::fmt;
use std::str::FromStr;

use super::clients;
use crate::auth::hmac;
use crate::limits;
use crate::net::address::{PEER_PORT, host_and_port, with_port};
use crate::protocol::name;
use crate::raft;

/// What a node is told.
pub struct Flags {
    /// This server's name.
    pub id: Option<String>,
    /// The cluster's servers, by name; none for a server that is alone, or to take the log's.
    pub cluster: Vec<Listed>,
    /// The cluster's secret, or why it cannot be had; none where no file was named.
    pub secret: Option<Result<hmac::Key, String>>,
    /// The data directory, to name it to people.
    pub directory: String,
    /// Size of a segment of the log, bytes.
    pub segment_bytes: u32,
    /// The core's settings; who this server is, and which others there are, the node finds out.
    pub core: raft::Config,
    /// How clients are served. Their address is where they reach this server.
    pub clients: clients::Settings,
    /// Most clients at a time; more wait to be accepted.
    pub max_connections: usize,
    /// How long a step of the wall clock must last before it is followed, milliseconds.
    pub clock_stands_ms: u64,
    /// How many ids of a sender are remembered.
    pub id_window: usize,
}

/// One server of the list that every server is given: `NAME=HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Where the other servers reach it.
    pub address: String,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.address)
    }
}

impl FromStr for Listed {
    type Err = String;

    fn from_str(text: &str) -> Result<Listed, String> {
        let wrong = |why: &str| format!("'{}' is not NAME=HOST[:PORT]: {why}", text.escape_debug());
        let (name, address) = text.split_once('=').ok_or_else(|| wrong("it has no ="))?;
        let name = server_name(name).map_err(|why| wrong(&why))?;
        let address = with_port(address, PEER_PORT);
        let why = match host_and_port(&address) {
            Err(why) => why,
            Ok((_, 0)) => "the port is 0",
            Ok(_) if address.len() > limits::PEER_ADDRESS_BYTES => "it is too long",
            Ok(_) => return Ok(Listed { name, address }),
        };
        Err(wrong(&format!("invalid address: {why}")))
    }
}

/// A server's name, as an account's: `[a-z0-9][a-z0-9._-]{0,31}`.
pub fn server_name(text: &str) -> Result<String, String> {
    match name::fold(text) {
        Some(name) if name == text => Ok(name),
        _ => Err(
            "a server's name has 1 to 32 of a-z, 0-9, '.', '_' and '-', and begins with a letter \
             or digit"
                .to_owned(),
        ),
    }
}

/// A whole list, in any order: `a=HOST:PORT,b=HOST:PORT`.
pub fn parse_list(text: &str) -> Result<Vec<Listed>, String> {
    let mut list: Vec<Listed> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
    list.sort();
    for pair in list.windows(2) {
        if pair[0].name == pair[1].name {
            return Err(format!("server {} is listed twice", pair[0].name));
        }
    }
    if list.len() > limits::RAFT_VOTERS {
        let (count, most) = (list.len(), limits::RAFT_VOTERS);
        return Err(format!("{count} servers are listed, the maximum is {most}"));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_any_order_and_sorted_by_name() {
        let list = parse_list("b=127.0.0.1:2,a=[::1]:1,c-1=host.example:3").unwrap();
        let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a=[::1]:1", "b=127.0.0.1:2", "c-1=host.example:3"]);
    }

    #[test]
    fn a_wrong_list_says_what_is_wrong() {
        for (text, what) in [
            ("", "it has no ="),
            ("a", "it has no ="),
            ("a=h:1,", "it has no ="),
            ("=h:1", "a server's name"),
            ("A=h:1", "a server's name"),
            ("a b=h:1", "a server's name"),
            ("a=", "invalid address"),
            ("a=:1", "invalid address"),
            ("a=h:0", "invalid address"),
            ("a=h:70000", "invalid address"),
            ("a=h:1,b=h:2,a=h:3", "a is listed twice"),
            ("a=h:1,b=h:1,c=h:1,d=h:1,e=h:1,f=h:1,g=h:1,h=h:1,i=h:1,j=h:1", "the maximum is 9"),
        ] {
            let error = parse_list(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
        assert_eq!(parse_list("a=h").unwrap()[0].address, "h:7263", "the default port");
        let list = |bytes: usize| format!("a={}:12345", "h".repeat(bytes - 6));
        assert!(parse_list(&list(limits::PEER_ADDRESS_BYTES)).is_ok());
        let error = parse_list(&list(limits::PEER_ADDRESS_BYTES + 1)).unwrap_err();
        assert!(error.contains("it is too long"), "{error}");
    }
}
