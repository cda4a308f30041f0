//! Who is logged in where.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::chat::AccountId;
use crate::net::{Key, Network};

/// The sessions of every account, and how many each network has.
#[derive(Default)]
pub struct Sessions {
    of_account: HashMap<AccountId, Vec<Key>>,
    by_name: BTreeMap<Box<str>, AccountId>,
    of_network: HashMap<Network, usize>,
}

impl Sessions {
    /// A connection from `network` is logged in to `account`, which is called `name`.
    pub fn add(&mut self, account: AccountId, name: &str, key: Key, network: Network) {
        let keys = self.of_account.entry(account).or_default();
        if keys.is_empty() {
            self.by_name.insert(name.into(), account);
        }
        keys.push(key);
        *self.of_network.entry(network).or_default() += 1;
    }

    /// It is not any more.
    pub fn remove(&mut self, account: AccountId, name: &str, key: Key, network: Network) {
        if let Some(keys) = self.of_account.get_mut(&account) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.of_account.remove(&account);
                self.by_name.remove(name);
            }
        }
        if let Some(count) = self.of_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.of_network.remove(&network);
            }
        }
    }

    /// The connections of `account`.
    pub fn of(&self, account: AccountId) -> &[Key] {
        self.of_account.get(&account).map_or(&[], Vec::as_slice)
    }

    /// The names that somebody is logged in to and that come after `after`, in order.
    pub fn names_after<'a>(&'a self, after: &'a str) -> impl Iterator<Item = &'a str> {
        let range = (Bound::Excluded(after), Bound::Unbounded);
        self.by_name.range::<str, _>(range).map(|(name, _)| name.as_ref())
    }

    /// How many sessions come from `network`.
    pub fn of_network(&self, network: Network) -> usize {
        self.of_network.get(&network).copied().unwrap_or(0)
    }
}
