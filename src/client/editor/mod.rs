//! A line editor: bytes of a terminal in, actions out; and the line rendered into one buffer. Pure.
//!
//! The line stands on the terminal's last row and scrolls sideways when it is longer. Output that
//! arrives meanwhile goes above it: [`Editor::erase`], the output with its line end,
//! [`Editor::render`], all in one write, so that what is being typed is never torn.
//!
//! Sent to the terminal, nothing else:
//!
//! | sequence    | does |
//! | ---         | --- |
//! | CR          | to the first column |
//! | `ESC [ K`   | erases to the end of the row |
//! | `ESC [ n C` | n columns to the right |
//! | `ESC [ ? 7 l`, `h` | the last column does not wrap, or does |
//! | `ESC [ H`, `ESC [ 2 J` | Ctrl-L: to the top, erases the screen |

pub mod keys;

use std::collections::VecDeque;

use super::{cluster, show};
use crate::limits;
use keys::{Key, Keys};

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Enter: the line, which the editor has let go of.
    Submit(String),
    /// Ctrl-C; whether there was a line, which is gone now.
    Interrupt {
        /// There was something on the line.
        cleared: bool,
    },
    /// Ctrl-D on an empty line.
    EndOfInput,
    /// Ctrl-D at the end of a text, where there is nothing to delete.
    NothingToDelete,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-L.
    ClearScreen,
    /// The line is as long as it may be.
    Full {
        /// Bytes that were typed or pasted since and not taken.
        lost: usize,
    },
}

/// The line and its history.
#[derive(Debug, Default)]
pub struct Editor {
    keys: Keys,
    text: String,
    /// A byte index, on a character's boundary.
    cursor: usize,
    /// The first byte that is shown, on a boundary.
    scroll: usize,
    /// What Ctrl-K, Ctrl-U, Ctrl-W took last.
    killed: String,
    history: VecDeque<String>,
    /// The place in the history that is shown, counted from the newest; 0 = the line itself.
    recalled: usize,
    /// The line as it was before the history was looked at.
    unsent: String,
    prompt: String,
    secret: bool,
    /// Bytes that did not fit, since the last other key.
    lost: usize,
}

impl Editor {
    /// An empty line.
    pub fn new() -> Editor {
        Editor::default()
    }

    /// What stands before the line; made harmless here.
    pub fn set_prompt(&mut self, prompt: &str) {
        self.prompt = show::line(prompt).into_owned();
    }

    /// A secret line is not shown and not remembered; entering or leaving clears the line.
    pub fn set_secret(&mut self, secret: bool) {
        if self.secret != secret {
            self.secret = secret;
            self.set_text(String::new());
        }
    }

    /// The line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the next character goes: a byte index into [`Editor::text`].
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Takes bytes as they were read, cut anywhere.
    pub fn feed(&mut self, now_ms: u64, bytes: &[u8]) -> Vec<Action> {
        let mut keys = std::mem::take(&mut self.keys);
        let mut actions = Vec::new();
        keys.feed(now_ms, bytes, |key| actions.extend(self.on_key(key)));
        self.keys = keys;
        let is_full = |action: &Action| matches!(action, Action::Full { .. });
        actions.dedup_by(|later, before| {
            let both = is_full(later) && is_full(before);
            if both {
                std::mem::swap(later, before);
            }
            both
        });
        actions
    }

    /// When [`Editor::expire`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        self.keys.deadline()
    }

    /// Time has passed: a sequence or paste without an end may end by that.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Action> {
        let mut keys = std::mem::take(&mut self.keys);
        let mut actions = Vec::new();
        keys.expire(now_ms, |key| actions.extend(self.on_key(key)));
        self.keys = keys;
        actions
    }

    /// What was entered before, the newest first.
    pub fn history(&self) -> &VecDeque<String> {
        &self.history
    }

    /// What was entered in an earlier chat, the newest first.
    pub fn set_history(&mut self, mut lines: VecDeque<String>) {
        lines.truncate(limits::HISTORY_LINES);
        self.history = lines;
    }

    /// Puts the cursor there: a byte index, taken back to a character's boundary.
    pub fn set_cursor(&mut self, place: usize) {
        self.cursor = place.min(self.text.len());
        while !self.text.is_char_boundary(self.cursor) {
            self.cursor -= 1;
        }
    }

    /// Another line instead of the one there is, which is handed back; the cursor behind it.
    pub fn replace(&mut self, text: String) -> String {
        let before = std::mem::take(&mut self.text);
        self.set_text(text);
        before
    }

    /// Does what a key says.
    pub fn on_key(&mut self, key: Key) -> Option<Action> {
        if !matches!(key, Key::Char(_) | Key::Pasted(_)) {
            self.lost = 0;
        }
        match key {
            Key::Char(char) | Key::Pasted(char) => return self.insert(char),
            Key::AltEnter => return self.insert('\n'),
            Key::Enter | Key::Ctrl('j' | 'm') => return Some(self.submit()),
            Key::Ctrl('c') => {
                let cleared = !self.text.is_empty();
                let text = self.replace(String::new());
                if cleared && !self.secret {
                    self.killed = text;
                }
                return Some(Action::Interrupt { cleared });
            }
            Key::Ctrl('d') if self.text.is_empty() => return Some(Action::EndOfInput),
            Key::Ctrl('d') if self.cursor == self.text.len() => {
                return Some(Action::NothingToDelete);
            }
            Key::Ctrl('z') => return Some(Action::Suspend),
            Key::Ctrl('l') => return Some(Action::ClearScreen),
            Key::Backspace | Key::Ctrl('h') => self.remove(self.left_of(self.cursor), self.cursor),
            Key::Delete | Key::Ctrl('d') => self.remove(self.cursor, self.right_of(self.cursor)),
            Key::Left | Key::Ctrl('b') => self.cursor = self.left_of(self.cursor),
            Key::Right | Key::Ctrl('f') => self.cursor = self.right_of(self.cursor),
            Key::WordLeft | Key::Alt('b') => self.cursor = self.word_left(char::is_alphanumeric),
            Key::WordRight | Key::Alt('f') => self.cursor = self.word_right(),
            Key::Home | Key::Ctrl('a') => self.cursor = self.row_start(),
            Key::End | Key::Ctrl('e') => self.cursor = self.row_end(),
            Key::Top => self.cursor = 0,
            Key::Bottom => self.cursor = self.text.len(),
            // At a line's end it joins the next one.
            Key::Ctrl('k') if self.cursor == self.row_end() => {
                self.kill(self.cursor, self.right_of(self.cursor));
            }
            Key::Ctrl('k') => self.kill(self.cursor, self.row_end()),
            Key::Ctrl('u') => self.kill(self.row_start(), self.cursor),
            Key::Ctrl('w') => self.kill(self.word_left(|c| !c.is_whitespace()), self.cursor),
            Key::Alt('d') => self.kill(self.cursor, self.word_right()),
            Key::Ctrl('y') => {
                let mut full = None;
                for char in std::mem::take(&mut self.killed).chars() {
                    full = self.insert(char);
                    self.killed.push(char);
                }
                return full;
            }
            Key::Up | Key::FarUp | Key::Ctrl('p') => self.recall(self.recalled + 1),
            Key::Down | Key::FarDown | Key::Ctrl('n') => {
                self.recall(self.recalled.saturating_sub(1));
            }
            Key::Tab | Key::BackTab | Key::Escape | Key::PageUp | Key::PageDown => {}
            Key::WheelUp | Key::WheelDown => {}
            Key::Ctrl(_) | Key::Alt(_) => {}
        }
        None
    }

    fn insert(&mut self, char: char) -> Option<Action> {
        // Once something did not fit, nothing smaller behind it gets in its place.
        if self.lost > 0 || self.text.len() + char.len_utf8() > limits::LINE_BYTES {
            self.lost += char.len_utf8();
            return Some(Action::Full { lost: self.lost });
        }
        self.text.insert(self.cursor, char);
        self.cursor += char.len_utf8();
        None
    }

    fn submit(&mut self) -> Action {
        let line = std::mem::take(&mut self.text);
        self.set_text(String::new());
        let again = self.history.front() == Some(&line);
        if !self.secret && !line.trim().is_empty() && !again {
            self.history.truncate(limits::HISTORY_LINES - 1);
            self.history.push_front(line.clone());
        }
        Action::Submit(line)
    }

    fn set_text(&mut self, text: String) {
        self.cursor = text.len();
        self.text = text;
        self.scroll = 0;
        self.recalled = 0;
    }

    fn recall(&mut self, place: usize) {
        if self.secret || place > self.history.len() {
            return;
        }
        if self.recalled == 0 {
            self.unsent = self.text.clone();
        }
        let text = match place {
            0 => std::mem::take(&mut self.unsent),
            _ => self.history[place - 1].clone(),
        };
        self.set_text(text);
        self.recalled = place;
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    fn kill(&mut self, from: usize, to: usize) {
        if from < to {
            if !self.secret {
                self.killed = self.text[from..to].to_string();
            }
            self.remove(from, to);
        }
    }

    /// Where the line of a text of several begins that the cursor is in.
    fn row_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |end| end + 1)
    }

    fn row_end(&self) -> usize {
        let behind = &self.text[self.cursor..];
        self.cursor + behind.find('\n').unwrap_or(behind.len())
    }

    /// One cluster to the left.
    fn left_of(&self, place: usize) -> usize {
        cluster::before(&self.text, place)
    }

    fn right_of(&self, place: usize) -> usize {
        place + cluster::first(&self.text[place..])
    }

    fn word_left(&self, is_word: impl Fn(char) -> bool) -> usize {
        let before = self.text[..self.cursor].trim_end_matches(|c| !is_word(c));
        before.trim_end_matches(is_word).len()
    }

    fn word_right(&self) -> usize {
        let behind = &self.text[self.cursor..];
        let word = behind.trim_start_matches(|c: char| !c.is_alphanumeric());
        self.text.len() - word.trim_start_matches(char::is_alphanumeric).len()
    }

    /// Takes the line off the terminal, so that other output can stand there.
    pub fn erase(out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\x1b[K");
    }

    /// Ctrl-L: an empty screen, to be followed by [`Editor::render`].
    pub fn clear_screen(out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[H\x1b[2J");
    }

    /// Draws prompt and line on the row the cursor is in, never into the last of `columns`.
    pub fn render(&mut self, columns: usize, out: &mut Vec<u8>) {
        let room = columns.saturating_sub(1);
        let prompt = &self.prompt[..cluster::take_width(&self.prompt, room * 2 / 3)];
        let prompt_columns = cluster::text_width(prompt);
        let mut row = RowPen::new(out);
        row.put(prompt, prompt_columns);
        let mut cursor_column = prompt_columns;
        if !self.secret {
            let room = room - prompt_columns;
            self.scroll_to_cursor(room);
            let mut used = 0;
            for (offset, cluster) in cluster::all(&self.text[self.scroll..]) {
                let (shown, columns) = cell(cluster);
                if used + columns > room {
                    break;
                }
                used += columns;
                row.put(&shown, columns);
                if self.scroll + offset + cluster.len() <= self.cursor {
                    cursor_column += columns;
                }
            }
        }
        row.finish(cursor_column);
    }

    /// Moves the first shown cluster so that the cursor is within `room` columns.
    fn scroll_to_cursor(&mut self, room: usize) {
        self.scroll = self.scroll.min(self.cursor);
        while !self.text.is_char_boundary(self.scroll) {
            self.scroll -= 1;
        }
        if self.columns_before_cursor(self.scroll) <= room {
            return;
        }
        // Some of what is before the cursor stays in view.
        let mut columns = 0;
        let mut start = self.cursor;
        while start > 0 {
            let before = cluster::before(&self.text, start);
            columns += cell(&self.text[before..start]).1;
            if columns > room * 2 / 3 {
                break;
            }
            start = before;
        }
        self.scroll = start;
    }

    fn columns_before_cursor(&self, from: usize) -> usize {
        cluster::all(&self.text[from..self.cursor]).map(|(_, cluster)| cell(cluster).1).sum()
    }
}

/// Writes a row from its first column on. Terminals disagree about the columns of what is not
/// ASCII: both columns of a wide glyph are made blank before it, the cursor is put behind it, and
/// meanwhile the last column does not wrap.
struct RowPen<'a> {
    out: &'a mut Vec<u8>,
    column: usize,
    /// The terminal's cursor may be elsewhere.
    is_unsure: bool,
    keeps_row: bool,
}

impl RowPen<'_> {
    fn new(out: &mut Vec<u8>) -> RowPen<'_> {
        out.push(b'\r');
        RowPen { out, column: 0, is_unsure: false, keeps_row: false }
    }

    fn put(&mut self, shown: &str, columns: usize) {
        if self.is_unsure {
            self.go_to(self.column);
        }
        self.is_unsure = !shown.is_ascii();
        if self.is_unsure && !std::mem::replace(&mut self.keeps_row, true) {
            self.out.extend_from_slice(b"\x1b[?7l");
        }
        if self.is_unsure && columns > 1 {
            self.out.resize(self.out.len() + columns, b' ');
            self.go_to(self.column);
        }
        self.out.extend_from_slice(shown.as_bytes());
        self.column += columns;
    }

    /// Erases the rest of the row, and puts the cursor where it belongs.
    fn finish(mut self, column: usize) {
        if self.is_unsure {
            self.go_to(self.column);
        }
        self.out.extend_from_slice(b"\x1b[K");
        if self.keeps_row {
            self.out.extend_from_slice(b"\x1b[?7h");
        }
        self.go_to(column);
    }

    fn go_to(&mut self, column: usize) {
        self.out.push(b'\r');
        if column > 0 {
            self.out.extend_from_slice(format!("\x1b[{column}C").as_bytes());
        }
    }
}

/// How a cluster of what is typed is shown, and its columns.
pub(super) fn cell(cluster: &str) -> (String, usize) {
    if cluster.len() == 1 && (" "..="~").contains(&cluster) {
        return (cluster.to_string(), 1);
    }
    // Behind a letter, so that a mark is taken for one.
    let shown = show::line(&format!("a{cluster}"))[1..].to_string();
    let columns = cluster::text_width(&shown);
    (shown, columns)
}
