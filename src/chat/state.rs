//! The state, and what each command does to it.

use super::accounts::{AccountId, Accounts, TakenBack};
use super::command::{Command, CommandError, Member, Target};
use super::effect::{Effect, Gone};
use super::hash::Keys;
use super::members::Servers;
use super::messages::{BACKWARD, Messages, RECEIVER_SEES, Row, SENDER_SEES, TAKEN, U48};
use super::pairs::Pairs;
use crate::limits::ID_WINDOW;
use crate::mutants::{self, Mutant, planted};
use std::collections::BTreeMap;
use std::fmt;

/// Everything that the log's entries have made. See the module's comment for types and invariants.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) accounts: Accounts,
    pub(super) pairs: Pairs,
    pub(super) messages: Messages,
    pub(super) founding: Option<Founding>,
    pub(super) servers: Servers,
    pub(super) keys: Keys,
    pub(super) window: usize,
    pub(super) applied: u64,
    pub(super) last_time: u64,
    /// What [`State::passed`] gives.
    pub(super) passed: usize,
}

/// What the cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Founding {
    pub(super) cluster: [u8; 16],
    pub(super) token_secret: [u8; 32],
}

/// An entry that cannot be applied: nothing changed, and nothing after it may be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError {
    /// The entry's index.
    pub index: u64,
    /// Why.
    pub error: CommandError,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} of the log cannot be applied: {}", self.index, self.error)
    }
}

impl std::error::Error for ApplyError {}

/// A `send` as the state sees it.
struct Sending<'a> {
    index: u64,
    time: u64,
    from: AccountId,
    to: &'a str,
    id: u128,
    known: u64,
    print: u128,
}

impl Default for State {
    fn default() -> Self {
        State::new()
    }
}

impl State {
    /// Before the log's first entry.
    pub fn new() -> State {
        State::with_window(ID_WINDOW)
    }

    /// The same with another number (at least 1) of ids known for each sender. All servers of a
    /// cluster must agree on it: tests use it, servers do not.
    pub fn with_window(window: usize) -> State {
        let keys = Keys::default();
        State {
            accounts: Accounts::new(keys),
            pairs: Pairs::new(keys),
            messages: Messages::new(keys),
            founding: None,
            servers: Servers::default(),
            keys,
            window: window.max(1),
            applied: 0,
            last_time: 0,
            passed: 0,
        }
    }

    /// Applies the entry `index`, which is above all applied before. Pure and total: the same state
    /// and entry give the same state and effect everywhere, and no payload panics. On an error
    /// nothing has changed; the server must stop, since it cannot know what later entries build on.
    pub fn apply(&mut self, index: u64, payload: &[u8]) -> Result<Effect, ApplyError> {
        let command = Command::of(payload).map_err(|error| ApplyError { index, error })?;
        self.execute(index, command.as_ref())
    }

    /// The same, where the payload is decoded already.
    pub fn execute(
        &mut self,
        index: u64,
        command: Option<&Command<'_>>,
    ) -> Result<Effect, ApplyError> {
        let check = self.check(index, command);
        check.map_err(|error| ApplyError { index, error })?;
        self.applied = index;
        Ok(command.map_or(Effect::None, |command| self.on_command(index, command)))
    }

    fn on_command(&mut self, index: u64, command: &Command) -> Effect {
        self.passed = 0;
        self.last_time = command.time();
        match *command {
            Command::Found { cluster, token_secret, ref members, .. } => {
                if self.founding.is_none() {
                    self.servers.set(members);
                }
                self.on_found(Founding { cluster, token_secret })
            }
            Command::Members { ref members, .. } => {
                self.servers.set(members);
                Effect::MembersChanged
            }
            Command::Create { name, verifier, .. } => self.on_create(name, verifier),
            Command::Send { time, from, to, id, known, body } => match self.accounts.live(from) {
                Some(from) => {
                    let print = self.keys.print(body.as_bytes());
                    self.on_send(Sending { index, time, from, to, id, known, print })
                }
                None => Effect::AccountGone,
            },
            Command::Take { name, ref seqs, .. } => self.on_take(name, seqs.clone()),
            Command::Read { name, from, upto, .. } => self.on_read(index, name, from, upto),
            Command::DeleteMsgs { name, ref targets, .. } => {
                self.on_delete_msgs(index, name, targets)
            }
            Command::Passwd { name, verifier, .. } => self.on_passwd(name, verifier),
            Command::Delete { name, .. } => self.on_delete(name),
        }
    }

    /// Ordinals and numbers are `u32`; memory ends long before.
    fn check(&self, index: u64, command: Option<&Command>) -> Result<(), CommandError> {
        const MOST: usize = u32::MAX as usize - 1;
        if index <= self.applied || index > U48::MAX {
            return Err(CommandError::BadIndex { applied: self.applied });
        }
        let Some(command) = command else { return Ok(()) };
        match command {
            Command::Send { .. } if self.messages.len() >= MOST => {
                Err(CommandError::Full("messages"))
            }
            Command::Send { .. } if self.pairs.len() >= MOST => {
                Err(CommandError::Full("conversations"))
            }
            Command::Create { .. } if self.accounts.len() >= MOST => {
                Err(CommandError::Full("accounts"))
            }
            _ => Ok(()),
        }
    }

    fn on_found(&mut self, founding: Founding) -> Effect {
        if self.founding.is_some() {
            return Effect::AlreadyFounded;
        }
        let token_secret = founding.token_secret;
        self.founding = Some(founding);
        if self.accounts.len() == 0 {
            // Nothing is stored yet (messages need accounts): the tables can take the secret's
            // keys.
            let keys = Keys::from_secret(&token_secret);
            self.keys = keys;
            self.accounts = Accounts::new(keys);
            self.pairs = Pairs::new(keys);
            self.messages = Messages::new(keys);
        }
        Effect::Founded
    }

    fn on_create(&mut self, name: &str, verifier: &str) -> Effect {
        match self.accounts.ever(name) {
            None => Effect::Created { account: self.accounts.add(name, verifier) },
            Some(_) => Effect::NameTaken { account: self.accounts.live(name) },
        }
    }

    /// The duplicate comes first: a retry gets its first reply whatever became of the receiver.
    fn on_send(&mut self, mut send: Sending) -> Effect {
        if planted(Mutant::TimeInApply) {
            send.time = mutants::clock_ms();
        }
        let Sending { from, id, .. } = send;
        let (known, passed) = self.known_id(from, id);
        self.passed = passed;
        let known = known.filter(|_| !planted(Mutant::DuplicateBeforeApply));
        if let Some((first, print)) = known {
            let same_to = &*self.accounts.get(self.receiver(first)).name == send.to;
            if !same_to || print != send.print {
                return Effect::IdConflict;
            }
            let (time, seq) = (self.messages.time(first), self.messages.index(first));
            return Effect::Duplicate { from, time, seq };
        }
        if self.is_too_old(from, send.known) {
            return Effect::IdExpired;
        }
        let Some(to) = self.accounts.live(send.to) else { return Effect::NoSuchUser };
        self.store(&send, to);
        Effect::Stored { from, to, id, time: send.time, seq: send.index }
    }

    /// The message that this sender sent under this id, and its print, where that is still known;
    /// and how many messages were looked at for it: everybody may have used the same id.
    pub(super) fn known_id(&self, from: AccountId, id: u128) -> (Option<(u32, u128)>, usize) {
        let Some(mailbox) = self.accounts.mailbox(from) else { return (None, 0) };
        let mut passed = 0;
        let found = self.messages.with_id(id).find_map(|ordinal| {
            passed += 1;
            let is_own = self.sender(ordinal) == from;
            if is_own { Some((ordinal, mailbox.window.print(ordinal)?)) } else { None }
        });
        (found, passed)
    }

    fn store(&mut self, send: &Sending, to: AccountId) {
        let from = send.from;
        let pair = self.pair_of(from, to);
        let backward = if self.pairs.get(pair).accounts[0] == from { 0 } else { BACKWARD };
        let flags = SENDER_SEES | RECEIVER_SEES | backward;
        let row = Row { index: send.index, time: send.time, id: send.id, pair, flags };
        let ordinal = self.messages.push(row);
        self.show(from, pair, ordinal);
        if to != from {
            self.show(to, pair, ordinal);
            self.pairs.get_mut(pair).side_mut(to).unread += 1;
        }
        if let Some(mailbox) = self.accounts.mailbox_mut(to) {
            mailbox.received.push(ordinal);
            mailbox.unread += u64::from(to != from);
        }
        let most = self.window;
        if let Some(mailbox) = self.accounts.mailbox_mut(from) {
            if to != from {
                mailbox.sent.push(ordinal);
            }
            mailbox.window.push(ordinal, send.print);
            if let Some(out) = mailbox.window.evict(most) {
                mailbox.window.horizon = self.messages.index(out);
            }
        }
    }

    /// The pair of two live accounts, made where they have not written to each other before.
    fn pair_of(&mut self, one: AccountId, other: AccountId) -> u32 {
        if let Some(pair) = self.pairs.find(one, other) {
            return pair;
        }
        let pair = self.pairs.add(one, other);
        for account in &self.pairs.get(pair).accounts[usize::from(one == other)..] {
            if let Some(mailbox) = self.accounts.mailbox_mut(*account) {
                mailbox.pairs.push(pair);
            }
        }
        pair
    }

    /// Puts the newest message of all on an account's side of its pair.
    fn show(&mut self, account: AccountId, pair: u32, ordinal: u32) {
        let side = self.pairs.get_mut(pair).side_mut(account);
        let before = side.seen.last();
        side.seen.push(ordinal);
        let Some(mailbox) = self.accounts.mailbox_mut(account) else { return };
        match before {
            Some(before) => mailbox.newest.advance(before, ordinal),
            None => mailbox.newest.push(ordinal),
        }
    }

    fn on_take(&mut self, name: &str, mut seqs: Vec<u64>) -> Effect {
        let Some(account) = self.accounts.live(name) else { return Effect::AccountGone };
        seqs.retain(|&seq| match self.messages.at_index(seq) {
            Some(ordinal) if self.takeable(account, ordinal) => {
                let was_unread = self.is_unread(account, ordinal);
                self.messages.set(ordinal, TAKEN);
                self.count_read(account, self.messages.pair(ordinal), u32::from(was_unread));
                true
            }
            _ => false,
        });
        let messages = &self.messages;
        if let Some(mailbox) = self.accounts.mailbox_mut(account) {
            // Each message is passed once in its life: what `to_take` has to look at stays short.
            let next = mailbox.received.from(mailbox.queue_from).find(|&o| !messages.has(o, TAKEN));
            mailbox.queue_from = next.unwrap_or(messages.len() as u32);
        }
        Effect::Taken { account, seqs }
    }

    /// True for a message to `account` that it can see and has not taken.
    pub(super) fn takeable(&self, account: AccountId, ordinal: u32) -> bool {
        self.messages.flags(ordinal) & (RECEIVER_SEES | TAKEN) == RECEIVER_SEES
            && self.receiver(ordinal) == account
    }

    fn on_read(&mut self, index: u64, name: &str, from: &str, upto: u64) -> Effect {
        let Some(account) = self.accounts.live(name) else { return Effect::AccountGone };
        let Some(other) = self.accounts.ever(from) else { return Effect::NoSuchUser };
        let pair = self.pairs.find(account, other);
        let (Some(pair), true) = (pair, account != other) else {
            return match self.accounts.live(from) {
                Some(_) => Effect::ReadMoved { account, other, marker: 0, moved: false },
                None => Effect::NoSuchUser,
            };
        };
        let side = self.pairs.get(pair).side(account);
        let newest = side.seen.last().map_or(0, |ordinal| self.messages.index(ordinal));
        let (before, marker) = (side.marker, upto.min(newest).max(side.marker));
        if marker == before {
            return Effect::ReadMoved { account, other, marker, moved: false };
        }
        let now_read = if marker >= newest {
            side.unread
        } else {
            // Each message is passed once in its life, since markers only rise.
            let first = self.messages.first_from(before + 1);
            let passed = side.seen.from(first).take_while(|&o| self.messages.index(o) <= marker);
            passed.filter(|&ordinal| self.is_unread(account, ordinal)).count() as u32
        };
        self.count_read(account, pair, now_read);
        let side = self.pairs.get_mut(pair).side_mut(account);
        side.marker = marker;
        let moved_before = std::mem::replace(&mut side.moved_at, index);
        if let Some(mailbox) = self.accounts.mailbox_mut(account) {
            mailbox.moved.remove(&moved_before);
            mailbox.moved.insert(index, pair);
        }
        Effect::ReadMoved { account, other, marker, moved: true }
    }

    /// True for a message that counts as unread for `account`.
    pub(super) fn is_unread(&self, account: AccountId, ordinal: u32) -> bool {
        let pair = self.pairs.get(self.messages.pair(ordinal));
        self.takeable(account, ordinal)
            && pair.accounts[0] != pair.accounts[1]
            && self.messages.index(ordinal) > pair.side(account).marker
    }

    fn count_read(&mut self, account: AccountId, pair: u32, count: u32) {
        self.pairs.get_mut(pair).side_mut(account).unread -= count;
        if let Some(mailbox) = self.accounts.mailbox_mut(account) {
            mailbox.unread -= u64::from(count);
        }
    }

    fn on_delete_msgs(&mut self, index: u64, name: &str, targets: &[Target]) -> Effect {
        let Some(account) = self.accounts.live(name) else { return Effect::AccountGone };
        let mut gone: BTreeMap<AccountId, Vec<u128>> = BTreeMap::new();
        let mut count = 0;
        for target in targets {
            let Some(ordinal) = self.messages.at_index(target.seq) else { continue };
            if self.messages.id(ordinal) != target.id || !self.sees(account, ordinal) {
                continue;
            }
            count += 1;
            self.hide(account, ordinal, index);
            gone.entry(account).or_default().push(target.id);
            let receiver = self.receiver(ordinal);
            if receiver != account && self.sees(receiver, ordinal) {
                self.hide(receiver, ordinal, index);
                gone.entry(receiver).or_default().push(target.id);
            }
        }
        let gone =
            gone.into_iter().map(|(account, ids)| Gone { account, ids: each_once(ids) }).collect();
        Effect::Deleted { account, count, gone }
    }

    /// True for a message that a live account can see.
    pub(super) fn sees(&self, account: AccountId, ordinal: u32) -> bool {
        let flags = self.messages.flags(ordinal);
        let as_sender = flags & SENDER_SEES != 0 && self.sender(ordinal) == account;
        let as_receiver = flags & RECEIVER_SEES != 0 && self.receiver(ordinal) == account;
        (as_sender || as_receiver) && self.accounts.mailbox(account).is_some()
    }

    /// Takes a message that `account` can see from its view.
    fn hide(&mut self, account: AccountId, ordinal: u32, index: u64) {
        let pair = self.messages.pair(ordinal);
        if self.is_unread(account, ordinal) {
            self.count_read(account, pair, 1);
        }
        let sides = [(self.sender(ordinal), SENDER_SEES), (self.receiver(ordinal), RECEIVER_SEES)];
        for (_, flag) in sides.into_iter().filter(|(party, _)| *party == account) {
            self.messages.clear(ordinal, flag);
        }
        let side = self.pairs.get_mut(pair).side_mut(account);
        let was_newest = side.seen.last() == Some(ordinal);
        side.seen.remove(ordinal);
        let newest = side.seen.last();
        let Some(mailbox) = self.accounts.mailbox_mut(account) else { return };
        if !mailbox.received.remove(ordinal) {
            mailbox.sent.remove(ordinal);
        }
        if was_newest {
            mailbox.newest.remove(ordinal);
            newest.into_iter().for_each(|ordinal| mailbox.newest.insert(ordinal));
        }
        mailbox.taken_back.push(TakenBack { seq: index, ordinal });
    }

    fn on_passwd(&mut self, name: &str, verifier: &str) -> Effect {
        let Some(account) = self.accounts.live(name) else { return Effect::AccountGone };
        if let Some(mailbox) = self.accounts.mailbox_mut(account) {
            mailbox.verifier = verifier.into();
        }
        Effect::PasswordChanged { account }
    }

    /// Costs a step for each conversation, not for each message: rows keep saying that the account
    /// sees them, which counts for nothing once it is gone.
    fn on_delete(&mut self, name: &str) -> Effect {
        let Some(account) = self.accounts.live(name) else { return Effect::AccountGone };
        for pair in self.accounts.delete(account).map_or_else(Vec::new, |mailbox| mailbox.pairs) {
            *self.pairs.get_mut(pair).side_mut(account) = Default::default();
        }
        Effect::AccountDeleted { account }
    }

    /// The servers of the cluster, by name; none before the log has said it, and for a server that
    /// is alone.
    pub fn members(&self) -> &[Member] {
        &self.servers.list
    }

    /// A number that no member ever had. A server that is alone has number 1 without being told.
    pub fn next_number(&self) -> u32 {
        self.servers.last_number.max(1).saturating_add(1)
    }

    /// Whether a data directory is or was a member's: it has voted, perhaps, and does not come back
    /// as another server.
    pub fn was_member(&self, incarnation: u64) -> bool {
        self.servers.incarnations.contains(&incarnation)
    }

    /// A message's sender.
    pub(super) fn sender(&self, ordinal: u32) -> AccountId {
        let backward = usize::from(self.messages.has(ordinal, BACKWARD));
        self.pairs.get(self.messages.pair(ordinal)).accounts[backward]
    }

    /// A message's receiver.
    pub(super) fn receiver(&self, ordinal: u32) -> AccountId {
        let backward = usize::from(self.messages.has(ordinal, BACKWARD));
        self.pairs.get(self.messages.pair(ordinal)).accounts[1 - backward]
    }
}

/// The ids in their order, each at its first place only.
pub(super) fn each_once(mut ids: Vec<u128>) -> Vec<u128> {
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|&id| seen.insert(id));
    ids
}
