//! Connections that have not logged in: how many each network has, and who makes room for a
//! newcomer. A session is never closed for one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Clients;
use super::client::Life;
use crate::mutants::{Mutant, planted};
use crate::net::{Key, Network};

/// Those who have not logged in.
#[derive(Default)]
pub(super) struct Unauthenticated {
    /// Of each network by number: the oldest first.
    by_network: HashMap<Network, BTreeMap<u64, Key>>,
    by_count: BTreeSet<(usize, Network)>,
    /// Numbers them.
    last: u64,
}

impl Unauthenticated {
    /// One more; gives the number that [`Unauthenticated::remove`] wants.
    fn add(&mut self, network: Network, key: Key) -> u64 {
        self.last += 1;
        let of_network = self.by_network.entry(network).or_default();
        self.by_count.remove(&(of_network.len(), network));
        of_network.insert(self.last, key);
        self.by_count.insert((of_network.len(), network));
        self.last
    }

    fn remove(&mut self, network: Network, number: u64) {
        let Some(of_network) = self.by_network.get_mut(&network) else { return };
        self.by_count.remove(&(of_network.len(), network));
        of_network.remove(&number);
        match of_network.len() {
            0 => drop(self.by_network.remove(&network)),
            left => drop(self.by_count.insert((left, network))),
        }
    }

    fn of(&self, network: Network) -> usize {
        self.by_network.get(&network).map_or(0, BTreeMap::len)
    }

    fn oldest_of(&self, network: Network) -> Option<Key> {
        self.by_network.get(&network)?.first_key_value().map(|(_, key)| *key)
    }

    /// The network that has most.
    fn most(&self) -> Option<Network> {
        self.by_count.last().map(|(_, network)| *network)
    }
}

impl Clients {
    /// The connection has no session: from now on it may be closed for a newcomer.
    pub(super) fn add_unauthenticated(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.unauthenticated.is_none() && client.life != Life::Dead {
            client.unauthenticated = Some(self.unauthenticated.add(client.origin.network(), key));
        }
    }

    /// It has one, or goes.
    pub(super) fn remove_unauthenticated(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Some(number) = client.unauthenticated.take() {
            self.unauthenticated.remove(client.origin.network(), number);
        }
    }

    /// Closes the oldest of a network that has more of them than it may have.
    pub(super) fn bound_unauthenticated(&mut self, network: Network) {
        if self.unauthenticated.of(network) > self.settings.max_unauthenticated_per_address
            && !planted(Mutant::OneNetworkTakesAll)
            && let Some(key) = self.unauthenticated.oldest_of(network)
        {
            self.counted.closed(network, self.now.monotonic_ms);
            self.doom(key);
        }
    }

    /// Whether somebody could make way for a newcomer.
    pub fn can_make_way(&self) -> bool {
        self.unauthenticated.most().is_some()
    }

    /// Who is to be closed for a newcomer where there is room for no more: of the network with most
    /// connections that have not logged in the oldest. The caller closes it at once.
    pub fn make_way(&mut self) -> Option<Key> {
        let network = self.unauthenticated.most()?;
        let key = match planted(Mutant::NewestMakesWay) {
            true => self
                .unauthenticated
                .by_network
                .values()
                .next()?
                .last_key_value()
                .map(|(_, key)| *key),
            false => self.unauthenticated.oldest_of(network),
        }?;
        self.counted.closed(network, self.now.monotonic_ms);
        self.remove_unauthenticated(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Origin;

    fn network(number: u32) -> Network {
        Origin::Ip(std::net::Ipv4Addr::from(number).into()).network()
    }

    #[test]
    fn the_oldest_of_the_network_with_most_is_found_whatever_comes_and_goes() {
        let mut unauthenticated = Unauthenticated::default();
        let key = Key::from_number;
        assert_eq!(unauthenticated.most(), None);
        let first = unauthenticated.add(network(1), key(1));
        unauthenticated.add(network(2), key(2));
        let third = unauthenticated.add(network(2), key(3));
        assert_eq!(unauthenticated.most(), Some(network(2)));
        assert_eq!(unauthenticated.oldest_of(network(2)), Some(key(2)));
        unauthenticated.remove(network(2), third);
        unauthenticated.add(network(1), key(4));
        assert_eq!((unauthenticated.most(), unauthenticated.of(network(1))), (Some(network(1)), 2));
        unauthenticated.remove(network(1), first);
        assert_eq!(unauthenticated.oldest_of(network(1)), Some(key(4)));
        unauthenticated.remove(network(1), 4);
        assert_eq!((unauthenticated.most(), unauthenticated.of(network(1))), (Some(network(2)), 0));
        unauthenticated.remove(network(2), 2);
        assert!(unauthenticated.by_network.is_empty() && unauthenticated.by_count.is_empty());
    }
}
