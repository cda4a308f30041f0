//! `/list`, `/who` and `/inbox`: names to pick from, with a filter. Names are fetched page by page up
//! to a bound; where there are more, the filter is asked of the server too. Pure.

use super::super::editor::keys::Key;
use super::super::session::Request;
use super::super::show;
use super::super::width::text_width;
use super::cells::{Buffer, Colour, Style};
use super::pane::clipped;
use super::{Mode, Screen};
use crate::chat::glob::Pattern;
use crate::limits;

/// Where the names come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Accounts.
    List,
    /// Who is logged in.
    Who,
    /// The conversations there are.
    Inbox,
}

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Picker {
    /// Answers to another one are dropped.
    number: u64,
    source: Source,
    filter: String,
    /// The pattern that the server was asked for last.
    asked: Option<String>,
    /// A page of it is awaited.
    is_waiting: bool,
    /// All names that match `asked` are here.
    is_whole: bool,
    names: Vec<(String, u64)>,
    /// The chosen place among those that match.
    at: usize,
}

impl Picker {
    /// A picker, and what to ask the server first.
    pub fn new(
        number: u64,
        source: Source,
        filter: String,
        own: Vec<(String, u64)>,
    ) -> (Picker, Option<Request>) {
        let is_inbox = source == Source::Inbox;
        let names = if is_inbox { own } else { Vec::new() };
        let mut picker = Picker {
            number,
            source,
            filter,
            asked: None,
            is_waiting: false,
            is_whole: is_inbox,
            names,
            at: 0,
        };
        let request = picker.next_request();
        (picker, request)
    }

    /// What to ask for, when what is typed needs names that are not here.
    fn next_request(&mut self) -> Option<Request> {
        let is_covered = |asked: &String| {
            let parts = !is_pattern(asked) && !is_pattern(&self.filter);
            self.is_whole && (asked.is_empty() || parts && self.filter.contains(asked.as_str()))
        };
        let same = self.asked.as_ref() == Some(&self.filter);
        if self.source == Source::Inbox || self.is_waiting || same {
            return None;
        }
        // What is half a pattern becomes one with what is typed next.
        if self.asked.as_ref().is_some_and(is_covered) || Pattern::parse(&self.filter).is_err() {
            return None;
        }
        self.asked = Some(self.filter.clone());
        (self.is_waiting, self.is_whole) = (true, false);
        self.names.clear();
        Some(self.request(String::new()))
    }

    fn request(&self, after: String) -> Request {
        let pattern = self.asked.clone().unwrap_or_default();
        match self.source {
            Source::Who => Request::Who { pattern, after },
            _ => Request::List { pattern, after },
        }
    }

    /// A page of names; the next request, if any.
    pub fn on_page(&mut self, number: u64, names: Vec<String>, next: &str) -> Option<Request> {
        if number != self.number {
            return None;
        }
        let room = limits::SCREEN_NAMES - self.names.len();
        self.names.extend(names.into_iter().take(room).map(|name| (name, 0)));
        let is_full = self.names.len() >= limits::SCREEN_NAMES;
        let is_old = self.asked.as_ref() != Some(&self.filter);
        if !next.is_empty() && !is_full && !is_old {
            return Some(self.request(next.to_string()));
        }
        (self.is_waiting, self.is_whole) = (false, next.is_empty());
        self.next_request()
    }

    /// No page will come of what was asked.
    pub fn on_refusal(&mut self, number: u64) {
        if number == self.number {
            self.is_waiting = false;
        }
    }

    fn matching(&self) -> impl Iterator<Item = &(String, u64)> {
        let pattern = is_pattern(&self.filter).then(|| Pattern::parse(&self.filter));
        let filter = self.filter.to_ascii_lowercase();
        self.names.iter().filter(move |(name, _)| match &pattern {
            Some(Ok(pattern)) => pattern.matches(name),
            Some(Err(_)) => false,
            None => name.contains(&filter),
        })
    }

    pub fn title(&self) -> String {
        let what = match self.source {
            Source::List => "accounts",
            Source::Who => "logged in",
            Source::Inbox => "conversations",
        };
        let count = self.matching().count();
        let more = match (self.is_waiting, self.is_whole) {
            (true, _) => ", loading",
            (false, true) => "",
            (false, false) => ", not all",
        };
        format!("{what}: {count}{more} - Enter opens, Esc closes")
    }

    /// Names that match, around the chosen one, at most so many: others only after half of them.
    pub fn names_near(&self, most: usize) -> Vec<&str> {
        let half = most / 2;
        let first = (self.at / half * half).saturating_sub(half / 2);
        self.matching().skip(first).take(most).map(|(name, _)| name.as_str()).collect()
    }

    /// Draws filter and names below `(left, top)`, and gives where the cursor is.
    pub fn draw(
        &self,
        buffer: &mut Buffer,
        (left, top): (usize, usize),
        rows: usize,
        is_online: impl Fn(&str) -> bool,
    ) -> (usize, usize) {
        let end = buffer.columns();
        let filter = show::line(&self.filter);
        let column = buffer.put(top, left + 1, end - 1, "type to filter: ", Style::DIM);
        buffer.put(top, column, end - 1, &filter, Style::PLAIN);
        let room = rows.saturating_sub(1);
        let first = (self.at + 1).saturating_sub(room);
        for (row, (name, unread)) in self.matching().skip(first).take(room).enumerate() {
            let row_at = top + 1 + row;
            if is_online(name) {
                let style = Style::PLAIN.coloured(Colour::Green);
                buffer.put(row_at, left + 1, end, "●", style);
            }
            let text = match unread {
                0 => show::line(name).into_owned(),
                _ => format!("{} ({unread})", show::line(name)),
            };
            let text = clipped(&text, end.saturating_sub(left + 3));
            buffer.put(row_at, left + 3, end, &text, Style::PLAIN);
            if first + row == self.at {
                buffer.reverse(row_at, left, end);
            }
        }
        (top, (column + text_width(&filter)).min(end - 1))
    }
}

/// More than a part of a name.
fn is_pattern(filter: &str) -> bool {
    filter.contains(['*', '?', '['])
}

impl Screen {
    pub(super) fn on_picker_key(&mut self, key: Key) {
        let page = self.drawn.rows.saturating_sub(2).max(1);
        let Mode::Pick(picker) = &mut self.mode else {
            return;
        };
        let last = picker.matching().count().saturating_sub(1);
        match key {
            Key::Escape => self.mode = Mode::Chat,
            Key::Enter => {
                let name = picker.matching().nth(picker.at).map(|(name, _)| name.clone());
                match name {
                    Some(name) => self.on_picked(&name),
                    None => self.tell("no name matches"),
                }
            }
            Key::Up | Key::Ctrl('p') | Key::BackTab => picker.at = picker.at.saturating_sub(1),
            Key::Down | Key::Ctrl('n') | Key::Tab => picker.at = (picker.at + 1).min(last),
            Key::PageUp => picker.at = picker.at.saturating_sub(page),
            Key::PageDown => picker.at = (picker.at + page).min(last),
            Key::Backspace | Key::Ctrl('h') => self.on_filter(|filter| {
                let _ = filter.pop();
            }),
            Key::Ctrl('u' | 'w') => self.on_filter(String::clear),
            Key::Char(char) | Key::Pasted(char) if !char.is_control() => {
                self.on_filter(|filter| {
                    if filter.len() + char.len_utf8() <= limits::PATTERN_BYTES {
                        filter.push(char);
                    }
                });
            }
            _ => {}
        }
    }

    fn on_filter(&mut self, change: impl FnOnce(&mut String)) {
        let Mode::Pick(picker) = &mut self.mode else {
            return;
        };
        change(&mut picker.filter);
        picker.at = 0;
        let number = picker.number;
        if let Some(request) = picker.next_request() {
            self.ask(request, super::answers::Asked::Names { picker: number });
        }
    }
}
