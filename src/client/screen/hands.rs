//! What each key does.

use super::super::editor::Action as Edit;
use super::super::editor::keys::Key;
use super::super::show;
use super::bars::SELECT_KEYS;
use super::conversation::{Fate, Place, View};
use super::keep::KEEP_MS;
use super::pane::clipped;
use super::{Action, Confirm, Mode, Screen, input};
use crate::protocol::id;

/// The keys of the screen, as help and the man page show them; the emacs keys of the typed text are
/// named in a line of their own.
pub const KEYS: &[(&str, &str)] = &[
    ("Alt-1 ... Alt-0", "open the first to the tenth conversation of the list"),
    ("Ctrl-N, Ctrl-P", "the next, the previous conversation"),
    ("Alt-A", "the next conversation with something unread"),
    ("PgUp, PgDn, wheel", "scroll; older messages are loaded as they are reached"),
    ("Alt-<, Alt->", "to the oldest message that is loaded, to the newest"),
    ("Enter", "send; a pasted line end never does"),
    ("Alt-Enter", "begin another line"),
    ("Tab, Shift-Tab", "complete a command or a name; the one before"),
    ("Up, Down", "what was typed before (or between the lines of a text)"),
    ("Alt-Up, Alt-Down", "select a message: c copies its text, C its id, d deletes, r takes it up"),
    ("Esc", "leave what is open; stop a search"),
    ("Ctrl-L", "erase and redraw the screen"),
    ("Ctrl-Z", "stop; fg goes on"),
    ("Ctrl-C", "clear what is typed; twice on an empty line: leave"),
    ("Ctrl-A E B F K U W Y", "move, cut and bring back, as in emacs"),
];

/// Rows that one step of the mouse's wheel scrolls.
const WHEEL_ROWS: usize = 3;
/// Columns of a message that a line for the user quotes.
pub(super) const QUOTED_COLUMNS: usize = 60;

impl Screen {
    /// Bytes as they were read from the terminal, cut anywhere.
    pub fn on_bytes(&mut self, now_ms: u64, bytes: &[u8]) {
        let mut keys = std::mem::take(&mut self.keys);
        self.keep_at = Some(now_ms + KEEP_MS);
        keys.feed(now_ms, bytes, |key| self.on_key(key));
        self.keys = keys;
    }

    pub(super) fn on_key(&mut self, key: Key) {
        // The wheel scrolls, and answers no question.
        match key {
            Key::WheelUp => return self.on_wheel(Key::Up),
            Key::WheelDown => return self.on_wheel(Key::Down),
            _ => {}
        }
        // A slash right behind Escape: typed too fast for the two to be told from Alt-/.
        if key == Key::Alt('/') {
            self.on_key(Key::Escape);
            return self.on_key(Key::Char('/'));
        }
        let was_interrupted = std::mem::replace(&mut self.interrupted, false);
        if !matches!(key, Key::Tab | Key::BackTab) {
            self.completion = None;
        }
        match key {
            Key::Ctrl('z') => return self.actions.push(Action::Suspend),
            Key::Ctrl('l') => return self.actions.push(Action::Repaint),
            Key::Ctrl('c') => return self.on_interrupt(was_interrupted),
            _ => {}
        }
        self.notice = None;
        if self.confirm.is_some() {
            return self.on_confirm_key(key);
        }
        if self.is_asking() {
            return self.on_asking_key(key);
        }
        match self.mode {
            // Another conversation can be opened whatever is shown.
            _ if matches!(key, Key::Alt('0'..='9' | 'a')) => self.on_chat_key(key),
            Mode::Chat => self.on_chat_key(key),
            Mode::Select(place) => self.on_select_key(place, key),
            Mode::Pick(_) => self.on_picker_key(key),
            Mode::Panel(_) => self.on_panel_key(key),
        }
    }

    /// Ctrl-C: closes what is open, clears what is typed, asks, leaves.
    fn on_interrupt(&mut self, was_interrupted: bool) {
        self.notice = None;
        if self.confirm.take().is_some() || self.search.take().is_some() {
            return;
        }
        if self.is_asking() {
            return self.cancel_asking();
        }
        if !matches!(self.mode, Mode::Chat) {
            self.mode = Mode::Chat;
            return;
        }
        if !self.editor.text().is_empty() {
            self.editor.on_key(Key::Ctrl('c'));
            return self.tell("cleared; Ctrl-Y brings it back");
        }
        if was_interrupted {
            self.is_quitting = true;
            return;
        }
        (self.interrupted, self.is_warned) = (true, true);
        let lost = self.lost_drafts().map(|lost| format!("leave without {lost}?"));
        let question = lost.unwrap_or_else(|| "leave?".to_string());
        self.tell(&format!("{question} Ctrl-C again does, any other key stays"));
    }

    /// Leaves, but not without a word where that loses what is typed.
    pub(super) fn leave(&mut self) {
        match self.lost_drafts().filter(|_| !self.is_warned) {
            Some(lost) => {
                self.is_warned = true;
                self.tell_wrong(&format!("{lost} is not sent; leaving once more loses it"));
            }
            None => self.is_quitting = true,
        }
    }

    /// What is typed elsewhere, neither sent nor kept, in words.
    fn lost_drafts(&self) -> Option<String> {
        let (with, ..) = self.drafts.back().filter(|_| !self.is_kept)?;
        let to = if with.is_empty() { String::new() } else { format!(" for {}", show::line(with)) };
        let more = match self.drafts.len() - 1 {
            0 => String::new(),
            more => format!(" and for {more} more"),
        };
        Some(format!("what is typed{to}{more}"))
    }

    fn on_chat_key(&mut self, key: Key) {
        match key {
            Key::Alt(digit @ '0'..='9') => self.open_nth(digit),
            Key::Alt('a') => self.open_unread(),
            Key::Ctrl('n') => self.open_beside(1),
            Key::Ctrl('p') => self.open_beside(-1),
            Key::PageUp => self.scroll_up(self.page()),
            Key::PageDown => self.scroll_down(self.page()),
            Key::Alt('<') => self.show_oldest(),
            Key::Alt('>') => self.show_newest(),
            Key::FarUp | Key::Alt('k') => self.select_last(),
            Key::Escape => self.search = None,
            Key::Tab => self.complete(),
            Key::BackTab => self.complete_back(),
            Key::Up if self.move_cursor_by_row(false) => {}
            Key::Down if self.move_cursor_by_row(true) => {}
            key => match self.editor.on_key(key) {
                Some(Edit::Submit(line)) => {
                    self.on_line(&line);
                    self.keep();
                }
                Some(Edit::EndOfInput) => self.leave(),
                Some(Edit::Full) => self.tell_wrong("the text is as long as it can be"),
                _ => {}
            },
        }
    }

    fn move_cursor_by_row(&mut self, down: bool) -> bool {
        let (text, cursor) = (self.editor.text(), self.editor.cursor());
        let laid = input::rows(text, cursor, self.input_columns());
        match laid.vertical(text, down) {
            Some(place) => {
                self.editor.set_cursor(place);
                true
            }
            None => false,
        }
    }

    fn open_nth(&mut self, digit: char) {
        let place = (digit as usize - '0' as usize + 9) % 10;
        match self.book.all().get(place).map(|talk| talk.name.clone()) {
            Some(name) => self.switch_to(&name),
            None => self.tell("the list is not so long"),
        }
    }

    fn open_beside(&mut self, by: isize) {
        let all = self.book.all();
        let is_current = |name: &str| self.current.as_deref() == Some(name);
        let place = all.iter().position(|talk| is_current(&talk.name));
        let next = match (place, by) {
            (None, _) => 0,
            (Some(place), by) => {
                (place as isize + by).rem_euclid(all.len().max(1) as isize) as usize
            }
        };
        if let Some(name) = all.get(next).map(|talk| talk.name.clone()) {
            self.switch_to(&name);
        }
    }

    fn open_unread(&mut self) {
        let is_current = |name: &str| self.current.as_deref() == Some(name);
        let mut unread = self.book.all().iter().filter(|talk| talk.unread() > 0);
        match unread.find(|talk| !is_current(&talk.name)).map(|talk| talk.name.clone()) {
            Some(name) => self.switch_to(&name),
            None => self.tell("nothing else is unread"),
        }
    }

    // Scrolling and selecting.

    fn on_wheel(&mut self, key: Key) {
        let is_up = key == Key::Up;
        match &mut self.mode {
            Mode::Pick(_) => self.on_picker_key(key),
            Mode::Panel(panel) if is_up => panel.top = panel.top.saturating_sub(WHEEL_ROWS),
            Mode::Panel(panel) => panel.top += WHEEL_ROWS,
            Mode::Chat | Mode::Select(_) => {
                match is_up {
                    true => self.scroll_up(WHEEL_ROWS),
                    false => self.scroll_down(WHEEL_ROWS),
                }
                if matches!(self.mode, Mode::Select(_)) {
                    self.select_in_view();
                }
            }
        }
    }

    fn page(&self) -> usize {
        self.drawn.rows.saturating_sub(2).max(1)
    }

    pub(super) fn show_newest(&mut self) {
        let talk = self.current.as_deref().and_then(|name| self.book.get_mut(name));
        if let Some((name, seq)) =
            talk.and_then(|talk| Some((talk.name.clone(), talk.skip_to_newest()?)))
        {
            self.actions.push(Action::MarkRead { name, seq });
        }
    }

    fn show_oldest(&mut self) {
        let talk = self.current.as_deref().and_then(|name| self.book.get_mut(name));
        if let Some((talk, first)) = talk.and_then(|talk| {
            let first = talk.entries.front()?.place;
            Some((talk, first))
        }) {
            talk.is_stuck = false;
            talk.view = View::From(first, i32::MIN);
        }
    }

    /// What is at the top, or will be: several keys may come between two frames.
    fn top(&self) -> Option<(Place, i32)> {
        match self.book.get(self.current.as_deref()?)?.view {
            View::From(place, row) => Some((place, row)),
            View::Newest => self.drawn.top,
        }
    }

    pub(super) fn scroll_up(&mut self, count: usize) {
        let Some((name, (place, row))) = self.current.clone().zip(self.top()) else {
            return;
        };
        let Some(talk) = self.book.get_mut(&name) else {
            return;
        };
        let at = talk.at(place);
        talk.is_stuck = false;
        let look = self.drawn.look(&self.me, self.settings.zone, None);
        if let Some((at, row)) = look.back_from(talk, at, row, count) {
            talk.view = View::From(talk.entries[at].place, row);
        }
    }

    fn scroll_down(&mut self, count: usize) {
        let Some((name, (place, row))) = self.current.clone().zip(self.top()) else {
            return;
        };
        let Some(talk) = self.book.get_mut(&name).filter(|talk| talk.view != View::Newest) else {
            return;
        };
        let at = talk.at(place);
        let look = self.drawn.look(&self.me, self.settings.zone, None);
        let (at, row) = look.on_from(talk, at, row, count);
        if let Some(entry) = talk.entries.get(at) {
            talk.view = View::From(entry.place, row);
        }
    }

    pub(super) fn select_last(&mut self) {
        let talk = self.current.as_deref().and_then(|name| self.book.get(name));
        match talk.and(self.drawn.bottom) {
            Some(place) => self.mode = Mode::Select(place),
            None => self.tell("there is no message to select"),
        }
    }

    fn on_select_key(&mut self, place: Place, key: Key) {
        match key {
            Key::Up | Key::FarUp | Key::Char('k') | Key::Alt('k') | Key::Ctrl('p') => {
                self.select_beside(place, false);
            }
            Key::Down | Key::FarDown | Key::Char('j') | Key::Alt('j') | Key::Ctrl('n') => {
                self.select_beside(place, true);
            }
            Key::PageUp => {
                self.scroll_up(self.page());
                self.select_in_view();
            }
            Key::PageDown => {
                self.scroll_down(self.page());
                self.select_in_view();
            }
            Key::Char('n') => self.search_again(),
            Key::Char('c') => self.copy_selected(place, false),
            Key::Char('C') => self.copy_selected(place, true),
            Key::Char('d') | Key::Delete => self.delete_selected(place),
            Key::Char('r') => self.retype_selected(place),
            Key::Escape | Key::Enter | Key::Char('q') => self.mode = Mode::Chat,
            // Somebody types on.
            Key::Char(_) | Key::Pasted(_) => {
                self.mode = Mode::Chat;
                self.on_chat_key(key);
            }
            _ => self.tell(&format!("{SELECT_KEYS}, n finds on")),
        }
    }

    /// What is selected is never out of view: a key may delete it.
    fn select_in_view(&mut self) {
        let talk = self.current.as_deref().and_then(|name| self.book.get(name));
        let place = talk.and_then(|talk| match talk.view {
            View::From(place, _) => Some(place),
            View::Newest => talk.entries.back().map(|entry| entry.place),
        });
        if let Some(place) = place {
            self.mode = Mode::Select(place);
        }
    }

    /// The id of the selected message.
    pub(super) fn selected_id(&self) -> Option<u128> {
        let Mode::Select(place) = self.mode else {
            return None;
        };
        self.selected(place).map(|entry| entry.id).filter(|id| *id != 0)
    }

    /// The selected message stays so where it gets another place, as one does that is stored now;
    /// where it is gone, nothing is selected, and no other in its stead.
    pub(super) fn follow_selected(&mut self, was: Option<u128>) {
        let Some(id) = was.filter(|id| self.selected_id() != Some(*id)) else {
            return;
        };
        if !matches!(self.mode, Mode::Select(_)) {
            return;
        }
        let talk = self.current.as_deref().and_then(|name| self.book.get(name));
        let entry = talk.and_then(|talk| talk.entries.iter().rev().find(|entry| entry.id == id));
        match entry.map(|entry| entry.place) {
            Some(place) => self.mode = Mode::Select(place),
            None => {
                self.mode = Mode::Chat;
                self.tell("the selected message is gone");
            }
        }
    }

    fn select_beside(&mut self, place: Place, newer: bool) {
        let Some(talk) = self.current.as_deref().and_then(|name| self.book.get(name)) else {
            return;
        };
        let at = talk.at(place);
        let next = if newer { Some(at + 1) } else { at.checked_sub(1) };
        let Some(entry) = next.and_then(|next| talk.entries.get(next)) else {
            return;
        };
        self.mode = Mode::Select(entry.place);
        self.bring_into_view(entry.place);
    }

    /// Scrolls as little as is needed to show a message.
    pub(super) fn bring_into_view(&mut self, place: Place) {
        let Some(talk) = self.current.as_deref().and_then(|name| self.book.get_mut(name)) else {
            return;
        };
        let look = self.drawn.look(&self.me, self.settings.zone, None);
        let at = talk.at(place);
        if self.drawn.top.is_some_and(|(top, row)| place < top || place == top && row > 0) {
            talk.view = View::From(place, i32::MIN);
        } else if self.drawn.bottom.is_some_and(|bottom| place >= bottom)
            && let Some((at, row)) = look.back_from(talk, at + 1, i32::MIN, look.rows)
        {
            talk.view = View::From(talk.entries[at].place, row);
        }
    }

    fn copy_selected(&mut self, place: Place, is_id: bool) {
        let Some(entry) = self.selected(place) else {
            return;
        };
        let text = match is_id {
            true => id::format(entry.id),
            false => entry.body.to_string(),
        };
        let quoted = clipped(&show::line(&text), QUOTED_COLUMNS);
        self.tell(&format!("copied, if the terminal allows it: {quoted}"));
        self.actions.push(Action::Copy(text));
    }

    fn retype_selected(&mut self, place: Place) {
        let Some(text) = self.selected(place).map(|entry| entry.body.to_string()) else {
            return;
        };
        self.mode = Mode::Chat;
        match self.editor.text().is_empty() {
            true => drop(self.editor.replace(text)),
            false => self.tell_wrong("something else is typed already"),
        }
    }

    fn delete_selected(&mut self, place: Place) {
        let Some((with, entry)) = self.current.clone().zip(self.selected(place)) else {
            return;
        };
        let (id, mine) = (entry.id, entry.mine);
        match entry.fate {
            Fate::Stored => self.ask_to_delete(with, id, mine),
            Fate::Waiting => self.tell_wrong("it waits to be sent; it can be deleted after that"),
            Fate::Failed(_) => {
                if let Some(talk) = self.book.get_mut(&with) {
                    talk.remove(place);
                }
                self.mode = Mode::Chat;
            }
        }
    }

    pub(super) fn ask_to_delete(&mut self, with: String, id: u128, mine: bool) {
        let question = match mine {
            true => "take this message back, from both sides? y does, any other key does not",
            false => "remove this message from your side? y does, any other key does not",
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
        self.confirm = Some(Confirm { question, with, id });
    }

    fn selected(&self, place: Place) -> Option<&super::conversation::Entry> {
        let talk = self.book.get(self.current.as_deref()?)?;
        let at = talk.entries.binary_search_by_key(&place, |entry| entry.place).ok()?;
        talk.entries.get(at)
    }

    fn on_confirm_key(&mut self, key: Key) {
        let Some(confirm) = self.confirm.take() else {
            return;
        };
        // What is typed next is meant for the input again.
        self.mode = Mode::Chat;
        if !matches!(key, Key::Char('y' | 'Y')) {
            return self.tell("nothing was deleted");
        }
        self.delete(confirm.with, confirm.id);
    }

    fn on_panel_key(&mut self, key: Key) {
        let page = self.page();
        let Mode::Panel(panel) = &mut self.mode else {
            return;
        };
        match key {
            Key::Up | Key::Char('k') | Key::Ctrl('p') => panel.top = panel.top.saturating_sub(1),
            Key::Down | Key::Char('j') | Key::Ctrl('n') => panel.top += 1,
            Key::PageUp => panel.top = panel.top.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => panel.top += page,
            Key::Escape | Key::Enter | Key::Char('q') => self.mode = Mode::Chat,
            // A command that was just read about.
            Key::Char('/') => {
                self.mode = Mode::Chat;
                self.on_chat_key(key);
            }
            _ => {}
        }
    }
}
