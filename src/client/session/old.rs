//! Messages that have waited for long: they are not sent before somebody has been asked, since what
//! was meant for yesterday may be wrong today.

use super::{Draft, Event, OutboxItem, Session};

/// A message that has waited for longer is not sent unasked, milliseconds: a day.
pub const OLD_MS: u64 = 24 * 60 * 60 * 1000;

impl Session {
    /// How many messages wait for [`Session::send_old`] or [`Session::drop_old`].
    pub fn waiting_old(&self) -> usize {
        self.held_old.len()
    }

    /// These.
    pub fn old_drafts(&self) -> impl Iterator<Item = &Draft> {
        self.held_old.iter().map(|item| &item.draft)
    }

    /// Sends what has waited for long, before what is not under way yet.
    pub fn send_old(&mut self, now_ms: u64) -> usize {
        let flying = self.outbox.iter().filter(|item| item.in_flight).count();
        let count = self.held_old.len();
        let mut place = flying;
        for item in std::mem::take(&mut self.held_old) {
            if self.is_for_another_cluster(&item.draft) {
                self.held_elsewhere.push(item);
                continue;
            }
            self.outbox.insert(place, OutboxItem { may_be_old: true, ..item });
            place += 1;
        }
        self.settle(now_ms);
        count
    }

    /// Gives up what has waited for long; the ids. The caller takes them off the disk.
    pub fn drop_old(&mut self) -> Vec<u128> {
        let bytes: usize = self.held_old.iter().map(|item| item.draft.body.len()).sum();
        self.outbox_bytes -= bytes;
        self.held_old.drain(..).map(|item| item.draft.id).collect()
    }

    /// Tells what the outbox holds and does not send: to be called at the start, whether or not a
    /// server is reached later.
    pub fn tell_held(&mut self) {
        self.tell_old();
        if !self.held_elsewhere.is_empty() {
            self.event(Event::OtherCluster(self.held_elsewhere.len()));
        }
    }

    fn tell_old(&mut self) {
        let since_ms = self.held_old.iter().map(|item| item.draft.written_ms).min();
        if let Some(since_ms) = since_ms {
            self.event(Event::Old { count: self.held_old.len(), since_ms });
        }
    }

    /// As [`Session::hold_old`], and tells of it.
    pub(super) fn hold_and_tell_old(&mut self, now_ms: u64) {
        let before = self.held_old.len();
        self.hold_old(now_ms);
        if self.held_old.len() > before {
            self.tell_old();
        }
    }

    /// Puts aside what has become too old to be sent unasked.
    pub fn hold_old(&mut self, now_ms: u64) {
        let today_ms = self.epoch_ms.saturating_add(now_ms);
        let is_old = |item: &OutboxItem| {
            let age_ms = today_ms.saturating_sub(item.draft.written_ms);
            age_ms > OLD_MS && !item.may_be_old && !item.in_flight
        };
        // Almost always none: the first is the oldest.
        if !self.outbox.iter().any(is_old) {
            return;
        }
        let (old, rest) = self.outbox.drain(..).partition(is_old);
        let old: std::collections::VecDeque<OutboxItem> = old;
        self.outbox = rest;
        self.held_old.extend(old);
    }
}
