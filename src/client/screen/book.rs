//! All conversations in the order of the list, which of them is open, and their bounds. Pure.
//!
//! Each has a number, its place in the list, and keeps it: only the first answer to `inbox` orders
//! the list, by the newest messages' seqs. Later conversations come at the end, before names that
//! are not known to exist; only the user [closes](Book::close) and [moves](Book::place) them.

use std::collections::BTreeMap;

use super::conversation::{Conversation, Loaded};
use crate::limits;

/// Conversations with a key: Alt-1 to Alt-0.
pub const KEYED: usize = 10;

#[derive(Debug, Default)]
pub struct Book {
    all: Vec<Conversation>,
    current: Option<String>,
    /// The list was ordered.
    is_ordered: bool,
    /// Closed conversations, and the newest message each had.
    closed: BTreeMap<String, u64>,
    /// Counts how often a conversation was opened.
    clock: u64,
}

impl Book {
    pub fn all(&self) -> &[Conversation] {
        &self.all
    }

    pub fn all_mut(&mut self) -> &mut [Conversation] {
        &mut self.all
    }

    pub fn get(&self, name: &str) -> Option<&Conversation> {
        self.all.iter().find(|talk| talk.name == name)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Conversation> {
        self.all.iter_mut().find(|talk| talk.name == name)
    }

    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    pub fn is_current(&self, name: &str) -> bool {
        self.current.as_deref() == Some(name)
    }

    pub fn shown(&self) -> Option<&Conversation> {
        self.get(self.current.as_deref()?)
    }

    pub fn shown_mut(&mut self) -> Option<&mut Conversation> {
        let current = self.current.as_deref()?;
        self.all.iter_mut().find(|talk| talk.name == current)
    }

    /// The conversation with `name`; makes one if there is none. At the bound the conversation that
    /// was silent longest goes, unless a message of it waits, it is open, or it has a key.
    pub fn entry(&mut self, name: &str) -> &mut Conversation {
        if let Some(at) = self.all.iter().position(|talk| talk.name == name) {
            return &mut self.all[at];
        }
        self.closed.remove(name);
        if self.all.len() >= limits::SCREEN_CONVERSATIONS {
            let may_go = |talk: &Conversation| !talk.has_local() && !self.is_current(&talk.name);
            let others = self.all.iter().enumerate().skip(KEYED);
            let silent = others.filter(|(_, talk)| may_go(talk)).min_by_key(|(_, t)| t.recency());
            if let Some(at) = silent.map(|(at, _)| at) {
                self.all.remove(at);
            }
        }
        // A name that does not exist may go again, so it stays last.
        let last = self.all.iter().rposition(|talk| !talk.is_provisional());
        let at = last.map_or(0, |last| last + 1);
        self.all.insert(at, Conversation::new(name));
        &mut self.all[at]
    }

    pub fn remove(&mut self, name: &str) {
        self.all.retain(|talk| talk.name != name);
    }

    /// Takes the conversation with `name` off the list until it has a newer message or is opened.
    pub fn close(&mut self, name: &str) {
        let newest = self.get(name).map(Conversation::newest_known);
        self.remove(name);
        if self.is_current(name) {
            self.current = None;
        }
        if self.closed.len() >= limits::SCREEN_CONVERSATIONS {
            let oldest = self.closed.iter().min_by_key(|(_, newest)| **newest);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|name| self.closed.remove(&name));
        }
        newest.and_then(|newest| self.closed.insert(name.to_string(), newest));
    }

    /// Returns true if the conversation with `name`, whose newest message is at `newest`, was closed
    /// since that message.
    pub fn is_closed(&self, name: &str, newest: u64) -> bool {
        self.closed.get(name).is_some_and(|closed| newest <= *closed)
    }

    /// Moves the open conversation to a place of the list, counted from 0, or to its end, and returns
    /// that place.
    pub fn place(&mut self, at: usize) -> Option<usize> {
        let current = self.current.as_deref()?;
        let from = self.all.iter().position(|talk| talk.name == current)?;
        let talk = self.all.remove(from);
        let at = at.min(self.all.len());
        self.all.insert(at, talk);
        Some(at)
    }

    /// Orders the list, the first time only: the newest message first.
    pub fn order(&mut self) {
        if !std::mem::replace(&mut self.is_ordered, true) {
            let key = |talk: &Conversation| std::cmp::Reverse(talk.recency());
            self.all.sort_by(|a, b| key(a).cmp(&key(b)).then(a.name.cmp(&b.name)));
        }
    }

    /// The servers hold another cluster: nothing known of the old one is true of it.
    pub fn start_over(&mut self) {
        self.closed.clear();
        self.all.iter_mut().for_each(Conversation::start_over);
    }

    /// Opens the conversation with `name`; makes one if there is none.
    pub fn open(&mut self, name: &str) {
        self.current = Some(name.to_string());
        self.clock += 1;
        let clock = self.clock;
        let talk = self.entry(name);
        talk.opened = clock;
        talk.open();
    }

    /// Messages that are loaded, and the bytes of their texts.
    pub fn size(&self) -> (usize, usize) {
        let size = |talk: &Conversation| (talk.entries.len(), talk.bytes());
        let sizes = self.all.iter().map(size);
        sizes.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    fn is_over(&self) -> bool {
        let (messages, bytes) = self.size();
        messages > limits::SCREEN_MESSAGES || bytes > limits::SCREEN_BYTES
    }

    /// Unloads the conversations that were not open for longest until all is within bounds; of the
    /// open one, the oldest messages.
    pub fn trim(&mut self) {
        let current = self.current.as_deref();
        while self.is_over() {
            let others = self
                .all
                .iter_mut()
                .filter(|talk| Some(talk.name.as_str()) != current && talk.loaded != Loaded::Not);
            match others.min_by_key(|talk| talk.opened) {
                Some(talk) => talk.forget(),
                None => break,
            }
        }
        while self.is_over() {
            let Some(talk) = self.shown_mut().filter(|talk| talk.entries.len() > 1) else { return };
            talk.drop_oldest();
        }
    }

    /// Returns true if another page of this conversation can be loaded.
    pub fn has_room(&self, name: &str) -> bool {
        let Some(talk) = self.get(name) else { return false };
        talk.entries.len() + limits::HISTORY_PAGE <= limits::SCREEN_MESSAGES
            && talk.bytes() + limits::PAGE_BYTES <= limits::SCREEN_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::session::Incoming;
    use super::*;

    fn message(seq: u64, from: &str, body: &str) -> Incoming {
        let (to, body) = ("me".to_string(), body.to_string());
        Incoming { id: String::new(), from: from.to_string(), to, body, time: seq, seq }
    }

    fn names(book: &Book) -> Vec<&str> {
        book.all().iter().map(|talk| talk.name.as_str()).collect()
    }

    /// Has these in its list, each with its newest message's seq.
    fn listed(all: &[(&str, u64)]) -> Book {
        let mut book = Book::default();
        for (name, newest) in all {
            book.entry(name).on_inbox(0, *newest);
        }
        book.order();
        book
    }

    #[test]
    fn the_list_is_bounded_and_who_was_silent_for_longest_goes_without_changing_a_key() {
        let mut book = Book { current: Some("p11".to_string()), ..Book::default() };
        for n in 0..limits::SCREEN_CONVERSATIONS as u64 + 10 {
            book.entry(&format!("p{n}")).on_inbox(0, n);
        }
        assert_eq!(book.all().len(), limits::SCREEN_CONVERSATIONS);
        let first = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p11", "p21"];
        assert_eq!(names(&book)[..first.len()], first, "p11 is kept");
        book.entry("p21").wait(7, "hi", 1);
        book.entry("new");
        assert!(book.get("p21").is_some() && book.get("p22").is_none());
    }

    #[test]
    fn the_list_is_ordered_once_by_the_newest_message_and_what_waits_is_newest() {
        let mut book = Book::default();
        book.entry("waits").wait(7, "hi", 1);
        book.entry("typo");
        for (name, newest) in [("a", 3), ("c", 9), ("b", 9), ("d", 5)] {
            book.entry(name).on_inbox(0, newest);
        }
        book.order();
        assert_eq!(names(&book), ["waits", "b", "c", "d", "a", "typo"]);
        book.entry("a").on_push(&message(20, "a", "hi"), false);
        book.entry("e").on_push(&message(21, "e", "hi"), false);
        book.entry("d").on_inbox(0, 30);
        book.order();
        assert_eq!(names(&book), ["waits", "b", "c", "d", "a", "e", "typo"]);
    }

    #[test]
    fn one_is_placed_where_it_is_wanted_and_the_others_close_up() {
        let mut book = listed(&[("a", 4), ("b", 3), ("c", 2), ("d", 1)]);
        for (name, at, is, all) in [
            ("d", 0, Some(0), ["d", "a", "b", "c"]),
            ("d", 2, Some(2), ["a", "b", "d", "c"]),
            ("a", 99, Some(3), ["b", "d", "c", "a"]),
            ("x", 0, None, ["b", "d", "c", "a"]),
        ] {
            book.current = Some(name.to_string());
            assert_eq!((book.place(at), names(&book)), (is, all.to_vec()), "{name} {at}");
        }
    }

    #[test]
    fn what_is_closed_stays_so_until_something_newer_comes() {
        let mut book = listed(&[("a", 4), ("b", 3), ("c", 2)]);
        book.close("b");
        assert_eq!(names(&book), ["a", "c"]);
        assert_eq!([3, 4].map(|newest| book.is_closed("b", newest)), [true, false]);
        assert!(!book.is_closed("a", 4));
        book.entry("b");
        assert!(!book.is_closed("b", 3), "it is open again");
        book.close("nobody");
        assert!(!book.is_closed("nobody", 0));
        for n in 0..limits::SCREEN_CONVERSATIONS as u64 + 1 {
            book.entry("x").on_inbox(0, n + 1);
            book.current = Some("x".to_string());
            book.place(0);
            book.all[0].name = format!("x{n}");
            book.close(&format!("x{n}"));
        }
        let of = |n: u64| book.is_closed(&format!("x{n}"), 1);
        assert!(!of(0) && of(1), "of too many, the oldest is forgotten");
        book.start_over();
        assert!(!book.is_closed("x1", 1), "another cluster has other seqs");
    }

    #[test]
    fn of_too_many_messages_the_oldest_go() {
        let mut book = Book::default();
        book.open("bob");
        let talk = book.entry("bob");
        talk.loaded = Loaded::Asked;
        for seq in 1..=limits::SCREEN_MESSAGES as u64 + 10 {
            talk.store(&message(seq, "bob", "x"), false);
        }
        talk.add_page(0, &[message(1, "bob", "x")], "me", (1, true));
        book.trim();
        let talk = book.get("bob").expect("it stays");
        assert_eq!(talk.entries.len(), limits::SCREEN_MESSAGES);
        assert_eq!((talk.loaded, book.has_room("bob")), (Loaded::From(11), false));
    }

    #[test]
    fn what_was_not_looked_at_for_longest_goes_first_then_the_oldest_messages() {
        let mut book = Book::default();
        for (name, bytes) in [("old", 1 << 20), ("new", 1 << 20), ("current", 1)] {
            let talk = book.entry(name);
            talk.loaded = Loaded::Asked;
            talk.add_page(0, &[message(1, name, &"x".repeat(bytes))], "me", (1, true));
            book.open(name);
        }
        let rest = limits::SCREEN_BYTES - (1 << 20) - 1;
        let talk = book.entry("current");
        for seq in 2.. {
            let size = limits::BODY_BYTES.min(rest - (talk.bytes() - 1));
            talk.store(&message(seq, "current", &"x".repeat(size)), false);
            if talk.bytes() == rest + 1 {
                break;
            }
        }
        book.trim();
        let loaded = |book: &Book, name| book.get(name).expect("it stays").loaded;
        assert_eq!(loaded(&book, "old"), Loaded::Not);
        assert_eq!(loaded(&book, "new"), Loaded::From(1));
        let talk = book.get_mut("current").expect("it stays");
        let many = talk.newest_seq();
        for seq in many..many + 20 {
            talk.store(&message(seq + 1, "current", &"x".repeat(limits::BODY_BYTES)), false);
        }
        book.trim();
        assert_eq!(loaded(&book, "new"), Loaded::Not);
        assert!(book.size().1 <= limits::SCREEN_BYTES && !book.has_room("current"));
        let talk = book.get("current").expect("it stays");
        assert_eq!(talk.newest_seq(), many + 20, "the newest stay");
        assert!(matches!(talk.loaded, Loaded::From(seq) if seq > 1));
    }
}
