//! Where a server listens, and where a connection comes from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// A place to listen at: `HOST` or `HOST:PORT`, `:PORT` (every address of the machine) or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A port of every address of the machine, IPv6 and IPv4.
    Everywhere(u16),
    /// `HOST:PORT` with a name that is yet to be looked up: every address that it has.
    Name(String),
    /// A Unix stream socket's path.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err("unix: needs a path after it, as in unix:/run/chatctl.sock".into());
            }
            return Ok(Listen::Unix(PathBuf::from(path)));
        }
        if let Some(port) = text.strip_prefix(':').filter(|rest| !rest.contains(':')) {
            let port = port.parse().map_err(|_| format!("{port:?} is not a port (0 to 65535)"))?;
            return Ok(Listen::Everywhere(port));
        }
        let address = with_port(text, CLIENT_PORT);
        host_and_port(&address)
            .map_err(|why| format!("{text:?} is not HOST[:PORT], :PORT or unix:PATH: {why}"))?;
        Ok(match address.parse() {
            Ok(address) => Listen::Tcp(address),
            Err(_) => Listen::Name(address),
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "{address}"),
            Listen::Everywhere(port) => write!(f, ":{port}"),
            Listen::Name(name) => f.write_str(name),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// Whether only this machine can reach it, as far as that is known.
    pub fn is_local(&self) -> bool {
        match self {
            Listen::Tcp(address) => address.ip().is_loopback(),
            Listen::Everywhere(_) | Listen::Name(_) => false,
            Listen::Unix(_) => true,
        }
    }
}

/// The host and the port of `HOST:PORT`, or why it is not that. Nothing is looked up: a host that may
/// be a name is taken for one.
pub fn host_and_port(text: &str) -> Result<(&str, u16), &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("it has no port")?;
    let port = port.parse().map_err(|_| "the port is not a number from 0 to 65535")?;
    let is_address = text.parse::<SocketAddr>().is_ok();
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    match host {
        _ if is_address => Ok((host, port)),
        "" => Err("it has no host"),
        _ if host.starts_with('[') => Err("the text in brackets is not an IPv6 address"),
        _ if host.contains(':') => Err("an IPv6 address needs brackets, as in [::1]:7262"),
        _ if !host.bytes().all(is_sign) || host.len() > HOST_BYTES || host.starts_with('-') => {
            Err("the host is neither a name nor an IP address")
        }
        // No domain is a number: this is an IPv4 address with a mistake in it.
        _ if last.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err("the host is not an IPv4 address")
        }
        _ => Ok((host, port)),
    }
}

/// The port for clients, where an address names none.
pub const CLIENT_PORT: u16 = 7262;
/// The port for the other servers, where an address names none.
pub const PEER_PORT: u16 = 7263;

/// The address with this port, unless it has one already or is a Unix socket's.
pub fn with_port(text: &str, port: u16) -> String {
    let host_ends = text.rfind(']').map_or(0, |bracket| bracket + 1);
    match text.starts_with("unix:") || text.is_empty() || text[host_ends..].contains(':') {
        true => text.to_owned(),
        false => format!("{text}:{port}"),
    }
}

/// Where a client reaches a server, `HOST:PORT` or `unix:PATH`, or why it is not that. Nothing is
/// looked up.
pub fn client_address(text: &str) -> Result<(), &'static str> {
    match text.strip_prefix("unix:") {
        Some("") => Err("unix: needs a path after it"),
        Some(_) => Ok(()),
        None => match host_and_port(text)? {
            (_, 0) => Err("the port is 0"),
            _ => Ok(()),
        },
    }
}

/// Whether the address is of this machine, whatever it is called: a Unix socket or loopback.
pub fn is_near(address: &str) -> bool {
    if address.starts_with("unix:") {
        return true;
    }
    let Ok((host, _)) = host_and_port(address) else { return false };
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match ip {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

/// Whether two addresses are the same place, as far as that shows without a look-up: by the same
/// name, or the same port of loopback.
pub fn same(one: &str, other: &str) -> bool {
    match (host_and_port(one), host_and_port(other)) {
        (Ok((host, port)), Ok((other_host, other_port))) => {
            port == other_port
                && (host.eq_ignore_ascii_case(other_host) || is_near(one) && is_near(other))
        }
        _ => one == other,
    }
}

/// Longest name of a host in DNS.
const HOST_BYTES: usize = 253;

/// Where a connection comes from. Limits count [`super::Network`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A TCP peer's address, without its port.
    Ip(IpAddr),
    /// A Unix socket of this machine.
    Local,
}

impl Origin {
    /// Where a TCP connection comes from. An IPv4 client of a listener for both IPv6 and IPv4 counts
    /// as what it is.
    pub fn of(address: IpAddr) -> Origin {
        Origin::Ip(address.to_canonical())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Ip(address) => write!(f, "{address}"),
            Origin::Local => f.write_str("a local socket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_shown_again() {
        for text in [
            "127.0.0.1:7262",
            "[::1]:7262",
            "unix:/run/chat.sock",
            "0.0.0.0:0",
            ":80",
            "chat.example:80",
            "chat-1.example.:80",
            "a_b:1",
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        assert_eq!(":80".parse(), Ok(Listen::Everywhere(80)));
        // Nothing is looked up, so this does not have to exist.
        assert_eq!(
            "no.such.name.invalid:1".parse(),
            Ok(Listen::Name("no.such.name.invalid:1".into()))
        );
    }

    #[test]
    fn an_address_without_a_port_gets_the_default_one() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1:7262"),
            ("[::1]", "[::1]:7262"),
            ("chat.example", "chat.example:7262"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), address);
        }
        for same in ["h:1", ":1", "[::1]:1", "::1", "unix:/a", ""] {
            assert_eq!(with_port(same, PEER_PORT), same);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_own_text() {
        for (text, why) in [
            ("", "no port"),
            ("7262", "not an IPv4 address"),
            (":", "not a port"),
            (":99999", "not a port"),
            ("unix:", "needs a path"),
            ("127.0.0.1:x", "not a number"),
            ("127.0.0.256:1", "not an IPv4 address"),
            ("10.0.1:1", "not an IPv4 address"),
            ("1:1", "not an IPv4 address"),
            ("::1:7262", "needs brackets"),
            ("[::g]:7262", "not an IPv6 address"),
            ("a b:1", "neither a name nor"),
            ("a/b:1", "neither a name nor"),
            ("-a:1", "neither a name nor"),
        ] {
            let error = text.parse::<Listen>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn loopback_and_unix_are_local() {
        assert!("127.0.0.1:1".parse::<Listen>().unwrap().is_local());
        assert!("unix:/x".parse::<Listen>().unwrap().is_local());
        assert!(!":1".parse::<Listen>().unwrap().is_local());
    }

    #[test]
    fn an_ipv4_client_counts_as_one_however_it_came() {
        let origin = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(origin("::ffff:10.0.0.1"), origin("10.0.0.1"));
        assert_eq!(origin("::ffff:10.0.0.1").to_string(), "10.0.0.1");
    }
}
