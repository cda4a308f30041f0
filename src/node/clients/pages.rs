//! Answers of several frames: the entries are read from the log, without waiting where the system
//! has them in memory, by the reader thread where it has not, a part of them in each turn. Each frame
//! is made when its entry is there, and all go to the output at once; pushes that were made meanwhile
//! come behind them.

use super::Clients;
use super::budget;
use super::dispatch::Next;
use super::reply::{Refusal, count, read_moved, taken_back};
use super::{ReadJob, TraceLevel};
use crate::chat::{ApplyError, view};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::replica::Replica;
use crate::protocol::framing::{self, Codec, Form};
use crate::protocol::{Message, id};
use crate::wal::Location;

/// One frame of an answer before its last.
pub(super) enum Item {
    /// The message with this seq.
    Message(u64),
    /// Messages that went, in the event with this seq.
    TakenBack { seq: u64, ids: Vec<u128> },
    /// The marker of the conversation with `name` moved to this seq.
    ReadMoved { name: String, marker: u64 },
}

/// What a frame has beside the text, more than its entry has, about: a hint for the allocation.
const FRAME_OVERHEAD_BYTES: usize = 192;

/// An answer whose entries are being read.
pub(super) struct Page {
    key: Key,
    form: Form,
    codec: Codec,
    /// Of which there are no frames yet.
    items: std::vec::IntoIter<Item>,
    /// Those before them.
    frames: Vec<u8>,
    last: Message<'static>,
    /// What its frames will take in the output, about.
    bytes: usize,
    /// For a planted bug: these follow by themselves.
    held_back: Vec<Item>,
}

impl Clients {
    /// Begins an answer of `items` and `last`; the connection is busy until it is written.
    pub(super) fn start_page(
        &mut self,
        replica: &Replica,
        key: Key,
        codec: Codec,
        mut items: Vec<Item>,
        last: Message<'static>,
    ) -> Next {
        let next = self.begin(key);
        let Some(client) = self.clients.get_mut(key) else { return next };
        client.outgoing.has_page = true;
        let form = client.form.unwrap_or(Form::Lines);
        let place = |seq| replica.location(seq).expect("what is applied is on the disk");
        let locations: Vec<Location> = items.iter().filter_map(Item::seq).map(place).collect();
        let read: usize = locations.iter().map(|location| location.length as usize).sum();
        let bytes = read + items.len() * FRAME_OVERHEAD_BYTES;
        self.page_bytes += bytes;
        let of_ids: usize = items.iter().map(Item::ids).sum();
        let work = items.len() as u64 * budget::ITEM + of_ids as u64 * budget::ID;
        self.charge(key, work);
        // Its entries are read in turns to come.
        self.charge_later(key, read as u64);
        let all = items.len();
        let held_back =
            items.split_off(all - all / 2 * usize::from(planted(Mutant::PushInsideReply)));
        let (items, frames) = (items.into_iter(), Vec::new());
        let page = Page { key, form, codec, items, frames, last, bytes, held_back };
        self.last_job += 1;
        self.pages.insert(self.last_job, page);
        if locations.is_empty() {
            self.on_fetched(replica, self.last_job, std::iter::empty());
        } else {
            self.todo.read.push_back(ReadJob { id: self.last_job, locations });
        }
        next
    }

    /// Entries of a [`ReadJob`], in the order of its locations: all of them or, in several calls,
    /// always the next.
    pub fn on_fetched<'a>(
        &mut self,
        replica: &Replica,
        id: u64,
        payloads: impl Iterator<Item = &'a [u8]>,
    ) {
        let had_room = self.pages_have_room();
        let Some(page) = self.pages.get_mut(&id) else { return };
        match page.put(payloads) {
            Ok(()) if page.items.len() > 0 => return,
            Ok(()) => {
                if let Some(page) = self.take_page(id) {
                    self.finish_page(replica, page);
                }
            }
            Err((seq, error)) => {
                // Frames are made already: only a close is honest.
                self.tell(TraceLevel::Error, format!("entry {seq} is not a message: {error}"));
                if let Some(page) = self.take_page(id) {
                    self.doom(page.key);
                }
            }
        }
        self.wake_if_room(had_room);
    }

    /// The entries of a [`ReadJob`] cannot be read; `refusal` is what the client is told.
    pub fn on_fetch_failed(&mut self, id: u64, refusal: &Refusal) {
        let had_room = self.pages_have_room();
        if let Some(Page { key, codec, last, .. }) = self.take_page(id) {
            let cmd = if last.cmd == "delivered" { "deliver" } else { last.cmd.as_ref() };
            self.end_with(key, codec, &refusal.message(cmd));
            self.release_pushes(key);
            self.wake_if_room(had_room);
        }
    }

    fn take_page(&mut self, id: u64) -> Option<Page> {
        let page = self.pages.remove(&id)?;
        self.page_bytes -= page.bytes;
        Some(page)
    }

    fn finish_page(&mut self, replica: &Replica, page: Page) {
        let Page { key, form, codec, mut frames, last, held_back, .. } = page;
        let Some(client) = self.clients.get_mut(key) else { return };
        if held_back.is_empty() {
            framing::put(&mut frames, form, codec, &last);
        }
        client.outgoing.output.append(frames, &mut self.spares);
        self.release_pushes(key);
        self.mark_dirty(key);
        if held_back.is_empty() {
            self.end(key);
        } else {
            self.queue(key);
            self.start_page(replica, key, codec, held_back, last);
        }
    }

    /// The answer is made: what was pushed meanwhile comes behind it.
    fn release_pushes(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.outgoing.has_page = false;
        client
            .outgoing
            .output
            .append(std::mem::take(&mut client.outgoing.behind_page), &mut self.spares);
        self.count_output(key);
    }

    /// How many of the messages, from the first on, fit into one page: at least one.
    pub(super) fn fitting<'a>(
        &self,
        replica: &Replica,
        seqs: impl Iterator<Item = &'a u64>,
    ) -> usize {
        let mut bytes = 0;
        let mut fitting = 0;
        for seq in seqs {
            bytes += replica.location(*seq).map_or(0, |place| place.length as usize);
            if fitting > 0 && bytes > limits::PAGE_BYTES {
                break;
            }
            fitting += 1;
        }
        fitting
    }

    /// Whether the outputs have room for another page, beside those that are being read.
    pub(super) fn pages_have_room(&self) -> bool {
        self.outputs.bytes() + self.page_bytes < limits::OUTPUT_TOTAL_BYTES
    }

    /// Wakes those who wait for room in the outputs, where there was none and now is.
    pub(super) fn wake_if_room(&mut self, had_room: bool) {
        if !had_room && self.pages_have_room() {
            self.wake_stalled();
        }
    }
}

impl Item {
    /// How many message ids it names.
    fn ids(&self) -> usize {
        match self {
            Item::TakenBack { ids, .. } => ids.len(),
            Item::Message(_) | Item::ReadMoved { .. } => 0,
        }
    }

    /// Whose entry is to be read for it.
    fn seq(&self) -> Option<u64> {
        match self {
            Item::Message(seq) => Some(*seq),
            Item::TakenBack { .. } | Item::ReadMoved { .. } => None,
        }
    }
}

impl Page {
    /// Makes the next frames, as far as there are payloads for them. An error names the entry that is
    /// no message.
    fn put<'a>(
        &mut self,
        mut payloads: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), (u64, ApplyError)> {
        if self.frames.is_empty() {
            self.frames.reserve_exact(self.bytes);
        }
        while let Some(item) = self.items.as_slice().first() {
            let message = match item {
                Item::Message(seq) => {
                    let Some(payload) = payloads.next() else { break };
                    view::deliver(*seq, payload).map_err(|error| (*seq, error))?
                }
                Item::TakenBack { seq, ids } => {
                    taken_back(ids.iter().map(|id| id::format(*id).into()).collect(), *seq)
                }
                Item::ReadMoved { name, marker } => read_moved(name, *marker),
            };
            let limit = count(self.items.len() + self.held_back.len());
            framing::put(&mut self.frames, self.form, self.codec, &Message { limit, ..message });
            self.items.next();
        }
        Ok(())
    }
}
