//! Messages on their way out, in their order. Those for another cluster are set apart, and those that
//! have waited for more than a day: what was meant for yesterday may be wrong today. Pure.

use std::collections::{BTreeSet, VecDeque};

use super::times::OLD_MS;
use super::types::Draft;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::protocol::{Message, id};

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Messages that may be sent here. Those in flight come first.
    pub items: VecDeque<Item>,
    pub elsewhere: Vec<Item>,
    /// Messages that are sent only when the user says so.
    pub old: Vec<Item>,
    bytes: usize,
    /// The newest messages refused as too old to tell whether they are stored.
    unsure: VecDeque<u128>,
    /// Names that are accounts, or were: a server has said so. A name is never given out again, so
    /// this stays true.
    receivers: BTreeSet<String>,
    /// The time of day at the clock's 0, milliseconds since the Unix epoch.
    epoch_ms: u64,
}

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Item {
    pub draft: Draft,
    pub in_flight: bool,
    /// It may have been sent before: by an earlier run, or on a connection of this one.
    may_be_stored: bool,
    /// This run has taken it.
    pub is_new: bool,
    /// The user says that it may be sent, however old it is.
    may_be_old: bool,
    /// Its seq and time, once the account's events have shown that it is stored.
    pub stored: Option<(u64, u64)>,
}

fn is_for_another(draft: &Draft, cluster: u128) -> bool {
    draft.cluster != 0 && cluster != 0 && draft.cluster != cluster
}

impl Outbox {
    pub fn new(epoch_ms: u64) -> Outbox {
        Outbox { epoch_ms, ..Outbox::default() }
    }

    pub fn has_room(&self, count: usize, bytes: usize) -> bool {
        let held = self.items.len() + self.elsewhere.len() + self.old.len();
        held + count <= limits::OUTBOX_MESSAGES && self.bytes + bytes <= limits::OUTBOX_BYTES
    }

    pub fn add(&mut self, draft: Draft, may_be_stored: bool, cluster: u128) {
        self.bytes += draft.body.len();
        let is_for_another = is_for_another(&draft, cluster);
        let (is_new, may_be_old, in_flight) = (!may_be_stored, false, false);
        let item = Item { draft, in_flight, may_be_stored, is_new, may_be_old, stored: None };
        match is_for_another {
            true => self.elsewhere.push(item),
            false => self.items.push_back(item),
        }
    }

    /// Messages in flight: these come first.
    pub fn flying(&self) -> usize {
        self.items.iter().filter(|item| item.in_flight).count()
    }

    /// The message behind the `flying` ones, if it may be sent: it counts as in flight from now on.
    pub fn next(&mut self, flying: usize, known: u64) -> Option<Draft> {
        if !self.may_follow(flying) {
            return None;
        }
        let item = self.items.get_mut(flying)?;
        assert!(!item.in_flight, "messages in flight come first");
        item.in_flight = true;
        if !std::mem::replace(&mut item.may_be_stored, true) {
            // It was not sent before: if it is stored, then above all that is known now.
            item.draft.known = item.draft.known.max(known);
        }
        Some(item.draft.clone())
    }

    /// Whether the message at `place` may be sent before the one in front of it is answered. The
    /// receiver of that one may not exist yet: if its refusal were lost, it would be sent again,
    /// stored if the receiver exists by then, and so come after what was written later.
    fn may_follow(&self, place: usize) -> bool {
        let before = place.checked_sub(1).and_then(|before| self.items.get(before));
        let is_known = |item: &Item| self.receivers.contains(&item.draft.to);
        before.is_none_or(|item| is_known(item) || planted(Mutant::SentBehindUnknown))
    }

    /// The connection is gone: what was in flight is sent again on the next.
    pub fn land(&mut self) {
        if planted(Mutant::OutboxDroppedEarly) {
            self.items.retain(|item| !item.in_flight);
        }
        for item in &mut self.items {
            if planted(Mutant::RetryWithNewId) && item.in_flight {
                item.draft.id = !item.draft.id;
            }
            item.in_flight = false;
        }
    }

    /// Takes out a message that was answered for good.
    pub fn remove(&mut self, id: u128) -> Option<Item> {
        let place = self.items.iter().position(|item| item.draft.id == id)?;
        let item = self.items.remove(place)?;
        self.bytes -= item.draft.body.len();
        Some(item)
    }

    /// Takes out all messages: they are never sent.
    pub fn take_all(&mut self) -> Vec<Draft> {
        let old = std::mem::take(&mut self.old);
        let all: Vec<Draft> = self.items.drain(..).chain(old).map(|item| item.draft).collect();
        self.bytes -= all.iter().map(|draft| draft.body.len()).sum::<usize>();
        all
    }

    /// The servers are of this cluster: sets apart what was written for another.
    pub fn sort(&mut self, cluster: u128) {
        let mut all: Vec<Item> = self.items.drain(..).collect();
        all.append(&mut self.elsewhere);
        for item in all {
            match is_for_another(&item.draft, cluster) {
                true => self.elsewhere.push(item),
                false => self.items.push_back(Item { in_flight: false, ..item }),
            }
        }
    }

    /// A message was refused as too old to tell whether it is stored.
    pub fn note_unsure(&mut self, id: u128) {
        self.unsure.push_back(id);
        self.unsure.drain(..self.unsure.len().saturating_sub(limits::SEND_WINDOW));
    }

    /// A message of this account is stored: returns what its sender is to be told of it.
    pub fn on_stored(&mut self, message: &Message<'_>) -> Stored {
        let Some(id) = message.msg_ids.iter().next().and_then(id::parse) else {
            return Stored::Elsewhere;
        };
        if let Some(item) = self.items.iter_mut().find(|item| item.draft.id == id) {
            item.stored = Some((message.seq, message.time));
            return Stored::Waiting;
        }
        match self.unsure.iter().position(|unsure| *unsure == id) {
            Some(at) => {
                self.unsure.remove(at);
                Stored::Unsure(id)
            }
            None => Stored::Elsewhere,
        }
    }

    pub fn note_receiver(&mut self, name: &str) {
        if self.receivers.contains(name) {
            return;
        }
        if self.receivers.len() >= limits::KNOWN_RECEIVERS {
            self.receivers.pop_first();
        }
        self.receivers.insert(name.to_owned());
    }

    /// Sets apart what has become too old. Returns true if there was any.
    pub fn hold_old(&mut self, now_ms: u64) -> bool {
        let today_ms = self.epoch_ms.saturating_add(now_ms);
        let is_old = |item: &Item| {
            let age_ms = today_ms.saturating_sub(item.draft.written_ms);
            age_ms > OLD_MS && !item.may_be_old && !item.in_flight
        };
        // Almost always there is none.
        if !self.items.iter().any(is_old) {
            return false;
        }
        let (old, rest): (VecDeque<Item>, _) = self.items.drain(..).partition(is_old);
        self.items = rest;
        self.old.extend(old);
        true
    }

    /// The user says that old messages go out, before what is not in flight yet.
    pub fn send_old(&mut self, cluster: u128) -> usize {
        let (count, mut place) = (self.old.len(), self.flying());
        for item in std::mem::take(&mut self.old) {
            if is_for_another(&item.draft, cluster) {
                self.elsewhere.push(item);
                continue;
            }
            self.items.insert(place, Item { may_be_old: true, ..item });
            place += 1;
        }
        count
    }

    /// Discards old messages, and returns their ids.
    pub fn drop_old(&mut self) -> Vec<u128> {
        self.bytes -= self.old.iter().map(|item| item.draft.body.len()).sum::<usize>();
        self.old.drain(..).map(|item| item.draft.id).collect()
    }
}

/// What is known of a stored message of the account.
pub(super) enum Stored {
    /// It is in the outbox: its reply was lost, and the retry's will tell.
    Waiting,
    /// It was refused as too old to tell; now it is known.
    Unsure(u128),
    /// Another session sent it.
    Elsewhere,
}
