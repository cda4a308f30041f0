//! One conversation: what of it is loaded, in the one order, each message once; what of ours waits;
//! what is unread. Pure.
//!
//! What holds:
//!
//! - Stored messages stand in the order of their seqs, and no seq stands twice. What is loaded has no
//!   gap: pages of history join at the front, pushes at the end.
//! - A message of ours stands once: when it is known to be stored, by an answer, a page or a push, it
//!   is no longer among those that wait.
//! - Only a conversation whose newest page was asked for keeps what is pushed; of the others the
//!   server has it, and it is loaded when they are opened.

use std::collections::{HashSet, VecDeque};

use super::super::session::Incoming;
use crate::limits;
use crate::protocol::id;

/// Where an entry stands: stored messages by seq, what waits behind them all, what failed behind
/// what was the newest then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The message's place in the one order; the greatest there is for what waits.
    pub seq: u64,
    /// 0 for what is stored; else the order in which it was written.
    pub local: u64,
}

/// What has become of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// On a majority of the servers.
    Stored,
    /// In the outbox.
    Waiting,
    /// Refused for good; why.
    Failed(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub place: Place,
    /// Its id; 0 for one that is no UUID.
    pub id: u128,
    /// When, milliseconds since the Unix epoch.
    pub time: u64,
    /// Our own.
    pub mine: bool,
    /// The text, as it came.
    pub body: Box<str>,
    pub fate: Fate,
}

/// How much of the history is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    Not,
    /// The newest page is asked for.
    Asked,
    /// All from some place on; before this seq there is more.
    From(u64),
    /// All there is.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The newest, and what comes.
    Newest,
    /// From a row of an entry on, which stays at the top: 0 is the first of its text, what is set
    /// above it (a day, the unread line) has negative numbers.
    From(Place, i32),
}

/// Where a conversation is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub view: View,
    /// The first unread message when it was opened: the unread line is drawn above it.
    pub unread_from: Option<u64>,
    /// The unread line is not found yet: so many received messages up to this seq were unread.
    pub unread_back: Option<(u64, u64)>,
}

#[derive(Debug)]
pub struct Conversation {
    pub name: String,
    /// What is loaded, in order.
    pub entries: VecDeque<Entry>,
    pub loaded: Loaded,
    /// An older page is asked for.
    pub asked_older: bool,
    /// An older page was refused: it is not asked for again unasked.
    pub is_stuck: bool,
    /// Whether the servers have an account of this name; `None`: they have not said so far.
    pub exists: Option<bool>,
    pub reading: Reading,
    /// When it was opened last, as the book counts.
    pub opened: u64,
    /// The newest stored message that was heard of.
    newest: u64,
    /// Received messages that are unread.
    unread: u64,
    /// Up to there they were counted.
    counted: u64,
    read_to: u64,
    bytes: usize,
    next_local: u64,
}

impl Reading {
    /// The newest messages, all of them read.
    pub const NEWEST: Reading =
        Reading { view: View::Newest, unread_from: None, unread_back: None };

    /// Starts at an unread message, with the unread line above it.
    pub fn from_unread(place: Place) -> Reading {
        let view = View::From(place, i32::MIN);
        Reading { view, unread_from: Some(place.seq), unread_back: None }
    }
}

impl Conversation {
    pub fn new(name: &str) -> Conversation {
        Conversation {
            name: name.to_string(),
            entries: VecDeque::new(),
            loaded: Loaded::Not,
            asked_older: false,
            is_stuck: false,
            exists: None,
            reading: Reading::NEWEST,
            opened: 0,
            newest: 0,
            unread: 0,
            counted: 0,
            read_to: 0,
            bytes: 0,
            next_local: 1,
        }
    }

    /// Received messages that are unread.
    pub fn unread(&self) -> u64 {
        self.unread
    }

    /// All received up to there was on the screen, here or elsewhere.
    pub fn read_to(&self) -> u64 {
        self.read_to
    }

    /// The newest stored message that was heard of; 0 for none.
    pub fn newest_known(&self) -> u64 {
        self.newest
    }

    /// Its place among conversations by their newest messages: what waits is newer than what is
    /// stored.
    pub fn recency(&self) -> u64 {
        if self.is_waiting() { u64::MAX } else { self.newest }
    }

    /// A message of ours waits to be sent.
    pub fn is_waiting(&self) -> bool {
        self.entries.back().is_some_and(|entry| entry.fate == Fate::Waiting)
    }

    /// Nobody is known to have the name, and nothing was written to it that may still be sent.
    pub fn is_provisional(&self) -> bool {
        let is_failed = |entry: &Entry| matches!(entry.fate, Fate::Failed(_));
        match self.exists {
            Some(true) => false,
            Some(false) if self.newest == 0 => self.entries.iter().all(is_failed),
            _ => self.entries.is_empty(),
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where an entry is among those that are loaded, or would be.
    pub fn at(&self, place: Place) -> usize {
        self.entries.partition_point(|entry| entry.place < place)
    }

    /// Some of it waits to be sent, or failed.
    pub fn has_local(&self) -> bool {
        self.entries.iter().rev().take_while(|entry| entry.place.local > 0).next().is_some()
    }

    /// Its newest stored message that is loaded; 0 for none.
    pub fn newest_seq(&self) -> u64 {
        let stored = self.entries.iter().rev().find(|entry| entry.place.local == 0);
        stored.map_or(0, |entry| entry.place.seq)
    }

    /// A line of the inbox.
    pub fn on_inbox(&mut self, unread: u64, newest_seq: u64) {
        self.exists = Some(true);
        self.newest = self.newest.max(newest_seq);
        // The server may not have heard yet how far it was read here; another client may have read
        // further.
        self.unread = match self.count_unread(self.read_to) {
            Some(here) if self.read_to > 0 => unread.min(here),
            _ => unread,
        };
        self.counted = self.counted.max(newest_seq);
    }

    /// A message has arrived, or went out from elsewhere. `is_read`: the pane shows it at once.
    pub fn on_push(&mut self, message: &Incoming, mine: bool) {
        self.exists = Some(true);
        self.newest = self.newest.max(message.seq);
        if !mine && message.seq > self.counted.max(self.read_to) {
            self.unread = self.unread.saturating_add(1);
        }
        self.counted = self.counted.max(message.seq);
        if self.loaded != Loaded::Not {
            self.store(message, mine);
        }
    }

    /// All received messages up to `seq` were read. Returns true if that is news.
    pub fn on_read(&mut self, seq: u64) -> bool {
        let is_news = seq > self.read_to;
        self.unread = self.unread_past(seq);
        self.read_to = self.read_to.max(seq);
        is_news
    }

    /// What [`Conversation::unread`] is once all up to `seq` was read.
    pub fn unread_past(&self, seq: u64) -> u64 {
        if seq <= self.read_to {
            return self.unread;
        }
        match self.count_unread(seq) {
            Some(count) => count,
            None if self.counted <= seq => 0,
            None => self.unread,
        }
    }

    /// Messages received after `read_to`; `None` unless all of these are loaded.
    fn count_unread(&self, read_to: u64) -> Option<u64> {
        let from = match self.loaded {
            Loaded::Not | Loaded::Asked => return None,
            Loaded::From(before) => before,
            Loaded::All => 0,
        };
        if read_to < from {
            return None;
        }
        let newer = self.entries.iter().rev().take_while(|entry| entry.place.seq > read_to);
        Some(newer.filter(|entry| !entry.mine).count() as u64)
    }

    /// A stored message, wherever it came from.
    pub fn store(&mut self, message: &Incoming, mine: bool) {
        let id = id::parse(&message.id).unwrap_or(0);
        self.newest = self.newest.max(message.seq);
        if mine {
            self.settle(id);
        }
        let place = Place { seq: message.seq, local: 0 };
        let Err(at) = self.entries.binary_search_by_key(&place, |entry| entry.place) else {
            return;
        };
        self.bytes += message.body.len();
        let (time, body) = (message.time, message.body.as_str().into());
        self.entries.insert(at, Entry { place, id, time, mine, body, fate: Fate::Stored });
    }

    /// A message of ours is stored, and nothing of the conversation is loaded.
    pub fn on_sent(&mut self, id: u128, seq: u64) {
        self.settle(id);
        self.exists = Some(true);
        self.newest = self.newest.max(seq);
    }

    /// A message of ours is on disk, in the outbox.
    pub fn wait(&mut self, id: u128, body: &str, time: u64) {
        let place = Place { seq: u64::MAX, local: self.next_local };
        self.next_local += 1;
        self.bytes += body.len();
        let (mine, body, fate) = (true, body.into(), Fate::Waiting);
        self.entries.push_back(Entry { place, id, time, mine, body, fate });
    }

    /// A message of ours was refused for good: it stands where the conversation was then.
    pub fn fail(&mut self, id: u128, why: &str) {
        let Some(mut entry) = self.settle(id) else { return };
        entry.place.seq = self.newest_seq();
        entry.fate = Fate::Failed(why.into());
        let at = self.entries.partition_point(|other| other.place < entry.place);
        self.bytes += entry.body.len();
        self.entries.insert(at, entry);
    }

    /// A message of ours does not wait any more.
    pub fn settle(&mut self, id: u128) -> Option<Entry> {
        let waiting = self.entries.iter().rev().take_while(|entry| entry.place.seq == u64::MAX);
        let back = waiting.enumerate().find(|(_, entry)| entry.id == id).map(|(back, _)| back)?;
        let entry = self.entries.remove(self.entries.len() - 1 - back)?;
        self.bytes -= entry.body.len();
        Some(entry)
    }

    /// A message is gone. Whether it was here.
    pub fn remove(&mut self, place: Place) -> bool {
        let Ok(at) = self.entries.binary_search_by_key(&place, |entry| entry.place) else {
            return false;
        };
        let removed = self.entries.remove(at);
        self.bytes -= removed.map_or(0, |entry| entry.body.len());
        true
    }

    /// Stored messages with these ids were taken back.
    pub fn take_back(&mut self, ids: &HashSet<u128>) {
        self.entries.retain(|entry| entry.place.local > 0 || !ids.contains(&entry.id));
        self.bytes = self.entries.iter().map(|entry| entry.body.len()).sum();
        if let Some(count) = self.count_unread(self.read_to).filter(|_| self.read_to > 0) {
            self.unread = count;
        }
    }

    /// A page of history that was asked for with the cursor `asked`: `before` is where the next one
    /// ends, `more` whether there is one. A page that does not join what is loaded is dropped.
    pub fn add_page(
        &mut self,
        asked: u64,
        page: &[Incoming],
        me: &str,
        (before, more): (u64, bool),
    ) {
        let joins = match self.loaded {
            Loaded::Not | Loaded::All => false,
            Loaded::Asked => asked == 0,
            Loaded::From(before) => asked == before,
        };
        if !joins {
            return;
        }
        self.asked_older = false;
        self.exists = Some(true);
        for message in page.iter().rev() {
            self.store(message, message.from == me);
        }
        let goes_on = more && !page.is_empty() && self.loaded != Loaded::From(before);
        self.loaded = if goes_on { Loaded::From(before) } else { Loaded::All };
        self.find_unread_line();
    }

    /// How many messages the newest page should have, to reach what is unread.
    pub fn first_page(&self) -> u16 {
        let wanted = self.unread.saturating_add(10).max(limits::HISTORY_PAGE_DEFAULT as u64);
        wanted.min(limits::HISTORY_PAGE as u64) as u16
    }

    /// The first unread message among those that are loaded.
    fn first_unread(&self) -> Option<Place> {
        let last = usize::try_from(self.unread).ok()?.checked_sub(1)?;
        let is_received = |entry: &&Entry| !entry.mine && entry.place.local == 0;
        let mut received = self.entries.iter().rev().filter(is_received);
        received.nth(last).map(|entry| entry.place)
    }

    /// Where reading goes on if the newest messages, shown from `top` on, begin after the first
    /// unread one, however many came at once or unseen.
    pub fn unseen(&self, reading: Reading, top: Option<(Place, i32)>) -> Option<Reading> {
        let is_asked = reading.unread_back.is_some() || self.loaded == Loaded::Asked;
        let (View::Newest, Some((top, row)), false) = (reading.view, top, is_asked) else {
            return None;
        };
        let first = self.first_unread()?;
        (first < top || first == top && row > 0).then(|| Reading::from_unread(first))
    }

    /// The user asked for the newest messages: those that are skipped count as read. Returns the
    /// newest, if that is news.
    pub fn skip_to_newest(&mut self) -> Option<u64> {
        (self.reading.view, self.reading.unread_back) = (View::Newest, None);
        let newest = self.newest_seq();
        let is_loaded = !matches!(self.loaded, Loaded::Not | Loaded::Asked);
        let is_news = is_loaded && self.unread > 0 && self.on_read(newest);
        is_news.then_some(newest)
    }

    /// It is opened: the unread line is drawn where reading goes on.
    pub fn open(&mut self) {
        (self.reading.unread_from, self.reading.unread_back) = (None, None);
        if self.unread > 0 {
            self.reading.unread_back = Some((self.counted, self.unread));
            self.find_unread_line();
        }
    }

    /// Finds the unread line once enough is loaded, and shows what is below it.
    fn find_unread_line(&mut self) {
        let Some((until, count)) = self.reading.unread_back else { return };
        if matches!(self.loaded, Loaded::Not | Loaded::Asked) {
            return;
        }
        let received =
            |entry: &&Entry| !entry.mine && entry.place.local == 0 && entry.place.seq <= until;
        let mut received = self.entries.iter().rev().filter(received).take(count as usize);
        let found = match self.loaded {
            Loaded::All => received.last(),
            _ => received.nth(count as usize - 1),
        };
        let Some(place) = found.map(|entry| entry.place) else { return };
        self.reading = Reading::from_unread(place);
    }

    /// Lets go of all that the servers have.
    pub fn forget(&mut self) {
        self.entries.retain(|entry| entry.place.local > 0);
        self.bytes = self.entries.iter().map(|entry| entry.body.len()).sum();
        (self.loaded, self.asked_older) = (Loaded::Not, false);
        self.reading = Reading::NEWEST;
    }

    /// The servers hold another cluster: nothing known of the old one is true of it.
    pub fn start_over(&mut self) {
        self.forget();
        (self.unread, self.counted, self.read_to, self.newest) = (0, 0, 0, 0);
        self.exists = None;
    }

    /// Lets go of the oldest message, so that the newest has room.
    pub fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.body.len();
        }
        if let (Some(first), Loaded::From(_) | Loaded::All) = (self.entries.front(), self.loaded) {
            self.loaded = Loaded::From(first.place.seq);
        }
    }

    pub fn check_invariants(&self) {
        let places = || self.entries.iter().map(|entry| entry.place);
        assert!(places().zip(places().skip(1)).all(|(a, b)| a < b), "in order, each once");
        let bytes: usize = self.entries.iter().map(|entry| entry.body.len()).sum();
        assert_eq!(bytes, self.bytes, "bytes are counted");
        let stored = |entry: &Entry| entry.place.local == 0;
        assert!(self.loaded != Loaded::Not || !self.entries.iter().any(stored));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(seq: u64, from: &str) -> Incoming {
        let (to, body) = ("me".to_string(), format!("text {seq}"));
        let id = id::format(u128::from(seq));
        Incoming { id, from: from.to_string(), to, body, time: seq * 1_000, seq }
    }

    fn page(seqs: std::ops::Range<u64>) -> Vec<Incoming> {
        seqs.map(|seq| message(seq, "bob")).collect()
    }

    fn seqs(conversation: &Conversation) -> Vec<u64> {
        conversation.check_invariants();
        conversation.entries.iter().map(|entry| entry.place.seq).collect()
    }

    #[test]
    fn pages_and_pushes_join_without_gap_or_repeat() {
        let mut talk = Conversation::new("bob");
        talk.on_push(&message(10, "bob"), false);
        assert!(seqs(&talk).is_empty(), "nobody has opened it");
        assert_eq!(talk.unread(), 1);
        talk.loaded = Loaded::Asked;
        talk.on_push(&message(12, "bob"), false);
        talk.add_page(0, &page(8..12), "me", (8, true));
        talk.on_push(&message(11, "bob"), false);
        assert_eq!(seqs(&talk), [8, 9, 10, 11, 12]);
        talk.add_page(8, &page(5..9), "me", (5, true));
        assert_eq!(seqs(&talk), [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(talk.loaded, Loaded::From(5));
        talk.add_page(5, &[], "me", (5, true));
        assert_eq!(talk.loaded, Loaded::All, "an empty page is the end, whatever it says");
        talk.forget();
        talk.loaded = Loaded::Asked;
        talk.add_page(5, &page(1..5), "me", (1, true));
        assert_eq!((seqs(&talk), talk.loaded), (vec![], Loaded::Asked), "it would leave a gap");
    }

    #[test]
    fn a_message_of_ours_stands_once_however_it_is_heard_of() {
        for way in 0..3 {
            let mut talk = Conversation::new("bob");
            talk.loaded = Loaded::Asked;
            talk.wait(7, "text 7", 1);
            talk.wait(9, "text 9", 2);
            let stored = Incoming { to: "bob".to_string(), ..message(7, "me") };
            match way {
                0 => talk.store(&stored, true),
                1 => talk.on_push(&stored, true),
                _ => talk.add_page(0, std::slice::from_ref(&stored), "me", (7, false)),
            }
            talk.store(&stored, true);
            assert_eq!(seqs(&talk), [7, u64::MAX], "way {way}");
            assert_eq!(talk.unread(), 0);
            talk.fail(9, "no such user");
            assert_eq!(seqs(&talk), [7, 7]);
            talk.on_push(&message(8, "bob"), false);
            assert_eq!(seqs(&talk), [7, 7, 8], "what failed stays where it was");
        }
    }

    #[test]
    fn what_is_unread_is_counted_once_and_read_by_any_client() {
        let mut talk = Conversation::new("bob");
        talk.on_inbox(3, 12);
        talk.on_push(&message(12, "bob"), false);
        assert_eq!(talk.unread(), 3, "the inbox has counted it");
        talk.on_push(&message(13, "bob"), false);
        assert_eq!(talk.unread(), 4);
        talk.loaded = Loaded::Asked;
        talk.add_page(0, &page(1..14), "me", (1, false));
        assert!(talk.on_read(12));
        assert_eq!(talk.unread(), 1);
        talk.on_inbox(4, 13);
        assert_eq!(talk.unread(), 1, "the server has not heard of it yet");
        assert!(talk.on_read(13) && !talk.on_read(13));
        assert_eq!(talk.unread(), 0);
    }

    #[test]
    fn the_unread_line_stands_where_reading_goes_on_once_that_is_loaded() {
        let mut talk = Conversation::new("bob");
        talk.on_inbox(3, 13);
        talk.open();
        talk.loaded = Loaded::Asked;
        talk.on_push(&message(14, "bob"), false);
        talk.add_page(0, &page(12..14), "me", (12, true));
        assert_eq!((talk.reading.unread_from, talk.reading.unread_back), (None, Some((13, 3))));
        talk.add_page(12, &page(9..12), "me", (9, true));
        assert_eq!(talk.reading.unread_from, Some(11));
        assert!(matches!(talk.reading.view, View::From(Place { seq: 11, local: 0 }, _)));
    }

    #[test]
    fn what_is_taken_back_or_too_old_goes() {
        let mut talk = Conversation::new("bob");
        talk.loaded = Loaded::Asked;
        talk.add_page(0, &page(1..6), "me", (0, false));
        talk.take_back(&HashSet::from([2, 4]));
        assert_eq!(seqs(&talk), [1, 3, 5]);
        talk.drop_oldest();
        assert_eq!((seqs(&talk), talk.loaded), (vec![3, 5], Loaded::From(3)));
        talk.wait(77, "mine", 9);
        talk.forget();
        assert_eq!(seqs(&talk), [u64::MAX], "what waits is only here");
    }
}
