//! The composer: the text being typed, and the drafts of other conversations. It is below all layers
//! and takes each key that they leave.

use std::collections::VecDeque;

use super::super::editor::keys::Key;
use super::super::editor::{Action as Edit, Editor};
use super::super::show;
use super::super::store::typed::Unsent;
use super::input;
use super::layers::{Room, WHEEL_ROWS, Want};
use crate::limits;

#[derive(Default)]
pub(super) struct Composer {
    pub editor: Editor,
    /// Unsent texts of other conversations, the oldest first.
    drafts: VecDeque<Unsent>,
    pub is_kept: bool,
    /// The user was told that leaving loses drafts.
    pub is_warned: bool,
}

impl Composer {
    /// Puts a word in place of the text from `start` up to the cursor.
    pub fn put_word(&mut self, start: usize, word: &str) {
        let (text, cursor) = (self.editor.text(), self.editor.cursor());
        let (before, behind) = (&text[..start.min(cursor)], text[cursor..].trim_start());
        let place = before.len() + word.len();
        let whole = format!("{before}{word}{behind}");
        self.editor.replace(whole);
        self.editor.set_cursor(place);
    }

    pub fn laid(&self, columns: usize) -> input::Rows {
        input::rows(self.editor.text(), self.editor.cursor(), columns)
    }

    pub fn on_key(&mut self, key: Key, room: Room) -> Want {
        match key {
            Key::Alt(digit @ '0'..='9') => Want::OpenNth(digit),
            Key::Alt('a') => Want::OpenUnread,
            Key::Ctrl('n') => Want::OpenBeside(1),
            Key::Ctrl('p') => Want::OpenBeside(-1),
            Key::PageUp => Want::ScrollUp(room.page),
            Key::PageDown => Want::ScrollDown(room.page),
            Key::WheelUp => Want::ScrollUp(WHEEL_ROWS),
            Key::WheelDown => Want::ScrollDown(WHEEL_ROWS),
            Key::Alt('<') => Want::ShowOldest,
            Key::Alt('>') => Want::ShowNewest,
            Key::FarUp | Key::Alt('k') => Want::SelectLast,
            Key::Tab => Want::Complete,
            Key::Ctrl('c') if self.editor.text().is_empty() => Want::AskToLeave,
            Key::Ctrl('c') => {
                self.editor.on_key(key);
                Want::Tell("cleared; Ctrl-Y brings it back".to_string())
            }
            Key::Up | Key::Down if self.move_by_row(key == Key::Down, room.input) => Want::Nothing,
            key => match self.editor.on_key(key) {
                Some(Edit::Submit(line)) => Want::Line(line),
                Some(Edit::EndOfInput) => Want::Leave,
                Some(Edit::NothingToDelete) => Want::Tell(show::HOW_TO_LEAVE.to_string()),
                Some(Edit::Full { lost }) => Want::TellWrong(show::left_out(lost)),
                _ => Want::Nothing,
            },
        }
    }

    fn move_by_row(&mut self, down: bool, columns: usize) -> bool {
        let place = self.laid(columns).vertical(self.editor.text(), down);
        place.into_iter().for_each(|place| self.editor.set_cursor(place));
        place.is_some()
    }

    /// The conversation `to` is shown instead of `from`; an empty name stands for none. Text typed
    /// without a conversation is for the first that is opened.
    pub fn switch(&mut self, from: &str, to: &str) {
        self.put_aside(from);
        if from.is_empty() && !self.has_draft(to) {
            let to_nobody = self.drafts.iter_mut().find(|draft| draft.to.is_empty());
            to_nobody.into_iter().for_each(|draft| draft.to = to.to_string());
        }
        self.bring_back(to);
    }

    fn put_aside(&mut self, name: &str) {
        self.drafts.retain(|draft| draft.to != name);
        let cursor = self.editor.cursor();
        let text = self.editor.replace(String::new());
        if text.is_empty() {
            return;
        }
        if self.drafts.len() >= limits::SCREEN_DRAFTS {
            self.drafts.pop_front();
        }
        self.drafts.push_back(Unsent { to: name.to_string(), text, cursor });
        self.is_warned = false;
    }

    fn bring_back(&mut self, name: &str) {
        let place = self.drafts.iter().position(|draft| draft.to == name);
        if let Some(draft) = place.and_then(|place| self.drafts.remove(place)) {
            self.editor.replace(draft.text);
            self.editor.set_cursor(draft.cursor);
        }
    }

    pub fn has_draft(&self, name: &str) -> bool {
        self.drafts.iter().any(|draft| draft.to == name)
    }

    /// Drafts of other conversations that are neither sent nor on disk, in words.
    pub fn lost(&self) -> Option<String> {
        let newest = self.drafts.back().filter(|_| !self.is_kept)?;
        let to = match newest.to.as_str() {
            "" => String::new(),
            name => format!(" for {}", show::line(name)),
        };
        let more = match self.drafts.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!("the draft{to}{more}"))
    }

    /// What an earlier chat kept.
    pub fn restore(&mut self, lines: VecDeque<String>, drafts: Vec<Unsent>) {
        self.editor.set_history(lines);
        self.drafts = drafts.into();
        self.is_kept = true;
        self.bring_back("");
    }

    /// The input history, the drafts, and the typed text as a draft for `name`.
    pub fn to_keep(&self, name: &str) -> (VecDeque<String>, Vec<Unsent>, Unsent) {
        let (text, cursor) = (self.editor.text().to_string(), self.editor.cursor());
        let typed = Unsent { to: name.to_string(), text, cursor };
        (self.editor.history().clone(), self.drafts.iter().cloned().collect(), typed)
    }

    pub fn check_invariants(&self) {
        assert!(self.drafts.len() <= limits::SCREEN_DRAFTS);
    }
}
