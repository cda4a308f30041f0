//! What the server asks the state. Nothing here changes it.

use super::accounts::{AccountId, Mailbox};
use super::command::Target;
use super::glob::{NamePage, Pattern};
use super::messages::{RECEIVER_SEES, SENDER_SEES, TAKEN};
use super::ordinals::Ordinals;
use super::state::{State, each_once};
use crate::limits::{DELETE_TARGETS, MSG_IDS};
use crate::mutants::{Mutant, planted};
use std::iter::Peekable;

/// Which way a page goes from its cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The newest below the cursor; from the newest of all where it is 0.
    Before,
    /// The oldest above the cursor.
    After,
}

/// A conversation, as `inbox` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// With whom; may be deleted, may be oneself.
    pub other: AccountId,
    /// Messages not read.
    pub unread: u32,
    /// The newest message that the account can see.
    pub newest_seq: u64,
    /// Its time, milliseconds since the Unix epoch.
    pub newest_time: u64,
}

/// Whose message an entry stored, and who can still see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Who sent it.
    pub from: AccountId,
    /// To whom; may be the sender.
    pub to: AccountId,
    /// The sender can see it.
    pub sender_sees: bool,
    /// The receiver can see it.
    pub receiver_sees: bool,
    /// The receiver has taken it off its queue.
    pub taken: bool,
}

/// Something that concerns an account, as `sync` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventRef {
    /// A message from or to it, which it can see.
    Message {
        /// Its seq.
        seq: u64,
    },
    /// Messages went from its view.
    TakenBack {
        /// The event's seq.
        seq: u64,
        /// Their ids, each once.
        ids: Vec<u128>,
    },
    /// A marker of its moved, and has not moved since.
    ReadMoved {
        /// The event's seq.
        seq: u64,
        /// For messages from whom.
        other: AccountId,
        /// Where it stands.
        marker: u64,
    },
}

impl EventRef {
    /// Its place in the one order.
    pub fn seq(&self) -> u64 {
        match *self {
            EventRef::Message { seq }
            | EventRef::TakenBack { seq, .. }
            | EventRef::ReadMoved { seq, .. } => seq,
        }
    }
}

impl State {
    /// The live account of this folded name.
    pub fn account(&self, name: &str) -> Option<AccountId> {
        self.accounts.live(name)
    }

    /// The account that has or had this folded name.
    pub fn account_ever(&self, name: &str) -> Option<AccountId> {
        self.accounts.ever(name)
    }

    /// True for the name of a deleted account.
    pub fn is_tombstoned(&self, name: &str) -> bool {
        self.accounts.ever(name).is_some() && self.accounts.live(name).is_none()
    }

    /// True for a live account.
    pub fn is_live(&self, account: AccountId) -> bool {
        self.accounts.mailbox(account).is_some()
    }

    /// An account's name, live or deleted.
    pub fn name(&self, account: AccountId) -> &str {
        &self.accounts.get(account).name
    }

    /// A live account's verifier, in PostgreSQL's text form.
    pub fn verifier(&self, account: AccountId) -> Option<&str> {
        self.accounts.mailbox(account).map(|mailbox| &*mailbox.verifier)
    }

    /// The cluster's id, once the log has said it.
    pub fn cluster(&self) -> Option<[u8; 16]> {
        self.founding.as_ref().map(|founding| founding.cluster)
    }

    /// What tokens are derived from, once the log has said it.
    pub fn token_secret(&self) -> Option<[u8; 32]> {
        self.founding.as_ref().map(|founding| founding.token_secret)
    }

    /// The time of the last entry that has one, milliseconds since the Unix epoch.
    pub fn last_time(&self) -> u64 {
        self.last_time
    }

    /// How many stored messages the last entry applied had to be compared with, besides its own work.
    pub fn passed(&self) -> usize {
        self.passed
    }

    /// The index of the last entry applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// How many accounts live.
    pub fn account_count(&self) -> usize {
        self.accounts.live_count()
    }

    /// How many messages were ever stored, deleted ones included.
    pub fn message_count(&self) -> usize {
        self.messages.len()
    }

    /// An account's unread messages, all conversations; at once.
    pub fn unread_total(&self, account: AccountId) -> u64 {
        self.accounts.mailbox(account).map_or(0, |mailbox| mailbox.unread)
    }

    /// Where an account's marker for messages from `other` stands; 0 = nothing is read.
    pub fn marker(&self, account: AccountId, other: AccountId) -> u64 {
        self.pairs.find(account, other).map_or(0, |pair| self.pairs.get(pair).side(account).marker)
    }

    /// The index of the entry that last moved that marker; 0 = none did.
    pub fn marker_moved_at(&self, account: AccountId, other: AccountId) -> u64 {
        let side = |pair| self.pairs.get(pair).side(account);
        self.pairs.find(account, other).map_or(0, |pair| side(pair).moved_at)
    }

    /// Who can see the message that the entry `seq` stored; `None` where it stored none.
    pub fn sight(&self, seq: u64) -> Option<Sight> {
        let ordinal = self.messages.at_index(seq)?;
        let (from, to) = (self.sender(ordinal), self.receiver(ordinal));
        let sees = |account, flag| self.messages.has(ordinal, flag) && self.is_live(account);
        Some(Sight {
            from,
            to,
            sender_sees: sees(from, SENDER_SEES),
            receiver_sees: sees(to, RECEIVER_SEES),
            taken: self.messages.has(ordinal, TAKEN),
        })
    }

    /// The live accounts, in the order of their names.
    pub fn live_accounts(&self) -> impl Iterator<Item = AccountId> {
        self.accounts.names("", "").filter_map(|name| self.accounts.live(name))
    }

    /// The seq and time of the message that `account` sent under `id`, where that id is still
    /// known.
    pub fn duplicate_of(&self, account: AccountId, id: u128) -> Option<(u64, u64)> {
        let (ordinal, _) = self.known_id(account, id).0?;
        Some((self.messages.index(ordinal), self.messages.time(ordinal)))
    }

    /// Whether a message that `account` first tried to send when `known` was the newest entry may be
    /// stored under an id that is not known any more. It stands above `known`, if anywhere; all of
    /// this sender's above the horizon are known, below it not all. 0: nobody said, which is no.
    pub fn is_too_old(&self, account: AccountId, known: u64) -> bool {
        let horizon = self.accounts.mailbox(account).map_or(0, |mailbox| mailbox.window.horizon);
        known > 0 && known < horizon && !planted(Mutant::IdExpiredMissed)
    }

    /// A page of the messages that an account can see, sent and received, with one other or with
    /// all: puts at most `limit` seqs into `out`, rising; true: there are more that way.
    pub fn history(
        &self,
        account: AccountId,
        with: Option<AccountId>,
        cursor: u64,
        direction: Direction,
        limit: usize,
        out: &mut Vec<u64>,
    ) -> bool {
        out.clear();
        let Some(mailbox) = self.accounts.mailbox(account) else { return false };
        let none = Ordinals::default();
        let (one, two) = match with {
            None => (&mailbox.received, &mailbox.sent),
            Some(other) => match self.pairs.find(account, other) {
                Some(pair) => (&self.pairs.get(pair).side(account).seen, &none),
                None => return false,
            },
        };
        match direction {
            Direction::After => {
                let first = self.messages.first_from(cursor.saturating_add(1));
                let merged = merge(one.from(first), two.from(first), |one, two| one < two);
                self.page(merged, limit, out)
            }
            Direction::Before => {
                let bound = match cursor {
                    0 => u32::MAX,
                    _ => self.messages.first_from(cursor),
                };
                let merged = merge(one.below(bound), two.below(bound), |one, two| one > two);
                let more = self.page(merged, limit, out);
                out.reverse();
                more
            }
        }
    }

    /// A page of the messages to an account after `cursor`, taken or not (`deliver` 0): puts at
    /// most `limit` seqs into `out`, rising; true: there are more.
    pub fn received_after(
        &self,
        account: AccountId,
        cursor: u64,
        limit: usize,
        out: &mut Vec<u64>,
    ) -> bool {
        out.clear();
        let Some(mailbox) = self.accounts.mailbox(account) else { return false };
        let first = self.messages.first_from(cursor.saturating_add(1));
        self.page(mailbox.received.from(first), limit, out)
    }

    /// Fills `out` with the seqs of the first `limit`; true: more come.
    fn page(
        &self,
        mut ordinals: impl Iterator<Item = u32>,
        limit: usize,
        out: &mut Vec<u64>,
    ) -> bool {
        out.extend(ordinals.by_ref().take(limit).map(|ordinal| self.messages.index(ordinal)));
        ordinals.next().is_some()
    }

    /// The seqs of the (at most) `count` oldest messages to an account that it has not taken,
    /// rising: what the entry of a `deliver` n names.
    pub fn to_take(&self, account: AccountId, count: usize) -> Vec<u64> {
        let Some(mailbox) = self.accounts.mailbox(account) else { return Vec::new() };
        let queue = mailbox.received.from(mailbox.queue_from);
        let waiting = queue.filter(|&ordinal| self.takeable(account, ordinal));
        waiting.take(count).map(|ordinal| self.messages.index(ordinal)).collect()
    }

    /// A page of what concerns an account after `cursor`: puts at most `limit` events into `out`,
    /// seqs rising; true: there are more. The page ends early once it names more than [`MSG_IDS`]
    /// messages taken back.
    pub fn events_after(
        &self,
        account: AccountId,
        cursor: u64,
        limit: usize,
        out: &mut Vec<EventRef>,
    ) -> bool {
        out.clear();
        let Some(mailbox) = self.accounts.mailbox(account) else { return false };
        let after = cursor.saturating_add(1);
        let first = self.messages.first_from(after);
        let shown = merge(mailbox.received.from(first), mailbox.sent.from(first), |a, b| a < b);
        let shown = shown.map(|ordinal| EventRef::Message { seq: self.messages.index(ordinal) });
        let moved = mailbox.moved.range(after..).map(|(&seq, &pair)| {
            let pair = self.pairs.get(pair);
            let marker = pair.side(account).marker;
            EventRef::ReadMoved { seq, other: pair.other(account), marker }
        });
        let taken_back = self.taken_back_after(mailbox, cursor);
        // An entry does one thing to an account: no two events have one seq.
        let earlier = |one: &EventRef, two: &EventRef| one.seq() < two.seq();
        let mut events = merge(merge(shown, moved, earlier), taken_back, earlier).peekable();
        let mut ids_named = 0;
        while out.len() < limit && ids_named <= MSG_IDS {
            let Some(event) = events.next() else { return false };
            if let EventRef::TakenBack { ids, .. } = &event {
                ids_named += ids.len();
            }
            out.push(event);
        }
        events.peek().is_some()
    }

    /// What went from a mailbox's view after `cursor`, one event for each entry that did it.
    fn taken_back_after<'a>(
        &'a self,
        mailbox: &'a Mailbox,
        cursor: u64,
    ) -> impl Iterator<Item = EventRef> + 'a {
        let first = mailbox.taken_back.partition_point(|gone| gone.seq <= cursor);
        let mut gone = mailbox.taken_back.from(first).peekable();
        std::iter::from_fn(move || {
            let seq = gone.peek()?.seq;
            let mut ids = Vec::new();
            while let Some(one) = gone.next_if(|one| one.seq == seq) {
                ids.push(self.messages.id(one.ordinal));
            }
            Some(EventRef::TakenBack { seq, ids: each_once(ids) })
        })
    }

    /// A page of an account's conversations, the one with the newest message first: those whose
    /// newest is below `cursor` (0 = from the newest), at most `limit`. The second value is the
    /// next page's cursor, 0 at the end.
    pub fn conversations(
        &self,
        account: AccountId,
        cursor: u64,
        limit: usize,
    ) -> (Vec<Conversation>, u64) {
        let Some(mailbox) = self.accounts.mailbox(account) else { return (Vec::new(), 0) };
        let bound = match cursor {
            0 => u32::MAX,
            _ => self.messages.first_from(cursor),
        };
        let mut newest = mailbox.newest.below(bound);
        let page: Vec<Conversation> = newest
            .by_ref()
            .take(limit)
            .map(|ordinal| {
                let pair = self.pairs.get(self.messages.pair(ordinal));
                Conversation {
                    other: pair.other(account),
                    unread: pair.side(account).unread,
                    newest_seq: self.messages.index(ordinal),
                    newest_time: self.messages.time(ordinal),
                }
            })
            .collect();
        let next = match (newest.next(), page.last()) {
            (Some(_), Some(last)) => last.newest_seq,
            _ => 0,
        };
        (page, next)
    }

    /// Adds the messages with this id that an account can see, in the conversation with `to` or in
    /// all; gives how many messages it looked at: everybody may have used the same id.
    pub fn add_targets(
        &self,
        account: AccountId,
        to: Option<AccountId>,
        id: u128,
        targets: &mut Vec<Target>,
    ) -> usize {
        let only = match to.map(|other| self.pairs.find(account, other)) {
            Some(None) => return 0,
            Some(found) => found,
            None => None,
        };
        let mut looked_at = 0;
        for ordinal in self.messages.with_id(id) {
            looked_at += 1;
            let is_meant = only.is_none_or(|pair| self.messages.pair(ordinal) == pair);
            if is_meant && self.sees(account, ordinal) {
                targets.push(Target { seq: self.messages.index(ordinal), id });
            }
        }
        looked_at
    }

    /// What the entry of a `delete_msgs` names of the messages found: seqs rise, each once; at most
    /// [`DELETE_TARGETS`], the oldest.
    pub fn tidy_targets(targets: &mut Vec<Target>) {
        targets.sort_unstable();
        targets.dedup();
        targets.truncate(DELETE_TARGETS);
    }

    /// A page of the names of live accounts that match, in order, after `after` (empty: from the
    /// first); see [`Pattern::page`].
    pub fn names<'a>(&'a self, pattern: &Pattern, after: &str, limit: usize) -> NamePage<'a> {
        let prefix = pattern.prefix();
        let names = self.accounts.names(after, prefix);
        pattern.page(names.take_while(|name| name.starts_with(prefix)), limit)
    }
}

/// Two ordered iterators as one; `earlier` says whether the first one's next comes first.
fn merge<T>(
    one: impl Iterator<Item = T>,
    two: impl Iterator<Item = T>,
    earlier: impl Fn(&T, &T) -> bool,
) -> impl Iterator<Item = T> {
    let (mut one, mut two) = (one.peekable(), two.peekable());
    std::iter::from_fn(move || match (one.peek(), two.peek()) {
        (Some(first), Some(second)) if earlier(first, second) => one.next(),
        (_, Some(_)) => Peekable::next(&mut two),
        (_, None) => one.next(),
    })
}
