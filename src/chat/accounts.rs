//! Accounts, their names, and what each one holds while it lives.

use super::chunked::Chunked;
use super::hash::Keys;
use super::ordinals::Ordinals;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// An account's number, given in the order of creation, never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u32);

impl AccountId {
    pub(crate) fn new(number: u32) -> AccountId {
        AccountId(number)
    }

    /// The number itself: a dense index, from 0.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// A message that went from an account's view.
#[derive(Clone, Copy, Debug)]
pub(super) struct TakenBack {
    /// The index of the entry that did it.
    pub(super) seq: u64,
    pub(super) ordinal: u32,
}

/// The ids that are surely recognised when they come again: a sender's newest messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// Rising.
    ordinals: VecDeque<u32>,
    /// The bodies' prints, in the same order.
    prints: VecDeque<u128>,
    /// The highest index that fell out; 0 = none did. Whatever was sent above it is still known.
    pub(super) horizon: u64,
}

impl Window {
    /// The print of the message `ordinal`, where it is still known.
    pub(super) fn print(&self, ordinal: u32) -> Option<u128> {
        self.ordinals.binary_search(&ordinal).ok().map(|place| self.prints[place])
    }

    /// Adds the sender's newest message.
    pub(super) fn push(&mut self, ordinal: u32, print: u128) {
        if self.ordinals.len() == self.ordinals.capacity() {
            let more = (self.ordinals.len() / 4).max(4);
            self.ordinals.reserve_exact(more);
            self.prints.reserve_exact(more);
        }
        self.ordinals.push_back(ordinal);
        self.prints.push_back(print);
    }

    /// Forgets the oldest where there are more than `most`; gives its ordinal.
    pub(super) fn evict(&mut self, most: usize) -> Option<u32> {
        if self.ordinals.len() <= most {
            return None;
        }
        self.prints.pop_front();
        self.ordinals.pop_front()
    }

    /// What is known, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ordinals.iter().copied()
    }

    fn heap_bytes(&self) -> usize {
        self.ordinals.capacity() * 4 + self.prints.capacity() * 16
    }
}

/// What a live account holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Mailbox {
    /// The password's SCRAM verifier, in PostgreSQL's text form.
    pub(super) verifier: Box<str>,
    /// The messages to it that it can see; those to itself among them.
    pub(super) received: Ordinals,
    /// The messages from it to others that it can see.
    pub(super) sent: Ordinals,
    /// The newest message that it can see of each conversation.
    pub(super) newest: Ordinals,
    /// All received below this ordinal is taken.
    pub(super) queue_from: u32,
    /// Unread messages, all conversations.
    pub(super) unread: u64,
    /// What went from its view, in the order in which it went.
    pub(super) taken_back: Chunked<TakenBack>,
    /// The entries that last moved a marker of its, and the marker's pair.
    pub(super) moved: BTreeMap<u64, u32>,
    /// Its pairs, in the order in which they came to be.
    pub(super) pairs: Vec<u32>,
    pub(super) window: Window,
}

/// An account, live or deleted.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: Arc<str>,
    /// None: deleted.
    pub(super) mailbox: Option<Box<Mailbox>>,
}

/// All accounts ever made.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    accounts: Chunked<Account>,
    by_name: HashMap<Arc<str>, AccountId, Keys>,
    live: BTreeMap<Arc<str>, AccountId>,
}

impl Accounts {
    /// None yet, with these keys for the table of names.
    pub(super) fn new(keys: Keys) -> Accounts {
        Accounts { by_name: HashMap::with_hasher(keys), ..Accounts::default() }
    }

    /// How many there ever were.
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Adds one under a name that never was there.
    pub(super) fn add(&mut self, name: &str, verifier: &str) -> AccountId {
        let (account, name) = (AccountId(self.len() as u32), Arc::<str>::from(name));
        let mailbox = Mailbox { verifier: verifier.into(), ..Mailbox::default() };
        self.accounts.push(Account { name: name.clone(), mailbox: Some(Box::new(mailbox)) });
        self.by_name.insert(name.clone(), account);
        self.live.insert(name, account);
        account
    }

    /// The account that has or had this name.
    pub(super) fn ever(&self, name: &str) -> Option<AccountId> {
        self.by_name.get(name).copied()
    }

    /// The live account of this name.
    pub(super) fn live(&self, name: &str) -> Option<AccountId> {
        self.ever(name).filter(|&account| self.mailbox(account).is_some())
    }

    pub(super) fn get(&self, account: AccountId) -> &Account {
        self.accounts.get(account.0 as usize)
    }

    pub(super) fn mailbox(&self, account: AccountId) -> Option<&Mailbox> {
        self.get(account).mailbox.as_deref()
    }

    pub(super) fn mailbox_mut(&mut self, account: AccountId) -> Option<&mut Mailbox> {
        self.accounts.get_mut(account.0 as usize).mailbox.as_deref_mut()
    }

    /// Ends an account; its name stays taken.
    pub(super) fn delete(&mut self, account: AccountId) -> Option<Box<Mailbox>> {
        let gone = self.accounts.get_mut(account.0 as usize);
        self.live.remove(&gone.name);
        gone.mailbox.take()
    }

    /// The names of live accounts after `after`, at or after `from`, in order.
    pub(super) fn names<'a>(
        &'a self,
        after: &str,
        from: &str,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let start = if from > after { Bound::Included(from) } else { Bound::Excluded(after) };
        self.live.range::<str, _>((start, Bound::Unbounded)).map(|(name, _)| &**name)
    }

    /// All, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter()
    }

    /// How many live.
    pub(super) fn live_count(&self) -> usize {
        self.live.len()
    }

    /// Bytes on the heap; those of tables and trees are estimates.
    pub(super) fn heap_bytes(&self) -> usize {
        let mailbox = |mailbox: &Mailbox| {
            size_of::<Mailbox>()
                + mailbox.verifier.len()
                + mailbox.received.heap_bytes()
                + mailbox.sent.heap_bytes()
                + mailbox.newest.heap_bytes()
                + mailbox.taken_back.heap_bytes()
                + mailbox.moved.len() * 20
                + mailbox.pairs.capacity() * 4
                + mailbox.window.heap_bytes()
        };
        let held: usize = self
            .iter()
            .map(|one| one.name.len() + 16 + one.mailbox.as_deref().map_or(0, mailbox))
            .sum();
        held + self.accounts.heap_bytes()
            + self.by_name.capacity() * 25 * 8 / 7
            + self.live.len() * 32
    }
}
