//! `/list`, `/who` and `/inbox`: names to pick from, with a filter. Names are fetched page by page up
//! to a bound; where there are more, the server is asked to filter them.

use super::super::super::cluster::text_width;
use super::super::super::editor::keys::Key;
use super::super::super::session::Request;
use super::super::super::show;
use super::super::cells::{Area, Buffer, Colour, Style};
use super::super::pane::clipped;
use super::super::types::Asked;
use super::want::{Room, Took, Want};
use crate::chat::glob::Pattern;
use crate::limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Accounts.
    List,
    /// Accounts that are logged in.
    Who,
    Inbox,
}

#[derive(Debug)]
pub struct Picker {
    /// Answers to other pickers are dropped.
    number: u64,
    source: Source,
    filter: String,
    /// The pattern of the last request.
    asked: Option<String>,
    /// A page of names is on its way.
    is_waiting: bool,
    /// `names` has all that match `asked`.
    is_whole: bool,
    names: Vec<(String, u64)>,
    /// The chosen one of the names that match.
    at: usize,
}

impl Picker {
    /// A picker, and its first request.
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

    /// The next request, if the filter needs names that are not here.
    fn next_request(&mut self) -> Option<Request> {
        let is_covered = |asked: &String| {
            let parts = !is_pattern(asked) && !is_pattern(&self.filter);
            self.is_whole && (asked.is_empty() || parts && self.filter.contains(asked.as_str()))
        };
        let same = self.asked.as_ref() == Some(&self.filter);
        if self.source == Source::Inbox || self.is_waiting || same {
            return None;
        }
        // Half a pattern becomes a whole one with the next key.
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

    pub fn on_key(&mut self, key: Key, room: Room) -> Took {
        let last = self.matching().count().saturating_sub(1);
        match key {
            Key::Escape | Key::Ctrl('c') => return Took::Last(Want::Nothing),
            Key::Enter => {
                let name = self.matching().nth(self.at).map(|(name, _)| name.clone());
                return match name {
                    Some(name) => Took::Last(Want::OpenNamed(name)),
                    None => Took::Yes(Want::Tell("no name matches".to_string())),
                };
            }
            Key::Up | Key::Ctrl('p') | Key::BackTab | Key::WheelUp => {
                self.at = self.at.saturating_sub(1);
            }
            Key::Down | Key::Ctrl('n') | Key::Tab | Key::WheelDown => {
                self.at = (self.at + 1).min(last);
            }
            Key::PageUp => self.at = self.at.saturating_sub(room.page),
            Key::PageDown => self.at = (self.at + room.page).min(last),
            Key::Backspace | Key::Ctrl('h') => {
                return self.on_filter(|filter| {
                    let _ = filter.pop();
                });
            }
            Key::Ctrl('u' | 'w') => return self.on_filter(String::clear),
            Key::Char(char) | Key::Pasted(char) if !char.is_control() => {
                let fits = self.filter.len() + char.len_utf8() <= limits::PATTERN_BYTES;
                return self.on_filter(|filter| filter.extend(fits.then_some(char)));
            }
            // Another conversation can be opened whatever is shown.
            Key::Alt('0'..='9' | 'a') => return Took::No,
            _ => {}
        }
        Took::Yes(Want::Nothing)
    }

    fn on_filter(&mut self, change: impl FnOnce(&mut String)) -> Took {
        change(&mut self.filter);
        self.at = 0;
        let asked = Asked::Names { picker: self.number };
        let ask = |request| Want::Ask(request, asked);
        Took::Yes(self.next_request().map_or(Want::Nothing, ask))
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

    /// Draws filter and names, and returns the cursor's place.
    pub fn draw(
        &self,
        buffer: &mut Buffer,
        area: Area,
        is_online: impl Fn(&str) -> bool,
    ) -> (usize, usize) {
        let (Area { top, left, rows, .. }, end) = (area, buffer.columns());
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

/// Returns true for a pattern, which is more than a part of a name.
fn is_pattern(filter: &str) -> bool {
    filter.contains(['*', '?', '['])
}
