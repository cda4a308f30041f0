//! Lines in place of the conversation, until they are closed.

use super::super::super::editor::keys::Key;
use super::super::wrap;
use super::want::{Room, Took, WHEEL_ROWS, Want};

#[derive(Debug)]
pub struct Panel {
    title: String,
    lines: Vec<String>,
    /// The first row shown, of those after wrapping.
    top: usize,
}

/// A panel as it fits its area.
pub struct Laid {
    pub rows: Vec<String>,
    pub top: usize,
}

impl Panel {
    pub fn new(title: &str, lines: Vec<String>) -> Panel {
        Panel { title: title.to_string(), lines, top: 0 }
    }

    pub fn extend(&mut self, lines: impl Iterator<Item = String>) {
        self.lines.extend(lines);
    }

    pub fn on_key(&mut self, key: Key, room: Room) -> Took {
        self.top = match key {
            Key::Up | Key::Char('k') | Key::Ctrl('p') => self.top.saturating_sub(1),
            Key::Down | Key::Char('j') | Key::Ctrl('n') => self.top + 1,
            Key::PageUp => self.top.saturating_sub(room.page),
            Key::PageDown | Key::Char(' ') => self.top + room.page,
            Key::WheelUp => self.top.saturating_sub(WHEEL_ROWS),
            Key::WheelDown => self.top + WHEEL_ROWS,
            Key::Escape | Key::Enter | Key::Char('q') | Key::Ctrl('c') => {
                return Took::Last(Want::Nothing);
            }
            // A command that was just read about.
            Key::Char('/') => return Took::Gone,
            // Another conversation can be opened whatever is shown.
            Key::Alt('0'..='9' | 'a') => return Took::No,
            _ => self.top,
        };
        Took::Yes(Want::Nothing)
    }

    /// Wraps the lines, and scrolls no further than the last of them.
    pub fn laid(&self, columns: usize, rows: usize) -> Laid {
        let wrap = |line: &String| wrap::hanging(line, columns.max(1));
        let wrapped: Vec<String> = self.lines.iter().flat_map(wrap).collect();
        let top = self.top.min(wrapped.len().saturating_sub(rows));
        Laid { rows: wrapped, top }
    }

    /// A frame scrolled it to this row.
    pub fn scrolled_to(&mut self, top: usize) {
        self.top = top;
    }

    /// Says which lines are in view, where not all are.
    pub fn title(&self, laid: &Laid, rows: usize) -> String {
        let (title, count, end) = (&self.title, laid.rows.len(), laid.top + rows);
        match laid.top == 0 && end >= count {
            true => format!("{title}: Esc closes"),
            false => {
                let (first, last) = (laid.top + 1, end.min(count));
                format!("{title}: {first}-{last} of {count}, PgUp, PgDn scroll, Esc closes")
            }
        }
    }
}
