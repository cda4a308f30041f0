//! `/search`: back through the conversation until a message has the text; what is not loaded is
//! loaded on the way, page by page, within a bound, and shown as it goes. It can be stopped at any
//! time, and goes on from where it found.

use super::super::printer::date;
use super::super::show::{self, messages};
use super::conversation::{Loaded, Place, View};
use super::{Mode, Screen};
use crate::limits;

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    text: String,
    folded: String,
    with: String,
    /// Messages before this place are to be looked at.
    before: Place,
    /// How many were looked at, and how old the last one was.
    count: usize,
    time: u64,
    pages: usize,
}

impl Search {
    /// How far it is.
    pub fn progress(&self, zone: fn(u64) -> i64) -> String {
        let text = show::line(&self.text);
        let since = match self.time {
            0 => String::new(),
            time => format!(", back to {}", date(time.saturating_add_signed(zone(time)))),
        };
        format!("searching \"{text}\": {}{since}; Esc stops", messages(self.count))
    }
}

impl Screen {
    /// `/search TEXT`; without a text, the last one goes on.
    pub(super) fn start_search(&mut self, text: Option<String>) {
        let Some(with) = self.current.clone() else {
            return self.tell_wrong("open a conversation first: /to NAME");
        };
        let found = self.found.take().filter(|(name, _)| text.is_none() && *name == with);
        let before = match (&self.mode, found) {
            (Mode::Select(place), _) => *place,
            (_, Some((_, place))) => place,
            _ => Place { seq: u64::MAX, local: u64::MAX },
        };
        let Some(text) = text.or_else(|| self.searched.clone()) else {
            return self.tell_wrong("search for what? /search TEXT");
        };
        self.searched = Some(text.clone());
        let folded = text.to_lowercase();
        let (count, time, pages) = (0, 0, 0);
        self.search = Some(Search { text, folded, with, before, count, time, pages });
        self.step_search();
    }

    /// From the message that was found on.
    pub(super) fn search_again(&mut self) {
        match self.searched.is_some() {
            true => self.start_search(None),
            false => self.tell("nothing was searched for: /search TEXT"),
        }
    }

    /// A page has come.
    pub(super) fn search_on(&mut self, with: &str) {
        if self.search.as_ref().is_some_and(|search| search.with == with) {
            self.step_search();
        }
    }

    /// Looks through what is loaded, then asks for more.
    fn step_search(&mut self) {
        let Some(search) = &mut self.search else {
            return;
        };
        let Some(talk) = self.book.get(&search.with) else {
            return;
        };
        let end = talk.at(search.before);
        let mut found = None;
        for entry in talk.entries.range(..end).rev() {
            (search.count, search.time) = (search.count + 1, entry.time);
            search.before = entry.place;
            if entry.body.to_lowercase().contains(&search.folded) {
                found = Some(entry.place);
                break;
            }
        }
        if let Some(place) = found {
            return self.on_found(place);
        }
        let (with, text) = (search.with.clone(), show::line(&search.text).into_owned());
        match talk.loaded {
            Loaded::All => {
                let count = search.count;
                self.search = None;
                self.tell(&format!("\"{text}\" is in none of {count} older messages"));
            }
            _ if search.pages >= limits::SEARCH_PAGES || !self.book.has_room(&with) => {
                let count = search.count;
                self.search = None;
                self.tell_wrong(&format!(
                    "\"{text}\" is in none of {count} messages, and more are not searched"
                ));
            }
            Loaded::From(_) => {
                search.pages += 1;
                self.load_older(&with, limits::HISTORY_PAGE as u16);
            }
            Loaded::Not => self.load(&with),
            Loaded::Asked => {}
        }
    }

    fn on_found(&mut self, place: Place) {
        let Some(search) = self.search.take() else {
            return;
        };
        if self.current.as_deref() != Some(search.with.as_str()) {
            return;
        }
        // Who types on meanwhile means the input, and no keys that delete.
        let is_typing = !self.editor.text().is_empty();
        if !is_typing {
            self.mode = Mode::Select(place);
        }
        self.found = Some((search.with.clone(), place));
        let look = self.drawn.look(&self.me, self.settings.zone, None);
        if let Some(talk) = self.book.get_mut(&search.with) {
            let at = talk.at(place);
            let row = look.row_with(talk, at, &search.folded);
            if let Some((at, row)) = look.back_from(talk, at, row, look.rows / 2) {
                talk.view = View::From(talk.entries[at].place, row);
            }
        }
        let keys = match is_typing {
            true => "/search finds on",
            false => "n finds on, c copies the text, Esc leaves",
        };
        self.tell(&format!("found after {}; {keys}", messages(search.count)));
    }
}
