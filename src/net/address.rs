//! Where a server listens, and where a connection comes from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// A place to listen at: `HOST:PORT`, `:PORT` (every address of the machine) or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix stream socket's path.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err("unix: needs a path behind it, as in unix:/run/chatctl.sock".into());
            }
            return Ok(Listen::Unix(PathBuf::from(path)));
        }
        if let Some(port) = text.strip_prefix(':') {
            let port = port.parse().map_err(|_| format!("{port:?} is not a port (0 to 65535)"))?;
            return Ok(Listen::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)));
        }
        let mut found = text
            .to_socket_addrs()
            .map_err(|error| format!("{text:?} is no HOST:PORT, :PORT or unix:PATH: {error}"))?;
        match found.next() {
            Some(address) => Ok(Listen::Tcp(address)),
            None => Err(format!("{text:?} names no address")),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Listen::Tcp(address) => address.ip().is_loopback(),
            Listen::Unix(_) => true,
        }
    }
}

/// Whom the bounds per address count together: one IP address, or everyone on Unix sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A TCP peer's address, without its port.
    Ip(IpAddr),
    /// A Unix socket of this machine.
    Local,
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
        for text in ["127.0.0.1:7262", "[::1]:7262", "unix:/run/chat.sock", "0.0.0.0:0"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        assert_eq!(":80".parse::<Listen>().unwrap().to_string(), "0.0.0.0:80");
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_own_text() {
        for text in ["", "7262", ":", ":99999", "unix:", "127.0.0.1", "127.0.0.1:x"] {
            let error = text.parse::<Listen>().unwrap_err();
            assert!(!error.is_empty(), "{text}");
        }
    }

    #[test]
    fn loopback_and_unix_are_local() {
        assert!("127.0.0.1:1".parse::<Listen>().unwrap().is_local());
        assert!("unix:/x".parse::<Listen>().unwrap().is_local());
        assert!(!":1".parse::<Listen>().unwrap().is_local());
    }
}
