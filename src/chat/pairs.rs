//! The pairs of accounts that have written to each other, and what each of the two sees of it.

use super::accounts::AccountId;
use super::chunked::Chunked;
use super::hash::Keys;
use super::ordinals::Ordinals;
use std::collections::HashMap;

/// One account's view of a conversation.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    /// The messages that it can see, both directions.
    pub(super) seen: Ordinals,
    /// All received up to this seq is read; 0 = nothing.
    pub(super) marker: u64,
    /// The index of the entry that last moved the marker; 0 = none did.
    pub(super) moved_at: u64,
    /// Received, above the marker, not taken, seen.
    pub(super) unread: u32,
}

/// Two accounts, the lower number first, or one account twice, and each one's side. With oneself
/// only the first side is used.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) accounts: [AccountId; 2],
    pub(super) sides: [Side; 2],
}

impl Pair {
    /// Which of the two `account` is.
    pub(super) fn place(&self, account: AccountId) -> usize {
        usize::from(self.accounts[0] != account)
    }

    /// The other one.
    pub(super) fn other(&self, account: AccountId) -> AccountId {
        self.accounts[1 - self.place(account)]
    }

    /// An account's side.
    pub(super) fn side(&self, account: AccountId) -> &Side {
        &self.sides[self.place(account)]
    }

    /// An account's side, to change.
    pub(super) fn side_mut(&mut self, account: AccountId) -> &mut Side {
        let place = self.place(account);
        &mut self.sides[place]
    }
}

/// All pairs, by number and by accounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    pairs: Chunked<Pair>,
    by_accounts: HashMap<u64, u32, Keys>,
}

fn key(one: AccountId, other: AccountId) -> u64 {
    let (low, high) = (one.min(other), one.max(other));
    u64::from(low.number()) << 32 | u64::from(high.number())
}

impl Pairs {
    /// None yet, with these keys for the table.
    pub(super) fn new(keys: Keys) -> Pairs {
        Pairs { pairs: Chunked::default(), by_accounts: HashMap::with_hasher(keys) }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The number of the pair of these two, where they have written to each other.
    pub(super) fn find(&self, one: AccountId, other: AccountId) -> Option<u32> {
        self.by_accounts.get(&key(one, other)).copied()
    }

    /// Adds the pair of these two, which is not there yet; gives its number.
    pub(super) fn add(&mut self, one: AccountId, other: AccountId) -> u32 {
        let number = self.len() as u32;
        self.by_accounts.insert(key(one, other), number);
        let accounts = [one.min(other), one.max(other)];
        self.pairs.push(Pair { accounts, sides: [Side::default(), Side::default()] });
        number
    }

    pub(super) fn get(&self, number: u32) -> &Pair {
        self.pairs.get(number as usize)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut Pair {
        self.pairs.get_mut(number as usize)
    }

    /// All, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter()
    }

    /// Bytes on the heap; the table's are an estimate.
    pub(super) fn heap_bytes(&self) -> usize {
        let lists: usize =
            self.iter().flat_map(|pair| &pair.sides).map(|side| side.seen.heap_bytes()).sum();
        lists + self.pairs.heap_bytes() + self.by_accounts.capacity() * 17 * 8 / 7
    }
}
