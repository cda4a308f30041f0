//! Answers of several frames: the entries are read from the log, without waiting where the system
//! has them in memory, by the reader thread where it has not; then all frames are written at once,
//! so that no push comes between them.

use super::Service;
use super::dispatch::Next;
use super::reply::{Refusal, count, read_moved, taken_back};
use super::{ReadJob, TraceLevel};
use crate::chat::view;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::protocol::framing::Codec;
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

/// An answer whose entries are being read.
pub(super) struct Page {
    key: Key,
    codec: Codec,
    items: Vec<Item>,
    last: Message<'static>,
    /// What its entries will take in the output, about.
    bytes: usize,
}

impl Service {
    /// Begins an answer of `items` and `last`; the connection is busy until it is written.
    pub(super) fn start_page(
        &mut self,
        key: Key,
        codec: Codec,
        items: Vec<Item>,
        last: Message<'static>,
    ) -> Next {
        let next = self.begin(key);
        let mut page = Page { key, codec, items, last, bytes: 0 };
        let locations: Vec<Location> =
            page.seqs().filter_map(|seq| self.replica.location(seq)).collect();
        page.bytes = locations.iter().map(|location| location.length as usize).sum();
        if locations.is_empty() {
            self.write_page(page, std::iter::empty());
        } else {
            self.last_job += 1;
            self.page_bytes += page.bytes;
            self.pages.insert(self.last_job, page);
            self.todo.read.push(ReadJob { id: self.last_job, locations });
        }
        next
    }

    /// The entries of a [`ReadJob`], in the order of its locations.
    pub fn on_fetched<'a>(&mut self, id: u64, payloads: impl Iterator<Item = &'a [u8]>) {
        let had_room = self.pages_have_room();
        if let Some(page) = self.pages.remove(&id) {
            self.page_bytes -= page.bytes;
            self.write_page(page, payloads);
            self.wake_if_room(had_room);
        }
    }

    /// The entries of a [`ReadJob`] cannot be read; `refusal` is what the client is told.
    pub fn on_fetch_failed(&mut self, id: u64, refusal: &Refusal) {
        let had_room = self.pages_have_room();
        if let Some(Page { key, codec, last, bytes, .. }) = self.pages.remove(&id) {
            self.page_bytes -= bytes;
            let cmd = if last.cmd == "delivered" { "deliver" } else { last.cmd.as_ref() };
            self.end_with(key, codec, &refusal.message(cmd));
            self.wake_if_room(had_room);
        }
    }

    fn write_page<'a>(&mut self, page: Page, mut payloads: impl Iterator<Item = &'a [u8]>) {
        let Page { key, codec, mut items, last, .. } = page;
        let all = items.len();
        let held_back =
            items.split_off(all - all / 2 * usize::from(planted(Mutant::PushInsideReply)));
        for (place, item) in items.iter().enumerate() {
            let limit = count(all - place);
            match item {
                Item::Message(seq) => {
                    let payload = payloads.next().unwrap_or_default();
                    match view::deliver(*seq, payload) {
                        Ok(message) => self.reply(key, codec, &Message { limit, ..message }),
                        Err(error) => {
                            // The frames before are written already: only a close is honest.
                            let line = format!("entry {seq} is no message: {error}");
                            self.tell(TraceLevel::Quiet, line);
                            return self.doom(key);
                        }
                    }
                }
                Item::TakenBack { seq, ids } => {
                    let ids = ids.iter().map(|id| id::format(*id).into()).collect();
                    self.reply(key, codec, &Message { limit, ..taken_back(ids, *seq) });
                }
                Item::ReadMoved { name, marker } => {
                    self.reply(key, codec, &Message { limit, ..read_moved(name, *marker) });
                }
            }
        }
        self.count_output(key);
        if !held_back.is_empty() {
            self.queue(key);
            self.start_page(key, codec, held_back, last);
            return;
        }
        self.end_with(key, codec, &last);
    }

    /// How many of the messages, from the first on, fit into one page: at least one.
    pub(super) fn fitting<'a>(&self, seqs: impl Iterator<Item = &'a u64>) -> usize {
        let mut bytes = 0;
        let mut fitting = 0;
        for seq in seqs {
            bytes += self.replica.location(*seq).map_or(0, |place| place.length as usize);
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

impl Page {
    fn seqs(&self) -> impl Iterator<Item = u64> + '_ {
        self.items.iter().filter_map(|item| match item {
            Item::Message(seq) => Some(*seq),
            _ => None,
        })
    }
}
