//! All conversations, newest first, within bounds. Pure.

use super::conversation::{Conversation, Loaded};
use crate::limits;

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Book {
    all: Vec<Conversation>,
    /// Counts what is looked at.
    clock: u64,
}

impl Book {
    /// All, newest first.
    pub fn all(&self) -> &[Conversation] {
        &self.all
    }

    /// All, to be changed.
    pub fn all_mut(&mut self) -> &mut [Conversation] {
        &mut self.all
    }

    /// The one with `name`.
    pub fn get(&self, name: &str) -> Option<&Conversation> {
        self.all.iter().find(|talk| talk.name == name)
    }

    /// The one with `name`, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Conversation> {
        self.all.iter_mut().find(|talk| talk.name == name)
    }

    /// The one with `name`, which is made where there is none. At the bound the one goes that was
    /// silent for longest, unless something of it waits, or it is `kept`.
    pub fn entry(&mut self, name: &str, kept: Option<&str>) -> &mut Conversation {
        if let Some(at) = self.all.iter().position(|talk| talk.name == name) {
            return &mut self.all[at];
        }
        if self.all.len() >= limits::SCREEN_CONVERSATIONS {
            let may_go =
                |talk: &Conversation| !talk.has_local() && kept != Some(talk.name.as_str());
            if let Some(at) = self.all.iter().rposition(may_go) {
                self.all.remove(at);
            }
        }
        self.all.push(Conversation::new(name));
        self.all.last_mut().expect("it was just added")
    }

    /// Lets go of the one with `name`.
    pub fn remove(&mut self, name: &str) {
        self.all.retain(|talk| talk.name != name);
    }

    /// Puts the newest first.
    pub fn sort(&mut self) {
        self.all.sort_by(|a, b| b.newest_time.cmp(&a.newest_time).then(a.name.cmp(&b.name)));
    }

    /// It is looked at from now on.
    pub fn open(&mut self, name: &str) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(talk) = self.get_mut(name) {
            talk.opened = clock;
            talk.open();
        }
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

    /// Lets go of what was not looked at for longest until all is within bounds; of the one that is
    /// looked at, the oldest messages.
    pub fn trim(&mut self, current: Option<&str>) {
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
        let Some(current) = current else {
            return;
        };
        while self.is_over() {
            let Some(talk) = self.get_mut(current).filter(|talk| talk.entries.len() > 1) else {
                return;
            };
            talk.drop_oldest();
        }
    }

    /// Whether another page can be loaded of the conversation that is looked at.
    pub fn has_room(&self, current: &str) -> bool {
        let Some(talk) = self.get(current) else {
            return false;
        };
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

    #[test]
    fn the_list_is_bounded_and_newest_first() {
        let mut book = Book::default();
        for n in 0..limits::SCREEN_CONVERSATIONS + 10 {
            let talk = book.entry(&format!("p{n}"), Some("p0"));
            talk.newest_time = n as u64;
            book.sort();
        }
        assert_eq!(book.all().len(), limits::SCREEN_CONVERSATIONS);
        assert_eq!(book.all()[0].name, format!("p{}", limits::SCREEN_CONVERSATIONS + 9));
        assert!(book.get("p0").is_some() && book.get("p1").is_none());
    }

    #[test]
    fn of_too_many_messages_the_oldest_go() {
        let mut book = Book::default();
        let talk = book.entry("bob", None);
        talk.loaded = Loaded::Asked;
        for seq in 1..=limits::SCREEN_MESSAGES as u64 + 10 {
            talk.store(&message(seq, "bob", "x"), false);
        }
        talk.add_page(0, &[message(1, "bob", "x")], "me", (1, true));
        book.trim(Some("bob"));
        let talk = book.get("bob").expect("it stays");
        assert_eq!(talk.entries.len(), limits::SCREEN_MESSAGES);
        assert_eq!((talk.loaded, book.has_room("bob")), (Loaded::From(11), false));
    }

    #[test]
    fn what_was_not_looked_at_for_longest_goes_first_then_the_oldest_messages() {
        let mut book = Book::default();
        for (name, bytes) in [("old", 1 << 20), ("new", 1 << 20), ("current", 1)] {
            let talk = book.entry(name, None);
            talk.loaded = Loaded::Asked;
            talk.add_page(0, &[message(1, name, &"x".repeat(bytes))], "me", (1, true));
            book.open(name);
        }
        let rest = limits::SCREEN_BYTES - (1 << 20) - 1;
        let talk = book.entry("current", None);
        for seq in 2.. {
            let size = limits::BODY_BYTES.min(rest - (talk.bytes() - 1));
            talk.store(&message(seq, "current", &"x".repeat(size)), false);
            if talk.bytes() == rest + 1 {
                break;
            }
        }
        book.trim(Some("current"));
        let loaded = |book: &Book, name| book.get(name).expect("it stays").loaded;
        assert_eq!(loaded(&book, "old"), Loaded::Not);
        assert_eq!(loaded(&book, "new"), Loaded::From(1));
        let talk = book.get_mut("current").expect("it stays");
        let many = talk.newest_seq();
        for seq in many..many + 20 {
            talk.store(&message(seq + 1, "current", &"x".repeat(limits::BODY_BYTES)), false);
        }
        book.trim(Some("current"));
        assert_eq!(loaded(&book, "new"), Loaded::Not);
        assert!(book.size().1 <= limits::SCREEN_BYTES && !book.has_room("current"));
        let talk = book.get("current").expect("it stays");
        assert_eq!(talk.newest_seq(), many + 20, "the newest stay");
        assert!(matches!(talk.loaded, Loaded::From(seq) if seq > 1));
    }
}
