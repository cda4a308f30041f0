//! What every limit "per network" counts as one.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::Origin;

/// An IPv4 address, an IPv6 /64 (whoever has one address of it has all of them), or all Unix
/// sockets together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(Origin);

impl Origin {
    /// The network that connections from here count for.
    pub fn network(self) -> Network {
        let Origin::Ip(IpAddr::V6(address)) = self else { return Network(self) };
        let counted = match address.to_ipv4_mapped() {
            Some(mapped) => IpAddr::V4(mapped),
            None => {
                let prefix = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(prefix))
            }
        };
        Network(Origin::Ip(counted))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Origin::Ip(IpAddr::V6(prefix)) => write!(f, "{prefix}/64"),
            Origin::Ip(IpAddr::V4(address)) => write!(f, "{address}"),
            Origin::Local => f.write_str("local sockets"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Origin::Ip(text.parse().unwrap()).network()
    }

    #[test]
    fn an_ipv4_address_an_ipv6_64_and_all_unix_sockets_are_one_network_each() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
        assert_eq!(Origin::Local.network(), Origin::Local.network());
        assert_ne!(Origin::Local.network(), network("127.0.0.1"));
    }

    #[test]
    fn a_network_is_shown_as_operators_write_it() {
        assert_eq!(network("2001:db8::1").to_string(), "2001:db8::/64");
        assert_eq!(network("::ffff:10.0.0.1").to_string(), "10.0.0.1");
        assert_eq!(Origin::Local.network().to_string(), "local sockets");
    }
}
