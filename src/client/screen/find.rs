//! `/search`: back through the conversation until a message has the text. What is not loaded is
//! loaded on the way, page by page, within a bound, and the notice shows how far it is. It can be
//! stopped at any time, and goes on from where it found.

use super::super::show::messages;
use super::Screen;
use super::conversation::{Loaded, Place, View};
use super::layers::{Layer, Search};
use crate::limits;

#[derive(Debug)]
pub(super) struct Sought {
    text: String,
    /// The conversation and the place where it was found.
    found: Option<(String, Place)>,
}

impl Screen {
    /// `/search TEXT`; without a text, the last search goes on.
    pub(super) fn start_search(&mut self, text: Option<String>) {
        let Some(with) = self.book.current().map(str::to_string) else {
            return self.tell_wrong("open a conversation first: /to NAME");
        };
        let goes_on = text.is_none();
        let last = self.sought.take().filter(|_| goes_on);
        let found = last.as_ref().and_then(|last| last.found.clone());
        let found = found.filter(|(name, _)| *name == with).map(|(_, place)| place);
        let Some(text) = text.or(last.map(|last| last.text)) else {
            return self.tell_wrong("no text to search for: use /search TEXT");
        };
        let newest = Place { seq: u64::MAX, local: u64::MAX };
        let before = self.layers.selected().or(found).unwrap_or(newest);
        self.sought = Some(Sought { text: text.clone(), found: None });
        self.layers.close_search();
        self.layers.open(Layer::Search(Search::new(text, with, before)));
        self.step_search();
    }

    /// `n` on a selected message: goes on from there.
    pub(super) fn search_on(&mut self) {
        match self.sought.is_some() {
            true => self.start_search(None),
            false => self.tell("no search yet: use /search TEXT"),
        }
    }

    /// A page of history has arrived.
    pub(super) fn on_searched_page(&mut self, with: &str) {
        if self.layers.search().is_some_and(|search| search.with == with) {
            self.step_search();
        }
    }

    /// Goes through what is loaded, then asks for more.
    fn step_search(&mut self) {
        let Some(search) = self.layers.search() else { return };
        let Some(talk) = self.book.get(&search.with) else { return };
        if let Some(place) = search.step(talk) {
            return self.on_found(place);
        }
        let (with, text, count) = (search.with.clone(), search.quoted(), search.count);
        match talk.loaded {
            Loaded::All => {
                self.layers.close_search();
                self.tell(&format!("{text} not found in {count} older messages"));
            }
            _ if search.pages >= limits::SEARCH_PAGES || !self.book.has_room(&with) => {
                self.layers.close_search();
                self.tell_wrong(&format!(
                    "{text} not found in {count} messages; the search stopped"
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
        let Some(search) = self.layers.search() else { return };
        let (with, folded, count) =
            (search.with.clone(), search.folded().to_string(), search.count);
        self.layers.close_search();
        let Some(talk) = self.book.shown_mut().filter(|talk| talk.name == with) else { return };
        let look = self.drawn.look(&self.people.me, self.settings.zone, talk);
        let at = talk.at(place);
        let row = look.row_with(talk, at, &folded);
        if let Some((at, row)) = look.back_from(talk, at, row, look.rows / 2) {
            talk.reading.view = View::From(talk.entries[at].place, row);
        }
        // What the user types meanwhile is text, and holds no keys that delete.
        let keys = match self.layers.is_free() && self.composer.editor.text().is_empty() {
            true => {
                self.layers.select(place);
                "n finds the next, c copies the text, Esc leaves"
            }
            false => "/search finds the next",
        };
        if let Some(sought) = &mut self.sought {
            sought.found = Some((with, place));
        }
        self.tell(&format!("found after {}; {keys}", messages(count)));
    }
}
