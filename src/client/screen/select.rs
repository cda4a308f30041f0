//! Scrolling through a conversation, and what can be done with a selected message.

use super::super::show;
use super::Screen;
use super::conversation::{Entry, Fate, Place, View};
use super::layers::{Confirm, Layer};
use super::pane::clipped;
use super::types::Action;
use crate::protocol::id;

/// Columns of a message that a line for the user quotes.
pub(super) const QUOTED_COLUMNS: usize = 60;

impl Screen {
    pub(super) fn show_newest(&mut self) {
        let Some(talk) = self.book.shown_mut() else { return };
        if let Some(seq) = talk.skip_to_newest() {
            let name = talk.name.clone();
            self.actions.push(Action::MarkRead { name, seq });
        }
    }

    pub(super) fn show_oldest(&mut self) {
        let talk = self.book.shown_mut();
        if let Some((talk, first)) = talk.and_then(|talk| {
            let first = talk.entries.front()?.place;
            Some((talk, first))
        }) {
            talk.is_stuck = false;
            talk.reading.view = View::From(first, i32::MIN);
        }
    }

    /// Scrolls by so many rows. A selected message stays in view: a key may delete it.
    pub(super) fn scroll(&mut self, up: bool, rows: usize) {
        self.scroll_by(up, rows);
        if let (Some(_), Some(place)) = (self.layers.selected(), self.first_in_view()) {
            self.layers.select(place);
        }
    }

    fn scroll_by(&mut self, up: bool, rows: usize) {
        let Some(talk) = self.book.shown_mut() else { return };
        // What is at the top, or will be: several keys may come between two frames.
        let top = match talk.reading.view {
            View::From(place, row) => Some((place, row)),
            View::Newest => self.drawn.top.filter(|_| up),
        };
        let Some((place, row)) = top else { return };
        let at = talk.at(place);
        let look = self.drawn.look(&self.people.me, self.settings.zone, talk);
        let to = match up {
            true => look.back_from(talk, at, row, rows),
            false => Some(look.on_from(talk, at, row, rows)),
        };
        talk.is_stuck &= !up;
        let entry = to.and_then(|(at, row)| Some((talk.entries.get(at)?.place, row)));
        if let Some((place, row)) = entry {
            talk.reading.view = View::From(place, row);
        }
    }

    fn first_in_view(&self) -> Option<Place> {
        let talk = self.book.shown()?;
        match talk.reading.view {
            View::From(place, _) => Some(place),
            View::Newest => talk.entries.back().map(|entry| entry.place),
        }
    }

    pub(super) fn select_last(&mut self) {
        match self.book.shown().and(self.drawn.bottom) {
            Some(place) => self.layers.select(place),
            None => self.tell("there is no message to select"),
        }
    }

    /// Selects the next older or newer message, and scrolls as little as needed to show it.
    pub(super) fn select_beside(&mut self, newer: bool) {
        let (Some(place), Some(talk)) = (self.layers.selected(), self.book.shown_mut()) else {
            return;
        };
        let at = talk.at(place);
        let next = if newer { Some(at + 1) } else { at.checked_sub(1) };
        let Some(next) = next.filter(|next| *next < talk.entries.len()) else { return };
        let place = talk.entries[next].place;
        self.layers.select(place);
        let look = self.drawn.look(&self.people.me, self.settings.zone, talk);
        if self.drawn.top.is_some_and(|(top, row)| place < top || place == top && row > 0) {
            talk.reading.view = View::From(place, i32::MIN);
        } else if self.drawn.bottom.is_some_and(|bottom| place >= bottom)
            && let Some((at, row)) = look.back_from(talk, next + 1, i32::MIN, look.rows)
        {
            talk.reading.view = View::From(talk.entries[at].place, row);
        }
    }

    fn selected(&self) -> Option<&Entry> {
        let (place, talk) = (self.layers.selected()?, self.book.shown()?);
        let at = talk.entries.binary_search_by_key(&place, |entry| entry.place).ok()?;
        talk.entries.get(at)
    }

    pub(super) fn selected_id(&self) -> Option<u128> {
        self.selected().map(|entry| entry.id).filter(|id| *id != 0)
    }

    /// Keeps a message selected when its place changes, as it does when it is stored. Once it is
    /// gone, nothing is selected, and no other message in its stead.
    pub(super) fn follow_selected(&mut self, was: Option<u128>) {
        let Some(id) = was.filter(|id| self.selected_id() != Some(*id)) else { return };
        if self.layers.selected().is_none() {
            return;
        }
        let mut entries = self.book.shown().into_iter().flat_map(|talk| talk.entries.iter().rev());
        match entries.find(|entry| entry.id == id).map(|entry| entry.place) {
            Some(place) => self.layers.select(place),
            None => {
                self.layers.close_panes();
                self.tell("the selected message is gone");
            }
        }
    }

    pub(super) fn copy_selected(&mut self, is_id: bool) {
        let Some(entry) = self.selected() else { return };
        let text = match is_id {
            true => id::format(entry.id),
            false => entry.body.to_string(),
        };
        let quoted = clipped(&show::line(&text), QUOTED_COLUMNS);
        self.tell(&format!("copied, if the terminal allows it: {quoted}"));
        self.actions.push(Action::Copy(text));
    }

    pub(super) fn reuse_selected(&mut self) {
        let Some(text) = self.selected().map(|entry| entry.body.to_string()) else { return };
        self.layers.close_panes();
        match self.composer.editor.text().is_empty() {
            true => drop(self.composer.editor.replace(text)),
            false => self.tell_wrong("the input is not empty: send or clear it first"),
        }
    }

    pub(super) fn delete_selected(&mut self) {
        let Some(entry) = self.selected() else { return };
        let (id, place, mine) = (entry.id, entry.place, entry.mine);
        match entry.fate {
            Fate::Stored => {
                let with = self.book.current().unwrap_or_default().to_string();
                self.ask_to_delete(with, id, mine);
            }
            Fate::Waiting => self.tell_wrong("not sent yet: delete it once it is sent"),
            Fate::Failed(_) => {
                self.book.shown_mut().map(|talk| talk.remove(place));
                self.layers.close_panes();
            }
        }
    }

    pub(super) fn ask_to_delete(&mut self, with: String, id: u128, mine: bool) {
        let question = match mine {
            true => "delete this message for both of you? y deletes it, any other key keeps it",
            false => "delete this message on your side? y deletes it, any other key keeps it",
        };
        let talk = self.book.get(&with);
        let entry = talk.and_then(|talk| talk.entries.iter().find(|entry| entry.id == id));
        let question = match entry {
            Some(entry) => {
                let text = clipped(&show::line(&entry.body), QUOTED_COLUMNS);
                format!("{question} (\"{text}\")")
            }
            None => question.to_string(),
        };
        self.layers.open(Layer::Confirm(Confirm::Delete { question, with, id }));
    }
}
