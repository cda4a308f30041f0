//! Messages of the user: from the outbox to the server, and what becomes of them.

use std::borrow::Cow;

use super::Session;
use super::phase::PendingKind;
use super::types::{Draft, Event, Full, Refusal};
use super::wire::request;
use crate::limits;
use crate::protocol::{Message, MsgIds, id};

impl Session {
    /// Adds a new message to the outbox. The caller has it on disk already: from here on it may be
    /// sent at any time.
    ///
    /// # Errors
    /// The outbox is full.
    pub fn send(&mut self, now_ms: u64, draft: Draft) -> Result<(), Full> {
        self.add(now_ms, draft, false)
    }

    /// Adds a message of an earlier run, which may have sent it.
    ///
    /// # Errors
    /// The outbox is full.
    pub fn send_again(&mut self, now_ms: u64, draft: Draft) -> Result<(), Full> {
        self.add(now_ms, draft, true)
    }

    fn add(&mut self, now_ms: u64, draft: Draft, may_be_stored: bool) -> Result<(), Full> {
        if !self.has_room(1, draft.body.len()) {
            return Err(Full);
        }
        let fits = (1..=limits::BODY_BYTES).contains(&draft.body.len());
        if !fits || draft.to.len() > limits::NAME_FIELD_BYTES {
            let refusal = Refusal::new("too-long", "a message has 1 to 65,535 bytes");
            self.event(Event::Failed { draft, refusal });
            return Ok(());
        }
        self.outbox.add(draft, may_be_stored, self.seen.cluster);
        self.settle(now_ms);
        Ok(())
    }

    /// Returns true if the outbox has room for `count` more messages of `bytes` together.
    pub fn has_room(&self, count: usize, bytes: usize) -> bool {
        self.outbox.has_room(count, bytes)
    }

    /// How many messages of the outbox may still be sent here.
    pub fn waiting(&self) -> usize {
        self.outbox.items.len()
    }

    /// How many messages of the outbox are for another cluster.
    pub fn waiting_elsewhere(&self) -> usize {
        self.outbox.elsewhere.len()
    }

    /// How many of these this run has taken.
    pub fn new_elsewhere(&self) -> usize {
        self.outbox.elsewhere.iter().filter(|item| item.is_new).count()
    }

    /// How many messages wait for [`Session::send_old`] or [`Session::drop_old`].
    pub fn waiting_old(&self) -> usize {
        self.outbox.old.len()
    }

    /// The messages of the outbox that may still be sent here, in their order.
    pub fn drafts(&self) -> impl Iterator<Item = &Draft> {
        self.outbox.items.iter().map(|item| &item.draft)
    }

    /// The messages that wait for [`Session::send_old`] or [`Session::drop_old`].
    pub fn old_drafts(&self) -> impl Iterator<Item = &Draft> {
        self.outbox.old.iter().map(|item| &item.draft)
    }

    /// Sends old messages, before what is not in flight yet. Returns how many.
    pub fn send_old(&mut self, now_ms: u64) -> usize {
        let count = self.outbox.send_old(self.seen.cluster);
        self.settle(now_ms);
        count
    }

    /// Discards old messages, and returns their ids. The caller takes them off the disk.
    pub fn drop_old(&mut self) -> Vec<u128> {
        self.outbox.drop_old()
    }

    /// Sets apart what has become too old to be sent unless the user says so.
    pub fn hold_old(&mut self, now_ms: u64) {
        self.outbox.hold_old(now_ms);
    }

    /// Reports what the outbox holds and does not send. Call it at the start, whether or not a server
    /// is reached later.
    pub fn tell_held(&mut self) {
        self.tell_old();
        self.tell_elsewhere();
    }

    fn tell_old(&mut self) {
        let since_ms = self.outbox.old.iter().map(|item| item.draft.written_ms).min();
        if let Some(since_ms) = since_ms {
            self.event(Event::Old { count: self.outbox.old.len(), since_ms });
        }
    }

    pub(super) fn tell_elsewhere(&mut self) {
        if !self.outbox.elsewhere.is_empty() {
            self.event(Event::OtherCluster(self.outbox.elsewhere.len()));
        }
    }

    pub(super) fn put_sends(&mut self, now_ms: u64) {
        if self.outbox.hold_old(now_ms) {
            self.tell_old();
        }
        let mut flying = self.outbox.flying();
        let Some(link) = self.phase.link_mut() else { return };
        if let Some(until) = link.held.until {
            if flying > 0 || now_ms < until || self.outbox.items.is_empty() {
                return;
            }
            // A ping tells the server that the refusals are known: it takes sends again.
            link.held.until = None;
            link.put(now_ms, self.codec, PendingKind::Ping, &request("ping"));
        }
        while flying < limits::SEND_WINDOW
            && self.seen.own.len() < limits::OWN_RECENT
            && link.outgoing.len() < limits::CLIENT_OUTPUT_BYTES
            && let Some(draft) = self.outbox.next(flying, self.seen.known)
        {
            let mut message = request("send");
            message.to = Cow::Owned(draft.to);
            message.body = Cow::Owned(draft.body);
            message.msg_ids = MsgIds::Many(vec![Cow::Owned(id::format(draft.id))]);
            // Where nothing was known there was a first entry all the same.
            message.seq = draft.known.max(1);
            link.put(now_ms, self.codec, PendingKind::Send { id: draft.id }, &message);
            flying += 1;
        }
    }

    pub(super) fn on_send(
        &mut self,
        now_ms: u64,
        id: u128,
        reply: &Message<'_>,
        refusal: Option<Refusal>,
    ) {
        if let Some(refusal) = refusal.as_ref().filter(|refusal| refusal.is_passing()) {
            return self.on_not_now(now_ms, id, refusal);
        }
        let Some(item) = self.outbox.remove(id) else { return };
        let draft = item.draft;
        let (seq, time) = match (refusal, item.stored) {
            (None, _) => (reply.seq, reply.time),
            // The server can no longer tell, but it is known.
            (Some(refusal), Some(stored)) if refusal.code == "id-expired" => stored,
            (Some(refusal), _) => {
                if refusal.code == "id-expired" {
                    self.outbox.note_unsure(id);
                }
                return self.event(Event::Failed { draft, refusal });
            }
        };
        if let Some(link) = self.phase.link_mut() {
            link.held.refusals = 0;
            link.held.code.clear();
        }
        self.seen.known = self.seen.known.max(seq);
        if self.follow && seq > self.seen.cursor.unwrap_or(0) {
            self.seen.own.insert(seq, id);
        }
        let Draft { id, to, body, .. } = draft;
        self.outbox.note_receiver(&to);
        self.event(Event::Sent { id, to, body, seq, time });
    }

    /// A send was refused with "not now": those behind it in flight get the same, then a ping after
    /// a while lets them through again.
    fn on_not_now(&mut self, now_ms: u64, id: u128, refusal: &Refusal) {
        let refused = self.outbox.items.iter_mut().find(|item| item.draft.id == id);
        refused.into_iter().for_each(|item| item.in_flight = false);
        let Some(link) = self.phase.link_mut() else { return };
        let held = &mut link.held;
        let is_news = held.code != refusal.code;
        held.code.clone_from(&refusal.code);
        if held.until.is_none() {
            held.refusals = held.refusals.saturating_add(1);
            let wait_ms = self.dice.back_off_ms(held.refusals, 1);
            held.until = Some(now_ms + wait_ms);
        }
        if is_news {
            self.event(Event::Held(refusal.clone()));
        }
    }
}
