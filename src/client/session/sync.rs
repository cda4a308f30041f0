//! What happened to the account: pushed by the server, or caught up with by `sync`; and how much of it
//! was handed out.

use std::collections::BTreeMap;

use super::Session;
use super::outbox::Stored;
use super::phase::{PendingKind, Sync};
use super::types::{Event, Incoming, Refusal};
use super::wire::request;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::protocol::Message;

/// How much of the one order was handed out.
pub(super) struct Seen {
    /// The cluster's id; 0 for none known.
    pub cluster: u128,
    /// Everything up to here was handed out; `None` before the first login.
    pub cursor: Option<u64>,
    /// The newest seq heard of.
    pub known: u64,
    /// Own messages above the cursor, by seq.
    pub own: BTreeMap<u64, u128>,
}

impl Seen {
    pub fn new(cluster: u128, cursor: Option<u64>, own: Vec<(u64, u128)>) -> Seen {
        let mut own: BTreeMap<u64, u128> = own.into_iter().collect();
        own.retain(|seq, _| *seq > cursor.unwrap_or(0));
        while own.len() > limits::OWN_RECENT {
            own.pop_first();
        }
        Seen { cluster, cursor, known: cursor.unwrap_or(0), own }
    }

    /// Everything up to `seq` was handed out.
    pub fn move_to(&mut self, seq: u64) {
        if self.cursor.is_none_or(|cursor| cursor < seq) {
            self.cursor = Some(seq);
            self.own.retain(|own, _| *own > seq);
        }
        self.known = self.known.max(seq);
    }

    /// The servers hold another cluster.
    pub fn forget(&mut self) {
        (self.cursor, self.known) = (None, 0);
        self.own.clear();
    }
}

impl Session {
    /// Returns true if everything stored up to now has been handed out, on this connection.
    pub fn is_synced(&self) -> bool {
        self.phase.online().is_some_and(|online| matches!(online.sync, Sync::Done))
    }

    /// Returns true if own messages are above the cursor: [`Session::sync_again`] moves it past them.
    pub fn is_behind(&self) -> bool {
        !self.seen.own.is_empty()
    }

    /// Asks for a `sync`, which moves the cursor past own messages: before a clean end.
    pub fn sync_again(&mut self, now_ms: u64) {
        if self.follow && self.is_behind() {
            self.want_sync();
        }
        self.settle(now_ms);
    }

    /// Pushes do not suffice any more.
    fn want_sync(&mut self) {
        if let Some(online) = self.phase.online_mut()
            && matches!(online.sync, Sync::Done)
        {
            online.sync = Sync::WANTED;
        }
    }

    /// Catches up if that is due: first of all requests.
    pub(super) fn put_due_sync(&mut self, now_ms: u64) {
        if self.seen.own.len() >= limits::OWN_RECENT / 2 {
            self.want_sync();
        }
        let online = self.phase.online();
        if self.follow && online.is_some_and(|online| matches!(online.sync, Sync::Wanted { .. })) {
            self.put_sync(now_ms);
        }
    }

    pub(super) fn put_sync(&mut self, now_ms: u64) {
        let seq = self.seen.cursor.unwrap_or(0) + u64::from(planted(Mutant::SyncOneOff));
        let message = Message { seq, limit: limits::SYNC_PAGE, ..request("sync") };
        if let Some(online) = self.phase.online_mut() {
            online.sync = Sync::Running { from: message.seq, missed: online.sync.missed() };
        }
        self.put(now_ms, PendingKind::Sync, &message);
    }

    pub(super) fn on_lagging(&mut self, seq: u64) {
        self.seen.known = self.seen.known.max(seq);
        let Some(online) = self.phase.online_mut() else { return };
        // What was left out may have been a presence.
        online.watch_is_due = !self.watched.is_empty();
        let is_running = matches!(online.sync, Sync::Running { .. });
        if !(is_running && planted(Mutant::LaggingDuringSync)) {
            online.sync.miss(seq);
        }
    }

    /// Something happened to the account. It is dropped until a `sync` has reached the end: the sync
    /// brings it.
    pub(super) fn on_push(&mut self, message: &Message<'_>) {
        let Some(online) = self.phase.online_mut().filter(|_| self.follow) else { return };
        let is_marker = message.cmd == "read_moved";
        if !is_marker {
            self.seen.known = self.seen.known.max(message.seq);
        }
        let is_done = matches!(online.sync, Sync::Done);
        if is_done || is_marker || planted(Mutant::PushBeforeSync) {
            return self.on_account_event(message);
        }
        online.sync.miss(message.seq);
    }

    /// A `deliver`, `taken_back` or `read_moved` in the one order: handed out once, moves the cursor.
    pub(super) fn on_account_event(&mut self, message: &Message<'_>) {
        if message.cmd == "read_moved" {
            // Its seq is the marker, not the event's own place.
            let name = message.to.to_string();
            return self.event(Event::ReadMoved { name, seq: message.seq });
        }
        if message.seq <= self.seen.cursor.unwrap_or(0) {
            return;
        }
        let own = self.seen.own.contains_key(&message.seq);
        self.seen.move_to(message.seq);
        match message.cmd.as_ref() {
            "taken_back" => {
                let ids = message.msg_ids.iter().map(|id| id.to_string()).collect();
                self.event(Event::TakenBack(ids));
            }
            _ if own || self.is_sent_here(message) => {}
            _ => {
                self.outbox.note_receiver(&message.src);
                self.event(Event::Message(Incoming::of(message)));
            }
        }
    }

    /// Returns true for a message of this session whose reply was lost. It is shown when the retry is
    /// answered, or now if the retry was refused as too old.
    fn is_sent_here(&mut self, message: &Message<'_>) -> bool {
        if message.src != self.login.user.as_str() {
            return false;
        }
        match self.outbox.on_stored(message) {
            Stored::Waiting => true,
            Stored::Unsure(id) => {
                let (to, body) = (message.to.to_string(), message.body.to_string());
                self.event(Event::Sent { id, to, body, seq: message.seq, time: message.time });
                true
            }
            Stored::Elsewhere => false,
        }
    }

    pub(super) fn on_sync(&mut self, now_ms: u64, message: &Message<'_>, refusal: Option<Refusal>) {
        if let Some(refusal) = refusal {
            // The cursor stays, whatever the code: another server may know it, and without it
            // messages would be passed over.
            let why = format!("refused to send missed messages: {refusal}");
            return self.leave(now_ms, &why);
        }
        let Some(online) = self.phase.online_mut() else { return };
        let has_more = message.body == "more";
        let missed = online.sync.missed();
        if has_more && matches!(online.sync, Sync::Running { from, .. } if message.seq <= from) {
            return self.leave(now_ms, "says there are more missed messages but sends none");
        }
        self.seen.move_to(message.seq);
        let is_at_end = !has_more && missed <= self.seen.cursor.unwrap_or(0);
        if is_at_end {
            online.sync = Sync::Done;
            return;
        }
        if !has_more {
            // What was missed is asked for once more; a server that does not have it (yet) pushes it.
            online.sync = Sync::WANTED;
        }
        self.put_sync(now_ms);
    }
}
