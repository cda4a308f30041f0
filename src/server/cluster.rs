//! Which servers there are: what the flags say, what the directory says, what the log says.

use std::fmt;
use std::io;
use std::str::FromStr;

use super::peers::handshake::{Identity, Kind};
use super::peers::mesh::{self, Member, Mesh};
use super::peers::secret;
use super::peers::wire::Stage;
use super::start::random;
use super::trace::Trace;
use super::{Error, Options, standing};
use crate::auth::hmac;
use crate::auth::sha256::Sha256;
use crate::limits;
use crate::net::Listen;
use crate::net::address::{CLIENT_PORT, PEER_PORT, host_and_port, with_port};
use crate::protocol::name;
use crate::raft;
use crate::sys::clock;
use crate::wal::hard_state::HardState;

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

/// That the directory is the one of the server that the flags name.
pub(super) fn check_directory(options: &Options, state: &HardState) -> Result<(), Error> {
    if let Some(id) = &options.id
        && *id != state.id
        && !standing::may_be_renamed(state)
    {
        return Err(Error::Cluster(format!(
            "the data directory {} belongs to server {}, not to {id}: check --id and --data-dir",
            options.data_dir.display(),
            state.id
        )));
    }
    if state.cluster == [0; 16] && options.cluster.is_empty() {
        return Err(Error::Cluster(format!(
            "the data directory {} belongs to a cluster that is not formed yet: give --cluster",
            options.data_dir.display()
        )));
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
            return Err(Error::Cluster(
                "--advertise must be the HOST[:PORT] at which clients reach this server".to_owned(),
            ));
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

/// The members, as the flags list them before the cluster is formed. Only the own incarnation is
/// known then.
pub(super) fn listed_members(options: &Options, state: &HardState) -> Vec<Member> {
    let member = |(place, listed): (usize, &Listed)| Member {
        name: listed.name.clone(),
        address: listed.address.clone(),
        incarnation: (listed.name == state.id).then_some(state.incarnation),
        number: mesh::id_of(place),
    };
    options.cluster.iter().enumerate().map(member).collect()
}

/// The address at which this server accepts the others.
pub(super) fn peer_address(state: &HardState, members: &[Member]) -> Result<Listen, Error> {
    let own = members.iter().find(|member| member.name == state.id);
    own.map_or("", |member| &member.address).parse().map_err(|error| {
        Error::Cluster(format!("cannot use the peer address of {}: {error}", state.id))
    })
}

/// Why the peers' port cannot be opened.
pub(super) fn port_error(state: &HardState, listen: &Listen, error: &io::Error) -> Error {
    Error::Cluster(format!(
        "cannot listen at {listen} for the other servers: {error}; --cluster gives this address to \
         {}",
        state.id
    ))
}

/// Reads the cluster's secret.
pub(super) fn secret(options: &Options) -> Result<hmac::Key, Error> {
    let Some(file) = &options.cluster_secret_file else {
        return Err(Error::Cluster("the peer port needs --cluster-secret-file".to_owned()));
    };
    secret::read(file).map_err(Error::Secret)
}

/// What a server that is alone has: operators on this machine reach it, and nobody else.
pub(super) fn lone_mesh(options: &Options, state: &HardState) -> Result<Mesh, Error> {
    let own = Member {
        name: state.id.clone(),
        address: String::new(),
        incarnation: Some(state.incarnation),
        number: standing::LONE,
    };
    let nobody_knows = hmac::Key::new(&random::<32>()?);
    mesh(options, state, vec![own], nobody_knows, "")
}

/// What is known of the other servers, without connections yet.
pub(super) fn mesh(
    options: &Options,
    state: &HardState,
    members: Vec<Member>,
    secret: hmac::Key,
    client_address: &str,
) -> Result<Mesh, Error> {
    let (name, cluster, incarnation) = (state.id.clone(), state.cluster, state.incarnation);
    let (boots, met) = (state.boots.clone(), state.met.clone());
    let mut about = mesh::empty_about(digest(&members), client_address.to_owned());
    about.cluster = cluster;
    if state.term > 0 {
        about.stage = Stage::Started;
    }
    let settings = mesh::Settings {
        me: Identity { kind: Kind::Server, name, cluster, incarnation, boots },
        met,
        members,
        secret,
        about,
        silence_ms: limits::PEER_SILENCE_TIMEOUTS * options.election_timeout_ms,
        seed: random()?,
    };
    Ok(Mesh::new(settings, clock::monotonic_ms()))
}

/// A digest of a list of servers, by which two find out whether they were given the same.
fn digest(members: &[Member]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for Member { name, address, .. } in members {
        hash.update(format!("{name}={address}\n").as_bytes());
    }
    hash.finish()
}

/// How many failures a cluster of so many servers survives, as a sentence.
pub(super) fn survives(servers: usize) -> String {
    let failures = servers.saturating_sub(1) / 2;
    let what = match failures {
        0 => "no failure".to_owned(),
        1 => "one failure".to_owned(),
        more => format!("{more} failures"),
    };
    let hint = match servers {
        1 => ": keep copies of its data directory".to_owned(),
        even if even % 2 == 0 => format!(": no more than a cluster of {}", even - 1),
        _ => String::new(),
    };
    let plural = if servers == 1 { "server" } else { "servers" };
    format!("a cluster of {servers} {plural} survives {what}{hint}")
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

    #[test]
    fn what_a_cluster_survives_is_said_for_every_size() {
        for (servers, expected) in [
            (1, "a cluster of 1 server survives no failure: keep copies of its data directory"),
            (2, "a cluster of 2 servers survives no failure: no more than a cluster of 1"),
            (3, "a cluster of 3 servers survives one failure"),
            (4, "a cluster of 4 servers survives one failure: no more than a cluster of 3"),
            (5, "a cluster of 5 servers survives 2 failures"),
        ] {
            assert_eq!(survives(servers), expected);
        }
    }
}
