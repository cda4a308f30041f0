//! A search under way: back through a conversation, page by page.

use super::super::super::dates::date;
use super::super::super::editor::keys::Key;
use super::super::super::show::{self, messages};
use super::super::conversation::{Conversation, Place};
use super::want::{Took, Want};

#[derive(Debug)]
pub struct Search {
    text: String,
    folded: String,
    pub with: String,
    /// Messages before this place are still to be searched.
    before: Place,
    /// How many were searched, and the time of the last one.
    pub count: usize,
    time: u64,
    /// Pages that were loaded for it.
    pub pages: usize,
}

impl Search {
    /// A search for `text` through what `with` and the user wrote before a place.
    pub fn new(text: String, with: String, before: Place) -> Search {
        let folded = text.to_lowercase();
        Search { text, folded, with, before, count: 0, time: 0, pages: 0 }
    }

    pub fn on_key(&mut self, key: Key) -> Took {
        match key {
            Key::Escape | Key::Ctrl('c') => Took::Last(Want::Nothing),
            _ => Took::No,
        }
    }

    /// Goes back through what is loaded, up to the next message that has the text.
    pub fn step(&mut self, talk: &Conversation) -> Option<Place> {
        let end = talk.at(self.before);
        for entry in talk.entries.range(..end).rev() {
            (self.count, self.time) = (self.count + 1, entry.time);
            self.before = entry.place;
            if entry.body.to_lowercase().contains(&self.folded) {
                return Some(entry.place);
            }
        }
        None
    }

    pub fn folded(&self) -> &str {
        &self.folded
    }

    pub fn quoted(&self) -> String {
        format!("\"{}\"", show::line(&self.text))
    }

    pub fn progress(&self, zone: fn(u64) -> i64) -> String {
        let since = match self.time {
            0 => String::new(),
            time => format!(", back to {}", date(time.saturating_add_signed(zone(time)))),
        };
        format!("searching {}: {}{since}; Esc stops", self.quoted(), messages(self.count))
    }
}
