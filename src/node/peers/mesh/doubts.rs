//! Addresses that cannot be right: what an operator is warned of, each once.

use core::net::SocketAddr;

use super::Mesh;
use super::dialing::list;
use super::types::{Doubt, Kind, Member};
use crate::node::lines::TraceLevel;

/// A member, its address as it was given, and what that is as far as it is known.
struct Known<'a> {
    name: &'a str,
    text: &'a str,
    addresses: Vec<SocketAddr>,
}

impl Mesh {
    /// This server accepts the others at these addresses.
    pub fn set_listening(&mut self, addresses: Vec<SocketAddr>) {
        self.listens = addresses;
        self.warn_of_addresses();
    }

    /// Whether there is no port for the others.
    pub fn is_alone(&self) -> bool {
        self.listens.is_empty()
    }

    /// Warns of addresses that cannot be right by what is known now.
    pub(super) fn warn_of_addresses(&mut self) {
        let known = |(place, member): (usize, &'_ Member)| match place == self.place {
            true => self.listens.clone(),
            false => self.names.addresses(&member.address),
        };
        let all: Vec<Vec<SocketAddr>> = self.members.iter().enumerate().map(known).collect();
        let all = self.members.iter().zip(all).map(|(member, addresses)| Known {
            name: &member.name,
            text: &member.address,
            addresses,
        });
        let all: Vec<Known<'_>> = all.collect();
        let doubts = doubts(&all, self.place);
        self.doubts_told.retain(|told| {
            let is_member = |name: &String| self.members.iter().any(|m| m.name == *name);
            is_member(&told.of) && told.and.as_ref().is_none_or(is_member)
        });
        for (doubt, line) in doubts {
            if !self.doubts_told.contains(&doubt) {
                self.tell(TraceLevel::Warning, line);
                self.doubts_told.push(doubt);
            }
        }
    }
}

fn doubts(all: &[Known<'_>], own: usize) -> Vec<(Doubt, String)> {
    let mut doubts = Vec::new();
    let elsewhere = |known: &Known<'_>| known.addresses.iter().any(|a| !a.ip().is_loopback());
    for (place, known) in all.iter().enumerate() {
        let Known { name, text, addresses } = known;
        let doubt = |kind, and: Option<&str>| {
            let (of, and) = ((*name).to_owned(), and.map(str::to_owned));
            Doubt { kind, of, and }
        };
        if addresses.iter().any(|address| address.ip().is_unspecified()) {
            let line = format!(
                "the address {text} of {name} is a wildcard: give in --cluster an address at \
                 which the other servers reach {name}"
            );
            doubts.push((doubt(Kind::Unspecified, None), line));
        }
        // The own address is compared with all others, theirs with the own.
        let is_compared = |at: usize| at != place && (place == own || at == own);
        let mut others = all.iter().enumerate().filter(|(at, _)| is_compared(*at));
        let is_here = !addresses.is_empty() && !elsewhere(known);
        if is_here && let Some((_, other)) = others.find(|(_, other)| elsewhere(other)) {
            let line = format!(
                "the address {text} of {name} is {} on this machine, a loopback address, while {} \
                 is at {}: servers on other machines cannot reach it; check /etc/hosts, or give \
                 another address in --cluster",
                list(addresses),
                other.name,
                list(&other.addresses),
            );
            doubts.push((doubt(Kind::Loopback, None), line));
        }
        for other in &all[place + 1..] {
            let same = other.addresses.iter().any(|address| addresses.contains(address));
            if same || other.text == *text {
                let line = format!(
                    "{name} and {} have the same address: {text} and {}; each server needs its own \
                     in --cluster",
                    other.name, other.text
                );
                doubts.push((doubt(Kind::Twice, Some(other.name)), line));
            }
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(own: usize, addresses: &[&[&str]]) -> Vec<String> {
        let parse = |text: &&str| text.parse().unwrap();
        let all: Vec<Known<'_>> = addresses
            .iter()
            .zip(["a", "b", "c"])
            .map(|(found, name)| {
                let addresses = found.iter().map(parse).collect();
                Known {
                    name,
                    text: ["ha:1", "hb:1", "hc:1"][(name.as_bytes()[0] - b'a') as usize],
                    addresses,
                }
            })
            .collect();
        doubts(&all, own).into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn a_loopback_address_beside_others_that_are_none_is_doubted() {
        let debian = lines(0, &[&["127.0.1.1:1"], &["10.0.0.2:1"], &[]]);
        assert_eq!(debian.len(), 1, "{debian:?}");
        assert!(debian[0].contains("ha:1 of a is 127.0.1.1:1 on this machine"), "{debian:?}");
        let theirs = lines(0, &[&["10.0.0.1:1"], &["127.0.1.1:1"], &["10.0.0.3:1"]]);
        assert_eq!(theirs.len(), 1, "{theirs:?}");
        assert!(theirs[0].contains("hb:1 of b is 127.0.1.1:1"), "{theirs:?}");
        let one_machine =
            lines(0, &[&["127.0.0.1:1"], &["[::1]:2", "127.0.0.1:2"], &["127.0.0.1:3"]]);
        assert!(one_machine.is_empty(), "{one_machine:?}");
    }

    #[test]
    fn an_address_of_no_machine_and_one_that_two_servers_have_are_doubted() {
        let nowhere = lines(0, &[&["10.0.0.1:1"], &["0.0.0.0:1"], &["[::]:1"]]);
        assert_eq!(nowhere.len(), 2, "{nowhere:?}");
        assert!(nowhere[0].contains("hb:1 of b is a wildcard"), "{nowhere:?}");
        let twice = lines(0, &[&["10.0.0.1:1"], &["10.0.0.2:1"], &["10.0.0.9:1", "10.0.0.2:1"]]);
        assert_eq!(twice.len(), 1, "{twice:?}");
        assert!(twice[0].contains("b and c have the same address"), "{twice:?}");
    }
}
